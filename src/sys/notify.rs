//! What a service manager is told, and what it has kept for us: `sd_notify(3)` and `sd_listen_fds(3)`.
//!
//! Without a service manager (no `NOTIFY_SOCKET`) there is no [`Notifier`], and nothing was kept.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

/// Something that a service manager understands.
#[derive(Debug)]
pub enum Word {
    /// The service is up, or its reload is over.
    Ready,
    /// The configuration is being read again.
    Reloading,
    /// The service is about to end.
    Stopping,
    /// The event loop turns.
    Watchdog,
    /// How things are, for `systemctl status`.
    Status(String),
    /// What is going on takes at least this much longer.
    ExtendTimeout(Duration),
    /// Keep this descriptor for the next process, under this name.
    Keep(String, OwnedFd),
    /// Keep what has this name no longer.
    Forget(String),
}

enum Message {
    Words(Vec<Word>),
    /// Answered when everything before it was sent.
    Flush(mpsc::SyncSender<()>),
}

/// The way to the service manager.
///
/// A thread of its own sends, because a manager that does not read its socket would block whoever writes to it.
#[derive(Debug)]
pub struct Notifier {
    sender: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Notifier {
    /// A way to the manager that started this process; none if none asked to be told.
    pub fn from_environment() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = waiting.clone();
        let thread = thread::Builder::new().name("notify".to_owned()).spawn(move || deliver(&receiver, &counted));
        match thread {
            Ok(_) => Some(Self { sender, waiting }),
            Err(error) => {
                tracing::warn!("cannot start the thread that talks to the service manager: {error}");
                None
            }
        }
    }

    /// Tells the manager, in one message.
    pub fn tell(&self, words: Vec<Word>) {
        // Signs of life to one who does not read would only pile up.
        let only_alive = words.iter().all(|word| matches!(word, Word::Watchdog | Word::ExtendTimeout(_)));
        if only_alive && self.waiting.load(Ordering::Relaxed) > 0 {
            return;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The thread ends only with the process.
        let _ = self.sender.send(Message::Words(words));
    }

    /// Waits until all of it is with the manager, or this time is over.
    pub fn flush(&self, within: Duration) {
        let (done, sent) = mpsc::sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            let _ = sent.recv_timeout(within);
        }
    }
}

fn deliver(receiver: &mpsc::Receiver<Message>, waiting: &AtomicUsize) {
    let mut complained = false;
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Flush(done) => drop(done.try_send(())),
            Message::Words(words) => {
                if let Err(error) = send(&words)
                    && !std::mem::replace(&mut complained, true)
                {
                    tracing::warn!("cannot tell the service manager: {error}");
                }
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

fn send(words: &[Word]) -> std::io::Result<()> {
    let mut states = Vec::new();
    let mut descriptors = Vec::new();
    for word in words {
        match word {
            Word::Ready => states.push(NotifyState::Ready),
            // From version 253 on, systemd wants to know that this is about the reload that it asked for, not an earlier one.
            Word::Reloading => states.extend([NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
            Word::Stopping => states.push(NotifyState::Stopping),
            Word::Watchdog => states.push(NotifyState::Watchdog),
            Word::Status(words) => states.push(NotifyState::Status(words)),
            Word::ExtendTimeout(time) => {
                states.push(NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)));
            }
            Word::Keep(name, descriptor) => {
                // Without FDPOLL=0 systemd drops a descriptor that becomes readable with an error or hangs up, which is
                // what a pidfd does at the very moment for which it is kept.
                states.extend([NotifyState::FdStore, NotifyState::FdName(name), NotifyState::Custom("FDPOLL=0")]);
                descriptors.push(descriptor.as_fd());
            }
            Word::Forget(name) => states.extend([NotifyState::FdStoreRemove, NotifyState::FdName(name)]),
        }
    }
    if descriptors.is_empty() { sd_notify::notify(&states) } else { sd_notify::notify_with_fds(&states, &descriptors) }
}

/// How often the manager wants a sign of life, or it takes this process for stuck.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The descriptors that the manager kept for this process, with their names.
///
/// To be called once, before anything else is opened: they are known by their numbers only.
pub fn kept() -> Vec<(String, OwnedFd)> {
    match sd_notify::listen_fds_with_names() {
        // SAFETY: each number was found to be an open descriptor just now, was passed to this process by the one that started
        // it, and is owned by nobody else, as nothing else has been opened.
        Ok(passed) => passed.map(|(fd, name)| (name, unsafe { OwnedFd::from_raw_fd(fd) })).collect(),
        Err(error) => {
            tracing::warn!("cannot take over the descriptors that the service manager kept: {error}");
            Vec::new()
        }
    }
}

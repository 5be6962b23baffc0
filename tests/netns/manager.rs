//! A stand-in for systemd: the socket that a service talks to, and the store of descriptors for the service's next process.
//!
//! The socket lies in the test's own temporary directory, which the machine sees too: a UNIX socket is found by its file,
//! whatever the network namespace.

use std::fmt::Write as _;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use sendfd::RecvWithFd as _;

use crate::machine::{Background, CONFIG, Machine, RDSUP, SOON};

/// See the module.
pub struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
    /// What was said and not looked at yet.
    heard: Vec<String>,
    /// What was ever said.
    pub all: Vec<String>,
    /// What is kept, by name.
    pub store: Vec<(String, OwnedFd)>,
}

impl Manager {
    /// One that listens, and keeps nothing yet.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("rdsup-notify-").tempdir_in("/tmp").expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("the directory is ours");
        Self { socket, directory, heard: Vec::new(), all: Vec::new(), store: Vec::new() }
    }

    /// Starts the service's process as systemd does: with the way here, and with what is kept from descriptor 3 on.
    pub fn start(&self, machine: &Machine, options: &str) -> Background {
        self.start_after(machine, ":", options)
    }

    /// The same, after a command of the shell that becomes the service.
    pub fn start_after(&self, machine: &Machine, before: &str, options: &str) -> Background {
        let mut script = format!("export NOTIFY_SOCKET={}/notify\n{before}\n", self.directory.path().display());
        // High numbers first, so that none of them is overwritten before it was used.
        let inherited: Vec<RawFd> = self.store.iter().map(|(_, descriptor)| inheritable(descriptor)).collect();
        for (index, number) in inherited.iter().enumerate() {
            writeln!(script, "exec {}<&{number} {number}<&-", index + 3).expect("a text takes all");
        }
        if !inherited.is_empty() {
            let names: Vec<&str> = self.store.iter().map(|(name, _)| name.as_str()).collect();
            let (count, names) = (names.len(), names.join(":"));
            writeln!(script, "export LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names}")
                .expect("a text takes all");
        }
        writeln!(script, "export WATCHDOG_PID=$$\nexec env {options} {RDSUP} -c {CONFIG} start")
            .expect("a text takes all");
        let started = machine.spawn(&["bash", "-euc", &script]);
        for number in inherited {
            // SAFETY: `inheritable` made it for the process that has been started now, and nobody else knows it.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
        started
    }

    /// Hears what is said until a message has this line, and returns that message.
    #[track_caller]
    pub fn hear(&mut self, line: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(at) = self.heard.iter().position(|message| message.lines().any(|said| said.starts_with(line))) {
                let message = self.heard.remove(at);
                self.heard.drain(..at);
                return message;
            }
            assert!(Instant::now() < deadline, "the service did not say {line} but {:#?}", self.all);
            self.listen(Duration::from_millis(200));
        }
    }

    /// Hears what is said in this time.
    pub fn listen(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.socket.set_read_timeout(Some(left)).expect("a time that is not zero");
            let (mut bytes, mut numbers) = ([0; 4096], [0; 8]);
            let Ok((length, descriptors)) = self.socket.recv_with_fd(&mut bytes, &mut numbers) else { return };
            let message = String::from_utf8(bytes[..length].to_vec()).expect("messages are text");
            // SAFETY: the kernel has just made them for this message.
            let descriptors = numbers[..descriptors].iter().map(|number| unsafe { OwnedFd::from_raw_fd(*number) });
            self.obey(&message, descriptors.collect());
            self.all.push(message.clone());
            self.heard.push(message);
        }
    }

    /// The store as `sd_notify(3)` describes it.
    fn obey(&mut self, message: &str, descriptors: Vec<OwnedFd>) {
        let name = message.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored").to_owned();
        if message.lines().any(|line| line == "FDSTOREREMOVE=1") {
            self.store.retain(|(stored, _)| *stored != name);
        }
        if message.lines().any(|line| line == "FDSTORE=1") {
            self.store.extend(descriptors.into_iter().map(|descriptor| (name.clone(), descriptor)));
        }
    }

    /// The names of what is kept, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.store.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }
}

/// Another descriptor of the same, with a high number, that programs started from here have too.
fn inheritable(descriptor: &OwnedFd) -> RawFd {
    let number = fcntl(descriptor, FcntlArg::F_DUPFD(100)).expect("there is room");
    // SAFETY: it was made just now; it is only borrowed here.
    let made = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    fcntl(made, FcntlArg::F_SETFD(FdFlag::empty())).expect("it is open");
    made.as_raw_fd()
}

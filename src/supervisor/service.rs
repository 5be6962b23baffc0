//! What the service manager hears of the supervisor, and keeps for the next one.
//!
//! Signs of life come from the task of the event loop: [`Service::attending`] polls the work and the clock in turn, so a
//! loop that is stuck in a call gives none. A loop that waits for something that never comes gives none after
//! [`PATIENCE`] either. Without a service manager none of this does anything.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::commands::{Asked, Whom};
use super::processes::Processes;
use super::report::Sight;
use super::run::Loop;
use crate::control::{CallError, Change, Progress};
use crate::model::DomainName;
use crate::sys::Machine;
use crate::sys::handover::{Handover, Kept};
use crate::sys::netns::Namespace;
use crate::sys::notify::{Notifier, Word, watchdog};
use crate::sys::process::Process;

/// How long one turn of the loop may take, and a start, a reload or a stop, before the manager may think what it likes.
const PATIENCE: Duration = Duration::from_mins(10);
/// By how much a start, a reload or a stop is extended each time; more than twice [`EXTEND_EVERY`].
const EXTENSION: Duration = Duration::from_secs(30);
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// How often the line of `systemctl status` is brought up to date.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How long the end of the supervisor waits for a manager that does not read.
const FAREWELL: Duration = Duration::from_secs(1);

/// The service that this supervisor is to its manager.
pub struct Service {
    notifier: Option<Notifier>,
    /// How often a sign of life is due.
    alive_every: Option<Duration>,
    now: Mutex<Now>,
    /// The names of the descriptors that the manager keeps, each with the inode where another may come to have the name.
    kept: Mutex<BTreeMap<String, u64>>,
}

#[derive(Clone, Copy)]
struct Now {
    phase: Phase,
    /// When the phase began, or the last turn of the loop.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The manager waits for it to start, to be done with a reload, or to stop.
    Expected,
    Running,
}

/// What the manager should keep, apart from the control socket, with the inode where another one may come to have the same
/// name.
pub struct ToKeep(BTreeMap<Kept, (u64, Source)>);

/// Where a descriptor to be kept comes from: it is made only when it is not kept yet.
enum Source {
    Namespace(Namespace),
    Daemon(Arc<Process>),
}

impl Source {
    fn descriptor(&self) -> io::Result<OwnedFd> {
        match self {
            // A descriptor of its name would keep whoever unmounts that from doing so.
            Self::Namespace(namespace) => namespace.apart()?.as_fd().try_clone_to_owned(),
            Self::Daemon(process) => process.pidfd(),
        }
    }
}

impl ToKeep {
    /// The namespaces of these domains that are there, and the daemons that run in them.
    pub fn of<'a>(domains: impl Iterator<Item = &'a DomainName>, machine: &Machine, processes: &Processes) -> Self {
        let mut to_keep = BTreeMap::new();
        for domain in domains {
            // What is not there now is kept the next time.
            if !domain.is_host()
                && let Ok(namespace) = machine.namespace(domain)
            {
                let inode = namespace.inode();
                to_keep.insert(Kept::Namespace(domain.clone()), (inode, Source::Namespace(namespace)));
            }
            for (name, process) in processes.processes(domain) {
                let (pid, start_time) = (process.pid(), process.start_time());
                let kept = Kept::Daemon { name: name.clone(), pid, start_time };
                to_keep.insert(kept, (0, Source::Daemon(process.clone())));
            }
        }
        Self(to_keep)
    }
}

impl Service {
    /// The service, with what an earlier supervisor left.
    pub fn new(handover: &Handover) -> Arc<Self> {
        let kept = handover.names.iter().map(|name| (name.clone(), 0));
        let kept = kept.chain(handover.namespaces.iter().map(|(domain, namespace)| {
            let name = Kept::Namespace(domain.clone()).to_string();
            (name, namespace.inode())
        }));
        let notifier = Notifier::from_environment();
        Arc::new(Self {
            alive_every: watchdog().filter(|_| notifier.is_some()).map(|every| every / 2),
            notifier,
            now: Mutex::new(Now { phase: Phase::Expected, since: Instant::now() }),
            kept: Mutex::new(kept.collect()),
        })
    }

    /// Whether there is a manager.
    pub fn is_managed(&self) -> bool {
        self.notifier.is_some()
    }

    fn tell(&self, words: Vec<Word>) {
        if let Some(notifier) = &self.notifier {
            notifier.tell(words);
        }
    }

    /// Something is going on that the manager waits for, or it is over.
    fn enter(&self, phase: Phase) {
        *locked(&self.now) = Now { phase, since: Instant::now() };
    }

    /// The network is being made, in these words.
    pub fn starting(&self, words: &str) {
        self.enter(Phase::Expected);
        self.tell(vec![Word::Status(words.to_owned())]);
    }

    /// The network stands, or the reload is over.
    pub fn ready(&self, words: String) {
        self.enter(Phase::Running);
        self.tell(vec![Word::Ready, Word::Status(words)]);
    }

    /// The configuration is being read again.
    pub fn reloading(&self) {
        self.enter(Phase::Expected);
        self.tell(vec![Word::Reloading, Word::Status("reading the configuration again".to_owned())]);
    }

    /// The supervisor is about to end, in these words.
    pub fn stopping(&self, words: &str) {
        self.enter(Phase::Expected);
        self.tell(vec![Word::Stopping, Word::Status(words.to_owned())]);
    }

    /// The supervisor ends: what was told is brought to the manager.
    pub fn farewell(&self) {
        if let Some(notifier) = &self.notifier {
            notifier.flush(FAREWELL);
        }
    }

    /// The event loop has come around.
    pub fn turned(&self) {
        let mut now = locked(&self.now);
        if now.phase == Phase::Running {
            now.since = Instant::now();
        }
    }

    /// Does the work of the event loop's task, and gives signs of life while it goes on.
    pub async fn attending<F: Future>(&self, work: F) -> F::Output {
        if self.notifier.is_none() {
            return work.await;
        }
        let mut work = pin!(work);
        let mut clock = interval(self.alive_every.map_or(EXTEND_EVERY, |every| every.min(EXTEND_EVERY)));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = clock.tick() => self.give_sign(),
            }
        }
    }

    fn give_sign(&self) {
        let now = *locked(&self.now);
        if now.since.elapsed() > PATIENCE {
            return;
        }
        let mut words = Vec::new();
        if self.alive_every.is_some() {
            words.push(Word::Watchdog);
        }
        if now.phase == Phase::Expected {
            words.push(Word::ExtendTimeout(EXTENSION));
        }
        if !words.is_empty() {
            self.tell(words);
        }
    }

    /// Tells the manager in `status`'s words how things are, whenever that changes.
    pub fn describe(self: &Arc<Self>, sight: Sight) {
        if self.notifier.is_none() {
            return;
        }
        let service = self.clone();
        tokio::spawn(async move {
            let mut last = String::new();
            loop {
                let words = sight.status(false).await.state_words;
                // During a reload or a stop the line says that.
                if locked(&service.now).phase == Phase::Running && words != last {
                    service.tell(vec![Word::Status(words.clone())]);
                    last = words;
                }
                tokio::time::sleep(STATUS_EVERY).await;
                // Nobody publishes any more: the supervisor leaves.
                if sight.view.has_changed().is_err() {
                    return;
                }
            }
        });
    }

    /// Has the manager keep the control socket.
    pub fn keep_control(&self, listener: io::Result<OwnedFd>) {
        match listener {
            Ok(listener) => self.keep_one(Kept::Control.to_string(), 0, listener),
            Err(error) => tracing::warn!("cannot have the service manager keep the control socket: {error}"),
        }
    }

    fn keep_one(&self, name: String, inode: u64, descriptor: OwnedFd) {
        // In messages of their own, as a message has one FDNAME: names are not unique, so the old one must go.
        if locked(&self.kept).insert(name.clone(), inode).is_some() {
            self.tell(vec![Word::Forget(name.clone())]);
        }
        self.tell(vec![Word::Keep(name, descriptor)]);
    }

    /// Has the manager keep these and the control socket, and nothing else.
    pub fn keep(&self, to_keep: ToKeep) {
        let Some(notifier) = &self.notifier else { return };
        let mut wanted = BTreeSet::from([Kept::Control.to_string()]);
        for (kept, (inode, source)) in to_keep.0 {
            let name = kept.to_string();
            if locked(&self.kept).get(&name) != Some(&inode) {
                match source.descriptor() {
                    Ok(descriptor) => self.keep_one(name.clone(), inode, descriptor),
                    // It went away just now.
                    Err(error) => tracing::debug!(name, "the service manager cannot keep it: {error}"),
                }
            }
            wanted.insert(name);
        }
        let old: Vec<String> = locked(&self.kept).keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in old {
            locked(&self.kept).remove(&name);
            notifier.tell(vec![Word::Forget(name)]);
        }
    }

    /// Has the manager keep nothing any more.
    pub fn keep_nothing(&self) {
        for (name, _) in std::mem::take(&mut *locked(&self.kept)) {
            self.tell(vec![Word::Forget(name)]);
        }
    }
}

impl Loop {
    /// Removes the cgroups of domains that are gone, and has the service manager keep for the next supervisor what there is.
    pub(super) fn keep_descriptors(&self) {
        let network = &self.prepared.network;
        self.keeper.machine().tidy_cgroups(|name| network.domains.iter().any(|domain| domain.name.as_str() == name));
        if self.service.is_managed() {
            let domains = self.prepared.network.domains.iter().map(|domain| &domain.name);
            self.service.keep(ToKeep::of(domains, self.keeper.machine(), &self.keeper.processes));
        }
    }

    /// Applies the file again, as whoever sent SIGHUP asked. While that is going on another signal asks for it once more.
    pub(super) fn reload(&mut self) {
        self.reloads += 1;
        if self.reloads == 1 {
            self.service.reloading();
            if let Some((result, _)) = self.begin_apply(Asked::signal(), Progress::nobody(), Whom::Signal) {
                self.reloaded(&result);
            }
        }
    }

    /// Tells the manager that it is over.
    pub(super) fn reloaded(&mut self, result: &Result<Change, CallError>) {
        let words = match result {
            Ok(_) => format!("{} applied", self.options.config.display()),
            Err(error) => format!("not applied: {}", error.message.replace('\n', "; ")),
        };
        self.service.ready(words);
        if std::mem::take(&mut self.reloads) > 1 {
            self.reload();
        }
    }
}

/// Says of daemons that ended while no supervisor ran how they did.
pub async fn tell_of_ends(handover: &Handover) {
    for (name, process) in handover.daemons.iter().filter(|(_, process)| !process.is_running()) {
        let words = match process.exited().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(domain = %name.domain, pid = process.pid(), exit = words, "daemon ended while no supervisor ran: {words}");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can be half done while it is locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

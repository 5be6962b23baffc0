//! The routing daemons: what the supervision machines decide, done.
//!
//! Each domain's daemon has a machine (`supervise`), which decides, and a process, which is only touched here. Whatever
//! happens to a process comes back as a [`Happening`] through one channel, so that the event loop is the only place
//! where a machine is fed.

mod asking;
mod doing;
mod launch;
mod output;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::asking::{Asked, keep_asking};
use self::output::Output;

use super::events::Events;
use crate::daemons::{DaemonError, Place, RoutingDaemon, of_kind};
use crate::model::{DaemonKind, DomainName};
use crate::plan::Layout;
use crate::supervise::{Event, ExitReason, Machine as Life, State};
use crate::sys::logfile::LogMark;
use crate::sys::process::Process;
use crate::sys::{Machine, digest, fault};

/// How long a daemon may take to close its sessions and leave, escalation included.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// How many daemons are started at the same time.
const LAUNCHES_AT_ONCE: usize = 2;

/// Something that happened to a process.
#[derive(Debug)]
pub struct Happening {
    domain: DomainName,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A process was started, or could not be.
    Spawned(Result<Arc<Process>, String>),
    /// The process with this id is over, and this is what it said last.
    Exited(u32, ExitReason, Vec<String>),
    /// The process with this id has read its configuration and answers.
    Ready(u32),
    /// The process with this id gave no answer; whether it worked meanwhile.
    Unanswered(u32, bool),
    /// The process with this id answers again.
    Answered(u32),
    /// A deadline of a machine has come.
    Tick,
}

struct Entry {
    life: Life,
    daemon: &'static dyn RoutingDaemon,
    place: Place,
    process: Option<Arc<Process>>,
    /// Who listens to it; none where the pipe could not be made.
    output: Option<Output>,
    /// Who asks it, while it is to answer.
    asking: Option<AbortOnDropHandle<()>>,
    /// Where its own log ended before it was started; none where it was not started here.
    log_mark: Option<LogMark>,
    /// What the one before said last.
    last_words: Vec<String>,
    /// Whether the first start must spare routes that an earlier daemon left in the kernel.
    recover: bool,
}

/// Every routing daemon that runs or should.
pub struct Processes {
    machine: Arc<Machine>,
    layout: Layout,
    entries: BTreeMap<DomainName, Entry>,
    sender: mpsc::UnboundedSender<Happening>,
    receiver: mpsc::UnboundedReceiver<Happening>,
    /// The moment from which the machines count.
    epoch: Instant,
    /// Where it is told what becomes of them.
    pub events: Events,
    /// Lets a few daemons start at a time.
    launches: Arc<Semaphore>,
}

/// What `status` tells of a daemon's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessReport {
    /// What it is doing.
    pub state: State,
    /// Whether it failed and has not been stable since.
    pub failed: bool,
    /// Its id.
    pub pid: Option<u32>,
    /// How often it was lost and started again.
    pub restarts: u32,
    /// How it last ended unasked.
    pub last_exit: Option<String>,
    /// What it said last before that.
    pub last_words: Vec<String>,
    /// When it is started again, while it waits for that.
    pub next_attempt: Option<Instant>,
    /// Since when it gives no answer, while it gives none.
    pub unanswered_since: Option<Instant>,
}

impl ProcessReport {
    /// How it last ended, with what it said last.
    pub fn why(&self) -> Option<String> {
        let exit = self.last_exit.as_deref()?;
        Some(self.last_words.last().map_or_else(|| exit.to_owned(), |words| format!("{exit}: {words}")))
    }
}

impl Processes {
    /// None yet.
    pub fn new(machine: Arc<Machine>, layout: Layout) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            machine,
            layout,
            entries: BTreeMap::new(),
            sender,
            receiver,
            epoch: Instant::now(),
            events: Events::new(),
            launches: Arc::new(Semaphore::new(LAUNCHES_AT_ONCE)),
        }
    }

    /// The daemon should run. `recover` says that its domain was there before and may hold routes of a daemon that was
    /// lost, which must not be flushed.
    pub fn want(&mut self, domain: &DomainName, kind: DaemonKind, recover: bool) {
        if self.entry(domain, kind, recover) {
            self.feed(domain, &Event::Want);
        }
    }

    /// A daemon of an earlier supervisor was found: it is watched from now on.
    pub fn adopt(&mut self, domain: &DomainName, kind: DaemonKind, process: Process) {
        if self.entry(domain, kind, true) {
            let process = Arc::new(process);
            let pid = process.pid();
            self.listen(domain);
            self.watch(domain, process);
            self.feed(domain, &Event::Adopted { pid });
        }
    }

    /// Makes the domain's entry; false where its kind has no process.
    fn entry(&mut self, domain: &DomainName, kind: DaemonKind, recover: bool) -> bool {
        let Some(daemon) = of_kind(kind) else { return false };
        let place = Place::in_directory(kind, &self.layout.domain_dir(domain));
        // Jitter must differ between domains, not between runs.
        let seed = digest(domain.as_str());
        self.entries.entry(domain.clone()).or_insert_with(|| Entry {
            life: Life::new(seed),
            daemon,
            place,
            process: None,
            output: None,
            asking: None,
            log_mark: None,
            last_words: Vec::new(),
            recover,
        });
        true
    }

    /// Whether the domain's daemon is watched here.
    pub fn knows(&self, domain: &DomainName) -> bool {
        self.entries.get(domain).is_some_and(|entry| entry.life.state() != State::Stopped)
    }

    /// Whether the domain's daemon has a process now.
    pub fn has_process(&self, domain: &DomainName) -> bool {
        self.entries.get(domain).is_some_and(|entry| entry.life.pid().is_some())
    }

    /// Whether the domain's daemon is ready.
    pub fn is_running(&self, domain: &DomainName) -> bool {
        let ready = [State::Running, State::Loading, State::Busy, State::Silent];
        self.entries.get(domain).is_some_and(|entry| ready.contains(&entry.life.state()))
    }

    /// Whether the domain's daemon is being started, or will be, without anybody asking.
    pub fn comes_back(&self, domain: &DomainName) -> bool {
        self.entries.get(domain).is_some_and(|entry| {
            entry.life.state() != State::Stopped && entry.process.as_ref().is_none_or(|process| !process.is_running())
        })
    }

    /// The process of the domain's daemon, while there is one.
    pub fn process(&self, domain: &DomainName) -> Option<&Arc<Process>> {
        self.entries.get(domain)?.process.as_ref()
    }

    /// Stops these daemons and waits until they have left. Those that would not are named in the answer.
    pub async fn stop(&mut self, domains: &BTreeSet<DomainName>) -> Vec<DomainName> {
        for domain in domains {
            // SIGTERM has BIRD close its sessions with a Cease, as its own `down` would, and needs no answer.
            self.feed(domain, &Event::Unwant);
        }
        let deadline = Instant::now() + STOP_WITHIN;
        let stopped = |entries: &BTreeMap<DomainName, Entry>, domain: &DomainName| {
            entries.get(domain).is_none_or(|entry| entry.life.state() == State::Stopped)
        };
        while !domains.iter().all(|domain| stopped(&self.entries, domain)) {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(happening) => self.handle(happening),
                Err(_) => break,
            }
        }
        let (gone, left): (Vec<_>, Vec<_>) = domains.iter().cloned().partition(|domain| stopped(&self.entries, domain));
        for domain in &gone {
            self.entries.remove(domain);
        }
        left
    }

    /// Has a running daemon read its configuration again.
    pub async fn reload(&mut self, domain: &DomainName) -> Result<(), DaemonError> {
        let Some(entry) = self.entries.get_mut(domain) else { return Ok(()) };
        let (daemon, socket, pid) = (entry.daemon, entry.place.socket.clone(), entry.life.pid());
        if let (State::Silent | State::Hung, Some(since)) = (entry.life.state(), entry.life.unanswered_since()) {
            // It is about to be replaced by one that reads the configuration anyway.
            return Err(DaemonError::NoAnswer { socket, after: self.epoch.elapsed().saturating_sub(since) });
        }
        self.feed(domain, &Event::Loading);
        let result = self.meanwhile(daemon.reload(&socket)).await;
        if self.entries.get(domain).is_some_and(|entry| entry.life.pid() != pid) {
            // It ended meanwhile, and whatever runs now has read the configuration by itself.
            return result;
        }
        if result.is_ok() {
            self.remember(domain);
        }
        self.feed(domain, &Event::Ready);
        if matches!(result, Err(DaemonError::NoAnswer { .. })) {
            self.feed(domain, &Event::NotAnswering);
        }
        result
    }

    /// Has a running daemon write its routes to the kernel again.
    pub async fn resync(&mut self, domain: &DomainName) -> Result<(), DaemonError> {
        let Some(entry) = self.entries.get(domain) else { return Ok(()) };
        let (daemon, socket) = (entry.daemon, entry.place.socket.clone());
        self.meanwhile(daemon.resync(&socket)).await
    }

    /// Waits for a daemon's answer and sees to what happens meanwhile: one that is slow must not keep another, which was
    /// lost, from coming back.
    async fn meanwhile<T>(&mut self, mut answer: BoxFuture<'_, T>) -> T {
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                happening = self.next() => self.handle(happening),
            }
        }
    }

    /// The next thing that happens to any process, deadlines included.
    pub async fn next(&mut self) -> Happening {
        let due = self
            .entries
            .iter()
            .filter_map(|(domain, entry)| Some((entry.life.next_deadline()?, domain)))
            .min()
            .map(|(deadline, domain)| (self.epoch + deadline, domain.clone()));
        match due {
            None => self.receive().await,
            Some((at, domain)) => tokio::select! {
                // What has happened comes first: an answer may be there when its deadline is seen to be over.
                biased;
                happening = self.receive() => happening,
                () = tokio::time::sleep_until(at) => Happening { domain, what: What::Tick },
            },
        }
    }

    async fn receive(&mut self) -> Happening {
        match self.receiver.recv().await {
            Some(happening) => happening,
            // The channel cannot close: this value holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Tells the machine concerned.
    pub fn handle(&mut self, happening: Happening) {
        let Happening { domain, what } = happening;
        let current = self.entries.get(&domain).and_then(|entry| entry.life.pid());
        match what {
            What::Tick => self.feed(&domain, &Event::Tick),
            What::Spawned(Err(words)) => self.feed(&domain, &Event::SpawnFailed(words)),
            What::Spawned(Ok(process)) => {
                let pid = process.pid();
                self.watch(&domain, process);
                self.remember(&domain);
                self.feed(&domain, &Event::Spawned { pid });
            }
            // What a process did that has been replaced meanwhile no longer matters.
            What::Exited(pid, ..) if current == Some(pid) && fault::is_off("restart") => {}
            What::Exited(pid, reason, last_words) if current == Some(pid) => {
                if let Some(entry) = self.entries.get_mut(&domain) {
                    entry.process = None;
                    entry.last_words = last_words;
                }
                if let Err(error) = self.machine.forget_daemon(&domain) {
                    tracing::warn!(%domain, "{error}");
                }
                self.feed(&domain, &Event::Exited(reason));
            }
            What::Ready(pid) if current == Some(pid) => {
                // Once more: a script that sets something and becomes the daemon was another program before.
                self.remember(&domain);
                self.feed(&domain, &Event::Ready);
            }
            What::Unanswered(pid, true) if current == Some(pid) => self.feed(&domain, &Event::Working),
            What::Unanswered(pid, false) if current == Some(pid) => self.feed(&domain, &Event::NotAnswering),
            What::Answered(pid) if current == Some(pid) => self.feed(&domain, &Event::Answering),
            What::Exited(..) | What::Ready(_) | What::Unanswered(..) | What::Answered(_) => {}
        }
    }

    /// What is to be told of a domain's daemon.
    pub fn report(&self, domain: &DomainName) -> Option<ProcessReport> {
        let entry = self.entries.get(domain)?;
        let life = &entry.life;
        let moment = |at| self.epoch + at;
        Some(ProcessReport {
            state: life.state(),
            failed: life.failed(),
            pid: life.pid(),
            restarts: life.restarts(),
            last_exit: life.last_exit().map(str::to_owned),
            last_words: entry.last_words.clone(),
            next_attempt: life.next_attempt().map(moment),
            unanswered_since: life.unanswered_since().map(moment),
        })
    }

    fn feed(&mut self, domain: &DomainName, event: &Event) {
        let now = self.epoch.elapsed();
        let Some(entry) = self.entries.get_mut(domain) else { return };
        if matches!(event, Event::SpawnFailed(_)) {
            entry.last_words.clear();
        }
        for action in entry.life.handle(event, now) {
            self.act(domain, &action);
        }
        self.ask_or_not(domain);
    }

    /// A daemon is asked while it is to answer, and not while it starts or loads a configuration.
    fn ask_or_not(&mut self, domain: &DomainName) {
        let Some(entry) = self.entries.get_mut(domain) else { return };
        let is_to_answer = matches!(entry.life.state(), State::Running | State::Busy | State::Silent);
        match &entry.process {
            Some(process) if is_to_answer && entry.asking.is_none() => {
                let asked = Asked {
                    domain: domain.clone(),
                    daemon: entry.daemon,
                    socket: entry.place.socket.clone(),
                    process: process.clone(),
                    seed: digest(domain.as_str()),
                };
                entry.asking = Some(keep_asking(asked, self.sender.clone()));
            }
            Some(_) if is_to_answer => {}
            _ => entry.asking = None,
        }
    }
}

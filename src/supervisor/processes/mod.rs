//! The routing daemons: what the supervision machines decide, done.
//!
//! Each domain's daemon has a machine (`supervise`), which decides, and a process, which is only touched here. Whatever
//! happens to a process comes back as a [`Happening`] through one channel, so that the event loop is the only place
//! where a machine is fed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::daemons::{DaemonError, Place, RoutingDaemon, of_kind};
use crate::model::{DaemonKind, DomainName};
use crate::plan::Layout;
use crate::supervise::{Action, Event, ExitReason, Machine as Life, Report, State, StopSignal};
use crate::sys::process::{ExitStatus, MountPlan, Output, Process, Signal, Spawn};
use crate::sys::{Machine, digest};

/// How often a daemon that is not ready yet is asked again.
const ASK_EVERY: Duration = Duration::from_millis(10);
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
    /// The process with this id is over.
    Exited(u32, ExitReason),
    /// The process with this id has read its configuration and answers.
    Ready(u32),
    /// A deadline of a machine has come.
    Tick,
}

struct Entry {
    life: Life,
    daemon: &'static dyn RoutingDaemon,
    place: Place,
    process: Option<Arc<Process>>,
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

    /// Whether the domain's daemon has no process now and gets one without being asked.
    pub fn is_coming(&self, domain: &DomainName) -> bool {
        self.knows(domain) && !self.has_process(domain)
    }

    /// Whether the domain's daemon is ready.
    pub fn is_running(&self, domain: &DomainName) -> bool {
        self.entries
            .get(domain)
            .is_some_and(|entry| matches!(entry.life.state(), State::Running | State::Loading | State::Silent))
    }

    /// Stops these daemons and waits until they have left. Those that would not are named in the answer.
    pub async fn stop(&mut self, domains: &BTreeSet<DomainName>) -> Vec<DomainName> {
        for domain in domains {
            // BIRD's own `down` closes the sessions with a Cease; the machine's SIGTERM would do the same.
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
        let (daemon, socket) = (entry.daemon, entry.place.socket.clone());
        self.feed(domain, &Event::Loading);
        let result = daemon.reload(&socket).await;
        if result.is_ok() {
            self.remember(domain);
        }
        self.feed(domain, &Event::Ready);
        result
    }

    /// Has a running daemon write its routes to the kernel again.
    pub async fn resync(&self, domain: &DomainName) -> Result<(), DaemonError> {
        match self.entries.get(domain) {
            Some(entry) => entry.daemon.resync(&entry.place.socket).await,
            None => Ok(()),
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
            What::Exited(pid, reason) if current == Some(pid) => {
                if let Some(entry) = self.entries.get_mut(&domain) {
                    entry.process = None;
                }
                if let Err(error) = self.machine.forget_daemon(&domain) {
                    tracing::warn!(%domain, "{error}");
                }
                self.feed(&domain, &Event::Exited(reason));
            }
            What::Ready(pid) if current == Some(pid) => self.feed(&domain, &Event::Ready),
            What::Exited(..) | What::Ready(_) => {}
        }
    }

    /// What is to be told of a domain's daemon.
    pub fn report(&self, domain: &DomainName) -> Option<ProcessReport> {
        let life = &self.entries.get(domain)?.life;
        Some(ProcessReport {
            state: life.state(),
            failed: life.failed(),
            pid: life.pid(),
            restarts: life.restarts(),
            last_exit: life.last_exit().map(str::to_owned),
        })
    }

    fn feed(&mut self, domain: &DomainName, event: &Event) {
        let now = self.epoch.elapsed();
        let Some(entry) = self.entries.get_mut(domain) else { return };
        for action in entry.life.handle(event, now) {
            self.act(domain, &action);
        }
    }

    fn act(&mut self, domain: &DomainName, action: &Action) {
        match action {
            Action::Spawn { recovering } => self.spawn(domain, *recovering),
            Action::Signal(signal) => self.signal(domain, *signal),
            Action::PollReadiness => self.poll_readiness(domain),
            Action::Report(report) => tell(domain, report),
        }
    }

    fn spawn(&mut self, domain: &DomainName, recovering: bool) {
        let Some(entry) = self.entries.get_mut(domain) else { return };
        let recovering = recovering || std::mem::take(&mut entry.recover);
        let (daemon, place) = (entry.daemon, entry.place.clone());
        let (machine, layout, domain) = (self.machine.clone(), self.layout.clone(), domain.clone());
        let (sender, gate) = (self.sender.clone(), self.launches.clone());
        tokio::spawn(async move {
            // In the order in which they were asked for, few at a time: many at once would all be slow.
            let _permit = gate.acquire().await;
            let name = domain.clone();
            let launched = tokio::task::spawn_blocking(move || {
                launch(&machine, &layout, &name, daemon, &place, recovering).map(Arc::new)
            });
            let result = launched.await.unwrap_or_else(|failed| Err(failed.to_string()));
            // Nobody listens only when the supervisor is leaving; then the daemon stays for the next one to adopt.
            let _ = sender.send(Happening { domain, what: What::Spawned(result) });
        });
    }

    fn watch(&mut self, domain: &DomainName, process: Arc<Process>) {
        let Some(entry) = self.entries.get_mut(domain) else { return };
        entry.process = Some(process.clone());
        let (sender, domain) = (self.sender.clone(), domain.clone());
        tokio::spawn(async move {
            let reason = match process.exited().await {
                Ok(ExitStatus::Code(code)) => ExitReason::Code(code),
                Ok(ExitStatus::Signal(signal)) => ExitReason::Signal(signal),
                Ok(ExitStatus::Unknown) | Err(_) => ExitReason::Unknown,
            };
            let _ = sender.send(Happening { domain, what: What::Exited(process.pid(), reason) });
        });
    }

    fn signal(&self, domain: &DomainName, signal: StopSignal) {
        let Some(process) = self.entries.get(domain).and_then(|entry| entry.process.as_ref()) else { return };
        let signal = match signal {
            StopSignal::Term => Signal::TERM,
            StopSignal::Kill => Signal::KILL,
        };
        if let Err(error) = process.signal(signal) {
            tracing::error!(%domain, pid = process.pid(), "cannot signal the daemon: {error}");
        }
    }

    fn poll_readiness(&self, domain: &DomainName) {
        let Some(entry) = self.entries.get(domain) else { return };
        let Some(process) = entry.process.clone() else { return };
        let (daemon, socket) = (entry.daemon, entry.place.socket.clone());
        let (sender, domain) = (self.sender.clone(), domain.clone());
        tokio::spawn(async move {
            let pid = process.pid();
            let answered = async {
                while daemon.ready(&socket).await.is_err() {
                    tokio::time::sleep(ASK_EVERY).await;
                }
            };
            tokio::select! {
                () = answered => drop(sender.send(Happening { domain, what: What::Ready(pid) })),
                _ = process.exited() => {}
            }
        });
    }

    /// Notes which process runs and what it was given to read, for the next supervisor.
    fn remember(&self, domain: &DomainName) {
        let Some(entry) = self.entries.get(domain) else { return };
        let Some(process) = &entry.process else { return };
        let noted = || -> Result<(), Box<dyn std::error::Error>> {
            self.machine.record_daemon(domain, &process.record()?)?;
            self.machine.record_loaded_config(domain, &std::fs::read_to_string(&entry.place.config)?)?;
            Ok(())
        };
        if let Err(error) = noted().or_else(|error| if process.is_running() { Err(error) } else { Ok(()) }) {
            tracing::warn!(%domain, "cannot note the daemon for a later supervisor: {error}");
        }
    }
}

fn launch(
    machine: &Machine,
    layout: &Layout,
    domain: &DomainName,
    daemon: &dyn RoutingDaemon,
    place: &Place,
    recovering: bool,
) -> Result<Process, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let command = daemon.command(place, recovering).map_err(|error| words(&error))?;
    let namespace = machine.namespace(domain).map_err(|error| words(&error))?;
    let mounts = MountPlan::for_domain(&layout.run_dir, domain).map_err(|error| words(&error))?;
    // Not in the domain's own log directory: that is the daemon's user's, who could put anything in our way there.
    let output = layout.output(domain, daemon.kind());
    Spawn::new(&command.program)
        .args(&command.args)
        .clean_env()
        .namespace(&namespace)
        .mounts(mounts)
        .output(Output::Append(output))
        .new_session()
        .no_new_privs()
        .spawn()
        .map_err(|error| words(&error))
}

fn tell(domain: &DomainName, report: &Report) {
    match report {
        Report::Failed { .. } | Report::Hung { .. } | Report::WillNotDie => tracing::error!(%domain, "daemon {report}"),
        Report::Lost { .. } | Report::NotReadyInTime { .. } | Report::Busy | Report::Silent | Report::WillNotStop => {
            tracing::warn!(%domain, "daemon {report}");
        }
        Report::Stable => tracing::debug!(%domain, "daemon {report}"),
        _ => tracing::info!(%domain, "daemon {report}"),
    }
}

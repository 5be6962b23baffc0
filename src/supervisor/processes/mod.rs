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

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::asking::{Asked, keep_asking};
use self::doing::{forget_running, note_running};
use self::launch::Launched;
use self::output::Output;

use super::events::Events;
use crate::daemons::{DaemonError, Place, RoutingDaemon, of_kind};
use crate::model::{DaemonKind, DaemonName, DomainName, Program};
use crate::plan::Layout;
use crate::supervise::{Event, ExitReason, Machine as Life, State};
use crate::sys::logfile::LogMark;
use crate::sys::process::Process;
use crate::sys::{Machine, digest, fault};

/// How long a daemon may take to close its sessions and leave, escalation included.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// How long a daemon that is told to begin again may take.
const RENEWED_WITHIN: Duration = Duration::from_secs(30);

/// How long a daemon may take to read another configuration: FRR takes some seconds for ten thousand prefixes.
const RELOADED_WITHIN: Duration = Duration::from_secs(100);

/// How long a daemon may take to be told to write its routes again.
const RESYNCED_WITHIN: Duration = Duration::from_secs(20);

/// Why one begins again that takes longer.
const WITHOUT_END: &str = "it comes to no end with what it was asked";

/// How many daemons are started at the same time.
const LAUNCHES_AT_ONCE: usize = 2;

/// Something that happened to a process.
#[derive(Debug)]
pub struct Happening {
    name: DaemonName,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A process was started, or could not be.
    Spawned(Result<Launched, String>),
    /// The process with this id is over, and this is what it said last.
    Exited(u32, ExitReason, Vec<String>),
    /// The process with this id has read its configuration and answers.
    Ready(u32),
    /// The process with this id gave no answer; whether it worked meanwhile, and why, where that is known.
    Unanswered(u32, bool, Option<String>),
    /// The process with this id answers again.
    Answered(u32),
    /// A deadline of a machine has come.
    Tick,
}

struct Entry {
    life: Life,
    /// What it belongs to.
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
    /// Why it gives no answer, where that is known.
    unanswered_why: Option<String>,
    /// Whether the first start must spare routes that an earlier daemon left in the kernel.
    recover: bool,
    /// Whether the process replaces one whose routes neighbors still hold.
    recovering: bool,
    /// Whether it leaves alone what that one left in the kernel.
    keeps: bool,
    /// What the process that ended last had read.
    read: Option<String>,
    /// Cuts short what it waits for before it is started.
    given_up: CancellationToken,
}

/// Every routing daemon that runs or should.
pub struct Processes {
    machine: Arc<Machine>,
    layout: Layout,
    entries: BTreeMap<DaemonName, Entry>,
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
    /// Which program it is.
    pub program: Program,
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
    /// Why, where that is known.
    pub unanswered_why: Option<String>,
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

    /// These programs of the domain's daemon should run. `recover` says that its domain was there before and may hold routes of
    /// a daemon that was lost, which must not be flushed.
    pub fn want(&mut self, domain: &DomainName, programs: &BTreeSet<Program>, recover: bool) {
        for program in programs {
            let name = DaemonName::new(domain, *program);
            if self.entry(&name, recover) {
                self.feed(&name, &Event::Want);
            }
        }
    }

    /// A process of an earlier supervisor was found: it is watched from now on.
    pub fn adopt(&mut self, name: &DaemonName, process: Process) {
        if self.entry(name, true) {
            let process = Arc::new(process);
            let pid = process.pid();
            self.listen(name);
            self.watch(name, process);
            self.feed(name, &Event::Adopted { pid });
        }
    }

    /// Of a daemon that was taken over in part only, the rest begins again with what is missing.
    pub fn reunite(&mut self, domain: &DomainName) {
        let Some(kind) = self.of(domain).next().map(|(_, entry)| entry.daemon.kind()) else { return };
        let missing: Vec<DaemonName> = self.missing(domain, kind).collect();
        for name in missing {
            self.fell(&name, true);
            self.followed(&name);
        }
    }

    /// A program was lost: what of the daemon's core is of no use without it goes, too.
    fn fell(&mut self, lost: &DaemonName, was_ready: bool) {
        self.drag(lost, was_ready, true);
    }

    /// A program is gone, lost or to begin again: what is beside the core and of no use without it goes now, and not before. A
    /// neighbor that hears that nobody watches any more while its session is up takes that for a fault.
    fn followed(&mut self, gone: &DaemonName) {
        self.drag(gone, true, false);
    }

    fn drag(&mut self, lost: &DaemonName, was_ready: bool, is_core: bool) {
        let falls = |(name, entry): (&DaemonName, &Entry)| {
            let concerned = name != lost && entry.daemon.kind().core().contains(&name.program) == is_core;
            (concerned && entry.daemon.falls_with(name.program, lost.program, was_ready)).then(|| name.clone())
        };
        let others: Vec<DaemonName> = self.of(&lost.domain).filter_map(falls).collect();
        for name in others {
            tracing::info!(domain = %name.domain, "{} begins again, because {} was lost", name.program.as_str(), lost.program.as_str());
            self.begin_again(&name);
        }
    }

    fn begin_again(&mut self, name: &DaemonName) {
        if let Some(signal) = self.entries.get(name).map(|entry| entry.daemon.renewed_by(name.program)) {
            self.feed(name, &Event::Renew(signal));
        }
    }

    /// Makes the program's entry; false where its kind has no process.
    fn entry(&mut self, name: &DaemonName, recover: bool) -> bool {
        let kind = name.program.kind();
        let Some(daemon) = of_kind(kind) else { return false };
        let place = Place::in_directory(kind, &self.layout.domain_dir(&name.domain));
        // Jitter must differ between domains, not between runs.
        let seed = digest(name.domain.as_str());
        self.entries.entry(name.clone()).or_insert_with(|| Entry {
            life: Life::new(seed),
            daemon,
            place,
            process: None,
            output: None,
            asking: None,
            log_mark: None,
            last_words: Vec::new(),
            unanswered_why: None,
            recover,
            recovering: false,
            // One that is adopted goes on with it.
            keeps: self.machine.keeps_leftovers(name),
            read: None,
            given_up: CancellationToken::new(),
        });
        true
    }

    /// The programs of a domain's daemon that are or were wanted, in the order in which they start.
    fn of<'a>(&'a self, domain: &DomainName) -> impl Iterator<Item = (&'a DaemonName, &'a Entry)> + use<'a> {
        let end = |program: Option<&Program>| DaemonName::new(domain, *program.expect("there is a program"));
        self.entries.range(end(Program::ALL.first())..=end(Program::ALL.last()))
    }

    /// The program of a domain's daemon that speaks BGP, and takes its configuration.
    fn speaker(&self, domain: &DomainName) -> Option<(&DaemonName, &Entry)> {
        self.of(domain).last().filter(|(name, _)| name.program.kind().speaker() == Some(name.program))
    }

    /// Whether a program of the domain's daemon is watched here.
    pub fn knows(&self, name: &DaemonName) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.life.state() != State::Stopped)
    }

    /// Whether this program of the domain's daemon has a process now.
    pub fn has_process(&self, name: &DaemonName) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.life.pid().is_some())
    }

    /// Whether some programs of a daemon's core have a process now, and some have none.
    pub fn has_part_of_core(&self, domain: &DomainName, kind: DaemonKind) -> bool {
        (1..kind.core().len()).contains(&self.missing(domain, kind).count())
    }

    /// The programs of a daemon's core that have no process now.
    fn missing(&self, domain: &DomainName, kind: DaemonKind) -> impl Iterator<Item = DaemonName> {
        let programs = kind.core().iter().map(|program| DaemonName::new(domain, *program));
        programs.filter(|name| !self.has_process(name))
    }

    /// Whether any program of the domain's daemon has a process now.
    pub fn has_any_process(&self, domain: &DomainName) -> bool {
        self.of(domain).any(|(_, entry)| entry.life.pid().is_some())
    }

    /// Whether every program of the domain's daemon is ready.
    pub fn is_running(&self, domain: &DomainName) -> bool {
        let ready = [State::Running, State::Loading, State::Busy, State::Silent];
        self.speaker(domain).is_some() && self.of(domain).all(|(_, entry)| ready.contains(&entry.life.state()))
    }

    /// Whether what the domain's daemon lacks is being started, or will be, without anybody asking.
    pub fn comes_back(&self, domain: &DomainName) -> bool {
        let is_lost = |entry: &Entry| entry.process.as_ref().is_none_or(|process| !process.is_running());
        let lost: Vec<State> =
            self.of(domain).filter(|(_, entry)| is_lost(entry)).map(|(_, entry)| entry.life.state()).collect();
        !lost.is_empty() && !lost.contains(&State::Stopped)
    }

    /// The processes of the domain's daemon that there are.
    pub fn processes(&self, domain: &DomainName) -> impl Iterator<Item = (&DaemonName, &Arc<Process>)> {
        self.of(domain).filter_map(|(name, entry)| Some((name, entry.process.as_ref()?)))
    }

    /// Stops the daemons of these domains and waits until they have left. Those that would not are named in the answer.
    pub async fn stop(&mut self, domains: &BTreeSet<DomainName>) -> Vec<DomainName> {
        let left = self.stop_those(|name| domains.contains(&name.domain)).await;
        domains.iter().filter(|domain| left.iter().any(|name| name.domain == **domain)).cloned().collect()
    }

    /// The same for the programs that are meant, while the others go on.
    pub async fn stop_those(&mut self, meant: impl Fn(&DaemonName) -> bool) -> Vec<DaemonName> {
        let names: Vec<DaemonName> = self.entries.keys().filter(|name| meant(name)).cloned().collect();
        // Who speaks BGP first, while what writes its routes is still there.
        for name in names.iter().rev() {
            // SIGTERM has BIRD close its sessions with a Cease, as its own `down` would, and needs no answer.
            self.feed(name, &Event::Unwant);
            if let Some(entry) = self.entries.get(name) {
                entry.given_up.cancel();
            }
        }
        let deadline = Instant::now() + STOP_WITHIN;
        let left = |entries: &BTreeMap<DaemonName, Entry>| -> Vec<DaemonName> {
            let is_left = |(name, entry): &(&DaemonName, &Entry)| meant(name) && entry.life.state() != State::Stopped;
            entries.iter().filter(is_left).map(|(name, _)| name.clone()).collect()
        };
        while !left(&self.entries).is_empty() {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(happening) => self.handle(happening),
                Err(_) => break,
            }
        }
        self.entries.retain(|name, entry| !meant(name) || entry.life.state() != State::Stopped);
        left(&self.entries)
    }

    /// Has these programs of a running daemon read their configurations again, those that have read another one.
    pub async fn reload(&mut self, domain: &DomainName, programs: &BTreeSet<Program>) -> Result<(), DaemonError> {
        for name in programs.iter().map(|program| DaemonName::new(domain, *program)) {
            self.reload_one(name).await?;
        }
        Ok(())
    }

    async fn reload_one(&mut self, name: DaemonName) -> Result<(), DaemonError> {
        let Some(entry) = self.entries.get(&name) else { return Ok(()) };
        let (daemon, place, pid) = (entry.daemon, entry.place.clone(), entry.life.pid());
        let before = self.machine.loaded_config(&name);
        let wanted = std::fs::read_to_string(place.config(name.program)).ok();
        if before.is_some() && before == wanted {
            return Ok(());
        }
        if before.is_none() && !daemon.reads_whole() && pid.is_some() {
            return self.renew(&name, "what it has read is not known").await;
        }
        let leftovers = self.machine.keeps_leftovers(&name);
        let refuses = |(old, new): (&String, &String)| !daemon.accepts_the_same(old, new);
        if leftovers && pid.is_some() && before.as_ref().zip(wanted.as_ref()).is_some_and(refuses) {
            return self.renew(&name, "it refuses what the one before it left in the kernel").await;
        }
        if let (State::Silent | State::Hung, Some(since)) = (entry.life.state(), entry.life.unanswered_since()) {
            // It is about to be replaced by one that reads the configuration anyway.
            let after = self.epoch.elapsed().saturating_sub(since);
            return Err(DaemonError::NoAnswer { socket: place.socket, after });
        }
        self.feed(&name, &Event::Loading);
        let machine = self.machine.clone();
        let reload = async {
            let (noted, then) = (machine.running_config(&name), daemon.running(name.program, &place).await?);
            // As long as it is being told nobody else has told it anything.
            forget_running(&machine, &name);
            let done = daemon.reload(name.program, &place, before.as_deref()).await;
            let text = if done.is_ok() { wanted.as_deref() } else { before.as_deref() };
            let changed = noted.zip(then).map(|(noted, then)| (noted, then, text.unwrap_or_default()));
            note_running(daemon, &machine, &name, &place, changed).await;
            done
        };
        let Some(result) = self.meanwhile(RELOADED_WITHIN, reload.boxed()).await else {
            let error = DaemonError::Refused(format!("{} began again, because {WITHOUT_END}", name.program.as_str()));
            self.renew(&name, WITHOUT_END).await?;
            return Err(error);
        };
        if self.entries.get(&name).is_some_and(|entry| entry.life.pid() != pid) {
            // It ended meanwhile, and whatever runs now has read the configuration by itself.
            return result;
        }
        if let (Ok(()), Some(text)) = (&result, wanted) {
            self.remember_config(&name, &text);
        }
        self.feed(&name, &Event::Ready);
        if matches!(result, Err(DaemonError::NoAnswer { .. })) {
            self.feed(&name, &Event::NotAnswering);
        }
        result
    }

    /// Has a program begin again that cannot be told another configuration, and waits until it has read that.
    async fn renew(&mut self, name: &DaemonName, why: &str) -> Result<(), DaemonError> {
        let (domain, program) = (&name.domain, name.program.as_str());
        tracing::info!(%domain, "{program} begins again, because {why}");
        self.begin_again(name);
        self.fell(name, true);
        let deadline = Instant::now() + RENEWED_WITHIN;
        while !self.is_running(domain) {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(happening) => self.handle(happening),
                Err(_) => return Err(DaemonError::Refused(format!("{program} was killed and is not back yet"))),
            }
        }
        Ok(())
    }

    /// Has a running daemon write its routes to the kernel again.
    pub async fn resync(&mut self, domain: &DomainName) -> Result<(), DaemonError> {
        let Some((name, entry)) = self.speaker(domain) else { return Ok(()) };
        let (name, daemon, socket) = (name.clone(), entry.daemon, entry.place.socket.clone());
        match self.meanwhile(RESYNCED_WITHIN, daemon.resync(&socket)).await {
            Some(result) => result,
            // What begins again writes its routes.
            None => self.renew(&name, WITHOUT_END).await,
        }
    }

    /// Waits for a daemon's answer and sees to what happens meanwhile: one that is slow must not keep another, which was
    /// lost, from coming back. Nor must it keep everything else waiting for ever, if only by answering a bit now and then:
    /// nothing is what it has of an answer that comes to no end, be it this one or one of those that it takes.
    async fn meanwhile(
        &mut self,
        within: Duration,
        mut answer: BoxFuture<'_, Result<(), DaemonError>>,
    ) -> Option<Result<(), DaemonError>> {
        let deadline = Instant::now() + within;
        loop {
            tokio::select! {
                answer = &mut answer => return Some(answer).filter(|answer| !matches!(answer, Err(DaemonError::NoEnd { .. }))),
                () = tokio::time::sleep_until(deadline) => return None,
                happening = self.next() => self.handle(happening),
            }
        }
    }

    /// The next thing that happens to any process, deadlines included.
    pub async fn next(&mut self) -> Happening {
        let due = self
            .entries
            .iter()
            .filter_map(|(name, entry)| Some((entry.life.next_deadline()?, name)))
            .min()
            .map(|(deadline, name)| (self.epoch + deadline, name.clone()));
        match due {
            None => self.receive().await,
            Some((at, name)) => tokio::select! {
                // What has happened comes first: an answer may be there when its deadline is seen to be over.
                biased;
                happening = self.receive() => happening,
                () = tokio::time::sleep_until(at) => Happening { name, what: What::Tick },
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
        let Happening { name, what } = happening;
        let current = self.entries.get(&name).and_then(|entry| entry.life.pid());
        match what {
            What::Tick => self.feed(&name, &Event::Tick),
            What::Spawned(Err(words)) => self.feed(&name, &Event::SpawnFailed(words)),
            What::Spawned(Ok(Launched { process, config, keeps })) => {
                let pid = process.pid();
                forget_running(&self.machine, &name);
                if let Some(entry) = self.entries.get_mut(&name) {
                    (entry.recovering, entry.keeps) = (keeps, keeps);
                }
                self.watch(&name, Arc::new(process));
                self.remember(&name);
                if let Some(text) = config {
                    self.remember_config(&name, &text);
                }
                self.feed(&name, &Event::Spawned { pid });
            }
            // What a process did that has been replaced meanwhile no longer matters.
            What::Exited(pid, ..) if current == Some(pid) && fault::is_off("restart") => {}
            What::Exited(pid, reason, last_words) if current == Some(pid) => {
                let read = self.machine.loaded_config(&name);
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.process = None;
                    entry.last_words = last_words;
                    entry.read = read.or(entry.read.take());
                }
                if let Err(error) = self.machine.forget_daemon(&name) {
                    tracing::warn!(domain = %name.domain, "{error}");
                }
                let life = self.entries.get(&name).map(|entry| &entry.life);
                let was_ready = life.is_some_and(|life| life.ready_at().is_some());
                let is_first = life.is_some_and(|life| !life.is_renewed());
                self.feed(&name, &Event::Exited(reason));
                let state = self.entries.get(&name).map(|entry| entry.life.state());
                if matches!(state, Some(State::Backoff | State::Failed)) {
                    if is_first {
                        self.fell(&name, was_ready);
                    }
                    self.followed(&name);
                }
            }
            What::Ready(pid) if current == Some(pid) => {
                // Once more: a script that sets something and becomes the daemon was another program before.
                self.remember(&name);
                self.feed(&name, &Event::Ready);
            }
            What::Unanswered(pid, works, why) if current == Some(pid) => {
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.unanswered_why = why;
                }
                self.feed(&name, if works { &Event::Working } else { &Event::NotAnswering });
            }
            What::Answered(pid) if current == Some(pid) => self.feed(&name, &Event::Answering),
            What::Exited(..) | What::Ready(_) | What::Unanswered(..) | What::Answered(_) => {}
        }
    }

    /// What is to be told of a domain's daemon: of the program that is worst off, or else of the one that speaks BGP.
    pub fn report(&self, domain: &DomainName) -> Option<ProcessReport> {
        let restarts = self.of(domain).map(|(_, entry)| entry.life.restarts()).sum();
        let badness = |entry: &Entry| {
            let life = &entry.life;
            // Of those that begin again together, the one that was lost; of those that run, the one that ever was.
            (life.failed(), life.state() != State::Running, !life.is_renewed(), life.last_exit().is_some())
        };
        let (name, worst) = self.of(domain).max_by_key(|(_, entry)| badness(entry))?;
        let report = ProcessReport { restarts, ..self.report_of(name.program, worst) };
        // How one ended that runs again is worth telling; its number is not that of the daemon.
        let speaker = self.speaker(domain).filter(|_| report.state == State::Running);
        Some(ProcessReport { pid: speaker.and_then(|(_, entry)| entry.life.pid()).or(report.pid), ..report })
    }

    fn report_of(&self, program: Program, entry: &Entry) -> ProcessReport {
        let life = &entry.life;
        let moment = |at| self.epoch + at;
        ProcessReport {
            program,
            state: life.state(),
            failed: life.failed(),
            pid: life.pid(),
            restarts: life.restarts(),
            last_exit: life.last_exit().map(str::to_owned),
            last_words: entry.last_words.clone(),
            next_attempt: life.next_attempt().map(moment),
            unanswered_since: life.unanswered_since().map(moment),
            unanswered_why: life.unanswered_since().and_then(|_| entry.unanswered_why.clone()),
        }
    }

    fn feed(&mut self, name: &DaemonName, event: &Event) {
        let now = self.epoch.elapsed();
        let Some(entry) = self.entries.get_mut(name) else { return };
        if matches!(event, Event::SpawnFailed(_)) {
            entry.last_words.clear();
        }
        for action in entry.life.handle(event, now) {
            self.act(name, &action);
        }
        self.ask_or_not(name);
    }

    /// A daemon is asked while it is to answer, and not while it starts or loads a configuration.
    fn ask_or_not(&mut self, name: &DaemonName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let is_to_answer = matches!(entry.life.state(), State::Running | State::Busy | State::Silent);
        match &entry.process {
            Some(process) if is_to_answer && entry.asking.is_none() => {
                let asked = Asked {
                    name: name.clone(),
                    daemon: entry.daemon,
                    place: entry.place.clone(),
                    process: process.clone(),
                    seed: digest(name.domain.as_str()),
                };
                entry.asking = Some(keep_asking(asked, self.sender.clone()));
            }
            Some(_) if is_to_answer => {}
            _ => entry.asking = None,
        }
    }
}

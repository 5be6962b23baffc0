//! The event loop: signals, requests, what processes do, and time.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::aside::{Aside, OnDisk};
use super::commands::{Done, HasRead, ToRead, Whom, reader};
use super::drift::Drift;
use super::failure::RunError;
use super::generations::Generations;
use super::keeper::{Applied, Keeper};
use super::opening::{Opened, first, open};
use super::prepare::Prepared;
use super::report::{Sight, count};
use super::requests::{Order, Requests, View};
use super::service::{self, Service};
use super::validate::validate_on;
use super::{logging, report};
use crate::control::access::AccessRules;
use crate::control::{CallError, Server, What, group_id};
use crate::model::DaemonName;
use crate::plan::{FileOwner, Layout};
use crate::sys::files::{self, Owners};
use crate::sys::generations::Store;
use crate::sys::handover::Handover;
use crate::sys::lock::RunDirLock;
use crate::sys::{Machine, SysError};

/// How the supervisor is to run.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own on the command line")]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Instead of the file's own; for networks that are thrown away.
    pub state_dir: Option<PathBuf>,
    /// Whether SIGINT means that the person at the terminal wants the network gone.
    pub interactive: bool,
    /// Apply the file even where a network stands that was made from another.
    pub apply: bool,
    /// Where the file cannot be used and nothing stands: start what was in force last.
    pub or_last: bool,
    /// Wait for sessions before saying that it is ready.
    pub wait: bool,
    /// How much to say on standard error.
    pub verbosity: logging::Verbosity,
}

/// How the loop ended.
enum End {
    /// The supervisor leaves and the network stays.
    Leave,
    /// Everything is taken down; whoever asked is told.
    TearDown(Option<oneshot::Sender<Result<Applied, CallError>>>),
}

/// Runs the supervisor until it is told to leave. `on_ready` is called once, when the network stands.
/// `handover` is what an earlier supervisor left with the service manager.
pub async fn run(
    options: Options,
    mut handover: Handover,
    on_ready: impl FnOnce(&Applied) + 'static,
) -> Result<(), RunError> {
    let started = Instant::now();
    let service = Service::new(&handover);
    service.starting("checking the configuration");
    // One for the file, and one for what a network that stands needs when the file does not come.
    let aside = Aside::new(2, READ_WITHIN);
    let mut opened = service.attending(open(&options, &aside)).await?;
    crate::sys::privilege::require()?;
    let layout = opened.prepared.layout.clone();
    let machine = Arc::new(Machine::open(&layout.run_dir, &layout.state_dir)?);
    let validated = service.attending(validate_on(&machine, &opened.prepared)).await;
    validated.map_err(|error| opened.unusable(error))?;
    let lock = acquire(&layout)?;
    logging::start(options.verbosity, Some(&layout.log()))?;
    for words in &opened.words {
        tracing::warn!("{words}");
    }
    for warning in &opened.prepared.warnings {
        let file = warning.file.as_ref().unwrap_or(&opened.prepared.file);
        tracing::warn!("{}:{warning}", file.display());
    }
    // Before anything is made, so that a signal that comes meanwhile is not lost.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])
        .map_err(|error| SysError::Io { what: "watch for signals".to_owned(), source: error })?;
    let inherited = Server::inherit(handover.control.take(), &layout.control_socket());
    machine.use_cgroups();
    machine.find_lost_domains().await?;
    service::tell_of_ends(&handover).await;
    machine.take_over(handover.namespaces, handover.daemons).await;
    service.starting("bringing the network up");
    let mut keeper = Keeper::new(machine, layout.clone());
    let applied = service.attending(first(&mut keeper, &mut opened)).await?;
    let Opened { prepared, generations, .. } = opened;
    let rules = Arc::new(AccessRules::of(&prepared.network, group_id));
    let (view, watched) = watch::channel(Arc::new(View::of(&prepared, &rules, &keeper, &applied, &generations)));
    let (orders, inbox) = mpsc::channel(16);
    let on_disk = OnDisk::new();
    let sight = Sight { view: watched, machine: keeper.machine().clone(), on_disk: on_disk.clone() };
    let handler = Arc::new(Requests::new(orders, sight.clone(), keeper.processes.events.clone()));
    let socket = layout.control_socket();
    let server = inherited
        .map_or_else(|| Server::bind(&socket), Ok)
        .map_err(|source| SysError::Io { what: format!("listen on {}", socket.display()), source })?;
    service.keep_control(server.descriptor());
    service.describe(sight);
    let (close, closed) = oneshot::channel::<bool>();
    let serving = tokio::spawn(async move {
        let mut leave_name = false;
        server.serve(handler, async { leave_name = closed.await.unwrap_or_default() }).await;
        server.leave_name(leave_name);
    });
    let ready = Readiness { started, wait: options.wait, told: false, on_ready: Some(Box::new(on_ready)) };
    let drift = Drift::new(&keeper).await;
    let (to_read, has_read) = reader();
    let mut looping = Loop {
        options,
        keeper,
        drift,
        prepared,
        before: None,
        generations,
        rules,
        applied,
        view,
        signals,
        inbox,
        aside,
        on_disk,
        to_read,
        has_read,
        reloads: 0,
        ready,
        revert_at: None,
        service: service.clone(),
    };
    let end = service.attending(looping.run()).await;
    // What is taken down on purpose is not put back.
    looping.drift.stop().await;
    let torn_down = matches!(end, End::TearDown(_));
    let events = looping.keeper.processes.events.clone();
    let result = match end {
        End::Leave => {
            tracing::info!("leaving; the network stays and the next start takes it over");
            service.stopping("leaving; the network stays");
            events.tell(None, What::Leaving { network_stays: true });
            Ok(())
        }
        End::TearDown(reply) => {
            service.stopping("taking everything down");
            let result = service.attending(looping.tear_down(reply)).await;
            service.keep_nothing();
            events.tell(None, What::Leaving { network_stays: false });
            result
        }
    };
    // The socket goes before the lock: whoever gets the lock next makes a socket of its own. One that the service manager
    // keeps stays where it is, so that who asks meanwhile is answered by the next supervisor.
    let _ = close.send(service.is_managed() && !torn_down);
    let _ = serving.await;
    service.farewell();
    if torn_down && result.is_ok() {
        lock.remove();
    }
    result
}

/// The run directory, made if it is not there, for us alone.
fn acquire(layout: &Layout) -> Result<RunDirLock, SysError> {
    // Whatever was inherited, only root may write here.
    crate::sys::process::set_umask();
    crate::sys::process::raise_file_limit();
    files::make_directory(&layout.run_dir, 0o755, Owners::of_machine().ids(FileOwner::Root))
        .map_err(|source| SysError::Io { what: format!("make {}", layout.run_dir.display()), source })?;
    let lock = RunDirLock::take(&layout.run_dir)?;
    for directory in [&layout.run_dir, &layout.state_dir] {
        files::remove_unfinished(directory)
            .map_err(|source| SysError::Io { what: format!("clear up {}", directory.display()), source })?;
    }
    Ok(lock)
}

/// Takes down what a supervisor left standing.
pub async fn tear_down(layout: &Layout, verbosity: logging::Verbosity) -> Result<Applied, RunError> {
    crate::sys::privilege::require()?;
    let lock = acquire(layout)?;
    logging::start(verbosity, Some(&layout.log()))?;
    let machine = Arc::new(Machine::open(&layout.run_dir, &layout.state_dir)?);
    // Nor is there a record of their daemons.
    let lost = machine.find_lost_domains().await?;
    machine.end_strays(lost.iter().flat_map(DaemonName::all_of).collect()).await?;
    let mut keeper = Keeper::new(machine, layout.clone());
    let applied = keeper.tear_down().await?;
    if let Some(words) = report::left_over(&applied) {
        return Err(RunError::Left(words));
    }
    Store::new(layout).fall()?;
    // A supervisor that was killed left its socket.
    let _ = std::fs::remove_file(layout.control_socket());
    lock.remove();
    Ok(applied)
}

/// What the loop knows. What changes the network is in `commands`.
pub(super) struct Loop {
    pub(super) options: Options,
    pub(super) keeper: Keeper,
    drift: Drift,
    pub(super) prepared: Prepared,
    /// What ran before what waits to be confirmed.
    pub(super) before: Option<Prepared>,
    pub(super) generations: Generations,
    pub(super) rules: Arc<AccessRules>,
    pub(super) applied: Applied,
    view: watch::Sender<Arc<View>>,
    signals: Signals,
    inbox: mpsc::Receiver<Order>,
    /// Where files are read that the loop has to wait for.
    pub(super) aside: Aside,
    pub(super) on_disk: OnDisk,
    /// Where those are read that it does not wait for.
    pub(super) to_read: mpsc::UnboundedSender<ToRead>,
    has_read: mpsc::Receiver<HasRead>,
    /// How many signals asked for the file to be applied again, the one that is being followed included.
    pub(super) reloads: usize,
    ready: Readiness,
    /// When an unconfirmed generation is tried to be reverted again, if that failed.
    pub(super) revert_at: Option<Instant>,
    pub(super) service: Arc<Service>,
}

/// Whom to tell when the network stands.
type OnReady = Box<dyn FnOnce(&Applied)>;

/// What is still to be told when the network stands.
struct Readiness {
    started: Instant,
    /// Whether sessions count.
    wait: bool,
    /// Whether it was said for whom is waited.
    told: bool,
    on_ready: Option<OnReady>,
}

/// How often sessions are looked at while somebody waits for them, and how long that goes on.
const ASK_EVERY: Duration = Duration::from_millis(10);
const ESTABLISHED_WITHIN: Duration = Duration::from_mins(1);

/// After how long it is said for whom is waited.
const FOR_WHOM_AFTER: Duration = Duration::from_secs(5);

/// How long the loop waits for a file: what comes back unconfirmed, and a start, need passwords.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A signal, for the log.
fn noted(signal: i32) -> i32 {
    let name = nix::sys::signal::Signal::try_from(signal).map_or("a signal", nix::sys::signal::Signal::as_str);
    tracing::info!(signal, "received {name}");
    signal
}

impl Loop {
    async fn run(&mut self) -> End {
        self.tell_if_ready().await;
        loop {
            self.service.turned();
            let pending = self.ready.on_ready.is_some();
            let confirm_until = self.confirm_until();
            tokio::select! {
                happening = self.keeper.processes.next() => self.keeper.processes.handle(happening),
                Some(signal) = self.signals.next() => match noted(signal) {
                    SIGHUP => self.reload(),
                    SIGINT if self.options.interactive => return End::TearDown(None),
                    _ => return End::Leave,
                },
                Some(order) = self.inbox.recv() => {
                    if let Some(end) = self.obey(order).await {
                        return end;
                    }
                }
                Some(read) = self.has_read.recv() => {
                    let done = self.apply(read).await;
                    self.done(done).await;
                }
                () = tokio::time::sleep(ASK_EVERY), if pending => self.tell_if_ready().await,
                () = tokio::time::sleep_until(confirm_until.unwrap_or_else(Instant::now)), if confirm_until.is_some() => {
                    self.expire().await;
                    self.drift.applied(&self.keeper).await;
                }
                wake = self.drift.next() => {
                    if let Some(applied) = self.drift.handle(wake, &mut self.keeper).await {
                        self.applied = applied;
                    }
                    self.note_listings();
                    self.keep_descriptors();
                    self.generations.refill();
                }
            }
            self.publish();
        }
    }

    /// Lets requests that only look see how things stand, without asking the loop.
    fn publish(&self) {
        let view = View::of(&self.prepared, &self.rules, &self.keeper, &self.applied, &self.generations);
        let changed = self.view.send_if_modified(|old| {
            let changed = **old != view;
            if changed {
                *old = Arc::new(view);
            }
            changed
        });
        if changed {
            self.keep_descriptors();
        }
    }

    async fn obey(&mut self, order: Order) -> Option<End> {
        match order {
            Order::Change { command, progress, reply } => {
                if let Some(done) = self.carry_out(command, progress, Whom::Request(reply)).await {
                    self.done(done).await;
                }
                None
            }
            Order::Stop { keep: true, reply } => {
                let _ = reply.send(Ok(Applied::default()));
                Some(End::Leave)
            }
            Order::Stop { keep: false, reply } => Some(End::TearDown(Some(reply))),
        }
    }

    /// A change is over.
    async fn done(&mut self, (result, whom): Done) {
        self.drift.applied(&self.keeper).await;
        self.publish();
        match whom {
            // Whoever asked may be gone.
            Whom::Request(reply) => drop(reply.send(result)),
            Whom::Signal => self.reloaded(&result),
        }
    }

    /// Says once that the network stands: at once, or when every session is Established if somebody waits for that.
    async fn tell_if_ready(&mut self) {
        let mut told = None;
        if self.ready.wait && self.ready.on_ready.is_some() {
            self.publish();
            let view = self.view.borrow().clone();
            if let Some((domain, missing)) = report::first_unestablished(&view).await {
                let (missing, seconds) = (count(missing, "session"), ESTABLISHED_WITHIN.as_secs());
                let elapsed = self.ready.started.elapsed();
                if elapsed < ESTABLISHED_WITHIN {
                    if elapsed > FOR_WHOM_AFTER && !std::mem::replace(&mut self.ready.told, true) {
                        tracing::warn!(%domain, "{missing} not Established yet; waited for until {seconds} s are over");
                    }
                    return;
                }
                let words = format!("{missing} not Established after {seconds} s; see rdsup status");
                tracing::warn!(%domain, "{words}");
                told = Some((domain.clone(), words));
            }
        }
        if let Some(on_ready) = self.ready.on_ready.take() {
            tracing::info!("ready after {:.1} s (pid {})", self.ready.started.elapsed().as_secs_f64(), process::id());
            self.service.ready(format!("ready after {:.1} s", self.ready.started.elapsed().as_secs_f64()));
            self.keep_descriptors();
            // Of how things stand that is no part: the report asks the sessions themselves.
            let mut applied = self.applied.clone();
            if let Some((domain, words)) = told {
                applied.problem(&domain, words);
            }
            on_ready(&applied);
            self.note_listings();
        }
    }

    /// Has it noted, beside everything else, what the kernel lists of filters that were loaded since the last time.
    fn note_listings(&self) {
        let machine = self.keeper.machine().clone();
        tokio::spawn(async move {
            if let Err(error) = machine.note_listings().await {
                tracing::debug!("cannot note what the kernel lists: {error}");
            }
        });
    }

    async fn tear_down(&mut self, reply: Option<oneshot::Sender<Result<Applied, CallError>>>) -> Result<(), RunError> {
        tracing::info!("taking everything down");
        let result = self.keeper.tear_down().await.map_err(RunError::from);
        self.keeper.machine().tidy_cgroups(|_| false);
        let result = result.and_then(|applied| match report::left_over(&applied) {
            None => Ok(applied),
            Some(words) => Err(RunError::Left(words)),
        });
        if result.is_ok() {
            self.generations.fall();
        }
        if let Some(reply) = reply {
            let told = match &result {
                Ok(applied) => Ok(applied.clone()),
                Err(error) => Err(CallError::failed(error)),
            };
            let _ = reply.send(told);
        }
        result.map(drop)
    }
}

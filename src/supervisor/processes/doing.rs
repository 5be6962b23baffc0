//! What the machines ask for, done to processes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::launch::{Launched, launch, may_keep};
use super::output::{Listener, Output};
use super::tell::tell;
use super::{Happening, Processes, What};
use crate::daemons::{LAST_LINES, Place, RoutingDaemon, line};
use crate::model::{DaemonName, Program};
use crate::plan::Layout;
use crate::supervise::{Action, ExitReason, StopSignal};
use crate::sys::Machine;
use crate::sys::logfile::{LogMark, tail};
use crate::sys::process::{self, ExitStatus, Process, Signal};

/// How often a daemon that is not ready yet is asked again.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// How long a program waits for those that it needs before it is started all the same.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

impl Processes {
    pub(super) fn act(&mut self, name: &DaemonName, action: &Action) {
        match action {
            Action::Spawn { recovering } => self.spawn(name, *recovering),
            Action::Signal(signal) => self.signal(name, *signal),
            Action::PollReadiness => self.poll_readiness(name),
            Action::Report(report) => {
                let last_words = self.entries.get(name).map(|entry| entry.last_words.as_slice());
                tell(name, report, last_words.unwrap_or_default());
                self.events.tell_of_daemon(name, report);
            }
        }
    }

    /// Listens to what the daemon says. Without that it runs all the same.
    pub(super) fn listen(&mut self, name: &DaemonName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match Output::listen(name, &self.layout.output(name)) {
            Ok(output) => entry.output = Some(output),
            Err(error) => {
                entry.output = None;
                tracing::warn!(domain = %name.domain, "what its daemon says is lost: {error}");
            }
        }
    }

    fn spawn(&mut self, name: &DaemonName, recovering: bool) {
        self.listen(name);
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.log_mark = LogMark::of(&self.layout.daemon_log(name));
        let output = match &entry.output {
            Some(_) => process::Output::Pipe(self.layout.output(name)),
            None => process::Output::Null,
        };
        entry.given_up = CancellationToken::new();
        let given_up = entry.given_up.clone();
        let recovering = recovering || std::mem::take(&mut entry.recover);
        let (daemon, place) = (entry.daemon, entry.place.clone());
        let decides = DaemonName::new(&name.domain, daemon.decided_by(name.program));
        let left = self.entries.get(&decides).and_then(|entry| entry.read.clone());
        let left = self.machine.loaded_config(&decides).or(left);
        let (machine, layout, name) = (self.machine.clone(), self.layout.clone(), name.clone());
        let sender = self.sender.clone();
        // In the order in which they were asked for, few at a time: many at once would all be slow. The place in the queue is taken
        // here, since tasks begin in any order, and those that wait for a program must not keep it from its turn.
        let mut turn = Box::pin(self.launches.clone().acquire_owned());
        let permit = if daemon.awaits(name.program, &place).is_none() { turn.as_mut().now_or_never() } else { None };
        tokio::spawn(async move {
            let first = async {
                for program in daemon.prerequisites(name.program, &place) {
                    until_ready(daemon, *program, &place).await;
                }
            };
            // One that does not come up is lost by itself, and this one tried again.
            let first = tokio::time::timeout(FIRST_WITHIN, first).map(drop);
            let turn_comes = async {
                if let Some(awaited) = daemon.awaits(name.program, &place) {
                    first.await;
                    awaited.await;
                    return turn.await;
                }
                let permit = match permit {
                    Some(permit) => permit,
                    None => turn.await,
                };
                first.await;
                permit
            };
            let Some(_permit) = given_up.run_until_cancelled(turn_comes).await else {
                let words = "no longer wanted".to_owned();
                let _ = sender.send(Happening { name, what: What::Spawned(Err(words)) });
                return;
            };
            let result =
                begin(&machine, layout, &name, daemon, place, output, recovering.then_some((decides, left))).await;
            // Nobody listens only when the supervisor is leaving; then the daemon stays for the next one to adopt.
            let _ = sender.send(Happening { name, what: What::Spawned(result) });
        });
    }

    pub(super) fn watch(&mut self, name: &DaemonName, process: Arc<Process>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.process = Some(process.clone());
        let log = self.layout.daemon_log(name);
        let (listener, mark) = (entry.output.as_ref().map(Output::listener), entry.log_mark);
        let (sender, name) = (self.sender.clone(), name.clone());
        tokio::spawn(async move {
            let reason = match process.exited().await {
                Ok(ExitStatus::Code(code)) => ExitReason::Code(code),
                Ok(ExitStatus::Signal(signal)) => ExitReason::Signal(signal),
                Ok(ExitStatus::Unknown) | Err(_) => ExitReason::Unknown,
            };
            let words = last_words(&log, mark, listener.as_deref());
            let _ = sender.send(Happening { name, what: What::Exited(process.pid(), reason, words) });
        });
    }

    fn signal(&self, name: &DaemonName, signal: StopSignal) {
        let Some(process) = self.entries.get(name).and_then(|entry| entry.process.as_ref()) else { return };
        let signal = match signal {
            StopSignal::Term => Signal::TERM,
            StopSignal::Kill => Signal::KILL,
        };
        if let Err(error) = process.signal(signal) {
            tracing::error!(domain = %name.domain, pid = process.pid(), "cannot signal the daemon: {error}");
        }
    }

    fn poll_readiness(&self, name: &DaemonName) {
        let Some(entry) = self.entries.get(name) else { return };
        let Some(process) = entry.process.clone() else { return };
        let (daemon, place, recovering) = (entry.daemon, entry.place.clone(), entry.recovering);
        let (machine, sender, name) = (self.machine.clone(), self.sender.clone(), name.clone());
        tokio::spawn(async move {
            let pid = process.pid();
            let ready = async {
                until_ready(daemon, name.program, &place).await;
                if recovering && let Err(error) = daemon.recover(name.program, &place).await {
                    tracing::warn!(domain = %name.domain, "neighbors may drop its routes for a moment: {error}");
                }
            };
            let is_ready = tokio::select! {
                () = ready => true,
                _ = process.exited() => false,
            };
            // Also of one that was adopted: nobody knows how far whoever began it has come.
            if daemon.damages(name.program).is_some()
                && let Err(error) = machine.uncover_routes(&name.domain).await
            {
                tracing::error!(domain = %name.domain, "what covers its routes stays: {error}");
            }
            if is_ready {
                // What one that was taken over was told meanwhile by others is to be seen, too.
                if machine.running_config(&name).is_none() {
                    note_running(daemon, &machine, &name, &place, None).await;
                }
                let _ = sender.send(Happening { name, what: What::Ready(pid) });
            }
        });
    }

    /// Notes which process runs, for the next supervisor.
    pub(super) fn remember(&self, name: &DaemonName) {
        let Some(entry) = self.entries.get(name) else { return };
        let (Some(process), keeps) = (&entry.process, entry.keeps) else { return };
        let noted = || -> Result<(), Box<dyn std::error::Error>> {
            Ok(self.machine.record_daemon(name, &process.record()?, keeps)?)
        };
        if let Err(error) = noted()
            && process.is_running()
        {
            tracing::warn!(domain = %name.domain, "cannot note the daemon for a later supervisor: {error}");
        }
    }

    /// Notes what it has read. That a daemon answers says nothing about that: one that was taken over may have read what
    /// lay there before.
    pub(in crate::supervisor) fn remember_config(&self, name: &DaemonName, text: &str) {
        if let Err(error) = self.machine.record_loaded_config(name, text) {
            tracing::warn!(domain = %name.domain, "cannot note what the daemon has read: {error}");
        }
    }
}

/// Notes what a program runs that has just read its configuration, so that what it is told by others later on is seen. What others had
/// told it before stays visible: `changed` is what was noted, what it ran when it was about to read another, and that.
pub(super) async fn note_running(
    daemon: &dyn RoutingDaemon,
    machine: &Machine,
    name: &DaemonName,
    place: &Place,
    changed: Option<(String, String, &str)>,
) {
    let running = daemon.running(name.program, place).await.ok().flatten();
    let untold = |running: String| match changed {
        Some((noted, then, wanted)) => daemon.untold(&noted, &then, &running, wanted),
        None => running,
    };
    record_running(machine, name, running.map(untold).as_deref());
}

/// What ran before, or is about to run no longer, says nothing of what others tell the program.
pub(super) fn forget_running(machine: &Machine, name: &DaemonName) {
    record_running(machine, name, None);
}

fn record_running(machine: &Machine, name: &DaemonName, text: Option<&str>) {
    if let Err(error) = machine.record_running_config(name, text) {
        tracing::warn!(domain = %name.domain, "what others tell its daemon is not noticed: {error}");
    }
}

/// Starts a program. `left` is what the program that decides what the kernel may hold had read before, where this one may keep that.
async fn begin(
    machine: &Arc<Machine>,
    layout: Layout,
    name: &DaemonName,
    daemon: &'static dyn RoutingDaemon,
    place: Place,
    output: process::Output,
    left: Option<(DaemonName, Option<String>)>,
) -> Result<Launched, String> {
    let keeping = place.clone();
    let keeps = blocking(move || {
        left.is_some_and(|(decides, left)| may_keep(daemon, &keeping, decides.program, left.as_deref()))
    });
    let keeps = keeps.await?;
    if !keeps {
        if let Some(protocol) = daemon.leaves(name.program) {
            machine.clear_routes(&name.domain, protocol).await.map_err(|error| error.to_string())?;
        }
    } else if let Some(protocol) = daemon.damages(name.program)
        && let Err(error) = machine.cover_routes(&name.domain, protocol).await
    {
        tracing::warn!(domain = %name.domain, "packets may be lost while its daemon begins: {error}");
    }
    let (machine, name) = (machine.clone(), name.clone());
    blocking(move || launch(&machine, &layout, &name, daemon, &place, output, keeps)).await?
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(f).await.map_err(|failed| failed.to_string())
}

async fn until_ready(daemon: &dyn RoutingDaemon, program: Program, place: &Place) {
    while daemon.ready(program, place).await.is_err() {
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// What a process that is over said last: in its log, then elsewhere. Whoever cannot open its log says that elsewhere.
fn last_words(log: &Path, mark: Option<LogMark>, listener: Option<&Listener>) -> Vec<String> {
    let logged = tail(log, mark, LAST_LINES).unwrap_or_default();
    let mut words: Vec<String> = logged.iter().filter_map(|text| line(text)).collect();
    words.extend(listener.map(Listener::last_words).unwrap_or_default());
    words
}

//! What the machines ask for, done to processes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::launch::launch;
use super::output::{Listener, Output};
use super::tell::tell;
use super::{Happening, Processes, What};
use crate::daemons::{LAST_LINES, line};
use crate::model::DomainName;
use crate::supervise::{Action, ExitReason, StopSignal};
use crate::sys::logfile::{LogMark, tail};
use crate::sys::process::{self, ExitStatus, Process, Signal};

/// How often a daemon that is not ready yet is asked again.
const ASK_EVERY: Duration = Duration::from_millis(10);

impl Processes {
    pub(super) fn act(&mut self, domain: &DomainName, action: &Action) {
        match action {
            Action::Spawn { recovering } => self.spawn(domain, *recovering),
            Action::Signal(signal) => self.signal(domain, *signal),
            Action::PollReadiness => self.poll_readiness(domain),
            Action::Report(report) => {
                let last_words = self.entries.get(domain).map(|entry| entry.last_words.as_slice());
                tell(domain, report, last_words.unwrap_or_default());
                self.events.tell_of_daemon(domain, report);
            }
        }
    }

    /// Listens to what the daemon says. Without that it runs all the same.
    pub(super) fn listen(&mut self, domain: &DomainName) {
        let Some(entry) = self.entries.get_mut(domain) else { return };
        let kind = entry.daemon.kind();
        match Output::listen(domain, kind, &self.layout.output(domain, kind)) {
            Ok(output) => entry.output = Some(output),
            Err(error) => {
                entry.output = None;
                tracing::warn!(%domain, "what its daemon says is lost: {error}");
            }
        }
    }

    fn spawn(&mut self, domain: &DomainName, recovering: bool) {
        self.listen(domain);
        let Some(entry) = self.entries.get_mut(domain) else { return };
        let kind = entry.daemon.kind();
        entry.log_mark = LogMark::of(&self.layout.daemon_log(domain, kind));
        let output = match &entry.output {
            Some(_) => process::Output::Pipe(self.layout.output(domain, kind)),
            None => process::Output::Null,
        };
        let recovering = recovering || std::mem::take(&mut entry.recover);
        let (daemon, place) = (entry.daemon, entry.place.clone());
        let (machine, layout, domain) = (self.machine.clone(), self.layout.clone(), domain.clone());
        let (sender, gate) = (self.sender.clone(), self.launches.clone());
        tokio::spawn(async move {
            // In the order in which they were asked for, few at a time: many at once would all be slow.
            let _permit = gate.acquire().await;
            let name = domain.clone();
            let launched = tokio::task::spawn_blocking(move || {
                launch(&machine, &layout, &name, daemon, &place, output, recovering).map(Arc::new)
            });
            let result = launched.await.unwrap_or_else(|failed| Err(failed.to_string()));
            // Nobody listens only when the supervisor is leaving; then the daemon stays for the next one to adopt.
            let _ = sender.send(Happening { domain, what: What::Spawned(result) });
        });
    }

    pub(super) fn watch(&mut self, domain: &DomainName, process: Arc<Process>) {
        let Some(entry) = self.entries.get_mut(domain) else { return };
        entry.process = Some(process.clone());
        let log = self.layout.daemon_log(domain, entry.daemon.kind());
        let (listener, mark) = (entry.output.as_ref().map(Output::listener), entry.log_mark);
        let (sender, domain) = (self.sender.clone(), domain.clone());
        tokio::spawn(async move {
            let reason = match process.exited().await {
                Ok(ExitStatus::Code(code)) => ExitReason::Code(code),
                Ok(ExitStatus::Signal(signal)) => ExitReason::Signal(signal),
                Ok(ExitStatus::Unknown) | Err(_) => ExitReason::Unknown,
            };
            let words = last_words(&log, mark, listener.as_deref());
            let _ = sender.send(Happening { domain, what: What::Exited(process.pid(), reason, words) });
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
    pub(super) fn remember(&self, domain: &DomainName) {
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

/// What a process that is over said last: in its log, then elsewhere. Whoever cannot open its log says that elsewhere.
fn last_words(log: &Path, mark: Option<LogMark>, listener: Option<&Listener>) -> Vec<String> {
    let logged = tail(log, mark, LAST_LINES).unwrap_or_default();
    let mut words: Vec<String> = logged.iter().filter_map(|text| line(text)).collect();
    words.extend(listener.map(Listener::last_words).unwrap_or_default());
    words
}

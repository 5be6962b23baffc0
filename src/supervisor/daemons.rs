//! The part of a plan that is about routing daemons: taken over, started, told and stopped, and waited for.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::apply::FailedStep;
use super::keeper::{Applied, Keeper};
use super::processes::Processes;
use crate::model::{DaemonKind, DaemonName, DomainName, Program};
use crate::plan::{Action, Desired, Observed, Plan, Step};
use crate::sys::fault;

/// How long daemons may take to become ready before `start` goes on without them.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often a daemon may be lost while it comes up before that counts as failed.
const STARTS: u32 = 3;
/// How long the kernel may take to tell how a process ended that is over.
const END_KNOWN_WITHIN: Duration = Duration::from_secs(1);

impl Keeper {
    /// Daemons that an earlier supervisor started are watched from now on.
    pub(super) async fn adopt(&mut self, observed: &Observed) {
        if fault::is_off("adoption") {
            return;
        }
        let mut taken_over = BTreeSet::new();
        for name in observed.domains.keys().flat_map(DaemonName::all_of) {
            if self.processes.knows(&name) {
                continue;
            }
            // One that ended meanwhile is taken over too where its pidfd was kept: it tells how.
            match self.machine().adopt_daemon(&name) {
                Ok(Some(process)) => {
                    let is_over = !process.is_running();
                    self.processes.adopt(&name, process);
                    taken_over.insert(name.domain.clone());
                    if is_over {
                        self.hear_of_end(&name).await;
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(domain = %name.domain, "cannot take over its daemon: {error}"),
            }
        }
        for domain in &taken_over {
            self.processes.reunite(domain);
        }
    }

    /// Lets the machine of a daemon that ended while no supervisor ran learn how, before another is started.
    pub(super) async fn hear_of_end(&mut self, name: &DaemonName) {
        let deadline = Instant::now() + END_KNOWN_WITHIN;
        while self.processes.has_process(name) {
            let Ok(happening) = tokio::time::timeout_at(deadline, self.processes.next()).await else { return };
            self.processes.handle(happening);
        }
    }

    /// Answers with the domains whose daemon is still there.
    pub(super) async fn stop_daemons(
        &mut self,
        domains: impl Iterator<Item = &DomainName>,
        applied: &mut Applied,
    ) -> Vec<DomainName> {
        let domains: BTreeSet<DomainName> = domains.cloned().collect();
        let left = match fault::point("step") {
            Ok(()) => self.processes.stop(&domains).await,
            Err(_) => domains.iter().cloned().collect(),
        };
        // They are gone: only a death is of interest here.
        let _ = fault::point("step");
        applied.done += domains.len() - left.len();
        for domain in &left {
            applied.problem(domain, "its daemon does not leave, not even when killed".to_owned());
        }
        left
    }

    /// Stops what the plan does not tell of, because at the moment none or only a part of it ran, and which would come back by itself
    /// where no daemon, or one of another kind, is wanted.
    pub(super) async fn stop_unwanted(&mut self, desired: &Desired, todo: &Plan, applied: &mut Applied) {
        let is_planned = |domain: &DomainName| {
            todo.steps().any(|step| &step.domain == domain && matches!(step.action, Action::StopDaemon { .. }))
        };
        let is_unwanted = |name: &DaemonName| {
            let wanted = desired.domains.get(&name.domain).and_then(|domain| domain.daemon.as_ref());
            wanted.is_none_or(|daemon| daemon.kind != name.program.kind()) && !is_planned(&name.domain)
        };
        self.stop_those(is_unwanted, applied).await;
    }

    /// Answers with the programs that are still there.
    async fn stop_those(&mut self, meant: impl Fn(&DaemonName) -> bool, applied: &mut Applied) -> Vec<DaemonName> {
        let left = self.processes.stop_those(meant).await;
        for name in &left {
            let words = format!("its {} does not leave, not even when killed", name.program.as_str());
            applied.problem(&name.domain, words);
        }
        left
    }

    /// Whether these programs of one domain's daemon are gone, while the others go on.
    async fn stop_programs(
        &mut self,
        domain: &DomainName,
        programs: &BTreeSet<Program>,
        applied: &mut Applied,
    ) -> bool {
        let left = self.stop_those(|name| &name.domain == domain && programs.contains(&name.program), applied).await;
        left.is_empty()
    }

    /// Daemons of these domains that nobody watches would be in the way of new ones. Answers with the domains that had one.
    pub(super) async fn end_strays(&self, domains: impl Iterator<Item = &DomainName>) -> BTreeSet<DomainName> {
        let programs = domains.flat_map(DaemonName::all_of);
        let unwatched: BTreeSet<DaemonName> = programs.filter(|name| !self.processes.has_process(name)).collect();
        if unwatched.is_empty() {
            return BTreeSet::new();
        }
        let found = self.machine().end_strays(unwatched).await.unwrap_or_else(|error| {
            tracing::warn!("{error}");
            BTreeSet::new()
        });
        found.into_iter().map(|name| name.domain).collect()
    }

    pub(super) async fn daemon_step(
        &mut self,
        step: &Step,
        desired: &Desired,
        recover: &BTreeSet<DomainName>,
        applied: &mut Applied,
    ) {
        let domain = &step.domain;
        let Some(daemon) = desired.domains.get(domain).and_then(|wanted| wanted.daemon.as_ref()) else { return };
        tracing::debug!(%domain, cause = step.cause.as_deref(), "{step}");
        // That a daemon should run is noted, and nothing can fail about that.
        if let (Err(words), false) = (fault::point("step"), matches!(step.action, Action::StartDaemon { .. })) {
            return Self::told(step, Err(words), applied);
        }
        match &step.action {
            Action::StartDaemon { programs, .. } => {
                // It runs, and yet not where it should: its namespace was replaced under it. One whose core runs in part has to keep
                // its routes, and what it lacks comes back.
                let has_process = |program: &Program| self.processes.has_process(&DaemonName::new(domain, *program));
                let whole = step.action.starts_core();
                if !whole && programs.iter().any(has_process) {
                    self.stop_programs(domain, programs, applied).await;
                } else if whole
                    && self.processes.has_any_process(domain)
                    && !self.processes.has_part_of_core(domain, daemon.kind)
                {
                    self.stop_unless_lost(domain, daemon.kind, applied).await;
                }
                let wanted = if whole { &daemon.programs } else { programs };
                self.processes.want(domain, wanted, recover.contains(domain));
                applied.done += 1;
            }
            Action::StopDaemon { programs, .. } => {
                let are_gone = self.stop_programs(domain, programs, applied).await;
                applied.done += usize::from(are_gone);
            }
            Action::ReloadDaemon { programs, .. } => {
                Self::told(step, self.processes.reload(domain, programs).await, applied);
            }
            Action::ResyncDaemon { .. } => Self::told(step, self.processes.resync(domain).await, applied),
            _ => {}
        }
        if let Err(words) = fault::point("step") {
            Self::told(step, Err(words), applied);
        }
    }

    /// Stops what runs of a daemon that does not run as it should. A core that was lost stays on the list, with what it had read: by that
    /// the next one tells whether it may keep what the kernel has. The others read what is new when they begin again with it.
    async fn stop_unless_lost(&mut self, domain: &DomainName, kind: DaemonKind, applied: &mut Applied) {
        let has_process = |program: &Program| self.processes.has_process(&DaemonName::new(domain, *program));
        if kind.core().iter().any(has_process) {
            self.stop_daemons(std::iter::once(domain), applied).await;
            return;
        }
        let others: BTreeSet<Program> = kind.programs().filter(has_process).collect();
        self.stop_programs(domain, &others, applied).await;
    }

    /// Notes what came of telling a daemon something.
    fn told(step: &Step, result: Result<(), impl fmt::Display>, applied: &mut Applied) {
        match result {
            Ok(()) => applied.done += 1,
            Err(error) => {
                tracing::error!(domain = %step.domain, line = step.origin.line, "{step}: {error}");
                applied.fail(step.clone(), error.to_string());
            }
        }
    }

    /// Waits until daemons that were started run. One that does not come up is a step that failed; its state says the rest.
    pub(super) async fn await_daemons(&mut self, steps: Vec<Step>, applied: &mut Applied) {
        let starts: Vec<Step> =
            steps.into_iter().filter(|step| matches!(step.action, Action::StartDaemon { .. })).collect();
        let deadline = Instant::now() + READY_WITHIN;
        let lost = |processes: &Processes, domain: &DomainName| processes.report(domain).map_or(0, |it| it.restarts);
        let before: Vec<u32> = starts.iter().map(|step| lost(&self.processes, &step.domain)).collect();
        // A daemon may be lost for a reason of its own while it comes up; one that is lost again and again has none.
        let waits = |processes: &Processes| {
            starts.iter().zip(&before).any(|(step, before)| {
                !processes.is_running(&step.domain) && lost(processes, &step.domain) < before + STARTS
            })
        };
        while waits(&self.processes) {
            match tokio::time::timeout_at(deadline, self.processes.next()).await {
                Ok(happening) => self.processes.handle(happening),
                Err(_) => break,
            }
        }
        for step in starts.into_iter().filter(|step| !self.processes.is_running(&step.domain)) {
            let why = self.processes.report(&step.domain).and_then(|report| report.why());
            let error = why.unwrap_or_else(|| format!("not ready after {} s", READY_WITHIN.as_secs()));
            applied.failed.push(FailedStep { step, error });
        }
    }
}

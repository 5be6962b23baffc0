//! The machine on one side, what the file wants on the other: observe, plan, carry out, observe again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::apply::{self, FailedStep, Hands, Outcome};
use super::by_hand;
use super::prepare::Prepared;
use super::processes::Processes;
use super::repair::{self, Repairs};
use super::report::count;
use crate::daemons::harmless;
use crate::model::DomainName;
use crate::plan::{
    Action, Conflict, Desired, Layout, Observed, ObservedDomain, Plan, Stage, Step, lost_interfaces, plan, plan_around,
};
use crate::sys::process::{Listed, in_namespaces};
use crate::sys::{Machine, SysError};

/// How long an interface may take to come back to the host when its namespace is gone, and how often it is looked for.
const RETURNS_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Hands for Machine {
    async fn execute(&self, step: &Step) -> Result<(), String> {
        Machine::execute(self, step).await.map_err(|error| error.source.to_string())
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The machine could not be observed.
    #[error(transparent)]
    Observe(#[from] SysError),
    /// Something stands in the way.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Conflicts(Vec<Conflict>),
    /// A filter could not be loaded beside the old one, so that all domains stay behind their old ones.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Filters(Vec<FailedStep>),
}

/// What came of bringing the machine to what the file wants.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// How many steps were done.
    pub done: usize,
    /// What is not as it should be, by domain, in words for people.
    pub problems: BTreeMap<DomainName, Vec<String>>,
    /// Steps that failed.
    pub failed: Vec<FailedStep>,
    /// What could not even be planned, because of something of others.
    pub in_the_way: Vec<Conflict>,
    /// What else people should hear.
    pub notes: Vec<String>,
}

impl Applied {
    pub(super) fn fail(&mut self, step: Step, error: String) {
        self.problem(&step.domain, format!("{step}: {error}"));
        self.failed.push(FailedStep { step, error });
    }

    pub(super) fn problem(&mut self, domain: &DomainName, words: String) {
        let words_of_domain = self.problems.entry(domain.clone()).or_default();
        if !words_of_domain.contains(&words) {
            words_of_domain.push(words);
        }
    }
}

/// Why the machine is brought to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Somebody asked for it, and waits to hear whether it worked.
    Order,
    /// It was that, and is no longer.
    Drift,
}

/// Keeps one machine as one file wants it.
pub struct Keeper {
    machine: Arc<Machine>,
    /// The routing daemons.
    pub processes: Processes,
    /// What was repaired lately.
    pub repairs: Repairs,
    pub(super) layout: Layout,
    /// What should be there: empty before the first apply and after the teardown.
    pub(super) desired: Desired,
    /// When what is remembered could not be written again, if the last time it could not.
    pub(super) notes_failed: Option<Instant>,
}

impl Keeper {
    /// A keeper that wants nothing yet.
    pub fn new(machine: Arc<Machine>, layout: Layout) -> Self {
        let processes = Processes::new(machine.clone(), layout.clone());
        let (repairs, desired) = (Repairs::default(), Desired::default());
        Self { machine, layout, processes, repairs, desired, notes_failed: None }
    }

    /// The machine.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// What is there now. What was wanted before counts too, so that it can be removed.
    pub(super) async fn observe(&self, desired: &Desired) -> Result<Observed, SysError> {
        let mut scope = self.desired.clone();
        scope.domains.extend(desired.domains.clone());
        self.machine.observe(&scope).await
    }

    /// What bringing the machine to `prepared` would do.
    pub async fn plan(&self, desired: &Desired) -> Result<Plan, KeepError> {
        let observed = self.observe(desired).await?;
        plan(desired, &observed, &self.layout).map_err(KeepError::Conflicts)
    }

    /// Brings the machine to what `prepared` wants. Nothing is done when something stands in the way.
    pub async fn apply(&mut self, prepared: &Prepared) -> Result<Applied, KeepError> {
        let desired = prepared.desired.clone();
        let applied = self.bring_to(desired.clone(), Reason::Order).await;
        // What was rehearsed and not needed, because a conflict stood in the way or a domain was there after all.
        self.machine.forget_rehearsal();
        let applied = applied?;
        self.desired = desired;
        Ok(applied)
    }

    /// Takes everything down.
    pub async fn tear_down(&mut self) -> Result<Applied, KeepError> {
        let mut applied = self.bring_to(Desired::default(), Reason::Order).await?;
        self.desired = Desired::default();
        if applied.problems.is_empty() {
            self.forget_lost(&mut applied).await?;
        }
        Ok(applied)
    }

    /// Nothing is remembered of interfaces that are nowhere when everything is down: who uses the name next must not get what
    /// they had. One whose namespace went away under it comes back to the host a moment later.
    async fn forget_lost(&mut self, applied: &mut Applied) -> Result<(), KeepError> {
        let begun = Instant::now();
        let mut waited = false;
        loop {
            let observed = self.observe(&Desired::default()).await?;
            let mut lost = lost_interfaces(&observed);
            // A namespace of the domain's name that is not ours may have it.
            lost.retain(|(_, record)| self.machine.namespace(&record.domain).is_err());
            if lost.is_empty() && !waited {
                return Ok(());
            }
            if lost.is_empty() || begun.elapsed() > RETURNS_WITHIN {
                for (name, record) in lost {
                    self.machine.forget_interface(name)?;
                    let words = format!(
                        "interface {name} of domain {} is gone; forgotten is what it had in the host: {record}",
                        record.domain
                    );
                    tracing::warn!("{words}");
                    applied.notes.push(words);
                }
                break;
            }
            waited = true;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let rest = self.bring_to(Desired::default(), Reason::Order).await?;
        applied.done += rest.done;
        applied.notes.extend(rest.notes);
        applied.problems.extend(rest.problems);
        Ok(())
    }

    async fn bring_to(&mut self, desired: Desired, reason: Reason) -> Result<Applied, KeepError> {
        let mut observed = self.observe(&desired).await?;
        let corrected = by_hand::correct(&mut observed, &desired, &self.layout).await;
        let todo = plan(&desired, &observed, &self.layout).map_err(refused)?;
        // What a daemon is told is the difference to what it has.
        for (name, text) in corrected {
            self.processes.remember_config(&name, &text);
        }
        self.carry_out(&desired, &observed, todo, reason).await
    }

    /// Does what was planned, and observes again.
    pub(super) async fn carry_out(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        todo: Plan,
        reason: Reason,
    ) -> Result<Applied, KeepError> {
        let begun = Instant::now();
        let going = self.going(&todo);
        let mut recover = known_domains(observed);
        self.adopt(observed).await;
        let mut applied = Applied::default();
        for missing in &todo.missing {
            applied.problem(&missing.domain, repair::is_missing(missing));
        }
        for name in &todo.bare {
            let words = format!(
                "interface {name} goes back to the host without the addresses, routes and state that it had there: \
                 no record of it is left"
            );
            tracing::warn!("{words}");
            applied.notes.push(words);
        }
        for words in todo.not_given_back() {
            tracing::warn!("{words}");
        }
        if todo.is_empty() {
            self.machine.rest();
            return Ok(applied);
        }
        self.stop_unwanted(desired, &todo, &mut applied).await;
        let (steps, domains) = (todo.steps.len(), count_domains(&todo));
        tracing::info!(steps, domains, ?reason, "{} in {}", count(steps, "step"), count(domains, "domain"));
        let mut outcome = Outcome::default();
        let mut started = Vec::new();
        for (stage, domains) in todo.stages() {
            match stage {
                Stage::StopDaemons => outcome.keep(self.stop_daemons(domains.keys(), &mut applied).await),
                Stage::Daemons => {
                    recover.extend(self.end_strays(domains.keys()).await);
                    let mut steps: Vec<Step> = domains.into_values().flatten().collect();
                    // The one with the most sessions first: each session waits for its end to come up, which then counts
                    // down to its first connection while the others are started.
                    let links =
                        |step: &Step| desired.domains.get(&step.domain).map_or(0, |wanted| wanted.interfaces.len());
                    steps.sort_by_key(|step| std::cmp::Reverse(links(step)));
                    for step in steps.into_iter().filter(|step| !outcome.is_broken(&step.domain)) {
                        self.daemon_step(&step, desired, &recover, &mut applied).await;
                        started.push(step);
                    }
                }
                Stage::Tighten => self.tighten(domains, &mut outcome).await?,
                Stage::Notes => {
                    Box::pin(self.note_again(domains.into_values().flatten().collect(), &mut outcome)).await;
                }
                _ => apply::stage(&self.machine, stage, domains, &mut outcome).await,
            }
            if stage == Stage::Namespaces {
                self.quarantine(&outcome, observed).await;
            }
        }
        applied.done += outcome.done;
        for FailedStep { step, error } in outcome.failed {
            applied.fail(step, error);
        }
        if reason == Reason::Order {
            self.await_daemons(started, &mut applied).await;
        }
        self.tell_of_left(going, &mut applied).await;
        self.verify(desired, &mut applied).await;
        let (took_ms, problems) = (apply::milliseconds(begun), applied.problems.len());
        tracing::debug!(steps, done = applied.done, problems, took_ms, "{} of {steps} steps done", applied.done);
        self.machine.rest();
        Ok(applied)
    }

    /// The namespaces that a plan removes.
    fn going(&self, todo: &Plan) -> BTreeMap<u64, DomainName> {
        let gone = todo.steps().filter(|step| matches!(step.action, Action::RemoveNamespace));
        gone.filter_map(|step| Some((self.machine.namespace(&step.domain).ok()?.inode(), step.domain.clone())))
            .collect()
    }

    /// Whoever runs in a namespace that was removed goes on in it, and is found by nobody who does not know.
    async fn tell_of_left(&self, gone: BTreeMap<u64, DomainName>, applied: &mut Applied) {
        if gone.is_empty() {
            return;
        }
        let domains = gone.clone();
        let found = tokio::task::spawn_blocking(move || in_namespaces(|namespace| gone.contains_key(&namespace)));
        let left = match found.await.map_err(std::io::Error::other).flatten() {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!("cannot look for what still runs in namespaces that are gone: {error}");
                return;
            }
        };
        for Listed { pid, command, namespace, .. } in left {
            let Some(domain) = domains.get(&namespace) else { continue };
            let command = harmless(&command);
            let words = format!("{domain} is gone, and process {pid} ({command}) goes on in its namespace: kill {pid}");
            tracing::warn!(%domain, pid, "{words}");
            applied.notes.push(words);
        }
    }

    /// Loads filters beside the old ones: all of them, or none. A domain that went on alone would open what another, which
    /// has to stay behind its old filter, was to close.
    async fn tighten(&self, domains: BTreeMap<DomainName, Vec<Step>>, outcome: &mut Outcome) -> Result<(), KeepError> {
        let steps: Vec<Step> = domains.values().flatten().cloned().collect();
        apply::stage(&self.machine, Stage::Tighten, domains, outcome).await;
        if outcome.failed.is_empty() {
            return Ok(());
        }
        // One that failed made no table: what has its name may be someone else's.
        let done = steps.iter().filter(|step| outcome.failed.iter().all(|failed| &failed.step != *step));
        for step in done.filter_map(Step::undo) {
            if let Err(error) = Hands::execute(&*self.machine, &step).await {
                tracing::error!(domain = %step.domain, "{step}: {error}");
            }
        }
        Err(KeepError::Filters(std::mem::take(&mut outcome.failed)))
    }

    /// Writes again what is remembered and was lost. The network does without: where that cannot be it is told, and tried later.
    async fn note_again(&mut self, steps: Vec<Step>, outcome: &mut Outcome) {
        self.notes_failed = None;
        for step in steps {
            match Hands::execute(&*self.machine, &step).await {
                Ok(()) => outcome.done += 1,
                Err(error) => {
                    tracing::warn!(domain = %step.domain, "what is remembered is not kept there: {error}");
                    self.notes_failed = Some(Instant::now());
                }
            }
        }
    }

    /// A domain whose filter is gone and cannot be loaded loses its links and its interfaces rather than be open. One whose new
    /// filter cannot be loaded has its old one, and whatever was stacked on it.
    async fn quarantine(&self, outcome: &Outcome, observed: &Observed) {
        let is_open = |name: &DomainName, domain: &ObservedDomain| {
            outcome.is_broken(name)
                && domain.namespace.is_ours()
                && domain.filter.as_ref().is_none_or(|filter| filter.text.is_none())
        };
        for (name, _) in observed.domains.iter().filter(|(name, domain)| is_open(name, domain)) {
            tracing::error!(domain = %name, "its packet filter could not be loaded: what leads into it goes down");
            if let Err(error) = self.machine.close(name).await {
                tracing::error!(domain = %name, "{error}");
            }
        }
    }

    /// Observes again: what is still to do was not done, whatever the kernel said.
    async fn verify(&self, desired: &Desired, applied: &mut Applied) {
        match self.observe(desired).await {
            Ok(observed) => {
                let (rest, conflicts) = plan_around(desired, &observed, &self.layout);
                for conflict in conflicts {
                    applied.problem(&conflict.domain(), repair::in_the_way(&conflict));
                }
                for (_, step) in rest.steps.iter().filter(|(stage, _)| *stage != Stage::Notes) {
                    let is_daemon = matches!(step.action, Action::StartDaemon { .. });
                    // A daemon that is being restarted is reported by its own state.
                    if !is_daemon && !applied.problems.contains_key(&step.domain) {
                        applied.fail(step.clone(), "still to do after it was done".to_owned());
                    }
                }
            }
            Err(error) => tracing::warn!("cannot verify: {error}"),
        }
    }
}

/// Nothing is done, because of these.
fn refused(conflicts: Vec<Conflict>) -> KeepError {
    for conflict in &conflicts {
        tracing::debug!(conflict = %conflict, "in the way: {conflict}");
    }
    KeepError::Conflicts(conflicts)
}

/// Domains that were there before: their kernel routes may be those of a daemon that was lost.
fn known_domains(observed: &Observed) -> BTreeSet<DomainName> {
    observed.domains.iter().filter(|(_, domain)| domain.namespace.is_ours()).map(|(name, _)| name.clone()).collect()
}

fn count_domains(plan: &Plan) -> usize {
    plan.steps().map(|step| &step.domain).collect::<BTreeSet<_>>().len()
}

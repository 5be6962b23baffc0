//! Carrying out a plan: stage by stage, the domains of a stage at the same time.
//!
//! A step that fails stops what depends on it and nothing else: a domain whose filter could not be loaded gets no link, an
//! interface that could not be made gets no address, and every other domain goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::model::{DomainName, InterfaceName};
use crate::plan::{Action, Stage, Step};
use crate::sys::fault;

/// How many domains are worked on at the same time. Loading a filter is mostly waiting for the kernel (RCU), so more than
/// there are processors; measured best near 8.
const AT_ONCE: usize = 8;

/// What carries out a single step: the machine, or a fake in tests.
pub trait Hands: Send + Sync + 'static {
    /// Does one step; the error is in the kernel's or daemon's own words.
    fn execute(&self, step: &Step) -> impl Future<Output = Result<(), String>> + Send;
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStep {
    /// The step.
    pub step: Step,
    /// Why, in the kernel's or daemon's own words.
    pub error: String,
}

impl fmt::Display for FailedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "domain {}: {}: {}", self.step.domain, self.step, self.error)
    }
}

/// What came of a plan, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many steps were done.
    pub done: usize,
    /// The steps that failed.
    pub failed: Vec<FailedStep>,
    /// How many steps were not tried, because what they need had failed.
    pub skipped: usize,
    broken: Broken,
}

/// What later steps must not build upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Broken {
    domains: BTreeSet<DomainName>,
    interfaces: BTreeSet<(DomainName, InterfaceName)>,
    /// Domains that should go and of which something stays.
    kept: BTreeSet<DomainName>,
}

impl Outcome {
    /// Whether `domain` lacks what everything else in it needs, its filter above all.
    pub fn is_broken(&self, domain: &DomainName) -> bool {
        self.broken.domains.contains(domain)
    }

    /// Of these domains something stays that should go: what tells of them stays too.
    pub fn keep(&mut self, domains: impl IntoIterator<Item = DomainName>) {
        self.broken.kept.extend(domains);
    }
}

/// Carries out the steps of one stage, those of each domain in their order.
pub async fn stage<H: Hands>(
    hands: &Arc<H>,
    stage: Stage,
    domains: BTreeMap<DomainName, Vec<Step>>,
    outcome: &mut Outcome,
) {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (_, steps) in domains {
        let (hands, gate, broken) = (hands.clone(), gate.clone(), outcome.broken.clone());
        tasks.spawn(async move {
            let _permit = gate.acquire().await;
            in_domain(&*hands, stage, steps, broken).await
        });
    }
    while let Some(part) = tasks.join_next().await {
        // A task only ends early when the runtime itself does.
        let Ok(part) = part else { continue };
        outcome.done += part.done;
        outcome.skipped += part.skipped;
        outcome.failed.extend(part.failed);
        outcome.broken.domains.extend(part.broken.domains);
        outcome.broken.interfaces.extend(part.broken.interfaces);
        outcome.broken.kept.extend(part.broken.kept);
    }
}

async fn in_domain<H: Hands>(hands: &H, stage: Stage, steps: Vec<Step>, broken: Broken) -> Outcome {
    let mut outcome = Outcome { broken, ..Outcome::default() };
    for step in in_order(steps) {
        if !outcome.broken.permits(&step) {
            outcome.broken.note(stage, &step);
            outcome.skipped += 1;
            continue;
        }
        let begun = Instant::now();
        let result = carry_out(hands, &step).await;
        let (line, took_ms) = (step.origin.line, milliseconds(begun));
        match result {
            Ok(()) => {
                let cause = step.cause.as_deref();
                tracing::debug!(domain = %step.domain, cause, stage = stage.as_str(), line, took_ms, "{step}");
                outcome.done += 1;
            }
            Err(error) => {
                let cause = step.cause.as_deref();
                tracing::error!(domain = %step.domain, cause, stage = stage.as_str(), line, took_ms, "{step}: {error}");
                outcome.broken.note(stage, &step);
                outcome.failed.push(FailedStep { step, error });
            }
        }
    }
    outcome
}

/// Does one step, between two places at which the fault suite may strike.
async fn carry_out<H: Hands>(hands: &H, step: &Step) -> Result<(), String> {
    fault::point("step")?;
    hands.execute(step).await?;
    fault::point("step")
}

/// The steps in the order of the plan; where the fault suite takes that protection away, filters come last.
fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    if fault::is_off("order") {
        steps.sort_by_key(|step| matches!(step.action, Action::LoadFilter { .. }));
    }
    steps
}

/// The time since then, as it is logged.
pub fn milliseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Broken {
    /// Whether everything that a step builds upon is sound.
    fn permits(&self, step: &Step) -> bool {
        let domain = &step.domain;
        if matches!(step.action, Action::RemoveNamespace | Action::RemovePath { .. }) {
            return !self.kept.contains(domain);
        }
        if is_teardown(&step.action) {
            return true;
        }
        let ends_are_sound = match &step.action {
            Action::AddVeth { ends, .. } => ends.iter().all(|end| !self.domains.contains(&end.domain)),
            _ => true,
        };
        let interface_is_sound =
            interface(&step.action).is_none_or(|name| !self.interfaces.contains(&(domain.clone(), name.clone())));
        !self.domains.contains(domain) && ends_are_sound && interface_is_sound
    }

    /// Remembers what a step that failed, or was not tried, leaves unsound.
    fn note(&mut self, stage: Stage, step: &Step) {
        match (stage, &step.action) {
            (Stage::Files | Stage::Namespaces, _) => drop(self.domains.insert(step.domain.clone())),
            // A namespace takes along what is still in it; without its files nobody would look for it again, and without its
            // record an interface would not get what is still missing.
            (Stage::RemoveDomains | Stage::Restore, _) | (_, Action::ReturnInterface { .. }) => {
                self.kept.insert(step.domain.clone());
            }
            (_, Action::AddVeth { ends, .. }) => {
                self.interfaces.extend(ends.iter().map(|end| (end.domain.clone(), end.interface.clone())));
            }
            (Stage::Links | Stage::Addresses, action) => {
                if let Some(name) = interface(action) {
                    self.interfaces.insert((step.domain.clone(), name.clone()));
                }
            }
            _ => {}
        }
    }
}

/// Taking away goes on whatever has failed: the more is gone the better. What a domain is found by again goes last, and only
/// with all the rest.
fn is_teardown(action: &Action) -> bool {
    matches!(
        action,
        Action::RemovePath { .. }
            | Action::RemoveNamespace
            | Action::RemoveFilter
            | Action::RemoveLink { .. }
            | Action::ReturnInterface { .. }
            | Action::SetDown { .. }
            | Action::RemoveAddress { .. }
            | Action::RemoveRoute(_)
    )
}

/// The interface that a step needs.
fn interface(action: &Action) -> Option<&InterfaceName> {
    match action {
        Action::SetAlias { name, .. }
        | Action::SetMtu { name, .. }
        | Action::SetUp { name }
        | Action::RenameLink { to: name, .. }
        | Action::AddAddress { name, .. }
        | Action::ClaimInterface { name } => Some(name),
        Action::AddRoute(route) => route.dev.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::model::Origin;
    use crate::plan::{Plan, VethEnd};

    /// Hands that refuse some steps and remember the others.
    struct FakeHands {
        refused: &'static str,
        done: Mutex<BTreeMap<DomainName, Vec<String>>>,
    }

    impl Hands for FakeHands {
        async fn execute(&self, step: &Step) -> Result<(), String> {
            let line = step.to_string();
            if line.contains(self.refused) {
                return Err("Operation not permitted".to_owned());
            }
            self.done.lock().unwrap().entry(step.domain.clone()).or_default().push(line);
            Ok(())
        }
    }

    fn step(domain: &str, action: Action) -> Step {
        let domain = DomainName::new(domain).unwrap();
        Step { domain, action, cause: None, origin: Origin::default() }
    }

    fn small_plan() -> Plan {
        let mut steps = Vec::new();
        for domain in ["a", "b", "c"] {
            let action = Action::LoadFilter { path: "/f".into(), text: "".into(), stacked: BTreeSet::new() };
            steps.push((Stage::Namespaces, step(domain, action)));
        }
        for (first, second) in [("a", "b"), ("a", "c")] {
            let end = |here: &str, there: &str| VethEnd {
                domain: DomainName::new(here).unwrap(),
                interface: InterfaceName::new(format!("rd-{there}")).unwrap(),
            };
            let ends = [end(first, second), end(second, first)];
            for end in ends.clone() {
                steps.push((Stage::Addresses, step(end.domain.as_str(), Action::SetUp { name: end.interface })));
            }
            steps.push((Stage::Links, step(first, Action::AddVeth { ends, mtu: None })));
        }
        steps.sort_by_key(|(stage, _)| *stage);
        Plan { steps, ..Plan::default() }
    }

    async fn run(refused: &'static str) -> (Outcome, BTreeMap<DomainName, Vec<String>>) {
        let hands = Arc::new(FakeHands { refused, done: Mutex::default() });
        let mut outcome = Outcome::default();
        for (each, domains) in small_plan().stages() {
            stage(&hands, each, domains, &mut outcome).await;
        }
        let done = hands.done.lock().unwrap().clone();
        (outcome, done)
    }

    #[tokio::test]
    async fn a_domain_without_its_filter_gets_no_link_and_the_others_get_theirs() {
        let (outcome, done) = run("exec b nft").await;
        assert_eq!(outcome.failed.len(), 1);
        assert!(!done.contains_key("b"));
        let lines: Vec<&str> = done["a"].iter().map(String::as_str).collect();
        assert!(lines.contains(&"ip -n a link set rd-c up") && !lines.contains(&"ip -n a link set rd-b up"));
        assert_eq!(done["c"], ["ip netns exec c nft -f /f", "ip -n c link set rd-a up"]);
    }

    #[tokio::test]
    async fn a_domain_that_cannot_be_removed_whole_can_be_found_again() {
        for refused in ["link set wan netns 1", "netns delete a"] {
            let (interface, path) = (InterfaceName::new("wan").unwrap(), "/run/rdsup/a");
            let mut steps = Vec::new();
            for domain in ["a", "b"] {
                let back = Action::ReturnInterface { name: interface.clone() };
                steps.push((Stage::RemoveLinks, step(domain, back)));
                steps.push((Stage::RemoveDomains, step(domain, Action::RemoveNamespace)));
                steps.push((Stage::RemoveDomains, step(domain, Action::RemovePath { path: path.into() })));
            }
            let plan = Plan { steps, ..Plan::default() };
            let hands = Arc::new(FakeHands { refused, done: Mutex::default() });
            let mut outcome = Outcome::default();
            for (each, domains) in plan.stages() {
                stage(&hands, each, domains, &mut outcome).await;
            }
            let done = hands.done.lock().unwrap().clone();
            let a = done.get("a").cloned().unwrap_or_default();
            assert!(!a.iter().any(|line| line.starts_with("rm")), "{refused}: {a:?}");
            assert!(!refused.contains("wan") || a.is_empty(), "{a:?}");
            // `b` refuses the first too, since every interface has that name here.
            assert_eq!(done.contains_key("b"), !refused.contains("wan"));
        }
    }

    #[tokio::test]
    async fn a_link_that_cannot_be_made_leaves_the_other_link_working() {
        let (outcome, done) = run("peer name rd-a netns b").await;
        assert_eq!((outcome.failed.len(), outcome.skipped), (1, 2));
        assert!(done["a"].iter().any(|line| line.ends_with("rd-c up")));
        assert!(!done["a"].iter().any(|line| line.ends_with("rd-b up")));
    }
}

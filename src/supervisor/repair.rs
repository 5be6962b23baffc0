//! Bringing the machine back to what it should be, around whatever stands in the way, and remembering what was found.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::keeper::{Applied, KeepError, Keeper, Reason};
use super::prepare::Prepared;
use crate::control::Repair;
use crate::model::{DomainName, InterfaceName};
use crate::plan::{Action, Conflict, DesiredInterface, InterfaceKind, Missing, Plan, Stage, Step, found, plan_around};
use crate::sys::fault;

/// How many repairs are remembered, and for how long.
const REMEMBERED: usize = 10;
const FOR: SignedDuration = SignedDuration::from_hours(24);

/// How long what could not be written again waits for the next attempt.
const NOTES_AGAIN: Duration = Duration::from_mins(1);

/// What came of a repair.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// What was done, and what is not as it should be.
    pub applied: Applied,
    /// What was found, by domain; nothing where all was well.
    pub found: BTreeMap<DomainName, Vec<String>>,
    /// What no repair can help: something of others is in the way, or an interface is not there.
    pub standing: BTreeSet<(DomainName, String)>,
}

impl Repaired {
    /// What was tried in a domain and did not help.
    pub fn failures(&self, domain: &DomainName) -> Vec<String> {
        let problems = self.applied.problems.get(domain).into_iter().flatten();
        problems.filter(|words| !self.standing.contains(&(domain.clone(), (*words).clone()))).cloned().collect()
    }
}

/// What was repaired lately.
#[derive(Clone, Debug, Default)]
pub struct Repairs(VecDeque<Repair>);

impl Repairs {
    /// Remembers one.
    pub fn note(&mut self, repair: Repair) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(repair);
    }

    /// Those of the last day at this time, the last one last.
    pub fn lately(&self, now: Timestamp) -> Vec<Repair> {
        self.0.iter().filter(|repair| now.duration_since(repair.at) < FOR).cloned().collect()
    }
}

impl Keeper {
    /// Brings the machine back to what it should be, as far as nothing of others stands in the way.
    pub async fn repair(&mut self) -> Result<Repaired, KeepError> {
        if fault::is_off("repair") {
            return Ok(Repaired::default());
        }
        let desired = self.desired.clone();
        let observed = self.observe(&desired).await?;
        let (mut todo, conflicts) = plan_around(&desired, &observed, &self.layout);
        self.leave_to_supervision(&mut todo);
        let notes = self.take_notes(&mut todo);
        let found = found(&todo, &observed);
        todo.steps.extend(notes);
        // What was found in its domain is why a step is taken, where the plan has no nearer reason.
        for (_, step) in &mut todo.steps {
            let words = found.get(&step.domain).map(|found| found.join("; "));
            step.cause = step.cause.take().or(words);
        }
        // Daemons become ready while the loop goes on: a repair of something else must not wait for them.
        let missing = todo.missing.iter().map(|missing| (missing.domain.clone(), is_missing(missing)));
        let in_the_way = conflicts.iter().map(|conflict| (conflict.domain(), in_the_way(conflict)));
        let standing: BTreeSet<_> = missing.chain(in_the_way).collect();
        let mut applied = self.carry_out(&desired, &observed, todo, Reason::Drift).await?;
        for (domain, words) in &standing {
            applied.problem(domain, words.clone());
        }
        Ok(Repaired { applied, found, standing })
    }

    /// Brings the machine to what `prepared` wants as far as nothing of others stands in the way. That is for a network which has
    /// to be so again: one that is taken over, or that a change has to be taken back from.
    pub async fn bring_around(&mut self, prepared: &Prepared) -> Result<Applied, KeepError> {
        let desired = prepared.desired.clone();
        let observed = self.observe(&desired).await;
        // Whatever comes of it now, that is what the machine is repaired towards.
        self.desired = desired.clone();
        let observed = observed?;
        let (todo, conflicts) = plan_around(&desired, &observed, &self.layout);
        let applied = self.carry_out(&desired, &observed, todo, Reason::Order).await;
        self.machine().forget_rehearsal();
        let mut applied = applied?;
        for conflict in &conflicts {
            let (domain, words) = (conflict.domain(), in_the_way(conflict));
            tracing::warn!(%domain, "{words}");
            applied.problem(&domain, words);
        }
        applied.in_the_way = conflicts;
        Ok(applied)
    }

    /// Interfaces of the host whose comings and goings matter: those that a domain claims, and the host's own ends of links.
    pub fn of_host(&self) -> BTreeSet<InterfaceName> {
        let all = self.desired.domains.iter().flat_map(|(domain, wanted)| {
            let matters = |it: &DesiredInterface| domain.is_host() || it.kind == InterfaceKind::Physical;
            wanted.interfaces.iter().filter(move |(_, interface)| matters(interface))
        });
        all.map(|(name, _)| name.clone()).collect()
    }

    /// Takes away what is written again after it could not be: that is no news, and not worth trying at every turn. What is to be
    /// tried all the same is the answer.
    fn take_notes(&self, todo: &mut Plan) -> Vec<(Stage, Step)> {
        let Some(failed) = self.notes_failed else { return Vec::new() };
        let (notes, rest) = std::mem::take(&mut todo.steps).into_iter().partition(|(stage, _)| *stage == Stage::Notes);
        todo.steps = rest;
        if failed.elapsed() < NOTES_AGAIN { Vec::new() } else { notes }
    }

    /// A daemon that was lost is started again by its own machine, at the time that this sees fit.
    fn leave_to_supervision(&self, todo: &mut Plan) {
        todo.steps.retain(|(_, step)| {
            !matches!(step.action, Action::StartDaemon { .. }) || !self.processes.comes_back(&step.domain)
        });
    }
}

/// What is told of an interface that the host does not have.
pub fn is_missing(missing: &Missing) -> String {
    format!("interface {} is not there; it will be claimed when it appears", missing.interface)
}

/// What is told of something that a repair has to leave in the way.
pub fn in_the_way(conflict: &Conflict) -> String {
    let words = conflict.to_string();
    // It is told with the domain.
    let about = format!("domain {}: ", conflict.domain());
    words.strip_prefix(&about).map(str::to_owned).unwrap_or(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).expect("a time")
    }

    fn repair(hour: i64) -> Repair {
        let domain = DomainName::new("private").expect("a legal name");
        Repair { at: at(hour), domain, found: vec!["rd-internet was down".to_owned()], milliseconds: 7 }
    }

    #[test]
    fn the_last_ten_repairs_of_a_day_are_remembered() {
        let mut repairs = Repairs::default();
        for hour in 0..25 {
            repairs.note(repair(hour));
        }
        let times = |now| repairs.lately(at(now)).iter().map(|it| it.at.as_second() / 3600).collect::<Vec<_>>();
        assert_eq!(times(24), (15..25).collect::<Vec<_>>());
        assert_eq!(times(47), [24]);
        assert_eq!(times(48), Vec::<i64>::new());
    }
}

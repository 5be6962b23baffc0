//! Which generation is in force, which waits to be confirmed, and which came back out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of one boot. Neither a changed clock nor a suspended machine moves it (`CLOCK_BOOTTIME`); a reboot makes it
/// meaningless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The boot.
    pub boot_id: String,
    /// Time since then.
    pub since_boot: Duration,
}

/// A generation that goes unless somebody confirms it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its number.
    pub number: u64,
    /// What comes back.
    pub previous: u64,
    /// How long it was given.
    pub within: Duration,
    /// When that is over.
    pub deadline: Moment,
}

impl Pending {
    /// How much time is left at `now`; none after a reboot: who had to press the button could not confirm.
    pub fn left(&self, now: &Moment) -> Duration {
        if self.deadline.boot_id == now.boot_id {
            self.deadline.since_boot.saturating_sub(now.since_boot)
        } else {
            Duration::ZERO
        }
    }
}

/// `STATE_DIR/generations/ledger.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The generation in force, or that was when the network was last taken down.
    pub in_force: Option<u64>,
    /// The one that was in force before it.
    pub previous: Option<u64>,
    /// Set while the one in force waits to be confirmed.
    pub pending: Option<Pending>,
    /// Generations that came back out, with the reason. They are not taken up again unless somebody asks for it.
    #[serde(default)]
    pub reverted: BTreeMap<u64, String>,
}

impl Ledger {
    /// `number` is in force from now on.
    pub fn enter(&mut self, number: u64, pending: Option<Pending>) {
        if self.in_force != Some(number) {
            self.previous = self.in_force;
        }
        self.in_force = Some(number);
        self.pending = pending;
        self.reverted.remove(&number);
    }

    /// The one that waited stays. Answers with its number, or none if none waited.
    pub fn confirm(&mut self) -> Option<u64> {
        self.pending.take().map(|pending| pending.number)
    }

    /// The one in force comes out again and `to` is in force.
    pub fn revert(&mut self, to: u64, why: &str) {
        if let Some(out) = self.in_force.filter(|number| *number != to) {
            self.reverted.insert(out, why.to_owned());
        }
        self.pending = None;
        self.in_force = Some(to);
        self.previous = None;
        self.reverted.remove(&to);
    }

    /// The same because somebody asked for it, who may want to confirm that first.
    pub fn roll_back(&mut self, to: u64, why: &str, pending: Option<Pending>) {
        self.revert(to, why);
        self.pending = pending;
    }

    /// Brings the ledger to what really stands, which a supervisor that was killed between two notes left different.
    pub fn agree_with(&mut self, standing: u64) {
        if self.in_force == Some(standing) {
            return;
        }
        match &self.pending {
            Some(pending) if pending.previous == standing => self.revert(standing, "cut short"),
            _ => self.enter(standing, None),
        }
    }

    /// Forgets generations that are no longer kept.
    pub fn retain(&mut self, kept: impl Fn(u64) -> bool) {
        self.reverted.retain(|number, _| kept(*number));
        self.previous = self.previous.filter(|number| kept(*number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, seconds: u64) -> Moment {
        Moment { boot_id: boot.to_owned(), since_boot: Duration::from_secs(seconds) }
    }

    fn pending(number: u64, previous: u64) -> Pending {
        Pending { number, previous, within: Duration::from_mins(5), deadline: moment("a", 400) }
    }

    #[test]
    fn what_waits_is_confirmed_once() {
        let mut ledger = Ledger::default();
        ledger.enter(6, None);
        ledger.enter(7, Some(pending(7, 6)));
        assert_eq!(ledger.confirm(), Some(7));
        assert_eq!(ledger.confirm(), None);
        assert_eq!((ledger.in_force, ledger.previous), (Some(7), Some(6)));
    }

    #[test]
    fn what_is_not_confirmed_comes_out_and_is_known_for_it() {
        let mut ledger = Ledger::default();
        ledger.enter(6, None);
        ledger.enter(7, Some(pending(7, 6)));
        ledger.revert(6, "not confirmed");
        assert_eq!((ledger.in_force, ledger.pending.as_ref()), (Some(6), None));
        assert_eq!(ledger.reverted[&7], "not confirmed");
        ledger.enter(7, None);
        assert!(ledger.reverted.is_empty(), "asked for again, it is like any other");
    }

    #[test]
    fn time_is_left_until_the_deadline_and_none_after_a_reboot() {
        let pending = pending(7, 6);
        assert_eq!(pending.left(&moment("a", 100)), Duration::from_mins(5));
        assert_eq!(pending.left(&moment("a", 400)), Duration::ZERO);
        assert_eq!(pending.left(&moment("a", 4000)), Duration::ZERO);
        assert_eq!(pending.left(&moment("b", 1)), Duration::ZERO);
    }

    #[test]
    fn a_ledger_follows_what_stands() {
        let mut ledger = Ledger::default();
        ledger.enter(6, None);
        ledger.enter(7, Some(pending(7, 6)));
        let mut before = ledger.clone();
        before.agree_with(6);
        assert_eq!((before.in_force, before.pending.is_none()), (Some(6), true), "killed while it went back");
        assert!(before.reverted.contains_key(&7));
        ledger.agree_with(7);
        assert!(ledger.pending.is_some(), "nothing to do");
        ledger.agree_with(9);
        assert_eq!((ledger.in_force, ledger.pending.is_none()), (Some(9), true));
    }

    #[test]
    fn a_rollback_that_is_not_confirmed_is_as_if_it_had_not_been() {
        let mut ledger = Ledger::default();
        ledger.enter(6, None);
        ledger.enter(7, None);
        ledger.roll_back(6, "rolled back", Some(pending(6, 7)));
        assert!(ledger.reverted.contains_key(&7));
        ledger.revert(7, "not confirmed");
        assert_eq!((ledger.in_force, ledger.reverted.contains_key(&7)), (Some(7), false));
    }

    #[test]
    fn going_back_twice_does_not_go_forth() {
        let mut ledger = Ledger::default();
        for number in 1..=3 {
            ledger.enter(number, None);
        }
        ledger.revert(2, "rollback");
        assert_eq!(ledger.previous, None, "what comes before 2 is the number before it");
    }
}

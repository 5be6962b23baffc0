//! When the machine is compared with what it should be.

use std::time::Duration;

use tokio::time::Instant;

/// What comes within this time after the first event is looked at once.
const BURST: Duration = Duration::from_millis(3);
/// Between comparisons passes this many times what one takes, so that whoever changes things all day takes at most a fifth of
/// one processor from the rest.
const REST: u32 = 4;
/// But no event waits longer.
const NO_LONGER: Duration = Duration::from_millis(500);
/// Without events, for what has none (sysctls, files): this often, or more seldom where it takes long.
const SELDOM: Duration = Duration::from_secs(5);
const SELDOM_TIMES: u32 = 50;
/// What could not be repaired is tried again after this time, then twice as long each time.
const AGAIN: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When the last comparison ended.
    ended: Instant,
    /// What one takes.
    cost: Duration,
    /// When the first event came that was not looked at yet.
    heard: Option<Instant>,
    /// How many repairs in a row did not help.
    failures: u32,
}

impl Pace {
    /// A machine that was just compared. What one takes is not known, so there is time for what has to come up now.
    pub fn new(now: Instant) -> Self {
        Self { ended: now, cost: NO_LONGER / REST, heard: None, failures: 0 }
    }

    /// Something was heard.
    pub fn hear(&mut self, now: Instant) {
        self.heard.get_or_insert(now);
    }

    /// Whether something was heard that was not looked at yet.
    pub fn has_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// A comparison begins: it sees what happened until now.
    pub fn begin(&mut self) {
        self.heard = None;
    }

    /// It has ended after this time. One that had to repair something took longer than the next will.
    pub fn end(&mut self, now: Instant, took: Duration, repaired: bool, failed: bool) {
        self.ended = now;
        self.cost = if repaired { self.cost.min(took) } else { took };
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
    }

    /// When the next one is due.
    pub fn due(&self) -> Instant {
        let seldom = SELDOM.max(self.cost * SELDOM_TIMES);
        let again = AGAIN.saturating_mul(1 << self.failures.saturating_sub(1).min(10));
        let by_itself = self.ended + if self.failures > 0 { again.min(seldom) } else { seldom };
        match self.heard {
            None => by_itself,
            Some(heard) => by_itself.min((heard + BURST).max(self.ended + (self.cost * REST).min(NO_LONGER))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn after(cost: Duration) -> (Pace, Instant) {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.begin();
        pace.end(now, cost, false, false);
        (pace, now)
    }

    #[test]
    fn the_first_event_after_a_quiet_time_is_looked_at_once_its_burst_is_over() {
        let (mut pace, now) = after(ms(25));
        let heard = now + Duration::from_secs(2);
        pace.hear(heard);
        pace.hear(heard + ms(1));
        assert_eq!(pace.due(), heard + BURST);
    }

    #[test]
    fn between_comparisons_passes_four_times_what_one_takes_and_never_more_than_half_a_second() {
        for (cost, wait) in [(ms(25), ms(100)), (ms(300), ms(500)), (Duration::ZERO, ms(4))] {
            let (mut pace, now) = after(cost);
            pace.hear(now + ms(1));
            assert_eq!(pace.due(), now + wait.max(ms(4)), "{cost:?}");
        }
    }

    #[test]
    fn without_events_it_is_due_every_five_seconds_or_after_fifty_times_what_it_takes() {
        for (cost, wait) in [(ms(25), Duration::from_secs(5)), (ms(400), Duration::from_secs(20))] {
            let (pace, now) = after(cost);
            assert_eq!(pace.due(), now + wait);
        }
    }

    #[test]
    fn what_could_not_be_repaired_is_tried_again_ever_more_seldom() {
        let (mut pace, now) = after(ms(1));
        let waits: Vec<Duration> = (0..6)
            .map(|_| {
                pace.end(now, ms(900), true, true);
                pace.due() - now
            })
            .collect();
        assert_eq!(waits, [ms(500), ms(1000), ms(2000), ms(4000), ms(5000), ms(5000)]);
        pace.end(now, ms(900), true, false);
        assert_eq!(pace.due(), now + SELDOM);
    }
}

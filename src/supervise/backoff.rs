//! Delays between restarts.

use std::time::Duration;

use super::{FIRST_DELAY, LONGEST_DELAY};

/// Exponential delays with jitter, so that fifty daemons that died of one cause do not all come back in one instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    attempt: u32,
    random: u64,
}

impl Backoff {
    /// Delays whose jitter follows from `seed` alone.
    pub fn new(seed: u64) -> Self {
        // Xorshift never leaves zero.
        Self { attempt: 0, random: seed | 1 }
    }

    /// The next delay: between half and all of the doubled previous one, from [`FIRST_DELAY`] to [`LONGEST_DELAY`].
    pub fn next_delay(&mut self) -> Duration {
        let whole = FIRST_DELAY.saturating_mul(1 << self.attempt.min(16)).min(LONGEST_DELAY);
        self.attempt = self.attempt.saturating_add(1);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = whole / 2;
        let jitter = u32::try_from(self.random % 1001).unwrap_or(0);
        (half + half * jitter / 1000).max(FIRST_DELAY)
    }

    /// Starts again from [`FIRST_DELAY`].
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

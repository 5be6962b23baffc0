//! Time that no change of the clock moves.

use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long the machine has been up, time asleep included (`CLOCK_BOOTTIME`).
pub fn since_boot() -> io::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?))
}

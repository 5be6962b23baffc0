//! One process's life as a pure machine: state and event in, state and actions out.
//!
//! The machine starts nothing and signals nothing. Its driver feeds it what happened (`Event`) with the time at which it
//! happened, does what it answers (`Action`) in that order, and calls again with [`Event::Tick`] when
//! [`Machine::next_deadline`] has come. The whole policy is the table in `table.rs`; how a rule of it is carried
//! out is in `machine.rs`.

mod backoff;
mod machine;
mod report;
mod silence;
mod table;
#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use machine::{Action, Event, Machine, StopSignal};
pub use report::{ExitReason, Report};
pub use table::State;

use std::time::Duration;

/// The first delay before a restart; every further one doubles it.
pub const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay before a restart, and the delay between attempts of a process that has failed.
pub const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How long a process must run before its past is forgotten.
pub const STABLE_AFTER: Duration = Duration::from_mins(1);
/// More restarts than this within [`RESTART_WINDOW`] are a failure.
pub const MOST_RESTARTS: usize = 10;
/// The time in which [`MOST_RESTARTS`] are counted.
pub const RESTART_WINDOW: Duration = Duration::from_mins(5);
/// How long a process may take until it is ready, and to load a configuration later. BIRD reads a million prefixes in
/// under a second; nothing that takes a minute will end.
pub const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long a process may take to leave when it is asked to.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long a process may be silent. It leaves time to replace it inside the links' hold time of 90 s.
pub const SILENT_FOR: Duration = Duration::from_secs(20);
/// How long a process may give no answer while it works. What tells it from a hung one is that it uses the processor, so a
/// configuration that somebody has it load by hand may take as long as one that we have it load. One that goes round in
/// circles is still replaced inside the hold time.
pub const BUSY_FOR: Duration = READY_WITHIN;
/// A process is hung only if it was asked this often in vain. When the whole machine stood still (a paused virtual machine,
/// swapping) the time is over before anything was asked.
pub const ASKED_AT_LEAST: u32 = 5;
/// How long a process that was hardly asked yet has in addition.
pub const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// How long after a loss neighbors can be expected to keep the routes of the process that was lost. A recovering daemon
/// waits for them, which later than this would only delay it.
pub const RECOVERABLE_FOR: Duration = Duration::from_secs(90);

//! Generations: every file that was applied, which of them is in force, and which still waits to be confirmed.
//!
//! ```text
//!                 apply            confirm
//!   generation 6 ──────▶ 7 pending ──────▶ 7 in force
//!        ▲                   │ time over, rollback, reboot
//!        └───────────────────┘ 7 reverted, 6 in force again
//! ```
//!
//! Nothing here reads a file or a clock; `sys::generations` keeps these values on disk.

mod diff;
mod generation;
mod ledger;

pub use diff::difference;
pub use generation::{Fallback, Generation, Snapshot, Standing};
pub use ledger::{Ledger, Moment, Pending};

//! The event loop that keeps the machine as the file wants it.
//!
//! ```text
//!  signals ──▶┌────────────┐  observe, plan, carry out   ┌──────────┐
//!  requests ─▶│ run::Loop  │────────────────────────────▶│  Keeper  │──▶ sys::Machine
//!  Drift ────▶│            │◀── happenings ──────────────│ Processes│──▶ routing daemons
//!    ▲        └─────┬──────┘                             └──────────┘
//!    └─ events and time; filters are put back beside the loop (guard)
//!                   └──▶ View ──▶ Requests (what only looks is answered without the loop)
//! ```
//!
//! There is one loop, and nothing else changes the machine but `guard`, which puts back filters that were lost. So requests
//! are carried out one after the other; the files that they name are read beside it, by `aside`. `prepare` turns a file (or a
//! generation that was kept, see `sources`) into something that can be applied, `validate` has it read by the daemons'
//! parsers, `apply` carries out the stages of a plan, `processes` feeds the supervision machines.

mod apply;
mod aside;
mod by_hand;
mod commands;
mod daemons;
mod drift;
mod events;
mod failure;
mod generations;
mod guard;
mod keeper;
mod kept;
mod logging;
mod opening;
mod outlook;
mod pace;
mod prepare;
mod processes;
mod repair;
mod report;
mod requests;
mod resets;
mod run;
mod service;
mod sources;
mod standing;
mod undo;
mod validate;

pub use failure::{RunError, unsupervised};
pub use keeper::{Applied, KeepError};
pub use kept::history;
pub use logging::Verbosity;
pub use outlook::{Outlook, outlook};
pub use prepare::{Disclosure, Fault, PrepareError, Prepared, prepare};
pub use report::count;
pub use run::{Options, run, tear_down};
pub use sources::Sources;
pub use standing::{Standing, standing};
pub use undo::ChangeError;
pub use validate::validate;

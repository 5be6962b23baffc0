//! `rdsup confirm`: what waits to be confirmed stays.

use super::{Exit, Failure, Global, apply};
use crate::control::Request;

/// Keep what `apply --confirm` or `rollback --confirm` brought
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup apply --confirm 5m       change, and go back in five minutes
  rdsup confirm                  you can still reach the machine: stay

rdsup status shows how much time is left; rdsup rollback goes back at once.")]
pub struct Args {}

/// Runs the verb.
pub fn run(global: &Global, _: &Args) -> Result<Exit, Failure> {
    apply::change(global, &Request::Confirm {})
}

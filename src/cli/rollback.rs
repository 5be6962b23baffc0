//! `rdsup rollback`: an earlier generation comes back.

use std::time::Duration;

use super::{Exit, Failure, Global, apply};
use crate::control::Request;

/// Go back to an earlier generation
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup rollback                 the one before; what waits to be confirmed is taken back at once
  rdsup rollback 6               this one; rdsup history shows what is kept
  rdsup rollback 6 --confirm 5m  and forth again in five minutes, unless: rdsup confirm

The configuration file stays as it is: the next apply takes it. Passwords are read from their own files \
as those are now.")]
pub struct Args {
    /// Which generation
    #[arg(value_name = "N", value_parser = super::number::generation)]
    pub to: Option<u64>,

    /// Go forth again after this time, unless `rdsup confirm` comes before
    #[arg(long, value_name = "TIME", value_parser = super::time::parse_confirm)]
    pub confirm: Option<Duration>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let confirm = args.confirm.map(|time| time.as_secs());
    apply::change(global, &Request::Rollback { to: args.to, confirm })
}

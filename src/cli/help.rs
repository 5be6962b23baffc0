//! `rdsup help`: the same as `--help`, for whoever types it this way.

use clap::CommandFactory as _;

use super::{Cli, Exit, Failure};

/// Print this help, or that of a command
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The command
    pub command: Option<String>,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let words = ["rdsup"].into_iter().chain(args.command.as_deref()).chain(["--help"]);
    match Cli::command().try_get_matches_from(words) {
        // Asked for help, clap answers with an error that is none.
        Err(answer) => answer.exit(),
        Ok(_) => Ok(Exit::Done),
    }
}

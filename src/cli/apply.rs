//! `rdsup apply`: read the file again and bring the machine to it.

use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::control::{Client, Request};

/// Read the configuration file again and change what has changed
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup plan && rdsup apply      what would change; change it

The same as SIGHUP to the supervisor, but you see what came of it. A file with errors changes nothing.")]
pub struct Args {}

/// Runs the verb.
pub fn run(global: &Global, _: &Args) -> Result<Exit, Failure> {
    let layout = layout_of(global);
    super::output::runtime()?.block_on(async {
        let mut client = Client::connect(&layout.control_socket()).await?;
        client
            .call_with_progress(&Request::Apply {}, |line| {
                if !global.quiet {
                    println!("{line}");
                }
            })
            .await?;
        Ok(Exit::Done)
    })
}

//! `rdsup schema`: the JSON schema of the configuration, for editors.

use std::io::Write;

use super::{Exit, Failure};
use crate::config;

/// Print the JSON schema of the configuration file, for editors
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Prints the schema on standard output.
pub fn run(_: &Args) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&config::schema()).map_err(Failure::new)?;
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{text}") {
        // A reader such as `head` may have seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(error)),
        _ => Ok(Exit::Done),
    }
}

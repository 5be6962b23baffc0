//! `rdsup apply`: read the file again and bring the machine to it.

use std::path::PathBuf;
use std::time::Duration;

use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::control::{Client, Reply, Request};

/// Read the configuration file again and change what has changed: all of it, or nothing
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup plan && rdsup apply      what would change and which sessions reset; change it
  rdsup apply --confirm 5m       and go back in five minutes, unless: rdsup confirm
  rdsup apply /tmp/new.toml      another file, until the next apply
  rdsup apply --json             the generation, the resets and the problems, for programs

The same as SIGHUP to the supervisor, but you see what came of it. A file with errors changes nothing. \
If a step fails, what was done is taken back. The time to confirm goes on when the supervisor dies, \
and a reboot counts as no confirmation.")]
pub struct Args {
    /// Another file than the supervisor's own
    pub file: Option<PathBuf>,

    /// Go back after this time, unless `rdsup confirm` comes before
    #[arg(long, value_name = "TIME", value_parser = super::time::parse_confirm)]
    pub confirm: Option<Duration>,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let absolute = |path: &PathBuf| std::path::absolute(path).map_err(Failure::new);
    let file = args.file.as_ref().map(absolute).transpose()?;
    // Whoever names a configuration means that one; the default only says where the supervisor is.
    let config = if global.config_named { Some(absolute(&global.config)?) } else { None };
    change(global, &Request::Apply { file, config, confirm: args.confirm.map(|time| time.as_secs()) })
}

/// Has the supervisor change something and shows how far it is.
pub(super) fn change(global: &Global, request: &Request) -> Result<Exit, Failure> {
    let layout = layout_of(global);
    super::output::runtime()?.block_on(async {
        let mut client = Client::connect(&layout.control_socket()).await?;
        let reply = client
            .call_with_progress(request, |line| {
                if !global.quiet && !global.json {
                    super::output::say(line);
                }
            })
            .await?;
        match reply {
            Reply::Changed(change) if global.json => super::output::print_json(&change)?,
            _ => {}
        }
        Ok(Exit::Done)
    })
}

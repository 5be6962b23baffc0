//! `rdsup stop`: take the network down, or only the supervisor.

use super::output::tell;
use super::place::layout_of;
use super::{Exit, Failure, Global, start};
use crate::control::{Client, ClientError, Request};
use crate::supervisor;

/// Take everything down: daemons, links, namespaces; interfaces go back to the host as they were.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup stop            also when the supervisor is gone and the network was left standing
  rdsup stop --keep     stop only the supervisor; the network stays and the next start takes it over

What was started in a domain, as with `rdsup exec`, is not ended: stop names every such process. It goes on in its namespace, \
which has neither a name nor a link any more. See `rdsup ps` before.")]
pub struct Args {
    /// Leave the network standing
    #[arg(long)]
    pub keep: bool,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let layout = layout_of(global);
    let runtime = super::runtime()?;
    let request = Request::Stop { keep: args.keep };
    let asked = runtime.block_on(async {
        let mut client = Client::connect(&layout.control_socket()).await?;
        let quiet = global.quiet || global.json;
        client
            .call_with_progress(&request, |line| {
                if !quiet {
                    tell(line);
                }
            })
            .await
    });
    match asked {
        Ok(_) => Ok(Exit::Done),
        // Nobody is there to ask: what was left standing is taken down from here.
        Err(ClientError::NotRunning(_)) if !args.keep => {
            let applied = runtime.block_on(supervisor::tear_down(&layout, start::verbosity(global)))?;
            if applied.done == 0 && !global.quiet {
                tell(format_args!(
                    "nothing to stop: no supervisor runs and nothing of {} stands",
                    layout.run_dir.display()
                ));
            }
            Ok(Exit::Done)
        }
        Err(ClientError::NotRunning(_)) => {
            if !global.quiet {
                tell(match supervisor::standing(&layout) {
                    Some(_) => "no supervisor runs; the network stays, and rdsup start takes it over".to_owned(),
                    None => format!("no supervisor runs, and nothing of {} stands", layout.run_dir.display()),
                });
            }
            Ok(Exit::Done)
        }
        Err(error) => Err(error.into()),
    }
}

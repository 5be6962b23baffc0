//! `rdsup start`: run the supervisor.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

use super::{Exit, Failure, Global};
use crate::supervisor::{self, Verbosity};
use crate::sys::handover::Handover;
use crate::sys::notify;
use crate::sys::process::{ExitStatus, Spawn};

/// Start every domain of the configuration file and keep it running.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup start                     in the foreground; Ctrl-C takes everything down again
  rdsup start --detach --wait     in the background; returns when every session is Established
  rdsup -c lab.toml start         another file

Where a network stands already, start takes it over as it is, every session kept, even if the file \
has changed meanwhile: `rdsup apply` (or --apply here) brings the change.

Signals:
  SIGINT, by Ctrl-C at a terminal, takes the network down
  SIGTERM leaves it standing; the next start takes it over with every session kept
  SIGHUP reads the file again and applies it")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct Args {
    /// Go to the background when the network stands
    #[arg(long)]
    pub detach: bool,

    /// Apply the file even where a network stands that was made from another version of it
    #[arg(long)]
    pub apply: bool,

    /// Where the file has errors and no network stands, start what was in force last: better than no network after a boot
    #[arg(long)]
    pub or_last: bool,

    /// Be ready only when every BGP session is Established, or after 60 s; with --detach the exit code is then 3
    #[arg(long)]
    pub wait: bool,

    /// Keep state here instead of where the file says
    #[arg(long, value_name = "DIR", hide = true)]
    pub state_dir: Option<PathBuf>,

    /// The background half of --detach
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// What a detached supervisor writes when the network stands, after which it is silent: all is well, or not all. Nothing
/// that it says to people holds these bytes.
const READY: u8 = 0;
const DEGRADED: u8 = 1;

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    if args.detach {
        return detach(global, args);
    }
    // Before anything else is opened: what was passed to this process is known by numbers alone.
    let handover = Handover::of(notify::kept());
    let options = supervisor::Options {
        config: global.config.clone(),
        state_dir: args.state_dir.clone(),
        apply: args.apply,
        or_last: args.or_last,
        interactive: !args.detached && std::io::stdin().is_terminal(),
        wait: args.wait,
        verbosity: match (args.detached, verbosity(global)) {
            // What a detached supervisor says until it is ready, its caller's terminal shows: only what is not well.
            (true, Verbosity::Normal) => Verbosity::Quiet,
            (_, verbosity) => verbosity,
        },
    };
    let detached = args.detached;
    let runtime = super::runtime()?;
    let result = runtime.block_on(supervisor::run(options, handover, move |applied| {
        if detached {
            // The caller waits for this mark.
            let mark = if applied.problems.is_empty() { READY } else { DEGRADED };
            let _ = std::io::Write::write_all(&mut std::io::stderr(), &[mark]);
            if let Err(error) = crate::sys::process::silence() {
                tracing::warn!("cannot close standard error: {error}");
            }
        }
    }));
    // A thread that waits for a file server would be waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(result.map(|()| Exit::Done)?)
}

/// What `-q` and `-v` mean.
pub(super) fn verbosity(global: &Global) -> Verbosity {
    match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, 1) => Verbosity::Verbose,
        (false, _) => Verbosity::Everything,
    }
}

/// Starts this program again in a session of its own and shows what it says until it is ready or over.
fn detach(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::new(format!("cannot find my own program: {error}")))?;
    let config = std::path::absolute(&global.config).unwrap_or_else(|_| global.config.clone());
    let mut spawn = Spawn::new(program).arg("--config").arg(config);
    if global.quiet {
        spawn = spawn.arg("--quiet");
    }
    for _ in 0..global.verbose {
        spawn = spawn.arg("--verbose");
    }
    spawn = spawn.args(["start", "--detached"]);
    if args.wait {
        spawn = spawn.arg("--wait");
    }
    for (given, flag) in [(args.apply, "--apply"), (args.or_last, "--or-last")] {
        if given {
            spawn = spawn.arg(flag);
        }
    }
    if let Some(directory) = &args.state_dir {
        spawn = spawn.arg("--state-dir").arg(directory);
    }
    let runtime = super::runtime()?;
    let _inside = runtime.enter();
    let (process, mut words) = spawn.new_session().spawn_heard()?;
    let mut buffer = [0; 4096];
    let mut ready = None;
    // The end of the stream may never come: a supervisor that has run out of descriptors cannot replace this one.
    while ready.is_none()
        && let Ok(count @ 1..) = words.read(&mut buffer)
    {
        let (marks, said): (Vec<u8>, Vec<u8>) =
            buffer[..count].iter().partition(|byte| matches!(**byte, READY | DEGRADED));
        ready = marks.last().copied();
        let _ = std::io::Write::write_all(&mut std::io::stderr(), &said);
    }
    if let Some(mark) = ready {
        if !global.quiet {
            super::output::say(format_args!(
                "rdsup runs in the background (pid {}); see `rdsup status`, stop it with `rdsup stop`",
                process.pid()
            ));
        }
        return Ok(if mark == READY { Exit::Done } else { Exit::NotReady });
    }
    match runtime.block_on(process.exited()) {
        Ok(ExitStatus::Code(2)) => Ok(Exit::Usage),
        Ok(ExitStatus::Code(0)) => Ok(Exit::Done),
        Ok(ExitStatus::Code(_)) => Ok(Exit::Failed),
        Ok(status) => Err(Failure::new(format!("the supervisor is gone: {status}"))),
        Err(error) => Err(Failure::new(format!("the supervisor is gone: {error}"))),
    }
}

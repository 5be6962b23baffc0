//! `rdsup lab`: a whole file in throwaway namespaces.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::output::tell;
use super::{Exit, Failure, Global};
use crate::control::{DomainState, DomainStatus};
use crate::daemons::{Session, frr};
use crate::model::{DaemonKind, Network};
use crate::plan::{Action, Layout, Step};
use crate::supervisor::{Disclosure, Prepared, prepare};
use crate::sys::netlink::{Connection, link};
use crate::sys::netns::Namespace;
use crate::sys::process::{ExitStatus, Output, Process, SEARCH_PATH, Spawn};
use crate::sys::{Machine, SysError, sandbox};

/// The lab has no disk of its own: what must outlive a reboot lives as long as the lab.
const STATE_DIR: &str = "/run/rdsup-state";
/// How long domains and links may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often they are looked at meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A wait longer than this is explained.
const SPEAK_AFTER: Duration = Duration::from_secs(2);

/// Run a whole configuration file in throwaway namespaces: no root needed, the machine stays untouched, and nothing is
/// left when it ends.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rdsup lab conf/demo.toml                        a shell in which rdsup runs the file
  rdsup lab conf/demo.toml -- rdsup status        one command, with its exit code

Inside, RDSUP_CONFIG names the file, so `rdsup status`, `rdsup ctl DOMAIN show bgp` and `rdsup exec \
DOMAIN -- CMD` work without -c. /run is empty and the lab's own, other directories are the \
machine's. The lab has no network but its own: each interface that the file claims is a stand-in \
whose other end, lab-NAME, is in the lab's `host`. External neighbors are not waited for. Where the \
file runs FRR and you are not root, the user frr and its groups are the lab's root.")]
pub struct Args {
    /// The configuration file
    pub file: PathBuf,

    /// What to run inside; a shell if nothing is given
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,

    /// The half that runs inside
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    if args.inside { inside(global, args) } else { outside(global, args) }
}

/// Leaves the machine and starts the inner half, which is the first process of its process namespace.
fn outside(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let file = std::path::absolute(&args.file).map_err(Failure::new)?;
    // A broken file is reported before anything is made.
    prepare(&file, Disclosure::Redacted)?;
    if sandbox::is_hidden(&file) {
        let failure = Failure::new(format!("{} lies below /run, which is empty in a lab", file.display()));
        return Err(failure.exit(Exit::Usage).hint("copy the file to another directory"));
    }
    let program =
        std::env::current_exe().map_err(|error| Failure::new(format!("cannot find my own program: {error}")))?;
    sandbox::leave()?;
    let mut spawn = Spawn::new(program).args(verbosity(global)).args(["lab", "--inside"]).arg(&file);
    if !args.command.is_empty() {
        spawn = spawn.arg("--").args(&args.command);
    }
    // Who called sudo is nobody inside, where commands run as root of the lab.
    for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND"] {
        spawn = spawn.env_remove(name);
    }
    let child = spawn.env("PATH", search_path()).output(Output::Inherit).die_with_parent().spawn()?;
    sandbox::ignore_terminal_signals();
    let status = child.wait().map_err(|error| Failure::new(format!("lost the lab: {error}")))?;
    Ok(Exit::Command(status.shell_code()))
}

/// Furnishes the lab, starts the supervisor and the command, and ends when the command does. As the first process of the
/// process namespace it takes everything else with it.
fn inside(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let prepared = prepare(&args.file, Disclosure::Redacted)?;
    sandbox::furnish("lab", &[&prepared.layout.run_dir])?;
    if prepared.network.domains.iter().any(|domain| domain.daemon == DaemonKind::Frr) {
        sandbox::name_root(frr::USER, &frr::GROUPS)?;
    }
    let stand_ins = wire_host(&prepared.network, &prepared.layout)?;
    let program = std::env::current_exe().map_err(Failure::new)?;
    let rdsup = || Spawn::new(&program).arg("--config").arg(&args.file);
    // Quiet is not silent: it still says what is not well.
    let words = if global.verbose == 0 { vec!["--quiet"] } else { verbosity(global) };
    let started = rdsup().args(words).args(["start", "--detach", "--state-dir", STATE_DIR]);
    let started = end_of(started.output(Output::Inherit))?;
    if started != ExitStatus::Code(0) {
        // It has said why.
        return Ok(Exit::Command(started.shell_code()));
    }
    if !super::runtime()?.block_on(links_are_up(global, &prepared)) && !global.quiet {
        tell(format_args!("note: not everything is up after {} s; see: rdsup status", PATIENCE.as_secs()));
    }
    for (name, other) in &stand_ins {
        if !global.quiet {
            tell(format_args!("note: {name} is a stand-in; its other end is {other} in the lab's host"));
        }
    }
    let process = command(global, args, &prepared.network)?;
    let status = reap(&process)?;
    Ok(Exit::Command(status.shell_code()))
}

/// Waits until every domain is up with a session over each of its links, which is false if that takes too long. External
/// neighbors are not waited for: nobody is behind a stand-in before the command puts someone there.
async fn links_are_up(global: &Global, prepared: &Prepared) -> bool {
    let socket = prepared.layout.control_socket();
    let ends: BTreeSet<&str> =
        prepared.network.links.iter().flat_map(|link| &link.ends).map(|end| end.interface.as_str()).collect();
    let is_well = |domain: &DomainStatus| {
        let mut over_links = domain.sessions.iter().filter(|session| ends.contains(session.name.as_str()));
        domain.state == DomainState::Up && over_links.all(Session::is_established)
    };
    let begin = Instant::now();
    let mut said = global.quiet;
    let mut interval = tokio::time::interval(ASK_EVERY);
    while begin.elapsed() < PATIENCE {
        interval.tick().await;
        if super::status::ask(&socket).await.is_ok_and(|report| report.domains.iter().all(is_well)) {
            return true;
        }
        if !said && begin.elapsed() >= SPEAK_AFTER {
            tell(format_args!("note: waiting for domains and links, at most {} s", PATIENCE.as_secs()));
            said = true;
        }
    }
    false
}

/// Brings `lo` up and makes a stand-in for every interface that the file claims: name and other end.
fn wire_host(network: &Network, layout: &Layout) -> Result<Vec<(String, String)>, Failure> {
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let machine = Machine::open(&layout.run_dir, Path::new(STATE_DIR))?;
        let up = |name| Step {
            domain: Layout::host(),
            action: Action::SetUp { name },
            cause: None,
            origin: crate::model::Origin::default(),
        };
        let go = async |name| machine.execute(&up(name)).await.map_err(|error| Failure::from(error.source));
        go(crate::model::InterfaceName::loopback()).await?;
        let claimed: BTreeSet<&crate::model::InterfaceName> =
            network.domains.iter().flat_map(|domain| &domain.interfaces).map(|interface| &interface.name).collect();
        let host =
            Namespace::current().map_err(|error| Failure::new(format!("cannot open the lab's namespace: {error}")))?;
        let failed = |source| SysError::Netlink { what: "make a stand-in for a claimed interface".to_owned(), source };
        let connection = Connection::open(&host).await.map_err(failed)?;
        let mut made = Vec::new();
        for (index, name) in claimed.into_iter().enumerate() {
            let other = crate::model::InterfaceName::new(format!("lab-{name}"))
                .or_else(|_| crate::model::InterfaceName::new(format!("lab-{index}")))
                .map_err(Failure::new)?;
            link::add_pair(&connection, name.as_str(), other.as_str()).await.map_err(failed)?;
            go(other.clone()).await?;
            made.push((name.to_string(), other.to_string()));
        }
        Ok(made)
    })
}

/// The command, or a shell that says where it is.
fn command(global: &Global, args: &Args, network: &Network) -> Result<Process, Failure> {
    let spawn = if let Some((program, rest)) = args.command.split_first() {
        if crate::sys::process::find(program).is_none() {
            let words = format!("{}: command not found", program.to_string_lossy());
            return Err(Failure::new(words).exit(Exit::Command(127)));
        }
        Spawn::new(program).args(rest)
    } else {
        if !global.quiet {
            greet(&args.file, network);
        }
        let shell = std::env::var_os("SHELL").filter(|shell| Path::new(shell).exists());
        Spawn::new(shell.unwrap_or_else(|| "/bin/sh".into())).env("PS1", "(lab) \\w# ")
    };
    Ok(spawn.env("RDSUP_CONFIG", &args.file).output(Output::Inherit).spawn()?)
}

fn greet(file: &Path, network: &Network) {
    let names: Vec<&str> = network.domains.iter().map(|domain| domain.name.as_str()).collect();
    tell(format_args!("lab of {}: {}", file.display(), names.join(", ")));
    if let Some(name) = names.first() {
        tell(format_args!("try: rdsup status; rdsup ctl '*' show bgp summary; rdsup exec {name} -- ip route"));
    }
    tell("everything is gone when you leave this shell");
}

fn end_of(spawn: Spawn) -> Result<ExitStatus, Failure> {
    reap(&spawn.spawn()?)
}

fn reap(process: &Process) -> Result<ExitStatus, Failure> {
    sandbox::reap_until(process.pid()).map_err(|error| Failure::new(format!("cannot wait for a process: {error}")))
}

fn verbosity(global: &Global) -> Vec<&'static str> {
    let mut options = vec!["--verbose"; usize::from(global.verbose)];
    options.extend(global.quiet.then_some("--quiet"));
    options
}

/// `PATH`, this program's directory first so that `rdsup` is found inside, and the directories of system programs, which
/// ordinary users often lack, last.
fn search_path() -> OsString {
    let own = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = own.into_iter().chain(std::env::split_paths(&path)).collect();
    for place in SEARCH_PATH.map(PathBuf::from) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    std::env::join_paths(places).unwrap_or(path)
}

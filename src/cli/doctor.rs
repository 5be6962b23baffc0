//! `rdsup doctor`: what this machine lacks, found out by trying.

mod daemons;
mod kernel;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use nix::sched::CloneFlags;
use serde::{Deserialize, Serialize};

use self::daemons::Needs;
use super::place::layout_and_network;
use super::{Exit, Failure, Global};
use crate::daemons::version;
use crate::plan::Layout;
use crate::sys::cgroup::Found;
use crate::sys::lock::RunDirLock;
use crate::sys::process::{self, Spawn};
use crate::sys::{nft, privilege};

/// Nothing that is tried takes long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const NFT_AT_LEAST: [u32; 3] = [1, 0, 0];

/// Say what this machine lacks for rdsup (programs, kernel features, privileges) and how to get it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Kernel features are tried for real in a throwaway namespace; nothing else is touched. Which routing \
daemons are needed is read from the configuration file; where one cannot do what the other does, that \
is told with it.
Exit code 0: nothing that is needed is missing; 1: something is.")]
pub struct Args {
    /// The half that tries the kernel
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Check {
    /// What.
    name: String,
    /// How it is.
    state: State,
    /// What was found, in words.
    found: String,
    /// How to get it, where it is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    remedy: Option<String>,
    /// What it cannot do although it is there, each completing "it cannot …".
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    cannot: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Missing, but only some uses need it.
    Optional,
    Missing,
}

impl Check {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Ok, found: found.into(), remedy: None, cannot: Vec::new() }
    }

    fn missing(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Missing, remedy: Some(remedy.into()), ..Self::ok(name, found) }
    }

    fn optional(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Optional, ..Self::missing(name, found, remedy) }
    }

    /// The same, and what it cannot do.
    fn cannot<'a>(self, what: impl IntoIterator<Item = &'a &'a str>) -> Self {
        Self { cannot: what.into_iter().map(|what| (*what).to_owned()).collect(), ..self }
    }

    /// The same where nothing in the file needs it: then it may be missing.
    fn unless_needed(self, needed: bool) -> Self {
        match self.state {
            State::Missing if !needed => {
                let found = format!("{}; no domain of the file needs it", self.found);
                Self { state: State::Optional, found, ..self }
            }
            _ => self,
        }
    }
}

/// Runs the verb.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let runtime = super::runtime()?;
    if args.inside {
        super::output::print_json(&runtime.block_on(kernel::checks()))?;
        return Ok(Exit::Done);
    }
    let checks = runtime.block_on(async {
        let (layout, network) = layout_and_network(global);
        let mut checks = daemons::checks(Needs::of(network.as_ref())).await;
        checks.extend(programs().await);
        checks.extend(privileges(&layout));
        checks.extend(try_kernel().await);
        checks
    });
    if global.json {
        super::output::print_json(&checks)?;
    } else {
        show(&checks, global.quiet);
    }
    let complete = checks.iter().all(|check| check.state != State::Missing);
    Ok(if complete { Exit::Done } else { Exit::Failed })
}

fn show(checks: &[Check], quiet: bool) {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    for check in checks.iter().filter(|check| !quiet || check.state != State::Ok) {
        let state = match check.state {
            State::Ok => "ok      ",
            State::Optional => "optional",
            State::Missing => "missing ",
        };
        // Who closed the pipe wants no more.
        let _ = writeln!(out, "{state}  {:width$}  {}", check.name, check.found);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(out, "          {:width$}  -> {remedy}", "");
        }
        for what in &check.cannot {
            let _ = writeln!(out, "          {:width$}  cannot {what}", "");
        }
    }
}

async fn programs() -> Vec<Check> {
    vec![
        program("nft", "--version", NFT_AT_LEAST, "apt install nftables").await,
        match process::find("ip") {
            Some(path) => Check::ok("ip", path.display().to_string()),
            None => Check::optional("ip", "not installed; only people need it, to look around", "apt install iproute2"),
        },
    ]
}

async fn program(name: &str, option: &str, at_least: [u32; 3], remedy: &str) -> Check {
    let Some(path) = process::find(name) else { return Check::missing(name, "not installed", remedy) };
    let said = match Spawn::new(&path).arg(option).run_captured(PATIENCE).await {
        Ok(said) => format!("{}{}", said.stdout, said.stderr),
        Err(error) => return Check::missing(name, error.to_string(), remedy),
    };
    let first = said.lines().next().unwrap_or_default().trim().to_owned();
    let found = format!("{first}, {}", path.display());
    match version(&first) {
        Some((_, version)) if version >= at_least => Check::ok(name, found),
        Some(_) => {
            let wanted = at_least.map(|number| number.to_string()).join(".");
            Check::missing(name, format!("{found}: older than {wanted}"), format!("{remedy} (from a newer release)"))
        }
        None => Check::optional(name, format!("{found}: version not understood"), remedy),
    }
}

fn privileges(layout: &Layout) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.push(match privilege::require() {
        Ok(()) => Check::ok("privileges", "CAP_NET_ADMIN and CAP_SYS_ADMIN"),
        Err(error) => Check::optional("privileges", error.to_string(), "sudo rdsup start; rdsup lab needs no root"),
    });
    checks.push(match privilege::user_namespaces_forbidden() {
        None => Check::ok("user namespaces", "allowed; rdsup lab works for ordinary users"),
        Some((reason, command)) => {
            Check::optional("user namespaces", format!("{reason}: rdsup lab needs root"), format!("sudo {command}"))
        }
    });
    checks.push(cgroups(layout));
    let run_dir = &layout.run_dir;
    checks.push(if writable(run_dir) {
        Check::ok("run directory", run_dir.display().to_string())
    } else {
        let found = format!("{} cannot be written to by this user", run_dir.display());
        Check::optional("run directory", found, "run it as root, or set run_dir in the configuration file")
    });
    checks
}

/// Whether daemons get cgroups of their own: those of the supervisor that runs, else of one that would be started from here.
fn cgroups(layout: &Layout) -> Check {
    let name = "cgroups";
    let supervisor = RunDirLock::holder(&layout.run_dir);
    let whose = if supervisor.is_some() { "the supervisor" } else { "this shell" };
    let remedy = "run it as a service: its unit has Delegate=yes; everything else works the same";
    match Found::look(supervisor) {
        Ok(Found::Delegated(delegated)) => {
            let group = delegated.directory().display();
            Check::ok(name, format!("{group} was delegated to {whose}: each daemon has its own"))
        }
        Ok(Found::NotDelegated(group)) => {
            let group = group.display();
            Check::optional(
                name,
                format!("{group} is not delegated to {whose}: the daemons have none of their own"),
                remedy,
            )
        }
        Ok(Found::None) => {
            Check::optional(name, "cgroup v2 is not mounted: the daemons have none of their own", remedy)
        }
        Err(error) => Check::optional(name, error.to_string(), remedy),
    }
}

/// Whether a directory, or the first of its parents that exists, can be written to.
fn writable(path: &Path) -> bool {
    let there = path.ancestors().find(|path| path.is_dir());
    there.is_some_and(|path| nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok())
}

/// Starts this program again in a throwaway namespace, where the inner half tries things.
async fn try_kernel() -> Vec<Check> {
    let kinds = if privilege::require().is_ok() {
        CloneFlags::CLONE_NEWNET
    } else {
        CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUSER
    };
    let name = "network namespaces";
    let remedy = match privilege::user_namespaces_forbidden() {
        Some((_, command)) => format!("run it as root, or: sudo {command}"),
        None => "run it as root; a kernel with CONFIG_NET_NS (and CONFIG_USER_NS)".to_owned(),
    };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return vec![Check::missing(name, error.to_string(), remedy)],
    };
    let tried = Spawn::new(program).args(["doctor", "--inside"]).unshare(kinds).run_captured(PATIENCE).await;
    match tried {
        Ok(said) if said.success() => match serde_json::from_str::<Vec<Check>>(&said.stdout) {
            Ok(mut checks) => {
                checks.insert(0, Check::ok(name, "a throwaway one was made"));
                checks
            }
            Err(error) => vec![Check::missing(name, format!("cannot read what was tried: {error}"), remedy)],
        },
        Ok(said) => vec![Check::missing(name, said.words(), remedy)],
        Err(error) => vec![Check::missing(name, error.to_string(), remedy)],
    }
}

/// What a packet filter of ours is made of, each with the kernel option behind it.
async fn packet_filter() -> Vec<Check> {
    let features = [
        ("nftables", "", "CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET"),
        ("nftables: counters", "counter c { }", "CONFIG_NF_TABLES"),
        (
            "nftables: conntrack",
            "chain c { type filter hook forward priority 0; ct state invalid drop; }",
            "CONFIG_NFT_CT",
        ),
        (
            "nftables: fib",
            "chain c { type filter hook input priority 0; fib daddr . iif type local accept; }",
            "CONFIG_NFT_FIB_INET",
        ),
        ("nftables: sets", "set s { type ipv6_addr; flags interval; elements = { fe80::/10 }; }", "CONFIG_NF_TABLES"),
    ];
    let mut checks = Vec::new();
    for (name, body, option) in features {
        let text = format!("table inet doctor\ndelete table inet doctor\ntable inet doctor {{\n{body}\n}}\n");
        checks.push(match nft::load(&kernel::here(), &text).await {
            Ok(()) => Check::ok(name, "works"),
            Err(error) => Check::missing(name, error.to_string(), format!("a kernel with {option}")),
        });
    }
    checks
}

//! `rdsup ctl DOMAIN` without a command: who types, or a text that comes by standard input.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::super::output::{self, tell};
use super::super::{Exit, Failure};
use crate::control::{Client, Reply, Request, no_such_domain};
use crate::daemons::frr;
use crate::model::{DaemonKind, DomainName};
use crate::plan::Layout;
use crate::sys::process::{MountPlan, Output, Spawn};
use crate::sys::{files, privilege};

/// More than anybody writes; the supervisor takes no more either.
const LARGEST_TEXT: u64 = 1 << 20;
/// What vtysh reads when it starts. With it, `write` asks the daemons alone, which may not; without, it writes a file for all.
/// The name is that of the prompt, which is the machine's otherwise, whichever domain is typed to.
fn vtysh_conf(domain: &DomainName) -> String {
    format!("! Made by rdsup ctl.\nno service integrated-vtysh-config\nhostname {domain}\n")
}

/// One command, or several as one text.
type One<'a> = &'a dyn Fn(&str) -> Result<Exit, Failure>;

/// What is typed, or what comes by standard input, in which each line may depend on those before it. FRR has a shell of its own.
pub(super) fn run(layout: &Layout, name: &str, domain: Option<&DomainName>, one: One<'_>) -> Result<Exit, Failure> {
    if !std::io::stdin().is_terminal() {
        return script(one);
    }
    let kind = domain.map(|domain| kind_of(layout, domain)).transpose()?.flatten();
    match domain.filter(|_| kind == Some(DaemonKind::Frr)) {
        Some(domain) if reaches_vty(layout, domain)? => vtysh(layout, domain),
        _ => shell(name, one),
    }
}

/// Which daemon a domain has: what the supervisor says, or else what can be seen.
fn kind_of(layout: &Layout, domain: &DomainName) -> Result<Option<DaemonKind>, Failure> {
    let report = output::runtime()?.block_on(async {
        let mut client = Client::connect(&layout.control_socket()).await.ok()?;
        match client.call(&Request::Status { counters: false }).await.ok()? {
            Reply::Status(report) => Some(report),
            _ => None,
        }
    });
    let Some(report) = report else { return Ok(there(layout, domain)) };
    match report.domains.iter().find(|it| it.name == *domain) {
        Some(found) => Ok(found.daemon.as_ref().map(|daemon| daemon.kind).or_else(|| there(layout, domain))),
        // Who sees a part of the domains only is told by the supervisor what this one is.
        None if report.domains.is_empty() => Ok(None),
        None => Err(no_such_domain(domain, report.domains.iter().map(|it| &it.name)).into()),
    }
}

/// The daemon whose control socket is there; of several the one that was started last, as one that was killed leaves its own.
pub(super) fn there(layout: &Layout, domain: &DomainName) -> Option<DaemonKind> {
    let made = |kind: &DaemonKind| std::fs::metadata(layout.socket(domain, *kind)).and_then(|it| it.modified()).ok();
    DaemonKind::ALL.into_iter().filter(|kind| made(kind).is_some()).max_by_key(made)
}

/// Whether this user may connect to the daemons themselves. Who may not has the supervisor ask them, which knows who may what.
fn reaches_vty(layout: &Layout, domain: &DomainName) -> Result<bool, Failure> {
    let socket = layout.socket(domain, DaemonKind::Frr);
    match access(&socket, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => {
            let words = format!("the daemons of {domain} do not run: there is no {}", socket.display());
            Err(Failure::new(words).hint(format!("rdsup status {domain}")))
        }
        Err(_) => Ok(false),
    }
}

/// Becomes FRR's shell. It only returns if that fails.
fn vtysh(layout: &Layout, domain: &DomainName) -> Result<Exit, Failure> {
    let program = frr::vtysh().map_err(|error| {
        let hint = format!("{}; or one command at a time: rdsup ctl {domain} show bgp", error.hint());
        Failure::new(error).hint(hint)
    })?;
    let directory = layout.domain_dir(domain);
    let socket = layout.socket(domain, DaemonKind::Frr);
    let sockets = socket.parent().unwrap_or(Path::new("/"));
    // Who may not write it is told by vtysh that it is not there, and everything else is the same.
    let _ = files::write(&directory.join("vtysh.conf"), vtysh_conf(domain).as_bytes(), 0o644, None);
    // Its own directory, too: `write` would overwrite /etc/frr/frr.conf, which is another FRR's.
    let options = [("--vty_socket", sockets), ("--config_dir", directory.as_path())];
    let mut spawn = options.into_iter().fold(Spawn::new(program), |spawn, (name, path)| spawn.arg(name).arg(path));
    refuse_links(sockets)?;
    if privilege::require().is_ok() {
        // A link that is made from now on leads to no other domain.
        let mounts = MountPlan::of_one_domain(&layout.run_dir, domain);
        spawn = spawn.mounts(mounts.map_err(|error| Failure::new(format!("cannot hide the other domains: {error}")))?);
    }
    Err(spawn.output(Output::Inherit).exec().into())
}

/// vtysh follows links, and the directory is the daemons' own: one that was taken over would choose whom root types to.
fn refuse_links(sockets: &Path) -> Result<(), Failure> {
    for socket in std::fs::read_dir(sockets).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if socket.is_symlink() {
            let words = format!("{} is a link, which no daemon of FRR makes", socket.display());
            return Err(Failure::new(words).hint("look who made it, remove it, and kill the daemons of the domain"));
        }
    }
    Ok(())
}

/// All that comes by standard input, as one text.
fn script(one: One<'_>) -> Result<Exit, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LARGEST_TEXT + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("cannot read standard input: {error}")).exit(Exit::Usage))?;
    if u64::try_from(text.len()).is_ok_and(|length| length > LARGEST_TEXT) {
        let words = format!("standard input has more than {LARGEST_TEXT} bytes");
        return Err(Failure::new(words).exit(Exit::Usage).hint("send it in several parts"));
    }
    if text.trim().is_empty() { Ok(Exit::Done) } else { one(&text) }
}

/// Reads commands from the terminal until that ends. A command that fails does not end it.
fn shell(name: &str, one: One<'_>) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut lines = std::io::stdin().lock().lines();
    loop {
        output::print(&format!("{name}> "))?;
        let Some(line) = lines.next() else { break };
        let line = line.map_err(|error| Failure::new(format!("cannot read: {error}")))?;
        match line.trim() {
            "" => {}
            "quit" | "exit" => return Ok(exit),
            command => match one(command) {
                Ok(code) => exit = code,
                Err(failure) => {
                    exit = failure.exit;
                    let hint = failure.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                    tell(format_args!("error: {}{hint}", failure.message));
                }
            },
        }
    }
    output::print("\n")?;
    Ok(exit)
}

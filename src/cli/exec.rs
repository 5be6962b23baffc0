//! `rdsup exec`: run a command inside a domain.

use std::ffi::OsString;

use super::place::layout_of;
use super::{Exit, Failure, Global};
use crate::model::DomainName;
use crate::sys::process::{self, Identity, MountPlan, Output, Spawn};
use crate::sys::{Machine, SysError, privilege};

/// What a shell answers for a command that cannot be run, and for one that is not there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Run a command inside a domain: its interfaces, routes, packet filter and name servers.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo rdsup exec private -- ping 10.0.0.1
  sudo rdsup exec private --user alice -- firefox
  sudo rdsup exec private --root -- tcpdump -ni rd-internet

Through sudo the command runs as the user who called sudo, without capabilities and with \
no_new_privs, so that it cannot leave the domain: setuid programs inside gain nothing. --root keeps \
root, which can leave.

The command sees /etc/netns/DOMAIN/* over /etc/*, the domain's name servers in /etc/resolv.conf, \
and the domain's interfaces in /sys. Sockets through which the host would answer names for it are \
out of its sight: /run/systemd/resolve, /run/nscd, /run/unscd, /run/dbus, /run/avahi-daemon, and \
all abstract sockets. Other sockets in the file system (such as that of a container engine or an X \
server) are not: a server behind one acts in the host.

Exit code: that of the command; 127 if it is not found, 126 if it cannot be run.")]
pub struct Args {
    /// The domain
    pub domain: String,

    /// Become this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,

    /// Stay root
    #[arg(long, conflicts_with = "user")]
    pub root: bool,

    /// The command with its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// Runs the verb. It returns only if the command could not be run.
pub fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let layout = layout_of(global);
    let domain = DomainName::new(args.domain.as_str()).map_err(|error| Failure::new(error).exit(Exit::Usage))?;
    privilege::require()?;
    let machine = Machine::open(&layout.run_dir, &layout.state_dir)?;
    // Names of users are looked up here, while name services are in reach.
    let identity = identity(args)?;
    let (program, rest) = args.command.split_first().ok_or_else(|| Failure::new("no command").exit(Exit::Usage))?;
    let name = program.to_string_lossy();
    if process::find(program).is_none_or(|path| !path.exists()) {
        return Err(Failure::new(format!("{name}: command not found")).exit(Exit::Command(NOT_FOUND)));
    }
    let mut spawn = Spawn::new(program).args(rest).output(Output::Inherit);
    if !domain.is_host() {
        known(&machine, &domain)?;
        let mounts = MountPlan::for_command(machine.run_dir(), &domain)
            .map_err(|error| Failure::new(format!("cannot read the files of {domain} for /etc: {error}")))?;
        spawn = spawn.namespace(&machine.namespace(&domain)?).mounts(mounts);
    }
    if let Some(identity) = identity {
        spawn = spawn
            .env("HOME", &identity.home)
            .env("USER", &identity.name)
            .env("LOGNAME", &identity.name)
            .env("SHELL", &identity.shell)
            .identity(identity);
    }
    // Who is refused here lacks no privilege: the command is not one.
    let failure = Failure::new(spawn.exec());
    Err(failure.exit(Exit::Command(CANNOT_RUN)))
}

/// Whom to become; `None` to stay who it is.
fn identity(args: &Args) -> Result<Option<Identity>, Failure> {
    let caller = std::env::var("SUDO_UID").ok().filter(|uid| nix::unistd::geteuid().is_root() && uid != "0");
    let Some(user) = args.user.clone().or(caller.filter(|_| !args.root)) else { return Ok(None) };
    match Identity::look_up(&user) {
        Ok(Some(identity)) => Ok(Some(identity)),
        Ok(None) => Err(Failure::new(format!("there is no user {user}")).exit(Exit::Usage)),
        Err(error) => Err(Failure::new(format!("cannot look up the user {user}: {error}"))),
    }
}

/// An error unless the domain's namespace is there and ours.
fn known(machine: &Machine, domain: &DomainName) -> Result<(), Failure> {
    if machine.is_published(domain)? {
        return Ok(());
    }
    let there = machine.domains_left()?.into_iter().filter(|name| machine.is_published(name).unwrap_or(false));
    let names: Vec<String> = there.map(|name| name.to_string()).collect();
    let failure = match machine.namespace(domain) {
        Ok(_) => Failure::from(SysError::Foreign {
            domain: domain.clone(),
            found: format!("{} knows nothing of it", machine.run_dir().display()),
        }),
        Err(_) if names.is_empty() => Failure::new(format!("there is no domain {domain}")),
        Err(_) => Failure::new(format!("there is no domain {domain}")).exit(Exit::Usage),
    };
    Err(if names.is_empty() {
        failure.hint("nothing runs; start it with: rdsup start")
    } else {
        failure.hint(format!("there are: {}", names.join(", ")))
    })
}

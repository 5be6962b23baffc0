//! One step of a plan, printed as the line that an admin would type.

mod daemon;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::desired::{FileOwner, FileText, VethEnd};
use super::observed::RouteSpec;
use crate::model::{DaemonKind, DomainName, InterfaceName, Origin, Program};

/// One thing to do in one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The domain in whose namespace it happens.
    pub domain: DomainName,
    /// What to do.
    pub action: Action,
    /// Why, when it is not simply that the file asks for it: `table was changed by someone else`.
    pub cause: Option<String>,
    /// Where in the file the object was asked for.
    pub origin: Origin,
}

/// A sysctl to write, as `net/ipv4/ip_forward`, `1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl {
    /// Path below `/proc/sys`.
    pub key: String,
    /// The value.
    pub value: String,
}

/// What can be done. Every action happens in the namespace of its step's domain unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a directory (and its parents), with this mode and owner; correct them if it exists.
    MakeDirectory {
        /// Absolute path.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Who owns it.
        owner: FileOwner,
    },
    /// Replace a file atomically: write beside it, sync, rename.
    WriteFile {
        /// Absolute path.
        path: PathBuf,
        /// The content.
        text: FileText,
        /// Permission bits.
        mode: u32,
        /// Who owns it.
        owner: FileOwner,
    },
    /// Remove a file, or a directory with all that is in it; nothing is done where there is none.
    RemovePath {
        /// Absolute path.
        path: PathBuf,
    },
    /// Make a new namespace. It stays unnamed, held open by the process, until it is published: killed earlier it vanishes.
    CreateNamespace,
    /// Give the domain's new namespace its name under `/run/netns`.
    PublishNamespace,
    /// Remove the name and with it the namespace.
    RemoveNamespace,
    /// Write sysctls.
    SetSysctls {
        /// Which.
        values: Vec<Sysctl>,
        /// The file that holds them all, when it is a new namespace that gets them all.
        file: Option<PathBuf>,
    },
    /// Load the packet filter in one transaction and keep its text at `path` for people and for the next observation.
    LoadFilter {
        /// `RUN_DIR/DOMAIN/rdsup.nft`.
        path: PathBuf,
        /// The whole ruleset.
        text: Arc<str>,
        /// Tables that were stacked on the one that it replaces: the same transaction deletes them.
        stacked: BTreeSet<String>,
    },
    /// Load the filter that is to come as a table of its own beside the one that is there, so that packets must pass both.
    StackFilter {
        /// The table's name.
        table: String,
        /// `RUN_DIR/DOMAIN/TABLE.nft`.
        path: PathBuf,
        /// The whole ruleset.
        text: Arc<str>,
    },
    /// Delete tables that were stacked; nothing is done where there are none.
    UnstackFilters {
        /// Their names.
        tables: BTreeSet<String>,
    },
    /// Delete the `inet rdsup` table.
    RemoveFilter,
    /// Make a veth pair with both ends directly in their namespaces and in our link group, both down. The step's domain is
    /// that of the first end.
    AddVeth {
        /// Both ends.
        ends: [VethEnd; 2],
        /// MTU of both ends.
        mtu: Option<u32>,
    },
    /// Delete an interface of ours; of a veth pair the other end goes too.
    RemoveLink {
        /// Its name.
        name: InterfaceName,
    },
    /// Move an interface from the host into the domain. It arrives down and without addresses.
    ClaimInterface {
        /// Its name.
        name: InterfaceName,
    },
    /// Move an interface from the domain back into the host, where it arrives down and without addresses.
    ReturnInterface {
        /// Its name.
        name: InterfaceName,
    },
    /// Set the alias.
    SetAlias {
        /// The interface.
        name: InterfaceName,
        /// The alias.
        alias: String,
    },
    /// Set the MTU.
    SetMtu {
        /// The interface.
        name: InterfaceName,
        /// Bytes.
        mtu: u32,
    },
    /// Take an interface up.
    SetUp {
        /// The interface.
        name: InterfaceName,
    },
    /// Take an interface down.
    SetDown {
        /// The interface.
        name: InterfaceName,
    },
    /// Give an interface that is down another name.
    RenameLink {
        /// The name that it has.
        from: InterfaceName,
        /// The one that it gets.
        to: InterfaceName,
    },
    /// Add an address without duplicate address detection.
    AddAddress {
        /// The interface.
        name: InterfaceName,
        /// The address with its prefix length.
        address: IpNet,
    },
    /// Remove an address.
    RemoveAddress {
        /// The interface.
        name: InterfaceName,
        /// The address with its prefix length.
        address: IpNet,
    },
    /// Add a route, replacing one of the same destination, metric and protocol.
    AddRoute(RouteSpec),
    /// Remove a route.
    RemoveRoute(RouteSpec),
    /// The routing daemon should run. Only the supervision machine starts it.
    StartDaemon {
        /// Which one.
        kind: DaemonKind,
        /// Those of its programs that do not run.
        programs: BTreeSet<Program>,
        /// The configuration file of the one that speaks BGP.
        config: PathBuf,
        /// Where its control socket will be.
        socket: PathBuf,
    },
    /// The running daemon should read its configuration again.
    ReloadDaemon {
        /// Which one.
        kind: DaemonKind,
        /// Those of its programs that have read another one.
        programs: BTreeSet<Program>,
        /// Its control socket.
        socket: PathBuf,
    },
    /// The running daemon should write its routes to the kernel again: with a source address the kernel also removed the
    /// routes that use it.
    ResyncDaemon {
        /// Which one.
        kind: DaemonKind,
        /// Its control socket.
        socket: PathBuf,
    },
    /// The routing daemon should not run, or programs of it should not.
    StopDaemon {
        /// Which one.
        kind: DaemonKind,
        /// Those of its programs that run and should not.
        programs: BTreeSet<Program>,
        /// Its control socket.
        socket: PathBuf,
    },
}

impl Action {
    /// Whether the routing daemon as a whole is started, not just a program beside its core.
    pub fn starts_core(&self) -> bool {
        matches!(self, Self::StartDaemon { kind, programs, .. } if holds_core(*kind, programs))
    }

    /// Whether the routing daemon as a whole is stopped.
    pub fn stops_core(&self) -> bool {
        matches!(self, Self::StopDaemon { kind, programs, .. } if holds_core(*kind, programs))
    }
}

fn holds_core(kind: DaemonKind, programs: &BTreeSet<Program>) -> bool {
    kind.core().iter().any(|program| programs.contains(program))
}

impl Step {
    /// The step that takes back what this one adds; only for a filter that is stacked.
    pub fn undo(&self) -> Option<Self> {
        let Action::StackFilter { table, .. } = &self.action else { return None };
        let action = Action::UnstackFilters { tables: BTreeSet::from([table.clone()]) };
        Some(Self { action, ..self.clone() })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = &self.domain;
        let host = domain.is_host();
        // `ip -n NAME` and `ip netns exec NAME` are how one reaches a namespace by hand; the host needs neither.
        let ip = if host { "ip".to_owned() } else { format!("ip -n {domain}") };
        let inside = if host { String::new() } else { format!("ip netns exec {domain} ") };
        match &self.action {
            Action::MakeDirectory { path, mode, .. } => {
                write!(f, "install -d -m {mode:04o} {}", Word(path.to_string_lossy()))
            }
            Action::WriteFile { path, mode, .. } => {
                write!(f, "install -m {mode:04o} /dev/stdin {}", Word(path.to_string_lossy()))
            }
            Action::RemovePath { path } => write!(f, "rm -rf {}", Word(path.to_string_lossy())),
            Action::CreateNamespace => write!(f, "ip netns add {domain}"),
            Action::PublishNamespace => write!(f, "# {domain}: filtered, so it gets its name under /run/netns"),
            Action::RemoveNamespace => write!(f, "ip netns delete {domain}"),
            Action::SetSysctls { file: Some(path), .. } => {
                write!(f, "{inside}sysctl -qp {}", Word(path.to_string_lossy()))
            }
            Action::SetSysctls { values, file: None } => {
                write!(f, "{inside}sysctl -qw")?;
                values.iter().try_for_each(|sysctl| write!(f, " {}={}", sysctl.dotted(), sysctl.value))
            }
            Action::LoadFilter { path, stacked, .. } if !stacked.is_empty() => {
                let line = format!("include \"{}\"{}", path.display(), deletion(stacked, "; "));
                write!(f, "{inside}nft {}", Word(line.into()))
            }
            Action::LoadFilter { path, .. } | Action::StackFilter { path, .. } => {
                write!(f, "{inside}nft -f {}", Word(path.to_string_lossy()))
            }
            Action::UnstackFilters { tables } => write!(f, "{inside}nft {}", Word(deletion(tables, "").into())),
            Action::RemoveFilter => write!(f, "{inside}nft delete table inet rdsup"),
            Action::AddVeth { ends: [first, second], mtu } => {
                write!(f, "ip link add {}", first.interface)?;
                if !first.domain.is_host() {
                    write!(f, " netns {}", first.domain)?;
                }
                let mtu = mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
                write!(f, "{mtu} group {} type veth peer name {}", super::LINK_GROUP, second.interface)?;
                if !second.domain.is_host() {
                    write!(f, " netns {}", second.domain)?;
                }
                write!(f, "{mtu} group {}", super::LINK_GROUP)
            }
            Action::RemoveLink { name } => write!(f, "{ip} link delete {name}"),
            Action::ClaimInterface { name } => write!(f, "ip link set {name} netns {domain}"),
            Action::ReturnInterface { name } => write!(f, "{ip} link set {name} netns 1"),
            Action::SetAlias { name, alias } => write!(f, "{ip} link set {name} alias {}", Word(alias.into())),
            Action::SetMtu { name, mtu } => write!(f, "{ip} link set {name} mtu {mtu}"),
            Action::SetUp { name } => write!(f, "{ip} link set {name} up"),
            Action::SetDown { name } => write!(f, "{ip} link set {name} down"),
            Action::RenameLink { from, to } => write!(f, "{ip} link set {from} name {to}"),
            Action::AddAddress { name, address } => {
                let nodad = if address.addr().is_ipv6() { " nodad" } else { "" };
                write!(f, "{ip} address add {address} dev {name}{nodad}")
            }
            Action::RemoveAddress { name, address } => write!(f, "{ip} address delete {address} dev {name}"),
            Action::AddRoute(route) => write!(f, "{ip} {}route replace {route}", ip_family(route)),
            Action::RemoveRoute(route) => write!(f, "{ip} {}route delete {route}", ip_family(route)),
            Action::StartDaemon { kind, programs, config, socket } => {
                daemon::start(*kind, programs, &inside, config, socket).fmt(f)
            }
            Action::ReloadDaemon { kind, programs, socket } => daemon::reload(*kind, programs, socket).fmt(f),
            Action::ResyncDaemon { kind, socket } => daemon::resync(*kind, socket).fmt(f),
            Action::StopDaemon { kind, programs, socket } => daemon::stop(*kind, programs, socket).fmt(f),
        }
    }
}

/// What deletes tables, as commands of `nft`, with `before` before each.
fn deletion(tables: &BTreeSet<String>, before: &str) -> String {
    let separator = if before.is_empty() { "; " } else { "" };
    let commands: Vec<String> = tables.iter().map(|table| format!("{before}delete table inet {table}")).collect();
    commands.join(separator)
}

/// `ip` takes the family from the gateway unless it is told, and would make an IPv6 route of `via inet6`.
fn ip_family(route: &RouteSpec) -> &'static str {
    if route.to.addr().is_ipv4() { "-4 " } else { "-6 " }
}

impl Sysctl {
    /// The key as `sysctl(8)` prints it. An interface name may hold a dot, which `sysctl` writes as a slash.
    pub fn dotted(&self) -> String {
        self.key
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect()
    }
}

/// One word of a shell, quoted where it holds anything that a shell would read.
struct Word<'a>(Cow<'a, str>);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = &self.0;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
        if word.chars().all(plain) { f.write_str(word) } else { write!(f, "'{}'", word.replace('\'', "'\\''")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_read_is_one_quoted_word() {
        let word = |path: &str| Word(path.into()).to_string();
        assert_eq!(word("/run/rdsup/private/bird.conf"), "/run/rdsup/private/bird.conf");
        assert_eq!(word("/run/r d$(touch x)'y"), "'/run/r d$(touch x)'\\''y'");
    }
}

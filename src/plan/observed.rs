//! What is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::ROUTE_PROTOCOL;
use crate::model::{DaemonKind, DomainName, InterfaceName, Program};

/// The machine as it was found: the domains asked for, and whatever else carries this run directory's mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Every domain asked for or found, `host` always included.
    pub domains: BTreeMap<DomainName, ObservedDomain>,
    /// What is remembered of claimed interfaces, from the state directory or the run directory.
    pub records: BTreeMap<InterfaceName, InterfaceRecord>,
    /// Files with the same that are not there, or say something else.
    pub records_lost: BTreeSet<PathBuf>,
    /// What others have in the machine's own namespace.
    pub host: ObservedHost,
}

/// What others have in the machine's own namespace and rdsup could take from them; looked at only where the file could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedHost {
    /// Interfaces with an IPv6 default route that the kernel would drop if the machine forwarded.
    pub advertised: BTreeSet<String>,
    /// Who routes there already, in words.
    pub routed_by: Option<String>,
}

/// One domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedDomain {
    /// Whether its namespace exists and whose it is.
    pub namespace: NamespaceState,
    /// Those of the sysctls asked for that could be read.
    pub sysctls: BTreeMap<String, String>,
    /// The `inet rdsup` table, if there is one.
    pub filter: Option<ObservedFilter>,
    /// Tables of ours that are stacked on it: an apply was cut short.
    pub stacked: BTreeSet<String>,
    /// Whether it has a run directory, even if that is empty.
    pub directory: bool,
    /// Files of the domain's run directory: path → content as it stands, with its permission bits.
    pub files: BTreeMap<PathBuf, (String, u32)>,
    /// Every interface in the namespace. In `host`: those of our link group, and those asked for by name.
    pub links: BTreeMap<InterfaceName, ObservedLink>,
    /// Routes of protocol [`ROUTE_PROTOCOL`] in the main table, and those that a daemon left where none is asked for.
    pub routes: BTreeSet<RouteSpec>,
    /// The routing daemon.
    pub daemon: ObservedDaemon,
}

/// Whose a namespace is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceState {
    /// There is none of that name. A name under `/run/netns` with no namespace behind it (a plain file) counts as absent.
    #[default]
    Absent,
    /// It is marked as made by this run directory; for `host`, unless it is marked as another's.
    Ours,
    /// It is ours and lives, and nothing has its name any more, as after `umount` or `ip netns delete`: it was found through
    /// what is in it.
    Unnamed,
    /// It exists and is not marked as ours; the text says what was found: for `host`, the run directory that it is marked with.
    Foreign(String),
}

impl NamespaceState {
    /// Whether there is a namespace and it is ours, under its name or not.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours | Self::Unnamed)
    }
}

/// The `inet rdsup` table as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedFilter {
    /// The text that was last loaded and is still unaltered in the kernel; `None` when someone changed the table, or
    /// when it is unknown what was loaded.
    pub text: Option<String>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedLink {
    /// `IFLA_INFO_KIND`: `veth`, `bridge` …; empty for hardware and `lo`.
    pub kind: String,
    /// The link group.
    pub group: u32,
    /// The alias.
    pub alias: Option<String>,
    /// Whether it is administratively up (`IFF_UP`).
    pub up: bool,
    /// The MTU.
    pub mtu: u32,
    /// The hardware address that it was made with, or has; nothing where it has none.
    pub hardware: Option<String>,
    /// All its addresses.
    pub addresses: BTreeSet<IpNet>,
    /// Those of them that carry [`ROUTE_PROTOCOL`] as their address protocol (`IFA_PROTO`): rdsup added them.
    pub own_addresses: BTreeSet<IpNet>,
    /// Those of the sysctls asked for that could be read.
    pub sysctls: BTreeMap<String, String>,
    /// For a veth whose other end lies in an observed domain: where.
    pub peer: Option<(DomainName, InterfaceName)>,
    /// Only for interfaces in `host` that are asked for as physical: the routes through it that `ReturnInterface` must
    /// put back, as `ip route` prints them apart from the connected ones.
    pub routes: BTreeSet<RouteSpec>,
    /// What it has beside all this and will not get back, in words; only for those in `host` that are asked for as physical.
    pub unkept: BTreeSet<String>,
}

/// The routing daemon as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ObservedDaemon {
    /// None is recorded, or the record names a process that is gone or is another one.
    #[default]
    Stopped,
    /// The core of it runs in the domain's namespace; with the configuration texts that it last loaded, where known.
    Running {
        /// Which one.
        kind: DaemonKind,
        /// The process id of the program that speaks BGP.
        pid: u32,
        /// Its programs that run: those of its core, and others.
        programs: BTreeSet<Program>,
        /// What its programs last loaded.
        loaded: BTreeMap<Program, String>,
        /// Whether the kernel may still hold what the daemon before this one wrote there.
        leftovers: bool,
    },
}

/// What a claimed interface was like in the host: the one thing that must be remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceRecord {
    /// The domain that claimed it.
    pub domain: DomainName,
    /// Whether it was up.
    pub up: bool,
    /// Its MTU.
    pub mtu: u32,
    /// Its addresses, link-local ones apart.
    pub addresses: BTreeSet<IpNet>,
    /// Its routes, connected ones apart.
    pub routes: BTreeSet<RouteSpec>,
    /// Its hardware address, by which it is known from another one that gets its name; nothing where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
}

impl InterfaceRecord {
    /// Whether an interface of the same name can be the one that this tells of.
    pub fn is_about(&self, link: &ObservedLink) -> bool {
        self.hardware.is_none() || link.hardware.is_none() || self.hardware == link.hardware
    }
}

/// For people, where nothing can be done with it any more.
impl fmt::Display for InterfaceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, MTU {}", if self.up { "up" } else { "down" }, self.mtu)?;
        self.addresses.iter().try_for_each(|address| write!(f, ", {address}"))?;
        self.routes.iter().try_for_each(|route| write!(f, ", route {route}"))
    }
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteSpec {
    /// The destination.
    pub to: IpNet,
    /// `unicast`, `blackhole`, `unreachable` or `prohibit`, as `ip route` spells it.
    pub kind: String,
    /// The gateway; of another family than `to` for `via inet6` (`RTA_VIA`).
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<InterfaceName>,
    /// The preferred source (`RTA_PREFSRC`).
    pub src: Option<IpAddr>,
    /// The metric (`RTA_PRIORITY`); for IPv6 the kernel turns 0 into 1024.
    pub metric: Option<u32>,
    /// The protocol number (`rtm_protocol`).
    pub protocol: u8,
}

impl RouteSpec {
    /// A route of rdsup's own, with neither source nor metric.
    pub fn own(to: IpNet, kind: &str) -> Self {
        Self { to, kind: kind.to_owned(), via: None, dev: None, src: None, metric: None, protocol: ROUTE_PROTOCOL }
    }
}

/// As `ip route add` takes it, without that command.
impl fmt::Display for RouteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != "unicast" {
            write!(f, "{} ", self.kind)?;
        }
        write!(f, "{}", self.to)?;
        if let Some(via) = self.via {
            let other_family = via.is_ipv6() && self.to.addr().is_ipv4();
            write!(f, " via {}{via}", if other_family { "inet6 " } else { "" })?;
        }
        if let Some(dev) = &self.dev {
            write!(f, " dev {dev}")?;
        }
        if let Some(src) = self.src {
            write!(f, " src {src}")?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        write!(f, " proto {}", self.protocol)
    }
}

impl ObservedDomain {
    /// What an unknown domain looks like.
    pub const fn absent() -> Self {
        Self {
            namespace: NamespaceState::Absent,
            sysctls: BTreeMap::new(),
            filter: None,
            stacked: BTreeSet::new(),
            directory: false,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            routes: BTreeSet::new(),
            daemon: ObservedDaemon::Stopped,
        }
    }

    /// Whether any sign of rdsup is left in the domain, so that `stop` has something to do.
    pub fn is_empty(&self) -> bool {
        self.namespace == NamespaceState::Absent
            && self.filter.is_none()
            && self.stacked.is_empty()
            && !self.directory
            && self.files.is_empty()
            && self.routes.is_empty()
            && self.daemon == ObservedDaemon::Stopped
    }
}

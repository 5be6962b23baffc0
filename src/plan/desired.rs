//! What should be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::observed::RouteSpec;
use crate::model::{DaemonKind, DomainName, InterfaceName, Origin, Program};

/// The whole machine as the file wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Every domain, `host` included when the file declares it.
    pub domains: BTreeMap<DomainName, DesiredDomain>,
    /// Every veth pair.
    pub veths: Vec<DesiredVeth>,
}

/// One domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredDomain {
    /// Namespace-wide sysctls as `net/ipv4/ip_forward` → `1`; for `host` only what forwarding takes.
    pub sysctls: BTreeMap<String, String>,
    /// The packet filter.
    pub filter: DesiredFilter,
    /// Files in the run directory, such as `bird.conf`.
    pub files: Vec<DesiredFile>,
    /// Interfaces with their addresses, `lo` included (not for `host`).
    pub interfaces: BTreeMap<InterfaceName, DesiredInterface>,
    /// Routes of protocol [`super::ROUTE_PROTOCOL`].
    pub routes: BTreeSet<RouteSpec>,
    /// Where those of them were declared that were elsewhere than the domain.
    pub route_origins: BTreeMap<RouteSpec, Origin>,
    /// The routing daemon.
    pub daemon: Option<DesiredDaemon>,
    /// Where the domain was declared.
    pub origin: Origin,
}

impl DesiredDomain {
    /// Where a route was asked for.
    pub fn origin_of(&self, route: &RouteSpec) -> Origin {
        self.route_origins.get(route).copied().unwrap_or(self.origin)
    }
}

/// One `inet rdsup` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredFilter {
    /// Where the text is kept for people to read: `RUN_DIR/DOMAIN/rdsup.nft`.
    pub path: PathBuf,
    /// The whole file for `nft -f -`; it replaces the table in one transaction.
    pub text: Arc<str>,
}

/// One file in the run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredFile {
    /// Absolute path.
    pub path: PathBuf,
    /// The content.
    pub text: FileText,
    /// Permission bits.
    pub mode: u32,
    /// Who owns it.
    pub owner: FileOwner,
}

/// The content of a file that may hold secrets: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct FileText(Arc<str>);

impl From<&str> for FileText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for FileText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for FileText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FileText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// Who owns a file or directory that rdsup writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileOwner {
    /// root, group root.
    Root,
    /// root, with the group of this routing daemon, so that it may read it. Where the machine has no such group, or in a user
    /// namespace that maps none, root.
    DaemonGroup(DaemonKind),
    /// The user and group of this routing daemon.
    Daemon(DaemonKind),
}

/// One interface with what is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredInterface {
    /// What kind of interface it is.
    pub kind: InterfaceKind,
    /// Addresses with their prefix length, host bits kept; the link-local of a link included.
    pub addresses: BTreeSet<IpNet>,
    /// Those of them that are added before the others: where a route names no source, the kernel takes the first address there is.
    pub first: BTreeSet<IpNet>,
    /// MTU to set, if the file names one.
    pub mtu: Option<u32>,
    /// Sysctls of this interface as `net/ipv4/conf/rd-x/rp_filter` → `0`, written before it goes up.
    pub sysctls: BTreeMap<String, String>,
    /// `ifalias`, the mark that people see; `None` where rdsup did not make the interface.
    pub alias: Option<String>,
    /// Where it was declared.
    pub origin: Origin,
}

/// How an interface comes into the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceKind {
    /// `lo`: always there.
    Loopback,
    /// One end of a [`DesiredVeth`].
    Link,
    /// Claimed from the host by name.
    Physical,
}

/// One veth pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredVeth {
    /// Both ends.
    pub ends: [VethEnd; 2],
    /// Where the link was declared.
    pub origin: Origin,
}

/// One end of a veth pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VethEnd {
    /// The domain whose namespace it is in.
    pub domain: DomainName,
    /// Its name there.
    pub interface: InterfaceName,
}

/// One routing daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredDaemon {
    /// Which one.
    pub kind: DaemonKind,
    /// Its programs.
    pub programs: BTreeSet<Program>,
    /// The configuration file of the program that speaks BGP, one of the domain's `files`.
    pub config: PathBuf,
}

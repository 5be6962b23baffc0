//! A routing domain and what belongs to it alone.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::{Asn, DomainName, InterfaceName, NeighborName, Origin, Packets, PrefixPattern};

/// A network namespace with its own interfaces, routes, packet filter and routing daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name, also that of the namespace under `/run/netns`.
    pub name: DomainName,
    /// Free text for people; free of control characters.
    pub description: Option<String>,
    /// The AS number; present whenever the domain speaks BGP, and unique in the file.
    pub asn: Option<Asn>,
    /// The BGP identifier; present whenever the domain runs a daemon.
    pub router_id: Option<Ipv4Addr>,
    /// Addresses on `lo`, each /32 or /128, in the order of the file; the first of a family is the source of what the
    /// domain itself sends.
    pub loopback: Vec<IpNet>,
    /// Prefixes that originate here.
    pub networks: Vec<IpNet>,
    /// What routes here.
    pub daemon: DaemonKind,
    /// The address families that the domain routes.
    pub families: Families,
    /// Name servers of everything run inside; empty leaves `/etc/resolv.conf` alone.
    pub dns: Vec<IpAddr>,
    /// Raw lines for the daemon's configuration.
    pub extra: Option<ExtraText>,
    /// The group that may use this domain's `ctl`.
    pub operators: Option<String>,
    /// The group that may only look.
    pub viewers: Option<String>,
    /// Only for `host`: whether packets may be forwarded between the machine's interfaces and the links.
    pub forwarding: bool,
    /// Interfaces claimed from the host.
    pub interfaces: Vec<Interface>,
    /// Static routes.
    pub routes: Vec<Route>,
    /// External BGP neighbors.
    pub neighbors: Vec<Neighbor>,
    /// Where it was declared.
    pub origin: Origin,
}

impl Domain {
    /// The first loopback address of a family: the source of what the domain itself sends.
    pub fn source(&self, family: Family) -> Option<IpAddr> {
        self.loopback.iter().map(IpNet::addr).find(|address| Family::of(*address) == family)
    }

    /// The prefixes that its own interfaces carry, host bits cleared.
    pub fn interface_prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.interfaces.iter().flat_map(|interface| interface.addresses.iter().map(IpNet::trunc))
    }
}

/// The routing daemon of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DaemonKind {
    /// BIRD 2.
    Bird,
    /// FRR: zebra and bgpd, and bfdd where it is needed.
    Frr,
    /// No daemon: static routes only.
    None,
}

impl DaemonKind {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Bird, Self::Frr, Self::None];

    /// The word that the configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::None => "none",
        }
    }

    /// The program that speaks BGP, and by which all of it is meant where one is named.
    pub fn speaker(self) -> Option<Program> {
        self.core().last().copied()
    }

    /// The programs without which it is not there, in the order in which they are started. The last one speaks BGP. Which others a
    /// domain has follows from what is rendered for it.
    pub fn core(self) -> &'static [Program] {
        match self {
            Self::Bird => &[Program::Bird],
            Self::Frr => &[Program::Zebra, Program::Bgpd],
            Self::None => &[],
        }
    }

    /// Every program that it may have.
    pub fn programs(self) -> impl Iterator<Item = Program> {
        Program::ALL.into_iter().filter(move |program| program.kind() == self)
    }
}

/// A program of a routing daemon: BIRD is one, other suites are several. The order is that in which they are started, and the one
/// that speaks BGP is the last of its daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// `bird`.
    Bird,
    /// FRR's `mgmtd`, where it has one: it tells zebra what that is to do.
    Mgmtd,
    /// FRR's `zebra`, which writes routes to the kernel.
    Zebra,
    /// FRR's `bfdd`, only where BFD watches a neighbor.
    Bfdd,
    /// FRR's `bgpd`.
    Bgpd,
}

impl Program {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Bird, Self::Mgmtd, Self::Zebra, Self::Bfdd, Self::Bgpd];

    /// Its name, as its file and its process have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bird => "bird",
            Self::Mgmtd => "mgmtd",
            Self::Zebra => "zebra",
            Self::Bfdd => "bfdd",
            Self::Bgpd => "bgpd",
        }
    }

    /// The routing daemon that it belongs to.
    pub fn kind(self) -> DaemonKind {
        match self {
            Self::Bird => DaemonKind::Bird,
            Self::Mgmtd | Self::Zebra | Self::Bfdd | Self::Bgpd => DaemonKind::Frr,
        }
    }
}

/// One program of one domain's routing daemon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DaemonName {
    /// The domain.
    pub domain: DomainName,
    /// The program.
    pub program: Program,
}

impl DaemonName {
    /// This program of this domain.
    pub fn new(domain: &DomainName, program: Program) -> Self {
        Self { domain: domain.clone(), program }
    }

    /// Every program that a domain may have, whichever daemon is its own.
    pub fn all_of(domain: &DomainName) -> [Self; Program::ALL.len()] {
        Program::ALL.map(|program| Self::new(domain, program))
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Both, IPv4 first.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// The family of a prefix.
    pub fn of_net(net: &IpNet) -> Self {
        Self::of(net.addr())
    }

    /// `ipv4` or `ipv6`, as the configuration and BIRD spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// Which address families are on; at least one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4 is routed.
    pub ipv4: bool,
    /// IPv6 is routed.
    pub ipv6: bool,
}

impl Families {
    /// Whether `family` is on.
    pub fn contains(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }

    /// Those that are on, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| self.contains(*family))
    }
}

/// Raw configuration of a daemon, the admin's own: the one place where text of the file reaches a daemon unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraText {
    /// The text, without a final newline.
    pub text: String,
    /// The line of the file on which the first line of `text` stands.
    pub origin: Origin,
}

/// A physical interface, taken from the host by name and given back at stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, in the host and in the domain.
    pub name: InterfaceName,
    /// Addresses with their prefix length; host bits are kept.
    pub addresses: Vec<IpNet>,
    /// The MTU to set, if any.
    pub mtu: Option<u32>,
    /// Whether it leads out of what the admin controls: then nothing is forwarded from it unless `packets` says so.
    pub outside: bool,
    /// New flows from an outside interface to what the domain announces.
    pub packets: Packets,
    /// New flows to the domain's own addresses on this interface.
    pub input: Packets,
    /// Whether a source must be routed back through this interface (strict reverse path).
    pub source_check: bool,
    /// Sources that leave by this interface with its own address (masquerading); host bits are zero.
    pub masquerade: Vec<IpNet>,
    /// Where it was declared.
    pub origin: Origin,
}

/// A static route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination; host bits are zero.
    pub to: IpNet,
    /// What to do with packets.
    pub kind: RouteKind,
    /// The metric; the kernel's default if none.
    pub metric: Option<u32>,
    /// Where it was declared.
    pub origin: Origin,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Forward to a gateway, an interface, or both; at least one is present.
    Unicast {
        /// The gateway, of the destination's family or IPv6.
        via: Option<IpAddr>,
        /// The interface.
        dev: Option<InterfaceName>,
    },
    /// Drop silently.
    Blackhole,
    /// Drop and answer "host unreachable".
    Unreachable,
    /// Drop and answer "administratively prohibited".
    Prohibit,
}

/// An external BGP neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent yes-or-no keys of the file")]
pub struct Neighbor {
    /// Its name, unique in the domain.
    pub name: NeighborName,
    /// Free text for people; free of control characters.
    pub description: Option<String>,
    /// Its address.
    pub address: IpAddr,
    /// The interface, needed for a link-local `address`.
    pub interface: Option<InterfaceName>,
    /// Its AS number.
    pub asn: Asn,
    /// Whether `asn` equals the domain's own on purpose.
    pub ibgp: bool,
    /// How many hops away it may be; `None` means directly connected, protected by GTSM (RFC 5082).
    pub multihop: Option<u8>,
    /// Whether it is watched by BFD (RFC 5880, 5881); only one that is directly connected is.
    pub bfd: bool,
    /// What is accepted from it; empty means nothing.
    pub routes: Vec<PrefixPattern>,
    /// What is announced to it; empty means nothing.
    pub announce: Vec<PrefixPattern>,
    /// Local preference of what it announces.
    pub preference: Option<u32>,
    /// The most prefixes it may announce, for each family.
    pub max_prefixes: u32,
    /// The longest AS path accepted.
    pub max_path: u32,
    /// What this domain is to the neighbor (RFC 9234); the neighbor must then claim the matching role.
    pub role: Option<Role>,
    /// Whether routes are checked against the domain's RPKI caches, if it has any.
    pub rpki: bool,
    /// Whether a range over everything, such as `any`, takes in the default route too.
    pub accept_default: bool,
    /// Where its TCP MD5 password (RFC 2385) is kept.
    pub password: Option<PasswordFile>,
    /// Where it was declared.
    pub origin: Origin,
}

/// What a domain is to a BGP neighbor: the local role of RFC 9234.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Of whom the neighbor buys transit.
    Provider,
    /// Who buys transit of the neighbor.
    Customer,
    /// An equal.
    Peer,
    /// A route server, which the neighbor is a client of.
    RsServer,
    /// A client of the neighbor, which is a route server.
    RsClient,
}

impl Role {
    /// The word that the configuration and BIRD use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Customer => "customer",
            Self::Peer => "peer",
            Self::RsServer => "rs_server",
            Self::RsClient => "rs_client",
        }
    }
}

/// A file whose first line is a password. The file is read only by what needs the secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PasswordFile(pub PathBuf);

//! What `frr/*.hbs` see.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::Serialize;

use crate::model::{Asn, CacheName, DomainName, InterfaceName, NeighborName};
use crate::render::quote::Bare;

/// The root of `frr/*.hbs`.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of its own in the text")]
pub struct Frr {
    /// The domain.
    pub domain: DomainName,
    /// The configuration file, for comments.
    pub source: String,
    /// The domain's description, for comments; null if it has none.
    pub description: Option<String>,
    /// The BGP identifier.
    pub router_id: Ipv4Addr,
    /// The domain's AS number; null if it speaks no BGP.
    pub asn: Option<Asn>,
    /// RPKI caches.
    pub caches: Vec<FrrCache>,
    /// Whether the lists are so long that they must be read as one transaction.
    pub batch: bool,
    /// Every list that the route maps name, as FRR writes it, sorted by name.
    pub lists: String,
    /// The route maps of networks that carry notes.
    pub notes: Vec<FrrNote>,
    /// The address families that the domain routes.
    pub families: Vec<FrrFamily>,
    /// Sessions over links.
    pub links: Vec<FrrLink>,
    /// Sessions with external neighbors.
    pub neighbors: Vec<FrrNeighbor>,
    /// Every interface, if there is a session on which IPv4 takes IPv6 next hops: what leads to its neighbor may change.
    pub extended: BTreeSet<InterfaceName>,
    /// Whether BFD watches any neighbor, so that there is a bfdd.
    pub bfd: bool,
    /// The large community that every route has while a route map looks at it, where FRR (9.0) needs that; null elsewhere.
    pub mark: Option<&'static str>,
    /// Whether FRR has a mgmtd (10.0), which tells zebra what it is to do.
    pub mgmtd: bool,
    /// Whether `rpki cache` says by which transport (10.1).
    pub cache_transport: bool,
    /// Whether zebra and mgmtd have no `hostname` and no `log` (10.5).
    pub nameless: bool,
}

/// An RPKI cache: `frr/cache.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct FrrCache {
    /// The cache's name.
    pub name: CacheName,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Which cache is asked first; unique.
    pub preference: usize,
}

/// The route map of networks that carry notes: `frr/note.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct FrrNote {
    /// Its name.
    pub name: String,
    /// The large communities, as `65001:2:77`.
    pub labels: Vec<String>,
    /// Whether a route that was learned is better.
    pub host: bool,
}

/// One address family: `frr/family.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct FrrFamily {
    /// `ipv4` or `ipv6`.
    pub name: &'static str,
    /// The word in front of commands of the family: `ip` or `ipv6`.
    pub command: &'static str,
    /// The first loopback of the family; null if there is none.
    pub source: Option<IpAddr>,
    /// The route map that makes it the source, and lets through what bgpd tells zebra; null if there is neither to do.
    pub source_map: Option<String>,
    /// The list of all IPv4 addresses, where FRR (8.5) must be told that a source is for routes with such a next hop alone; null elsewhere.
    pub direct: Option<&'static str>,
    /// What every route has that bgpd tells zebra, where FRR (10.3) must not write what it found in the kernel; null elsewhere.
    pub tag: Option<u32>,
    /// What the domain announces of its own.
    pub networks: Vec<FrrNetwork>,
    /// The family on each session that carries it.
    pub channels: Vec<FrrChannel>,
}

/// A prefix that the domain announces.
#[derive(Clone, Debug, Serialize)]
pub struct FrrNetwork {
    /// The prefix.
    pub to: IpNet,
    /// The route map of its notes; null if it carries none.
    pub note: Option<String>,
}

/// A session over a link: `frr/link.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct FrrLink {
    /// The domain at the other end.
    pub peer: DomainName,
    /// What the session is called: the interface.
    pub session: InterfaceName,
    /// The interface; null if the address says it.
    pub interface: Option<InterfaceName>,
    /// The own address.
    pub local: IpAddr,
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's AS number.
    pub peer_asn: Asn,
    /// Seconds between attempts: 1 at the first end of the link, 3 at the second.
    pub connect_delay: u32,
    /// What this domain is to the peer (RFC 9234), as FRR spells it; null if the file does not say.
    pub role: Option<String>,
    /// Whether IPv4 is carried with IPv6 next hops.
    pub extended_next_hop: bool,
}

/// A session with an external neighbor: `frr/neighbor.hbs`.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "templates ask independent yes-or-no questions")]
pub struct FrrNeighbor {
    /// The neighbor's name.
    pub name: NeighborName,
    /// The neighbor's description; null if it has none.
    pub description: Option<Bare>,
    /// The interface; null if the address says it.
    pub interface: Option<InterfaceName>,
    /// The own address; null if the kernel chooses.
    pub local: Option<IpAddr>,
    /// The neighbor's address.
    pub address: IpAddr,
    /// The neighbor's AS number.
    pub peer_asn: Asn,
    /// Whether both AS numbers are the same.
    pub ibgp: bool,
    /// How many hops away it may be; null if directly connected.
    pub multihop: Option<u8>,
    /// Whether BFD watches it.
    pub bfd: bool,
    /// Whether the daemon insists on hop limit 255; of some direct neighbors only the packet filter does.
    pub ttl_security: bool,
    /// The TCP MD5 password; null if there is none.
    pub password: Option<Bare>,
    /// What this domain is to the neighbor (RFC 9234), as FRR spells it; null if the file does not say.
    pub role: Option<String>,
    /// Whether IPv4 is carried with IPv6 next hops.
    pub extended_next_hop: bool,
}

/// One family on a session: `frr/channel.hbs`, `frr/import.hbs` and `frr/export.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct FrrChannel {
    /// What the session is called: the link's interface, or the neighbor's name after `ext-`.
    pub session: String,
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
    /// The peer's address.
    pub address: IpAddr,
    /// Whether the own address replaces the next hop of everything announced.
    pub next_hop_self: bool,
    /// What sets the next hop of an accepted route to the neighbor, as FRR writes it after `set`; empty where it may be anybody.
    pub next_hop: Vec<String>,
    /// Whether the daemon keeps what it is sent, refused or not, so that it can judge it anew without asking for it.
    pub keep_refused: bool,
    /// What is accepted.
    pub import: FrrMap,
    /// What may be announced.
    pub export: FrrMap,
    /// The list of large communities that are the domain's own notes.
    pub own_labels: String,
    /// The list that matches routes without such notes.
    pub no_labels: String,
    /// The list of the community of graceful shutdown (RFC 8326).
    pub graceful_shutdown: String,
    /// The large community that learned routes get, as `65001:1:65002`; null if they get none.
    pub label: Option<String>,
    /// Local preference of learned routes.
    pub preference: u32,
    /// The most prefixes accepted.
    pub max_prefixes: u32,
}

/// A route map.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FrrMap {
    /// Its name, which ends in a digest of all that it says and names.
    pub name: String,
    /// The tests, in order.
    pub steps: Vec<FrrStep>,
}

/// One test of a route map: `frr/steps.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct FrrStep {
    /// Its place.
    pub number: u32,
    /// What it is for, as a comment.
    pub why: String,
    /// What must all match, as FRR writes it.
    pub matches: Vec<String>,
    /// Where a route goes on that matches; null if it is refused.
    pub goto: Option<u32>,
    /// The place at which a route that does not match is refused; null if the next step may still accept it.
    pub refuse: Option<u32>,
}

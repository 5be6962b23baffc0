//! What `bird/*.hbs` see.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::Serialize;

use crate::model::{Asn, DomainName, NeighborName};
use crate::render::quote::Quoted;

/// The root of `bird/*.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct Bird {
    /// The domain.
    pub domain: DomainName,
    /// The configuration file, for comments.
    pub source: String,
    /// The domain's description, for comments; null if it has none.
    pub description: Option<String>,
    /// The BGP identifier.
    pub router_id: Ipv4Addr,
    /// The log file, quoted.
    pub log_file: Quoted,
    /// The name of the log file's predecessor, quoted.
    pub log_backup: Quoted,
    /// The address families that the domain routes.
    pub families: Vec<BirdFamily>,
    /// Sessions over links.
    pub links: Vec<BirdLink>,
    /// Sessions with external neighbors.
    pub neighbors: Vec<BirdNeighbor>,
}

/// One address family of a domain: `bird/family.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct BirdFamily {
    /// `ipv4` or `ipv6`.
    pub name: &'static str,
    /// `4` or `6`, for names.
    pub digit: u8,
    /// The first loopback of the family; null if there is none.
    pub source: Option<IpAddr>,
    /// What the domain originates.
    pub originated: Vec<IpNet>,
    /// What came over static links.
    pub linked: Vec<BirdLinked>,
}

/// A prefix that came over a static link.
#[derive(Clone, Debug, Serialize)]
pub struct BirdLinked {
    /// The prefix.
    pub to: IpNet,
    /// The large community of the domain it came from, as `(65001, 1, 65002)`; null if this domain has no AS number.
    pub label: Option<String>,
}

/// A session over a link: `bird/link.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct BirdLink {
    /// The name of the BGP protocol.
    pub protocol: String,
    /// The domain at the other end.
    pub peer: DomainName,
    /// The interface, quoted.
    pub interface: Quoted,
    /// The own address.
    pub local: IpAddr,
    /// The own AS number.
    pub asn: Asn,
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's AS number.
    pub peer_asn: Asn,
    /// Seconds before this end connects, and between attempts: 1 at the first end of the link, 3 at the second.
    pub connect_delay: u32,
    /// The families that cross.
    pub channels: Vec<BirdChannel>,
}

/// A session with an external neighbor: `bird/neighbor.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct BirdNeighbor {
    /// The name of the BGP protocol.
    pub protocol: String,
    /// The neighbor's name.
    pub name: NeighborName,
    /// The neighbor's description, quoted; null if it has none.
    pub description: Option<Quoted>,
    /// The interface, quoted; null if the address says it.
    pub interface: Option<Quoted>,
    /// The own address; null if the kernel chooses.
    pub local: Option<IpAddr>,
    /// The own AS number.
    pub asn: Asn,
    /// The neighbor's address.
    pub address: IpAddr,
    /// The neighbor's AS number.
    pub peer_asn: Asn,
    /// Whether both AS numbers are the same.
    pub ibgp: bool,
    /// How many hops away it may be; null if directly connected.
    pub multihop: Option<u8>,
    /// The TCP MD5 password, quoted; null if there is none.
    pub password: Option<Quoted>,
    /// The families on the session.
    pub channels: Vec<BirdChannel>,
}

/// One family on a session: `bird/channel.hbs` and `bird/filters.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct BirdChannel {
    /// `ipv4` or `ipv6`.
    pub name: &'static str,
    /// What the names of its filters end in, such as `4_rd_private`.
    pub suffix: String,
    /// Whether IPv4 is carried with IPv6 next hops.
    pub extended_next_hop: bool,
    /// Whether the own address replaces the next hop of everything announced.
    pub next_hop_self: bool,
    /// The own AS number.
    pub asn: Asn,
    /// The longest AS path accepted.
    pub max_path: u32,
    /// The attribute that must equal the peer's address: `gw` or `bgp_next_hop`; null if the next hop may be another.
    pub next_hop: Option<&'static str>,
    /// What is accepted.
    pub import: BirdPrefixes,
    /// What may be announced.
    pub export: BirdPrefixes,
    /// Whether what came over links may be announced if `export` names it.
    pub announce_linked: bool,
    /// The large community that learned routes get, as `(65001, 1, 65002)`; null for an external neighbor.
    pub label: Option<String>,
    /// Local preference of learned routes.
    pub preference: u32,
    /// The most prefixes accepted.
    pub max_prefixes: u32,
}

/// An allow-list of prefixes.
#[derive(Clone, Debug, Serialize)]
pub struct BirdPrefixes {
    /// The sets that `test` names.
    pub sets: Vec<BirdSet>,
    /// The condition under which a route passes, in BIRD's filter language.
    pub test: String,
}

/// A named prefix set.
#[derive(Clone, Debug, Serialize)]
pub struct BirdSet {
    /// Its name.
    pub name: String,
    /// Its prefixes, as BIRD writes patterns: `10.0.0.0/8{16,24}`.
    pub patterns: Vec<String>,
}

//! What templates see. Every public field here is documented in `docs/templates.md`; a test compares the two.
//!
//! Only typed values: numbers, addresses, prefixes, checked names, and strings that arrive quoted for their target.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::Serialize;

use super::quote::Quoted;
use crate::model::{Asn, DomainName, InterfaceName, NeighborName};

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

/// The root of `nft/*.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct Nft {
    /// The domain.
    pub domain: DomainName,
    /// The configuration file, for comments.
    pub source: String,
    /// The domain's description, for comments; null if it has none.
    pub description: Option<String>,
    /// The name of the table: `rdsup`, or another one where many domains are checked at once.
    pub table: String,
    /// The table's comment, quoted: the mark of ownership.
    pub comment: Quoted,
    /// Whether this is the machine's own namespace.
    pub host: bool,
    /// Only for `host`: whether packets are forwarded between links and the machine's interfaces.
    pub forwarding: bool,
    /// Every counter.
    pub counters: Vec<String>,
    /// The counter of interfaces that the file does not name.
    pub other: String,
    /// Every named set.
    pub sets: Vec<NftSet>,
    /// For each reason that is checked for all links at once, which counter stands for which link.
    pub maps: Vec<NftMap>,
    /// Links.
    pub links: Vec<NftLink>,
    /// Interfaces claimed from the host.
    pub interfaces: Vec<NftInterface>,
}

/// A named set of addresses: `nft/set.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct NftSet {
    /// Its name.
    pub name: String,
    /// `ipv4_addr` or `ipv6_addr`.
    pub kind: &'static str,
    /// Its prefixes.
    pub elements: Vec<IpNet>,
}

/// A map from interfaces to counters: `nft/wire.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct NftMap {
    /// Its name, `drop.` and the reason.
    pub name: String,
    /// Its entries.
    pub entries: Vec<NftMapEntry>,
}

/// An entry of an [`NftMap`].
#[derive(Clone, Debug, Serialize)]
pub struct NftMapEntry {
    /// The interface.
    pub interface: InterfaceName,
    /// The counter.
    pub counter: String,
}

/// One end of a link: `nft/link.hbs` and `nft/link_out.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct NftLink {
    /// The interface as part of chain names.
    pub name: String,
    /// The interface.
    pub interface: InterfaceName,
    /// The domain at the other end.
    pub peer: DomainName,
    /// The own link-local address.
    pub local: Ipv6Addr,
    /// The peer's link-local address.
    pub remote: Ipv6Addr,
    /// The peer's addresses from which neighbor discovery comes.
    pub discovery: Vec<Ipv6Addr>,
    /// The own addresses from which neighbor discovery goes out.
    pub discovery_own: Vec<Ipv6Addr>,
    /// The BGP session; empty for a static link.
    pub sessions: Vec<NftSession>,
    /// IPv4 and IPv6.
    pub families: Vec<NftLinkFamily>,
    /// The new flows that enter, as nftables writes them.
    pub packets: Vec<String>,
    /// The link's number in the connection tracking mark.
    pub mark: String,
    /// The counters of its drops, by reason.
    pub drop: BTreeMap<&'static str, String>,
}

/// A BGP session as packets.
#[derive(Clone, Debug, Serialize)]
pub struct NftSession {
    /// `ip` or `ip6`.
    pub keyword: &'static str,
    /// `ttl` or `hoplimit`.
    pub hops: &'static str,
    /// The own address; null if it may be any.
    pub local: Option<IpAddr>,
    /// The peer's address.
    pub remote: IpAddr,
    /// Whether packets must arrive with hop limit 255.
    pub direct: bool,
}

/// One family on a link.
#[derive(Clone, Debug, Serialize)]
pub struct NftLinkFamily {
    /// `ip` or `ip6`.
    pub keyword: &'static str,
    /// Whether everything is behind the link, apart from `except`.
    pub everything: bool,
    /// Without `everything`: the set of addresses behind the link.
    pub behind: String,
    /// With `everything`: the set of those that are not.
    pub except: String,
    /// Whether new flows may go anywhere except to the domain itself.
    pub to_everything: bool,
    /// The set of destinations of new flows.
    pub to: String,
}

/// An interface claimed from the host: `nft/interface.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct NftInterface {
    /// The interface as part of chain names.
    pub name: String,
    /// The interface.
    pub interface: InterfaceName,
    /// Whether it leads out of what the admin controls.
    pub outside: bool,
    /// Whether a source must be routed back through it.
    pub source_check: bool,
    /// The interfaces that nothing is forwarded to from here: if this is outside, every outside one.
    pub not_to: Vec<InterfaceName>,
    /// BGP with external neighbors.
    pub sessions: Vec<NftSession>,
    /// IPv4 and IPv6.
    pub families: Vec<NftInterfaceFamily>,
    /// New flows that are forwarded from outside, as nftables writes them.
    pub packets: Vec<String>,
    /// New flows to the domain itself, as nftables writes them.
    pub input: Vec<String>,
    /// The counters of its drops, by reason.
    pub drop: BTreeMap<&'static str, String>,
}

/// One family on an interface.
#[derive(Clone, Debug, Serialize)]
pub struct NftInterfaceFamily {
    /// `ip` or `ip6`.
    pub keyword: &'static str,
    /// The set of sources that only someone inside may have.
    pub refused: String,
    /// Whether new flows from outside may go anywhere except to the domain itself.
    pub to_everything: bool,
    /// The set of destinations of new flows from outside.
    pub to: String,
}

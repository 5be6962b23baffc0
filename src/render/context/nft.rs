//! What `nft/*.hbs` see.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::Serialize;

use crate::model::{DomainName, InterfaceName};
use crate::render::quote::Quoted;

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

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
    /// The group of every interface of a link, whatever its name.
    pub group: u32,
    /// Every counter.
    pub counters: Vec<String>,
    /// The counter of interfaces that the file does not name.
    pub other: String,
    /// Every named set.
    pub sets: Vec<NftSet>,
    /// The bits of a connection tracking mark that are rdsup's.
    pub mark_bits: String,
    /// Those of them that number a link or interface.
    pub number_bits: String,
    /// The one of them that says that the flow left by that link.
    pub left_bit: String,
    /// The bits that are left to others.
    pub other_bits: String,
    /// From which link to which other one flows may go.
    pub pairs: Vec<NftPair>,
    /// Where destinations are translated.
    pub translates_in: Vec<NftPlace>,
    /// Where sources are translated.
    pub translates_out: Vec<NftPlace>,
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

/// A link or an interface at which addresses are translated: `nft/translate.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct NftPlace {
    /// The interface as part of chain names.
    pub name: String,
    /// The interface.
    pub interface: InterfaceName,
}

/// A link and another one that its flows may leave by: `nft/wire.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct NftPair {
    /// The interface by which they enter.
    pub from: InterfaceName,
    /// The interface by which they may leave.
    pub to: InterfaceName,
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
    /// The answers in such flows.
    pub replies: Vec<String>,
    /// Whether any new flow may enter.
    pub entered: bool,
    /// The ports that this domain opens to the peer.
    pub services: Vec<NftService>,
    /// The ports that the peer opens to this domain.
    pub used: Vec<NftService>,
    /// The interfaces of other links by which flows from here may leave.
    pub onward: Vec<InterfaceName>,
    /// Whether destinations of what arrives are translated.
    pub translates_in: bool,
    /// Whether sources of what leaves are translated.
    pub translates_out: bool,
    /// The connection tracking mark of flows that entered by the link.
    pub mark: String,
    /// The mark of flows that left by it.
    pub left: String,
    /// The marks of flows about which errors come from any router behind the link.
    pub errors: Vec<String>,
    /// The counters of its drops, by reason.
    pub drop: BTreeMap<&'static str, String>,
}

/// A port that one domain opens to another.
#[derive(Clone, Debug, Serialize)]
pub struct NftService {
    /// `ip` or `ip6`.
    pub keyword: &'static str,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The address at which it is found.
    pub address: IpAddr,
    /// The port there.
    pub port: u16,
    /// Where it really is: address and port.
    pub at: String,
    /// The port there.
    pub at_port: u16,
    /// Whether these differ, so that the owner translates.
    pub translated: bool,
}

/// Sources that appear as one address.
#[derive(Clone, Debug, Serialize)]
pub struct NftNat {
    /// The sources.
    pub from: Vec<IpNet>,
    /// The address.
    pub to: IpAddr,
}

/// A prefix that appears as another.
#[derive(Clone, Debug, Serialize)]
pub struct NftAlias {
    /// The prefix as it is.
    pub real: IpNet,
    /// The prefix as the peer sees it.
    pub seen: IpNet,
    /// The first address of the latter.
    pub first: IpAddr,
    /// The mask of the bits that both have in common: those of the host.
    pub host_bits: IpAddr,
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
    /// Whether BFD watches it, whose packets must too.
    pub bfd: bool,
    /// Whether what goes to it gets hop limit 255 here.
    pub raised: bool,
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
    /// With `to_everything`: the set of what is not meant by it; null if there is none.
    pub claimed: Option<String>,
    /// The set of own addresses that the peer never sees; null if there are none.
    pub hidden: Option<String>,
    /// The set of the peer's addresses that are never seen here; null if there are none.
    pub unseen: Option<String>,
    /// Sources that the peer sees as one address.
    pub nats: Vec<NftNat>,
    /// Prefixes that the peer sees as others.
    pub aliases: Vec<NftAlias>,
    /// The own address on a numbered link, which is never translated; null if there is none.
    pub wire: Option<IpAddr>,
}

/// An interface claimed from the host: `nft/interface.hbs`.
#[expect(clippy::struct_excessive_bools, reason = "templates ask independent yes-or-no questions")]
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
    /// Whether zebra is there, which would announce a router: it is not heard.
    pub zebra: bool,
    /// The interfaces that nothing is forwarded to from here: if this is outside, every outside one.
    pub not_to: Vec<InterfaceName>,
    /// BGP with external neighbors.
    pub sessions: Vec<NftSession>,
    /// IPv4 and IPv6.
    pub families: Vec<NftInterfaceFamily>,
    /// Whether sources of what leaves are replaced by the interface's own address.
    pub masquerades: bool,
    /// The connection tracking mark of flows that entered by the interface.
    pub mark: String,
    /// New flows that are forwarded from outside, as nftables writes them.
    pub packets: Vec<String>,
    /// The answers in such flows.
    pub replies: Vec<String>,
    /// New flows to the domain itself, as nftables writes them.
    pub input: Vec<String>,
    /// The answers in such flows.
    pub input_replies: Vec<String>,
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
    /// The set of sources that leave with the interface's own address; null if there are none.
    pub hidden: Option<String>,
}

//! What `bird/*.hbs` see.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::model::{Asn, CacheName, DomainName, NeighborName, PrefixPattern, Role};
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
    /// RPKI caches.
    pub caches: Vec<BirdCache>,
    /// The address families that the domain routes.
    pub families: Vec<BirdFamily>,
    /// Sessions over links.
    pub links: Vec<BirdLink>,
    /// Sessions with external neighbors.
    pub neighbors: Vec<BirdNeighbor>,
    /// The interfaces with neighbors that BFD watches, quoted; `*` if the file does not say which.
    pub bfd: Vec<Quoted>,
}

/// An RPKI cache: `bird/cache.hbs`.
#[derive(Clone, Debug, Serialize)]
pub struct BirdCache {
    /// The name of the RPKI protocol.
    pub protocol: String,
    /// The cache's name.
    pub name: CacheName,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
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
    pub originated: Vec<BirdOriginated>,
    /// What came over static links.
    pub linked: Vec<BirdLinked>,
    /// What is announced over some links only.
    pub link_only: Vec<BirdLinkOnly>,
}

/// A prefix that is announced over some links only.
#[derive(Clone, Debug, Serialize)]
pub struct BirdLinkOnly {
    /// The prefix.
    pub to: IpNet,
    /// The large communities of these links, as `(65001, 2, 77)`.
    pub labels: Vec<String>,
    /// Whether a route that was learned is better.
    pub host: bool,
}

/// A prefix that the domain originates.
#[derive(Clone, Debug, Serialize)]
pub struct BirdOriginated {
    /// The prefix.
    pub to: IpNet,
    /// Where it leads, as BIRD writes it: `unreachable`, or `via` a gateway or an interface.
    pub way: String,
}

/// A prefix that came over a static link.
#[derive(Clone, Debug, Serialize)]
pub struct BirdLinked {
    /// The prefix.
    pub to: IpNet,
    /// The large community that says where it entered, as `(65001, 1, 65002)`; null if this domain has no AS number.
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
    /// What this domain is to the peer (RFC 9234); null if the file does not say.
    pub role: Option<Role>,
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
    /// Whether BFD watches it.
    pub bfd: bool,
    /// The TCP MD5 password, quoted; null if there is none.
    pub password: Option<Quoted>,
    /// What this domain is to the neighbor (RFC 9234); null if the file does not say.
    pub role: Option<Role>,
    /// The families on the session.
    pub channels: Vec<BirdChannel>,
}

/// One family on a session: `bird/channel.hbs` and `bird/filters.hbs`.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "templates ask independent yes-or-no questions")]
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
    /// The large communities of what came over other links and may be announced here all the same: transit.
    pub transit: Vec<String>,
    /// Whether what was learned from neighbors outside may be announced if `export` names it.
    pub announce_outside: bool,
    /// The large community of what is announced over this link only, as `(65001, 2, 77)`; null for a neighbor.
    pub only_here: Option<String>,
    /// The large community that learned routes get, as `(65001, 1, 65002)`; null if they get none.
    pub label: Option<String>,
    /// The set of AS numbers that may be in no path; null if any may.
    pub refused_asns: Option<String>,
    /// The table of validated origins that routes are checked against; null if they are not.
    pub roa_table: Option<&'static str>,
    /// Whether the daemon keeps what it is sent, refused or not, so that it can judge it anew without asking for it.
    pub import_table: bool,
    /// How many routes it keeps.
    pub max_received: u32,
    /// Local preference of learned routes.
    pub preference: u32,
    /// The most prefixes accepted.
    pub max_prefixes: u32,
    /// What happens then: `block` or `restart`.
    pub at_limit: &'static str,
}

/// An allow-list of prefixes.
#[derive(Clone, Debug, Serialize)]
pub struct BirdPrefixes {
    /// The sets that `test` names and nothing before has defined.
    pub sets: Vec<BirdSet>,
    /// The condition under which a route passes, in BIRD's filter language.
    pub test: String,
}

/// A named set.
#[derive(Clone, Debug, Serialize)]
pub struct BirdSet {
    /// Its name.
    pub name: String,
    /// Its elements.
    pub elements: BirdElements,
}

/// The elements of a set as BIRD writes them, one on each line: `10.0.0.0/8{16,24}` or `64512..65534`.
///
/// One text and no list: a set from a routing registry has a million prefixes, and a template that visits each of them
/// takes a hundred times as long. It is made here and from typed values only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BirdElements(Arc<str>);

impl BirdElements {
    /// That of prefix patterns.
    pub(in crate::render) fn patterns(patterns: &[PrefixPattern]) -> Self {
        Self::join(patterns, |text, pattern| {
            let PrefixPattern { prefix, ge, le } = pattern;
            if pattern.is_exact() { write!(text, "{prefix}") } else { write!(text, "{prefix}{{{ge},{le}}}") }
        })
    }

    /// That of prefixes and everything under them.
    pub(in crate::render) fn under(prefixes: &[IpNet]) -> Self {
        Self::join(prefixes, |text, prefix| write!(text, "{prefix}+"))
    }

    /// That of AS numbers.
    pub(in crate::render) fn asns(ranges: &[RangeInclusive<u32>]) -> Self {
        Self::join(ranges, |text, range| {
            let (first, last) = range.clone().into_inner();
            if first == last { write!(text, "{first}") } else { write!(text, "{first}..{last}") }
        })
    }

    fn join<T>(elements: &[T], one: impl Fn(&mut String, &T) -> fmt::Result) -> Self {
        let mut text = String::with_capacity(elements.len() * 20);
        for (index, element) in elements.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { ",\n\t" });
            // Writing to a string cannot fail.
            let _ = one(&mut text, element);
        }
        Self(text.into())
    }
}

impl fmt::Debug for BirdElements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BirdElements({} bytes)", self.0.len())
    }
}

impl Serialize for BirdElements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

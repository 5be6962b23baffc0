//! A link between two domains: a veth pair and what may cross it.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::{Alias, DomainName, InterfaceName, Nat, Origin, Packets, PrefixPattern};

/// A veth pair between two domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The name given in the file, needed when two domains have several links.
    pub name: Option<String>,
    /// Number of the link in connection tracking marks: 1 to 2^30-1, derived from its ends and name so that it stays
    /// the same when other links come and go; unique among the links of a domain.
    pub mark: u32,
    /// Both ends, in the order of `between`.
    pub ends: [LinkEnd; 2],
    /// How routes cross.
    pub routing: Routing,
    /// The MTU of both ends, the kernel's default if none.
    pub mtu: Option<u32>,
    /// The longest AS path accepted over the link.
    pub max_path: u32,
    /// The end that is the other's provider (RFC 9234), if the file says so.
    pub provider: Option<DomainName>,
    /// Where it was declared.
    pub origin: Origin,
}

impl Link {
    /// How the link is called in messages: its name, or `first--second`.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("{}--{}", self.ends[0].domain, self.ends[1].domain),
        }
    }
}

/// How routes cross a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// An eBGP session that carries both families.
    Bgp,
    /// A static route for each exact prefix accepted.
    Static,
}

/// One end of a link, seen from the domain that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEnd {
    /// The domain.
    pub domain: DomainName,
    /// The interface there: `rd-PEER`, or `rd-NAME` for a named link.
    pub interface: InterfaceName,
    /// The fixed link-local address: `fe80::1` at the first end, `fe80::2` at the second.
    pub link_local: Ipv6Addr,
    /// Addresses of a numbered link at this end, with their prefix length; at most one of each family. A link with
    /// FRR at an end has an IPv6 one unless the file gives what its session can use ([`LinkEnd::fixed_addresses`]).
    pub addresses: Vec<IpNet>,
    /// What this domain accepts from the other end.
    pub accept: Accept,
}

impl LinkEnd {
    /// The fixed link-local address of the first or second end of a link: `fe80::1` or `fe80::2`, and with the number of the
    /// link in it where FRR runs at either end, which tells its neighbors apart by their addresses alone.
    pub fn fixed_link_local(mark: u32, first: bool, frr: bool) -> Ipv6Addr {
        let (high, low) = if frr { halves(mark) } else { (0, 0) };
        Ipv6Addr::new(0xfe80, 0, 0, 0, high, low, 0, if first { 1 } else { 2 })
    }

    /// The addresses of both ends of a link with FRR at an end that the file does not number. bgpd, which waits until zebra tells
    /// of the way to a neighbor, never asks about a link-local address that the file gives, as it does not say on which interface
    /// (`bgp_find_or_add_nexthop`). Two of them would wait for each other; where a BIRD connects, FRR 10 finds no way to what
    /// it announces.
    ///
    /// They are unique local ones (RFC 4193) and hold the number of the link.
    pub fn fixed_addresses(mark: u32) -> [IpNet; 2] {
        let (high, low) = halves(mark);
        [0, 1].map(|last| Ipv6Net::new_assert(Ipv6Addr::new(0xfd72, 0x6473, 0x7570, 0, high, low, 0, last), 127).into())
    }

    /// This end's address of a numbered link in the family of `v4`, if it has one.
    pub fn address(&self, v4: bool) -> Option<IpAddr> {
        self.addresses.iter().map(IpNet::addr).find(|address| address.is_ipv4() == v4)
    }
}

fn halves(mark: u32) -> (u16, u16) {
    let [a, b, c, d] = mark.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// `link.into.R`: what the receiver R accepts from the sender at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// Destinations that the receiver learns, and so the only sources that it believes; empty means none.
    pub routes: Vec<PrefixPattern>,
    /// New flows that enter; empty means none.
    pub packets: Packets,
    /// Local preference of routes learned here.
    pub preference: Option<u32>,
    /// The most prefixes accepted, for each family.
    pub max_prefixes: u32,
    /// Domains that the receiver may also reach through the sender; empty means none.
    pub transit: Vec<DomainName>,
    /// Sources of the sender that the receiver sees as one address.
    pub nat: Vec<Nat>,
    /// Prefixes of the sender that the receiver sees as others.
    pub alias: Vec<Alias>,
    /// Where each of them is written.
    pub lines: AcceptLines,
    /// Where it was declared.
    pub origin: Origin,
}

/// Where the entries of an [`Accept`] are written, so that an answer can name the line that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptLines {
    /// For each of `routes`, in the same order.
    pub routes: Vec<Origin>,
    /// For each of `packets`, in the same order.
    pub packets: Vec<Origin>,
    /// For each of `transit`, in the same order.
    pub transit: Vec<Origin>,
}

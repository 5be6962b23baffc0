//! What one end of a link lets in and out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::{AddressSet, Destinations, PerFamily, aggregate, covers, named_prefixes, subtract};
use super::martians::martian_sources;
use crate::model::{Domain, Family, Link, LinkEnd, Network, Packets, PrefixPattern};

/// The packet policy of one end of a link, seen from the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPolicy {
    /// The addresses behind the link: the only sources believed and the only destinations sent there.
    pub behind: PerFamily<AddressSet>,
    /// What new flows from the other end may go to: what the sender accepts from here.
    pub destinations: PerFamily<Destinations>,
    /// The new flows that enter.
    pub packets: Packets,
}

/// Computes the policy of `own`, the end in `receiver`.
pub fn link_policy(network: &Network, receiver: &Domain, own: &LinkEnd, peer: &LinkEnd) -> LinkPolicy {
    let families = link_families(network, own, peer);
    LinkPolicy {
        behind: PerFamily::new(|family| {
            if families.contains(&family) { behind(network, receiver, own, family) } else { AddressSet::default() }
        }),
        destinations: PerFamily::new(|family| {
            if families.contains(&family) {
                Destinations {
                    everything: accepts_everything(&peer.accept.routes, family),
                    named: named_prefixes(&peer.accept.routes, family),
                }
            } else {
                Destinations::default()
            }
        }),
        packets: own.accept.packets.clone(),
    }
}

/// The families that both domains route; only these cross the link.
pub fn link_families(network: &Network, own: &LinkEnd, peer: &LinkEnd) -> Vec<Family> {
    let routes = |end: &LinkEnd, family| network.domain(&end.domain).is_some_and(|it| it.families.contains(family));
    Family::ALL.into_iter().filter(|family| routes(own, *family) && routes(peer, *family)).collect()
}

/// The addresses between which the BGP session of a link runs: own and the peer's.
///
/// One session carries both families. It runs over the IPv6 addresses of a numbered link if it has them, and over its
/// IPv4 addresses if no IPv6 is routed there: an IPv4 session could not name an IPv6 next hop, while IPv4 prefixes take
/// an IPv6 one (RFC 8950). In every other case it runs between the fixed link-local addresses.
pub fn session_addresses(network: &Network, own: &LinkEnd, peer: &LinkEnd) -> (IpAddr, IpAddr) {
    if let (Some(local), Some(remote)) = (own.address(false), peer.address(false)) {
        return (local, remote);
    }
    if let (Some(local), Some(remote), [Family::Ipv4]) =
        (own.address(true), peer.address(true), link_families(network, own, peer).as_slice())
    {
        return (local, remote);
    }
    (own.link_local.into(), peer.link_local.into())
}

/// Every prefix that is a domain's own: networks, loopbacks, and what its interfaces and numbered links carry.
pub fn own_prefixes(network: &Network, domain: &Domain) -> Vec<IpNet> {
    let links = network.links_of(&domain.name).flat_map(|(_, own, _)| own.addresses.iter().map(IpNet::trunc));
    domain
        .networks
        .iter()
        .chain(&domain.loopback)
        .copied()
        .chain(domain.interface_prefixes())
        .chain(links.collect::<Vec<_>>())
        .collect()
}

/// What a pattern of length 0 does not mean where it stands among `listed`: the domain's own prefixes, what it accepts
/// elsewhere by longer patterns that are not listed here too, and martians.
pub(super) fn exceptions(network: &Network, receiver: &Domain, listed: &[PrefixPattern], family: Family) -> Vec<IpNet> {
    let here = named_prefixes(listed, family);
    let elsewhere = network
        .links_of(&receiver.name)
        .flat_map(|(_, own, _)| &own.accept.routes)
        .chain(receiver.neighbors.iter().flat_map(|neighbor| &neighbor.routes))
        .filter(|pattern| !pattern.is_everything())
        .map(|pattern| pattern.prefix)
        .filter(|prefix| !covers(&here, prefix));
    let all: Vec<IpNet> = own_prefixes(network, receiver)
        .into_iter()
        .chain(elsewhere)
        .chain(martian_sources(family).iter().copied())
        .filter(|prefix| Family::of_net(prefix) == family)
        .collect();
    aggregate(all)
}

pub(super) fn accepts_everything(patterns: &[PrefixPattern], family: Family) -> bool {
    patterns.iter().any(|pattern| pattern.is_everything() && Family::of_net(&pattern.prefix) == family)
}

fn behind(network: &Network, receiver: &Domain, own: &LinkEnd, family: Family) -> AddressSet {
    let listed = &own.accept.routes;
    let allowed = named_prefixes(listed, family);
    let everything = accepts_everything(listed, family);
    let except =
        if everything { subtract(&exceptions(network, receiver, listed, family), &allowed) } else { Vec::new() };
    AddressSet { everything, allowed, except }
}

/// How a link is numbered in connection tracking marks: its number in the low 31 bits; the highest is left alone.
impl LinkPolicy {
    /// The bits of the mark that are rdsup's.
    pub const MARK_MASK: u32 = 0x7fff_ffff;

    /// The mark of flows over `link`.
    pub fn mark(link: &Link) -> u32 {
        link.mark & Self::MARK_MASK
    }
}

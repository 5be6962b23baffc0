//! What one end of a link lets in and out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::{AddressSet, Destinations, PerFamily, aggregate, covers, named_prefixes, subtract};
use super::martians::martian_sources;
use super::translation::{Offer, claimed, hidden, offered_hosts, offers, shown};
use crate::model::{Domain, Family, InterfaceName, LinkEnd, Network, Packets, PrefixPattern};

/// The packet policy of one end of a link, seen from the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPolicy {
    /// The addresses behind the link: the only sources believed and the only destinations sent there.
    pub behind: PerFamily<AddressSet>,
    /// What new flows from the other end may go to: what the sender accepts from here.
    pub destinations: PerFamily<Destinations>,
    /// The new flows that enter.
    pub packets: Packets,
    /// What the other end must never see of the receiver: sources that translation replaces before they leave, and
    /// therefore no destinations of what arrives.
    pub hidden: PerFamily<Vec<IpNet>>,
    /// What the receiver must never see of the other end, which translates it.
    pub unseen: PerFamily<Vec<IpNet>>,
    /// The interfaces of other links by which flows from here may leave: transit that the sender asks for.
    pub onward: Vec<InterfaceName>,
    /// Ports that the receiver opens to the other end.
    pub open: Vec<Offer>,
    /// Ports that the other end opens to the receiver.
    pub used: Vec<Offer>,
}

/// Computes the policy of `own`, the end in `receiver`.
pub fn link_policy(network: &Network, receiver: &Domain, own: &LinkEnd, peer: &LinkEnd) -> LinkPolicy {
    let families = link_families(network, own, peer);
    LinkPolicy {
        behind: PerFamily::new(|family| {
            if families.contains(&family) { behind(network, receiver, own, family) } else { AddressSet::default() }
        }),
        destinations: PerFamily::new(|family| {
            if !families.contains(&family) {
                return Destinations::default();
            }
            let everything = accepts_everything(&peer.accept.routes, family);
            Destinations {
                everything,
                named: named_prefixes(&peer.accept.routes, family),
                except: if everything { claimed(network, receiver).get(family).clone() } else { Vec::new() },
            }
        }),
        packets: own.accept.packets.clone(),
        hidden: never_seen(peer),
        unseen: never_seen(own),
        onward: onward(network, receiver, own, peer),
        open: of_families(&families, offers(network, &own.domain, &peer.domain)),
        used: of_families(&families, offers(network, &peer.domain, &own.domain)),
    }
}

/// What the receiver at `end` must never see. An address that it sees in place of another one is not among it.
fn never_seen(end: &LinkEnd) -> PerFamily<Vec<IpNet>> {
    let (hidden, shown) = (hidden(end), shown(end));
    PerFamily::new(|family| {
        let shown: Vec<IpNet> = shown.get(family).iter().copied().collect();
        subtract(hidden.get(family), &shown)
    })
}

/// The interfaces of other links by which flows that came in by `own` may leave: those to domains that the sender asks to
/// reach through the receiver.
fn onward(network: &Network, receiver: &Domain, own: &LinkEnd, peer: &LinkEnd) -> Vec<InterfaceName> {
    network
        .links_of(&receiver.name)
        .filter(|(_, end, to)| may_go_on([own, peer], [end, to]))
        .map(|(_, end, _)| end.interface.clone())
        .collect()
}

/// Whether flows that came in by one link may leave by another; each link by its end in the domain and the other end.
pub fn may_go_on([came_by, sender]: [&LinkEnd; 2], [leaves_by, next]: [&LinkEnd; 2]) -> bool {
    came_by.interface != leaves_by.interface && sender.accept.transit.contains(&next.domain)
}

fn of_families(families: &[Family], mut offers: Vec<Offer>) -> Vec<Offer> {
    offers.retain(|offer| families.contains(&Family::of(offer.seen.address)));
    offers
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

/// What a pattern of length 0 does not mean where it stands among `listed`: the domain's own prefixes and what it shows in
/// place of them, what it accepts elsewhere by longer patterns or uses as a service there and does not list here too, and
/// martians.
pub(super) fn exceptions(network: &Network, receiver: &Domain, listed: &[PrefixPattern], family: Family) -> Vec<IpNet> {
    exceptions_at(network, receiver, None, listed, family)
}

fn exceptions_at(
    network: &Network,
    receiver: &Domain,
    at: Option<&InterfaceName>,
    listed: &[PrefixPattern],
    family: Family,
) -> Vec<IpNet> {
    let here = named_prefixes(listed, family);
    let elsewhere = network
        .links_of(&receiver.name)
        .flat_map(|(_, own, _)| &own.accept.routes)
        .chain(receiver.neighbors.iter().flat_map(|neighbor| &neighbor.routes))
        .filter(|pattern| !pattern.is_everything())
        .map(|pattern| pattern.prefix)
        .filter(|prefix| !covers(&here, prefix));
    let hosts = network
        .links_of(&receiver.name)
        .filter(|(_, own, _)| at != Some(&own.interface))
        .flat_map(|(_, _, peer)| offered_hosts(network, &peer.domain, &receiver.name).get(family).clone())
        .filter(|host| !covers(&here, host));
    let all: Vec<IpNet> = own_prefixes(network, receiver)
        .into_iter()
        .chain(claimed(network, receiver).get(family).clone())
        .chain(elsewhere)
        .chain(hosts)
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
    let except = if everything {
        subtract(&exceptions_at(network, receiver, Some(&own.interface), listed, family), &allowed)
    } else {
        Vec::new()
    };
    AddressSet { everything, allowed, except }
}

//! What an interface claimed from the host lets in.

use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::{AddressSet, PerFamily, aggregate, named_prefixes, subtract};
use super::link::{accepts_everything, own_prefixes};
use super::origin::originated;
use super::translation::{claimed, offered_hosts};
use crate::model::{DaemonKind, Domain, Family, Interface, InterfaceName, Neighbor, Network, Packets};

/// The packet policy of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePolicy {
    /// Sources that only someone inside may have; refused by an outside interface, empty for an inside one.
    pub refused: PerFamily<Vec<IpNet>>,
    /// With `outside`: the destinations that new flows may have, if `packets` allows them: what the domain announces.
    pub announced: PerFamily<AddressSet>,
    /// With `outside`: new flows that are forwarded.
    pub packets: Packets,
    /// New flows to the domain itself.
    pub input: Packets,
    /// Sources that leave with the interface's own address, and so must never be seen there themselves.
    pub hidden: PerFamily<Vec<IpNet>>,
    /// The BGP neighbors that may be there.
    pub sessions: Vec<SessionPeer>,
}

/// A BGP neighbor behind an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPeer {
    /// Its address.
    pub address: IpAddr,
    /// Whether it is directly connected, so that its packets arrive with hop limit 255 (GTSM, RFC 5082).
    pub direct: bool,
    /// Whether BFD comes from it too, with the same hop limit (RFC 5881, section 5).
    pub bfd: bool,
    /// Whether the filter gives that hop limit to what goes there, see [`raises_hops`].
    pub raised: bool,
}

/// Whether the packet filter, and not the daemon, gives hop limit 255 to BGP that goes to a neighbor, and it alone checks it in what
/// comes. For bgpd a neighbor outside with `ttl-security` is several hops away (`is_ebgp_multihop_configured()`, to FRR 10), and
/// it would speak BFD of RFC 5883 to it.
pub fn raises_hops(domain: &Domain, neighbor: &Neighbor) -> bool {
    domain.daemon == DaemonKind::Frr && neighbor.bfd && !neighbor.ibgp
}

/// Computes the policy of `interface` of `domain`.
pub fn interface_policy(network: &Network, domain: &Domain, interface: &Interface) -> InterfacePolicy {
    let own = own_prefixes(network, domain);
    let claimed = claimed(network, domain);
    let here: Vec<IpNet> = interface.addresses.iter().map(IpNet::trunc).collect();
    let refused = PerFamily::new(|family| {
        if !interface.outside {
            return Vec::new();
        }
        let linked = network.links_of(&domain.name).flat_map(|(_, own, peer)| {
            let hosts = offered_hosts(network, &peer.domain, &domain.name).get(family).clone();
            named_prefixes(&own.accept.routes, family).into_iter().chain(hosts)
        });
        let inside = own.iter().copied().filter(|prefix| Family::of_net(prefix) == family);
        // What is on the interface's own wire may of course come in by it.
        subtract(&aggregate(inside.chain(linked).chain(claimed.get(family).clone())), &here)
    });
    let originated = originated(domain);
    let announced = PerFamily::new(|family| {
        if !domain.families.contains(family) {
            return AddressSet::default();
        }
        if domain.neighbors.is_empty() {
            let prefixes = originated.get(family).iter().copied().filter(|prefix| prefix.prefix_len() > 0);
            return AddressSet { everything: false, allowed: aggregate(prefixes), except: Vec::new() };
        }
        let announce: Vec<_> = domain.neighbors.iter().flat_map(|neighbor| neighbor.announce.iter().copied()).collect();
        let everything = accepts_everything(&announce, family);
        AddressSet { everything, allowed: named_prefixes(&announce, family), except: Vec::new() }
    });
    let sessions = domain
        .neighbors
        .iter()
        .filter(|neighbor| match neighbor_interface(domain, neighbor) {
            Some(at) => at.name == interface.name,
            None => interface.outside,
        })
        .map(|neighbor| {
            let direct = neighbor.multihop.is_none();
            SessionPeer {
                address: neighbor.address,
                direct,
                bfd: direct && neighbor.bfd,
                raised: raises_hops(domain, neighbor),
            }
        })
        .collect();
    let itself: Vec<IpNet> = interface.addresses.iter().map(|address| IpNet::from(address.addr())).collect();
    let hidden = PerFamily::new(|family| {
        let masquerade = interface.masquerade.iter().copied().filter(|net| Family::of_net(net) == family);
        subtract(&aggregate(masquerade), &itself)
    });
    InterfacePolicy {
        refused,
        announced,
        packets: interface.packets.clone(),
        input: interface.input.clone(),
        hidden,
        sessions,
    }
}

/// The interface on which a neighbor is: the one it names, or the one whose prefix its address lies in. None for a
/// neighbor several hops away that may be behind any.
pub fn neighbor_interface<'a>(domain: &'a Domain, neighbor: &Neighbor) -> Option<&'a Interface> {
    let named = |name: &InterfaceName| domain.interfaces.iter().find(|interface| &interface.name == name);
    match &neighbor.interface {
        Some(name) => named(name),
        None => domain
            .interfaces
            .iter()
            .find(|interface| interface.addresses.iter().any(|address| address.contains(&neighbor.address))),
    }
}

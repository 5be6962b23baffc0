//! The rule for packets that arrive by an interface claimed from the host.

use std::net::IpAddr;

use super::place::{self, Way};
use super::{Packet, Transport, allows, impossible, is_link_local_v6};
use crate::model::{Domain, Family, Interface, Neighbor, Network, Packets, RouteKind};
use crate::policy::Reason;

/// From inside a packet goes anywhere. From outside it goes to what the domain announces, if `packets` allows it, and
/// never outside again. The domain itself answers `input`, echo requests, and of its neighbors BGP and, where it is asked for, BFD.
pub fn refusal(network: &Network, domain: &Domain, packet: &Packet) -> Option<Reason> {
    let Packet { source, destination, transport, .. } = packet;
    let family = Family::of(*source);
    let Some(interface) = domain.interfaces.iter().find(|interface| interface.name == packet.interface) else {
        return Some(Reason::Interface);
    };
    let matches = |list: &Packets| list.iter().any(|entry| allows(entry, *transport, family));
    let answers = matches(&interface.input) || *transport == Transport::EchoRequest;
    if destination.is_multicast() {
        return (!answers).then_some(Reason::Input);
    }
    if !is_link_local_v6(*source)
        && let Some(reason) = impossible(*source, *destination)
    {
        return Some(reason);
    }
    let on_wire = interface.addresses.iter().any(|net| net.contains(source));
    let forged = place::is_own_address(network, domain, *source)
        || interface.outside && !on_wire && is_inside(network, domain, *source);
    if forged {
        return Some(Reason::Spoofed);
    }
    if interface.source_check && !is_link_local_v6(*source) && !leads_back(domain, interface, *source) {
        return Some(Reason::SourceCheck);
    }
    if interface.addresses.iter().any(|net| net.addr() == *destination) {
        let is_session = domain.neighbors.iter().filter(|neighbor| neighbor.address == *source).any(|neighbor| {
            match transport {
                Transport::Tcp(port) => *port == 179,
                // Control packets. Nobody here sends back echo packets (RFC 5881, section 4), and says so to the neighbor.
                Transport::Udp(port) => neighbor.bfd && *port == 3784,
                Transport::EchoRequest | Transport::Other(_) => false,
            }
        });
        return (!answers && !is_session).then_some(Reason::Input);
    }
    if place::is_own_address(network, domain, *destination) {
        return Some(Reason::WeakHost);
    }
    if is_link_local_v6(*destination) {
        return Some(Reason::Input);
    }
    if !interface.outside {
        return None;
    }
    if interface.masquerade.iter().any(|net| net.contains(destination)) {
        return Some(Reason::Untranslated);
    }
    if !announces(domain, *destination) {
        return Some(Reason::Destination);
    }
    if !matches(&interface.packets) {
        return Some(Reason::Packets);
    }
    let ways = place::ways(network, domain, *destination);
    let outside = |way: &Way<'_>| match way {
        Way::Neighbor(neighbor) => at(domain, neighbor).is_none_or(|interface| interface.outside),
        Way::Here => {
            domain.interfaces.iter().any(|it| it.outside && it.addresses.iter().any(|a| a.contains(destination)))
        }
        Way::Link(..) | Way::Wire => false,
    };
    (!ways.is_empty() && ways.iter().all(outside)).then_some(Reason::Transit)
}

/// What only someone inside can have as source: the domain's own, and what it accepts over links.
fn is_inside(network: &Network, domain: &Domain, source: IpAddr) -> bool {
    place::is_own(network, domain, source)
        || network.links_of(&domain.name).any(|(_, own, _)| place::names(&own.accept.routes, source))
}

/// Whether the way to `source` is this interface: its own prefixes, declared routes, and neighbors there.
fn leads_back(domain: &Domain, interface: &Interface, source: IpAddr) -> bool {
    let here = |address: IpAddr| interface.addresses.iter().any(|net| net.contains(&address));
    let declared = domain.routes.iter().filter(|route| route.to.contains(&source)).any(|route| match &route.kind {
        RouteKind::Unicast { via, dev } => dev.as_ref() == Some(&interface.name) || via.is_some_and(here),
        RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit => false,
    });
    let told = domain.neighbors.iter().any(|neighbor| {
        at(domain, neighbor).is_some_and(|it| it.name == interface.name)
            && neighbor.routes.iter().any(|pattern| pattern.prefix.contains(&source))
    });
    here(source) || declared || told
}

/// What the neighbors are told, or without neighbors what the domain originates.
fn announces(domain: &Domain, destination: IpAddr) -> bool {
    if domain.neighbors.is_empty() {
        let declared = domain.routes.iter().map(|route| &route.to).filter(|to| to.prefix_len() > 0);
        return domain.networks.iter().chain(&domain.loopback).chain(declared).any(|net| net.contains(&destination));
    }
    domain.neighbors.iter().flat_map(|neighbor| &neighbor.announce).any(|it| it.prefix.contains(&destination))
}

/// The interface that a neighbor is on; none for one several hops away.
fn at<'a>(domain: &'a Domain, neighbor: &Neighbor) -> Option<&'a Interface> {
    domain.interfaces.iter().find(|interface| match &neighbor.interface {
        Some(name) => *name == interface.name,
        None => interface.addresses.iter().any(|net| net.contains(&neighbor.address)),
    })
}

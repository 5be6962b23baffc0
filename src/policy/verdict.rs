//! The rule itself, written on patterns.
//!
//! Generators compile patterns to sets of prefixes and do not call this; `tests/render_policy.rs` compares the two on
//! random networks and packets. So this must stay as plain as the sentence in `docs/policy.md`.

mod interface;
pub(super) mod place;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::counters::Reason;
use super::martians::{among, martian_destinations, martian_sources};
use crate::model::{Domain, DomainName, Family, InterfaceName, LinkEnd, Network, PacketMatch, PortProtocol};
use place::Way;

/// The first packet of a new flow, arriving in a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The domain that it arrives in.
    pub receiver: DomainName,
    /// The interface there: of a link, or claimed from the host.
    pub interface: InterfaceName,
    /// The source, as on the wire.
    pub source: IpAddr,
    /// The destination, as on the wire.
    pub destination: IpAddr,
    /// What it carries.
    pub transport: Transport,
}

/// What a packet carries, as far as `packets` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP to this port.
    Tcp(u16),
    /// UDP to this port.
    Udp(u16),
    /// An echo request of the packet's family.
    EchoRequest,
    /// Another protocol, by its IANA number.
    Other(u8),
}

impl fmt::Display for Transport {
    /// As `packets` would list it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "tcp/{port}"),
            Self::Udp(port) => write!(f, "udp/{port}"),
            Self::EchoRequest => f.write_str("icmp"),
            Self::Other(number) => write!(f, "{number}"),
        }
    }
}

/// Whether a packet enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it enters.
    pub allowed: bool,
    /// Why it does not.
    pub reason: Option<Reason>,
}

/// A packet from S enters R as a new flow only if its source ∈ `into.R.routes`, its destination ∈ `into.S.routes` and it
/// matches `into.R.packets`; or if it goes to a service that R opens to S. It goes on to another domain T only if
/// `into.S.transit` names T, and neither its source nor its destination is an address that a translation hides.
///
/// By an interface claimed from the host the rules of `interface` hold.
pub fn verdict(network: &Network, packet: &Packet) -> Verdict {
    let reason = refusal(network, packet);
    Verdict { allowed: reason.is_none(), reason }
}

fn refusal(network: &Network, packet: &Packet) -> Option<Reason> {
    let Packet { source, destination, .. } = packet;
    let family = Family::of(*source);
    let Some(receiver) = network.domain(&packet.receiver) else {
        return Some(Reason::Interface);
    };
    let Some((_, own, peer)) = network.links_of(&packet.receiver).find(|(_, own, _)| own.interface == packet.interface)
    else {
        return interface::refusal(network, receiver, packet);
    };
    if let Some(reason) = impossible_on_a_link(*source, *destination) {
        return Some(reason);
    }
    let both = |end: &LinkEnd| network.domain(&end.domain).is_some_and(|domain| domain.families.contains(family));
    let routed = both(own) && both(peer);
    if !routed || !believes(network, receiver, own, *source) {
        return Some(Reason::Spoofed);
    }
    if hides(own, *source) || hides(peer, *destination) {
        return Some(Reason::Untranslated);
    }
    if is_offered(network, receiver, &peer.domain, *destination, packet.transport) {
        return None;
    }
    if !may_reach(network, receiver, peer, *destination) {
        return Some(Reason::Destination);
    }
    if !may_pass(network, receiver, own, peer, *destination) {
        return Some(Reason::Transit);
    }
    let matches = own.accept.packets.iter().any(|entry| allows(entry, packet.transport, family));
    (!matches).then_some(Reason::Packets)
}

/// Addresses that no packet over a link may have.
pub(super) fn impossible_on_a_link(source: IpAddr, destination: IpAddr) -> Option<Reason> {
    let link_local = is_link_local_v6(source) || is_link_local_v6(destination);
    if link_local { Some(Reason::LinkLocal) } else { impossible(source, destination) }
}

/// Addresses that no packet may have anywhere.
fn impossible(source: IpAddr, destination: IpAddr) -> Option<Reason> {
    let family = Family::of(source);
    if destination.is_multicast() || destination == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Some(Reason::Multicast);
    }
    let martian = family != Family::of(destination)
        || among(martian_sources(family), source)
        || among(martian_destinations(family), destination);
    martian.then_some(Reason::Martian)
}

/// source ∈ `into.R.routes`. The hosts of services that S opens to R are not among them: they only answer.
pub(super) fn believes(network: &Network, receiver: &Domain, own: &LinkEnd, source: IpAddr) -> bool {
    let here = &own.accept.routes;
    if place::names(here, source) {
        return true;
    }
    if !here.iter().any(|pattern| pattern.prefix.contains(&source)) {
        return false;
    }
    // "Everything" is not what the receiver has itself, nor what it accepts elsewhere.
    let others = network.links_of(&receiver.name).flat_map(|(_, end, _)| &end.accept.routes);
    let neighbors = receiver.neighbors.iter().flat_map(|neighbor| &neighbor.routes);
    let patterns = others.chain(neighbors).filter(|pattern| !pattern.is_everything()).map(|pattern| pattern.prefix);
    let hosts = network
        .links_of(&receiver.name)
        .filter(|(_, end, _)| end.interface != own.interface)
        .flat_map(|(_, end, peer)| place::offered(network, &peer.domain, &end.domain));
    let elsewhere = patterns.chain(hosts).any(|prefix| {
        let listed_here = here.iter().any(|it| !it.is_everything() && it.prefix.contains(&prefix));
        prefix.contains(&source) && !listed_here
    });
    !elsewhere && !place::is_own(network, receiver, source)
}

/// destination ∈ `into.S.routes`. "Everything" never names an address of the receiver itself, nor what stands for others of it.
pub(super) fn may_reach(network: &Network, receiver: &Domain, sender: &LinkEnd, destination: IpAddr) -> bool {
    let own_address = place::is_own_address(network, receiver, destination)
        || place::stand_ins(network, receiver).any(|net| net.contains(&destination));
    sender
        .accept
        .routes
        .iter()
        .any(|pattern| pattern.prefix.contains(&destination) && !(pattern.is_everything() && own_address))
}

/// The packet stays in the receiver or leaves it by an interface; or it goes on to a domain that `into.S.transit` names,
/// and not back by the link that it came by.
fn may_pass(network: &Network, receiver: &Domain, own: &LinkEnd, peer: &LinkEnd, destination: IpAddr) -> bool {
    let ways = place::ways(network, receiver, destination);
    let may = |way: &Way<'_>| match way {
        Way::Here | Way::Neighbor(_) => true,
        Way::Wire => false,
        Way::Link(by, next) => by.interface != own.interface && peer.accept.transit.contains(&next.domain),
    };
    ways.is_empty() || ways.iter().any(may)
}

/// A port that the receiver opens to S, at the address that S knows.
fn is_offered(
    network: &Network,
    receiver: &Domain,
    sender: &DomainName,
    destination: IpAddr,
    transport: Transport,
) -> bool {
    network.services.iter().filter(|service| service.domain == receiver.name).any(|service| {
        let to_sender = service.expose.iter().filter(|exposure| &exposure.to == sender);
        to_sender.map(|exposure| exposure.seen(service)).any(|seen| {
            seen.address == destination
                && match service.protocol {
                    PortProtocol::Tcp => transport == Transport::Tcp(seen.port),
                    PortProtocol::Udp => transport == Transport::Udp(seen.port),
                }
        })
    })
}

/// Whether the receiver at `end` must never see `address`, because the sender shows another instead.
pub(super) fn hides(end: &LinkEnd, address: IpAddr) -> bool {
    let from = end.accept.nat.iter().flat_map(|nat| &nat.from);
    let mut hidden = from.chain(end.accept.alias.iter().map(|alias| &alias.real));
    hidden.any(|net| net.contains(&address)) && !place::shown(end).any(|net| net.contains(&address))
}

/// The sender's address that the receiver at `end` sees as `seen`: the same, unless an alias says otherwise.
pub(super) fn real(end: &LinkEnd, seen: IpAddr) -> IpAddr {
    let alias = end.accept.alias.iter().find(|alias| alias.seen.contains(&seen));
    alias.map_or(seen, |alias| swap(seen, &alias.real))
}

/// The address of `prefix` with the host bits of `address`, which is of the same family.
pub(super) fn swap(address: IpAddr, prefix: &IpNet) -> IpAddr {
    match (address, prefix) {
        (IpAddr::V4(address), IpNet::V4(net)) => {
            let host = u32::from(address) & u32::from(net.hostmask());
            IpAddr::V4((u32::from(net.network()) | host).into())
        }
        (IpAddr::V6(address), IpNet::V6(net)) => {
            let host = u128::from(address) & u128::from(net.hostmask());
            IpAddr::V6((u128::from(net.network()) | host).into())
        }
        _ => address,
    }
}

pub(super) fn allows(entry: &PacketMatch, transport: Transport, family: Family) -> bool {
    let port =
        |ranges: &[crate::model::PortRange], port| ranges.is_empty() || ranges.iter().any(|it| it.contains(port));
    match (entry, transport) {
        (PacketMatch::Any, _) | (PacketMatch::Icmp, Transport::EchoRequest) => true,
        (PacketMatch::Ports(PortProtocol::Tcp, ranges), Transport::Tcp(to))
        | (PacketMatch::Ports(PortProtocol::Udp, ranges), Transport::Udp(to)) => port(ranges, to),
        (PacketMatch::Protocol(number), transport) => {
            *number
                == match transport {
                    Transport::Tcp(_) => 6,
                    Transport::Udp(_) => 17,
                    Transport::EchoRequest if family == Family::Ipv4 => 1,
                    Transport::EchoRequest => 58,
                    Transport::Other(other) => other,
                }
        }
        _ => false,
    }
}

fn is_link_local_v6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

//! The rule itself, written on patterns.
//!
//! Generators compile patterns to sets of prefixes and do not call this; `tests/render_policy.rs` compares the two on
//! random networks and packets. So this must stay as plain as the sentence in `docs/policy.md`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::counters::Reason;
use super::martians::{among, martian_destinations, martian_sources};
use crate::model::{Domain, DomainName, Family, InterfaceName, LinkEnd, Network, PacketMatch, PortProtocol};

/// The first packet of a new flow, arriving in a domain by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The domain that it arrives in.
    pub receiver: DomainName,
    /// The link's interface there.
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

/// Whether a packet enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it enters.
    pub allowed: bool,
    /// Why it does not.
    pub reason: Option<Reason>,
}

/// A packet from S enters R as a new flow only if its source ∈ `into.R.routes`, its destination ∈ `into.S.routes` and it
/// matches `into.R.packets`.
pub fn verdict(network: &Network, packet: &Packet) -> Verdict {
    let reason = refusal(network, packet);
    Verdict { allowed: reason.is_none(), reason }
}

fn refusal(network: &Network, packet: &Packet) -> Option<Reason> {
    let Packet { source, destination, .. } = packet;
    let family = Family::of(*source);
    let link = network.links_of(&packet.receiver).find(|(_, own, _)| own.interface == packet.interface);
    let (Some(receiver), Some((_, own, peer))) = (network.domain(&packet.receiver), link) else {
        return Some(Reason::Interface);
    };
    if is_link_local_v6(*source) || is_link_local_v6(*destination) {
        return Some(Reason::LinkLocal);
    }
    if destination.is_multicast() || *destination == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Some(Reason::Multicast);
    }
    if family != Family::of(*destination)
        || among(martian_sources(family), *source)
        || among(martian_destinations(family), *destination)
    {
        return Some(Reason::Martian);
    }
    let both = |end: &LinkEnd| network.domain(&end.domain).is_some_and(|domain| domain.families.contains(family));
    let routed = both(own) && both(peer);
    if !routed || !believes(network, receiver, own, *source) {
        return Some(Reason::Spoofed);
    }
    if !may_reach(network, receiver, peer, *destination) {
        return Some(Reason::Destination);
    }
    let matches = own.accept.packets.iter().any(|entry| allows(entry, packet.transport, family));
    (!matches).then_some(Reason::Packets)
}

/// source ∈ `into.R.routes`
fn believes(network: &Network, receiver: &Domain, own: &LinkEnd, source: IpAddr) -> bool {
    let here = &own.accept.routes;
    if here.iter().any(|pattern| !pattern.is_everything() && pattern.prefix.contains(&source)) {
        return true;
    }
    if !here.iter().any(|pattern| pattern.prefix.contains(&source)) {
        return false;
    }
    let others = network.links_of(&receiver.name).flat_map(|(_, end, _)| &end.accept.routes);
    let neighbors = receiver.neighbors.iter().flat_map(|neighbor| &neighbor.routes);
    let elsewhere = others.chain(neighbors).any(|pattern| {
        let listed_here = here.iter().any(|it| !it.is_everything() && it.prefix.contains(&pattern.prefix));
        !pattern.is_everything() && pattern.prefix.contains(&source) && !listed_here
    });
    !elsewhere && !is_own(network, receiver, source, IpNet::trunc)
}

/// destination ∈ `into.S.routes`
fn may_reach(network: &Network, receiver: &Domain, sender: &LinkEnd, destination: IpAddr) -> bool {
    let own_address = is_own_address(network, receiver, destination);
    sender
        .accept
        .routes
        .iter()
        .any(|pattern| pattern.prefix.contains(&destination) && !(pattern.is_everything() && own_address))
}

/// Whether an address lies in a domain's networks or in the prefix of one of its addresses.
fn is_own(network: &Network, domain: &Domain, address: IpAddr, prefix: fn(&IpNet) -> IpNet) -> bool {
    domain.networks.iter().any(|net| net.contains(&address))
        || addresses(network, domain).iter().any(|own| prefix(own).contains(&address))
}

/// Whether a domain has exactly this address.
fn is_own_address(network: &Network, domain: &Domain, address: IpAddr) -> bool {
    addresses(network, domain).iter().any(|own| own.addr() == address)
}

fn addresses(network: &Network, domain: &Domain) -> Vec<IpNet> {
    let links = network.links_of(&domain.name).flat_map(|(_, own, _)| own.addresses.clone());
    let interfaces = domain.interfaces.iter().flat_map(|interface| interface.addresses.clone());
    domain.loopback.iter().copied().chain(interfaces).chain(links).collect()
}

fn allows(entry: &PacketMatch, transport: Transport, family: Family) -> bool {
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

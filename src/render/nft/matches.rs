//! Packets, ports and sets, as nftables writes them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Family, PacketMatch, PortProtocol, PortRange};
use crate::policy::Offer;
use crate::render::context::{NftService, NftSession, NftSet};

/// Which packets of a flow are matched.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// Those of who began it.
    Original,
    /// The answers.
    Reply,
}

/// One match for each entry; echo requests are two protocols. In one order whatever that of the file is, which means nothing.
pub(super) fn matches(packets: &[PacketMatch], direction: Direction) -> Vec<String> {
    if packets.contains(&PacketMatch::Any) {
        return vec!["meta nfproto { ipv4, ipv6 }".to_owned()];
    }
    let (echo, port) = match direction {
        Direction::Original => ("echo-request", "dport"),
        Direction::Reply => ("echo-reply", "sport"),
    };
    let mut all = Vec::new();
    let packets: BTreeSet<&PacketMatch> = packets.iter().collect();
    for entry in packets {
        match entry {
            PacketMatch::Any => {}
            PacketMatch::Icmp => {
                all.push(format!("icmp type {echo}"));
                all.push(format!("icmpv6 type {echo}"));
            }
            PacketMatch::Protocol(number) => all.push(format!("meta l4proto {number}")),
            PacketMatch::Ports(protocol, ports) if ports.is_empty() => {
                all.push(format!("meta l4proto {}", number(*protocol)));
            }
            PacketMatch::Ports(protocol, ports) => {
                let ports: Vec<String> = merged(ports).iter().map(ToString::to_string).collect();
                all.push(format!("{} {port} {{ {} }}", protocol.as_str(), ports.join(", ")));
            }
        }
    }
    all
}

/// The same ports without overlaps, which are a conflict in an anonymous set.
fn merged(ports: &[PortRange]) -> Vec<PortRange> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ports {
        match merged.last_mut() {
            Some(last) if range.first <= last.last => last.last = last.last.max(range.last),
            _ => merged.push(range),
        }
    }
    merged
}

fn number(protocol: PortProtocol) -> u8 {
    match protocol {
        PortProtocol::Tcp => 6,
        PortProtocol::Udp => 17,
    }
}

/// A port that one end of a link opens to the other.
pub(super) fn service(offer: &Offer) -> NftService {
    NftService {
        keyword: keyword(Family::of(offer.seen.address)),
        protocol: offer.protocol.as_str(),
        address: offer.seen.address,
        port: offer.seen.port,
        at: offer.at.to_string(),
        at_port: offer.at.port,
        translated: offer.seen != offer.at,
    }
}

/// A BGP session.
pub(super) fn session(local: Option<IpAddr>, remote: IpAddr, direct: bool) -> NftSession {
    let family = Family::of(remote);
    let hops = if family == Family::Ipv4 { "ttl" } else { "hoplimit" };
    NftSession { keyword: keyword(family), hops, local, remote, direct, bfd: false, raised: false }
}

/// How a match on addresses of a family begins.
pub(super) fn keyword(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    }
}

/// A mark, as the listing shows it.
pub(super) fn mark(mark: u32) -> String {
    format!("{mark:#010x}")
}

/// Declares a set and returns its name.
pub(super) fn named(sets: &mut Vec<NftSet>, name: &str, family: Family, elements: Vec<IpNet>) -> String {
    let (digit, kind) = match family {
        Family::Ipv4 => ('4', "ipv4_addr"),
        Family::Ipv6 => ('6', "ipv6_addr"),
    };
    let name = format!("{name}{digit}");
    sets.push(NftSet { name: name.clone(), kind, elements });
    name
}

/// Declares a set unless it would be empty.
pub(super) fn named_if_any(sets: &mut Vec<NftSet>, name: &str, family: Family, elements: &[IpNet]) -> Option<String> {
    (!elements.is_empty()).then(|| named(sets, name, family, elements.to_vec()))
}

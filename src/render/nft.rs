//! The context of a domain's packet filter.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;

use super::context::{
    Nft, NftInterface, NftInterfaceFamily, NftLink, NftLinkFamily, NftMap, NftMapEntry, NftSession, NftSet,
};
use super::error::{Problem, RenderError};
use super::quote::{Quoted, refuse_control};
use crate::model::{
    Domain, DomainName, Family, Interface, InterfaceName, Link, LinkEnd, Network, PacketMatch, PortProtocol, Routing,
};
use crate::policy::{self, InterfacePolicy, LinkPolicy, Reason};

/// The table of a domain.
pub(super) const TABLE: &str = "rdsup";

/// The reasons of drops at a link.
const AT_LINK: [Reason; 10] = [
    Reason::Spoofed,
    Reason::Martian,
    Reason::Destination,
    Reason::Packets,
    Reason::Invalid,
    Reason::LinkLocal,
    Reason::Multicast,
    Reason::SourceRoute,
    Reason::Transit,
    Reason::Egress,
];

/// Those of them that are checked in one chain for all links.
const AT_ALL_LINKS: [Reason; 6] =
    [Reason::LinkLocal, Reason::Multicast, Reason::SourceRoute, Reason::Martian, Reason::Invalid, Reason::Transit];

/// The reasons of drops at an interface claimed from the host.
const AT_INTERFACE: [Reason; 11] = [
    Reason::Spoofed,
    Reason::Martian,
    Reason::Destination,
    Reason::Packets,
    Reason::Invalid,
    Reason::SourceRoute,
    Reason::Ttl,
    Reason::Transit,
    Reason::Input,
    Reason::WeakHost,
    Reason::SourceCheck,
];

/// The comment of the `inet rdsup` table of `domain`: the mark by which its namespace is known as this run directory's.
pub fn table_comment(run_dir: &Path, domain: &DomainName) -> String {
    format!("rdsup {} {domain}", run_dir.display())
}

/// Builds the context of `domain`, or says everything that is in its way.
pub(super) fn context(network: &Network, domain: &Domain) -> Result<Nft, Vec<RenderError>> {
    let mut errors = Vec::new();
    let mut fail = |what, error| {
        let problem = Problem::Text { what, error };
        errors.push(RenderError { domain: domain.name.clone(), origin: domain.origin, problem });
    };
    let source = network.settings.source.display().to_string();
    if let Err(error) = refuse_control(&source) {
        fail("name of the configuration file", error);
    }
    if let Some(Err(error)) = domain.description.as_deref().map(refuse_control) {
        fail("description", error);
    }
    // The mark by which a later run knows the table, and with it the namespace, for its own.
    let mark = table_comment(&network.settings.run_dir, &domain.name);
    let comment = match Quoted::nft_comment(&mark) {
        Ok(comment) => comment,
        Err(error) => {
            fail("run_dir", error);
            return Err(errors);
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut sets = Vec::new();
    for family in Family::ALL {
        named(&mut sets, "martian_source", family, policy::martian_sources(family).to_vec());
        named(&mut sets, "martian_destination", family, policy::martian_destinations(family).to_vec());
    }
    let links: Vec<NftLink> = network
        .links_of(&domain.name)
        .map(|(link, own, peer)| self::link(network, domain, link, own, peer, &mut sets))
        .collect();
    let interfaces: Vec<NftInterface> =
        domain.interfaces.iter().map(|it| interface(network, domain, it, &mut sets)).collect();
    let host = domain.name.is_host();
    let other = policy::other_counter_name(Reason::Interface);
    let counters = links
        .iter()
        .flat_map(|link| link.drop.values())
        .chain(interfaces.iter().flat_map(|interface| interface.drop.values()))
        .chain((!host).then_some(&other))
        .cloned()
        .collect();
    Ok(Nft {
        domain: domain.name.clone(),
        source,
        description: domain.description.clone(),
        table: TABLE.to_owned(),
        comment,
        host,
        forwarding: domain.forwarding,
        counters,
        other,
        sets,
        maps: AT_ALL_LINKS.into_iter().map(|reason| map(&links, reason)).collect(),
        links,
        interfaces,
    })
}

fn map(links: &[NftLink], reason: Reason) -> NftMap {
    let entry = |link: &NftLink| {
        let counter = link.drop.get(reason.as_str()).cloned()?;
        Some(NftMapEntry { interface: link.interface.clone(), counter })
    };
    NftMap { name: format!("drop.{reason}"), entries: links.iter().filter_map(entry).collect() }
}

fn link(
    network: &Network,
    domain: &Domain,
    link: &Link,
    own: &LinkEnd,
    peer: &LinkEnd,
    sets: &mut Vec<NftSet>,
) -> NftLink {
    let LinkPolicy { behind, destinations, packets } = policy::link_policy(network, domain, own, peer);
    let name = policy::identifier(&own.interface);
    let families = Family::ALL
        .into_iter()
        .map(|family| {
            let (behind, to) = (behind.get(family), destinations.get(family));
            let mut set =
                |part: &str, elements: &[IpNet]| named(sets, &format!("{name}.{part}"), family, elements.to_vec());
            let (behind_set, except_set) = if behind.everything {
                (String::new(), set("except", &behind.except))
            } else {
                (set("behind", &behind.allowed), String::new())
            };
            NftLinkFamily {
                keyword: keyword(family),
                everything: behind.everything,
                behind: behind_set,
                except: except_set,
                to_everything: to.everything,
                to: set("to", &to.named),
            }
        })
        .collect();
    let sessions = match link.routing {
        Routing::Bgp => {
            let (local, remote) = policy::session_addresses(network, own, peer);
            vec![session(Some(local), remote, true)]
        }
        Routing::Static => Vec::new(),
    };
    NftLink {
        interface: own.interface.clone(),
        peer: peer.domain.clone(),
        local: own.link_local,
        remote: peer.link_local,
        discovery: discovery(peer),
        discovery_own: discovery(own),
        sessions,
        families,
        packets: matches(&packets),
        mark: format!("{:#010x}", LinkPolicy::mark(link)),
        drop: counters(&own.interface, &AT_LINK),
        name,
    }
}

/// The addresses that neighbor discovery of one end comes from.
fn discovery(end: &LinkEnd) -> Vec<Ipv6Addr> {
    let numbered = match end.address(false) {
        Some(IpAddr::V6(address)) => Some(address),
        _ => None,
    };
    std::iter::once(end.link_local).chain(numbered).collect()
}

fn interface(network: &Network, domain: &Domain, interface: &Interface, sets: &mut Vec<NftSet>) -> NftInterface {
    let InterfacePolicy { refused, announced, packets, input, sessions } =
        policy::interface_policy(network, domain, interface);
    let name = policy::identifier(&interface.name);
    let families = Family::ALL
        .into_iter()
        .map(|family| {
            let to = announced.get(family);
            NftInterfaceFamily {
                keyword: keyword(family),
                refused: named(sets, &format!("{name}.refused"), family, refused.get(family).clone()),
                to_everything: to.everything,
                to: named(sets, &format!("{name}.to"), family, to.allowed.clone()),
            }
        })
        .collect();
    NftInterface {
        interface: interface.name.clone(),
        outside: interface.outside,
        source_check: interface.source_check,
        not_to: domain
            .interfaces
            .iter()
            .filter(|other| interface.outside && other.outside)
            .map(|other| other.name.clone())
            .collect(),
        sessions: sessions.iter().map(|peer| session(None, peer.address, peer.direct)).collect(),
        families,
        packets: matches(&packets),
        input: matches(&input),
        drop: counters(&interface.name, &AT_INTERFACE),
        name,
    }
}

fn session(local: Option<IpAddr>, remote: IpAddr, direct: bool) -> NftSession {
    let family = Family::of(remote);
    let hops = if family == Family::Ipv4 { "ttl" } else { "hoplimit" };
    NftSession { keyword: keyword(family), hops, local, remote, direct }
}

/// One match for each entry; echo requests are two protocols.
fn matches(packets: &[PacketMatch]) -> Vec<String> {
    if packets.contains(&PacketMatch::Any) {
        return vec!["meta nfproto { ipv4, ipv6 }".to_owned()];
    }
    let mut all = Vec::new();
    for entry in packets {
        match entry {
            PacketMatch::Any => {}
            PacketMatch::Icmp => {
                all.push("icmp type echo-request".to_owned());
                all.push("icmpv6 type echo-request".to_owned());
            }
            PacketMatch::Protocol(number) => all.push(format!("meta l4proto {number}")),
            PacketMatch::Ports(protocol, ports) if ports.is_empty() => {
                all.push(format!("meta l4proto {}", number(*protocol)));
            }
            PacketMatch::Ports(protocol, ports) => {
                let mut ports = ports.clone();
                ports.sort_unstable();
                ports.dedup();
                // Overlapping ranges are a conflict in an anonymous set.
                let mut merged: Vec<crate::model::PortRange> = Vec::new();
                for range in ports {
                    match merged.last_mut() {
                        Some(last) if range.first <= last.last => last.last = last.last.max(range.last),
                        _ => merged.push(range),
                    }
                }
                let ports: Vec<String> = merged.iter().map(ToString::to_string).collect();
                all.push(format!("{} dport {{ {} }}", protocol.as_str(), ports.join(", ")));
            }
        }
    }
    all
}

fn number(protocol: PortProtocol) -> u8 {
    match protocol {
        PortProtocol::Tcp => 6,
        PortProtocol::Udp => 17,
    }
}

fn counters(interface: &InterfaceName, reasons: &[Reason]) -> BTreeMap<&'static str, String> {
    reasons.iter().map(|reason| (reason.as_str(), policy::counter_name(interface, *reason))).collect()
}

fn keyword(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    }
}

/// Declares a set and returns its name.
fn named(sets: &mut Vec<NftSet>, name: &str, family: Family, elements: Vec<IpNet>) -> String {
    let (digit, kind) = match family {
        Family::Ipv4 => ('4', "ipv4_addr"),
        Family::Ipv6 => ('6', "ipv6_addr"),
    };
    let name = format!("{name}{digit}");
    sets.push(NftSet { name: name.clone(), kind, elements });
    name
}

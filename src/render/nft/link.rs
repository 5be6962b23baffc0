//! One end of a link in the packet filter.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::counters;
use super::matches::{Direction, keyword, mark, matches, named, named_if_any, service, session};
use crate::model::{Domain, Family, Link, LinkEnd, Network, Routing};
use crate::policy::{self, LEFT, LinkPolicy, Reason};
use crate::render::context::{NftAlias, NftLink, NftLinkFamily, NftNat, NftSet};

/// The reasons of drops at a link.
pub(super) const AT_LINK: [Reason; 10] = [
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

/// Builds the context of `own`, the end of `link` in `domain`; `outside` are the marks of flows that may come in from there.
pub(super) fn link(
    network: &Network,
    domain: &Domain,
    link: &Link,
    own: &LinkEnd,
    peer: &LinkEnd,
    outside: &[u32],
    sets: &mut Vec<NftSet>,
) -> NftLink {
    let policy = policy::link_policy(network, domain, own, peer);
    let name = policy::identifier(&own.interface);
    let families: Vec<NftLinkFamily> =
        Family::ALL.into_iter().map(|it| family(&policy, own, peer, it, &name, sets)).collect();
    let sessions = match link.routing {
        Routing::Bgp => {
            let (local, remote) = policy::session_addresses(network, own, peer);
            vec![session(Some(local), remote, true)]
        }
        Routing::Static => Vec::new(),
    };
    let translates_out = families.iter().any(|it| !it.aliases.is_empty() || !it.nats.is_empty());
    let services: Vec<_> = policy.open.iter().map(service).collect();
    let translates_in = services.iter().any(|it| it.translated) || families.iter().any(|it| !it.aliases.is_empty());
    let untranslated = families.iter().any(|it| it.hidden.is_some() || it.unseen.is_some());
    let mut reasons = AT_LINK.to_vec();
    reasons.extend(untranslated.then_some(Reason::Untranslated));
    NftLink {
        interface: own.interface.clone(),
        peer: peer.domain.clone(),
        local: own.link_local,
        remote: peer.link_local,
        discovery: discovery(peer),
        discovery_own: discovery(own),
        sessions,
        families,
        packets: matches(&policy.packets, Direction::Original),
        replies: matches(&policy.packets, Direction::Reply),
        entered: !policy.packets.is_empty() || !services.is_empty(),
        services,
        used: policy.used.iter().map(service).collect(),
        onward: policy.onward,
        translates_in,
        translates_out,
        mark: mark(LinkPolicy::mark(link)),
        left: mark(LinkPolicy::mark(link) | LEFT),
        errors: errors(network, link, [own, peer], outside),
        drop: counters(&own.interface, &reasons),
        name,
    }
}

fn family(
    policy: &LinkPolicy,
    own: &LinkEnd,
    peer: &LinkEnd,
    family: Family,
    name: &str,
    sets: &mut Vec<NftSet>,
) -> NftLinkFamily {
    let (behind, to) = (policy.behind.get(family), policy.destinations.get(family));
    let mut set = |part: &str, elements: &[IpNet]| named(sets, &format!("{name}.{part}"), family, elements.to_vec());
    let (behind_set, except_set) = if behind.everything {
        (String::new(), set("except", &behind.except))
    } else {
        (set("behind", &behind.allowed), String::new())
    };
    let to_set = set("to", &to.named);
    let mut set = |part: &str, elements: &[IpNet]| named_if_any(sets, &format!("{name}.{part}"), family, elements);
    let of_family = |net: &&IpNet| Family::of_net(net) == family;
    let nats = peer.accept.nat.iter().filter(|nat| Family::of(nat.to) == family).map(|nat| NftNat {
        // Overlapping prefixes are a conflict in an anonymous set.
        from: IpNet::aggregate(&nat.from.iter().filter(of_family).copied().collect()),
        to: nat.to,
    });
    let aliases = peer.accept.alias.iter().filter(|alias| Family::of_net(&alias.real) == family);
    NftLinkFamily {
        keyword: keyword(family),
        everything: behind.everything,
        behind: behind_set,
        except: except_set,
        to_everything: to.everything,
        to: to_set,
        claimed: None,
        hidden: set("hidden", policy.hidden.get(family)),
        unseen: set("unseen", policy.unseen.get(family)),
        nats: nats.collect(),
        aliases: aliases
            .map(|alias| NftAlias {
                real: alias.real,
                seen: alias.seen,
                first: alias.seen.network(),
                host_bits: alias.seen.hostmask(),
            })
            .collect(),
        wire: own.address(family == Family::Ipv4),
    }
}

/// The marks of flows about which errors come from any router behind the link: those that entered or left by it, and those
/// that entered by another link or from outside and may go on to this one.
fn errors(network: &Network, link: &Link, ends: [&LinkEnd; 2], outside: &[u32]) -> Vec<String> {
    let number = LinkPolicy::mark(link);
    let through = network
        .links_of(&ends[0].domain)
        .filter(|(_, came_by, sender)| policy::may_go_on([came_by, sender], ends))
        .map(|(from, _, _)| LinkPolicy::mark(from));
    let entered = through.chain(outside.iter().copied());
    [number, number | LEFT].into_iter().chain(entered).map(mark).collect()
}

/// The addresses that neighbor discovery of one end comes from.
fn discovery(end: &LinkEnd) -> Vec<Ipv6Addr> {
    let numbered = match end.address(false) {
        Some(IpAddr::V6(address)) => Some(address),
        _ => None,
    };
    std::iter::once(end.link_local).chain(numbered).collect()
}

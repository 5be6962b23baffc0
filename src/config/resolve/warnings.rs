//! What is legal and probably not meant.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::domain::family_name;
use super::translation::{hidden, seen_as};
use super::{Domains, KnownLink, meets};
use crate::config::at::Span;
use crate::config::problem::Report;
use crate::model::{DaemonKind, Family, LinkEnd, PrefixPattern, Routing};

/// Reports all warnings that need more than one object.
pub fn warn(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    lonely(domains, links, report);
    too_long_for_frr(domains, links, report);
    frr_waits_for_the_neighbor(domains, report);
    for link in links {
        for index in [0, 1] {
            packets_without_routes(link, index, report);
            loopback_refused(domains, link, index, report);
            interface_in_networks(domains, link, index, report);
            own_sources_believed(domains, link, index, report);
            more_than_frr_accepts(domains, link, index, report);
        }
    }
}

fn lonely(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let linked: HashSet<&str> = links.iter().flat_map(|link| &link.link.ends).map(|end| end.domain.as_str()).collect();
    for known in &domains.known {
        if !linked.contains(known.name.as_str()) && known.raw.neighbor.is_empty() {
            report
                .warning(&known.name.span, format!("domain {:?} has no links and no neighbors", known.name.value))
                .hint("add a [[link]] that names it, or remove it");
        }
    }
}

/// With more prefixes than this in the lists of a domain, FRR 8.4 takes more than five seconds to read them, and looks
/// through hundreds of lists for each route.
const FRR_TAKES: usize = 20_000;

fn too_long_for_frr(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    for known in domains.known.iter().filter(|known| known.domain.daemon == DaemonKind::Frr) {
        let name = known.name.value.as_str();
        let own = links.iter().filter(|link| link.link.ends.iter().any(|end| end.domain.as_str() == name));
        let of_links = own.flat_map(|link| &link.link.ends).map(|end| end.accept.routes.len());
        let of_neighbors = known.domain.neighbors.iter().map(|it| it.routes.len() + it.announce.len());
        let prefixes: usize = of_links.chain(of_neighbors).sum();
        if prefixes > FRR_TAKES {
            report
                .warning(
                    &known.name.span,
                    format!("{prefixes} prefixes in the lists of {name:?} are more than FRR takes in reasonable time"),
                )
                .hint(format!("set daemon = \"bird\" in [domain.{name}]: BIRD takes a million in a second"));
        }
    }
}

/// The bgpd of FRR 8.4 asks for the way to a link-local address without saying on which interface, and so never connects to it. That
/// of 10.3 does, and of a session that the neighbor opened it takes no route: it asks for the next hop with the interface of the
/// session, which zebra's answer leaves out (mended in 10.2.6, 10.4.4 and 10.5.4, and not for 10.3).
fn frr_waits_for_the_neighbor(domains: &Domains<'_>, report: &mut Report<'_>) {
    for known in domains.known.iter().filter(|known| known.domain.daemon == DaemonKind::Frr) {
        for raw in &known.raw.neighbor {
            let is_link_local = |address: &IpAddr| matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
            if raw.address.value.parse().is_ok_and(|address| is_link_local(&address)) {
                report
                    .warning(
                        &raw.address.span,
                        format!(
                            "{} is a link-local address: FRR 8.4 waits for {:?} to connect, and FRR 10.3 takes its routes only if it does not",
                            raw.address.value, raw.name.value
                        ),
                    )
                    .hint("BIRD at the neighbor connects, unless it has `passive on`: use other addresses there, or daemon = \"bird\" here");
            }
        }
    }
}

/// A new flow needs a source that the receiver accepts and a destination, of the same family, that the sender accepts.
fn packets_without_routes(link: &KnownLink<'_>, index: usize, report: &mut Report<'_>) {
    let (receiver, sender) = (&link.link.ends[index], &link.link.ends[1 - index]);
    let Some(first) = link.accept[index].table.and_then(|table| table.packets.first()) else { return };
    let has = |end: &LinkEnd, family| end.accept.routes.iter().any(|it| Family::of_net(&it.prefix) == family);
    if Family::ALL.into_iter().any(|family| has(receiver, family) && has(sender, family)) {
        return;
    }
    let missing = [receiver, sender].into_iter().find(|end| end.accept.routes.is_empty());
    if let Some(missing) = missing {
        report
            .warning(&first.span, format!("these packets can never match: `into.{}` accepts no routes", missing.domain))
            .hint(format!("add `routes` to `into.{}`", missing.domain));
    } else {
        report
            .warning(
                &first.span,
                format!(
                    "these packets can never match: `into.{}` and `into.{}` have routes of different families",
                    receiver.domain, sender.domain
                ),
            )
            .hint("a packet has both addresses of one family: add routes of the other family to one of them");
    }
}

/// Sources of an own interface's prefix are never believed from a link, so the peer's hosts there would be cut off.
fn interface_in_networks(domains: &Domains<'_>, link: &KnownLink<'_>, index: usize, report: &mut Report<'_>) {
    let ends = &link.link.ends;
    let (Some(known), Some(peer)) =
        (domains.get(ends[index].domain.as_str()), domains.get(ends[1 - index].domain.as_str()))
    else {
        return;
    };
    let hidden = hidden(&link.accept[index].translations);
    for interface in &known.domain.interfaces {
        for net in interface.addresses.iter().map(IpNet::trunc) {
            let visible = |other: &IpNet| {
                let both = if other.contains(&net) { &net } else { other };
                meets(other, &net) && !hidden.iter().any(|hidden| hidden.contains(both))
            };
            let Some((other, place)) = peer.networks.iter().find(|(other, _)| visible(other)) else { continue };
            let raw = known.raw.interface.iter().find(|raw| raw.name.value == interface.name.as_str());
            let span = raw.map_or(&known.name.span, |raw| &raw.name.span);
            report
                .warning(
                    span,
                    format!(
                        "the prefix {net} of {} overlaps {other} of {:?}, which is linked to {:?}",
                        interface.name, peer.name.value, known.name.value
                    ),
                )
                .see(place, "overlaps with this")
                .hint("packets from there are dropped on the link; renumber one of them");
        }
    }
}

/// A prefix that is named is believed as a source, even where it is the receiver's own; only `any` and default routes
/// leave those out.
fn own_sources_believed(domains: &Domains<'_>, link: &KnownLink<'_>, index: usize, report: &mut Report<'_>) {
    let Some(known) = domains.get(link.link.ends[index].domain.as_str()) else { return };
    let peer = &link.link.ends[1 - index];
    // A list may have hundreds of them, which are one mistake.
    let mut found: Vec<(&IpNet, &Span, PrefixPattern, &Span, usize)> = Vec::new();
    for (pattern, span) in link.accept[index].routes.iter().filter(|(pattern, _)| !pattern.is_everything()) {
        let prefix = pattern.prefix;
        // Addresses of the receiver's own that it lends to the other end.
        if link.accept[index].translations.iter().any(|it| it.shown == prefix) {
            continue;
        }
        // On a numbered link the other end's address lies in the receiver's own prefix.
        if peer.addresses.iter().any(|net| IpNet::from(net.addr()) == prefix) {
            continue;
        }
        let own = known.networks.iter().chain(&known.loopback).chain(&known.addresses);
        let overlaps = |net: &IpNet| prefix.contains(&net.trunc()) || net.trunc().contains(&prefix);
        let Some((net, place)) = own.into_iter().find(|(net, _)| overlaps(net)) else { continue };
        match found.iter_mut().find(|(other, ..)| *other == net) {
            Some((.., more)) => *more += 1,
            None => found.push((net, place, pattern, span, 0)),
        }
    }
    for (net, place, pattern, span, more) in found {
        let overlap = match more {
            0 => ", which overlaps".to_owned(),
            more => format!(" and {more} more, which overlap"),
        };
        report
            .warning(span, format!("{:?} accepts {pattern}{overlap} its own {}", known.name.value, net.trunc()))
            .see(place, "its own")
            .hint("packets that pretend to come from there would be believed; name what the other end has");
    }
}

/// FRR cannot refuse the surplus over a limit and keep the session. What the peer passes on comes to what is counted here.
fn more_than_frr_accepts(domains: &Domains<'_>, link: &KnownLink<'_>, index: usize, report: &mut Report<'_>) {
    let (end, peer) = (&link.link.ends[index], &link.link.ends[1 - index]);
    let (Some(known), Some(sender)) = (domains.get(end.domain.as_str()), domains.get(peer.domain.as_str())) else {
        return;
    };
    if link.link.routing != Routing::Bgp || known.domain.daemon != DaemonKind::Frr {
        return;
    }
    let Some(limit) = link.accept[index].table.and_then(|table| table.max_prefixes.as_ref()) else { return };
    let hidden = hidden(&link.accept[index].translations);
    let routes = sender.domain.routes.iter().map(|route| route.to);
    let announced: BTreeSet<IpNet> =
        sender.domain.networks.iter().chain(&sender.domain.loopback).copied().chain(routes).collect();
    for family in Family::ALL {
        let accepted = |net: &&IpNet| {
            Family::of_net(net) == family
                && !hidden.iter().any(|hidden| hidden.contains(*net))
                && end.accept.routes.iter().any(|pattern| pattern.matches(net))
        };
        let count = announced.iter().filter(accepted).count();
        if u32::try_from(count).is_ok_and(|count| count <= end.accept.max_prefixes) {
            continue;
        }
        report
            .warning(
                &limit.span,
                format!(
                    "{:?} accepts {count} {} prefixes of {:?} itself, and at more than {} FRR closes the session",
                    end.domain.as_str(),
                    family_name(family),
                    peer.domain.as_str(),
                    end.accept.max_prefixes
                ),
            )
            .hint("FRR cannot block the surplus and go on, as BIRD does: raise `max_prefixes`, or accept fewer");
    }
}

/// What the domain itself sends over the link is dropped if the peer does not accept its source.
fn loopback_refused(domains: &Domains<'_>, link: &KnownLink<'_>, index: usize, report: &mut Report<'_>) {
    let (end, peer) = (&link.link.ends[index], &link.link.ends[1 - index]);
    let Some(known) = domains.get(end.domain.as_str()) else { return };
    for family in Family::ALL {
        let Some(source) = known.domain.source(family) else { continue };
        let carried = [end, peer]
            .into_iter()
            .any(|end| end.accept.routes.iter().any(|pattern| Family::of_net(&pattern.prefix) == family));
        let seen = seen_as(&link.accept[1 - index].translations, source);
        let accepted = peer.accept.routes.iter().any(|pattern| pattern.prefix.contains(&seen));
        if carried && !accepted {
            let span = known.loopback.iter().find(|(net, _)| net.addr() == source).map(|(_, span)| span);
            let problem = report.warning(
                &link.raw.between.span,
                format!(
                    "{:?} does not accept {seen}, the {} source of what {:?} itself sends",
                    peer.domain.as_str(),
                    family_name(family),
                    end.domain.as_str()
                ),
            );
            if let Some(span) = span {
                problem.see(span, "this loopback");
            }
            problem
                .hint(format!("add a prefix with it to `into.{}.routes`, or do not expect replies to it", peer.domain));
        }
    }
}

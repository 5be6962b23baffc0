//! One packet on its way from a domain to another: which domains it passes, what it is called there, and which line of the
//! file lets it into each or does not.
//!
//! [`verdict`] decides at every link. The clauses beside it only look up which line it goes back to; a test
//! compares the two.

mod clause;

pub use clause::{About, Clause};

use std::net::IpAddr;

use ipnet::IpNet;

use super::matrix::Crossing;
use super::verdict::{self as rule, Packet, Transport, Verdict, place, verdict};
use crate::model::{Domain, DomainName, Endpoint, Family, LinkEnd, Network, PortProtocol, Routing};
use place::Way;

/// A question: may this go from here to there?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The domain that it comes from.
    pub from: DomainName,
    /// The domain that it is for.
    pub to: DomainName,
    /// Its source, as the domain that it comes from has it; the first loopback if none is named.
    pub source: Option<IpAddr>,
    /// Its destination, as the domain that it comes from sees it; the first loopback of the other if none is named, or where
    /// that offers the port.
    pub destination: Option<IpAddr>,
    /// What it carries.
    pub transport: Transport,
}

/// Why there is no packet to ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPacket {
    /// The domain it comes from has no loopback of that family, so that a source must be named.
    NoSource(Option<Family>),
    /// The domain it is for has none, so that a destination must be named.
    NoDestination(Option<Family>),
    /// Source and destination are of different families.
    Families(IpAddr, IpAddr),
}

/// The way of a packet, as far as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// Its source, as the domain that it comes from has it.
    pub source: IpAddr,
    /// Its destination, as the domain that it comes from sees it.
    pub destination: IpAddr,
    /// Each link on the way; it enters by all but perhaps the last.
    pub hops: Vec<Hop>,
    /// Whether it arrives where it is for.
    pub arrives: bool,
    /// Where it ends instead, if every link lets it in and it does not arrive, or if there is no link to take.
    pub end: Option<Clause>,
    /// What stands against an answer to it, all else being well.
    pub notes: Vec<String>,
}

/// One link on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The domain that it leaves.
    pub from: DomainName,
    /// What the link is called.
    pub link: String,
    /// The packet on the wire, and where it arrives.
    pub packet: Packet,
    /// What the receiver says.
    pub verdict: Verdict,
    /// What that goes back to.
    pub clauses: Vec<Clause>,
}

impl Hop {
    /// The clause that decides: the one that fails, or else the one that names the flow.
    pub fn deciding(&self) -> Option<&Clause> {
        let failing =
            self.clauses.iter().find(|clause| clause.reason.is_some() && clause.reason == self.verdict.reason);
        failing.or(self.clauses.iter().rfind(|clause| matches!(clause.about, About::Packets | About::Service)))
    }
}

/// Follows a packet.
pub fn journey(network: &Network, question: &Question) -> Result<Journey, NoPacket> {
    let mut first = None;
    for (source, destination) in packets(network, question)? {
        let walked = walk(network, question, source, destination);
        if walked.arrives {
            return Ok(walked);
        }
        first = first.or(Some(walked));
    }
    first.ok_or(NoPacket::NoDestination(question.source.map(Family::of)))
}

/// Source and destination, likely ones first.
fn packets(network: &Network, question: &Question) -> Result<Vec<(IpAddr, IpAddr)>, NoPacket> {
    if let (Some(source), Some(destination)) = (question.source, question.destination) {
        let same = source.is_ipv4() == destination.is_ipv4();
        return if same { Ok(vec![(source, destination)]) } else { Err(NoPacket::Families(source, destination)) };
    }
    let family = question.source.or(question.destination).map(Family::of);
    let sources: Vec<IpAddr> = match question.source {
        Some(source) => vec![source],
        None => loopbacks(network, &question.from, family),
    };
    let mut destinations: Vec<IpAddr> = match question.destination {
        Some(destination) => vec![destination],
        None => loopbacks(network, &question.to, family).iter().map(|it| as_seen(network, question, *it)).collect(),
    };
    if question.destination.is_none() {
        destinations.extend(offered_at(network, question));
    }
    if sources.is_empty() {
        return Err(NoPacket::NoSource(family));
    }
    if destinations.is_empty() {
        return Err(NoPacket::NoDestination(family));
    }
    // One family only: a "yes" for IPv6 is no answer to whoever thinks of IPv4.
    let of_one = |source: &IpAddr| destinations.iter().any(|it| it.is_ipv4() == source.is_ipv4());
    let Some(source) = sources.iter().copied().find(of_one) else {
        return Err(NoPacket::NoDestination(sources.first().map(|it| Family::of(*it))));
    };
    destinations.retain(|it| it.is_ipv4() == source.is_ipv4());
    Ok(destinations.into_iter().map(|destination| (source, destination)).collect())
}

/// The first loopback of each family.
fn loopbacks(network: &Network, name: &DomainName, family: Option<Family>) -> Vec<IpAddr> {
    let families = Family::ALL.into_iter().filter(|it| family.is_none_or(|family| family == *it));
    network.domain(name).map_or_else(Vec::new, |domain| families.filter_map(|it| domain.source(it)).collect())
}

/// What the neighbor of the domain that a packet is for calls `address`.
fn as_seen(network: &Network, question: &Question, address: IpAddr) -> IpAddr {
    let last = way_there(network, &question.from, &question.to).pop();
    let alias = last.and_then(|last| last.sender.accept.alias.iter().find(|alias| alias.real.contains(&address)));
    alias.map_or(address, |alias| rule::swap(address, &alias.seen))
}

/// Where the domain offers the port that is asked for.
fn offered_at(network: &Network, question: &Question) -> Vec<IpAddr> {
    let wanted = match question.transport {
        Transport::Tcp(port) => Some((PortProtocol::Tcp, port)),
        Transport::Udp(port) => Some((PortProtocol::Udp, port)),
        Transport::EchoRequest | Transport::Other(_) => None,
    };
    let services = network.services.iter().filter(|it| it.domain == question.to);
    let seen = services.flat_map(|service| {
        let exposed = service.expose.iter().filter(|it| it.to == question.from);
        exposed.map(move |exposure| (service.protocol, exposure.seen(service)))
    });
    seen.filter(|(protocol, seen)| wanted == Some((*protocol, seen.port))).map(|(_, seen)| seen.address).collect()
}

/// The fewest links that lead from one domain to another, whatever may cross them.
fn way_there<'a>(network: &'a Network, from: &'a DomainName, to: &DomainName) -> Vec<Crossing<'a>> {
    let mut seen = vec![from];
    let mut open = vec![(from, Vec::new())];
    while !open.is_empty() {
        let mut next = Vec::new();
        for (at, way) in open {
            if at == to {
                return way;
            }
            for (link, sender, receiver) in network.links_of(at) {
                if !seen.contains(&&receiver.domain) {
                    seen.push(&receiver.domain);
                    let mut longer: Vec<Crossing<'a>> = way.clone();
                    longer.push(Crossing { link, sender, receiver });
                    next.push((&receiver.domain, longer));
                }
            }
        }
        open = next;
    }
    Vec::new()
}

/// Where a packet is on its way.
struct At<'a> {
    domain: &'a Domain,
    /// The link that it came by: the end here, and the other one.
    by: Option<(&'a LinkEnd, &'a LinkEnd)>,
    source: IpAddr,
    destination: IpAddr,
    transport: Transport,
}

fn walk(network: &Network, question: &Question, source: IpAddr, destination: IpAddr) -> Journey {
    let mut journey = Journey { source, destination, hops: Vec::new(), arrives: false, end: None, notes: Vec::new() };
    let Some(domain) = network.domain(&question.from) else { return journey };
    let mut at = At { domain, by: None, source, destination, transport: question.transport };
    while journey.hops.len() <= network.domains.len() {
        let next = match next(network, question, &at) {
            Next::Crossing(crossing) => crossing,
            Next::Stays(note) => {
                journey.arrives = at.domain.name == question.to;
                if journey.arrives {
                    journey.notes.extend(note);
                } else {
                    journey.end = Some(clause::ends(network, at.domain, at.destination, &question.to));
                }
                return journey;
            }
            Next::Nowhere(end) => {
                journey.end = Some(end);
                return journey;
            }
        };
        let (hop, on) = cross(network, &at, next);
        let entered = hop.verdict.allowed;
        journey.notes.extend(no_route(network, next, at.destination).filter(|_| entered));
        journey.notes.extend(answer_is_lost(network, &at, next, &hop).filter(|_| entered));
        journey.hops.push(hop);
        let (Some(on), true) = (on, entered) else { return journey };
        at = on;
    }
    journey
}

/// Where a packet goes from where it is.
enum Next<'a> {
    Crossing(Crossing<'a>),
    Stays(Option<String>),
    Nowhere(Clause),
}

fn next<'a>(network: &'a Network, question: &'a Question, at: &At<'a>) -> Next<'a> {
    let ways = place::ways(network, at.domain, at.destination);
    let mut links: Vec<(&LinkEnd, &LinkEnd)> = ways
        .iter()
        .filter_map(|way| match way {
            Way::Link(own, peer) => Some((*own, *peer)),
            Way::Here | Way::Neighbor(_) | Way::Wire => None,
        })
        .collect();
    // The one that leads where it is for, and of several the preferred one.
    links.sort_by_key(|(own, peer)| {
        let preference = own.accept.preference.unwrap_or(super::PREFERENCE);
        (peer.domain != question.to, std::cmp::Reverse(preference))
    });
    let stays = ways.iter().any(|way| matches!(way, Way::Here | Way::Neighbor(_)));
    if let Some((own, peer)) = at.by {
        let onwards = links.iter().find(|(own, next)| {
            own.interface != at.by.map_or(own.interface.clone(), |(by, _)| by.interface.clone())
                && peer.accept.transit.contains(&next.domain)
        });
        return match onwards {
            _ if stays || ways.is_empty() => {
                // The machine's own addresses are not in the file.
                let unknown = ways.is_empty() && !at.domain.name.is_host();
                let nowhere = unknown && !place::is_own_address(network, at.domain, at.destination);
                let words = || format!("by this file {} has no way to {} itself", at.domain.name, at.destination);
                Next::Stays(nowhere.then(words))
            }
            Some((own, next)) => crossing(network, own, next),
            None => Next::Nowhere(clause::transit(network, at.domain, own, peer, at.destination)),
        };
    }
    if place::is_own_address(network, at.domain, at.destination) || stays {
        return Next::Nowhere(clause::stays(network, at.domain, at.destination, &question.to));
    }
    if let Some((own, peer)) = links.first() {
        return crossing(network, own, peer);
    }
    // Nothing leads there. The shortest way says what is missing.
    match way_there(network, &at.domain.name, &question.to).first() {
        Some(first) => Next::Crossing(*first),
        None => Next::Nowhere(clause::no_link(at.domain, &question.to)),
    }
}

fn crossing<'a>(network: &'a Network, sender: &'a LinkEnd, receiver: &'a LinkEnd) -> Next<'a> {
    let found = network.links_of(&sender.domain).find(|(_, own, _)| own.interface == sender.interface);
    match found {
        Some((link, _, _)) => Next::Crossing(Crossing { link, sender, receiver }),
        None => Next::Stays(None),
    }
}

/// What happens at a link, and where the packet is then.
fn cross<'a>(network: &'a Network, at: &At<'a>, by: Crossing<'a>) -> (Hop, Option<At<'a>>) {
    let source = shown(by.receiver, at.source);
    let packet = Packet {
        receiver: by.receiver.domain.clone(),
        interface: by.receiver.interface.clone(),
        source,
        destination: at.destination,
        transport: at.transport,
    };
    let real = really(network, by, &packet);
    let clauses = clause::clauses(network, by, at.source, &packet, real);
    let verdict = verdict(network, &packet);
    let on = network.domain(&packet.receiver).map(|domain| At {
        domain,
        by: Some((by.receiver, by.sender)),
        source,
        destination: real.0,
        transport: real.1,
    });
    (Hop { from: at.domain.name.clone(), link: by.link.label(), packet, verdict, clauses }, on)
}

/// What the receiver at `end` sees instead of `source`.
fn shown(end: &LinkEnd, source: IpAddr) -> IpAddr {
    let accept = &end.accept;
    if let Some(alias) = accept.alias.iter().find(|alias| alias.real.contains(&source)) {
        return rule::swap(source, &alias.seen);
    }
    let nat = accept.nat.iter().find(|nat| nat.from.iter().any(|net| net.contains(&source)));
    nat.map_or(source, |nat| nat.to)
}

/// Where a packet really goes once its receiver has translated the destination.
fn really(network: &Network, by: Crossing<'_>, packet: &Packet) -> (IpAddr, Transport) {
    let seen = packet.destination;
    if let Some((service, _)) = clause::offer(network, by, packet) {
        let Endpoint { address, port } = service.at;
        let transport = match service.protocol {
            PortProtocol::Tcp => Transport::Tcp(port),
            PortProtocol::Udp => Transport::Udp(port),
        };
        return (address, transport);
    }
    (rule::real(by.sender, seen), packet.transport)
}

/// Why nothing is sent there, though it would enter: no pattern matches the prefix that the receiver announces. What it may
/// have learned itself is not known here.
fn no_route(network: &Network, by: Crossing<'_>, destination: IpAddr) -> Option<String> {
    let receiver = network.domain(&by.receiver.domain)?;
    let accept = &by.sender.accept;
    if by.link.routing == Routing::Static || !receiver.neighbors.is_empty() || !accept.transit.is_empty() {
        return None;
    }
    let declared = receiver.routes.iter().map(|route| route.to);
    let own = receiver.networks.iter().chain(&receiver.loopback).copied();
    let mut announced: Vec<IpNet> = own.chain(declared).chain(place::shown(by.sender)).collect();
    announced.retain(|net| net.contains(&destination));
    let matched = accept.routes.iter().any(|pattern| announced.iter().any(|net| pattern.matches(net)));
    if matched || place::offered(network, &receiver.name, &by.sender.domain).any(|host| host.contains(&destination)) {
        return None;
    }
    let sender = &by.sender.domain;
    Some(match announced.first() {
        Some(net) => format!(
            "{sender} learns no route to {destination}: {} announces {net}, which no pattern of [link.into.{sender}] matches; write `le {}`",
            receiver.name,
            net.prefix_len()
        ),
        None => format!("{sender} learns no route to {destination}: {} announces none", receiver.name),
    })
}

/// Why nothing comes back, though the packet enters.
fn answer_is_lost(network: &Network, at: &At<'_>, by: Crossing<'_>, hop: &Hop) -> Option<String> {
    let receiver = network.domain(&by.receiver.domain)?;
    let source = hop.packet.source;
    let ways = place::ways(network, receiver, source);
    let back = ways.iter().any(|way| matches!(way, Way::Link(own, _) if own.interface == by.receiver.interface));
    if !back {
        let name = &receiver.name;
        return Some(format!("answers leave {name} by another way, as {source} lies elsewhere for it, and are lost"));
    }
    let (_, before) = at.by?;
    let learned = by.link.routing == Routing::Static || by.receiver.accept.transit.contains(&before.domain);
    let words = || {
        format!(
            "{} learns no way back to {source} from {}: add transit = [\"{}\"] to [link.into.{}] of link {}, or answers are lost",
            receiver.name, at.domain.name, before.domain, receiver.name, hop.link
        )
    };
    (!learned).then(words)
}

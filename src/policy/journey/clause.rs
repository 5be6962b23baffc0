//! Which line of the file a verdict goes back to.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{
    Accept, Domain, DomainName, Exposure, Family, LinkEnd, Network, Origin, PortProtocol, PrefixPattern, Service,
};
use crate::policy::Reason;
use crate::policy::matrix::Crossing;
use crate::policy::verdict::place::{self, Way};
use crate::policy::verdict::{self as rule, Packet, Transport};

/// What a clause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// Addresses that no packet may have.
    Address,
    /// The source: `routes` of the receiver.
    Source,
    /// `nat` and `alias`.
    Translation,
    /// A service.
    Service,
    /// The destination: `routes` of the sender.
    Destination,
    /// `transit` of the sender.
    Transit,
    /// `packets` of the receiver.
    Packets,
    /// Where the packet ends.
    End,
}

impl About {
    /// The word that it is shown under.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Source => "source",
            Self::Translation => "translation",
            Self::Service => "service",
            Self::Destination => "destination",
            Self::Transit => "transit",
            Self::Packets => "packets",
            Self::End => "end",
        }
    }
}

/// One condition, and the line of the file that says so; or the line where it would have to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// What it is about.
    pub about: About,
    /// The address or flow that is looked at.
    pub value: String,
    /// Why the packet is dropped, if this does not hold.
    pub reason: Option<Reason>,
    /// The line, or 0 where no line has to do with it.
    pub line: Origin,
    /// What is so, in a few words; empty if the line says it all.
    pub words: String,
    /// What to write there.
    pub advice: Option<String>,
}

impl Clause {
    fn new(about: About, value: impl fmt::Display, line: Origin) -> Self {
        Self { about, value: format!("{value}"), reason: None, line, words: String::new(), advice: None }
    }

    fn failing(self, reason: Reason, words: impl Into<String>) -> Self {
        Self { reason: Some(reason), words: words.into(), ..self }
    }

    fn words(self, words: String) -> Self {
        Self { words, ..self }
    }

    fn advice(self, advice: String) -> Self {
        Self { advice: Some(advice), ..self }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.reason.is_none() && self.about != About::End
    }
}

/// Everything that the verdict on a packet goes back to, in the order in which it is asked.
pub(super) fn clauses(
    network: &Network,
    by: Crossing<'_>,
    own_source: IpAddr,
    packet: &Packet,
    real: (IpAddr, Transport),
) -> Vec<Clause> {
    let (source, destination) = (packet.source, packet.destination);
    if let Some(reason) = rule::impossible_on_a_link(source, destination) {
        let value = if rule::impossible_on_a_link(source, source).is_some() { source } else { destination };
        return vec![Clause::new(About::Address, value, Origin::default()).failing(reason, reason.description())];
    }
    let Some(receiver) = network.domain(&packet.receiver) else { return Vec::new() };
    let mut all = Vec::new();
    if own_source != source {
        let line = translation(by.receiver, own_source).map_or_else(Origin::default, |(line, _)| line);
        let words = format!("{} sees it as {source}", receiver.name);
        all.push(Clause::new(About::Translation, own_source, line).words(words));
    }
    all.push(self::source(network, by, receiver, source));
    all.extend(hidden(by.receiver, source));
    let hidden = hidden(by.sender, destination);
    let is_hidden = hidden.is_some();
    all.extend(hidden);
    if let Some((service, exposure)) = offer(network, by, packet) {
        let line = exposure.origin;
        let words = format!("service {} of {}", service.name, service.domain);
        all.push(Clause::new(About::Service, packet.transport, line).words(words));
    } else {
        // Whoever asks by a hidden address should ask by another, not for a way to this one.
        if !is_hidden {
            all.push(self::destination(network, by, receiver, destination));
            let onwards = transit(network, receiver, by.receiver, by.sender, destination);
            all.extend(Some(onwards).filter(|onwards| !onwards.value.is_empty()));
        }
        all.push(packets(network, by, packet));
    }
    if real.0 != destination || real.1 != packet.transport {
        let alias = by.sender.accept.alias.iter().find(|alias| alias.seen.contains(&destination));
        let exposure = offer(network, by, packet).map(|(_, exposure)| exposure.origin);
        let line = exposure.or(alias.map(|alias| alias.origin)).unwrap_or_default();
        let words = format!("{} has it as {}, {}", receiver.name, real.0, real.1);
        all.push(Clause::new(About::Translation, destination, line).words(words));
    }
    all
}

/// `[link.into.R]`, and of which link where there may be doubt.
fn table(network: &Network, receiver: &DomainName, by: Crossing<'_>) -> String {
    let links = network.links_of(receiver).count();
    let of = if links > 1 { format!(" of link {}", by.link.label()) } else { String::new() };
    format!("[link.into.{receiver}]{of}")
}

/// The longest pattern of a list that contains an address, with its line.
fn longest(accept: &Accept, address: IpAddr) -> Option<(PrefixPattern, Origin)> {
    let listed = accept.routes.iter().enumerate().filter(|(_, pattern)| pattern.prefix.contains(&address));
    let (index, pattern) = listed.max_by_key(|(_, pattern)| pattern.prefix.prefix_len())?;
    Some((*pattern, line_of(&accept.lines.routes, index, accept)))
}

/// The line of an entry; the one of the table where lines are not known.
fn line_of(lines: &[Origin], index: usize, accept: &Accept) -> Origin {
    lines.get(index).copied().unwrap_or(accept.origin)
}

/// Where an entry would be added to a list.
fn place_in(lines: &[Origin], accept: &Accept) -> Origin {
    line_of(lines, 0, accept)
}

fn add(entry: &str, key: &str, has: bool, table: &str) -> String {
    if has {
        format!("add \"{entry}\" to `{key}` of {table}")
    } else {
        format!("write {key} = [\"{entry}\"] in {table}")
    }
}

fn source(network: &Network, by: Crossing<'_>, receiver: &Domain, source: IpAddr) -> Clause {
    let accept = &by.receiver.accept;
    let found = longest(accept, source);
    let line = found.map_or_else(|| place_in(&accept.lines.routes, accept), |(_, line)| line);
    let clause = Clause::new(About::Source, source, line);
    let table = table(network, &receiver.name, by);
    let advice = add(&IpNet::from(source).to_string(), "routes", !accept.routes.is_empty(), &table);
    if let Some(name) = without(network, by, Family::of(source)) {
        return clause.failing(Reason::Spoofed, format!("{name} does not route {}", Family::of(source).as_str()));
    }
    if rule::believes(network, receiver, by.receiver, source) {
        return clause;
    }
    let Some((pattern, _)) = found else {
        return clause.failing(Reason::Spoofed, format!("{} does not accept it there", receiver.name)).advice(advice);
    };
    let (what, line) = elsewhere(network, receiver, by.receiver, source);
    let words = format!("{pattern} does not mean {what}");
    let clause = Clause { line, ..clause }.failing(Reason::Spoofed, words);
    clause.advice(format!("if it may come from {} too, {advice}", by.sender.domain))
}

/// Which of both ends does not route a family.
fn without<'a>(network: &Network, by: Crossing<'a>, family: Family) -> Option<&'a DomainName> {
    let routes = |name: &DomainName| network.domain(name).is_some_and(|domain| domain.families.contains(family));
    [&by.sender.domain, &by.receiver.domain].into_iter().find(|name| !routes(name))
}

/// Why "everything" is not this source: whose it is, and the line that says so.
fn elsewhere(network: &Network, receiver: &Domain, own: &LinkEnd, source: IpAddr) -> (String, Origin) {
    for (_, end, peer) in network.links_of(&receiver.name).filter(|(_, end, _)| end.interface != own.interface) {
        if let Some((_, line)) = longest(&end.accept, source).filter(|(pattern, _)| !pattern.is_everything()) {
            return (format!("what {} accepts from {}", receiver.name, peer.domain), line);
        }
        if place::offered(network, &peer.domain, &receiver.name).any(|host| host.contains(&source)) {
            return (format!("a host of a service of {}", peer.domain), end.accept.origin);
        }
    }
    if let Some(neighbor) = receiver.neighbors.iter().find(|neighbor| place::names(&neighbor.routes, source)) {
        return (format!("what {} accepts from neighbor {}", receiver.name, neighbor.name), neighbor.origin);
    }
    (format!("what is {}'s own", receiver.name), receiver.origin)
}

/// The line of the translation that hides an address, and what is seen instead where that is known.
fn translation(end: &LinkEnd, address: IpAddr) -> Option<(Origin, Option<IpAddr>)> {
    let accept = &end.accept;
    if let Some(alias) = accept.alias.iter().find(|alias| alias.real.contains(&address)) {
        return Some((alias.origin, Some(rule::swap(address, &alias.seen))));
    }
    let nat = accept.nat.iter().find(|nat| nat.from.iter().any(|net| net.contains(&address)));
    nat.map(|nat| (nat.origin, None))
}

fn hidden(end: &LinkEnd, address: IpAddr) -> Option<Clause> {
    if !rule::hides(end, address) {
        return None;
    }
    let (line, seen) = translation(end, address)?;
    let words = format!("hidden from {}", end.domain);
    let clause = Clause::new(About::Translation, address, line).failing(Reason::Untranslated, words);
    Some(clause.advice(match seen {
        Some(seen) => format!("{} knows it as {seen}", end.domain),
        None => "several share one address there: give it an `alias`, or open a [[service]] `as` another".to_owned(),
    }))
}

/// The service that a packet goes to.
pub(super) fn offer<'a>(
    network: &'a Network,
    by: Crossing<'_>,
    packet: &Packet,
) -> Option<(&'a Service, &'a Exposure)> {
    let theirs = network.services.iter().filter(|service| service.domain == packet.receiver);
    let mut exposed = theirs.flat_map(|service| service.expose.iter().map(move |exposure| (service, exposure)));
    exposed.find(|(service, exposure)| {
        let seen = exposure.seen(service);
        let port = match service.protocol {
            PortProtocol::Tcp => Transport::Tcp(seen.port),
            PortProtocol::Udp => Transport::Udp(seen.port),
        };
        exposure.to == by.sender.domain && seen.address == packet.destination && port == packet.transport
    })
}

fn destination(network: &Network, by: Crossing<'_>, receiver: &Domain, destination: IpAddr) -> Clause {
    let accept = &by.sender.accept;
    let found = longest(accept, destination);
    let line = found.map_or_else(|| place_in(&accept.lines.routes, accept), |(_, line)| line);
    let clause = Clause::new(About::Destination, destination, line);
    if rule::may_reach(network, receiver, by.sender, destination) {
        return clause;
    }
    let sender = &by.sender.domain;
    let entry = IpNet::from(destination).to_string();
    let advice = add(&entry, "routes", !accept.routes.is_empty(), &table(network, sender, by));
    let words = match found {
        Some((pattern, _)) => format!("{pattern} never names an address of {} itself", receiver.name),
        None => format!("{sender} asks for no way there by this file"),
    };
    clause.failing(Reason::Destination, words).advice(advice)
}

/// Whether a packet may go on behind `domain`, which it entered by `own`; of no value if it goes no further.
pub(super) fn transit(
    network: &Network,
    domain: &Domain,
    own: &LinkEnd,
    sender: &LinkEnd,
    destination: IpAddr,
) -> Clause {
    let ways = place::ways(network, domain, destination);
    let accept = &sender.accept;
    let clause = |value: &str| Clause::new(About::Transit, value, place_in(&accept.lines.transit, accept));
    if ways.is_empty() || ways.iter().any(|way| matches!(way, Way::Here | Way::Neighbor(_))) {
        return clause("");
    }
    let links = ways.iter().filter_map(|way| match way {
        Way::Link(by, next) => Some((*by, *next)),
        Way::Here | Way::Neighbor(_) | Way::Wire => None,
    });
    let onwards: Vec<(&LinkEnd, &LinkEnd)> = links.filter(|(by, _)| by.interface != own.interface).collect();
    for (_, next) in &onwards {
        if let Some(index) = accept.transit.iter().position(|name| *name == next.domain) {
            return Clause::new(About::Transit, &next.domain, line_of(&accept.lines.transit, index, accept));
        }
    }
    match onwards.first() {
        Some((_, next)) if next.domain == sender.domain => {
            clause(next.domain.as_str()).failing(Reason::Transit, "back to where it came from")
        }
        Some((_, next)) => {
            let words = format!("{} does not pass it on to {}", domain.name, next.domain);
            let table = match network.links_of(&domain.name).find(|(_, it, _)| it.interface == own.interface) {
                Some((link, own, sender)) => table(network, &sender.domain, Crossing { link, sender, receiver: own }),
                None => format!("[link.into.{}]", sender.domain),
            };
            let advice = add(next.domain.as_str(), "transit", !accept.transit.is_empty(), &table);
            clause(next.domain.as_str()).failing(Reason::Transit, words).advice(advice)
        }
        None if ways.contains(&Way::Wire) => {
            clause("the wire of a link").failing(Reason::Transit, "only the router at the other end is there")
        }
        None => clause(sender.domain.as_str()).failing(Reason::Transit, "back by the link that it came by"),
    }
}

fn packets(network: &Network, by: Crossing<'_>, packet: &Packet) -> Clause {
    let accept = &by.receiver.accept;
    let family = Family::of(packet.source);
    if let Some(index) = accept.packets.iter().position(|entry| rule::allows(entry, packet.transport, family)) {
        return Clause::new(About::Packets, packet.transport, line_of(&accept.lines.packets, index, accept));
    }
    let receiver = &packet.receiver;
    let words = if accept.packets.is_empty() { "lets no new flow in there" } else { "does not let that in" };
    let table = table(network, receiver, by);
    let clause = Clause::new(About::Packets, packet.transport, place_in(&accept.lines.packets, accept));
    let advice = add(&packet.transport.to_string(), "packets", !accept.packets.is_empty(), &table);
    let words = format!("{receiver} {words}");
    clause.failing(Reason::Packets, words).advice(advice)
}

/// The packet ends in a domain that it is not for.
pub(super) fn ends(network: &Network, domain: &Domain, destination: IpAddr, wanted: &DomainName) -> Clause {
    let what = match place::ways(network, domain, destination).first() {
        Some(Way::Here) => here(network, domain, destination).0,
        Some(Way::Neighbor(neighbor)) => format!("{} sends it to neighbor {}", domain.name, neighbor.name),
        _ => format!("by this file {} has no way to {destination}", domain.name),
    };
    let words = format!("{what}: it does not come to {wanted}");
    Clause::new(About::End, &domain.name, domain.origin).words(words)
}

/// The packet does not leave the domain that it comes from by a link.
pub(super) fn stays(network: &Network, domain: &Domain, destination: IpAddr, wanted: &DomainName) -> Clause {
    let neighbor = place::ways(network, domain, destination).into_iter().find_map(|way| match way {
        Way::Neighbor(neighbor) => Some(neighbor),
        Way::Here | Way::Link(..) | Way::Wire => None,
    });
    let (words, line) = match neighbor {
        Some(neighbor) => {
            (format!("{destination} is behind neighbor {}, not behind a link", neighbor.name), neighbor.origin)
        }
        None => here(network, domain, destination),
    };
    let clause = Clause::new(About::End, &domain.name, line).words(words);
    // Both may have the address: what the sender has itself is nearer.
    let theirs = network.domain(wanted).is_some_and(|wanted| place::is_own(network, wanted, destination));
    if theirs {
        clause.advice(format!("name the address of {wanted} as {} sees it: to ADDRESS", domain.name))
    } else {
        clause
    }
}

/// Why nothing leads on to `destination` from the domain, and where the file says so.
fn here(network: &Network, domain: &Domain, destination: IpAddr) -> (String, Origin) {
    let declared = domain.routes.iter().filter(|route| route.to.contains(&destination));
    match declared.max_by_key(|route| route.to.prefix_len()) {
        Some(route) if !place::is_own(network, domain, destination) => {
            (format!("{} declares a route to {} for {destination}", domain.name, route.to), route.origin)
        }
        _ => (format!("{destination} is of {} itself, or on one of its interfaces", domain.name), domain.origin),
    }
}

/// No link leads there.
pub(super) fn no_link(domain: &Domain, wanted: &DomainName) -> Clause {
    let words = format!("no link leads from {} to {wanted}, directly or through others", domain.name);
    let advice = format!("add a [[link]] with between = [\"{}\", \"{wanted}\"]", domain.name);
    Clause::new(About::End, &domain.name, domain.origin).words(words).advice(advice)
}

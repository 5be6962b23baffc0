//! Who may send what to whom, for every ordered pair of domains.
//!
//! This says in sets what [`verdict`](super::verdict) says of one packet; `tests/policy_matrix.rs` compares the two.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::{aggregate, subtract};
use super::martians::{MARTIAN_DESTINATIONS, MARTIAN_SOURCES};
use super::verdict::place;
use crate::model::{
    Domain, DomainName, Exposure, Family, Link, LinkEnd, Network, PacketMatch, PortProtocol, PortRange, PrefixPattern,
    Routing, Service,
};

/// The most domains that a path leads through. More is never wanted, and a mesh would have too many paths.
const LONGEST: usize = 3;

/// What one domain may send into another.
#[derive(Clone, Debug)]
pub struct Pair<'a> {
    /// Who sends.
    pub from: &'a DomainName,
    /// Who receives.
    pub to: &'a DomainName,
    /// The ways: first those over a link between the two, then those through other domains.
    pub paths: Vec<Path<'a>>,
    /// What the receiver opens to the sender.
    pub services: Vec<(&'a Service, &'a Exposure)>,
    /// Whether flows of the other direction are answered.
    pub replies: bool,
}

/// One way between two domains.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    /// The links on the way; more than one if other domains are between.
    pub crossings: Vec<Crossing<'a>>,
    /// The routes to the sender that the receiver accepts this way.
    pub routes: Vec<PrefixPattern>,
    /// The sources that are believed on the whole way, as on the wires.
    pub sources: Addresses,
    /// The destinations that may be asked for on the whole way, as on the wires. Those that lie behind yet another domain
    /// are not reached this way.
    pub destinations: Addresses,
    /// The new flows that enter on the whole way.
    pub packets: Vec<PacketMatch>,
}

/// A link in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Crossing<'a> {
    /// The link.
    pub link: &'a Link,
    /// The end that packets leave by.
    pub sender: &'a LinkEnd,
    /// The end that they enter by.
    pub receiver: &'a LinkEnd,
}

/// A set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// What is in it.
    pub prefixes: Vec<IpNet>,
    /// What is not in it all the same.
    pub except: Vec<IpNet>,
}

impl Addresses {
    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let among = |list: &[IpNet]| list.iter().any(|net| net.contains(&address));
        among(&self.prefixes) && !among(&self.except)
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The addresses in both.
    fn and(&self, other: &Self) -> Self {
        let mut both = BTreeSet::new();
        for one in &self.prefixes {
            let longer = other.prefixes.iter().filter(|it| it.contains(one) || one.contains(*it));
            both.extend(longer.map(|it| if it.contains(one) { *one } else { *it }));
        }
        let except = aggregate(self.except.iter().chain(&other.except).copied());
        Self { prefixes: outermost(both), except }
    }
}

/// How much crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// Nothing.
    Nothing,
    /// Routes are learned, and no packet comes.
    Routes,
    /// Only replies to flows of the other direction.
    Replies,
    /// Flows to services.
    Services,
    /// New flows.
    Packets,
}

impl Pair<'_> {
    /// How much crosses.
    pub fn extent(&self) -> Extent {
        if self.paths.iter().any(Path::is_open) {
            Extent::Packets
        } else if !self.services.is_empty() {
            Extent::Services
        } else if self.replies {
            Extent::Replies
        } else if self.paths.iter().any(|path| !path.routes.is_empty()) {
            Extent::Routes
        } else {
            Extent::Nothing
        }
    }
}

impl<'a> Path<'a> {
    /// The domains between.
    pub fn via(&self) -> Vec<&'a DomainName> {
        self.crossings.iter().skip(1).map(|crossing| &crossing.sender.domain).collect()
    }

    /// The ends that see translated addresses of the first or the last domain, each with the end that translates.
    pub fn translations(&self) -> Vec<(&'a LinkEnd, &'a LinkEnd)> {
        let first = self.crossings.first().map(|first| (first.receiver, first.sender));
        let last = self.crossings.last().map(|last| (last.sender, last.receiver));
        first.into_iter().chain(last).collect()
    }

    /// Whether any new flow enters.
    pub fn is_open(&self) -> bool {
        !self.packets.is_empty() && !self.sources.is_empty() && !self.destinations.is_empty()
    }
}

/// Every ordered pair of domains, in the order of the file.
pub fn matrix(network: &Network) -> Vec<Pair<'_>> {
    let names = || network.domains.iter().map(|domain| &domain.name);
    let all: Vec<Vec<Path<'_>>> = names().map(|from| paths_from(network, from)).collect();
    let mut pairs = Vec::new();
    for (from, paths) in names().zip(all) {
        for to in names().filter(|to| *to != from) {
            let leads_there = |path: &&Path<'_>| path.crossings.last().is_some_and(|it| &it.receiver.domain == to);
            let paths = paths.iter().filter(leads_there).cloned().collect();
            pairs.push(Pair { from, to, paths, services: services(network, to, from), replies: false });
        }
    }
    let open: BTreeSet<(&DomainName, &DomainName)> =
        pairs.iter().filter(|pair| pair.extent() >= Extent::Services).map(|pair| (pair.from, pair.to)).collect();
    for pair in &mut pairs {
        pair.replies = open.contains(&(pair.to, pair.from));
    }
    pairs
}

fn services<'a>(network: &'a Network, owner: &DomainName, consumer: &DomainName) -> Vec<(&'a Service, &'a Exposure)> {
    let theirs = network.services.iter().filter(|service| &service.domain == owner);
    let exposed = theirs.flat_map(|service| service.expose.iter().map(move |exposure| (service, exposure)));
    exposed.filter(|(_, exposure)| &exposure.to == consumer).collect()
}

/// Every way out of `from`, shorter ones first.
fn paths_from<'a>(network: &'a Network, from: &'a DomainName) -> Vec<Path<'a>> {
    let crossing = |(link, sender, receiver)| Crossing { link, sender, receiver };
    let mut open: Vec<Vec<Crossing<'a>>> = network.links_of(from).map(|it| vec![crossing(it)]).collect();
    let mut paths = Vec::new();
    while !open.is_empty() {
        paths.extend(open.iter().map(|crossings| path(network, crossings)));
        let longer = open.iter().filter(|crossings| crossings.len() <= LONGEST).flat_map(|crossings| {
            let last = crossings.last().map(|last| (last, &last.receiver.domain));
            let next = last
                .into_iter()
                .flat_map(|(last, at)| network.links_of(at).map(crossing).filter(move |next| is_transit(*last, *next)));
            let fresh = |next: &Crossing<'_>| {
                let domain = &next.receiver.domain;
                domain != from && crossings.iter().all(|crossing| &crossing.receiver.domain != domain)
            };
            next.filter(fresh).map(|next| [crossings.as_slice(), &[next]].concat()).collect::<Vec<_>>()
        });
        open = longer.collect();
    }
    paths
}

/// Whether the domain between forwards from one link to the next: the sender's side of the first must name who comes next.
pub(super) fn is_transit(first: Crossing<'_>, next: Crossing<'_>) -> bool {
    first.sender.accept.transit.contains(&next.receiver.domain)
}

fn path<'a>(network: &'a Network, crossings: &[Crossing<'a>]) -> Path<'a> {
    let mut sets = crossings.iter().map(|crossing| {
        let packets = crossing.receiver.accept.packets.clone();
        (sources(network, *crossing), destinations(network, *crossing), packets)
    });
    let first = sets.next().unwrap_or_default();
    let (sources, destinations, packets) =
        sets.fold(first, |all, one| (all.0.and(&one.0), all.1.and(&one.1), in_both(&all.2, &one.2)));
    let routes = learned(crossings, &sources);
    Path { crossings: crossings.to_vec(), routes, sources, destinations, packets }
}

/// The patterns by which the last domain learns routes to the first. Over BGP each domain between passes them on only
/// where the next one's `transit` names the one before.
fn learned(crossings: &[Crossing<'_>], sources: &Addresses) -> Vec<PrefixPattern> {
    let Some(last) = crossings.last() else { return Vec::new() };
    let passed_on = crossings.windows(2).all(|pair| {
        let [before, after] = pair else { return false };
        after.link.routing == Routing::Static || after.receiver.accept.transit.contains(&before.sender.domain)
    });
    let patterns = last.receiver.accept.routes.iter().copied().filter(|_| passed_on);
    if crossings.len() == 1 {
        return patterns.collect();
    }
    let of_sender = |pattern: &PrefixPattern| {
        sources.prefixes.iter().any(|net| net.contains(&pattern.prefix) || pattern.prefix.contains(net))
    };
    patterns.filter(of_sender).collect()
}

/// The families that both ends route.
fn crosses(network: &Network, crossing: Crossing<'_>, net: &IpNet) -> bool {
    [crossing.sender, crossing.receiver]
        .iter()
        .all(|end| network.domain(&end.domain).is_some_and(|domain| domain.families.contains(Family::of_net(net))))
}

/// The sources that the receiver believes.
fn sources(network: &Network, crossing: Crossing<'_>) -> Addresses {
    let Some(receiver) = network.domain(&crossing.receiver.domain) else { return Addresses::default() };
    let others = network.links_of(&receiver.name).flat_map(|(_, end, peer)| {
        let hosts = place::offered(network, &peer.domain, &end.domain);
        let hosts = hosts.filter(|_| end.interface != crossing.receiver.interface);
        end.accept.routes.iter().filter(|it| !it.is_everything()).map(|it| it.prefix).chain(hosts).collect::<Vec<_>>()
    });
    let neighbors = receiver.neighbors.iter().flat_map(|neighbor| &neighbor.routes);
    let neighbors = neighbors.filter(|it| !it.is_everything()).map(|it| it.prefix);
    let martians = Family::ALL.into_iter().flat_map(|family| *MARTIAN_SOURCES.get(family)).copied();
    let not_everything = others.chain(neighbors).chain(own(network, receiver));
    addresses(network, crossing, crossing.receiver, crossing.receiver, not_everything, martians)
}

/// The destinations that the sender may ask for.
fn destinations(network: &Network, crossing: Crossing<'_>) -> Addresses {
    let Some(receiver) = network.domain(&crossing.receiver.domain) else { return Addresses::default() };
    let not_everything = own_addresses(network, receiver).chain(place::stand_ins(network, receiver));
    let martians = Family::ALL.into_iter().flat_map(|family| *MARTIAN_DESTINATIONS.get(family)).copied();
    addresses(network, crossing, crossing.sender, crossing.sender, not_everything, martians)
}

/// What the patterns of `listed` mean: "everything" is not `not_everything`, nothing is `never`, and what a translation
/// hides from `hidden_from` does not cross.
fn addresses(
    network: &Network,
    crossing: Crossing<'_>,
    listed: &LinkEnd,
    hidden_from: &LinkEnd,
    not_everything: impl Iterator<Item = IpNet>,
    never: impl Iterator<Item = IpNet>,
) -> Addresses {
    let patterns = listed.accept.routes.iter().filter(|pattern| crosses(network, crossing, &pattern.prefix));
    let prefixes: BTreeSet<IpNet> = patterns.map(|pattern| pattern.prefix).collect();
    let named: Vec<IpNet> = prefixes.iter().copied().filter(|net| net.prefix_len() > 0).collect();
    let mut except = Vec::new();
    if prefixes.iter().any(|net| net.prefix_len() == 0) {
        except = subtract(&aggregate(not_everything), &named);
    }
    let accept = &hidden_from.accept;
    let from = accept.nat.iter().flat_map(|nat| &nat.from).copied();
    let hidden = aggregate(from.chain(accept.alias.iter().map(|alias| alias.real)));
    let shown: Vec<IpNet> = place::shown(hidden_from).collect();
    except.extend(subtract(&hidden, &shown));
    except.extend(never);
    let meets = |net: &IpNet| prefixes.iter().any(|prefix| prefix.contains(net) || net.contains(prefix));
    let except = aggregate(except.into_iter().filter(meets));
    Addresses { prefixes: outermost(prefixes), except }
}

/// Every prefix of a domain's own, and what stands for others of it.
fn own(network: &Network, domain: &Domain) -> impl Iterator<Item = IpNet> {
    let links = network.links_of(&domain.name).flat_map(|(_, end, _)| end.addresses.iter().map(IpNet::trunc));
    let links: Vec<IpNet> = links.chain(place::stand_ins(network, domain)).collect();
    domain.networks.iter().chain(&domain.loopback).copied().chain(domain.interface_prefixes()).chain(links)
}

fn own_addresses(network: &Network, domain: &Domain) -> impl Iterator<Item = IpNet> {
    let links: Vec<IpNet> = network.links_of(&domain.name).flat_map(|(_, end, _)| end.addresses.clone()).collect();
    let interfaces = domain.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied());
    domain.loopback.iter().copied().chain(interfaces).chain(links).map(|net| IpNet::from(net.addr()))
}

/// Without those that lie inside of others. They stay as they were written: neighbors are not merged.
fn outermost(prefixes: BTreeSet<IpNet>) -> Vec<IpNet> {
    let mut kept: Vec<IpNet> = Vec::new();
    // Of two nested prefixes the shorter one comes first in this order.
    for prefix in prefixes {
        if kept.last().is_none_or(|last| !last.contains(&prefix)) {
            kept.push(prefix);
        }
    }
    kept
}

/// The flows that both lists allow.
fn in_both(one: &[PacketMatch], other: &[PacketMatch]) -> Vec<PacketMatch> {
    let mut all: Vec<PacketMatch> = Vec::new();
    for entry in one.iter().flat_map(|one| other.iter().filter_map(move |other| common(one, other))) {
        if !all.contains(&entry) {
            all.push(entry);
        }
    }
    all
}

fn common(one: &PacketMatch, other: &PacketMatch) -> Option<PacketMatch> {
    match (one, other) {
        (PacketMatch::Any, entry) | (entry, PacketMatch::Any) => Some(entry.clone()),
        (PacketMatch::Icmp, PacketMatch::Icmp | PacketMatch::Protocol(1 | 58))
        | (PacketMatch::Protocol(1 | 58), PacketMatch::Icmp) => Some(PacketMatch::Icmp),
        (PacketMatch::Protocol(one), PacketMatch::Protocol(other)) => {
            (one == other).then_some(PacketMatch::Protocol(*one))
        }
        (PacketMatch::Ports(protocol, ports), PacketMatch::Protocol(number))
        | (PacketMatch::Protocol(number), PacketMatch::Ports(protocol, ports)) => {
            let own = match protocol {
                PortProtocol::Tcp => 6,
                PortProtocol::Udp => 17,
            };
            (own == *number).then(|| PacketMatch::Ports(*protocol, ports.clone()))
        }
        (PacketMatch::Ports(protocol, ports), PacketMatch::Ports(also, others)) if protocol == also => {
            let ports = match (ports.as_slice(), others.as_slice()) {
                ([], ports) | (ports, []) => ports.to_vec(),
                _ => {
                    let both = ports.iter().flat_map(|one| others.iter().filter_map(|other| overlap(*one, *other)));
                    Some(both.collect::<Vec<_>>()).filter(|both| !both.is_empty())?
                }
            };
            Some(PacketMatch::Ports(*protocol, ports))
        }
        _ => None,
    }
}

fn overlap(one: PortRange, other: PortRange) -> Option<PortRange> {
    let (first, last) = (one.first.max(other.first), one.last.min(other.last));
    (first <= last).then_some(PortRange { first, last })
}

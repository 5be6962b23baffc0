//! What a domain originates, and the routes that rdsup installs itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::PerFamily;
use super::labels::Label;
use super::link::{LinkPolicy, link_families};
use super::translation::{offered_hosts, offers, shown, shown_anywhere};
use crate::model::{Domain, DomainName, Family, InterfaceName, Link, LinkEnd, Network, RouteKind, Routing};

/// Local preference where the file names none (RFC 4271 leaves it to us; every implementation takes 100).
pub const PREFERENCE: u32 = 100;

/// What a domain originates: its networks, loopbacks and declared routes, of the families that it routes.
pub fn originated(domain: &Domain) -> PerFamily<BTreeSet<IpNet>> {
    PerFamily::new(|family| {
        if !domain.families.contains(family) {
            return BTreeSet::new();
        }
        domain
            .networks
            .iter()
            .chain(&domain.loopback)
            .copied()
            .chain(domain.routes.iter().map(|route| route.to))
            .filter(|prefix| Family::of_net(prefix) == family)
            .collect()
    })
}

/// A prefix that came over a static link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkedRoute {
    /// The prefix.
    pub to: IpNet,
    /// Where it entered.
    pub label: Label,
}

/// What `domain` accepts over its static links, of one family. Its daemon knows these as learned over a link.
pub fn linked_routes(network: &Network, domain: &Domain, family: Family) -> BTreeSet<LinkedRoute> {
    let own = originated(domain);
    static_ways(network, &domain.name)
        .into_iter()
        .filter(|(to, _)| Family::of_net(to) == family && !own.get(family).contains(to))
        .map(|(to, (link, _, peer))| LinkedRoute { to, label: Label::of_link(network, link, peer) })
        .collect()
}

/// A prefix that a domain announces over some links only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkOnlyRoute {
    /// The prefix.
    pub to: IpNet,
    /// The links.
    pub labels: BTreeSet<Label>,
    /// Whether it is just the host of a service at its own address. Then a route to it that the daemon has learned is the
    /// better one.
    pub host: bool,
}

/// What `domain` announces because of single links: what others see instead of its own addresses, and the hosts of services.
/// What it originates anyway is not among them.
pub fn link_only_routes(network: &Network, domain: &Domain, family: Family) -> Vec<LinkOnlyRoute> {
    let originated = originated(domain);
    let real = real_hosts(network, domain);
    let mut routes: BTreeMap<IpNet, BTreeSet<Label>> = BTreeMap::new();
    for (link, own, peer) in network.links_of(&domain.name).filter(|(link, _, _)| link.routing == Routing::Bgp) {
        if !link_families(network, own, peer).contains(&family) {
            continue;
        }
        let hosts = offered_hosts(network, &domain.name, &peer.domain);
        for to in shown(peer).get(family).union(hosts.get(family)).filter(|to| !originated.get(family).contains(to)) {
            routes.entry(*to).or_default().insert(Label::OnlyOver(LinkPolicy::mark(link)));
        }
    }
    routes.into_iter().map(|(to, labels)| LinkOnlyRoute { to, labels, host: real.contains(&to) }).collect()
}

/// The hosts of services that are found at their own address.
fn real_hosts(network: &Network, domain: &Domain) -> BTreeSet<IpNet> {
    network
        .links_of(&domain.name)
        .flat_map(|(_, _, peer)| offers(network, &domain.name, &peer.domain))
        .filter(|offer| offer.seen.address == offer.at.address)
        .map(|offer| IpNet::from(offer.seen.address))
        .collect()
}

/// A route that rdsup installs in the main table over netlink, as `ip route` would name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelRoute {
    /// The destination.
    pub to: IpNet,
    /// What it does.
    pub kind: KernelRouteKind,
    /// The gateway; of IPv6 for an IPv4 destination on an unnumbered link.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<InterfaceName>,
    /// The source of what the domain itself sends: its first loopback of the family.
    pub src: Option<IpAddr>,
    /// The metric; the kernel's default if none.
    pub metric: Option<u32>,
}

/// What a route does, spelled as `ip route` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelRouteKind {
    /// Forwards.
    Unicast,
    /// Drops silently.
    Blackhole,
    /// Drops and answers "host unreachable".
    Unreachable,
    /// Drops and answers "administratively prohibited".
    Prohibit,
}

impl KernelRouteKind {
    /// The word of `ip route`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
        }
    }
}

/// Every route that rdsup itself installs in a domain, sorted and without duplicates: declared routes, those of static
/// links, and an unreachable route for each network and for each prefix that others see instead of one, unless something
/// else has exactly that prefix. So what no longer specific route claims is answered here and does not follow a default
/// route back out.
///
/// The host's networks get none: they are the business of whoever configured the machine.
pub fn kernel_routes(network: &Network, domain: &DomainName) -> Vec<KernelRoute> {
    let Some(domain) = network.domain(domain) else { return Vec::new() };
    let mut routes = declared_routes(domain);
    for (to, (_, own, peer)) in static_ways(network, &domain.name) {
        // A declared route for the same prefix is the admin's own word and wins.
        if domain.routes.iter().any(|route| route.to == to) {
            continue;
        }
        let family = Family::of_net(&to);
        let via = peer.address(family == Family::Ipv4).unwrap_or(peer.link_local.into());
        routes.insert(KernelRoute {
            to,
            kind: KernelRouteKind::Unicast,
            via: Some(via),
            dev: Some(own.interface.clone()),
            src: domain.source(family),
            metric: None,
        });
    }
    let taken: BTreeSet<IpNet> = routes
        .iter()
        .map(|route| route.to)
        .chain(domain.interface_prefixes())
        .chain(local_addresses(network, domain))
        .collect();
    let networks = domain.networks.iter().copied().filter(|_| !domain.name.is_host());
    for to in networks.chain(published(network, domain)) {
        if domain.families.contains(Family::of_net(&to)) && !taken.contains(&to) {
            let kind = KernelRouteKind::Unreachable;
            routes.insert(KernelRoute { to, kind, via: None, dev: None, src: None, metric: None });
        }
    }
    routes.into_iter().collect()
}

fn declared_routes(domain: &Domain) -> BTreeSet<KernelRoute> {
    let routes = domain.routes.iter().filter(|route| domain.families.contains(Family::of_net(&route.to)));
    let route = |route: &crate::model::Route| {
        let (kind, via, dev) = match &route.kind {
            RouteKind::Unicast { via, dev } => (KernelRouteKind::Unicast, *via, dev.clone()),
            RouteKind::Blackhole => (KernelRouteKind::Blackhole, None, None),
            RouteKind::Unreachable => (KernelRouteKind::Unreachable, None, None),
            RouteKind::Prohibit => (KernelRouteKind::Prohibit, None, None),
        };
        KernelRoute { to: route.to, kind, via, dev, src: None, metric: route.metric }
    };
    routes.map(route).collect()
}

/// What others see instead of the domain's own addresses: of `nat`, `alias` and services that are published elsewhere.
/// Packets to these are translated as they arrive; whatever is not must not follow a default route.
fn published(network: &Network, domain: &Domain) -> BTreeSet<IpNet> {
    let mut all = shown_anywhere(network, domain);
    for (_, _, peer) in network.links_of(&domain.name) {
        let offers = offers(network, &domain.name, &peer.domain).into_iter();
        let elsewhere = offers.filter(|offer| offer.seen.address != offer.at.address);
        all.extend(elsewhere.map(|offer| IpNet::from(offer.seen.address)));
    }
    all
}

/// Every address that the domain has, as host prefixes: the kernel answers for these before it looks at any other route.
fn local_addresses(network: &Network, domain: &Domain) -> Vec<IpNet> {
    let links = network.links_of(&domain.name).flat_map(|(_, own, _)| &own.addresses);
    let interfaces = domain.interfaces.iter().flat_map(|interface| &interface.addresses);
    domain.loopback.iter().chain(interfaces).chain(links).map(|address| IpNet::from(address.addr())).collect()
}

/// A link, the end at which a prefix is accepted, and the other.
type Way<'a> = (&'a Link, &'a LinkEnd, &'a LinkEnd);

/// The prefixes that a domain accepts over static links, hosts of services included, each with its way. Of several ways to
/// one prefix the one of higher preference is taken, of equals the first in the file: the kernel has one route.
fn static_ways<'a>(network: &'a Network, domain: &'a DomainName) -> BTreeMap<IpNet, Way<'a>> {
    let mut ways: BTreeMap<IpNet, Way<'_>> = BTreeMap::new();
    for (link, own, peer) in network.links_of(domain).filter(|(link, _, _)| link.routing == Routing::Static) {
        let families = link_families(network, own, peer);
        // A range is refused by the configuration.
        let exact = own.accept.routes.iter().filter(|pattern| pattern.is_exact()).map(|pattern| pattern.prefix);
        let hosts = offered_hosts(network, &peer.domain, domain);
        let hosts = Family::ALL.into_iter().flat_map(|family| hosts.get(family).iter().copied());
        for to in exact.chain(hosts).filter(|to| families.contains(&Family::of_net(to))) {
            let preference = |end: &LinkEnd| end.accept.preference.unwrap_or(PREFERENCE);
            let better = |(_, known, _): &Way<'_>| preference(own) > preference(known);
            if ways.get(&to).is_none_or(better) {
                ways.insert(to, (link, own, peer));
            }
        }
    }
    ways
}

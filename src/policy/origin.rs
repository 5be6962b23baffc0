//! What a domain originates, and the routes that rdsup installs itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::PerFamily;
use super::link::link_families;
use crate::model::{Asn, Domain, DomainName, Family, InterfaceName, LinkEnd, Network, RouteKind, Routing};

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
    /// The AS number of the domain that it came from, if that has one.
    pub entered_by: Option<Asn>,
}

/// What `domain` accepts over its static links, of one family. Its daemon knows these as learned over a link.
pub fn linked_routes(network: &Network, domain: &Domain, family: Family) -> BTreeSet<LinkedRoute> {
    let own = originated(domain);
    static_ways(network, &domain.name)
        .into_iter()
        .filter(|(to, _)| Family::of_net(to) == family && !own.get(family).contains(to))
        .map(|(to, (_, peer))| LinkedRoute { to, entered_by: network.domain(&peer.domain).and_then(|it| it.asn) })
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
/// links, and an unreachable route for each network that nothing else covers exactly, so that what no longer specific
/// route claims is answered here and does not follow a default route back out.
///
/// The host's networks get none: they are the business of whoever configured the machine.
pub fn kernel_routes(network: &Network, domain: &DomainName) -> Vec<KernelRoute> {
    let Some(domain) = network.domain(domain) else { return Vec::new() };
    let mut routes = BTreeSet::new();
    for route in &domain.routes {
        let family = Family::of_net(&route.to);
        if !domain.families.contains(family) {
            continue;
        }
        let (kind, via, dev) = match &route.kind {
            RouteKind::Unicast { via, dev } => (KernelRouteKind::Unicast, *via, dev.clone()),
            RouteKind::Blackhole => (KernelRouteKind::Blackhole, None, None),
            RouteKind::Unreachable => (KernelRouteKind::Unreachable, None, None),
            RouteKind::Prohibit => (KernelRouteKind::Prohibit, None, None),
        };
        routes.insert(KernelRoute { to: route.to, kind, via, dev, src: None, metric: route.metric });
    }
    for (to, (own, peer)) in static_ways(network, &domain.name) {
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
    if !domain.name.is_host() {
        let taken: BTreeSet<IpNet> = routes
            .iter()
            .map(|route| route.to)
            .chain(domain.interface_prefixes())
            .chain(domain.loopback.clone())
            .collect();
        for to in
            domain.networks.iter().filter(|to| domain.families.contains(Family::of_net(to)) && !taken.contains(to))
        {
            let kind = KernelRouteKind::Unreachable;
            routes.insert(KernelRoute { to: *to, kind, via: None, dev: None, src: None, metric: None });
        }
    }
    routes.into_iter().collect()
}

/// The prefixes that a domain accepts over static links, each with the end that it is accepted at and its peer. Of several
/// ways to one prefix the one of higher preference is taken, of equals the first in the file: the kernel has one route.
fn static_ways<'a>(network: &'a Network, domain: &'a DomainName) -> BTreeMap<IpNet, (&'a LinkEnd, &'a LinkEnd)> {
    let mut ways: BTreeMap<IpNet, (&LinkEnd, &LinkEnd)> = BTreeMap::new();
    let links = network.links_of(domain).filter(|(link, _, _)| link.routing == Routing::Static);
    for (_, own, peer) in links {
        let families = link_families(network, own, peer);
        // A range is refused by the configuration.
        let exact = own.accept.routes.iter().filter(|pattern| pattern.is_exact());
        for to in exact.map(|pattern| pattern.prefix).filter(|to| families.contains(&Family::of_net(to))) {
            let preference = |end: &LinkEnd| end.accept.preference.unwrap_or(PREFERENCE);
            let better = |(known, _): &(&LinkEnd, &LinkEnd)| preference(own) > preference(known);
            if ways.get(&to).is_none_or(better) {
                ways.insert(to, (own, peer));
            }
        }
    }
    ways
}

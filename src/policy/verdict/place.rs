//! Where an address lies, as far as the file says: the longest prefix that contains it, among what a domain has itself
//! and what it accepts from others.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Domain, DomainName, LinkEnd, Neighbor, Network, PrefixPattern, RouteKind};

/// The way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// Nothing leads on: it is of the domain itself, or on one of its interfaces, or behind a route that it declares.
    Here,
    /// By an external neighbor.
    Neighbor(&'a Neighbor),
    /// By a link: the end in the domain, and the other end.
    Link(&'a LinkEnd, &'a LinkEnd),
    /// On the wire of a numbered link, where nobody but the other end's router is.
    Wire,
}

/// The ways to `address` by the longest prefix that contains it: none if nothing does, and several if it is accepted from
/// several sides. What the domain has itself comes before what it is told, and a neighbor before a link.
pub fn ways<'a>(network: &'a Network, domain: &'a Domain, address: IpAddr) -> Vec<Way<'a>> {
    let told = network.links_of(&domain.name).flat_map(|(_, own, peer)| {
        let accepted = accepted(network, own, peer).map(move |prefix| (prefix, Way::Link(own, peer)));
        accepted.chain(own.addresses.iter().map(|net| (net.trunc(), Way::Wire)))
    });
    let neighbors = domain
        .neighbors
        .iter()
        .flat_map(|neighbor| neighbor.routes.iter().map(move |pattern| (pattern.prefix, Way::Neighbor(neighbor))));
    let own = own_prefixes(network, domain).into_iter().map(|prefix| (prefix, Way::Here));
    let mut longest = None;
    let mut ways = Vec::new();
    for (prefix, way) in own.chain(declared(network, domain)).chain(neighbors).chain(told) {
        if !prefix.contains(&address) || longest.is_some_and(|longest| prefix.prefix_len() < longest) {
            continue;
        }
        if longest.is_none_or(|longest| prefix.prefix_len() > longest) {
            ways.clear();
        }
        longest = Some(prefix.prefix_len());
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

/// What `own` learns: the prefixes of its patterns, and the hosts whose services the peer opens to it.
fn accepted<'a>(network: &'a Network, own: &'a LinkEnd, peer: &'a LinkEnd) -> impl Iterator<Item = IpNet> + 'a {
    own.accept.routes.iter().map(|pattern| pattern.prefix).chain(offered(network, &peer.domain, &own.domain))
}

/// The hosts of `owner` whose services are open to `consumer`, as that one sees them.
pub fn offered<'a>(
    network: &'a Network,
    owner: &'a DomainName,
    consumer: &'a DomainName,
) -> impl Iterator<Item = IpNet> + 'a {
    network.services.iter().filter(move |service| &service.domain == owner).flat_map(move |service| {
        let to = service.expose.iter().filter(move |exposure| &exposure.to == consumer);
        to.map(move |exposure| IpNet::from(exposure.seen(service).address))
    })
}

/// A domain's own: networks, addresses with the prefixes that its interfaces carry, and what it shows instead of them.
fn own_prefixes(network: &Network, domain: &Domain) -> Vec<IpNet> {
    let links = network.links_of(&domain.name).flat_map(|(_, own, _)| &own.addresses);
    let links = links.map(|net| IpNet::from(net.addr())).chain(stand_ins(network, domain));
    domain.networks.iter().chain(&domain.loopback).copied().chain(domain.interface_prefixes()).chain(links).collect()
}

/// What the receiver at `end` sees instead of the sender's own addresses.
pub fn shown(end: &LinkEnd) -> impl Iterator<Item = IpNet> + '_ {
    let nat = end.accept.nat.iter().map(|nat| IpNet::from(nat.to));
    nat.chain(end.accept.alias.iter().map(|alias| alias.seen))
}

/// Declared routes; one with a gateway on the wire of a link leads there.
fn declared<'a>(network: &'a Network, domain: &'a Domain) -> impl Iterator<Item = (IpNet, Way<'a>)> + 'a {
    domain.routes.iter().map(move |route| {
        let on_wire = |own: &LinkEnd| match &route.kind {
            RouteKind::Unicast { via, dev } => {
                let by_address = via.is_some_and(|via| own.addresses.iter().any(|net| net.contains(&via)));
                by_address || dev.as_ref() == Some(&own.interface)
            }
            RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit => false,
        };
        let link = network.links_of(&domain.name).find(|(_, own, _)| on_wire(own));
        (route.to, link.map_or(Way::Here, |(_, own, peer)| Way::Link(own, peer)))
    })
}

/// Whether an address lies in a domain's networks, in the prefix of one of its addresses, or in what it shows instead.
pub fn is_own(network: &Network, domain: &Domain, address: IpAddr) -> bool {
    network.links_of(&domain.name).any(|(_, own, _)| own.addresses.iter().any(|net| net.contains(&address)))
        || stand_ins(network, domain).any(|net| net.contains(&address))
        || domain.networks.iter().chain(&domain.loopback).any(|net| net.contains(&address))
        || domain.interface_prefixes().any(|net| net.contains(&address))
}

/// What stands for other addresses of a domain: shown over a link, or published for a service.
pub fn stand_ins<'a>(network: &'a Network, domain: &'a Domain) -> impl Iterator<Item = IpNet> + 'a {
    let services = network.services.iter().filter(|service| service.domain == domain.name);
    let published = services.flat_map(|service| &service.expose).filter_map(|exposure| exposure.published);
    network
        .links_of(&domain.name)
        .flat_map(|(_, _, peer)| shown(peer))
        .chain(published.map(|endpoint| IpNet::from(endpoint.address)))
}

/// Whether a domain has exactly this address.
pub fn is_own_address(network: &Network, domain: &Domain, address: IpAddr) -> bool {
    let interfaces = domain.interfaces.iter().flat_map(|interface| &interface.addresses);
    domain.loopback.iter().chain(interfaces).any(|own| own.addr() == address)
        || network.links_of(&domain.name).any(|(_, own, _)| own.addresses.iter().any(|own| own.addr() == address))
}

/// Whether one of `patterns` says `address`, other than by saying everything.
pub fn names(patterns: &[PrefixPattern], address: IpAddr) -> bool {
    patterns.iter().any(|pattern| !pattern.is_everything() && pattern.prefix.contains(&address))
}

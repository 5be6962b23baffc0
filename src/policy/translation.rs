//! Which addresses of a domain the other end of a link sees as others.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::addresses::{PerFamily, aggregate};
use crate::model::{Domain, DomainName, Endpoint, Family, LinkEnd, Network, PortProtocol, Service};

/// The addresses that the domain at the other end of `receiver` must never show to it: what `nat` and `alias` translate.
pub fn hidden(receiver: &LinkEnd) -> PerFamily<Vec<IpNet>> {
    let accept = &receiver.accept;
    let from = accept.nat.iter().flat_map(|nat| nat.from.iter().copied());
    let all: Vec<IpNet> = from.chain(accept.alias.iter().map(|alias| alias.real)).collect();
    PerFamily::new(|family| aggregate(all.iter().copied().filter(|net| Family::of_net(net) == family)))
}

/// What it shows instead: the addresses of `nat` and the prefixes of `alias`, as written.
pub fn shown(receiver: &LinkEnd) -> PerFamily<BTreeSet<IpNet>> {
    let accept = &receiver.accept;
    let to = accept.nat.iter().map(|nat| IpNet::from(nat.to));
    let all: Vec<IpNet> = to.chain(accept.alias.iter().map(|alias| alias.seen)).collect();
    PerFamily::new(|family| all.iter().copied().filter(|net| Family::of_net(net) == family).collect())
}

/// What `domain` shows over any of its links.
pub(super) fn shown_anywhere(network: &Network, domain: &Domain) -> BTreeSet<IpNet> {
    let links = network.links_of(&domain.name).map(|(_, _, peer)| shown(peer));
    links.flat_map(|shown| shown.ipv4.into_iter().chain(shown.ipv6)).collect()
}

/// Addresses that stand for others of `domain`: what it shows over any link, and where it publishes services. They lie
/// nowhere, and "everything" does not name them.
pub fn claimed(network: &Network, domain: &Domain) -> PerFamily<Vec<IpNet>> {
    let shown = shown_anywhere(network, domain);
    let services = network.services.iter().filter(|service| service.domain == domain.name);
    let published: Vec<IpNet> = services
        .flat_map(|service| &service.expose)
        .filter_map(|exposure| exposure.published.map(|published| IpNet::from(published.address)))
        .collect();
    PerFamily::new(|family| {
        aggregate(shown.iter().chain(&published).copied().filter(|net| Family::of_net(net) == family))
    })
}

/// A port that one domain opens to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// Where the consumer finds it.
    pub seen: Endpoint,
    /// Where it really is.
    pub at: Endpoint,
    /// TCP or UDP.
    pub protocol: PortProtocol,
}

/// What `owner` opens to `consumer`, over every link between them.
pub fn offers(network: &Network, owner: &DomainName, consumer: &DomainName) -> Vec<Offer> {
    let mut offers: Vec<Offer> = offered(network, owner, consumer)
        .map(|(service, seen)| Offer { seen, at: service.at, protocol: service.protocol })
        .collect();
    offers.sort_unstable();
    offers.dedup();
    offers
}

fn offered<'a>(
    network: &'a Network,
    owner: &'a DomainName,
    consumer: &'a DomainName,
) -> impl Iterator<Item = (&'a Service, Endpoint)> {
    let theirs = network.services.iter().filter(move |service| &service.domain == owner);
    theirs.flat_map(move |service| {
        let to = service.expose.iter().filter(move |exposure| &exposure.to == consumer);
        to.map(move |exposure| (service, exposure.seen(service)))
    })
}

/// The host routes that `consumer` learns from `owner` because of services: accepted beside what the file lists, and never
/// legal sources of new flows.
pub fn offered_hosts(network: &Network, owner: &DomainName, consumer: &DomainName) -> PerFamily<BTreeSet<IpNet>> {
    let offers = offers(network, owner, consumer);
    PerFamily::new(|family| {
        offers.iter().map(|offer| offer.seen.address).filter(|it| Family::of(*it) == family).map(IpNet::from).collect()
    })
}

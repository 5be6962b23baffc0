//! Which routes are learned and announced on a session.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::addresses::{PerFamily, aggregate};
use super::bogons::BOGONS;
use super::link::{exceptions, link_families, own_prefixes};
use super::martians::martian_sources;
use super::translation::{hidden, offered_hosts, offers, shown, shown_anywhere};
use crate::model::{Domain, Family, LinkEnd, Neighbor, Network, PrefixPattern};

/// An allow-list of prefixes of one family. Whatever it does not name is rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteFilter {
    /// Accepted whatever else holds: patterns of length > 0 and exact default routes.
    pub named: Vec<PrefixPattern>,
    /// Ranges under the default route, such as `any`: accepted outside of `except`.
    pub ranges: Vec<PrefixPattern>,
    /// Prefixes under which `ranges` accept nothing.
    pub except: Vec<IpNet>,
    /// Prefixes under which nothing is accepted, whatever is named.
    pub never: Vec<IpNet>,
    /// Single prefixes under `never` that are accepted all the same, if they are named.
    pub unless: Vec<IpNet>,
}

impl RouteFilter {
    /// Whether a route to `prefix` passes.
    pub fn accepts(&self, prefix: &IpNet) -> bool {
        let under = |list: &[IpNet]| list.iter().any(|cover| cover.contains(prefix));
        let matches = |list: &[PrefixPattern]| list.iter().any(|pattern| pattern.matches(prefix));
        let never = under(&self.never) && !self.unless.contains(prefix);
        !never && (matches(&self.named) || (matches(&self.ranges) && !under(&self.except)))
    }

    /// Whether nothing can pass.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.ranges.is_empty()
    }

    fn new(
        patterns: impl IntoIterator<Item = PrefixPattern>,
        family: Family,
        except: impl FnOnce() -> Vec<IpNet>,
    ) -> Self {
        let of_family = patterns.into_iter().filter(|pattern| Family::of_net(&pattern.prefix) == family);
        let (mut ranges, mut named): (Vec<_>, Vec<_>) =
            of_family.partition(|pattern| pattern.is_everything() && !pattern.is_exact());
        for list in [&mut ranges, &mut named] {
            list.sort_unstable();
            list.dedup();
        }
        let except = if ranges.is_empty() { Vec::new() } else { except() };
        Self { named, ranges, except, ..Self::default() }
    }
}

/// What `own`, the end of a link in `receiver`, learns from the other end: what it lists, and the hosts of services that are
/// open to it.
pub fn link_routes(network: &Network, receiver: &Domain, own: &LinkEnd, peer: &LinkEnd) -> PerFamily<RouteFilter> {
    let families = link_families(network, own, peer);
    let hosts = offered_hosts(network, &peer.domain, &receiver.name);
    PerFamily::new(|family| {
        if !families.contains(&family) {
            return RouteFilter::default();
        }
        let listed = &own.accept.routes;
        let hosts = hosts.get(family).iter().copied().map(PrefixPattern::exact);
        let patterns = listed.iter().copied().chain(hosts);
        RouteFilter::new(patterns, family, || exceptions(network, receiver, listed, family))
    })
}

/// What is announced from `own` to `receiver` at the other end, `peer`: what it learns, but nothing that is translated for
/// it, because it shall see that as something else.
pub fn link_announcements(
    network: &Network,
    receiver: &Domain,
    own: &LinkEnd,
    peer: &LinkEnd,
) -> PerFamily<RouteFilter> {
    let learned = link_routes(network, receiver, peer, own);
    let (hidden, shown) = (hidden(peer), shown(peer));
    PerFamily::new(|family| {
        let never = hidden.get(family).clone();
        // One of the addresses may stand for all of them.
        let among = |prefix: &&IpNet| never.iter().any(|hidden| hidden.contains(*prefix));
        let unless = shown.get(family).iter().filter(among).copied().collect();
        RouteFilter { never, unless, ..learned.get(family).clone() }
    })
}

/// The route policy of one external neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborPolicy {
    /// What is learned from it.
    pub accept: PerFamily<RouteFilter>,
    /// What is announced to it.
    pub announce: PerFamily<RouteFilter>,
}

/// The families on the session of a neighbor: that of its address, and IPv4 over IPv6 where its lists name IPv4.
pub fn neighbor_families(domain: &Domain, neighbor: &Neighbor) -> Vec<Family> {
    let own = Family::of(neighbor.address);
    let named = |family| {
        neighbor.routes.iter().chain(&neighbor.announce).any(|pattern| Family::of_net(&pattern.prefix) == family)
    };
    domain.families.iter().filter(|family| *family == own || (own == Family::Ipv6 && named(*family))).collect()
}

/// Computes the route policy of `neighbor` in `domain`.
pub fn neighbor_policy(network: &Network, domain: &Domain, neighbor: &Neighbor) -> NeighborPolicy {
    let families = neighbor_families(domain, neighbor);
    let accept = PerFamily::new(|family| {
        if !families.contains(&family) {
            return RouteFilter::default();
        }
        let listed = &neighbor.routes;
        let patterns = listed
            .iter()
            .map(|pattern| if neighbor.ibgp { *pattern } else { long_enough(short_enough(*pattern)) })
            .map(|pattern| if neighbor.accept_default { pattern } else { without_default(pattern) });
        let default = neighbor.accept_default.then(|| PrefixPattern::exact(default_route(family)));
        let mut filter = RouteFilter::new(patterns.chain(default), family, || {
            let bogons = if neighbor.ibgp { &[][..] } else { BOGONS.get(family) };
            exceptions(network, domain, listed, family).into_iter().chain(bogons.iter().copied()).collect()
        });
        let own = if neighbor.ibgp { Vec::new() } else { never_foreign(network, domain) };
        let martians = martian_sources(family).iter().copied();
        filter.never = aggregate(own.into_iter().filter(|it| Family::of_net(it) == family).chain(martians));
        filter
    });
    let announce = PerFamily::new(|family| {
        if !families.contains(&family) {
            return RouteFilter::default();
        }
        let patterns = neighbor.announce.iter().copied().map(without_default);
        RouteFilter::new(patterns, family, || martian_sources(family).to_vec())
    });
    NeighborPolicy { accept, announce }
}

/// What no external neighbor may announce: the domain's own prefixes, and what others see instead of them.
fn never_foreign(network: &Network, domain: &Domain) -> Vec<IpNet> {
    let mut own = own_prefixes(network, domain);
    own.extend(shown_anywhere(network, domain));
    for (_, _, peer) in network.links_of(&domain.name) {
        own.extend(
            offers(network, &domain.name, &peer.domain).into_iter().map(|offer| IpNet::from(offer.seen.address)),
        );
    }
    own
}

/// The Internet carries nothing longer than /24 and /48. A range reaches that far and no further, unless it names longer
/// prefixes itself, by its own length or by `ge`.
fn short_enough(pattern: PrefixPattern) -> PrefixPattern {
    let longest = if pattern.is_ipv4() { 24 } else { 48 };
    if pattern.ge > longest { pattern } else { PrefixPattern { le: pattern.le.min(longest), ..pattern } }
}

/// Nor anything shorter than /8 and /16: two halves of everything would be a default route by another name. A range over
/// everything begins there, unless it names the length that it begins at or ends before.
fn long_enough(pattern: PrefixPattern) -> PrefixPattern {
    let shortest = if pattern.is_ipv4() { 8 } else { 16 };
    let unbounded = pattern.is_everything() && pattern.ge == 0 && pattern.le >= shortest;
    if unbounded { PrefixPattern { ge: shortest, ..pattern } } else { pattern }
}

/// Who lists "everything" means all routes and not the one that stands for all of them: with a neighbor a range does not
/// include the default route, which must be named.
fn without_default(pattern: PrefixPattern) -> PrefixPattern {
    if pattern.is_everything() && !pattern.is_exact() {
        PrefixPattern { ge: pattern.ge.max(1), ..pattern }
    } else {
        pattern
    }
}

fn default_route(family: Family) -> IpNet {
    match family {
        Family::Ipv4 => IpNet::V4(Ipv4Net::default()),
        Family::Ipv6 => IpNet::V6(Ipv6Net::default()),
    }
}

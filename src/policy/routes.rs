//! Which routes are learned and announced on a session.

use ipnet::IpNet;

use super::addresses::{PerFamily, aggregate};
use super::link::{exceptions, link_families, own_prefixes};
use super::martians::{BOGONS, martian_sources};
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
}

impl RouteFilter {
    /// Whether a route to `prefix` passes.
    pub fn accepts(&self, prefix: &IpNet) -> bool {
        let under = |list: &[IpNet]| list.iter().any(|cover| cover.contains(prefix));
        let matches = |list: &[PrefixPattern]| list.iter().any(|pattern| pattern.matches(prefix));
        !under(&self.never) && (matches(&self.named) || (matches(&self.ranges) && !under(&self.except)))
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
        Self { named, ranges, except, never: Vec::new() }
    }
}

/// What `own`, the end of a link in `receiver`, learns from the other end. The same value, computed for the other end,
/// limits what is announced to it.
pub fn link_routes(network: &Network, receiver: &Domain, own: &LinkEnd, peer: &LinkEnd) -> PerFamily<RouteFilter> {
    let families = link_families(network, own, peer);
    PerFamily::new(|family| {
        if !families.contains(&family) {
            return RouteFilter::default();
        }
        let listed = &own.accept.routes;
        RouteFilter::new(listed.iter().copied(), family, || exceptions(network, receiver, listed, family))
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
        let patterns = listed.iter().map(|pattern| if neighbor.ibgp { *pattern } else { short_enough(*pattern) });
        let mut filter = RouteFilter::new(patterns, family, || {
            let bogons = if neighbor.ibgp { &[][..] } else { BOGONS.get(family) };
            exceptions(network, domain, listed, family).into_iter().chain(bogons.iter().copied()).collect()
        });
        let own = if neighbor.ibgp { Vec::new() } else { own_prefixes(network, domain) };
        let martians = martian_sources(family).iter().copied();
        filter.never = aggregate(own.into_iter().filter(|it| Family::of_net(it) == family).chain(martians));
        filter
    });
    let announce = PerFamily::new(|family| {
        if !families.contains(&family) {
            return RouteFilter::default();
        }
        RouteFilter::new(neighbor.announce.iter().copied(), family, || martian_sources(family).to_vec())
    });
    NeighborPolicy { accept, announce }
}

/// The Internet carries nothing longer than /24 and /48. A range reaches that far and no further, unless it names longer
/// prefixes itself, by its own length or by `ge`.
fn short_enough(pattern: PrefixPattern) -> PrefixPattern {
    let longest = if pattern.is_ipv4() { 24 } else { 48 };
    if pattern.ge > longest { pattern } else { PrefixPattern { le: pattern.le.min(longest), ..pattern } }
}

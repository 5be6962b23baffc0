//! Sets of addresses, compiled from prefix patterns.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Family, PrefixPattern};

/// One value for each address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerFamily<T> {
    /// Of IPv4.
    pub ipv4: T,
    /// Of IPv6.
    pub ipv6: T,
}

impl<T> PerFamily<T> {
    /// Computes both.
    pub fn new(mut of: impl FnMut(Family) -> T) -> Self {
        Self { ipv4: of(Family::Ipv4), ipv6: of(Family::Ipv6) }
    }

    /// The value of `family`.
    pub fn get(&self, family: Family) -> &T {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }
}

/// The addresses behind a link: the only sources believed from there and the only destinations sent there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// Whether a pattern of length 0 is accepted, so that the set is everything but `except`.
    pub everything: bool,
    /// The prefixes named by longer patterns, aggregated.
    pub allowed: Vec<IpNet>,
    /// With `everything`: what is not in the set all the same; never overlaps `allowed`.
    pub except: Vec<IpNet>,
}

impl AddressSet {
    /// Whether `address` is in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        let among = |prefixes: &[IpNet]| prefixes.iter().any(|prefix| prefix.contains(&address));
        if self.everything { !among(&self.except) } else { among(&self.allowed) }
    }
}

/// The destinations that new flows over a link may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    /// Whether the sender accepts a pattern of length 0: then every address that is not the receiver's own.
    pub everything: bool,
    /// The prefixes named by longer patterns, aggregated. Only these may name an address of the receiver.
    pub named: Vec<IpNet>,
    /// With `everything`: what is not meant by it all the same, because it stands for addresses of the receiver.
    pub except: Vec<IpNet>,
}

impl Destinations {
    /// Whether a new flow may go to `address`; `own` says that the receiver itself has it.
    pub fn contains(&self, address: IpAddr, own: bool) -> bool {
        let among = |prefixes: &[IpNet]| prefixes.iter().any(|prefix| prefix.contains(&address));
        among(&self.named) || (self.everything && !own && !among(&self.except))
    }
}

/// The covering prefixes of the patterns of length > 0 of one family, aggregated.
pub(super) fn named_prefixes<'a>(patterns: impl IntoIterator<Item = &'a PrefixPattern>, family: Family) -> Vec<IpNet> {
    aggregate(
        patterns
            .into_iter()
            .filter(|pattern| Family::of_net(&pattern.prefix) == family && !pattern.is_everything())
            .map(|pattern| pattern.prefix),
    )
}

/// The same addresses in the fewest prefixes, sorted.
pub(super) fn aggregate(prefixes: impl IntoIterator<Item = IpNet>) -> Vec<IpNet> {
    IpNet::aggregate(&prefixes.into_iter().map(|prefix| prefix.trunc()).collect())
}

/// Whether one of `aggregated` covers `prefix`. Aggregated prefixes are sorted and disjoint, so only the last one that
/// starts no later can; lists from routing registries have tens of thousands.
pub(super) fn covers(aggregated: &[IpNet], prefix: &IpNet) -> bool {
    let after = aggregated.partition_point(|other| other.network() <= prefix.network());
    after > 0 && aggregated[after - 1].contains(prefix)
}

/// The addresses of `prefixes` that are not in `minus`, aggregated.
pub(super) fn subtract(prefixes: &[IpNet], minus: &[IpNet]) -> Vec<IpNet> {
    let mut left = Vec::new();
    for prefix in prefixes {
        subtract_one(*prefix, minus, &mut left);
    }
    aggregate(left)
}

fn subtract_one(prefix: IpNet, minus: &[IpNet], left: &mut Vec<IpNet>) {
    let inside: Vec<IpNet> =
        minus.iter().copied().filter(|other| other.contains(&prefix) || prefix.contains(other)).collect();
    if inside.is_empty() {
        left.push(prefix);
    } else if !inside.iter().any(|other| other.contains(&prefix)) {
        // Something longer lies inside, so there are halves; each has one bit more, so this ends.
        if let Ok(halves) = prefix.subnets(prefix.prefix_len() + 1) {
            halves.for_each(|half| subtract_one(half, &inside, left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_prefix_is_covered_by_itself_and_by_shorter_ones_only() {
        let sorted = nets(&["10.0.0.0/8", "192.0.2.0/24"]);
        for (text, covered) in
            [("10.0.0.0/8", true), ("10.9.0.0/16", true), ("0.0.0.0/0", false), ("192.0.3.0/24", false)]
        {
            assert_eq!(covers(&sorted, &text.parse().unwrap()), covered, "{text}");
        }
    }

    #[test]
    fn a_hole_in_a_prefix_leaves_the_rest_of_it() {
        assert_eq!(subtract(&nets(&["10.0.0.0/30"]), &nets(&["10.0.0.1/32"])), nets(&["10.0.0.0/32", "10.0.0.2/31"]));
        assert_eq!(subtract(&nets(&["10.0.0.0/8"]), &nets(&["0.0.0.0/0"])), nets(&[]));
        assert_eq!(subtract(&nets(&["2001:db8::/32"]), &nets(&["10.0.0.0/8"])), nets(&["2001:db8::/32"]));
    }
}

//! One order for everything whose order in the file means nothing, so that moving tables about changes no generated file.

use crate::model::{Interface, LinkEnd, Network};

/// Sorts links, services, caches, and what domains have. Domains stay as they are: each has files of its own, and people see
/// them in the order in which they wrote them.
pub(super) fn sort(network: &mut Network) {
    network.links.sort_by(|one, other| {
        // The name last: two domains have several links only by names.
        let ends = |ends: &[LinkEnd; 2]| ends.clone().map(|end| (end.domain, end.interface));
        ends(&one.ends).cmp(&ends(&other.ends))
    });
    network.services.sort_by(|one, other| one.name.cmp(&other.name));
    network.rpki.sort_by(|one, other| (&one.domain, &one.name).cmp(&(&other.domain, &other.name)));
    for domain in &mut network.domains {
        domain.networks.sort_unstable();
        domain.interfaces.sort_by(|one, other| one.name.cmp(&other.name));
        domain.neighbors.sort_by(|one, other| one.name.cmp(&other.name));
        for Interface { masquerade, .. } in &mut domain.interfaces {
            masquerade.sort_unstable();
        }
    }
    for accept in network.links.iter_mut().flat_map(|link| &mut link.ends).map(|end| &mut end.accept) {
        accept.nat.sort_by(|one, other| (one.to, &one.from).cmp(&(other.to, &other.from)));
        accept.alias.sort_by_key(|alias| (alias.real, alias.seen));
        for nat in &mut accept.nat {
            nat.from.sort_unstable();
        }
    }
    for service in &mut network.services {
        service.expose.sort_by(|one, other| one.to.cmp(&other.to));
    }
}

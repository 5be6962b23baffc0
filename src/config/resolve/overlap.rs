//! Addresses that two domains both own: neither could tell the other's packets from its own.

use ipnet::IpNet;

use super::translation::hidden;
use super::{Accepted, Domains, Known, KnownLink, meets, transit};
use crate::config::problem::Report;

/// Reports all addresses owned by two domains that can exchange packets, and see each other's as they are.
pub fn check(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    for link in links {
        let [first, second] = &link.link.ends;
        let (Some(first), Some(second)) = (domains.get(first.domain.as_str()), domains.get(second.domain.as_str()))
        else {
            continue;
        };
        // What one end accepts hides addresses of the other.
        let accepts: Vec<&Accepted<'_>> = link.accept.iter().collect();
        overlap([first, second], &accepts, "which are linked", report);
    }
    for way in transit::ways(links) {
        let (Some(one), Some(other)) = (domains.get(way.receiver()), domains.get(way.text)) else { continue };
        if one.name.value == other.name.value {
            continue;
        }
        // In the order of the file, so that two ways between them say the same.
        let (first, second) = if one.name.span.start < other.name.span.start { (one, other) } else { (other, one) };
        // Both meet in the domain in the middle, which may also translate what it forwards.
        let accepts: Vec<&Accepted<'_>> =
            [way.first.0, way.second.0].into_iter().flat_map(|link| &link.accept).collect();
        let how = format!("which reach each other through {:?}", way.through());
        overlap([first, second], &accepts, &how, report);
    }
}

/// Reports what both own and see of each other. `accepts` is what is accepted of them on the way; "everything"
/// in it never means a receiver's own addresses, nor what it accepts by longer patterns.
fn overlap([first, second]: [&Known<'_>; 2], accepts: &[&Accepted<'_>], how: &str, report: &mut Report<'_>) {
    let hidden: Vec<IpNet> = accepts.iter().flat_map(|accept| hidden(&accept.translations)).collect();
    // Of a prefix that is hidden in part, the rest does no harm unless somebody accepts it as it is.
    let is_accepted = |net: &IpNet| {
        let mut patterns = accepts.iter().flat_map(|accept| accept.routes.iter());
        patterns.any(|(pattern, _)| {
            !pattern.is_everything()
                && meets(&pattern.prefix, net)
                && !hidden.iter().any(|hidden| hidden.contains(&pattern.prefix))
        })
    };
    for (net, span) in first.owned() {
        for (other, other_span) in second.owned().filter(|(other, _)| meets(&net, other)) {
            let both = if net.contains(&other) { other } else { net };
            let in_part = hidden.iter().any(|hidden| meets(hidden, &both));
            if hidden.iter().any(|hidden| hidden.contains(&both)) || in_part && !is_accepted(&both) {
                continue;
            }
            // Points at the later of the two lines, as a duplicate would be.
            let (later, earlier) = if span.start > other_span.start { (span, other_span) } else { (other_span, span) };
            let same =
                if net == other { format!("{net} belongs") } else { format!("{net} and {other} overlap, and belong") };
            report
                .error(later, format!("{same} to {:?} and {:?}, {how}", first.name.value, second.name.value))
                .see(earlier, "overlaps with this")
                .hint("renumber one of them, or show it as other addresses with `alias` or `nat` on the link");
        }
    }
}

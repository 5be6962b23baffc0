//! What is sound by itself and cannot be true together.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::domain::family_name;
use super::{Domains, Known, KnownLink, neighbor, values};
use crate::config::at::Span;
use crate::config::problem::Report;
use crate::model::{DomainName, Family, InterfaceName, Routing};

/// The interfaces of every domain: claimed ones and ends of links.
#[derive(Debug, Default)]
pub struct InterfaceNames {
    by_domain: HashMap<DomainName, HashSet<InterfaceName>>,
    none: HashSet<InterfaceName>,
}

impl InterfaceNames {
    /// Those of one domain.
    pub fn of(&self, domain: &DomainName) -> &HashSet<InterfaceName> {
        self.by_domain.get(domain).unwrap_or(&self.none)
    }
}

/// Collects the interfaces of all domains; names that collide are reported.
pub fn interfaces(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) -> InterfaceNames {
    let mut names = InterfaceNames::default();
    let mut claimed: HashMap<&str, (&Span, &str)> = HashMap::new();
    for known in &domains.known {
        let own = names.by_domain.entry(known.domain.name.clone()).or_default();
        own.extend(known.domain.interfaces.iter().map(|interface| interface.name.clone()));
        let mut here: HashSet<&str> = HashSet::new();
        for interface in known.raw.interface.iter().filter(|_| !known.domain.name.is_host()) {
            // Twice in one domain is reported where the domain is read.
            if here.insert(&interface.name)
                && let Some((first, owner)) = claimed.insert(&interface.name, (&interface.name.span, &known.name.value))
            {
                report
                    .error(
                        &interface.name.span,
                        format!("interface {:?} is claimed by two domains", interface.name.value),
                    )
                    .see(first, format!("claimed by {owner:?} here"))
                    .hint("an interface can be in one domain only");
            }
        }
    }
    let mut ends: HashMap<(&DomainName, &InterfaceName), (&Span, Option<&String>)> = HashMap::new();
    for link in links {
        for end in &link.link.ends {
            names.by_domain.entry(end.domain.clone()).or_default().insert(end.interface.clone());
        }
        let span = link.raw.name.as_ref().map_or(&link.raw.between.span, |name| &name.span);
        let name = link.link.name.as_ref();
        for end in &link.link.ends {
            let Some((first, other)) = ends.insert((&end.domain, &end.interface), (span, name)) else { continue };
            // Two links of one name are reported where links are read.
            if name.is_none() || name != other {
                report
                    .error(span, format!("two links have an interface {} in {:?}", end.interface, end.domain.as_str()))
                    .see(first, "the other link")
                    .hint("give one of the links its own `name`");
                // Two unnamed links between two domains collide at both ends, and one report says it.
                break;
            }
        }
    }
    names
}

/// Reports all other contradictions.
pub fn check(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    as_numbers(domains, links, report);
    for known in &domains.known {
        own_addresses(known, report);
    }
    marks(links, report);
    static_routes(domains, links, report);
    for link in links {
        let [first, second] = &link.link.ends;
        let (Some(first), Some(second)) = (domains.get(first.domain.as_str()), domains.get(second.domain.as_str()))
        else {
            continue;
        };
        sources(link, [first, second], report);
    }
}

fn as_numbers(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let mut numbers: HashMap<u32, (&Span, &str)> = HashMap::new();
    for known in &domains.known {
        let Some(asn) = &known.raw.asn else { continue };
        if let Some((first, owner)) = numbers.insert(asn.value, (&asn.span, &known.name.value)) {
            report
                .error(
                    &asn.span,
                    format!("domains {owner:?} and {:?} have the same AS number {}", known.name.value, asn.value),
                )
                .see(first, "first here")
                .hint("give each domain its own number");
        }
    }
    let mut reported: HashSet<&str> = HashSet::new();
    for known in domains.known.iter().filter(|known| neighbor::has_neighbors(known) && known.raw.asn.is_none()) {
        if let Some(first) = known.raw.neighbor.first() {
            no_asn(known, &first.name.span, "for this neighbor", report);
            reported.insert(&known.name.value);
        }
    }
    for link in links.iter().filter(|link| link.link.routing == Routing::Bgp) {
        for end in &link.link.ends {
            if let Some(known) = domains.get(end.domain.as_str())
                && known.raw.asn.is_none()
                && reported.insert(&known.name.value)
            {
                no_asn(known, &link.raw.between.span, "for this link", report);
            }
        }
    }
}

fn no_asn(known: &Known<'_>, user: &Span, what: &str, report: &mut Report<'_>) {
    if report.has_lost(known.table, "asn") {
        return;
    }
    report
        .error(&known.name.span, format!("domain {:?} speaks BGP and has no `asn`", known.name.value))
        .see(user, what)
        .hint("add `asn = …`; private use is 64512 to 65534 and 4200000000 to 4294967294 (RFC 6996)")
        .absent();
}

fn own_addresses(known: &Known<'_>, report: &mut Report<'_>) {
    let mut seen: HashMap<IpAddr, &Span> = HashMap::new();
    for (net, span) in known.loopback.iter().chain(&known.addresses) {
        if values::is_link_local(net.addr()) {
            continue;
        }
        if let Some(first) = seen.insert(net.addr(), span) {
            report
                .error(span, format!("{} is an address of {:?} twice", net.addr(), known.name.value))
                .see(first, "first here")
                .hint("remove one of them");
        }
    }
}

fn marks(links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let mut seen: HashMap<(&DomainName, u32), &KnownLink<'_>> = HashMap::new();
    for link in links {
        for end in &link.link.ends {
            let Some(other) = seen.insert((&end.domain, link.link.mark), link) else { continue };
            // The same ends, in either order, and the same name: reported as a collision of interfaces.
            if other.link.ends.iter().any(|other| (&other.domain, &other.interface) == (&end.domain, &end.interface)) {
                continue;
            }
            report
                .error(
                    &link.raw.between.span,
                    format!("two links of {:?} happen to have the same number {}", end.domain.as_str(), link.link.mark),
                )
                .see(&other.raw.between.span, "the other link")
                .hint("the number is made from the ends and the name: give one of the links another `name`");
            // Links between the same domains meet at both ends, and one report says it.
            break;
        }
    }
}

/// The kernel has one route for a destination and metric, so of two the last would silently win.
fn static_routes(domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let mut owners: HashMap<(&DomainName, IpNet), &Span> = HashMap::new();
    for known in &domains.known {
        for route in known.domain.routes.iter().filter(|route| route.metric.is_none()) {
            let written = known.raw.route.iter().find(|raw| report.line(raw.to.span.start) == route.origin.line);
            if let Some(raw) = written {
                owners.insert((&known.domain.name, route.to), &raw.to.span);
            }
        }
    }
    for link in links.iter().filter(|link| link.link.routing == Routing::Static) {
        for (end, accepted) in link.link.ends.iter().zip(&link.accept) {
            for (pattern, span) in accepted.routes.iter() {
                let to = pattern.prefix;
                if let Some(first) = owners.insert((&end.domain, to), span) {
                    report
                        .error(span, format!("{:?} would have two routes to {to}", end.domain.as_str()))
                        .see(first, "the other one")
                        .hint("remove one, or give a [[route]] a `metric`");
                }
            }
        }
    }
}

/// What a domain sends itself over an unnumbered link has its loopback as source, so it needs one.
fn sources(link: &KnownLink<'_>, ends: [&Known<'_>; 2], report: &mut Report<'_>) {
    for (index, known) in ends.into_iter().enumerate() {
        let end = &link.link.ends[index];
        let peer = &link.link.ends[1 - index];
        if known.domain.name.is_host() {
            continue;
        }
        for family in Family::ALL {
            let carried = [end, peer]
                .into_iter()
                .any(|end| end.accept.routes.iter().any(|pattern| Family::of_net(&pattern.prefix) == family));
            let unread = known.raw.loopback.len() > known.loopback.len() || report.has_lost(known.table, "loopback");
            if !carried
                || unread
                || known.domain.source(family).is_some()
                || end.address(family == Family::Ipv4).is_some()
            {
                continue;
            }
            let name = family_name(family);
            let other = if family == Family::Ipv4 { Family::Ipv6 } else { Family::Ipv4 };
            let mut hint = format!("add an {name} address to `loopback`, or number the link with `addresses`");
            if known.domain.families.contains(other) {
                let _ = write!(hint, ", or set families = [\"{}\"]", other.as_str());
            }
            report
                .error(
                    &known.name.span,
                    format!("domain {:?} has no {name} loopback, and its links carry {name}", known.name.value),
                )
                .see(&link.raw.between.span, "such a link")
                .hint(hint)
                .absent();
        }
    }
}

//! [`raw`] → [`Network`]: reads every value, follows every reference, and says what contradicts what.
//!
//! Nothing stops at a mistake: what is wrong is reported and left out, and the rest is read on.

mod contradictions;
mod domain;
mod extra;
mod interface;
mod link;
mod lists;
mod neighbor;
mod order;
mod overlap;
mod packets;
mod patterns;
mod route;
mod rpki;
mod service;
mod settings;
mod transit;
mod translation;
mod values;
mod warnings;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::ReadText;
use super::at::{At, Span};
use super::problem::Report;
use super::raw;
use super::shape::nearest;
use crate::model::{Domain, DomainName, Families, Link, Network, Origin};
use ipnet::IpNet;
use lists::Lists;
pub use packets::{protocol_name, protocol_number};
use patterns::Patterns;
use translation::Translation;

/// A domain that has been read, with the places that later checks point at.
struct Known<'f> {
    domain: Domain,
    name: &'f At<String>,
    raw: &'f raw::Domain,
    /// Its table.
    table: &'f Span,
    networks: Vec<(IpNet, Span)>,
    loopback: Vec<(IpNet, Span)>,
    /// Addresses of its interfaces and of the ends of numbered links.
    addresses: Vec<(IpNet, Span)>,
}

impl Known<'_> {
    /// The prefixes that originate in it, each with its place.
    fn owned(&self) -> impl Iterator<Item = (IpNet, &Span)> {
        self.networks.iter().chain(&self.loopback).map(|(net, span)| (*net, span))
    }

    /// The prefixes of its interfaces and of numbered links.
    fn near(&self) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().map(|(net, _)| net.trunc())
    }
}

/// Whether two prefixes have an address in common.
fn meets(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// Domains by name. A name that is declared and not known belongs to a domain that could not be read.
struct Domains<'f> {
    known: Vec<Known<'f>>,
    index: HashMap<&'f str, usize>,
    declared: HashSet<&'f str>,
}

impl<'f> Domains<'f> {
    fn get(&self, name: &str) -> Option<&Known<'f>> {
        self.index.get(name).map(|index| &self.known[*index])
    }

    /// Reports a name that no table declares.
    fn unknown(&self, name: &At<String>, report: &mut Report<'_>) {
        if self.declared.contains(name.as_str()) {
            return;
        }
        let mut names: Vec<&str> = self.declared.iter().copied().collect();
        names.sort_unstable();
        let problem = report.error(&name.span, format!("there is no domain {:?}", name.value)).absent();
        if name.value == DomainName::HOST {
            problem.hint("add an empty table [domain.host] to link the machine's own namespace");
        } else if let Some(near) = nearest(name, &names) {
            problem.hint(format!("did you mean {near:?}?"));
        } else {
            problem.hint(format!("declare it as [domain.{}]", name.value));
        }
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Known<'f>> {
        self.index.get(name).map(|index| &mut self.known[*index])
    }
}

/// A link that has been read, with the places that later checks point at.
struct KnownLink<'f> {
    link: Link,
    raw: &'f At<raw::Link>,
    /// For each end, where what it accepts is written.
    accept: [Accepted<'f>; 2],
}

/// What was written for one end of a link.
#[derive(Clone, Default)]
struct Accepted<'f> {
    table: Option<&'f raw::Accept>,
    /// The routes accepted, each with its place.
    routes: Patterns,
    /// How addresses of the other end are seen.
    translations: Vec<Translation>,
}

/// What the readers of single objects need.
struct Context<'f> {
    lists: Lists<'f>,
    defaults: Defaults,
}

/// Defaults for all domains.
#[derive(Clone, Copy)]
struct Defaults {
    daemon: raw::Daemon,
    families: Families,
}

/// Reads a whole file.
pub(super) fn network(source: &Path, file: &raw::File, open: &mut ReadText<'_>, report: &mut Report<'_>) -> Network {
    let (settings, defaults) = settings::settings(source, file, report);
    let context = Context { lists: Lists::read(&file.prefixes, open, report), defaults };
    let mut domains = Domains { known: Vec::new(), index: HashMap::new(), declared: HashSet::new() };
    for (name, raw) in &file.domain.0 {
        domains.declared.insert(name);
        if let Some(legal) = values::name(name, DomainName::new, report) {
            let known = domain::domain(legal, name, raw, &context, report);
            domains.index.insert(name, domains.known.len());
            domains.known.push(known);
        }
    }
    let links = link::links(&file.link, &mut domains, &context, report);
    for known in &mut domains.known {
        domain::finish(known, &context, report);
    }
    let routed = contradictions::interfaces(&domains, &links, report);
    for known in &mut domains.known {
        route::routes(known, &routed, &links, report);
    }
    let services = service::services(&file.service, &domains, report);
    let rpki = rpki::caches(&file.rpki, &domains, report);
    contradictions::check(&domains, &links, report);
    translation::check::check(&domains, &links, report);
    transit::check(&domains, &links, report);
    overlap::check(&domains, &links, report);
    service::check::check(&services, &domains, &links, report);
    warnings::warn(&domains, &links, report);
    let mut network = Network {
        settings,
        domains: domains.known.into_iter().map(|known| known.domain).collect(),
        links: links.into_iter().map(|known| known.link).collect(),
        services: services.into_iter().map(|known| known.service).collect(),
        rpki,
    };
    order::sort(&mut network);
    network
}

/// The origin of an object: the line of its place.
fn origin(span: &Span, report: &Report<'_>) -> Origin {
    Origin { line: report.line(span.start) }
}

/// Reads a list of families; `unread` says that an entry of it could not be read.
fn families(list: &At<Vec<At<raw::Family>>>, unread: bool, report: &mut Report<'_>) -> Families {
    let has = |family| list.iter().any(|entry| entry.value == family);
    let families = Families { ipv4: has(raw::Family::Ipv4), ipv6: has(raw::Family::Ipv6) };
    if list.is_empty() && unread {
        return Families { ipv4: true, ipv6: true };
    }
    if list.is_empty() {
        report.error(&list.span, "`families` is empty").hint("name at least one: \"ipv4\" or \"ipv6\"").absent();
        return Families { ipv4: true, ipv6: true };
    }
    families
}

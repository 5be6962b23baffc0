//! Whether a service can be reached where it is published, and whether two are published at one place.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::domain::family_name;
use super::super::translation::{hidden, seen_as};
use super::super::{Domains, Known, KnownLink};
use super::KnownService;
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{DomainName, Endpoint, Exposure, Family, PortProtocol, Service};

/// Reports all services that cannot be used as they are described.
pub fn check(services: &[KnownService<'_>], domains: &Domains<'_>, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let mut published = Published::default();
    for known in services {
        let service = &known.service;
        let Some(owner) = domains.get(service.domain.as_str()) else { continue };
        inside(known, owner, report);
        for (exposure, raw) in service.expose.iter().zip(&known.exposed) {
            let Some(consumer) = domains.get(exposure.to.as_str()) else { continue };
            if !is_linked(known, exposure, raw, links, report) {
                continue;
            }
            family(known, exposure, raw, consumer, report);
            visible(known, exposure, raw, links, report);
            not_the_consumers(exposure, raw, consumer, report);
            published.add(known, exposure, raw, report);
        }
    }
}

/// Where an exposure says that it is published.
fn place<'r>(known: &KnownService<'r>, raw: &'r raw::Expose) -> &'r Span {
    raw.published.as_ref().map_or(&known.raw.at.span, |published| &published.span)
}

fn inside(known: &KnownService<'_>, owner: &Known<'_>, report: &mut Report<'_>) {
    let address = known.service.at.address;
    // The machine's own addresses are not in the file.
    if owner.domain.name.is_host() {
        return;
    }
    let mut own = owner.owned().map(|(net, _)| net).chain(owner.near());
    if !own.any(|net| net.contains(&address)) {
        report
            .error(
                &known.raw.at.span,
                format!(
                    "service {:?} is at {address}, which {:?} does not have",
                    known.raw.name.value, owner.name.value
                ),
            )
            .hint(format!("give an address in `networks`, `loopback` or an interface of {:?}", owner.name.value));
    }
}

fn is_linked(
    known: &KnownService<'_>,
    exposure: &Exposure,
    raw: &At<raw::Expose>,
    links: &[KnownLink<'_>],
    report: &mut Report<'_>,
) -> bool {
    let service = &known.service;
    if exposure.to == service.domain {
        report
            .error(&raw.to.span, format!("service {:?} is in {:?} itself", known.raw.name.value, raw.to.value))
            .hint("remove it: a domain's own hosts use the service where it is");
        return false;
    }
    let linked = between(service, &exposure.to, links).next().is_some();
    if !linked {
        report
            .error(
                &raw.to.span,
                format!(
                    "service {:?} cannot be exposed to {:?}, which has no link with {:?}",
                    known.raw.name.value,
                    raw.to.value,
                    service.domain.as_str()
                ),
            )
            .hint(format!("add a [[link]] between {:?} and {:?}", service.domain.as_str(), raw.to.value));
    }
    linked
}

/// The links between a service's owner and a consumer, with the consumer's end.
fn between<'l, 'f>(
    service: &'l Service,
    consumer: &'l DomainName,
    links: &'l [KnownLink<'f>],
) -> impl Iterator<Item = (&'l KnownLink<'f>, usize)> {
    links.iter().filter_map(move |link| {
        let index = link.link.ends.iter().position(|end| &end.domain == consumer)?;
        (link.link.ends[1 - index].domain == service.domain).then_some((link, index))
    })
}

fn family(
    known: &KnownService<'_>,
    exposure: &Exposure,
    raw: &At<raw::Expose>,
    consumer: &Known<'_>,
    report: &mut Report<'_>,
) {
    let (at, seen) = (known.service.at.address, exposure.seen(&known.service).address);
    let (from, to) = (Family::of(at), Family::of(seen));
    if from != to {
        report
            .error(place(known, raw), format!("{seen} is {}, and the service is at {at}", family_name(to)))
            .see(&known.raw.at.span, "the service")
            .hint("give an address of the same family: a packet keeps its family when it is translated");
    } else if !consumer.domain.families.contains(to) {
        report
            .error(
                &raw.to.span,
                format!("{:?} does not route {}, and cannot reach {seen}", consumer.name.value, family_name(to)),
            )
            .see(&known.raw.at.span, "the service")
            .hint(format!("remove it, or add {:?} to `families` of {:?}", to.as_str(), consumer.name.value));
    }
}

/// A service at an address that the consumer sees as another must say at which it is published.
fn visible(
    known: &KnownService<'_>,
    exposure: &Exposure,
    raw: &At<raw::Expose>,
    links: &[KnownLink<'_>],
    report: &mut Report<'_>,
) {
    if exposure.published.is_some() {
        return;
    }
    let at = known.service.at;
    for (link, index) in between(&known.service, &exposure.to, links) {
        let translations = &link.accept[index].translations;
        if !hidden(translations).iter().any(|net| net.contains(&at.address)) {
            continue;
        }
        let seen = Endpoint { address: seen_as(translations, at.address), port: at.port };
        let by = translations.iter().find(|it| it.hidden.iter().any(|(net, _)| net.contains(&at.address)));
        let problem = report.error(
            &raw.to.span,
            format!(
                "{:?} cannot see service {:?} at {}: the link between them hides it",
                raw.to.value, known.raw.name.value, at.address
            ),
        );
        if let Some(translation) = by {
            problem.see(&translation.span, "by this translation");
        }
        problem.hint(format!("publish it at what is shown: {{ to = {:?}, as = \"{seen}\" }}", raw.to.value));
        return;
    }
}

/// What is for an address of its own never leaves the consumer.
fn not_the_consumers(exposure: &Exposure, raw: &At<raw::Expose>, consumer: &Known<'_>, report: &mut Report<'_>) {
    let (Some(published), Some(text)) = (exposure.published, &raw.published) else { return };
    let own = consumer.loopback.iter().chain(&consumer.addresses).find(|(net, _)| net.addr() == published.address);
    if let Some((_, span)) = own {
        report
            .error(&text.span, format!("{} is an address of {:?} itself", published.address, consumer.name.value))
            .see(span, "claimed here")
            .hint("publish the service at an address that the consumer does not have");
        return;
    }
    let wire = consumer.addresses.iter().find(|(net, _)| net.contains(&published.address));
    if let Some((net, span)) = wire {
        report
            .warning(
                &text.span,
                format!(
                    "{} is in {} of an interface of {:?}: hosts there look for it among themselves",
                    published.address,
                    net.trunc(),
                    consumer.name.value
                ),
            )
            .see(span, "that interface")
            .hint("publish the service at an address that is on no interface of the consumer");
    }
}

/// What is at one port.
struct Holder<'f> {
    owner: DomainName,
    at: Endpoint,
    name: &'f str,
    span: &'f Span,
}

/// Who is where, as each consumer sees it.
#[derive(Default)]
struct Published<'f> {
    ports: HashMap<(DomainName, PortProtocol, Endpoint), Holder<'f>>,
    hosts: HashMap<(DomainName, IpAddr), (DomainName, &'f Span)>,
}

impl<'f> Published<'f> {
    fn add(
        &mut self,
        known: &KnownService<'f>,
        exposure: &Exposure,
        raw: &'f At<raw::Expose>,
        report: &mut Report<'_>,
    ) {
        let service = &known.service;
        let (seen, at) = (exposure.seen(service), place(known, raw));
        let port = (exposure.to.clone(), service.protocol, seen);
        let name = known.raw.name.as_str();
        match self.ports.get(&port) {
            Some(holder) if holder.name == name => {
                report
                    .error(&raw.to.span, format!("service {name:?} is exposed to {:?} twice at {seen}", raw.to.value))
                    .see(holder.span, "first here")
                    .hint("remove one, or give one of them another `as`");
                return;
            }
            Some(holder) if holder.owner != service.domain || holder.at != service.at => {
                report
                    .error(at, format!("{:?} would find both {:?} and {name:?} at {seen}", raw.to.value, holder.name))
                    .see(holder.span, "the other service")
                    .hint("publish one of them at another address or port with `as`");
                return;
            }
            _ => {}
        }
        self.ports.insert(port, Holder { owner: service.domain.clone(), at: service.at, name, span: at });
        let host = (exposure.to.clone(), seen.address);
        match self.hosts.get(&host) {
            Some((owner, first)) if *owner != service.domain => {
                report
                    .error(
                        at,
                        format!(
                            "{:?} would reach {} both in {:?} and in {:?}",
                            raw.to.value,
                            IpNet::from(seen.address),
                            owner.as_str(),
                            service.domain.as_str()
                        ),
                    )
                    .see(first, "published there")
                    .hint("publish one of the services at another address with `as`");
            }
            Some(_) => {}
            None => {
                self.hosts.insert(host, (service.domain.clone(), at));
            }
        }
    }
}

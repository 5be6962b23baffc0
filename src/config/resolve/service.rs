//! `[[service]]`.

pub mod check;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::{Domains, origin, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{Endpoint, Exposure, PortProtocol, Service, ServiceName};

/// A service that has been read, with what was written for it.
pub struct KnownService<'f> {
    pub service: Service,
    pub raw: &'f raw::Service,
    /// For each exposure of `service`, what was written.
    pub exposed: Vec<&'f At<raw::Expose>>,
}

/// Reads all services.
pub fn services<'f>(
    raw: &'f [At<raw::Service>],
    domains: &Domains<'f>,
    report: &mut Report<'_>,
) -> Vec<KnownService<'f>> {
    let mut names: HashMap<&str, &Span> = HashMap::new();
    let mut found = Vec::new();
    for raw in raw {
        if let Some(first) = names.insert(&raw.name, &raw.name.span) {
            report
                .error(&raw.name.span, format!("two services have the name {:?}", raw.name.value))
                .see(first, "first here")
                .hint("give each its own name");
        }
        found.extend(service(raw, domains, report));
    }
    found
}

fn service<'f>(raw: &'f At<raw::Service>, domains: &Domains<'f>, report: &mut Report<'_>) -> Option<KnownService<'f>> {
    let name = values::name(&raw.name, ServiceName::new, report);
    let at = answers_at(&raw.at, report);
    if raw.expose.is_empty() && !report.has_lost(&raw.span, "expose") {
        report
            .error(&raw.expose.span, format!("service {:?} is exposed to nobody", raw.name.value))
            .hint("name the domains that may use it: expose = [{ to = \"…\" }]");
    }
    let (mut expose, mut exposed) = (Vec::new(), Vec::new());
    for entry in raw.expose.iter() {
        let consumer = domains.get(&entry.to);
        if consumer.is_none() {
            domains.unknown(&entry.to, report);
        }
        let published = match &entry.published {
            Some(text) => match published(text, report) {
                Some(endpoint) => Some(endpoint),
                None => continue,
            },
            None => None,
        };
        let Some(consumer) = consumer else { continue };
        let origin = origin(&entry.to.span, report);
        expose.push(Exposure { to: consumer.domain.name.clone(), published, origin });
        exposed.push(entry);
    }
    let Some(owner) = domains.get(&raw.domain) else {
        domains.unknown(&raw.domain, report);
        return None;
    };
    let (at, protocol) = at?;
    let domain = owner.domain.name.clone();
    let origin = origin(&raw.name.span, report);
    Some(KnownService { service: Service { name: name?, domain, at, protocol, expose, origin }, raw, exposed })
}

/// Reads `ADDRESS:PORT/tcp` or `…/udp`.
fn answers_at(text: &At<String>, report: &mut Report<'_>) -> Option<(Endpoint, PortProtocol)> {
    let (endpoint_text, protocol) = match text.rsplit_once('/') {
        Some((rest, "tcp")) => (rest, PortProtocol::Tcp),
        Some((rest, "udp")) => (rest, PortProtocol::Udp),
        other => {
            let problem = match other {
                Some((_, word)) => report.error(&text.span, format!("a service is of tcp or udp, not {word:?}")),
                None => report.error(&text.span, format!("{:?} does not say whether it is tcp or udp", text.value)),
            };
            problem.hint("write it like \"192.0.2.10:443/tcp\" or \"[2001:db8::10]:53/udp\"");
            return None;
        }
    };
    endpoint(endpoint_text, text, report).map(|endpoint| (endpoint, protocol))
}

/// Reads `as`: `ADDRESS:PORT`.
fn published(text: &At<String>, report: &mut Report<'_>) -> Option<Endpoint> {
    if let Some((rest, _)) = text.rsplit_once('/') {
        report.error(&text.span, "`as` has no protocol: it is that of `at`").hint(format!("write {rest:?}"));
        return None;
    }
    endpoint(text, text, report)
}

fn endpoint(written: &str, text: &At<String>, report: &mut Report<'_>) -> Option<Endpoint> {
    let Ok(socket) = written.parse::<SocketAddr>() else {
        let problem = report.error(&text.span, format!("{written:?} is not an address and a port"));
        let bare = written.trim_start_matches('[').trim_end_matches(']');
        match (bare.parse::<IpAddr>(), written.rsplit_once(':')) {
            (Ok(address), _) => problem.hint(format!("add the port: {:?}", SocketAddr::new(address, 443).to_string())),
            (_, Some((address, port))) if address.parse::<IpAddr>().is_ok() => {
                problem.hint(format!("a port is a number from 1 to 65535, which {port:?} is not"))
            }
            _ => problem.hint("write it like \"192.0.2.10:443\" or \"[2001:db8::10]:443\""),
        };
        return None;
    };
    if socket.port() == 0 {
        report.error(&text.span, "a service cannot have port 0").hint("ports are numbers from 1 to 65535");
        return None;
    }
    let address = At { value: socket.ip().to_string(), span: text.span.clone() };
    let address = values::address("the address of a service", &address, report)?;
    Some(Endpoint { address, port: socket.port() })
}

//! `[[rpki]]`.

use std::collections::HashMap;

use super::{Domains, origin, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{CacheName, DaemonKind, RpkiCache};

/// The port of the RPKI-to-Router protocol (RFC 8210, section 12).
const PORT: u16 = 323;

/// Reads all caches.
pub fn caches(raw: &[At<raw::Rpki>], domains: &Domains<'_>, report: &mut Report<'_>) -> Vec<RpkiCache> {
    let mut names: HashMap<(&str, &str), &Span> = HashMap::new();
    let mut found = Vec::new();
    for raw in raw {
        if let Some(first) = names.insert((&raw.domain, &raw.name), &raw.name.span) {
            report
                .error(
                    &raw.name.span,
                    format!("two caches of {:?} have the name {:?}", raw.domain.value, raw.name.value),
                )
                .see(first, "first here")
                .hint("give each its own name");
        }
        found.extend(cache(raw, domains, report));
    }
    uses(raw, domains, report);
    found
}

/// Reports caches that check nothing, and checks without a cache.
fn uses(raw: &[At<raw::Rpki>], domains: &Domains<'_>, report: &mut Report<'_>) {
    for raw in raw {
        let Some(known) = domains.get(&raw.domain) else { continue };
        let name = known.name.as_str();
        if known.domain.daemon == DaemonKind::None {
            report
                .error(
                    &raw.domain.span,
                    format!("{name:?} has no daemon that could ask the cache {:?}", raw.name.value),
                )
                .hint("set daemon = \"bird\" in the domain, or remove the cache");
        } else if known.raw.neighbor.is_empty() {
            report
                .warning(
                    &raw.domain.span,
                    format!("{name:?} has no neighbors, so the cache {:?} checks nothing", raw.name.value),
                )
                .hint("remove it, or name the domain with the external neighbors");
        } else if !known.domain.neighbors.is_empty() && !known.domain.neighbors.iter().any(|neighbor| neighbor.rpki) {
            report
                .warning(
                    &raw.domain.span,
                    format!("the cache {:?} checks nothing: no neighbor of {name:?} has `rpki`", raw.name.value),
                )
                .hint("remove `rpki = false` from those whose routes should be checked");
        }
    }
    for known in &domains.known {
        if raw.iter().any(|cache| cache.domain.value == known.name.value) {
            continue;
        }
        for wanted in
            known.raw.neighbor.iter().filter_map(|neighbor| neighbor.rpki.as_ref()).filter(|wanted| wanted.value)
        {
            report
                .warning(&wanted.span, format!("nothing is checked: {:?} has no RPKI cache", known.name.value))
                .hint(format!("add one: [[rpki]] with domain = {:?}", known.name.value));
        }
    }
}

fn cache(raw: &raw::Rpki, domains: &Domains<'_>, report: &mut Report<'_>) -> Option<RpkiCache> {
    let name = values::name(&raw.name, CacheName::new, report);
    let address = values::address("the address of a cache", &raw.address, report);
    let port = match &raw.port {
        Some(port) if port.value == 0 => {
            report.error(&port.span, "a cache cannot have port 0").hint("ports are numbers from 1 to 65535");
            None
        }
        Some(port) => Some(port.value),
        None => Some(PORT),
    };
    let Some(known) = domains.get(&raw.domain) else {
        domains.unknown(&raw.domain, report);
        return None;
    };
    if let Some(address) = address {
        values::has_family(&address.into(), known.domain.families, &raw.address.span, known.name, report);
    }
    let domain = known.domain.name.clone();
    Some(RpkiCache { name: name?, domain, address: address?, port: port?, origin: origin(&raw.name.span, report) })
}

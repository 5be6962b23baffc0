//! `[[domain.*.interface]]`.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Known, origin, packets, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{Interface, InterfaceName};

/// Reads the interfaces of a domain. What depends on its neighbors is filled in by [`defaults`].
pub fn interfaces(known: &mut Known<'_>, report: &mut Report<'_>) {
    let mut names: HashMap<&str, &Span> = HashMap::new();
    for raw in &known.raw.interface {
        if let Some(first) = names.insert(raw.name.as_str(), &raw.name.span) {
            report
                .error(&raw.name.span, format!("interface {:?} is declared twice", raw.name.value))
                .see(first, "first here")
                .hint("put all its addresses into one table");
            continue;
        }
        // The one kind that there is, and the one place that it comes from; a further one is read here.
        let kind = raw.kind.as_ref().map_or(raw::Kind::Physical, |kind| kind.value);
        let from = raw.from.as_ref().map_or(raw::From::Host, |from| from.value);
        let (raw::Kind::Physical, raw::From::Host) = (kind, from);
        let addresses = addresses(raw, known, report);
        known.addresses.extend(addresses.iter().cloned());
        let Some(name) = name(&raw.name, report) else { continue };
        known.domain.interfaces.push(Interface {
            name,
            addresses: addresses.into_iter().map(|(net, _)| net).collect(),
            mtu: raw.mtu.as_ref().and_then(|mtu| values::mtu(mtu, report)),
            outside: false,
            packets: packets::packets(&raw.packets, report),
            input: packets::packets(&raw.input, report),
            source_check: false,
            masquerade: Vec::new(),
            origin: origin(&raw.name.span, report),
        });
    }
}

fn name(text: &At<String>, report: &mut Report<'_>) -> Option<InterfaceName> {
    let name = values::name(text, InterfaceName::new, report)?;
    if name.as_str() == "lo" {
        report
            .error(&text.span, "`lo` cannot be claimed: every domain has its own")
            .hint("use `loopback` of the domain");
        return None;
    }
    if name.as_str().starts_with("rd-") {
        report
            .error(
                &text.span,
                format!("{name:?} cannot be claimed: names with rd- are those of links", name = text.value),
            )
            .hint("rename the interface of the machine");
        return None;
    }
    Some(name)
}

fn addresses(raw: &raw::Interface, known: &Known<'_>, report: &mut Report<'_>) -> Vec<(IpNet, Span)> {
    let families = known.domain.families;
    raw.address
        .iter()
        .filter_map(|text| {
            let net = values::interface_address(text, report)?;
            let usable = values::has_family(&net, families, &text.span, known.name, report);
            usable.then(|| (net, text.span.clone()))
        })
        .collect()
}

/// Fills in what depends on the neighbors: an interface that carries one leads outside.
pub fn defaults(known: &mut Known<'_>, report: &mut Report<'_>) {
    let neighbors = &known.domain.neighbors;
    for interface in &mut known.domain.interfaces {
        let Some(raw) = known.raw.interface.iter().find(|raw| raw.name.value == interface.name.as_str()) else {
            continue;
        };
        let carries = |address: IpAddr| interface.addresses.iter().any(|net| net.contains(&address));
        let has_neighbor = neighbors.iter().any(|neighbor| {
            neighbor.interface.as_ref().map_or_else(|| carries(neighbor.address), |name| *name == interface.name)
        });
        interface.outside = raw.outside.as_ref().map_or(has_neighbor, |outside| outside.value);
        interface.source_check = raw.source_check.as_ref().map_or(!interface.outside, |check| check.value);
        if let Some(first) = raw.packets.first().filter(|_| !interface.outside) {
            report
                .warning(
                    &first.span,
                    format!("`packets` of {} has no effect: it is an inside interface", interface.name),
                )
                .hint("set outside = true, or remove `packets`");
        }
    }
}

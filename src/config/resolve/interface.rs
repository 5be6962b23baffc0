//! `[[domain.*.interface]]`.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::domain::family_name;
use super::{Known, origin, packets, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{Family, Interface, InterfaceName};

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
        let masquerade = masquerade(raw, &addresses, known, report);
        known.addresses.extend(addresses.iter().cloned());
        let Some(name) = name(&raw.name, report) else { continue };
        known.domain.interfaces.push(Interface {
            name,
            addresses: addresses.into_iter().map(|(net, _)| net).collect(),
            mtu: raw.mtu.as_ref().and_then(|mtu| values::mtu(mtu, report)),
            outside: false,
            packets: packets::without_places(&raw.packets, report),
            input: packets::without_places(&raw.input, report),
            source_check: false,
            masquerade,
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

/// The sources that leave with the interface's own address; of nested prefixes the widest.
fn masquerade(
    raw: &raw::Interface,
    addresses: &[(IpNet, Span)],
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Vec<IpNet> {
    if let (Some(outside), Some(first)) =
        (raw.outside.as_ref().filter(|outside| !outside.value), raw.masquerade.first())
    {
        report
            .error(&outside.span, format!("{:?} masquerades, so it cannot be an inside interface", raw.name.value))
            .see(&first.span, "masquerades here")
            .hint("remove `outside`, or `masquerade`");
    }
    let mut found: Vec<IpNet> = Vec::new();
    for text in &raw.masquerade {
        let net = values::prefix("a prefix to masquerade", text, &text.span, report)
            .filter(|net| values::has_family(net, known.domain.families, &text.span, known.name, report));
        let Some(net) = net else { continue };
        let family = Family::of_net(&net);
        // An address that could not be read has been reported.
        let unread = raw.address.len() > addresses.len();
        if !unread && !addresses.iter().any(|(own, _)| Family::of_net(own) == family) {
            report
                .error(
                    &text.span,
                    format!("{:?} has no {} address to masquerade {net} with", raw.name.value, family_name(family)),
                )
                .hint("add one to `address` of the interface");
        }
        found.push(net);
    }
    let all = found.clone();
    found.retain(|net| !all.iter().any(|wider| wider != net && wider.contains(net)));
    found.dedup();
    found
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
        let leads_out = has_neighbor || !interface.masquerade.is_empty();
        interface.outside = raw.outside.as_ref().map_or(leads_out, |outside| outside.value);
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

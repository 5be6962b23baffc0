//! `[[domain.*.neighbor]]`.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Context, Known, origin, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{
    DaemonKind, Families, Family, InterfaceName, Neighbor, NeighborName, PasswordFile, PrefixPattern, Role,
};

/// Reads the external neighbors of a domain.
pub fn neighbors(known: &mut Known<'_>, context: &Context<'_>, report: &mut Report<'_>) {
    let mut names: HashMap<&str, &Span> = HashMap::new();
    let mut addresses: HashMap<(IpAddr, Option<InterfaceName>), &Span> = HashMap::new();
    let mut found = Vec::new();
    for raw in &known.raw.neighbor {
        if let Some(first) = names.insert(&raw.name, &raw.name.span) {
            report
                .error(&raw.name.span, format!("neighbor {:?} is declared twice", raw.name.value))
                .see(first, "first here")
                .hint("give each neighbor of a domain its own name");
        }
        if known.domain.daemon == DaemonKind::None {
            report
                .error(
                    &raw.name.span,
                    format!("neighbor {:?} needs a daemon, and {:?} runs none", raw.name.value, known.name.value),
                )
                .hint("set daemon = \"bird\" in the domain");
        }
        let Some(neighbor) = neighbor(raw, known, context, report) else { continue };
        if let Some(first) = addresses.insert((neighbor.address, neighbor.interface.clone()), &raw.address.span) {
            report
                .error(&raw.address.span, format!("{} has two neighbors in {:?}", neighbor.address, known.name.value))
                .see(first, "first here")
                .hint("put both into one table");
        }
        found.push(neighbor);
    }
    known.domain.neighbors = found;
}

fn neighbor(
    At { value: raw, span: table }: &At<raw::Neighbor>,
    known: &Known<'_>,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Option<Neighbor> {
    let name = values::name(&raw.name, NeighborName::new, report);
    if raw.name.value.starts_with("rd-") {
        report
            .error(&raw.name.span, format!("{:?} is what a session over a link could be called", raw.name.value))
            .hint("choose a name that does not begin with \"rd-\"");
    }
    let asn = values::asn(&raw.asn, report);
    let ibgp = raw.ibgp.as_ref().is_some_and(|ibgp| ibgp.value);
    same_asn(raw, ibgp, known, report);
    let address = values::address("a neighbor's address", &raw.address, report);
    let interface = raw.interface.as_ref().and_then(|text| interface(text, known, report));
    let families = known.domain.families;
    let multihop = raw.multihop.as_ref().and_then(|hops| {
        let hops = At { value: u32::from(hops.value), span: hops.span.clone() };
        values::within("`multihop`", &hops, 1..=255, report).and_then(|hops| u8::try_from(hops).ok())
    });
    if let Some(address) = address {
        reachable(raw, address, known, report);
    }
    let mut patterns = |texts: &[At<String>]| -> Vec<PrefixPattern> {
        let mut patterns = context.lists.patterns(texts, report);
        // `any` follows the session's own family; another family over it is spelled out.
        if let Some(address) = address {
            patterns = patterns.any_of(Family::of(address));
        }
        let who = format!("{:?} does not route", known.name.value);
        patterns.of_families(families, &who, report).to_model()
    };
    let (routes, announce) = (patterns(&raw.routes), patterns(&raw.announce));
    let accept_default = raw.accept_default.as_ref().is_some_and(|accept| accept.value);
    if accept_default && !report.has_lost(table, "routes") {
        has_a_range(raw, &routes, report);
    }
    role_of_a_border(raw, ibgp, report);
    bfd_on_the_wire(raw, known, report);
    let counts = |what, number: &Option<At<u32>>, default, most, report: &mut Report<'_>| {
        number.as_ref().and_then(|number| values::within(what, number, 1..=most, report)).unwrap_or(default)
    };
    Some(Neighbor {
        description: raw.description.as_ref().and_then(|text| values::line("description", text, report)),
        preference: raw.preference.as_ref().map(|preference| preference.value),
        max_prefixes: counts("`max_prefixes`", &raw.max_prefixes, 10_000, u32::MAX, report),
        max_path: counts("`max_path`", &raw.max_path, 100, 2000, report),
        password: raw
            .password
            .as_ref()
            .and_then(|password| values::path("a password file", &password.file, report))
            .map(PasswordFile),
        origin: origin(&raw.name.span, report),
        name: name?,
        address: address?,
        asn: asn?,
        interface,
        role: raw.role.as_ref().map(|role| match role.value {
            raw::Role::Provider => Role::Provider,
            raw::Role::Customer => Role::Customer,
            raw::Role::Peer => Role::Peer,
            raw::Role::RsServer => Role::RsServer,
            raw::Role::RsClient => Role::RsClient,
        }),
        rpki: raw.rpki.as_ref().is_none_or(|rpki| rpki.value),
        accept_default,
        bfd: raw.bfd.as_ref().is_some_and(|bfd| bfd.value),
        ibgp,
        multihop,
        routes,
        announce,
    })
}

/// iBGP must be meant: it shares routes without the checks of a border.
fn same_asn(raw: &raw::Neighbor, ibgp: bool, known: &Known<'_>, report: &mut Report<'_>) {
    let Some(own) = &known.raw.asn else { return };
    if own.value == raw.asn.value && !ibgp {
        report
            .error(&raw.asn.span, format!("neighbor {:?} has the domain's own AS number {}", raw.name.value, own.value))
            .see(&own.span, "the domain's own")
            .hint("set ibgp = true if that is meant");
    } else if own.value != raw.asn.value && ibgp {
        report
            .error(
                &raw.asn.span,
                format!(
                    "neighbor {:?} cannot be iBGP: its AS number is not the domain's {}",
                    raw.name.value, own.value
                ),
            )
            .see(&own.span, "the domain's own")
            .hint("remove `ibgp`, or correct one of the numbers");
    }
}

/// `accept_default` says what a range over everything means, so there must be one.
fn has_a_range(raw: &raw::Neighbor, routes: &[PrefixPattern], report: &mut Report<'_>) {
    let Some(accept) = &raw.accept_default else { return };
    if !routes.iter().any(|pattern| pattern.is_everything() && !pattern.is_exact()) {
        report
            .warning(
                &accept.span,
                format!(
                    "`accept_default` of {:?} has no effect: its `routes` have no range over everything",
                    raw.name.value
                ),
            )
            .hint("remove it: a default route that `routes` name, such as \"0.0.0.0/0\", is accepted without it");
    }
}

/// Roles are about what crosses the border of an AS (RFC 9234, section 4.1).
fn role_of_a_border(raw: &raw::Neighbor, ibgp: bool, report: &mut Report<'_>) {
    if let Some(role) = raw.role.as_ref().filter(|_| ibgp) {
        report
            .error(&role.span, format!("neighbor {:?} cannot have a role: it is iBGP", raw.name.value))
            .hint("remove `role`, or `ibgp`");
    }
}

/// Over several hops BFD is another protocol (RFC 5883): on another port, and without the hop limit that keeps others out.
fn bfd_on_the_wire(raw: &raw::Neighbor, known: &Known<'_>, report: &mut Report<'_>) {
    let Some(bfd) = raw.bfd.as_ref().filter(|bfd| bfd.value) else { return };
    let ibgp = raw.ibgp.as_ref().is_some_and(|ibgp| ibgp.value);
    // See `policy::raises_hops`: the filter of the host looks at links only.
    if known.domain.name.is_host() && known.domain.daemon == DaemonKind::Frr && !ibgp {
        report
            .error(&bfd.span, format!("neighbor {:?} of the host cannot have BFD with FRR", raw.name.value))
            .hint("set daemon = \"bird\" in the domain, or remove `bfd`");
    }
    let Some(multihop) = &raw.multihop else { return };
    report
        .error(&bfd.span, format!("neighbor {:?} cannot have BFD: it is not directly connected", raw.name.value))
        .see(&multihop.span, "several hops away")
        .hint("remove `bfd`, or `multihop`: BFD over several hops is not in this version");
}

fn interface(text: &At<String>, known: &Known<'_>, report: &mut Report<'_>) -> Option<InterfaceName> {
    let name = values::name(text, InterfaceName::new, report)?;
    if known.raw.interface.iter().any(|interface| interface.name.value == text.value) {
        return Some(name);
    }
    // The interfaces of the machine are not in the file.
    if known.domain.name.is_host() {
        return Some(name);
    }
    report
        .error(&text.span, format!("{:?} has no interface {:?}", known.name.value, text.value))
        .hint(format!("declare it in [[domain.{}.interface]]", known.name.value))
        .absent();
    None
}

/// Whether the neighbor can be spoken to as it is described.
fn reachable(raw: &raw::Neighbor, address: IpAddr, known: &Known<'_>, report: &mut Report<'_>) {
    let family = Family::of(address);
    if !known.domain.families.contains(family) {
        report
            .error(
                &raw.address.span,
                format!("{address} is {}, which {:?} does not route", family.as_str(), known.name.value),
            )
            .hint(format!("add {:?} to `families`", family.as_str()));
    }
    let own = known.addresses.iter().chain(&known.loopback).find(|(net, _)| net.addr() == address);
    if let Some((_, span)) = own {
        report
            .error(&raw.address.span, format!("{address} is an address of {:?} itself", known.name.value))
            .see(span, "claimed here")
            .hint("give the neighbor's address");
        return;
    }
    if values::is_link_local(address) {
        if raw.interface.is_none() {
            report
                .error(&raw.address.span, format!("{address} is link-local, so the neighbor needs an `interface`"))
                .hint("add `interface = \"…\"`")
                .absent();
        }
        return;
    }
    let nobody = known.addresses.iter().find(|(net, _)| match (net, address) {
        (IpNet::V4(net), IpAddr::V4(v4)) => net.prefix_len() < 31 && (v4 == net.network() || v4 == net.broadcast()),
        _ => false,
    });
    if let Some((net, span)) = nobody {
        let kind = if net.network() == address { "network" } else { "broadcast" };
        report
            .error(&raw.address.span, format!("{address} is the {kind} address of {}", net.trunc()))
            .see(span, "by this address")
            .hint("give the neighbor's address");
        return;
    }
    let near = known.addresses.iter().any(|(net, _)| net.contains(&address));
    if !near && raw.multihop.is_none() && !known.domain.name.is_host() {
        report
            .warning(&raw.address.span, format!("no interface of {:?} has a prefix with {address}", known.name.value))
            .hint("correct one of the addresses, or set `multihop` if it is not directly connected");
    }
}

/// Whether the domain has a BGP neighbor, readable or not.
pub fn has_neighbors(known: &Known<'_>) -> bool {
    !known.raw.neighbor.is_empty()
}

/// Families that both domains route.
pub fn shared(first: Families, second: Families) -> Families {
    Families { ipv4: first.ipv4 && second.ipv4, ipv6: first.ipv6 && second.ipv6 }
}

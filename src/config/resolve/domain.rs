//! `[domain.*]`.

use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::{Context, Known, extra, interface, neighbor, origin, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{DaemonKind, Domain, DomainName, Families, Family};

/// Reads a domain with its interfaces and neighbors; routes wait until all interfaces are known.
pub fn domain<'f>(
    name: DomainName,
    key: &'f At<String>,
    raw: &'f At<raw::Domain>,
    context: &Context<'f>,
    report: &mut Report<'_>,
) -> Known<'f> {
    let is_host = name.is_host();
    let families = match &raw.families {
        Some(list) => super::families(list, report.has_lost(&raw.span, "families"), report),
        None => context.defaults.families,
    };
    let daemon = match (&raw.daemon, is_host) {
        (Some(daemon), _) => daemon.value,
        (None, true) => raw::Daemon::None,
        (None, false) => context.defaults.daemon,
    };
    if is_host {
        not_ours(raw, report);
    } else if let Some(forwarding) = &raw.forwarding {
        report
            .error(&forwarding.span, format!("`forwarding` is only for [domain.{}]", DomainName::HOST))
            .hint("remove it; every other domain forwards what policy allows");
    }
    let loopback = prefixes(raw, families, key, Which::Loopback, report);
    let networks = prefixes(raw, families, key, Which::Networks, report);
    let daemon = match daemon {
        raw::Daemon::Bird => DaemonKind::Bird,
        raw::Daemon::Frr => DaemonKind::Frr,
        raw::Daemon::None => DaemonKind::None,
    };
    let text = |what, text: &Option<At<String>>, report: &mut Report<'_>| {
        text.as_ref().and_then(|text| values::line(what, text, report))
    };
    let domain = Domain {
        description: text("description", &raw.description, report),
        asn: raw.asn.as_ref().and_then(|asn| values::asn(asn, report)),
        router_id: router_id(raw, &loopback, daemon, key, report),
        loopback: loopback.iter().map(|(net, _)| *net).collect(),
        networks: networks.iter().map(|(net, _)| *net).collect(),
        daemon,
        families,
        dns: raw.dns.iter().filter_map(|text| name_server(text, report)).collect(),
        extra: extra::extra(raw, daemon, report),
        operators: raw.operators.as_ref().and_then(|group| values::group("`operators`", group, report)),
        viewers: raw.viewers.as_ref().and_then(|group| values::group("`viewers`", group, report)),
        forwarding: raw.forwarding.as_ref().is_some_and(|forwarding| forwarding.value),
        interfaces: Vec::new(),
        routes: Vec::new(),
        neighbors: Vec::new(),
        origin: origin(&key.span, report),
        name,
    };
    let mut known =
        Known { domain, name: key, raw: &raw.value, table: &raw.span, networks, loopback, addresses: Vec::new() };
    if !is_host {
        interface::interfaces(&mut known, report);
    }
    known
}

/// Reads what depends on the domain's interfaces.
pub fn finish(known: &mut Known<'_>, context: &Context<'_>, report: &mut Report<'_>) {
    neighbor::neighbors(known, context, report);
    interface::defaults(known, report);
}

/// What `host` cannot have, because the machine's own namespace belongs to the machine.
fn not_ours(raw: &raw::Domain, report: &mut Report<'_>) {
    for text in &raw.loopback {
        report
            .error(&text.span, "`host` cannot have a loopback: its addresses are the machine's own")
            .hint("give the address to the machine itself, or remove it here");
    }
    for interface in &raw.interface {
        report
            .error(&interface.name.span, "`host` cannot claim interfaces: they are already there")
            .hint("remove the table, or claim the interface for another domain");
    }
    for text in &raw.dns {
        report
            .error(&text.span, "`host` cannot have name servers: /etc/resolv.conf is the machine's own")
            .hint("remove `dns`");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Loopback,
    Networks,
}

fn prefixes(
    raw: &raw::Domain,
    families: Families,
    key: &At<String>,
    which: Which,
    report: &mut Report<'_>,
) -> Vec<(IpNet, Span)> {
    let texts = if which == Which::Loopback { &raw.loopback } else { &raw.networks };
    let mut found: Vec<(IpNet, Span)> = Vec::new();
    let mut first_at = std::collections::HashMap::new();
    for text in texts {
        let net = match which {
            Which::Loopback => values::loopback(text, report),
            Which::Networks => values::prefix("a network", text, &text.span, report),
        };
        let Some(net) = net.filter(|net| values::has_family(net, families, &text.span, key, report)) else { continue };
        if let Some(first) = first_at.insert(net, text.span.clone()) {
            report.error(&text.span, format!("{net} is listed twice")).see(&first, "first here").hint("remove one");
        } else {
            found.push((net, text.span.clone()));
        }
    }
    found
}

fn router_id(
    raw: &At<raw::Domain>,
    loopback: &[(IpNet, Span)],
    daemon: DaemonKind,
    key: &At<String>,
    report: &mut Report<'_>,
) -> Option<Ipv4Addr> {
    if let Some(text) = &raw.router_id {
        return match text.parse::<Ipv4Addr>() {
            Ok(id) if !id.is_unspecified() => Some(id),
            Ok(_) => {
                report
                    .error(&text.span, "a router_id cannot be 0.0.0.0 (RFC 6286)")
                    .hint("give a number unique among the domains, such as one of its addresses");
                None
            }
            Err(_) => {
                report
                    .error(&text.span, format!("a router_id is written like an IPv4 address, not {:?}", text.value))
                    .hint("such as \"10.255.0.1\"");
                None
            }
        };
    }
    let first = loopback.iter().find_map(|(net, _)| match net {
        IpNet::V4(v4) => Some(v4.addr()),
        IpNet::V6(_) => None,
    });
    // A loopback that could not be read has been reported, and would have been the default.
    let unread = raw.loopback.len() > loopback.len()
        || ["loopback", "router_id"].into_iter().any(|key| report.has_lost(&raw.span, key));
    if first.is_none() && daemon != DaemonKind::None && !unread {
        report
            .error(&key.span, format!("domain {:?} has no router_id", key.value))
            .hint("add `router_id = \"…\"`, written like an IPv4 address, or an IPv4 loopback")
            .absent();
    }
    first
}

fn name_server(text: &At<String>, report: &mut Report<'_>) -> Option<std::net::IpAddr> {
    // 127.0.0.53 and the like are of use where a resolver runs inside the domain.
    match text.parse::<std::net::IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Some(address),
        _ => values::address("a name server", text, report),
    }
}

/// The word for a family in messages.
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

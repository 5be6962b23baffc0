//! `[[link]]`.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::domain::family_name;
use super::neighbor::shared;
use super::patterns::Patterns;
use super::{Accepted, Context, Domains, Known, KnownLink, origin, packets, transit, translation, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw::{self, Texts};
use crate::config::shape::{nearest, quoted};
use crate::model::{
    Accept, AcceptLines, DaemonKind, DomainName, Families, Family, InterfaceName, Link, LinkEnd, Origin, Routing,
};

/// The longest name of a link: `rd-NAME` must fit into the 15 bytes of an interface name.
const NAME_LENGTH: usize = 12;

/// Prefixes that one end may announce over a link, for each family, unless the file says otherwise.
const MAX_PREFIXES: u32 = 10_000;

/// Reads all links, and adds the addresses of numbered ones to their domains.
pub fn links<'f>(
    raw: &'f [At<raw::Link>],
    domains: &mut Domains<'f>,
    context: &Context<'f>,
    report: &mut Report<'_>,
) -> Vec<KnownLink<'f>> {
    let mut names: HashMap<&str, &Span> = HashMap::new();
    let mut found = Vec::new();
    for raw in raw {
        if let Some(name) = &raw.name
            && let Some(first) = names.insert(name, &name.span)
        {
            report
                .error(&name.span, format!("two links have the name {:?}", name.value))
                .see(first, "first here")
                .hint("give each its own name");
        }
        let Some((link, addresses)) = link(raw, domains, context, report) else { continue };
        for (end, addresses) in link.link.ends.iter().zip(addresses) {
            if let Some(known) = domains.get_mut(end.domain.as_str()) {
                known.addresses.extend(addresses);
            }
        }
        found.push(link);
    }
    found
}

/// Addresses of one end, with the place that gave them.
type Addresses = Vec<(IpNet, Span)>;

fn link<'f>(
    raw: &'f At<raw::Link>,
    domains: &Domains<'f>,
    context: &Context<'f>,
    report: &mut Report<'_>,
) -> Option<(KnownLink<'f>, [Addresses; 2])> {
    let ends = ends(raw, domains, report);
    // A name that is no end may be right where an end is wrong.
    for (receiver, _) in raw.into.0.iter().filter(|_| ends.is_some()) {
        let named: Vec<&str> = raw.between.iter().map(|end| end.as_str()).collect();
        if !named.contains(&receiver.as_str()) {
            report
                .error(&receiver.span, format!("`into.{}` is not an end of this link", receiver.value))
                .see(&raw.between.span, "the ends")
                .hint(into_hint(receiver, &named))
                .absent();
        }
    }
    let name = raw.name.as_ref().map(|text| name(text, report));
    let mtu = raw.mtu.as_ref().and_then(|mtu| values::mtu(mtu, report));
    let max_path = raw.max_path.as_ref().map_or(Some(64), |n| values::within("`max_path`", n, 1..=2000, report));
    // Everything below needs both domains; what can be said without them has been said.
    let Some([first, second]) = ends else {
        for (_, accept) in &raw.into.0 {
            context.lists.patterns(&accept.routes, report);
            packets::packets(&accept.packets, report);
        }
        return None;
    };
    let families = shared(first.domain.families, second.domain.families);
    if !families.ipv4 && !families.ipv6 {
        report
            .error(
                &raw.between.span,
                format!("{:?} and {:?} route no common address family", first.name.value, second.name.value),
            )
            .hint("give one of them the other's family in `families`");
    }
    let routing = routing(raw, first, second, report);
    if routing == Routing::Static {
        only_bgp("max_path", raw.max_path.as_ref(), report);
    }
    let provider = provider(raw, routing, [first, second], report);
    let mut addresses = addresses(raw, families, report);
    let mark = mark(&first.domain.name, &second.domain.name, raw.name.as_deref().map_or("", String::as_str));
    let frr = [first, second].into_iter().any(|known| known.domain.daemon == DaemonKind::Frr);
    if frr && routing == Routing::Bgp && !carry_session(&addresses, families) {
        for (end, address) in addresses.iter_mut().zip(LinkEnd::fixed_addresses(mark)) {
            end.push((address, raw.between.span.clone()));
        }
    }
    let mut accepted = [Accepted::default(), Accepted::default()];
    let mut ends = Vec::with_capacity(2);
    for (index, (own, peer)) in [(first, second), (second, first)].into_iter().enumerate() {
        let table = raw.into.0.iter().find(|(receiver, _)| receiver.value == own.name.value);
        let accept = match table {
            Some((receiver, table)) => {
                let routes = routes(table, families, routing, context, report);
                let translations = translation::translations(table, families, report);
                let mut accept = accept(receiver, table, &routes, routing, report);
                transit::read(table, domains, &mut accept, report);
                (accept.nat, accept.alias) = translation::to_model(&translations, report);
                accepted[index] = Accepted { table: Some(&table.value), routes, translations };
                accept
            }
            None => {
                Accept { max_prefixes: MAX_PREFIXES, origin: origin(&raw.between.span, report), ..Accept::default() }
            }
        };
        let interface = match &name {
            Some(name) => name.clone().and_then(|name| InterfaceName::new(format!("rd-{name}")).ok()),
            None => InterfaceName::new(format!("rd-{}", peer.name.value)).ok(),
        };
        ends.push(LinkEnd {
            domain: own.domain.name.clone(),
            interface: interface?,
            link_local: LinkEnd::fixed_link_local(mark, index == 0, frr),
            addresses: addresses[index].iter().map(|(net, _)| *net).collect(),
            accept,
        });
    }
    let link = Link {
        mark,
        name: raw.name.as_ref().map(|name| name.value.clone()),
        ends: ends.try_into().ok()?,
        routing,
        mtu,
        max_path: max_path?,
        provider,
        origin: origin(&raw.between.span, report),
    };
    Some((KnownLink { link, raw, accept: accepted }, addresses))
}

/// The domains at both ends.
fn ends<'d, 'f>(raw: &raw::Link, domains: &'d Domains<'f>, report: &mut Report<'_>) -> Option<[&'d Known<'f>; 2]> {
    let [first, second] = raw.between.as_slice() else {
        report
            .error(&raw.between.span, format!("a link is between two domains, not {}", raw.between.len()))
            .hint("write between = [\"first\", \"second\"]")
            .absent();
        return None;
    };
    if first.value == second.value {
        report
            .error(&second.span, format!("{:?} cannot be linked to itself", second.value))
            .hint("name another domain");
        return None;
    }
    let mut get = |end: &At<String>| {
        let known = domains.get(end);
        if known.is_none() {
            domains.unknown(end, report);
        }
        known
    };
    let (first, second) = (get(first), get(second));
    Some([first?, second?])
}

fn into_hint(receiver: &str, ends: &[&str]) -> String {
    match (nearest(receiver, ends), ends) {
        (Some(near), _) => format!("did you mean `into.{near}`?"),
        (None, [first, second]) => format!("write `into.{first}` or `into.{second}`"),
        _ => "name a domain of `between`".to_owned(),
    }
}

/// A link's name, which becomes an interface name and part of a protocol name.
fn name(text: &At<String>, report: &mut Report<'_>) -> Option<String> {
    let rule = if text.len() > NAME_LENGTH {
        "at most 12 characters, because its interfaces are named rd-NAME and have 15 bytes"
    } else if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        "it must start with a letter a to z"
    } else if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        "only a to z, 0 to 9 and - may stand in it"
    } else {
        return Some(text.value.clone());
    };
    report.error(&text.span, format!("{:?} is not a legal link name", text.value)).hint(rule);
    None
}

fn routing(raw: &raw::Link, first: &Known<'_>, second: &Known<'_>, report: &mut Report<'_>) -> Routing {
    let silent = [first, second].into_iter().find(|known| known.domain.daemon == DaemonKind::None);
    match (raw.routing.as_ref(), silent) {
        (None, None) => Routing::Bgp,
        (None, Some(_)) => Routing::Static,
        (Some(wanted), silent) => match (wanted.value, silent) {
            (raw::Routing::Static, _) => Routing::Static,
            (raw::Routing::Bgp, None) => Routing::Bgp,
            (raw::Routing::Bgp, Some(known)) => {
                let mut seen = known.name.span.clone();
                if let Some(daemon) = &known.raw.daemon {
                    seen = daemon.span.clone();
                }
                report
                    .error(
                        &wanted.span,
                        format!("this link cannot speak BGP: domain {:?} runs no daemon", known.name.value),
                    )
                    .see(&seen, "no daemon here")
                    .hint(format!("set routing = \"static\", or daemon = \"bird\" in [domain.{}]", known.name.value));
                Routing::Bgp
            }
        },
    }
}

/// The end that `provider` names.
fn provider(raw: &raw::Link, routing: Routing, ends: [&Known<'_>; 2], report: &mut Report<'_>) -> Option<DomainName> {
    let named = raw.provider.as_ref()?;
    if routing == Routing::Static {
        report
            .error(&named.span, "`provider` has no meaning on a static link: it is about a BGP session")
            .hint("remove it, or set routing = \"bgp\"");
    }
    if let Some(end) = ends.into_iter().find(|end| end.name.value == named.value) {
        return Some(end.domain.name.clone());
    }
    let both = ends.map(|end| end.name.as_str());
    let problem = report
        .error(&named.span, format!("`provider = {:?}` is not an end of this link", named.value))
        .see(&raw.between.span, "the ends");
    match nearest(named, &both) {
        Some(near) => problem.hint(format!("did you mean {near:?}?")),
        None => problem.hint(format!("give {}", quoted(&both))),
    };
    None
}

/// The routes that a receiver accepts, of the families of both ends.
fn routes(
    table: &raw::Accept,
    families: Families,
    routing: Routing,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Patterns {
    let patterns = context.lists.patterns(&table.routes, report);
    if routing == Routing::Static {
        all_exact(&patterns, report);
    }
    patterns.of_families(families, "not both ends of this link route", report)
}

fn accept(
    receiver: &At<String>,
    table: &raw::Accept,
    routes: &Patterns,
    routing: Routing,
    report: &mut Report<'_>,
) -> Accept {
    if routing == Routing::Static {
        for (key, value) in [("preference", &table.preference), ("max_prefixes", &table.max_prefixes)] {
            only_bgp(key, value.as_ref(), report);
        }
    }
    let most = table.max_prefixes.as_ref();
    let packets = packets::packets(&table.packets, report);
    let lines = AcceptLines {
        routes: origins(routes, report),
        packets: packets.iter().map(|(_, span)| origin(span, report)).collect(),
        transit: Vec::new(),
    };
    Accept {
        routes: routes.to_model(),
        packets: packets.into_iter().map(|(packet, _)| packet).collect(),
        lines,
        preference: table.preference.as_ref().map(|preference| preference.value),
        max_prefixes: most
            .and_then(|number| values::within("`max_prefixes`", number, 1..=u32::MAX, report))
            .unwrap_or(MAX_PREFIXES),
        origin: origin(&receiver.span, report),
        ..Accept::default()
    }
}

/// Refuses a key of a static link that only BGP gives a meaning.
fn only_bgp(key: &str, value: Option<&At<u32>>, report: &mut Report<'_>) {
    if let Some(value) = value {
        report
            .error(&value.span, format!("`{key}` has no meaning on a static link: it is about what BGP learns"))
            .hint("remove it, or set routing = \"bgp\"");
    }
}

/// A static route needs one destination; a range is for what BGP may announce.
fn all_exact(patterns: &Patterns, report: &mut Report<'_>) {
    for run in patterns.runs() {
        // Of a list the first is enough.
        let Some(range) = run.patterns.iter().find(|pattern| !pattern.is_exact()) else { continue };
        if run.any {
            report
                .error(&run.span, "`any` on a static link: each pattern becomes one static route")
                .hint("write \"0.0.0.0/0\" and \"::/0\" for default routes");
        } else {
            report
                .error(
                    &run.span,
                    format!("{range} is a range, and each pattern of a static link becomes one static route"),
                )
                .hint(format!("write the prefix itself, {}, or set routing = \"bgp\"", range.prefix));
        }
    }
}

/// The line of every pattern.
fn origins(patterns: &Patterns, report: &Report<'_>) -> Vec<Origin> {
    patterns.runs().flat_map(|run| std::iter::repeat_n(origin(&run.span, report), run.patterns.len())).collect()
}

/// The addresses of a numbered link at both ends.
fn addresses(raw: &raw::Link, families: Families, report: &mut Report<'_>) -> [Addresses; 2] {
    let mut ends: [Addresses; 2] = Default::default();
    let texts: &Texts = &raw.addresses;
    let mut seen: HashMap<Family, &Span> = HashMap::new();
    for text in texts {
        let Some(prefix) = values::prefix("the prefix of a numbered link", text, &text.span, report) else { continue };
        let family = Family::of_net(&prefix);
        let first = match (prefix, prefix.prefix_len()) {
            (IpNet::V4(_), 31) | (IpNet::V6(_), 127) => 0,
            (IpNet::V4(_), 30) | (IpNet::V6(_), 126 | 64) => 1,
            _ => {
                report
                    .error(&text.span, format!("{prefix} cannot number a link"))
                    .hint("use a prefix of length /31 or /30, /127, /126 or /64");
                continue;
            }
        };
        if !families.contains(family) {
            report
                .error(&text.span, format!("{prefix} is {}, which not both ends of this link route", family.as_str()))
                .hint("remove it");
            continue;
        }
        if let Some(other) = seen.insert(family, &text.span) {
            report
                .error(&text.span, format!("this link has two prefixes of {}", family_name(family)))
                .see(other, "first here")
                .hint("a link has at most one of each family");
            continue;
        }
        for (index, end) in ends.iter_mut().enumerate() {
            let offset = first + u32::try_from(index).unwrap_or(0);
            if let Ok(net) = IpNet::new(after(prefix.addr(), offset), prefix.prefix_len()) {
                end.push((net, text.span.clone()));
            }
        }
    }
    ends
}

/// Whether a session can run over these: it takes IPv6, or IPv4 where nothing else is routed.
fn carry_session([first, _]: &[Addresses; 2], families: Families) -> bool {
    first.iter().any(|(net, _)| !families.ipv6 || Family::of_net(net) == Family::Ipv6)
}

fn after(address: IpAddr, offset: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4).wrapping_add(offset)).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6).wrapping_add(u128::from(offset))).into()),
    }
}

/// The number of a link in connection tracking marks: FNV-1a of its ends, in alphabetical order, and its name, folded
/// into 1 to 2^30-1, as the bit above says which way a flow crossed. It depends on nothing else, so that flows keep their mark when other links come and go.
pub fn mark(first: &DomainName, second: &DomainName, name: &str) -> u32 {
    let (low, high) = if first <= second { (first, second) } else { (second, first) };
    let mut hash: u32 = 0x811c_9dc5;
    for byte in format!("{low}\0{high}\0{name}").bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash % ((1 << 30) - 1) + 1
}

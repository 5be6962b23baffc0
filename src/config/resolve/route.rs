//! `[[domain.*.route]]`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::contradictions::InterfaceNames;
use super::{Known, KnownLink, origin, values};
use crate::config::at::{At, Span};
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{Family, InterfaceName, Route, RouteKind};

/// Reads the static routes of a domain; `names` are the interfaces of all domains.
pub fn routes(known: &mut Known<'_>, names: &InterfaceNames, links: &[KnownLink<'_>], report: &mut Report<'_>) {
    let near = near(known, links);
    let mut seen: HashMap<(IpNet, Option<u32>), Span> = HashMap::new();
    let mut found = Vec::new();
    for raw in &known.raw.route {
        // Without a key that could not be read, the route would seem to lack it.
        let unread = ["via", "dev", "kind", "metric"].into_iter().any(|key| report.has_lost(&raw.span, key));
        let kind = if unread { None } else { kind(raw, known, names, &near, report) };
        let to = values::prefix("a route's destination", &raw.to, &raw.to.span, report)
            .filter(|to| values::has_family(to, known.domain.families, &raw.to.span, known.name, report));
        let (Some(to), Some(kind)) = (to, kind) else { continue };
        if !is_gateway_of(to, &kind, raw, report) {
            continue;
        }
        let metric = raw.metric.as_ref().map(|metric| metric.value);
        if let Some(first) = seen.insert((to, metric), raw.to.span.clone()) {
            report
                .error(&raw.to.span, format!("there are two routes to {to} with the same metric"))
                .see(&first, "first here")
                .hint("remove one, or give them different metrics");
            continue;
        }
        found.push(Route { to, kind, metric, origin: origin(&raw.to.span, report) });
    }
    known.domain.routes = found;
}

fn kind(
    raw: &raw::Route,
    known: &Known<'_>,
    names: &InterfaceNames,
    near: &Near,
    report: &mut Report<'_>,
) -> Option<RouteKind> {
    let kind = raw.kind.as_ref().map_or(raw::RouteKind::Unicast, |kind| kind.value);
    let dropped = match kind {
        raw::RouteKind::Unicast => return unicast(raw, known, names, near, report),
        raw::RouteKind::Blackhole => RouteKind::Blackhole,
        raw::RouteKind::Unreachable => RouteKind::Unreachable,
        raw::RouteKind::Prohibit => RouteKind::Prohibit,
    };
    let mut legal = true;
    for (key, value) in [("via", &raw.via), ("dev", &raw.dev)] {
        if let Some(value) = value {
            legal = false;
            report
                .error(&value.span, format!("a route of kind {:?} has no `{key}`", kind.as_str()))
                .hint(format!("remove `{key}`, or `kind`"));
        }
    }
    legal.then_some(dropped)
}

fn unicast(
    raw: &raw::Route,
    known: &Known<'_>,
    names: &InterfaceNames,
    near: &Near,
    report: &mut Report<'_>,
) -> Option<RouteKind> {
    let mut dev = match &raw.dev {
        Some(text) => Some(device(text, known, names, report)?),
        None => None,
    };
    let via = match &raw.via {
        Some(text) => Some(values::address("a gateway", text, report)?),
        None => None,
    };
    match (via, &raw.via) {
        (Some(via), Some(text)) if dev.is_none() => {
            if values::is_link_local(via) {
                report
                    .error(&text.span, format!("the gateway {via} is link-local, so the route needs a `dev`"))
                    .hint("add `dev = \"…\"`")
                    .absent();
                return None;
            }
            dev = leading_to(via, &text.span, known, near, report);
        }
        (None, _) if dev.is_none() => {
            report
                .error(&raw.to.span, format!("the route to {} leads nowhere", raw.to.value))
                .hint("give it `via`, `dev`, or a `kind` such as \"unreachable\"")
                .absent();
            return None;
        }
        _ => {}
    }
    Some(RouteKind::Unicast { via, dev })
}

fn device(
    text: &At<String>,
    known: &Known<'_>,
    names: &InterfaceNames,
    report: &mut Report<'_>,
) -> Option<InterfaceName> {
    let name = values::name(text, InterfaceName::new, report)?;
    let of_domain = names.of(&known.domain.name);
    if known.domain.name.is_host() || name.as_str() == "lo" || of_domain.contains(&name) {
        return Some(name);
    }
    let mut legal: Vec<&str> =
        of_domain.iter().map(InterfaceName::as_str).collect::<HashSet<_>>().into_iter().collect();
    legal.sort_unstable();
    let problem =
        report.error(&text.span, format!("{:?} has no interface {:?}", known.name.value, text.value)).absent();
    if legal.is_empty() {
        problem.hint(format!("declare it in [[domain.{}.interface]]", known.name.value));
    } else {
        problem.hint(format!("its interfaces are {}", legal.join(", ")));
    }
    None
}

/// The prefixes that interfaces lead to, by addresses or by a route without a gateway.
type Near = Vec<(IpNet, InterfaceName)>;

fn near(known: &Known<'_>, links: &[KnownLink<'_>]) -> Near {
    let own = known.domain.interfaces.iter().map(|interface| (&interface.addresses, &interface.name));
    let ends = links.iter().flat_map(|known| &known.link.ends).filter(|end| end.domain == known.domain.name);
    let mut near: Near = own
        .chain(ends.map(|end| (&end.addresses, &end.interface)))
        .flat_map(|(addresses, name)| addresses.iter().map(|net| (net.trunc(), name.clone())))
        .collect();
    for raw in known.raw.route.iter().filter(|raw| raw.via.is_none()) {
        if let Some(Ok(dev)) = raw.dev.as_ref().map(|dev| InterfaceName::new(dev.value.as_str()))
            && let Ok(to) = raw.to.parse()
        {
            near.push((to, dev));
        }
    }
    near
}

/// The interface that leads to a gateway. The kernel refuses a gateway without one ("Nexthop has invalid gateway"), and of
/// a route it always tells the interface, so that a route is only known again by it.
fn leading_to(
    via: IpAddr,
    span: &Span,
    known: &Known<'_>,
    near: &Near,
    report: &mut Report<'_>,
) -> Option<InterfaceName> {
    let found = near.iter().filter(|(net, _)| net.contains(&via)).max_by_key(|(net, _)| net.prefix_len());
    if let Some((_, name)) = found {
        return Some(name.clone());
    }
    if known.domain.name.is_host() {
        report
            .error(span, format!("which interface of the machine leads to the gateway {via} is not known here"))
            .hint("name it with `dev`")
            .absent();
        return None;
    }
    // An interface address that could not be read has been reported.
    if !known.addresses.iter().any(|(net, _)| net.contains(&via)) {
        report
            .error(span, format!("no interface of {:?} has a prefix with the gateway {via}", known.name.value))
            .hint("correct one of the addresses, or name the interface with `dev`")
            .absent();
    }
    None
}

fn is_gateway_of(to: IpNet, kind: &RouteKind, raw: &raw::Route, report: &mut Report<'_>) -> bool {
    if let (RouteKind::Unicast { via: Some(via), .. }, Some(text)) = (kind, &raw.via)
        && Family::of_net(&to) == Family::Ipv6
        && via.is_ipv4()
    {
        report
            .error(&text.span, format!("the IPv6 destination {to} cannot have the IPv4 gateway {via}"))
            .hint("give an IPv6 gateway");
        return false;
    }
    true
}

//! `show route … all` as routes.
//!
//! A route is a line `1007 PREFIX kind [protocol time from …] * (preference) [path]`, where the prefix is left out for the
//! second and further routes of one destination; `1007` lines with a tab are its next hops, and `1008` and `1012` lines
//! with a tab its attributes. Recorded answers are in `tests/cases/bird`.

use super::super::{NextHop, Route};
use super::protocol::Reply;
use super::show::{our_name, since};

/// The routes of an answer to `show route … all`, in BIRD's order.
pub(super) fn routes(reply: &Reply) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for (_, text) in &reply.lines {
        if let Some(detail) = text.strip_prefix('\t') {
            if let Some(route) = routes.last_mut() {
                next_hop_or_attribute(route, detail.trim());
            }
        } else if !text.starts_with("Table ") {
            let route = headline(text, routes.last());
            routes.extend(route);
        }
    }
    routes
}

fn headline(text: &str, before: Option<&Route>) -> Option<Route> {
    let (head, rest) = text.split_once('[')?;
    let (inner, tail) = rest.split_once(']')?;
    let mut words = head.split_whitespace();
    let prefix = if text.starts_with(char::is_whitespace) { before?.prefix } else { words.next()?.parse().ok()? };
    let kind = match words.next()? {
        // BIRD's word is that of the route, the field's that of the answer which the sender gets.
        "prohibited" => "prohibit",
        other => other,
    };
    let inner: Vec<&str> = inner.split_whitespace().collect();
    let protocol = (*inner.first()?).to_owned();
    let preference = tail.split_once('(').and_then(|(_, rest)| {
        // `(100)` or, with a metric, `(100/20)`; `(100/-)` is unresolved.
        rest.split(['/', ')']).next()?.parse().ok()
    });
    Some(Route {
        prefix,
        kind: kind.to_owned(),
        next_hops: Vec::new(),
        from: our_name(&protocol),
        protocol,
        source: String::new(),
        since: since(inner.get(1..)?),
        preference,
        best: tail.trim_start().starts_with('*'),
        bgp: None,
    })
}

fn next_hop_or_attribute(route: &mut Route, text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["via", via, "on", interface, ..] => {
            route.next_hops.push(NextHop { via: via.parse().ok(), interface: Some((*interface).to_owned()) });
        }
        ["dev", interface, ..] => route.next_hops.push(NextHop { via: None, interface: Some((*interface).to_owned()) }),
        ["Type:", source, ..] => route.source = source.to_lowercase(),
        [attribute, ..] if attribute.starts_with("BGP.") => {
            let value = text[attribute.len()..].trim();
            let bgp = route.bgp.get_or_insert_default();
            match *attribute {
                "BGP.origin:" => bgp.origin = Some(value.to_owned()),
                "BGP.as_path:" => value.clone_into(&mut bgp.as_path),
                "BGP.local_pref:" => bgp.local_pref = value.parse().ok(),
                "BGP.med:" => bgp.med = value.parse().ok(),
                "BGP.community:" | "BGP.ext_community:" | "BGP.large_community:" => {
                    // `(65002, 1, 2)` of a large one is written like the others.
                    let value = value.replace(", ", ",");
                    bgp.communities.extend(value.split_whitespace().map(str::to_owned));
                }
                _ => {}
            }
        }
        _ => {}
    }
}

//! What daemons answered, for programs and for people.

use serde_json::{Value, json};

use super::super::output::{self, HEADING, Health, Table, styled};
use crate::daemons::{self, Answer, LineAnswer, Route, Session};

pub(super) fn for_programs(answer: &Answer) -> Value {
    match answer {
        Answer::Bgp(routes) | Answer::Routes(routes) => json!(routes),
        Answer::Summary(sessions) | Answer::Neighbor(sessions) => json!(sessions),
        Answer::Script(lines) => json!(lines),
        Answer::Text { text, error } => json!({ "text": text, "error": error }),
    }
}

pub(super) fn for_people(answer: &Answer) -> String {
    match answer {
        Answer::Text { text, .. } if text.is_empty() => String::new(),
        Answer::Text { text, .. } => output::harmless(text) + "\n",
        Answer::Script(lines) => lines.iter().map(line).collect(),
        Answer::Summary(sessions) if sessions.is_empty() => "no sessions\n".to_owned(),
        Answer::Summary(sessions) => output::sessions_table(sessions.iter().map(|session| (None, session))).text(),
        Answer::Neighbor(sessions) => sessions.iter().map(neighbor).collect::<Vec<_>>().join("\n"),
        Answer::Bgp(routes) | Answer::Routes(routes) if routes.is_empty() => "no routes\n".to_owned(),
        Answer::Bgp(routes) => bgp(routes),
        Answer::Routes(routes) => table(routes),
    }
}

/// What came of one command of several. That all is well needs no word.
fn line(line: &LineAnswer) -> String {
    match line {
        LineAnswer { error: true, .. } => styled(Health::Bad.style(), &output::harmless(&refusal(line))) + "\n",
        LineAnswer { text, .. } if text.is_empty() => String::new(),
        LineAnswer { text, .. } => output::harmless(text) + "\n",
    }
}

/// Which line was refused, and why.
pub(super) fn refusal(line: &LineAnswer) -> String {
    format!("line {}, {:?}: {}", line.line, line.command, line.text)
}

/// Best first within a destination, destinations in the order of addresses: IPv4 before IPv6.
fn sorted(routes: &[Route]) -> Vec<&Route> {
    let mut routes: Vec<&Route> = routes.iter().collect();
    routes.sort_by_key(|route| (route.prefix, !route.best));
    routes
}

fn bgp(routes: &[Route]) -> String {
    let mut table =
        Table::new(&["BEST", "PREFIX", "NEXT HOP", "FROM", ">PREF", ">MED", "AS PATH", "ORIGIN", "COMMUNITIES"]);
    for route in sorted(routes) {
        let bgp = route.bgp.clone().unwrap_or_default();
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        table.row(
            Health::Good,
            [
                if route.best { "*" } else { " " }.to_owned(),
                route.prefix.to_string(),
                next_hops(route),
                route.from.clone(),
                number(bgp.local_pref),
                number(bgp.med),
                bgp.as_path,
                bgp.origin.unwrap_or_default(),
                bgp.communities.join(" "),
            ],
        );
    }
    table.text()
}

fn table(routes: &[Route]) -> String {
    let mut table = Table::new(&["BEST", "PREFIX", "NEXT HOP", "SOURCE", "FROM", ">PREF", ">FOR"]);
    let now = jiff::Timestamp::now();
    for route in sorted(routes) {
        table.row(
            Health::Good,
            [
                if route.best { "*" } else { " " }.to_owned(),
                route.prefix.to_string(),
                next_hops(route),
                route.source.split_whitespace().next().unwrap_or_default().to_owned(),
                route.from.clone(),
                route.preference.map(|preference| preference.to_string()).unwrap_or_default(),
                route.since.map(|since| output::since_then(since, now)).unwrap_or_default(),
            ],
        );
    }
    table.text()
}

fn next_hops(route: &Route) -> String {
    // Ours are in the daemon only to be announced; where packets go is not its matter.
    if route.from == "originated" {
        return String::new();
    }
    if route.next_hops.is_empty() {
        return route.kind.clone();
    }
    let hop = |hop: &daemons::NextHop| match (hop.via, &hop.interface) {
        (Some(via), Some(interface)) => format!("{via} {interface}"),
        (Some(via), None) => via.to_string(),
        (None, Some(interface)) => interface.clone(),
        (None, None) => String::new(),
    };
    route.next_hops.iter().map(hop).collect::<Vec<_>>().join(", ")
}

fn neighbor(session: &Session) -> String {
    let now = jiff::Timestamp::now();
    let health = if session.is_established() { Health::Good } else { Health::Bad };
    let since = session.since.map(|since| format!(" for {}", output::since_then(since, now)));
    let state = styled(health.style(), &format!("{}{}", output::one_line(&session.state), since.unwrap_or_default()));
    let asn = |asn: Option<crate::model::Asn>| asn.map_or_else(|| "-".to_owned(), |asn| asn.to_string());
    let address = session.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let interface = session.interface.as_ref().map(|name| format!(" on {}", output::one_line(name.as_ref())));
    let interface = interface.unwrap_or_default();
    // An external neighbor is its own peer.
    let title = match session.peer.as_str() {
        peer if peer == session.name => session.name.clone(),
        peer => format!("{} ({peer})", session.name),
    };
    let mut lines = vec![
        styled(HEADING, &output::one_line(&title)),
        format!("  state      {state}"),
        format!("  neighbor   {address}{interface}, AS {}", asn(session.remote_asn)),
        format!("  local      AS {}", asn(session.local_asn)),
        format!("  protocol   {}", output::one_line(&session.protocol)),
    ];
    if let Some(id) = session.neighbor_id {
        lines.push(format!("  router id  {id}"));
    }
    if let Some(hold) = session.hold_seconds {
        lines.push(format!("  hold time  {hold}s"));
    }
    if let Some(seen) = &session.bfd {
        let health = if seen == "up" { Health::Good } else { Health::Doubtful };
        lines.push(format!("  BFD        {}", styled(health.style(), &output::one_line(seen))));
    }
    for family in &session.families {
        let limit = family.limit.map(|limit| format!(" of at most {limit}")).unwrap_or_default();
        let filtered = family.filtered.map(|filtered| format!("{filtered} filtered, ")).unwrap_or_default();
        let counts = format!("{} in{limit}, {filtered}{} out", family.imported, family.exported);
        let up = if family.up { counts } else { styled(Health::Doubtful.style(), "down") };
        lines.push(format!("  {:9}  {up}", family.family.as_str()));
    }
    // What a session that is up once suffered is history, and nobody says when that was.
    if let Some(error) = session.last_error.as_ref().filter(|_| !session.is_established()) {
        lines.push(format!("  last error {}", output::one_line(error)));
    }
    lines.push(String::new());
    lines.join("\n")
}

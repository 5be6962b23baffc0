//! `extra`: the admin's own lines, which a daemon reads after ours.

use std::collections::BTreeSet;

use crate::config::at::At;
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{DaemonKind, ExtraText, Origin};

/// Reads the lines for the domain's daemon.
pub fn extra(domain: &raw::Domain, daemon: DaemonKind, report: &mut Report<'_>) -> Option<ExtraText> {
    let raw = domain.extra.as_ref()?;
    let of = |kind| if kind == DaemonKind::Frr { raw.frr.as_ref() } else { raw.bird.as_ref() };
    for kind in [DaemonKind::Bird, DaemonKind::Frr] {
        let (Some(text), name) = (of(kind), kind.as_str()) else { continue };
        if text.contains('\0') {
            report.error(&text.span, format!("`extra.{name}` contains a NUL character")).hint("remove it");
            return None;
        }
        if daemon != kind {
            let runs = if daemon == DaemonKind::None { "no daemon" } else { daemon.as_str() };
            report
                .error(&text.span, format!("`extra.{name}` has no reader: the domain runs {runs}"))
                .hint(format!("remove it, or set daemon = {name:?}"));
        }
    }
    let text = of(daemon)?;
    let mut line = report.line(text.span.start);
    // TOML drops a newline right after the opening quotes of a multi-line string, so the text begins on the next line.
    let written = report.text().get(text.span.clone()).unwrap_or_default();
    let body = written.strip_prefix("\"\"\"").or_else(|| written.strip_prefix("'''"));
    if body.is_some_and(|body| body.starts_with('\n') || body.starts_with("\r\n")) {
        line += 1;
    }
    if daemon == DaemonKind::Frr {
        undone(text, domain, report);
    }
    let body = text.trim_end_matches(['\n', '\r']).to_owned();
    (!body.trim().is_empty()).then_some(ExtraText { text: body, origin: Origin { line } })
}

/// What of a neighbor of ours must not be taken away if it is to be judged as the file says.
const GUARDS: [&str; 6] =
    ["route-map", "maximum-prefix", "enforce-first-as", "ttl-security", "local-role", "soft-reconfiguration"];

/// What takes the place of one of our lines, or lets more through than the file says.
const REPLACES: [&str; 6] =
    ["route-map", "maximum-prefix", "allowas-in", "unsuppress-map", "default-originate", "local-role"];

/// In FRR the last line wins, so one of the admin's takes the place of one of ours. That is his to do, and easily done without
/// knowing: `neighbor … route-map … in` looks like one more filter and is the only one.
fn undone(text: &At<String>, domain: &raw::Domain, report: &mut Report<'_>) {
    let ours: BTreeSet<&str> = domain.neighbor.iter().map(|neighbor| neighbor.address.value.as_str()).collect();
    let mut own = BTreeSet::new();
    let (mut from, written) = (0, report.text().get(text.span.clone()).unwrap_or_default().to_owned());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // Where something is escaped the text has no such line.
        let at = written.get(from..).and_then(|rest| rest.find(line)).map(|at| from + at);
        from = at.map_or(from, |at| at + line.len());
        let words: Vec<&str> = line.split_whitespace().collect();
        let (no, words) = match words.split_first() {
            Some((first, rest)) if !rest.is_empty() && "no".starts_with(first) => (true, rest),
            _ => (false, words.as_slice()),
        };
        let whose = match *words {
            [first, neighbor, ref rest @ ..] if is_short_for("neighbor", first) => {
                let what = rest.first().copied().unwrap_or_default();
                let is_known = ours.contains(neighbor) || is_of_link(neighbor);
                if !no && !is_known && is_any_of(what, &["remote-as", "peer-group"]) {
                    own.insert(neighbor);
                }
                let concerned =
                    if no { what.is_empty() || is_any_of(what, &GUARDS) } else { is_any_of(what, &REPLACES) };
                (concerned && !own.contains(neighbor)).then_some(neighbor)
            }
            // The name of a list stands behind its kind, of which some have two words.
            [first, ref rest @ ..] if is_short_for("route-map", first) || is_any_of(first, &["ip", "ipv6", "bgp"]) => {
                let is_requirement = no && rest.first().is_some_and(|word| is_short_for("ebgp-requires-policy", word));
                let made = rest.iter().copied().find(|word| word.starts_with("rd-") || word.starts_with("ext-"));
                if is_requirement { Some("every neighbor") } else { made }
            }
            _ => None,
        };
        let Some(whose) = whose else { continue };
        let span = at.map_or(text.span.clone(), |at| text.span.start + at..text.span.start + at + line.len());
        report
            .warning(
                &span,
                format!(
                    "this takes the place of what rdsup says of {whose:?}, so that its filter is no longer the file's"
                ),
            )
            .hint("say it by `routes` and `announce` instead; a neighbor that `extra` itself declares is yours alone");
    }
}

/// Whether an address or a name may be that of a link's other end, as rdsup makes them.
fn is_of_link(neighbor: &str) -> bool {
    ["rd-", "fe80:", "fd72:6473:7570:"].iter().any(|begin| neighbor.starts_with(begin))
}

fn is_any_of(typed: &str, words: &[&str]) -> bool {
    words.iter().any(|word| is_short_for(word, typed))
}

/// FRR takes the beginning of a word for the word, where what follows tells which one is meant.
fn is_short_for(word: &str, typed: &str) -> bool {
    !typed.is_empty() && word.starts_with(typed)
}

//! `extra`: the admin's own lines, which a daemon reads after ours.

use std::collections::BTreeSet;

use crate::config::at::At;
use crate::config::problem::Report;
use crate::config::raw;
use crate::model::{DaemonKind, ExtraText, Origin};

/// Reads the lines for the domain's daemon.
pub fn extra(raw: &raw::Domain, daemon: DaemonKind, report: &mut Report<'_>) -> Option<ExtraText> {
    let raw = raw.extra.as_ref()?;
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
        undone(text, report);
    }
    let body = text.trim_end_matches(['\n', '\r']).to_owned();
    (!body.trim().is_empty()).then_some(ExtraText { text: body, origin: Origin { line } })
}

/// What of a neighbor of ours must not be taken away if it is to be judged as the file says.
const GUARDS: [&str; 6] =
    ["route-map", "maximum-prefix", "enforce-first-as", "ttl-security", "local-role", "soft-reconfiguration"];

/// In FRR the last line wins, so one of the admin's takes the place of one of ours. That is his to do, and easily done without
/// knowing: `neighbor … route-map … in` looks like one more filter and is the only one.
fn undone(text: &At<String>, report: &mut Report<'_>) {
    let mut own = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (no, words) = match words.split_first() {
            Some((&"no", rest)) => (true, rest),
            _ => (false, words.as_slice()),
        };
        let whose = match *words {
            [first, neighbor, ref rest @ ..] if is_short_for("neighbor", first) => {
                let what = rest.first().copied().unwrap_or_default();
                if !no && (is_short_for("remote-as", what) || is_short_for("peer-group", what)) {
                    own.insert(neighbor);
                }
                let replaces = is_short_for("route-map", what) || is_short_for("allowas-in", what);
                let removes = what.is_empty() || GUARDS.iter().any(|guard| is_short_for(guard, what));
                (!own.contains(neighbor) && if no { removes } else { replaces }).then_some(neighbor)
            }
            // The name of a list stands behind its kind, of which some have two words.
            [first, ref rest @ ..] if is_short_for("route-map", first) || ["ip", "ipv6", "bgp"].contains(&first) => {
                rest.iter().copied().find(|word| word.starts_with("rd-"))
            }
            _ => None,
        };
        let Some(whose) = whose else { continue };
        let begin = report.text().get(text.span.clone()).and_then(|written| written.find(line)).unwrap_or_default();
        let begin = text.span.start + begin;
        report
            .warning(
                &(begin..begin + line.len()),
                format!(
                    "this takes the place of what rdsup says of {whose:?}, so that its filter is no longer the file's"
                ),
            )
            .hint("say it by `routes` and `announce` instead; a neighbor that `extra` itself declares is yours alone");
    }
}

/// FRR takes the beginning of a word for the word.
fn is_short_for(word: &str, typed: &str) -> bool {
    typed.len() > 2 && word.starts_with(typed)
}

//! What bgpd was told by somebody else: the difference between two of its answers to `show running-config`.
//!
//! Neither is compared with a file, because FRR leaves out what it takes for a default and puts in order what is not. Whoever has taken
//! bgpd over answers what he likes, so nothing here takes more time or memory than a small multiple of what was said.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::plan::frr::{self, DEEPEST, negated, neighbor_in, setting};

/// How many characters of a line are repeated.
const LONGEST: usize = 200;
/// A text of more than that is not compared: FRR that is told what it can take says a tenth of it.
const LARGEST: usize = 16 << 20;

/// A line: the one in whose part it stands, its words as they are, and what only the same line in the same part has.
struct Line<'a> {
    parent: Option<usize>,
    text: &'a str,
    key: u64,
}

/// A whole answer.
struct Said<'a> {
    lines: Vec<Line<'a>>,
    keys: HashSet<u64>,
}

impl<'a> Said<'a> {
    /// `state` must be the same for all that are compared.
    fn read(text: &'a str, state: &RandomState) -> Self {
        let mut said = Self { lines: Vec::new(), keys: HashSet::new() };
        // The lines that are open, each with its indentation.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let text = if text.len() > LARGEST { "" } else { text };
        for raw in text.lines() {
            let line = raw.trim();
            let is_end = line == "end" || line == "exit" || line.starts_with("exit-");
            if line.is_empty() || line.starts_with('!') || is_end {
                continue;
            }
            let indent = raw.len() - raw.trim_start().len();
            while open.last().is_some_and(|(outer, _)| *outer >= indent) || open.len() > DEEPEST {
                open.pop();
            }
            let parent = open.last().map(|(_, at)| *at);
            let key = state.hash_one((parent.map(|at| said.lines[at].key), line));
            open.push((indent, said.lines.len()));
            said.keys.insert(key);
            said.lines.push(Line { parent, text: line, key });
        }
        said
    }

    /// Those that another answer does not have.
    fn beyond<'b>(&'b self, other: &'b Said<'_>) -> impl Iterator<Item = &'b Line<'a>> {
        self.lines.iter().filter(|line| !other.keys.contains(&line.key))
    }

    fn parent(&self, line: &Line<'_>) -> Option<&Line<'a>> {
        line.parent.map(|at| &self.lines[at])
    }

    /// The lines in whose parts one stands, from the innermost.
    fn around(&self, line: &Line<'_>) -> impl Iterator<Item = &Line<'a>> {
        std::iter::successors(self.parent(line), |line| self.parent(line))
    }

    /// The lines that lead to one, from the top.
    fn path(&self, line: &Line<'_>) -> Vec<&'a str> {
        let mut path: Vec<&str> = self.around(line).map(|line| line.text).collect();
        path.reverse();
        path
    }

    fn neighbors(&self) -> HashSet<&'a str> {
        self.lines.iter().filter_map(|line| neighbor_in(line.text)).collect()
    }
}

/// What was typed between two answers, as far as it shows, each with the part in which it was; first what decides which routes are
/// taken and told.
pub(super) fn told(before: &str, now: &str) -> Vec<String> {
    let state = RandomState::new();
    let (before, now) = (Said::read(before, &state), Said::read(now, &state));
    if before.lines.is_empty() || now.lines.is_empty() {
        return Vec::new();
    }
    let place = |said: &Said<'_>, line: &Line<'_>| said.parent(line).map(|parent| parent.key);
    let replaced: HashSet<(Option<u64>, String)> =
        now.beyond(&before).map(|line| (place(&now, line), setting(line.text))).collect();
    let there = now.neighbors();
    let is_removed = |line: &&Line<'_>| {
        // A session that is gone is told as one, and what goes with its part by what removes that. A family is there as long as
        // something stands in it.
        let is_gone = neighbor_in(line.text).is_some_and(|name| !there.contains(name));
        let goes_along = before.parent(line).is_some_and(|part| !now.keys.contains(&part.key) && !is_family(part.text));
        let is_replaced = replaced.contains(&(place(&before, line), setting(line.text)));
        !is_gone && !goes_along && !is_replaced && !is_family(line.text)
    };
    // What stands in a part that is new is said with it, but for what is said of neighbors.
    let is_added = |line: &&Line<'_>| {
        let comes_along = now
            .parent(line)
            .is_some_and(|part| !before.keys.contains(&part.key) && part.text.starts_with("route-map "));
        !comes_along && !is_family(line.text)
    };
    let added = now.beyond(&before).filter(is_added).map(|line| (line.text.to_owned(), now.path(line)));
    let removed = before.beyond(&now).filter(is_removed).map(|line| (negated(line.text), before.path(line)));
    let mut all: Vec<(String, Vec<&str>)> = added.chain(removed).collect();
    all.sort_by_key(|(text, path)| !decides(text, path));
    all.iter().map(|(text, path)| say(text, path)).collect()
}

fn is_family(text: &str) -> bool {
    text.starts_with("address-family ")
}

/// Whether a line is of what decides which routes are taken and told.
fn decides(text: &str, path: &[&str]) -> bool {
    const WORDS: [&str; 6] = ["route-map", "prefix-list", "access-list", "-list ", "requires-policy", "network "];
    WORDS.iter().any(|word| text.contains(word) || path.iter().any(|part| part.contains(word)))
}

/// What bgpd would say `after` it was told `wanted`, had nobody typed what was typed between `before` and `then`. What is in the file
/// now nobody typed, and what is no longer in it nobody took away.
pub(super) fn untold(before: &str, then: &str, after: &str, wanted: &str) -> String {
    if [before, then, after].iter().any(|text| text.len() > LARGEST) {
        return String::new();
    }
    let state = RandomState::new();
    let [before, then, after] = [before, then, after].map(|text| Said::read(text, &state));
    let wanted: HashSet<&str> = wanted.lines().map(str::trim).collect();
    let is_typed = |line: &Line<'_>| {
        !before.keys.contains(&line.key) && then.keys.contains(&line.key) && !wanted.contains(line.text)
    };
    let mut text = String::new();
    let mut write = |depth: usize, line: &str| {
        text.extend(std::iter::repeat_n(' ', depth));
        text.push_str(line);
        text.push('\n');
    };
    // Whatever stands in a part that was typed was typed, too.
    for line in after.lines.iter().filter(|line| !is_typed(line)) {
        write(after.around(line).count(), line.text);
    }
    let is_missing = |line: &&Line<'_>| !after.keys.contains(&line.key) && wanted.contains(line.text);
    for line in before.beyond(&then).filter(is_missing) {
        let path = before.path(line);
        for (depth, part) in path.iter().chain([&line.text]).enumerate() {
            write(depth, part);
        }
    }
    text
}

/// Which of these lines, each with the parts around it, an answer does not have.
pub(super) fn lacks<'a>(now: &str, lines: &'a [frr::Line]) -> Vec<&'a frr::Line> {
    let state = RandomState::new();
    let now = Said::read(now, &state);
    let key = |line: &frr::Line| {
        let ways = line.path.iter().chain([&line.text]);
        ways.fold(None, |parent: Option<u64>, text| Some(state.hash_one((parent, text.as_str()))))
    };
    lines.iter().filter(|line| key(line).is_none_or(|key| !now.keys.contains(&key))).collect()
}

/// A command and where it was typed; no secret, and nothing that a terminal would take for more than text.
fn say(text: &str, path: &[&str]) -> String {
    const SECRETS: [&str; 3] = ["password", "key", "secret"];
    let shown = text.split_whitespace().scan(false, |over, word| {
        let show = (!*over).then_some(word);
        *over |= SECRETS.contains(&word);
        show
    });
    let text = short(&shown.collect::<Vec<_>>().join(" "));
    let parts: Vec<String> = path.iter().map(|part| short(part)).collect();
    if parts.is_empty() { format!("\"{text}\"") } else { format!("\"{text}\" in {}", parts.join(", ")) }
}

/// As much of a line as is worth repeating.
fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;

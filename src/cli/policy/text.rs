//! The matrix and an answer, for people.

use std::fmt::Write;

use ipnet::IpNet;

use super::File;
use crate::cli::output::{HEADING, Health, Table, styled};
use crate::config;
use crate::model::{LinkEnd, Network, PacketMatch};
use crate::policy::{About, Addresses, Clause, Extent, Hop, Journey, Pair, Path, Question, Transport};
use crate::policy::{MARTIAN_DESTINATIONS, MARTIAN_SOURCES};

/// The most domains that are shown as a grid.
const GRID: usize = 8;

/// The longest cell of the grid.
const CELL: usize = 32;

/// How many entries of a list are shown.
const LISTED: usize = 12;

/// The grid, if `grid` has not too many domains, and then a paragraph for each pair where something crosses.
pub fn pairs(file: &File, grid: Option<&Network>, pairs: &[&Pair<'_>]) -> String {
    let mut paragraphs = Vec::new();
    if let Some(network) = grid.filter(|network| network.domains.len() <= GRID) {
        paragraphs.push(self::grid(network, pairs));
    }
    let (nothing, something): (Vec<&Pair<'_>>, Vec<&Pair<'_>>) =
        pairs.iter().partition(|pair| pair.extent() == Extent::Nothing);
    paragraphs.extend(something.iter().map(|pair| paragraph(file, pair)));
    match nothing.as_slice() {
        [] => {}
        [only] => paragraphs.push(format!("{}: nothing crosses.\n", title(only))),
        _ if grid.is_none() => {
            let all: Vec<String> = nothing.iter().map(|pair| format!("{}: nothing crosses.\n", title(pair))).collect();
            paragraphs.push(all.concat());
        }
        all => paragraphs.push(format!("In the other {} pairs nothing crosses.\n", all.len())),
    }
    paragraphs.join("\n")
}

fn title(pair: &Pair<'_>) -> String {
    format!("{} -> {}", pair.from, pair.to)
}

fn grid(network: &Network, pairs: &[&Pair<'_>]) -> String {
    let names: Vec<&str> = network.domains.iter().map(|domain| domain.name.as_str()).collect();
    let headings: Vec<&str> = std::iter::once("FROM \\ TO").chain(names.iter().copied()).collect();
    let mut table = Table::new(&headings);
    for from in &names {
        let cell = |to: &&str| {
            let pair = pairs.iter().find(|pair| pair.from.as_str() == *from && pair.to.as_str() == *to);
            pair.map_or_else(|| ".".to_owned(), |pair| self::cell(pair))
        };
        table.row(Health::Good, std::iter::once((*from).to_owned()).chain(names.iter().map(cell)));
    }
    table.text()
}

/// What crosses, in a few words; empty if nothing does.
fn cell(pair: &Pair<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    for path in pair.paths.iter().filter(|path| path.is_open()) {
        for flow in path.packets.iter().map(packets) {
            if !words.contains(&flow) {
                words.push(flow);
            }
        }
    }
    for (service, _) in &pair.services {
        words.push(service.name.to_string());
    }
    match pair.extent() {
        Extent::Packets | Extent::Services => shortened(&words),
        Extent::Replies => "replies only".to_owned(),
        Extent::Routes => "routes only".to_owned(),
        Extent::Nothing => String::new(),
    }
}

fn shortened(words: &[String]) -> String {
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 && text.len() + word.len() > CELL {
            let _ = write!(text, " +{}", words.len() - index);
            break;
        }
        let _ = write!(text, "{}{word}", if index == 0 { "" } else { " " });
    }
    text
}

fn paragraph(file: &File, pair: &Pair<'_>) -> String {
    let mut text = styled(HEADING, &title(pair)) + "\n";
    let several = pair.paths.len() > 1;
    for path in &pair.paths {
        let via: Vec<&str> = path.via().iter().map(|name| name.as_str()).collect();
        if !via.is_empty() {
            line(&mut text, "through", &via.join(", "));
        } else if several && let Some(first) = path.crossings.first() {
            line(&mut text, "link", &first.link.label());
        }
        self::path(file, &mut text, pair, path);
    }
    if pair.paths.is_empty() && pair.services.is_empty() {
        // Only what answers flows of the other direction, by the way that they came.
        line(&mut text, "new flows", "none, replies only");
    }
    for (service, exposure) in &pair.services {
        let seen = exposure.seen(service);
        let at = if seen == service.at { String::new() } else { format!(", really {}", service.at) };
        let what = format!("{}: {seen}/{}{at}", service.name, service.protocol.as_str());
        line(&mut text, "service", &at_line(file, what, exposure.origin.line));
    }
    text
}

fn path(file: &File, text: &mut String, pair: &Pair<'_>, path: &Path<'_>) {
    if path.is_open() {
        let flows: Vec<String> = path.packets.iter().map(packets).collect();
        line(text, "new flows", &some(&flows));
        line(text, "from", &addresses(&path.sources));
        line(text, "to", &addresses(&path.destinations));
    } else if pair.replies {
        line(text, "new flows", "none, replies only");
    } else {
        line(text, "new flows", "none");
    }
    let routes: Vec<String> = path.routes.iter().map(ToString::to_string).collect();
    line(text, "routes", &if routes.is_empty() { "none".to_owned() } else { some(&routes) });
    for (end, other) in path.translations() {
        translations(file, text, end, other);
    }
}

/// What the receiver at `end` sees instead of the addresses of the other.
fn translations(file: &File, text: &mut String, end: &LinkEnd, other: &LinkEnd) {
    for alias in &end.accept.alias {
        let words = format!("{}'s {} as {}", other.domain, alias.real, alias.seen);
        let words = at_line(file, words, alias.origin.line);
        line(text, "translation", &format!("{} sees {words}", end.domain));
    }
    for nat in &end.accept.nat {
        let from: Vec<String> = nat.from.iter().map(ToString::to_string).collect();
        let words = at_line(file, format!("{}'s {} as {}", other.domain, some(&from), nat.to), nat.origin.line);
        line(text, "translation", &format!("{} sees {words}", end.domain));
    }
}

fn at_line(file: &File, words: String, line: u32) -> String {
    match file.line(line) {
        Some((place, _)) => format!("{words}  ({place})"),
        None => words,
    }
}

fn line(text: &mut String, name: &str, words: &str) {
    let _ = writeln!(text, "  {name:<12} {words}");
}

fn some(words: &[String]) -> String {
    let shown: Vec<&str> = words.iter().take(LISTED).map(String::as_str).collect();
    let more = words.len() - shown.len();
    if more > 0 { format!("{}, and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn addresses(set: &Addresses) -> String {
    let words = |nets: Vec<IpNet>| some(&nets.iter().map(ToString::to_string).collect::<Vec<_>>());
    // Martians go without saying.
    let is_martian = |net: &IpNet| {
        let all = [&MARTIAN_SOURCES, &MARTIAN_DESTINATIONS].map(|lists| lists.ipv4.iter().chain(lists.ipv6));
        all.into_iter().flatten().any(|martian| martian.contains(net))
    };
    let except: Vec<IpNet> = set.except.iter().copied().filter(|net| !is_martian(net)).collect();
    let prefixes = words(set.prefixes.clone());
    if except.is_empty() { prefixes } else { format!("{prefixes} except {}", words(except)) }
}

/// An entry of `packets`, as the file would write it.
fn packets(entry: &PacketMatch) -> String {
    match entry {
        PacketMatch::Protocol(number) => {
            config::protocol_name(*number).map_or_else(|| number.to_string(), str::to_owned)
        }
        entry => entry.to_string(),
    }
}

/// What a packet carries, as it is asked for.
pub fn flow(transport: Transport) -> String {
    match transport {
        Transport::Other(number) => packets(&PacketMatch::Protocol(number)),
        transport => transport.to_string(),
    }
}

/// Yes or no, and for each link what decides there.
pub fn answer(file: &File, question: &Question, journey: &Journey) -> String {
    let Question { from, to, transport, .. } = question;
    let Journey { source, destination, .. } = journey;
    let what = format!("{} from {source} ({from}) to {destination} ({to})", flow(*transport));
    let mut text = if journey.arrives {
        format!("{}: {what}\n", styled(HEADING, "yes"))
    } else {
        format!("{}: {what}\n", styled(Health::Bad.style(), "no"))
    };
    for hop in &journey.hops {
        let _ = write!(text, "\n{}", self::hop(file, hop));
    }
    if let Some(end) = &journey.end {
        let _ = writeln!(text, "\n{}", end.words);
        if let Some((place, words)) = file.line(end.line.line) {
            let _ = writeln!(text, "  {place}: {words}");
        }
    }
    for note in &journey.notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
    let failing = journey.hops.iter().flat_map(|hop| &hop.clauses).chain(&journey.end);
    let hints: Vec<&String> = failing.filter(|clause| !clause.holds()).filter_map(|it| it.advice.as_ref()).collect();
    for (index, hint) in hints.iter().enumerate() {
        let _ = writeln!(text, "{}hint: {hint}", if index == 0 { "\n" } else { "" });
    }
    text
}

fn hop(file: &File, hop: &Hop) -> String {
    let mut text = format!("{} -> {}\n", hop.from, hop.packet.receiver);
    let value = |clause: &Clause| match clause.about {
        About::Packets | About::Service => flow(hop.packet.transport),
        _ => clause.value.clone(),
    };
    let width = hop.clauses.iter().map(|clause| value(clause).len()).max().unwrap_or_default();
    for clause in &hop.clauses {
        let name = clause.about.as_str();
        let mut row = format!("  {name:<12} {:<width$}", value(clause));
        if let Some(reason) = clause.reason {
            let _ = write!(row, "  NO: {} (counted as {reason})", clause.words);
        } else if !clause.words.is_empty() {
            let _ = write!(row, "  {}", clause.words);
        }
        match file.line(clause.line.line) {
            Some((place, words)) if clause.words.is_empty() => {
                let _ = write!(row, "  {place}: {words}");
            }
            Some((place, words)) => {
                let _ = write!(row, "\n  {:12} {:width$}  {place}: {words}", "", "");
            }
            None => {}
        }
        let style = if clause.holds() { anstyle::Style::new() } else { Health::Bad.style() };
        let lines: Vec<String> = row.lines().map(|line| styled(style, line.trim_end()) + "\n").collect();
        text += &lines.concat();
    }
    text
}

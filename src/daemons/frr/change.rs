//! From one configuration to another while bgpd runs: which commands, in which order, and how each is taken back.
//!
//! What a filter is made of has a name that follows from its content, so that a filter that changes is one with another name.
//! Then a change is: make the new ones, which nobody uses yet; have each neighbor use the new one in one command, which has no
//! moment in between; remove the old ones, which nobody uses any more. `frr-reload.py` deletes first and adds after.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::frr::{
    Configuration, Line, declares, is_main_part, is_transactional, keeps, negated, neighbor_of, opens, setting,
};
use crate::plan::opened_anew_by_frr;

/// The part in which caches stand.
const RPKI: &str = "rpki";

/// A command with the lines that lead to where it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Typed before it, from the top of the configuration.
    pub path: Vec<String>,
    /// The command.
    pub text: String,
}

/// A command and what takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub command: Command,
    /// What undoes it, in this order.
    pub undo: Vec<Command>,
}

/// How what a neighbor has sent is judged anew; the last one that applies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judged {
    /// bgpd keeps what the neighbor sends, and does it by itself.
    Kept,
    /// The neighbor must send it again (RFC 2918).
    Asked,
    /// The neighbor begins again: what it has sent is not kept yet, and it need not do what it is asked.
    Again,
}

/// The way from one configuration to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Makes what is new, and changes objects that keep their name. In one batch, of which FRR takes all or nothing.
    pub make: Vec<String>,
    /// Takes `make` back, likewise.
    pub unmake: Vec<String>,
    /// What brings the change into force, one by one.
    pub switch: Vec<Step>,
    /// Removes what nobody uses any more. That it fails is untidy and nothing else.
    pub sweep: Vec<String>,
    /// Neighbors whose filter of what they send changes, and how what they have sent is judged by the new one.
    pub judged_anew: BTreeMap<String, Judged>,
    /// Neighbors of which a line changes that counts only from the next session on, so that this one must end. FRR mostly ends it
    /// itself, each version for other lines: 8.4 for a role, 10.3 does not.
    pub opened_anew: BTreeSet<String>,
    /// `ip protocol bgp` or `ipv6 protocol bgp`, of which zebra had another policy, and the new line if there is one: it must
    /// write the routes as if they were new.
    pub written_anew: Vec<(String, Option<String>)>,
    /// The lines that give each neighbor its filters, whether or not they change.
    pub filters: Vec<Line>,
}

impl Change {
    /// The way from `old`, which bgpd has read, to `new`.
    pub fn between(old: &str, new: &str) -> Self {
        let (old, new) = (Configuration::read(old), Configuration::read(new));
        let mut change = Self::default();
        change.objects(&old, &new);
        let mut ranked = Lines::of(&old, &new).steps(&mut change.judged_anew);
        ranked.sort_by_key(|(rank, _)| *rank);
        change.switch = ranked.into_iter().map(|(_, step)| step).collect();
        change.written_anew = written_anew(&old, &new);
        change.opened_anew = opened_anew_by_frr(&old, &new);
        change.filters = new.lines.into_iter().filter(is_route_filter).collect();
        change
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.make.is_empty() && self.switch.is_empty() && self.sweep.is_empty()
    }

    fn objects(&mut self, old: &Configuration, new: &Configuration) {
        for name in lists_first(&new.order) {
            let after = &new.objects[name];
            match old.objects.get(name) {
                None => {
                    self.make.extend(after.iter().cloned());
                    self.unmake.insert(0, format!("no {name}"));
                }
                Some(before) if before == after => {}
                Some(before) => {
                    self.make.extend(edited(name, before, after));
                    self.unmake.splice(0..0, edited(name, after, before));
                }
            }
        }
        let gone = lists_first(&old.order).into_iter().filter(|name| !new.objects.contains_key(*name));
        self.sweep = gone.map(|name| format!("no {name}")).collect();
        // Route maps use lists, so they go first.
        self.sweep.reverse();
    }
}

/// Whether every line of `old` that decides what is accepted is in `new` too, with the lists that it names.
pub fn accepts_the_same(old: &str, new: &str) -> bool {
    let (old, new) = (Configuration::read(old), Configuration::read(new));
    // A filter that changes has another name, unless an admin wrote it.
    let same = |(name, lines): (&String, &Vec<String>)| new.objects.get(name).is_none_or(|after| after == lines);
    let decides = |line: &&Line| {
        let filters = matches!(kind(line), Kind::Filter) && line.text.ends_with(" in");
        line.text.starts_with("router bgp ") || declares(line) || filters || matches!(kind(line), Kind::Activation)
    };
    old.objects.iter().all(same) && old.lines.iter().filter(decides).all(|line| new.lines.contains(line))
}

fn written_anew(old: &Configuration, new: &Configuration) -> Vec<(String, Option<String>)> {
    let policy =
        |of: &Configuration, what: &str| of.lines.iter().find(|it| setting(&it.text) == what).map(|it| it.text.clone());
    let of = |what: &str| {
        let (before, after) = (policy(old, what), policy(new, what));
        (before.is_some() && before != after).then(|| (what.to_owned(), after))
    };
    ["ip protocol bgp", "ipv6 protocol bgp"].into_iter().filter_map(of).collect()
}

fn lists_first(order: &[String]) -> Vec<&String> {
    let (maps, lists): (Vec<_>, Vec<_>) = order.iter().partition(|name| name.starts_with("route-map "));
    lists.into_iter().chain(maps).collect()
}

/// An object that keeps its name and changes, which only one that an admin wrote does. Of what FRR takes in a batch the whole
/// is replaced, and only what it comes to is applied; of the rest the new lines are there before the old ones go.
fn edited(name: &str, before: &[String], after: &[String]) -> Vec<String> {
    if is_transactional(name) {
        return std::iter::once(format!("no {name}")).chain(after.iter().cloned()).collect();
    }
    let number = |line: &str| {
        let mut words = line.split(' ').skip_while(|word| *word != "seq");
        words.nth(1).map(str::to_owned)
    };
    let replaced: BTreeSet<String> = after.iter().filter_map(|line| number(line)).collect();
    let added = after.iter().filter(|line| !before.contains(line)).cloned();
    let stays = |line: &String| after.contains(line) || number(line).is_some_and(|number| replaced.contains(&number));
    added.chain(before.iter().filter(|line| !stays(line)).map(|line| format!("no {line}"))).collect()
}

/// The order of what happens. Within one rank it is that of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// An RPKI cache that is asked while all others are replaced.
    Spare,
    /// A neighbor or a part of the configuration goes, with all that is in it.
    Removal,
    /// A neighbor no longer carries a family, for which there will be no filter.
    Deactivation,
    /// Anything else that goes: it may be in the way of what comes.
    Going,
    /// What comes or changes outside families, the neighbors themselves first.
    Coming,
    /// The caches have been replaced.
    Unsparing,
    /// What comes or changes in families: filters, limits, networks.
    Family,
    /// A neighbor begins to carry a family, which now has its filters.
    Activation,
    /// A new neighbor is whole, and may connect and be connected to.
    Opening,
    /// Filters that nothing replaces: with `bgp ebgp-requires-policy` this closes, and it comes after whatever opens.
    Unfiltering,
    /// The last cache goes, when no filter asks for origins any more.
    Unasked,
}

/// Two configurations, objects apart, of which lines are compared.
struct Lines<'a> {
    old: &'a Configuration,
    new: &'a Configuration,
    /// Parts and neighbors of the old one that are not in the new one, by the lines that make them.
    gone: Vec<&'a Line>,
}

impl<'a> Lines<'a> {
    fn of(old: &'a Configuration, new: &'a Configuration) -> Self {
        let is_part = |line: &Line| opens(&line.text) && !is_place(line);
        let parts = old.lines.iter().filter(|line| is_part(line) && !new.lines.contains(line));
        // One that is made in another way is another one: to take back how it was made removes it.
        let made = |lines: &[&Line]| -> BTreeSet<String> {
            lines.iter().filter(|line| declares(line)).map(|line| setting(&line.text)).collect()
        };
        let stay = new.neighbors();
        let stays =
            |name: &str, lines: &[&Line]| stay.get(name).is_some_and(|after| !made(lines).is_disjoint(&made(after)));
        let neighbors = old.neighbors().into_iter().filter(|(name, lines)| !stays(name, lines));
        let neighbors = neighbors.filter_map(|(_, lines)| lines.into_iter().find(|line| declares(line)));
        Self { old, new, gone: parts.chain(neighbors).collect() }
    }

    fn steps(&self, judged_anew: &mut BTreeMap<String, Judged>) -> Vec<(Rank, Step)> {
        let removals = self.old.lines.iter().filter_map(|line| self.removal(line));
        let arrivals = self.new.lines.iter().filter_map(|line| {
            let before = self.before(line);
            if before == Some(line) {
                return None;
            }
            if let (Some(name), Some(judged)) = (neighbor_of(line), self.judged(line, before)) {
                let known = judged_anew.entry(name.to_owned()).or_insert(judged);
                *known = judged.max(*known);
            }
            let closed = if before.is_none() { self.closed(line) } else { Vec::new() };
            Some(arrival(line, before).into_iter().chain(closed))
        });
        arrivals.collect::<Vec<_>>().into_iter().flatten().chain(removals).chain(self.spare()).collect()
    }

    /// A neighbor is shut down from the line that makes it until it is whole. It connects as soon as it has its timer, and told that
    /// none of its families is carried the other end may wait for a minute before it tries again.
    fn closed(&self, line: &Line) -> Vec<(Rank, Step)> {
        let Some(name) = neighbor_of(line).filter(|name| declares(line) && name.parse::<std::net::IpAddr>().is_ok())
        else {
            return Vec::new();
        };
        let shutdown = format!("neighbor {name} shutdown");
        let stays = |other: &&Line| other.path == line.path && setting(&other.text) == setting(&shutdown);
        if self.new.lines.iter().any(|other| stays(&other)) {
            return Vec::new();
        }
        let step = |text: String| Step { command: command(line, text), undo: Vec::new() };
        vec![(Rank::Coming, step(shutdown.clone())), (Rank::Opening, step(format!("no {shutdown}")))]
    }

    /// While no cache is left bgpd goes on judging by what it has freed, and dies of it (`stop()` in `bgp_rpki.c` of 8.4 leaves
    /// `rtr_is_synced` set). So where every cache is replaced by another, of which each preference has one, one is asked twice meanwhile.
    fn spare(&self) -> Vec<(Rank, Step)> {
        let (old, new) = (caches(self.old), caches(self.new));
        let Some(first) = new.first().filter(|_| !old.is_empty() && !old.iter().any(|cache| new.contains(cache)))
        else {
            return Vec::new();
        };
        let preferences: BTreeSet<&str> =
            old.iter().chain(&new).filter_map(|cache| cache.text.rsplit(' ').next()).collect();
        let free = (1..=u8::MAX).rev().find(|preference| !preferences.contains(preference.to_string().as_str()));
        let (Some((cache, _)), Some(free)) = (first.text.rsplit_once(' '), free) else { return Vec::new() };
        let spare = format!("{cache} {free}");
        let (make, remove) = (command(first, spare.clone()), command(first, negated(&spare)));
        vec![
            (Rank::Spare, Step { command: make.clone(), undo: vec![remove.clone()] }),
            (Rank::Unsparing, Step { command: remove, undo: vec![make] }),
        ]
    }

    /// How what a neighbor has sent is judged anew because of a line that comes or changes.
    fn judged(&self, line: &Line, before: Option<&Line>) -> Option<Judged> {
        let of_neighbor = |other: &&Line| other.path == line.path && neighbor_of(other) == neighbor_of(line);
        if before.is_some() && matches!(kind(line), Kind::Filter) && line.text.ends_with(" in") {
            let kept = self.old.lines.iter().filter(of_neighbor).any(keeps);
            return Some(if kept { Judged::Kept } else { Judged::Asked });
        }
        let is_there = |other: &Line| of_neighbor(&other) && self.remover(other).is_none();
        (before.is_none_or(|before| !keeps(before)) && keeps(line) && self.old.lines.iter().any(is_there))
            .then_some(Judged::Again)
    }

    /// What removes the line, if it has to be removed.
    fn removal(&self, line: &Line) -> Option<(Rank, Step)> {
        match self.remover(line) {
            Some(remover) if remover == line => {
                let undo =
                    self.old.lines.iter().filter(|other| self.remover(other) == Some(line)).map(repeated).collect();
                Some((Rank::Removal, Step { command: command(line, format!("no {}", whole(line))), undo }))
            }
            Some(_) => None,
            None if is_place(line) || self.new.lines.iter().any(|other| sets_the_same(line, other)) => None,
            None => {
                let rank = match kind(line) {
                    Kind::Activation => Rank::Deactivation,
                    Kind::Filter => Rank::Unfiltering,
                    Kind::Cache if caches(self.new).is_empty() => Rank::Unasked,
                    Kind::Cache | Kind::Other => Rank::Going,
                };
                Some((rank, Step { command: command(line, negated(&line.text)), undo: vec![repeated(line)] }))
            }
        }
    }

    /// The line of the old configuration that sets what this one sets, unless it goes with its part or its neighbor.
    fn before(&self, line: &Line) -> Option<&'a Line> {
        self.old.lines.iter().find(|other| sets_the_same(line, other) && self.remover(other).is_none())
    }

    /// The line whose removal removes this one: of its part, or of its neighbor.
    fn remover(&self, line: &Line) -> Option<&'a Line> {
        let is_part_of = |part: &Line| {
            line == part || line.path.starts_with(&part.path) && line.path.get(part.path.len()) == Some(&part.text)
        };
        let is_of_neighbor =
            |it: &Line| declares(it) && neighbor_of(it) == neighbor_of(line) && line.path.first() == it.path.first();
        let parts = self.gone.iter().filter(|it| !declares(it));
        parts.copied().find(|it| is_part_of(it)).or_else(|| self.gone.iter().copied().find(|it| is_of_neighbor(it)))
    }
}

/// What brings a line that is not there, or not with this value.
fn arrival(line: &Line, before: Option<&Line>) -> Option<(Rank, Step)> {
    let rank = match (kind(line), line.path.len()) {
        (Kind::Activation, _) => Rank::Activation,
        (Kind::Filter, _) | (_, 2..) => Rank::Family,
        _ => Rank::Coming,
    };
    let undo = match before {
        Some(before) => repeated(before),
        // To enter it is all that there is to it.
        None if is_place(line) => return None,
        None if declares(line) => command(line, format!("no {}", whole(line))),
        None => command(line, negated(&line.text)),
    };
    Some((rank, Step { command: repeated(line), undo: vec![undo] }))
}

/// A part that is there whether or not anything stands in it: a family, what is asked of caches, what counts on the vtys, or an
/// interface, of which FRR keeps what it is told as long as the kernel has it.
fn is_place(line: &Line) -> bool {
    let begins = |part: &str| line.text.starts_with(part);
    line.text == RPKI || begins("line ") || begins("address-family ") || begins("interface ")
}

fn caches(of: &Configuration) -> Vec<&Line> {
    of.lines.iter().filter(|line| matches!(kind(line), Kind::Cache)).collect()
}

fn sets_the_same(line: &Line, other: &Line) -> bool {
    line.path == other.path && setting(&line.text) == setting(&other.text)
}

enum Kind {
    Activation,
    Filter,
    Cache,
    Other,
}

fn kind(line: &Line) -> Kind {
    match line.text.split(' ').collect::<Vec<_>>().as_slice() {
        ["neighbor", _, "activate"] => Kind::Activation,
        ["neighbor", _, "route-map" | "prefix-list" | "filter-list" | "distribute-list" | "maximum-prefix", ..] => {
            Kind::Filter
        }
        ["rpki", "cache", ..] if line.path == [RPKI] => Kind::Cache,
        _ => Kind::Other,
    }
}

/// What is removed when the line that makes it is: `neighbor 10.0.0.1` for `neighbor 10.0.0.1 remote-as 65001`.
fn whole(line: &Line) -> String {
    match neighbor_of(line) {
        Some(name) if declares(line) && name.parse::<std::net::IpAddr>().is_ok() => format!("neighbor {name}"),
        Some(name) if declares(line) && line.text.contains(" interface") => format!("neighbor {name} interface"),
        _ => line.text.clone(),
    }
}

/// Whether a line is what judges the routes of a neighbor, as we and FRR itself write it.
fn is_route_filter(line: &Line) -> bool {
    let is_main = matches!(line.path.as_slice(), [part, family] if is_main_part(part) && family.ends_with(" unicast"));
    is_main
        && matches!(line.text.split(' ').collect::<Vec<_>>().as_slice(), ["neighbor", _, "route-map", _, "in" | "out"])
}

fn command(line: &Line, text: String) -> Command {
    Command { path: line.path.clone(), text }
}

/// The line, typed where it stands.
pub(super) fn repeated(line: &Line) -> Command {
    command(line, line.text.clone())
}

//! What bgpd does to its sessions when a line of its configuration changes.
//!
//! FRR says so nowhere beforehand either. What is in `options.rs` was tried on FRR 8.4.4 with a session that was up. What is not
//! in it may reset a session.

mod options;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::options::{Effect, of_neighbor, of_router};
use super::reason::{About, Reason, STALE, UNWATCHED};
use super::{Configured, Negotiated};
use crate::model::Family;
use crate::plan::frr::{self, Configuration, Line, declares, neighbor_of, own_asn, setting};

/// The sessions of a configuration.
pub(super) fn sessions(text: &str) -> Vec<Configured> {
    let read = Configuration::read(text);
    read.neighbors()
        .into_iter()
        .filter(|(_, lines)| !is_group(lines))
        .map(|(name, lines)| configured(name, &lines))
        .collect()
}

/// Why sessions of the configuration `old` are reset when `new` is brought into force. `known` says what was agreed on, and
/// `is_ours` whether a daemon of ours is at the other end.
pub(super) fn changes<'n>(
    old: &str,
    new: &str,
    known: impl Fn(&str) -> Option<&'n Negotiated>,
    is_ours: impl Fn(&Configured) -> bool,
) -> Vec<(Configured, Vec<Reason>)> {
    changes_between(&Configuration::read(old), &Configuration::read(new), known, is_ours)
}

fn changes_between<'n>(
    old: &Configuration,
    new: &Configuration,
    known: impl Fn(&str) -> Option<&'n Negotiated>,
    is_ours: impl Fn(&Configured) -> bool,
) -> Vec<(Configured, Vec<Reason>)> {
    let (before, after) = (old.neighbors(), new.neighbors());
    let common = common(old, new);
    let mut changes = Vec::new();
    for (name, lines) in before.iter().filter(|(_, lines)| !is_group(lines)) {
        let session = configured(name, lines);
        let mut found = Found { reasons: Vec::new(), known: known(name), ours: is_ours(&session) };
        match after.get(name) {
            None => found.surely(About::Removed, "it is no longer configured"),
            Some(next) => {
                found.reasons.extend(common.iter().cloned());
                found.neighbor(lines, next);
                // What a group has its members have.
                for group in groups(lines).union(&groups(next)) {
                    let (before, after) = (before.get(group).cloned(), after.get(group).cloned());
                    found.neighbor(&before.unwrap_or_default(), &after.unwrap_or_default());
                }
            }
        }
        if !found.reasons.is_empty() {
            changes.push((session, found.reasons));
        }
    }
    changes
}

/// The sessions that begin anew for sure, whatever the neighbor can do, apart from those that are removed or made anew.
pub(super) fn opened_anew(old: &Configuration, new: &Configuration) -> BTreeSet<String> {
    if own_asn(old) != own_asn(new) {
        return BTreeSet::new();
    }
    let changes = changes_between(old, new, |_| None, |_| true).into_iter();
    let is_anew = |reason: &Reason| reason.certain && reason.about != About::Removed;
    changes.filter(|(_, reasons)| reasons.iter().any(is_anew)).map(|(session, _)| session.protocol).collect()
}

fn configured(name: &str, lines: &[&Line]) -> Configured {
    let value = |option: &str| {
        let start = format!("neighbor {name} {option} ");
        lines.iter().find_map(|line| line.text.strip_prefix(&start)).map(str::to_owned)
    };
    let first = |text: String| text.split(' ').next().map(str::to_owned);
    let neighbor = name.parse().ok();
    let interface = if neighbor.is_none() { Some(name.to_owned()) } else { value("interface").and_then(first) };
    Configured {
        // Where our templates write what the session is called.
        name: value("description").and_then(first).unwrap_or_else(|| name.to_owned()),
        protocol: name.to_owned(),
        interface,
        local: value("update-source").and_then(|text| text.parse().ok()),
        neighbor,
        multihop: value("ebgp-multihop").is_some() || lines.iter().any(|line| line.text.ends_with(" ebgp-multihop")),
    }
}

fn is_group(lines: &[&Line]) -> bool {
    lines.iter().any(|line| declares(line) && line.text.ends_with(" peer-group"))
}

/// The groups that a neighbor is a member of.
fn groups<'a>(lines: &[&'a Line]) -> BTreeSet<&'a str> {
    let group = |line: &&'a Line| line.text.split_once(" peer-group ").map(|(_, group)| group);
    lines.iter().filter_map(group).collect()
}

/// What concerns every session.
fn common(old: &Configuration, new: &Configuration) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let (Some(before), Some(after)) = (own_asn(old), own_asn(new))
        && before != after
    {
        reasons.push(Reason::surely(About::Asn, &format!("AS number changes from {before} to {after}")));
        return reasons;
    }
    let lines = |it: &Configuration| -> BTreeMap<(usize, String), String> {
        let common = it.lines.iter().filter(|line| {
            neighbor_of(line).is_none() && line.path.first().is_some_and(|part| part.starts_with("router bgp"))
        });
        common.map(|line| ((line.path.len(), setting(&line.text)), line.text.clone())).collect()
    };
    for ((_, setting), before, after) in different(&lines(old), &lines(new)) {
        let effect = of_router(&setting);
        let value = |text: Option<&String>| text.and_then(|text| text.rsplit(' ').next()).unwrap_or("none").to_owned();
        match effect {
            Effect::Restart(name) if setting == "bgp router-id" => {
                let words = format!("{name} changes from {} to {}", value(before), value(after));
                reasons.push(Reason::surely(About::RouterId, &words));
            }
            Effect::Restart(name) => reasons.push(Reason::surely(About::Other, &format!("{name} changes"))),
            Effect::Nothing | Effect::Import | Effect::Limit | Effect::Keep | Effect::Watch => {}
            Effect::Unknown => {
                reasons.push(Reason::maybe(&format!("{setting:?} changes, of which it is not known what it does")));
            }
        }
    }
    reasons
}

type Change<'a, K> = (K, Option<&'a String>, Option<&'a String>);

/// The settings that differ, with the lines that set them.
fn different<'a, K: Ord + Clone>(old: &'a BTreeMap<K, String>, new: &'a BTreeMap<K, String>) -> Vec<Change<'a, K>> {
    let all: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    all.into_iter().map(|key| (key.clone(), old.get(key), new.get(key))).filter(|(_, old, new)| old != new).collect()
}

/// The reasons found for one session.
struct Found<'a> {
    reasons: Vec<Reason>,
    known: Option<&'a Negotiated>,
    /// Whether a daemon of ours is at the other end.
    ours: bool,
}

impl Found<'_> {
    fn surely(&mut self, about: About, words: &str) {
        self.reasons.push(Reason::surely(about, words));
    }

    fn neighbor(&mut self, old: &[&Line], new: &[&Line]) {
        let by_setting = |lines: &[&Line]| -> BTreeMap<(String, String), String> {
            let part = |line: &Line| line.path.get(1).cloned().unwrap_or_default();
            lines.iter().map(|line| ((part(line), setting(&line.text)), line.text.clone())).collect()
        };
        let (before, after) = (by_setting(old), by_setting(new));
        for ((part, setting), before, after) in different(&before, &after) {
            // `neighbor X timers connect` without its first two words.
            let option = setting.splitn(3, ' ').nth(2).unwrap_or_default();
            let family = family(&part);
            let place = family.map_or(String::new(), |family| format!("{}: ", family.as_str()));
            match of_neighbor(option) {
                Effect::Restart("activate") => {
                    let (name, gone) = (family.map_or("a family", Family::as_str), after.is_none());
                    let words = if gone {
                        format!("{name} is taken from the session")
                    } else {
                        format!("{name} is added to the session")
                    };
                    self.surely(About::Family, &words);
                }
                Effect::Restart("interface") if is_asn(before) && is_asn(after) => {
                    let words = words("AS number of the neighbor", &format!("{setting} remote-as"), before, after);
                    self.surely(About::PeerAsn, &words);
                }
                // Once there is a limit, another one is told to the socket that is open (`peer_ttl_security_hops_set()`).
                Effect::Restart("ttl security") if before.is_some() && after.is_some() => {}
                Effect::Restart(name) => {
                    self.surely(About::of(name), &format!("{place}{}", words(name, &setting, before, after)));
                }
                Effect::Import if option == "enforce-first-as" => self.import(),
                Effect::Import if option.ends_with(" in") && before.is_some() => {
                    if self.known.is_some_and(|known| known.stale) {
                        self.surely(About::Refresh, STALE);
                    } else if !keeps(old, &part) {
                        self.import();
                    }
                }
                Effect::Keep if after.is_some_and(|line| !line.starts_with("no ")) => {
                    self.surely(About::Other, &format!("{place}what it sends is kept from now on"));
                }
                Effect::Keep => self.import(),
                Effect::Limit => self.limit(family, before, after),
                Effect::Watch if after.is_none() => self.reasons.push(Reason::maybe(UNWATCHED)),
                Effect::Import | Effect::Watch | Effect::Nothing => {}
                Effect::Unknown => self
                    .reasons
                    .push(Reason::maybe(&format!("{place}{option:?} changes, of which it is not known what it does"))),
            }
        }
    }

    /// Routes are to be judged anew. Who cannot be asked for them is made to begin again, see `daemons::frr`.
    fn import(&mut self) {
        if self.reasons.iter().any(|reason| reason.about == About::Refresh) {
            return;
        }
        let (certain, words) = match self.known.map(|known| known.route_refresh) {
            Some(true) => return,
            Some(false) => (true, "the neighbor has no route refresh, and routes from it are to be judged anew"),
            None if self.ours => return,
            None => (false, "routes are to be judged anew, which resets it if the neighbor has no route refresh"),
        };
        self.reasons.push(Reason { certain, about: About::Refresh, words: words.to_owned() });
    }

    /// A limit that is lowered below what is there closes the session, unless it only warns.
    fn limit(&mut self, family: Option<Family>, old: Option<&String>, new: Option<&String>) {
        let most = |line: Option<&String>| {
            let line = line.filter(|line| !line.ends_with(" warning-only"));
            let number =
                line.and_then(|line| line.split(' ').skip_while(|word| *word != "maximum-prefix").nth(1)?.parse().ok());
            number.unwrap_or(u64::MAX)
        };
        let (before, after) = (most(old), most(new));
        if after >= before {
            return;
        }
        let name = family.map_or("a family", Family::as_str);
        match family.and_then(|family| self.known?.imported.get(&family)) {
            Some(there) if *there <= after => {}
            Some(there) => {
                self.surely(
                    About::Other,
                    &format!("the limit of {name} becomes {after}, and there are {there} routes"),
                );
            }
            None => self
                .reasons
                .push(Reason::maybe(&format!("the limit of {name} becomes {after}, and there may be more routes"))),
        }
    }
}

/// Whether bgpd keeps what a neighbor sends in a family, and judges it by itself.
fn keeps(lines: &[&Line], part: &str) -> bool {
    let of_part = |line: &&&Line| line.path.get(1).map(String::as_str).unwrap_or_default() == part;
    lines.iter().filter(of_part).any(|line| frr::keeps(line))
}

/// An unnumbered neighbor is made and told its AS number in one line: `neighbor rd-b interface remote-as 65002`.
fn is_asn(line: Option<&String>) -> bool {
    line.is_some_and(|line| line.contains(" interface remote-as "))
}

fn family(part: &str) -> Option<Family> {
    match part.split(' ').nth(1)? {
        "ipv4" => Some(Family::Ipv4),
        "ipv6" => Some(Family::Ipv6),
        _ => None,
    }
}

/// How a value changes, in words. Passwords are not told.
fn words(name: &str, setting: &str, old: Option<&String>, new: Option<&String>) -> String {
    let value = |line: Option<&String>| {
        let value = line.and_then(|line| line.strip_prefix(setting)).map(str::trim).filter(|value| !value.is_empty());
        value.map(str::to_owned)
    };
    match (old, new, value(old), value(new)) {
        _ if name == "password" => "password changes".to_owned(),
        (_, _, Some(old), Some(new)) => format!("{name} changes from {old} to {new}"),
        (_, _, None, Some(new)) if name == "role" => format!("{name} changes from none to {new}"),
        (_, _, Some(old), None) if name == "role" => format!("{name} changes from {old} to none"),
        (None, Some(_), ..) => format!("{name} is added"),
        (Some(_), None, ..) => format!("{name} is removed"),
        _ => format!("{name} changes"),
    }
}

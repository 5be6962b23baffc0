//! What BIRD does to its sessions when it reads a new configuration.
//!
//! BIRD restarts a protocol when almost any option of it changes, and says so nowhere beforehand. What is not understood here
//! may reset a session: an announcement too many is a nuisance, one that is missing an outage.

mod configuration;
mod lexer;
mod options;
mod protocol;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::configuration::Configuration;
use self::lexer::Token;
use self::options::{CHANNEL_SETTINGS, Effect, SETTINGS, Setting};
use self::protocol::{Channel, Protocol, Value};
use super::reason::{About, Reason, STALE, UNWATCHED};
use super::{Configured, Negotiated};
use crate::model::Family;
use crate::render;

/// The sessions of a configuration; `None` if it cannot be read.
pub(super) fn sessions(text: &str) -> Option<Vec<Configured>> {
    let read = Configuration::read(text).ok()?;
    Some(
        read.sessions
            .iter()
            .filter(|(_, protocol)| !is_disabled(protocol))
            .map(|(name, it)| configured(name, it))
            .collect(),
    )
}

/// Why sessions of the configuration `old` are reset when `new` is read; `None` if one of them cannot be read. `known` says what
/// was agreed on, and `is_ours` whether a daemon of ours is at the other end.
pub(super) fn changes<'n>(
    old: &str,
    new: &str,
    known: impl Fn(&str) -> Option<&'n Negotiated>,
    is_ours: impl Fn(&Configured) -> bool,
) -> Option<Vec<(Configured, Vec<Reason>)>> {
    let (old, new) = (Configuration::read(old).ok()?, Configuration::read(new).ok()?);
    let mut changes = Vec::new();
    for (name, before) in old.sessions.iter().filter(|(_, protocol)| !is_disabled(protocol)) {
        let session = configured(name, before);
        let ours = is_ours(&session);
        let again = new.sessions.get(name).is_some_and(|after| begins_again(name, after));
        let mut found = Found { reasons: Vec::new(), known: known(name), ours, again };
        match new.sessions.get(name) {
            None => found.surely(About::Removed, "it is no longer configured"),
            Some(after) => {
                router_id((&old, before), (&new, after), &mut found);
                found.protocol(before, after);
                common(&old, &new, name, &mut found);
            }
        }
        if !found.reasons.is_empty() {
            changes.push((session, found.reasons));
        }
    }
    Some(changes)
}

/// The sessions of which other routes are accepted once `new` is read instead of `old`, and whether rdsup has them begin again
/// then. Where that cannot be known it is all of them; `None` if `new` cannot be read.
pub(super) fn judged_anew(old: Option<&str>, new: &str) -> Option<BTreeMap<String, bool>> {
    let new = Configuration::read(new).ok()?;
    let again = |name: &String, it: &Protocol<'_>| (name.clone(), begins_again(name, it));
    let readable = old.and_then(|old| Configuration::read(old).ok());
    let comparable = |old: &Configuration<'_>| !old.includes && !new.includes && old.common == new.common;
    let Some(old) = readable.filter(comparable) else {
        return Some(new.sessions.iter().map(|(name, it)| again(name, it)).collect());
    };
    let mut judged = BTreeMap::new();
    for (name, before) in &old.sessions {
        match new.sessions.get(name) {
            None => drop(judged.insert(name.clone(), false)),
            Some(after) if !accepts_the_same(before, after) => judged.extend([again(name, after)]),
            Some(_) => {}
        }
    }
    Some(judged)
}

/// Whether the same routes of the same neighbor are accepted.
fn accepts_the_same(old: &Protocol<'_>, new: &Protocol<'_>) -> bool {
    let same = |option: &str| old.text(option) == new.text(option);
    let stays = |(name, before): (&String, &Channel<'_>)| {
        let imports = || CHANNEL_SETTINGS.iter().filter(|setting| setting.effect == Effect::Import);
        let same = |after: &Channel<'_>| {
            before.unknown == after.unknown
                && !imports().any(|it| differs(it, before.values.get(it.name), after.values.get(it.name)))
        };
        new.channels.get(name).is_some_and(same)
    };
    same("AS number of the neighbor")
        && same("address of the neighbor")
        && old.unknown == new.unknown
        && old.channels.iter().all(stays)
}

/// Whether a channel keeps what it is sent.
fn keeps(channel: &Channel<'_>) -> bool {
    channel.values.get("import table").and_then(Value::text).is_some_and(|text| text == "on")
}

/// Whether a session begins again when routes from it are to be judged anew: that with a neighbor several hops away, for which
/// BIRD must resolve next hops. It keeps them in no import table (see `render::bird`), and the neighbor need not send what it is
/// asked for.
fn begins_again(name: &str, protocol: &Protocol<'_>) -> bool {
    render::is_neighbor_protocol(name) && multihop(protocol) != "direct"
}

fn configured(name: &str, protocol: &Protocol<'_>) -> Configured {
    let address = |option| protocol.text(option).and_then(|text| text.parse().ok());
    Configured {
        name: render::session_name(name),
        protocol: name.to_owned(),
        interface: protocol.text("interface"),
        local: address("own address"),
        neighbor: address("address of the neighbor"),
        multihop: multihop(protocol) != "direct",
    }
}

fn is_disabled(protocol: &Protocol<'_>) -> bool {
    protocol.text("disabled").is_some_and(|text| text == "on")
}

/// Without either option a session with an own AS number's neighbor is multihop.
fn multihop(protocol: &Protocol<'_>) -> String {
    protocol.text("multihop").unwrap_or_else(|| {
        let internal = protocol.text("AS number") == protocol.text("AS number of the neighbor");
        if internal { "64" } else { "direct" }.to_owned()
    })
}

/// That of the protocol, or of the daemon.
fn router_id(
    old: (&Configuration<'_>, &Protocol<'_>),
    new: (&Configuration<'_>, &Protocol<'_>),
    found: &mut Found<'_>,
) {
    let of = |(daemon, protocol): (&Configuration<'_>, &Protocol<'_>)| {
        protocol.text("router id").or_else(|| {
            // `router id 192.0.2.1`, its first word taken.
            let id = daemon.router_id.as_deref()?.get(1).copied().and_then(Token::word)?;
            Some(id.to_owned())
        })
    };
    match (of(old), of(new)) {
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) if old != "from" && new != "from" => {
            found.surely(About::RouterId, &format!("router id changes from {old} to {new}"));
        }
        (None, None) => {}
        _ => found.maybe("router id may change"),
    }
}

/// What concerns every session of the daemon.
fn common(old: &Configuration<'_>, new: &Configuration<'_>, name: &str, found: &mut Found<'_>) {
    let (Some(session), after) = (old.sessions.get(name), new.sessions.get(name)) else { return };
    if old.includes || new.includes {
        found.maybe("the configuration takes in files with `include`");
    }
    if old.common != new.common {
        found.maybe("lines of the configuration change that are not understood here");
    }
    match (is_watched(session), after.is_some_and(is_watched)) {
        (true, false) => found.maybe(UNWATCHED),
        (true, true) if !old.bfd.is_kept_by(&new.bfd) => found.maybe("it uses BFD, and that protocol changes"),
        _ => {}
    }
}

fn is_watched(session: &Protocol<'_>) -> bool {
    session.values.get("bfd").is_some_and(|value| value.text().as_deref() != Some("off"))
}

/// The reasons found for one session.
struct Found<'a> {
    reasons: Vec<Reason>,
    known: Option<&'a Negotiated>,
    /// Whether a daemon of ours is at the other end.
    ours: bool,
    /// Whether it begins again when routes from it are to be judged anew.
    again: bool,
}

impl Found<'_> {
    fn surely(&mut self, about: About, words: &str) {
        self.reasons.push(Reason::surely(about, words));
    }

    fn maybe(&mut self, words: &str) {
        self.reasons.push(Reason::maybe(words));
    }

    fn protocol(&mut self, old: &Protocol<'_>, new: &Protocol<'_>) {
        let multihop_changes = multihop(old) != multihop(new);
        let role_changes = differs(setting("role"), old.values.get("role"), new.values.get("role"));
        for setting in SETTINGS.iter().filter(|setting| setting.effect == Effect::Restart) {
            let (before, after) = (old.values.get(setting.name), new.values.get(setting.name));
            match setting.name {
                // One word of the file sets them together.
                "require roles" if role_changes => {}
                "ttl security" | "own address" if multihop_changes => {}
                "multihop" if multihop_changes => {
                    let words = format!("multihop changes from {} to {}", multihop(old), multihop(new));
                    self.surely(About::Other, &words);
                }
                // That of the whole daemon may stand in for it.
                "router id" | "multihop" => {}
                _ if differs(setting, before, after) => self.restart(setting, before, after),
                _ => {}
            }
        }
        if old.unknown != new.unknown {
            self.maybe("lines of it change that are not understood here");
        }
        self.channels(&old.channels, &new.channels);
    }

    fn restart(&mut self, setting: &Setting, old: Option<&Value<'_>>, new: Option<&Value<'_>>) {
        let words = words_of(setting, old, new);
        let plain = [old, new].into_iter().flatten().all(Value::is_plain);
        if plain { self.surely(About::of(setting.name), &words) } else { self.maybe(&words) }
    }

    fn channels(&mut self, old: &BTreeMap<String, Channel<'_>>, new: &BTreeMap<String, Channel<'_>>) {
        for name in new.keys().filter(|name| !old.contains_key(*name)) {
            self.surely(About::Family, &format!("{name} is added to the session"));
        }
        for (name, before) in old {
            match new.get(name) {
                Some(after) => self.channel(name, before, after),
                // What the neighbor never agreed to can go without a word to it.
                None if self.is_up(name) == Some(false) => self.maybe(&format!("{name} is taken from the session")),
                None => self.surely(About::Family, &format!("{name} is taken from the session")),
            }
        }
    }

    fn channel(&mut self, name: &str, old: &Channel<'_>, new: &Channel<'_>) {
        for setting in CHANNEL_SETTINGS {
            let (before, after) = (old.values.get(setting.name), new.values.get(setting.name));
            if setting.name == "table" {
                let main =
                    |value: Option<&Value<'_>>| value.and_then(Value::text).is_none_or(|table| is_main(name, &table));
                if main(before) && main(after) {
                    continue;
                }
            }
            if !differs(setting, before, after) {
                continue;
            }
            match setting.effect {
                Effect::Restart => {
                    let words = format!("{name}: {}", words_of(setting, before, after));
                    self.surely(About::Other, &words);
                }
                Effect::RestartIfDown if self.is_up(name) != Some(true) => {
                    self.maybe(&format!("{name}: {}", words_of(setting, before, after)));
                }
                Effect::Import => self.import(name, old),
                Effect::Limit => self.limit(name, setting.name, before, after),
                Effect::RestartIfDown | Effect::Nothing => {}
            }
        }
        if old.unknown != new.unknown {
            self.maybe(&format!("lines of {name} change that are not understood here"));
        }
    }

    /// Routes are to be judged anew. A daemon that neither keeps them nor can ask for them again must begin again.
    fn import(&mut self, channel: &str, old: &Channel<'_>) {
        const WITHOUT: &str = "the neighbor has no route refresh, and routes from it are to be judged anew";
        const AFAR: &str =
            "routes from it are to be judged anew, and BIRD does not keep those of a neighbor several hops away";
        if self.known.is_some_and(|known| known.stale) {
            self.reasons.push(Reason::surely(About::Refresh, STALE));
            return;
        }
        if keeps(old)
            || self.is_up(channel) == Some(false)
            || self.reasons.iter().any(|reason| reason.about == About::Refresh)
        {
            return;
        }
        if self.again {
            self.reasons.push(Reason::surely(About::Refresh, AFAR));
            return;
        }
        let refreshes = self.known.map(|known| known.route_refresh);
        let (certain, words) = match refreshes {
            Some(true) => return,
            Some(false) => (true, WITHOUT),
            None if self.ours => return,
            None => (false, "routes are to be judged anew, which resets it if the neighbor has no route refresh"),
        };
        self.reasons.push(Reason { certain, about: About::Refresh, words: words.to_owned() });
    }

    /// A limit that is lowered below what is there closes the session, unless it only blocks or warns.
    fn limit(&mut self, channel: &str, name: &str, old: Option<&Value<'_>>, new: Option<&Value<'_>>) {
        let (old, new) = (Limit::of(old), Limit::of(new));
        if !new.closes || old.closes && old.most <= new.most {
            return;
        }
        let imported =
            self.known.and_then(|known| known.imported.get(&family(channel)?)).filter(|_| name == "import limit");
        match imported {
            Some(there) if *there <= new.most => {}
            Some(there) => {
                let words = format!("the limit of {channel} becomes {}, and there are {there} routes", new.most);
                self.surely(About::Other, &words);
            }
            None => self.maybe(&format!("the limit of {channel} becomes {}, and there may be more routes", new.most)),
        }
    }

    /// Whether a channel is up, if that is known.
    fn is_up(&self, channel: &str) -> Option<bool> {
        Some(self.known?.imported.contains_key(&family(channel)?))
    }
}

/// `10000 action restart`.
struct Limit {
    most: u64,
    closes: bool,
}

impl Limit {
    fn of(value: Option<&Value<'_>>) -> Self {
        let text = value.and_then(Value::text).unwrap_or_default();
        let mut words = text.split_whitespace();
        let most = words.next().filter(|word| *word != "off");
        let closes = most.is_some() && !matches!(words.last(), Some("warn" | "block"));
        Self { most: most.and_then(|word| word.parse().ok()).unwrap_or(if closes { 0 } else { u64::MAX }), closes }
    }
}

fn family(channel: &str) -> Option<Family> {
    match channel {
        "ipv4" => Some(Family::Ipv4),
        "ipv6" => Some(Family::Ipv6),
        _ => None,
    }
}

/// Whether it is the table that a channel has without being told.
fn is_main(channel: &str, table: &str) -> bool {
    matches!((channel, table), ("ipv4", "master4") | ("ipv6", "master6"))
}

fn setting(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.name == name).expect("it is in the table")
}

fn differs(setting: &Setting, old: Option<&Value<'_>>, new: Option<&Value<'_>>) -> bool {
    let is_default = |value: &Value<'_>| value.text().as_deref() == Some(setting.default);
    match (old, new) {
        (None, None) => false,
        (Some(old), Some(new)) => old.digest != new.digest,
        (Some(value), None) | (None, Some(value)) => !is_default(value),
    }
}

fn words_of(setting: &Setting, old: Option<&Value<'_>>, new: Option<&Value<'_>>) -> String {
    let name = setting.name;
    let default = || Some(setting.default).filter(|text| !text.is_empty()).map(str::to_owned);
    let text = |value: Option<&Value<'_>>| value.map_or_else(default, Value::text);
    match (old, new, text(old), text(new)) {
        (_, _, Some(old), Some(new)) if old != new => format!("{name} changes from {old} to {new}"),
        (None, Some(_), ..) if setting.default.is_empty() => format!("{name} is added"),
        (Some(_), None, ..) if setting.default.is_empty() => format!("{name} is removed"),
        _ => format!("{name} changes"),
    }
}

//! `show protocols all` as sessions.
//!
//! A protocol is a line `1002 NAME Proto Table State Since Info`, followed by its details as `1006` lines with two spaces
//! of indentation for each level. What BFD sees is an answer of its own, `show bfd sessions`. Recorded answers are in `tests/cases/bird`.

use std::net::IpAddr;

use jiff::Timestamp;

use super::super::{FamilyCounts, Peers, Session};
use super::protocol::Reply;
use crate::model::{Asn, Family};
use crate::render;

const PROTOCOL_LINE: u16 = 1002;
const DETAIL_LINE: u16 = 1006;
const BFD_LINE: u16 = 1020;

/// The BGP sessions of an answer to `show protocols all`, in BIRD's order.
pub(super) fn sessions(reply: &Reply, peers: &Peers) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut inside = false;
    for (code, text) in &reply.lines {
        if *code == PROTOCOL_LINE {
            let session = headline(text, peers);
            inside = session.is_some();
            sessions.extend(session);
        } else if *code == DETAIL_LINE
            && inside
            && let Some(session) = sessions.last_mut()
        {
            detail(session, text.trim());
        }
    }
    for session in &mut sessions {
        for family in &session.families {
            session.imported = session.imported.saturating_add(family.imported);
            session.filtered = session.filtered.zip(family.filtered).map(|(one, other)| one.saturating_add(other));
            session.exported = session.exported.saturating_add(family.exported);
        }
    }
    sessions
}

/// The names of the protocols of an answer to `show protocols all` that speak BFD.
pub(super) fn watchers(reply: &Reply) -> Vec<&str> {
    let heads = reply.lines.iter().filter(|(code, _)| *code == PROTOCOL_LINE);
    heads
        .filter_map(|(_, text)| {
            let mut words = text.split_whitespace();
            words.next().filter(|_| words.next() == Some("BFD"))
        })
        .collect()
}

/// Notes at `sessions` what an answer to `show bfd sessions` says of their neighbors: `ADDRESS INTERFACE STATE Since …`. A
/// link-local address is that of several neighbors.
pub(super) fn watched(sessions: &mut [Session], reply: &Reply) {
    for (_, text) in reply.lines.iter().filter(|(code, _)| *code == BFD_LINE) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let &[address, interface, state, ..] = words.as_slice() else { continue };
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        let about = |session: &&mut Session| {
            session.address == Some(address) && session.interface.as_deref().is_none_or(|name| name == interface)
        };
        for session in sessions.iter_mut().filter(about) {
            session.bfd = Some(state.to_lowercase());
        }
    }
}

/// Our name of a protocol, see the naming of links and neighbors: `rd_internet` is the link interface `rd-internet`,
/// `ext_isp` the neighbor `isp`, `originated4` what is announced as our own.
pub(super) fn our_name(protocol: &str) -> String {
    // One for each family, as for `kernel4` and `kernel6`.
    if protocol.starts_with("originated") { "originated".to_owned() } else { render::session_name(protocol) }
}

fn headline(text: &str, peers: &Peers) -> Option<Session> {
    let mut words = text.split_whitespace();
    let protocol = words.next()?;
    if words.next()? != "BGP" {
        return None;
    }
    let (_table, up) = (words.next()?, words.next()?);
    let rest: Vec<&str> = words.collect();
    let name = our_name(protocol);
    let peer = match peers.get(&name) {
        Some(peer) => peer.clone(),
        None => name.strip_prefix("rd-").unwrap_or(&name).to_owned(),
    };
    Some(Session {
        name,
        peer,
        protocol: protocol.to_owned(),
        remote_asn: None,
        local_asn: None,
        address: None,
        interface: None,
        // Until the details say better: a protocol that is disabled has none.
        state: if up == "down" { "Down".to_owned() } else { up.to_owned() },
        since: since(&rest),
        imported: 0,
        filtered: Some(0),
        exported: 0,
        families: Vec::new(),
        last_error: None,
        neighbor_id: None,
        source: None,
        hold_seconds: None,
        route_refresh: None,
        bfd: None,
        stale: false,
    })
}

/// The time at the start of `words`: with its zone, as our configuration asks for, in seconds since 1970, as it once did, or
/// in one of BIRD's own forms.
pub(super) fn since(words: &[&str]) -> Option<Timestamp> {
    let first = *words.first()?;
    if first.bytes().all(|b| b.is_ascii_digit()) {
        return Timestamp::from_second(first.parse().ok()?).ok();
    }
    if let Ok(time) = first.parse() {
        return Some(time);
    }
    let zone = jiff::tz::TimeZone::system();
    let moment = match first.parse::<jiff::civil::Date>() {
        Ok(date) => {
            let time = words.get(1).and_then(|word| word.parse::<jiff::civil::Time>().ok()).unwrap_or_default();
            date.to_datetime(time)
        }
        // `iso short` leaves out the date of what is less than a day old.
        Err(_) => jiff::Zoned::now().date().to_datetime(first.parse().ok()?),
    };
    moment.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
}

fn detail(session: &mut Session, text: &str) {
    if let Some(channel) = text.strip_prefix("Channel ") {
        let family = if channel.starts_with("ipv6") { Family::Ipv6 } else { Family::Ipv4 };
        let none_yet = FamilyCounts { family, up: false, imported: 0, filtered: Some(0), exported: 0, limit: None };
        session.families.push(none_yet);
        return;
    }
    match (text, session.route_refresh) {
        // What we can do ourselves is listed before, under a heading of its own.
        ("Neighbor capabilities", _) => session.route_refresh = Some(false),
        ("Route refresh", Some(false)) => session.route_refresh = Some(true),
        ("Neighbor graceful restart active", _) => session.stale = true,
        _ => {}
    }
    let Some((key, value)) = text.split_once(':') else { return };
    let value = value.trim();
    match (key, session.families.last_mut()) {
        ("BGP state", _) => value.clone_into(&mut session.state),
        ("Neighbor address", _) => {
            let (address, interface) = match value.split_once('%') {
                Some((address, interface)) => (address, Some(interface.to_owned())),
                None => (value, None),
            };
            session.address = address.parse::<IpAddr>().ok();
            session.interface = interface;
        }
        ("Neighbor AS", _) => session.remote_asn = value.parse().ok().map(Asn),
        ("Local AS", _) => session.local_asn = value.parse().ok().map(Asn),
        ("Neighbor ID", _) => session.neighbor_id = value.parse().ok(),
        ("Source address", _) => session.source = value.parse().ok(),
        ("Last error", _) => session.last_error = Some(value.to_owned()),
        // `63.307/90`: what is left of what was agreed.
        ("Hold timer", _) => session.hold_seconds = value.split_once('/').and_then(|(_, all)| all.parse().ok()),
        ("State", Some(family)) => family.up = value == "UP",
        ("Routes", Some(family)) => {
            for part in value.split(", ") {
                match part.split_once(' ') {
                    Some((count, "imported")) => family.imported = count.parse().unwrap_or(0),
                    Some((count, "filtered")) => family.filtered = Some(count.parse().unwrap_or(0)),
                    Some((count, "exported")) => family.exported = count.parse().unwrap_or(0),
                    _ => {}
                }
            }
        }
        // `7 0 3 0 4`: received, rejected, filtered, ignored, accepted. What a filter refuses is not kept, so that the line
        // of routes says nothing of it.
        ("Import updates", Some(family)) => {
            let filtered = value.split_whitespace().nth(2).and_then(|count| count.parse().ok());
            family.filtered = family.filtered.max(filtered);
        }
        ("Import limit" | "Receive limit", Some(family)) => {
            family.limit = value.split_whitespace().next().and_then(|count| count.parse().ok());
        }
        _ => {}
    }
}

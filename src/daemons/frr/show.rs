//! `show bgp neighbors json` as sessions. Recorded answers are in `tests/cases/frr`.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::{FamilyCounts, Peers, Session};
use crate::model::{Asn, Family};

/// The sessions of an answer to `show bgp neighbors json` that was given at `now`, in FRR's order; `None` if it is none.
pub(super) fn sessions(text: &str, peers: &Peers, now: i64) -> Option<Vec<Session>> {
    let all: Map<String, Value> = serde_json::from_str(text).ok()?;
    // `bgpNoSuchNeighbor` and the like are no objects.
    Some(all.iter().filter_map(|(key, value)| Some(session(key, value.as_object()?, peers, now))).collect())
}

/// What FRR calls a family in JSON.
pub(super) fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4Unicast",
        Family::Ipv6 => "ipv6Unicast",
    }
}

/// FRR names a session by its neighbor's address, or by the interface of an unnumbered one. Ours is the first word of its
/// description, where our templates put it.
fn session(key: &str, it: &Map<String, Value>, peers: &Peers, now: i64) -> Session {
    let text = |name: &str| it.get(name).and_then(Value::as_str);
    let number = |name: &str| it.get(name).and_then(Value::as_u64);
    let moment = |name: &str| it.get(name).and_then(Value::as_i64);
    let address: Option<IpAddr> = key.parse().ok().or_else(|| text("bgpNeighborAddr")?.parse().ok());
    let name = text("nbrDesc").and_then(|text| text.split_whitespace().next()).unwrap_or(key).to_owned();
    let peer = match peers.get(&name) {
        Some(peer) => peer.clone(),
        None => name.strip_prefix("rd-").unwrap_or(&name).to_owned(),
    };
    let established = text("bgpState") == Some("Established");
    let down = it.get("adminShutDown").and_then(Value::as_bool) == Some(true);
    let state = if down { "Down" } else { text("bgpState").unwrap_or_default() };
    let is_local = |address: IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let interface = match key.parse::<IpAddr>() {
        Err(_) => Some(key.to_owned()),
        Ok(address) => Some(name.clone()).filter(|_| is_local(address)),
    };
    let since = if established {
        moment("bgpTimerUpMsec").map(|ago| now - ago / 1000)
    } else {
        moment("lastResetTimerMsecs").map(|ago| now - ago / 1000)
    };
    let families: Vec<FamilyCounts> =
        Family::ALL.iter().filter_map(|family| counts(it, *family, established)).collect();
    let capability = it.get("neighborCapabilities").and_then(|all| all.get("routeRefresh")).and_then(Value::as_str);
    Session {
        name,
        peer,
        protocol: key.to_owned(),
        remote_asn: number("remoteAs").and_then(asn),
        local_asn: number("localAs").and_then(asn),
        address,
        interface,
        state: state.to_owned(),
        since: since.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        imported: families.iter().map(|family| family.imported).sum(),
        filtered: families.iter().map(|family| family.filtered).sum(),
        exported: families.iter().map(|family| family.exported).sum(),
        families,
        last_error: last_error(it),
        neighbor_id: text("remoteRouterId").and_then(|id| id.parse().ok()).filter(|_| established),
        source: text("hostLocal").and_then(|address| address.parse().ok()),
        hold_seconds: number("bgpTimerHoldTimeMsecs")
            .filter(|_| established)
            .and_then(|milliseconds| u32::try_from(milliseconds / 1000).ok()),
        stale: is_stale(it),
        route_refresh: established.then(|| capability.is_some_and(|word| word.to_lowercase().contains("received"))),
    }
}

/// The first timer ends when the session is up again, the second when the neighbor has said everything.
fn is_stale(it: &Map<String, Value>) -> bool {
    let timers = ["gracefulRestartTimerMsecs", "gracefulStalepathTimerMsecs"];
    it.get("gracefulRestartInfo").is_some_and(|info| timers.iter().any(|timer| info.get(timer).is_some()))
}

fn asn(number: u64) -> Option<Asn> {
    u32::try_from(number).ok().map(Asn)
}

/// What a session carries in a family that it is configured for. FRR keeps no count of what a filter refused.
fn counts(it: &Map<String, Value>, family: Family, established: bool) -> Option<FamilyCounts> {
    let info = it.get("addressFamilyInfo")?.get(word(family))?;
    let number = |name: &str| info.get(name).and_then(Value::as_u64);
    let agreed = it
        .get("neighborCapabilities")
        .and_then(|all| all.get("multiprotocolExtensions")?.get(word(family))?.get("advertisedAndReceived")?.as_bool());
    Some(FamilyCounts {
        family,
        up: established && agreed == Some(true),
        imported: number("acceptedPrefixCounter").unwrap_or(0),
        filtered: 0,
        exported: number("sentPrefixCounter").unwrap_or(0),
        limit: number("prefixAllowedMax"),
    })
}

/// Why it last went down, or what it waits for.
fn last_error(it: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| it.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let due = text("lastResetDueTo")?;
    // What it waited for before it came up first.
    if text("bgpState") == Some("Established") && it.get("connectionsDropped").and_then(Value::as_u64) == Some(0) {
        return None;
    }
    let reason = ["lastNotificationReason", "lastShutdownDescription"].into_iter().find_map(text);
    let words = reason.map_or(due.to_owned(), |reason| format!("{due} ({})", reason.trim()));
    Some(words)
}

//! `show bgp neighbors json` as sessions. Recorded answers are in `tests/cases/frr`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::{FamilyCounts, Peers, Session};
use crate::model::{Asn, Family};
use crate::plan::{self, frr::Configuration};

/// The state of a session that a daemon was given and does not have.
const MISSING: &str = "Missing";

/// What bgpd is asked for its sessions.
pub(super) const NEIGHBORS: &str = "show bgp neighbors json";

/// An answer to [`NEIGHBORS`], read once for all that is in it: a neighbor is some ten kilobytes of text.
#[derive(Debug, Default)]
pub(super) struct Neighbors(Map<String, Value>);

impl Neighbors {
    /// `None` if it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// Its sessions, if it was given at `now`, in FRR's order.
    pub(super) fn sessions(&self, peers: &Peers, now: i64) -> Vec<Session> {
        // `bgpNoSuchNeighbor` and the like are no objects.
        self.0.iter().filter_map(|(key, value)| Some(session(key, value.as_object()?, peers, now))).collect()
    }

    /// The sessions that are Established and keep what their filters refuse (`soft-reconfiguration inbound`), by FRR's name, each for
    /// its family.
    pub(super) fn keeping_refused(&self) -> Vec<(String, Family)> {
        self.in_families(|it, family| {
            let info = it.get("addressFamilyInfo")?.get(word(family))?;
            info.get("inboundSoftConfigPermit")?.as_bool()
        })
    }

    /// The sessions that are Established, by FRR's name, each with how many that neighbor had so far: of two answers with the same
    /// number it is one session.
    pub(super) fn established(&self) -> BTreeMap<String, u64> {
        self.up().filter_map(|(key, it)| Some((key.clone(), it.get("connectionsEstablished")?.as_u64()?))).collect()
    }

    /// The sessions of which stale routes may be kept although no timer runs, by FRR's name, each for its family.
    ///
    /// From 10.0 on the timers are lost with the connection that was there before, where the neighbor is the one that connects
    /// (`peer_xfer_conn()`; not in 10.6), and what is stale stays until the neighbor says that it has said everything.
    pub(super) fn may_be_stale(&self) -> Vec<(String, Family)> {
        let returned = |it: &Map<String, Value>| {
            let capability = it.get("neighborCapabilities").and_then(|all| all.get("gracefulRestart")?.as_str());
            it.get("connectionsDropped").and_then(Value::as_u64).is_some_and(|dropped| dropped > 0)
                && capability.is_some_and(|word| word.to_lowercase().contains("received"))
                && !is_stale(it)
        };
        self.in_families(|it, family| {
            it.get("addressFamilyInfo")?.get(word(family))?;
            let told =
                it.get("gracefulRestartInfo").and_then(|info| info.get("endOfRibRecv")?.get(word(family))?.as_bool());
            Some(told != Some(true) && returned(it))
        })
    }

    /// Whether all are Established that BFD is to watch.
    pub(super) fn watched_are_up(&self) -> bool {
        let watched = self.0.values().filter(|it| it.get("peerBfdInfo").is_some()).count();
        watched == self.up().filter(|(_, it)| it.contains_key("peerBfdInfo")).count()
    }

    /// Those that are Established.
    fn up(&self) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
        let objects = self.0.iter().filter_map(|(key, it)| Some((key, it.as_object()?)));
        objects.filter(|(_, it)| it.get("bgpState").and_then(Value::as_str) == Some("Established"))
    }

    /// Those of them of which something is so in a family.
    fn in_families(&self, is_so: impl Fn(&Map<String, Value>, Family) -> Option<bool>) -> Vec<(String, Family)> {
        let each = self.up().flat_map(|(key, it)| Family::ALL.map(|family| (key, it, family)));
        let so = each.filter(|(_, it, family)| is_so(it, *family) == Some(true));
        so.map(|(key, _, family)| (key.clone(), family)).collect()
    }
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
        filtered: None,
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
        bfd: it.get("peerBfdInfo").and_then(|info| info.get("status")?.as_str()).map(str::to_lowercase),
    }
}

/// The sessions of a configuration that are not among those that there are.
pub(super) fn absent(read: &str, there: &[Session], peers: &Peers) -> Vec<Session> {
    let read = Configuration::read(read);
    let is_there = |key: &str| {
        let address = key.parse::<IpAddr>().ok();
        there.iter().any(|session| session.protocol == key || address.is_some() && session.address == address)
    };
    let gone = plan::frr::sessions(&read).into_iter().filter(|(key, _)| !is_there(key));
    gone.map(|(key, lines)| {
        let value =
            |what: &str| lines.iter().find_map(|line| line.text.strip_prefix(&format!("neighbor {key} {what} ")));
        let mut it = Map::new();
        it.extend(value("description").map(|words| ("nbrDesc".to_owned(), words.into())));
        it.extend(value("remote-as").and_then(|asn| Some(("remoteAs".to_owned(), asn.parse::<u32>().ok()?.into()))));
        Session { state: MISSING.to_owned(), ..session(key, &it, peers, 0) }
    })
    .collect()
}

/// The first timer ends when the session is up again, the second when the neighbor has said everything.
fn is_stale(it: &Map<String, Value>) -> bool {
    let timers = ["gracefulRestartTimerMsecs", "gracefulStalepathTimerMsecs"];
    it.get("gracefulRestartInfo").is_some_and(|info| timers.iter().any(|timer| info.get(timer).is_some()))
}

fn asn(number: u64) -> Option<Asn> {
    u32::try_from(number).ok().map(Asn)
}

/// What a session carries in a family that it is configured for. What a filter refused is not in this answer: see [`filtered`].
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
        filtered: None,
        exported: number("sentPrefixCounter").unwrap_or(0),
        limit: number("prefixAllowedMax"),
    })
}

/// How many stale routes there are of those that an answer to `… neighbors NAME prefix-counts json` speaks of.
pub(super) fn stale(text: &str) -> u64 {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    answer.get("ribTableWalkCounters").and_then(|counters| counters.get("Stale")?.as_u64()).unwrap_or(0)
}

/// How many routes are refused of those that an answer to `… neighbors NAME prefix-counts json` speaks of; `None` if it is none.
pub(super) fn filtered(text: &str) -> Option<u64> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let received = answer.get("ribTableWalkCounters")?.get("Adj-in")?.as_u64()?;
    Some(received.saturating_sub(answer.get("pfxCounter")?.as_u64()?))
}

/// Notes how many routes a session refuses in a family.
pub(super) fn note_filtered(sessions: &mut [Session], key: &str, family: Family, filtered: Option<u64>) {
    let Some(session) = sessions.iter_mut().find(|session| session.protocol == key) else { return };
    for counts in session.families.iter_mut().filter(|counts| counts.family == family) {
        counts.filtered = filtered;
    }
    let mut carried = session.families.iter().filter(|counts| counts.up).peekable();
    let known = carried.peek().is_some();
    session.filtered = carried.map(|counts| counts.filtered).sum::<Option<u64>>().filter(|_| known);
}

/// Why it last went down, or what it waits for.
fn last_error(it: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| it.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let due = text("lastResetDueTo")?;
    // What it waited for before it came up first.
    if text("bgpState") == Some("Established") && it.get("connectionsDropped").and_then(Value::as_u64) == Some(0) {
        return None;
    }
    // Every neighbor that is added was shut down for a moment, by us.
    if due == "Admin. shutdown" && it.get("adminShutDown").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let reason = ["lastNotificationReason", "lastShutdownDescription"].into_iter().find_map(text);
    let words = reason.map_or(due.to_owned(), |reason| format!("{due} ({})", reason.trim()));
    Some(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn neighbor(dropped: u64, restarts: &str, info: &Value) -> Value {
        json!({
            "bgpState": "Established",
            "connectionsDropped": dropped,
            "neighborCapabilities": { "gracefulRestart": restarts },
            "gracefulRestartInfo": info,
            "addressFamilyInfo": { "ipv4Unicast": {}, "ipv6Unicast": {} },
        })
    }

    #[test]
    fn a_shutdown_that_is_over_is_no_error() {
        let of = |down: bool| json!({ "bgpState": "Idle", "lastResetDueTo": "Admin. shutdown", "adminShutDown": down });
        assert_eq!(last_error(of(true).as_object().unwrap()).as_deref(), Some("Admin. shutdown"));
        assert_eq!(last_error(of(false).as_object().unwrap()), None);
    }

    #[test]
    fn who_came_back_and_has_not_said_everything_may_have_stale_routes() {
        let silent = json!({ "endOfRibRecv": { "ipv6Unicast": true } });
        let both = "advertisedAndReceived";
        let all = json!({
            "192.0.2.1": neighbor(1, both, &silent),
            "192.0.2.2": neighbor(0, both, &silent),
            "192.0.2.3": neighbor(1, "advertised", &silent),
            "192.0.2.4": neighbor(1, both, &json!({ "endOfRibRecv": { "ipv4Unicast": true, "ipv6Unicast": true } })),
            "192.0.2.5": neighbor(1, both, &json!({ "gracefulStalepathTimerMsecs": 1000, "endOfRibRecv": {} })),
        });
        let may_be_stale = |text: &str| Neighbors::read(text).unwrap_or_default().may_be_stale();
        assert_eq!(may_be_stale(&all.to_string()), [("192.0.2.1".to_owned(), Family::Ipv4)]);
        assert_eq!(may_be_stale("no such thing"), []);
    }

    #[test]
    fn stale_routes_are_among_what_a_walk_counts() {
        assert_eq!(stale(r#"{"ribTableWalkCounters":{"Adj-in":3,"Stale":2},"pfxCounter":3}"#), 2);
        assert_eq!(stale(r#"{"ribTableWalkCounters":{"Adj-in":3},"pfxCounter":3}"#), 0);
        assert_eq!(stale("no such thing"), 0);
    }
}

//! `show bgp ipv4 unicast json detail` and `show ip route json` as routes. Recorded answers are in `tests/cases/frr`.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::{BgpAttributes, NextHop, Route, Session};

/// The routes of an answer to `show bgp FAMILY unicast …`, for the whole table or for one prefix; `None` if it is none.
///
/// The whole table is `{"routes": {PREFIX: [HEAD, PATH, …]}}`, from 9.0 on with `{"paths": […]}` in place of the list; one
/// prefix is `{"prefix": …, "paths": […]}`, or nothing.
pub(super) fn bgp(text: &str, sessions: &[Session]) -> Option<Vec<Route>> {
    let answer: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut routes = Vec::new();
    let mut add = |prefix: &str, found: &Value| {
        let Ok(prefix) = prefix.parse::<IpNet>() else { return };
        let listed = found.as_array().or_else(|| found.get("paths")?.as_array());
        let paths = listed.into_iter().flatten().filter(|path| path.get("nexthops").is_some());
        routes.extend(paths.map(|path| bgp_route(prefix, path, sessions)));
    };
    if let Some(all) = answer.get("routes").and_then(Value::as_object) {
        all.iter().for_each(|(prefix, found)| add(prefix, found));
    } else if let (Some(prefix), Some(found)) = (answer.get("prefix").and_then(Value::as_str), answer.get("paths")) {
        add(prefix, found);
    }
    Some(routes)
}

fn bgp_route(prefix: IpNet, path: &Value, sessions: &[Session]) -> Route {
    let ours = path.get("sourced").and_then(Value::as_bool) == Some(true);
    let peer = path.get("peer").and_then(|peer| peer.get("peerId")).and_then(Value::as_str).unwrap_or_default();
    let session = sessions.iter().find(|session| session.is_called(peer));
    let from = session.map_or(peer, |session| &session.name);
    let mut next_hops = next_hops(path, "used");
    for hop in &mut next_hops {
        if matches!(hop.via, Some(IpAddr::V6(via)) if via.is_unicast_link_local()) && hop.interface.is_none() {
            hop.interface = session.and_then(|session| session.interface.clone());
        }
    }
    let number = |name: &str| path.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let inner = |name: &str, key: &str| path.get(name)?.get(key)?.as_str();
    let communities = ["community", "extendedCommunity", "largeCommunity"];
    Route {
        prefix,
        kind: "unicast".to_owned(),
        // A route of our own has none: `0.0.0.0` stands for ourselves.
        next_hops: if ours { Vec::new() } else { next_hops },
        from: if ours { "originated" } else { from }.to_owned(),
        protocol: if ours { "network" } else { peer }.to_owned(),
        source: "bgp".to_owned(),
        since: path.get("lastUpdate").and_then(|update| moment(update.get("epoch")?.as_i64()?)),
        preference: None,
        best: path.get("bestpath").and_then(|best| best.get("overall")?.as_bool()) == Some(true),
        bgp: Some(BgpAttributes {
            origin: path.get("origin").and_then(Value::as_str).map(origin),
            as_path: inner("aspath", "string").filter(|path| *path != "Local").unwrap_or_default().to_owned(),
            local_pref: number("locPrf").or_else(|| number("localPref")),
            med: number("med").or_else(|| number("metric")),
            communities: communities
                .into_iter()
                .filter_map(|kind| inner(kind, "string"))
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect(),
        }),
    }
}

fn origin(word: &str) -> String {
    if word == "incomplete" { "Incomplete".to_owned() } else { word.to_owned() }
}

/// Those that are in use, or all if none is said to be.
fn next_hops(path: &Value, in_use: &str) -> Vec<NextHop> {
    let all = path.get("nexthops").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let used = |hop: &&Value| hop.get(in_use).and_then(Value::as_bool) == Some(true);
    let none_is = !all.iter().any(|hop| used(&hop));
    all.iter()
        .filter(|hop| none_is || used(hop))
        .map(|hop| NextHop {
            via: hop.get("ip").and_then(Value::as_str).and_then(|via| via.parse().ok()),
            interface: hop.get("interfaceName").and_then(Value::as_str).map(str::to_owned),
        })
        .filter(|hop| hop.via.is_some() || hop.interface.is_some())
        .collect()
}

/// The routes of an answer to `show ip route … json` or `show ipv6 route … json` that was given at `now`; `None` if it is
/// none.
pub(super) fn zebra(text: &str, sessions: &[Session], now: i64) -> Option<Vec<Route>> {
    let answer: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut routes = Vec::new();
    for (prefix, found) in &answer {
        let Ok(prefix) = prefix.parse::<IpNet>() else { continue };
        routes.extend(found.as_array().into_iter().flatten().map(|route| zebra_route(prefix, route, sessions, now)));
    }
    Some(routes)
}

fn zebra_route(prefix: IpNet, it: &Value, sessions: &[Session], now: i64) -> Route {
    let protocol = it.get("protocol").and_then(Value::as_str).unwrap_or_default();
    let next_hops = next_hops(it, "fib");
    let session = sessions.iter().filter(|_| protocol == "bgp").find(|session| {
        let is_it = |via: IpAddr| session.address == Some(via);
        next_hops
            .iter()
            .any(|hop| hop.via.is_some_and(is_it) || hop.interface.is_some() && hop.interface == session.interface)
    });
    let flag = |name: &str| {
        let hops = it.get("nexthops").and_then(Value::as_array);
        hops.is_some_and(|hops| hops.iter().any(|hop| hop.get(name).and_then(Value::as_bool) == Some(true)))
    };
    let kind = [
        ("blackhole", "blackhole"),
        ("reject", "unreachable"),
        ("admin-prohibited", "prohibit"),
        // Every one of them has this as well.
        ("unreachable", "unreachable"),
    ]
    .into_iter()
    .find(|(name, _)| flag(name))
    .map_or("unicast", |(_, kind)| kind);
    let distance = it.get("distance").and_then(Value::as_u64).and_then(|distance| u32::try_from(distance).ok());
    Route {
        prefix,
        kind: kind.to_owned(),
        next_hops: if kind == "unicast" { next_hops } else { Vec::new() },
        from: session.map_or(protocol, |session| &session.name).to_owned(),
        protocol: protocol.to_owned(),
        source: if protocol == "connected" { "device" } else { protocol }.to_owned(),
        since: it.get("uptime").and_then(Value::as_str).and_then(seconds).and_then(|ago| moment(now.checked_sub(ago)?)),
        // Of FRR's distance the lower one is better.
        preference: distance.map(|distance| 255_u32.saturating_sub(distance)),
        best: it.get("selected").and_then(Value::as_bool) == Some(true),
        bgp: None,
    }
}

/// The time of so many seconds after 1970; none where there is no such time.
fn moment(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

/// `00:07:59`, `1d02h03m` or `01w2d03h` (`frrtime_to_interval()` in `lib/frr_time.c`) in seconds.
fn seconds(uptime: &str) -> Option<i64> {
    let mut total: i64 = 0;
    if !uptime.is_ascii() {
        return None;
    }
    if uptime.contains(':') {
        for part in uptime.split(':') {
            total = total.checked_mul(60)?.checked_add(part.parse().ok()?)?;
        }
        return Some(total);
    }
    for part in uptime.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
        let (number, unit) = part.split_at(part.len().checked_sub(1)?);
        let unit = match unit {
            "y" => 31_536_000,
            "w" => 604_800,
            "d" => 86_400,
            "h" => 3600,
            "m" => 60,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn an_uptime_is_read_in_each_of_its_forms() {
        for (text, wanted) in [
            ("00:07:59", Some(479)),
            ("1d02h03m", Some(93_780)),
            ("01w2d03h", Some(788_400)),
            ("never", None),
            ("", Some(0)),
            ("5", None),
            ("1é", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }
}

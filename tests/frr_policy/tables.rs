//! What the daemons and the kernel show, as lines that can be compared.

use std::collections::BTreeSet;

use rdsup::model::DaemonKind;
use serde_json::Value;

/// The lines of every section of the output of `run.sh`.
pub fn read(raw: &str, daemon: DaemonKind) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for section in raw.split("== ").skip(1) {
        let (title, text) = section.split_once('\n').unwrap();
        let what = title.split(' ').next().unwrap();
        let routes = match (what, daemon) {
            ("kernel", _) => kernel(text),
            ("accepted", DaemonKind::Frr) => frr(text),
            ("accepted", _) => bird(text, &["BGP.local_pref"]),
            _ => bird(text, &["BGP.as_path", "BGP.community", "BGP.large_community"]),
        };
        lines.extend(routes.into_iter().map(|route| format!("{title} {route}")));
    }
    lines
}

/// `birdc show route all`: the prefix and these attributes.
fn bird(text: &str, attributes: &[&str]) -> Vec<String> {
    let mut routes: Vec<String> = Vec::new();
    for line in text.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        if line.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') && word.contains('/') {
            routes.push(word.to_owned());
        } else if let (Some((key, value)), Some(route)) = (line.trim().split_once(": "), routes.last_mut())
            && attributes.contains(&key)
        {
            let value = match key {
                "BGP.as_path" => path(value),
                _ => value.trim().replace(", ", ",").replace(' ', ""),
            };
            *route += &format!(" {}={value}", key.trim_start_matches("BGP."));
        }
    }
    routes
}

/// A path with what is repeated written once: `3333*100`.
fn path(text: &str) -> String {
    let mut parts: Vec<(&str, usize)> = Vec::new();
    for number in text.split_whitespace() {
        match parts.last_mut() {
            Some((last, count)) if *last == number => *count += 1,
            _ => parts.push((number, 1)),
        }
    }
    let part =
        |(number, count): &(&str, usize)| if *count == 1 { (*number).to_owned() } else { format!("{number}*{count}") };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// `show bgp … neighbors … routes json`: the prefix and its local preference.
fn frr(text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let routes = value["routes"].as_object();
    let one = |(prefix, paths): (&String, &Value)| format!("{prefix} local_pref={}", paths[0]["locPrf"]);
    routes.into_iter().flatten().map(one).collect()
}

/// `ip route show`: all but metrics, and but the source of IPv4 routes with an IPv6 next hop: zebra's `set src` does nothing
/// there, and on a link without an IPv4 address the kernel takes the loopback's all the same.
fn kernel(text: &str) -> Vec<String> {
    let one = |line: &str| {
        let mut words = line.split_whitespace().peekable();
        let mut kept = Vec::new();
        while let Some(word) = words.next() {
            match word {
                // Next hops of FRR are objects of their own.
                "metric" | "pref" | "nhid" => drop(words.next()),
                word => kept.push(word),
            }
        }
        if let (true, Some(at)) = (kept.contains(&"inet6"), kept.iter().position(|word| *word == "src")) {
            kept.truncate(at);
        }
        kept.join(" ")
    };
    text.lines().filter(|line| !line.is_empty()).map(one).collect()
}

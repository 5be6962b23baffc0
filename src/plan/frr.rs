//! FRR's configuration as text: which line stands in which part, what it sets, and which lines are one object of policy.
//!
//! FRR has no file format. A configuration is commands as one would type them, and a command is looked for in the part that is
//! open and then in those around it. Here indentation decides, which is how `show running-config` writes it and so do we.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// One line with the lines that lead into the part where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// `router bgp 65001`, then `address-family ipv4 unicast`; empty at the top.
    pub path: Vec<String>,
    /// The line, its words one space apart.
    pub text: String,
}

/// A list or a route map, by the words that remove it without `no`: `ip prefix-list rd-b-in-3f2a9c`.
pub type ObjectName = String;

/// A configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Every list and route map with its lines as they are typed one after the other.
    pub objects: BTreeMap<ObjectName, Vec<String>>,
    /// The order of the objects in the text.
    pub order: Vec<ObjectName>,
    /// Everything else. Of lines that set the same there is the last, which counts, in the place of the first.
    pub lines: Vec<Line>,
}

impl Configuration {
    /// Reads a text. Every text is one: what FRR would make of it is another question.
    pub fn read(text: &str) -> Self {
        let mut read = Self::default();
        let mut set: HashMap<(Vec<String>, String), usize> = HashMap::new();
        // The parts that are open, each with its indentation.
        let mut open: Vec<(usize, String)> = Vec::new();
        let mut object: Option<ObjectName> = None;
        for raw in text.lines() {
            let text = in_full(&raw.split_whitespace().collect::<Vec<_>>());
            if text.is_empty() || text.starts_with(['!', '#']) {
                continue;
            }
            let indent = raw.len() - raw.trim_start().len();
            let depth = open.iter().position(|(outer, _)| *outer >= indent).unwrap_or(open.len());
            if text == "end" || text == "exit" || text.starts_with("exit-") {
                // It closes what is as far in as itself, or else the innermost part.
                open.truncate(if text == "end" { 0 } else { depth.min(open.len().saturating_sub(1)) });
                continue;
            }
            // An admin need not indent what can stand in a part only.
            let innermost = open.iter().rposition(|(_, part)| indent == 0 && takes(part, &text));
            open.truncate(innermost.map_or(depth, |at| depth.max(at + 1)));
            if open.is_empty() {
                object = object_of(&text);
            }
            if let Some(name) = &object {
                if !read.objects.contains_key(name) {
                    read.order.push(name.clone());
                }
                read.objects.entry(name.clone()).or_default().push(text.clone());
            } else {
                let mut path: Vec<String> = open.iter().map(|(_, text)| text.clone()).collect();
                // FRR takes what is of a family outside of all of them, too.
                if path.len() == 1 && path[0].starts_with("router bgp ") && is_of_family(&text) {
                    path.push(IPV4_UNICAST.to_owned());
                }
                let at = *set.entry((path.clone(), setting(&text))).or_insert(read.lines.len());
                let line = Line { path, text: text.clone() };
                match read.lines.get_mut(at) {
                    Some(before) => *before = line,
                    None => read.lines.push(line),
                }
            }
            // Each costs a copy for each line.
            if opens(&text) && open.len() < DEEPEST {
                open.push((indent, text));
            }
        }
        read
    }

    /// The lines of the neighbors of `router bgp`, by what FRR calls them: its address, interface or group.
    pub fn neighbors(&self) -> BTreeMap<&str, Vec<&Line>> {
        let mut neighbors: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
        for line in &self.lines {
            if let Some(name) = neighbor_of(line) {
                neighbors.entry(name).or_default().push(line);
            }
        }
        neighbors.retain(|_, lines| lines.iter().any(|line| declares(line)));
        neighbors
    }
}

/// Whether a line can stand in this part and in none of those around it.
fn takes(part: &str, text: &str) -> bool {
    let is_any = |words: &[&str]| words.contains(&affirmed(text).split(' ').next().unwrap_or_default());
    if part.starts_with("route-map ") {
        return is_any(&["match", "set", "on-match", "call", "continue", "description"]);
    }
    let is_family = part.starts_with("address-family ");
    part.starts_with("router bgp ") && is_any(&["address-family", "neighbor", "network"])
        || is_family && is_any(&["neighbor", "network"])
}

/// How many parts in parts are told apart: FRR has two, and whoever has taken it over may say that it has any number.
pub const DEEPEST: usize = 8;

/// The family that is meant where none is named.
const IPV4_UNICAST: &str = "address-family ipv4 unicast";

/// What is said of a neighbor in a family.
const OF_FAMILY: [&str; 26] = [
    "activate",
    "addpath-tx-all-paths",
    "addpath-tx-best-selected",
    "addpath-tx-bestpath-per-AS",
    "advertise-map",
    "allowas-in",
    "as-override",
    "attribute-unchanged",
    "default-originate",
    "disable-addpath-rx",
    "distribute-list",
    "encapsulation-srv6",
    "filter-list",
    "maximum-prefix",
    "maximum-prefix-out",
    "next-hop-self",
    "prefix-list",
    "remove-private-AS",
    "route-map",
    "route-reflector-client",
    "route-server-client",
    "send-community",
    "soft-reconfiguration",
    "soo",
    "unsuppress-map",
    "weight",
];

/// What is said of the neighbor itself.
const OF_NEIGHBOR: [&str; 39] = [
    "advertisement-interval",
    "aigp",
    "bfd",
    "capability",
    "description",
    "disable-connected-check",
    "disable-link-bw-encoding-ieee",
    "dont-capability-negotiate",
    "ebgp-multihop",
    "enforce-first-as",
    "enforce-multihop",
    "extended-link-bandwidth",
    "extended-optional-parameters",
    "graceful-restart",
    "graceful-restart-disable",
    "graceful-restart-helper",
    "graceful-shutdown",
    "interface",
    "ip-transparent",
    "local-as",
    "local-role",
    "nexthop-local",
    "oad",
    "override-capability",
    "passive",
    "password",
    "path-attribute",
    "peer-group",
    "port",
    "remote-as",
    "rpki",
    "sender-as-path-loop-detection",
    "shutdown",
    "solo",
    "strict-capability-match",
    "tcp-mss",
    "timers",
    "ttl-security",
    "update-source",
];

/// A line as FRR says it itself, if it is about a neighbor or a family: whoever types it may leave out the end of a word, and the
/// family that is meant anyway. Two lines that set the same must not look like two.
fn in_full(words: &[&str]) -> String {
    match words {
        ["no", rest @ ..] if !rest.is_empty() => format!("no {}", in_full(rest)),
        [first, family @ ("ipv4" | "ipv6"), rest @ ..] if first.len() > 3 && "address-family".starts_with(first) => {
            let kind = match rest {
                [] => "unicast".to_owned(),
                [kind] if "unicast".starts_with(kind) => "unicast".to_owned(),
                rest => rest.join(" "),
            };
            format!("address-family {family} {kind}")
        }
        [first, name, what, rest @ ..] if first.len() > 2 && "neighbor".starts_with(first) => {
            let known = || OF_FAMILY.iter().chain(&OF_NEIGHBOR);
            let mut longer = known().filter(|word| word.starts_with(what));
            let what = match (longer.next(), longer.next()) {
                (Some(word), None) => word,
                _ => what,
            };
            ["neighbor", *name, *what].iter().chain(rest).copied().collect::<Vec<_>>().join(" ")
        }
        words => words.join(" "),
    }
}

/// Whether a line of `router bgp` is of a family, wherever it stands.
fn is_of_family(text: &str) -> bool {
    matches!(affirmed(text).split(' ').collect::<Vec<_>>().as_slice(), ["neighbor", _, what, ..] if OF_FAMILY.contains(what))
}

/// The neighbor that a line of `router bgp` is about.
pub fn neighbor_of(line: &Line) -> Option<&str> {
    if !line.path.first()?.starts_with("router bgp") {
        return None;
    }
    neighbor_in(&line.text)
}

/// The neighbor that the words of a line are about, wherever it stands.
pub fn neighbor_in(text: &str) -> Option<&str> {
    affirmed(text).strip_prefix("neighbor ")?.split(' ').next()
}

/// What a line says that takes something back; any other as it is.
fn affirmed(text: &str) -> &str {
    text.strip_prefix("no ").unwrap_or(text)
}

/// Whether a line has bgpd keep what its neighbor sends, to judge it anew without asking.
pub fn keeps(line: &Line) -> bool {
    line.text.starts_with("neighbor ") && line.text.ends_with(" soft-reconfiguration inbound")
}

/// Whether a line makes its neighbor, so that without it there is none.
pub fn declares(line: &Line) -> bool {
    let words: Vec<&str> = line.text.split(' ').collect();
    match words.as_slice() {
        ["neighbor", _, "remote-as", ..] | ["neighbor", _, "peer-group"] => line.path.len() == 1,
        // That of an address says only where a link-local one is.
        ["neighbor", name, "interface", ..] => line.path.len() == 1 && name.parse::<IpAddr>().is_err(),
        _ => false,
    }
}

/// Whether a line of the top opens the `router bgp` that a domain has; others are for parts of its own tables.
pub fn is_main_part(text: &str) -> bool {
    text.starts_with("router bgp ") && !text.contains(" vrf ") && !text.contains(" view ")
}

/// The neighbors of the `router bgp` of a domain, by what FRR calls them, with their lines; no groups, which have no session.
pub fn sessions(configuration: &Configuration) -> BTreeMap<&str, Vec<&Line>> {
    let mut neighbors = configuration.neighbors();
    neighbors.retain(|name, lines| {
        let group = format!("neighbor {name} peer-group");
        let is_main = lines.iter().all(|line| line.path.first().is_some_and(|part| is_main_part(part)));
        is_main && !lines.iter().any(|line| line.text == group)
    });
    neighbors
}

/// A text as if it did not speak of these neighbors. If there are no others it does not speak of `router bgp` either: who removed
/// them may have removed that.
pub fn without(text: &str, neighbors: &BTreeSet<&str>) -> String {
    let read = Configuration::read(text);
    let are_all = sessions(&read).keys().all(|name| neighbors.contains(name));
    let mut inside = false;
    let stays = |line: &&str| {
        let words = line.trim();
        if !line.starts_with(char::is_whitespace) && !words.is_empty() && !words.starts_with(['!', '#']) {
            inside = is_main_part(words);
        }
        let words = affirmed(words);
        let is_of = |rest: &str| rest.split_whitespace().next().is_some_and(|name| neighbors.contains(name));
        !inside || !are_all && !words.strip_prefix("neighbor ").is_some_and(is_of)
    };
    text.split_inclusive('\n').filter(stays).collect()
}

/// The AS number of `router bgp`, as text.
pub fn own_asn(configuration: &Configuration) -> Option<&str> {
    configuration.lines.iter().find_map(|line| line.text.strip_prefix("router bgp ")?.split(' ').next())
}

/// Whether lines of a part of its own follow.
pub fn opens(text: &str) -> bool {
    const PARTS: [&str; 10] = [
        "router *",
        "address-family *",
        "interface *",
        "vrf *",
        "bfd",
        "peer *",
        "profile *",
        "line *",
        "key chain *",
        "segment-routing",
    ];
    let is_entry = |words: &[&str]| matches!(words, ["route-map", _, "permit" | "deny", _]);
    // The lines inside begin with the same word.
    text == "rpki" || start(&PARTS, text).is_some() || is_entry(&text.split(' ').collect::<Vec<_>>())
}

/// The object that a line at the top is of.
fn object_of(text: &str) -> Option<ObjectName> {
    const OBJECTS: [&str; 16] = [
        "route-map *",
        "access-list *",
        "ip prefix-list *",
        "ipv6 prefix-list *",
        "ip access-list *",
        "ipv6 access-list *",
        "bgp as-path access-list *",
        "bgp community-list *",
        "bgp community-list standard *",
        "bgp community-list expanded *",
        "bgp large-community-list *",
        "bgp large-community-list standard *",
        "bgp large-community-list expanded *",
        "bgp extcommunity-list *",
        "bgp extcommunity-list standard *",
        "bgp extcommunity-list expanded *",
    ];
    start(&OBJECTS, text)
}

/// The start of a text that one of the patterns fits, the longest one; `*` is any word.
fn start(patterns: &[&str], text: &str) -> Option<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let fits = |pattern: &&&str| {
        let wanted = pattern.split(' ');
        wanted.clone().count() <= words.len()
            && wanted.zip(&words).all(|(wanted, word)| wanted == "*" || wanted == *word)
    };
    let length = patterns.iter().filter(fits).map(|pattern| pattern.split(' ').count()).max()?;
    Some(words[..length].join(" "))
}

/// Whether FRR takes a batch of changes of this object as one (`lib/filter_cli.c`, `lib/routemap_cli.c`).
pub fn is_transactional(object: &str) -> bool {
    ["ip prefix-list ", "ipv6 prefix-list ", "route-map ", "access-list ", "ip access-list ", "ipv6 access-list "]
        .iter()
        .any(|kind| object.starts_with(kind))
}

/// What has one value at a time.
const SINGLE: [&str; 25] = [
    "neighbor * *",
    "neighbor * timers connect",
    "neighbor * timers delayopen",
    "bgp router-id",
    "bgp cluster-id",
    "bgp minimum-holdtime",
    "bgp default local-preference",
    "bgp graceful-restart restart-time",
    "bgp graceful-restart stalepath-time",
    "bgp graceful-restart select-defer-time",
    "bgp route-map delay-timer",
    "timers bgp",
    "distance bgp",
    "network *",
    "aggregate-address *",
    "redistribute *",
    "maximum-paths",
    "maximum-paths ibgp",
    "log timestamp precision",
    "coalesce-time",
    "update-delay",
    "table-map",
    "hostname",
    "ip protocol *",
    "ipv6 protocol *",
];

/// What a line sets, of which there is one at a time: `neighbor X route-map in` for `neighbor X route-map M in`. For a line that
/// is not known to replace another it is the line itself. `no` does not count.
pub fn setting(text: &str) -> String {
    let text = affirmed(text);
    match text.split(' ').collect::<Vec<_>>().as_slice() {
        [
            "neighbor",
            name,
            policy @ ("route-map" | "prefix-list" | "filter-list" | "distribute-list"),
            ..,
            way @ ("in" | "out"),
        ] => {
            format!("neighbor {name} {policy} {way}")
        }
        // Of these there may be several.
        ["neighbor", _, "send-community" | "capability", ..] => text.to_owned(),
        _ => start(&SINGLE, text).unwrap_or_else(|| text.to_owned()),
    }
}

fn first_words(text: &str, count: usize) -> String {
    text.split(' ').take(count).collect::<Vec<_>>().join(" ")
}

/// The command that takes a line back.
pub fn negated(text: &str) -> String {
    // Where FRR does not take the old value behind `no`, or takes it for something else.
    const BARE: [&str; 8] = [
        "description",
        "password",
        "update-source",
        "ebgp-multihop",
        "maximum-prefix",
        "maximum-prefix-out",
        "port",
        "bfd",
    ];
    if let Some(text) = text.strip_prefix("no ") {
        return text.to_owned();
    }
    match text.split(' ').collect::<Vec<_>>().as_slice() {
        ["neighbor", _, word, ..] if BARE.contains(word) => format!("no {}", setting(text)),
        ["password" | "exec-timeout", ..] => format!("no {}", first_words(text, 1)),
        ["enable", "password", ..] | ["banner", "motd", ..] => format!("no {}", first_words(text, 2)),
        _ => format!("no {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_neighbor_says_nothing_of_it_and_without_all_of_them_has_no_part_for_them() {
        let text = "hostname x\nrouter bgp 65001\n neighbor fe80::1 remote-as 65002\n neighbor pg peer-group\n \
            neighbor pg remote-as 65009\n neighbor v0 interface remote-as 65003\n no neighbor fe80::1 bfd\n!\n \
            address-family ipv4 unicast\n  neighbor fe80::1 activate\n  neighbor v0 activate\n exit-address-family\n\
            router bgp 65001 vrf red\n neighbor 10.0.0.1 remote-as 1\nroute-map m permit 10\n";
        let read = Configuration::read(text);
        assert_eq!(sessions(&read).into_keys().collect::<Vec<_>>(), ["fe80::1", "v0"]);
        let one = "hostname x\nrouter bgp 65001\n neighbor pg peer-group\n neighbor pg remote-as 65009\n \
            neighbor v0 interface remote-as 65003\n!\n address-family ipv4 unicast\n  neighbor v0 activate\n \
            exit-address-family\nrouter bgp 65001 vrf red\n neighbor 10.0.0.1 remote-as 1\nroute-map m permit 10\n";
        assert_eq!(without(text, &BTreeSet::from(["fe80::1"])), one);
        let none = "hostname x\nrouter bgp 65001 vrf red\n neighbor 10.0.0.1 remote-as 1\nroute-map m permit 10\n";
        assert_eq!(without(text, &BTreeSet::from(["fe80::1", "v0"])), none);
    }

    #[test]
    fn lines_that_set_the_same_are_one_however_they_are_typed() {
        let ours = "router bgp 65001\n address-family ipv4 unicast\n  neighbor 10.0.0.9 route-map rd-in in\n  \
            neighbor 10.0.0.9 maximum-prefix 10 restart 1\n exit-address-family\nexit\n";
        let with = |extra: &str| {
            let read = Configuration::read(&format!("{ours}router bgp 65001\n{extra}"));
            read.lines.into_iter().filter(|line| line.text.starts_with("neighbor")).collect::<Vec<_>>()
        };
        let path = ["router bgp 65001".to_owned(), IPV4_UNICAST.to_owned()];
        let line = |text: &str| Line { path: path.to_vec(), text: text.to_owned() };
        let wanted = [line("neighbor 10.0.0.9 route-map mine in"), line("neighbor 10.0.0.9 maximum-prefix 5")];
        for extra in [
            " neighbor 10.0.0.9 route-map mine in\n neighbor 10.0.0.9 maximum-prefix 5\n",
            " address-family ipv4\n  neighbor 10.0.0.9 route-map mine in\n  neighbor 10.0.0.9 maximum-prefix 5\n",
            " addr ipv4 uni\n  nei 10.0.0.9 route-m mine in\n exit\n neigh 10.0.0.9 maximum-prefix 5\n",
        ] {
            assert_eq!(with(extra), wanted, "{extra}");
        }
        let extra = "address-family ipv4 unicast\nneighbor 10.0.0.9 route-map mine in\nneighbor 10.0.0.9 maximum-prefix 5\nexit-address-family\n\
            route-map mine permit 10\nmatch as-path x\n set metric 5\nhostname y\n";
        assert_eq!(with(extra), wanted);
        let read = Configuration::read(&format!("router bgp 65001\n{extra}"));
        assert_eq!(read.objects["route-map mine"], ["route-map mine permit 10", "match as-path x", "set metric 5"]);
        assert!(read.lines.contains(&Line { path: Vec::new(), text: "hostname y".to_owned() }));
        // What may be two words is left as it is.
        assert_eq!(in_full(&["nei", "x", "maximum", "5"]), "neighbor x maximum 5");
        assert_eq!(in_full(&["no", "nei", "x", "rem"]), "no neighbor x rem");
        assert_eq!(in_full(&["network", "10.0.0.0/8"]), "network 10.0.0.0/8");
        assert_eq!(in_full(&["no"]), "no");
        assert_eq!(in_full(&["address-family", "ipv4", "vpn"]), "address-family ipv4 vpn");
    }

    #[test]
    fn a_line_has_the_parts_around_it_and_an_object_all_of_its_lines() {
        let text = "! made\nhostname x\nip prefix-list a seq 5 permit 10.0.0.0/8\nroute-map m permit 10\n match ip address prefix-list a\nexit\n\
            route-map m deny 20\nrouter bgp 65001\n neighbor fe80::1 remote-as 65002\n !\n address-family ipv4 unicast\n  \
            neighbor fe80::1   activate\n exit-address-family\n bgp router-id 10.0.0.1\n!\nip  prefix-list a seq 10 deny any\n";
        let read = Configuration::read(text);
        let lines: Vec<String> =
            read.lines.iter().map(|line| format!("{}|{}", line.path.join("/"), line.text)).collect();
        let router = "router bgp 65001";
        assert_eq!(
            lines,
            [
                "|hostname x".to_owned(),
                format!("|{router}"),
                format!("{router}|neighbor fe80::1 remote-as 65002"),
                format!("{router}|address-family ipv4 unicast"),
                format!("{router}/address-family ipv4 unicast|neighbor fe80::1 activate"),
                format!("{router}|bgp router-id 10.0.0.1"),
            ]
        );
        assert_eq!(read.order, ["ip prefix-list a", "route-map m"]);
        assert_eq!(
            read.objects["route-map m"],
            ["route-map m permit 10", "match ip address prefix-list a", "route-map m deny 20"]
        );
        assert_eq!(read.objects["ip prefix-list a"].len(), 2);
        assert_eq!(own_asn(&read), Some("65001"));
        assert_eq!(read.neighbors()["fe80::1"].len(), 2);
    }

    #[test]
    fn what_a_line_sets_is_found_without_its_value() {
        for (text, wanted) in [
            ("neighbor 10.0.0.1 route-map m-1 in", "neighbor 10.0.0.1 route-map in"),
            ("no neighbor 10.0.0.1 timers 30 90", "neighbor 10.0.0.1 timers"),
            ("neighbor 10.0.0.1 timers connect 1", "neighbor 10.0.0.1 timers connect"),
            ("neighbor 10.0.0.1 description in", "neighbor 10.0.0.1 description"),
            ("neighbor 10.0.0.1 capability extended-nexthop", "neighbor 10.0.0.1 capability extended-nexthop"),
            ("bgp router-id 10.0.0.1", "bgp router-id"),
            ("bgp route-map delay-timer 1", "bgp route-map delay-timer"),
            ("no bgp default ipv4-unicast", "bgp default ipv4-unicast"),
            ("network 10.0.0.0/8 route-map m", "network 10.0.0.0/8"),
            ("ip protocol bgp route-map m", "ip protocol bgp"),
            ("timers bgp 10 30", "timers bgp"),
            ("coalesce-time 0", "coalesce-time"),
            ("something of somebody", "something of somebody"),
        ] {
            assert_eq!(setting(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_line_is_taken_back_by_what_frr_understands() {
        for (text, wanted) in [
            ("no bgp default ipv4-unicast", "bgp default ipv4-unicast"),
            ("neighbor 10.0.0.1 description a b", "no neighbor 10.0.0.1 description"),
            ("neighbor 10.0.0.1 maximum-prefix 5 restart 1", "no neighbor 10.0.0.1 maximum-prefix"),
            ("neighbor 10.0.0.1 route-map m in", "no neighbor 10.0.0.1 route-map m in"),
            ("bgp fast-convergence", "no bgp fast-convergence"),
        ] {
            assert_eq!(negated(text), wanted, "{text}");
        }
    }
}

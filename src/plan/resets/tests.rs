//! From a change of the file to the sessions that it resets.

use std::collections::BTreeMap;

use super::{Sessions, resets};
use crate::model::{DaemonKind, Program};
use crate::plan::tests::layout;
use crate::plan::touched_tests::{running, wanted};
use crate::plan::{Observed, ObservedDaemon, plan};

const FILE: &str = r#"
[domain.internet]
asn = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]
[domain.private]
asn = 65002
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]
[domain.hostile]
asn = 65003
loopback = ["10.66.0.1/32", "2001:db8:66::1/128"]
networks = ["10.66.0.0/16", "2001:db8:66::/48"]
[[link]]
between = ["private", "internet"]
[link.into.private]
routes = ["198.51.100.0/24"]
[link.into.internet]
routes = ["192.168.0.0/16"]
[[link]]
between = ["hostile", "internet"]
[link.into.hostile]
routes = ["198.51.100.0/24"]
[link.into.internet]
routes = ["10.66.0.0/16"]
"#;

fn of(observed: &Observed, new: &str) -> Vec<String> {
    let desired = wanted(new);
    let plan = plan(&desired, observed, &layout()).unwrap();
    let certain = |certain| if certain { "" } else { "? " };
    resets(&desired, observed, &plan, &Sessions::new())
        .iter()
        .map(|it| format!("{}{it}", certain(it.is_certain())))
        .collect()
}

fn after(from: &str, to: &str) -> Vec<String> {
    assert!(FILE.contains(from), "{from}");
    of(&running(FILE), &FILE.replacen(from, to, 1))
}

const PRIVATE: &str = "internet rd-private -- private rd-internet";
const HOSTILE: &str = "hostile rd-internet -- internet rd-hostile";

#[test]
fn a_session_is_one_line_whichever_end_has_the_reason() {
    let role = after(
        "between = [\"private\", \"internet\"]",
        "between = [\"private\", \"internet\"]\nprovider = \"internet\"",
    );
    assert_eq!(role, [format!("{PRIVATE}: internet: role changes from none to provider")]);
    let asn = after("65002", "65009");
    assert_eq!(asn, [format!("{PRIVATE}: private: AS number changes from 65002 to 65009")]);
    let id = after("asn = 65001", "asn = 65001\nrouter_id = \"198.51.100.9\"");
    let why = "internet: router id changes from 198.51.100.1 to 198.51.100.9";
    assert_eq!(id, [format!("{HOSTILE}: {why}"), format!("{PRIVATE}: {why}")]);
    let ipv4 = FILE.replace(", \"2001:db8:66::1/128\"", "").replace(", \"2001:db8:66::/48\"", "");
    let families = of(&running(FILE), &ipv4.replacen("asn = 65003", "asn = 65003\nfamilies = [\"ipv4\"]", 1));
    assert_eq!(families, [format!("{HOSTILE}: ipv6 is taken from the session")]);
    let swapped = after("between = [\"private\", \"internet\"]", "between = [\"internet\", \"private\"]");
    assert!(
        swapped[0].starts_with(&format!("{PRIVATE}: ")) && swapped[0].contains("the address fe80::"),
        "{swapped:?}"
    );
}

#[test]
fn a_session_goes_with_what_carries_it() {
    assert_eq!(
        after("between = [\"hostile\", \"internet\"]", "between = [\"hostile\", \"internet\"]\nname = \"guests\""),
        [format!("{HOSTILE}: hostile: its link goes")]
    );
    let static_link = FILE.replacen(
        "between = [\"hostile\", \"internet\"]",
        "between = [\"hostile\", \"internet\"]\nrouting = \"static\"",
        1,
    );
    assert_eq!(of(&running(FILE), &static_link), [format!("{HOSTILE}: it is no longer configured")]);
    let links = FILE.find("[[link]]\nbetween = [\"hostile\"").unwrap();
    let domain = FILE.find("[domain.hostile]").unwrap()..FILE.find("[[link]]").unwrap();
    assert_eq!(of(&running(FILE), &FILE[..links]), [format!("{HOSTILE}: hostile: its link goes")]);
    let mut without = FILE[..links].to_owned();
    without.replace_range(domain, "");
    assert_eq!(of(&running(FILE), &without), [format!("{HOSTILE}: hostile: the domain goes")]);
    let silent = static_link.replace("asn = 65003", "daemon = \"none\"");
    assert_eq!(
        of(&running(FILE), &silent),
        [format!("{HOSTILE}: hostile: the domain no longer runs a routing daemon")]
    );
    let other = FILE.replace("asn = 65003", "daemon = \"frr\"\nasn = 65003");
    assert_eq!(of(&running(FILE), &other), [format!("{HOSTILE}: hostile: the domain gets another routing daemon")]);
}

#[test]
fn a_session_with_a_neighbor_far_away_goes_with_its_way_or_its_address_and_with_no_other() {
    const EDGE: &str = r#"
[domain.edge]
asn = 65001
router_id = "198.51.100.1"
loopback = ["198.51.100.1/32", "198.51.100.2/32"]
families = ["ipv4"]
[[domain.edge.interface]]
name = "up0"
address = ["203.0.113.2/29"]
[[domain.edge.route]]
to = "192.0.2.0/24"
via = "203.0.113.1"
[[domain.edge.route]]
to = "192.0.2.200/32"
via = "203.0.113.1"
[[domain.edge.neighbor]]
name = "far"
address = "192.0.2.200"
asn = 3333
multihop = 3
"#;
    let routes: Vec<&str> = EDGE.split("[[domain.edge.").filter(|table| table.starts_with("route")).collect();
    let without = |table: &str| of(&running(EDGE), &EDGE.replace(&format!("[[domain.edge.{table}"), ""));
    assert_eq!(without(routes[0]), [""; 0], "the narrow one leads there");
    assert_eq!(without(routes[1]), ["? edge far: the route to 192.0.2.200/32, which leads to it, goes"]);
    let loopback = of(&running(EDGE), &EDGE.replace(", \"198.51.100.2/32\"", ""));
    assert_eq!(loopback, ["? edge far: the address 198.51.100.2/32 goes, from which it may speak"]);
    let interface = of(&running(EDGE), &EDGE.replace("203.0.113.2/29", "203.0.113.2/28"));
    assert_eq!(interface, ["? edge far: the address 203.0.113.2/29 goes, from which it may speak"]);
}

#[test]
fn a_link_that_was_damaged_takes_its_session_along_when_it_is_mended() {
    let mut observed = running(FILE);
    let internet = observed.domains.get_mut("internet").unwrap();
    internet.links.remove("rd-private");
    observed.domains.get_mut("private").unwrap().links.get_mut("rd-internet").unwrap().peer = None;
    assert_eq!(of(&observed, FILE), [format!("{PRIVATE}: private: its link is made anew")]);
}

#[test]
fn policy_resets_nothing_and_neither_does_a_first_start() {
    for (from, to) in [
        ("routes = [\"192.168.0.0/16\"]", "routes = [\"192.168.0.0/17\"]"),
        ("[link.into.private]\n", "[link.into.private]\npreference = 50\nmax_prefixes = 3\npackets = [\"any\"]\n"),
        ("networks = [\"10.66.0.0/16\"", "networks = [\"10.66.0.0/17\""),
        ("asn = 65002", "asn = 65002\ndescription = \"the lan\"\nextra = { bird = \"debug protocols all;\" }"),
        ("between = [\"private\", \"internet\"]", "between = [\"private\", \"internet\"]\nmax_path = 9\nmtu = 1400"),
    ] {
        assert_eq!(after(from, to), [""; 0], "{to}");
    }
    assert_eq!(of(&Observed::default(), FILE), [""; 0]);
}

#[test]
fn whatever_a_daemon_is_to_read_may_reset_all_of_its_sessions_while_the_kernel_holds_what_the_one_before_left() {
    let mut observed = running(FILE);
    let domain = observed.domains.get_mut("private").unwrap();
    let ObservedDaemon::Running { leftovers, .. } = &mut domain.daemon else { panic!("it runs") };
    *leftovers = true;
    assert_eq!(of(&observed, FILE), [""; 0]);
    let told = of(&observed, &FILE.replace("routes = [\"192.168.0.0/16\"]", "routes = [\"192.168.0.0/17\"]"));
    assert!(
        told.len() == 1 && told[0].starts_with(&format!("? {PRIVATE}: private: the daemon before it died")),
        "{told:?}"
    );
}

#[test]
fn what_is_not_known_may_reset() {
    let mut observed = running(FILE);
    observed.domains.get_mut("private").unwrap().daemon = ObservedDaemon::Running {
        kind: DaemonKind::Bird,
        pid: 7,
        programs: [Program::Bird].into(),
        loaded: BTreeMap::new(),
        leftovers: false,
    };
    assert_eq!(of(&observed, FILE), [format!("? {PRIVATE}: private: what its daemon last loaded is not known")]);
    let strange = BTreeMap::from([(Program::Bird, "protocol bgp rd_internet {".to_owned())]);
    observed.domains.get_mut("private").unwrap().daemon = ObservedDaemon::Running {
        kind: DaemonKind::Bird,
        pid: 7,
        programs: [Program::Bird].into(),
        loaded: strange,
        leftovers: false,
    };
    assert_eq!(of(&observed, FILE), ["? private (every session): what its daemon last loaded cannot be read"]);
}

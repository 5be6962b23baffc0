//! What was accepted under an old policy does not outlive a narrower one, whatever the neighbor does or leaves undone.

use std::time::Duration;

use crate::announced::Announced;
use crate::machine::{Background, Machine, SOON, eventually, throughout};
use crate::raw_speaker::{GRACEFUL_RESTART, IPV4, ROUTE_REFRESH, update};

const EDGE: &str = r#"
[rdsup]
templates = "/srv/machine/templates"

[domain.edge]
daemon   = "bird"
asn      = 65001
loopback = ["198.51.100.1/32"]
networks = ["198.51.100.0/24"]
families = ["ipv4"]

[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/24"]

[[domain.edge.route]]
to  = "192.0.2.200/32"
via = "203.0.113.1"

[[domain.edge.neighbor]]
name    = "isp"
address = "203.0.113.1"
asn     = 3333
routes  = ["9.0.0.0/8 le 24", "11.0.0.0/8 le 24"]

[[domain.edge.neighbor]]
name     = "far"
address  = "192.0.2.200"
asn      = 3334
multihop = 3
routes   = ["12.0.0.0/8 le 24", "13.0.0.0/8 le 24"]
"#;

/// What the narrower policy no longer has.
const WIDER: [&str; 2] = [", \"11.0.0.0/8 le 24\"", ", \"13.0.0.0/8 le 24\""];

fn narrower(file: &str) -> String {
    WIDER.iter().fold(file.to_owned(), |file, routes| {
        assert!(file.contains(routes), "{routes}");
        file.replace(routes, "")
    })
}

/// Each daemon's template of a channel, and what is not in the one of a network that does not keep what it is sent.
fn channel(daemon: &str) -> (&'static str, &'static str) {
    match daemon {
        "bird" => (include_str!("../../templates/bird/channel.hbs"), "{{#if import_table}}"),
        _ => (include_str!("../../templates/frr/channel.hbs"), "{{#if keep_refused}}"),
    }
}

struct Edge {
    machine: Machine,
    file: String,
}

impl Edge {
    fn new(daemon: &'static str) -> Self {
        let file = EDGE.replace("\"bird\"", &format!("\"{daemon}\""));
        let machine = Machine::new(&file);
        machine.sh("ip netns add isp; ip link add up0 type veth peer name wire netns isp
             ip -n isp link set lo up; ip -n isp link set wire up; ip link set up0 up
             ip -n isp address add 203.0.113.1/24 dev wire; ip -n isp address add 192.0.2.200/32 dev lo");
        Self { machine, file }
    }

    /// Runs the neighbor on the wire, which says that it sends its routes again when it is asked, and never does.
    fn near(&self, able: &[&[u8]], told: &[&str]) -> Background {
        let able = [&[&IPV4[..], &ROUTE_REFRESH], able].concat();
        let updates = [update(3333, told, Some("203.0.113.1"), None)];
        let updates = if told.is_empty() { &[][..] } else { &updates };
        self.machine.tells(("isp", "wire"), 3333, ("203.0.113.1", "203.0.113.2"), &able, updates)
    }

    /// Runs that several hops away, which is no better.
    fn far(&self) -> Background {
        let told = update(3334, &["12.0.1.0/24", "13.0.1.0/24"], Some("192.0.2.200"), None);
        let able: [&[u8]; 2] = [&IPV4, &ROUTE_REFRESH];
        self.machine.tells(("isp", "wire"), 3334, ("192.0.2.200", "203.0.113.2"), &able, &[told])
    }

    fn has(&self, prefix: &str) -> bool {
        self.machine.routes_to("edge", prefix).contains("203.0.113.1")
    }

    #[track_caller]
    fn learns(&self, prefixes: &[&str]) {
        for prefix in prefixes {
            eventually(SOON, &format!("{prefix} is learned"), || self.has(prefix));
        }
    }

    #[track_caller]
    fn forgets(&self, prefix: &str) {
        eventually(SOON, &format!("{prefix} is no longer there"), || !self.has(prefix));
    }

    /// Ends what speaks for the neighbor, which closes the connection without a word.
    fn loses(&self, near: Background) {
        self.machine.line("pkill -9 -x perl");
        drop(near);
    }

    /// Since when a session is up.
    fn since(&self, session: &str) -> Option<String> {
        self.machine.sessions().remove(&("edge".to_owned(), session.to_owned()))?
    }

    /// Applies the narrower policy; what `plan` says of sessions before.
    fn narrows(&self) -> Announced {
        self.machine.configure(&narrower(&self.file));
        let announced = self.machine.announced();
        self.machine.rdsup("apply").ok();
        announced
    }
}

/// The two on the wire and far away are judged by the narrower policy, though neither sends anything again.
fn is_judged_anew_without_the_neighbor(daemon: &'static str) {
    let edge = Edge::new(daemon);
    let _both = (edge.near(&[], &["9.0.1.0/24", "11.0.1.0/24"]), edge.far());
    edge.machine.rdsup("start --detach").ok();
    edge.learns(&["9.0.1.0/24", "11.0.1.0/24", "12.0.1.0/24", "13.0.1.0/24"]);
    let up = edge.since("isp");
    assert!(up.is_some());
    let told = edge.narrows();
    for gone in ["11.0.1.0/24", "13.0.1.0/24"] {
        edge.forgets(gone);
    }
    // BIRD keeps nothing of one several hops away, and says so.
    let afar = "routes from it are to be judged anew, and BIRD does not keep those of a neighbor several hops away";
    assert_eq!(told.reasons, vec![afar; usize::from(daemon == "bird")]);
    edge.learns(&["9.0.1.0/24", "12.0.1.0/24"]);
    assert_eq!(edge.since("isp"), up, "its session stays");
    // And the wider one lets in again what was refused meanwhile.
    edge.machine.configure(&edge.file);
    edge.machine.rdsup("apply").ok();
    edge.learns(&["9.0.1.0/24", "11.0.1.0/24", "13.0.1.0/24"]);
    assert_eq!(edge.since("isp"), up, "its session stays");
}

#[test]
fn bird_judges_anew_what_it_was_sent_by_a_neighbor_that_never_answers() {
    is_judged_anew_without_the_neighbor("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn frr_judges_anew_what_it_was_sent_by_a_neighbor_that_never_answers() {
    is_judged_anew_without_the_neighbor("frr");
}

/// A network that did not keep what it was sent: the session begins again, once, and `plan` says so.
fn begins_to_keep(daemon: &'static str) {
    let edge = Edge::new(daemon);
    let (template, keeps) = channel(daemon);
    let path = format!("/srv/machine/templates/{daemon}/channel.hbs");
    edge.machine.write(&path, &template.replace(keeps, "{{#if nothing}}"));
    let _near = edge.near(&[], &["9.0.1.0/24", "11.0.1.0/24"]);
    edge.machine.rdsup("start --detach").ok();
    edge.learns(&["9.0.1.0/24", "11.0.1.0/24"]);
    let (told, near) = (edge.narrows(), ("edge".to_owned(), "isp".to_owned()));
    assert!(!told.certain.contains(&near) && !told.possible.contains(&near), "{told:?}");
    throughout(Duration::from_secs(2), "it keeps what it is not asked for in earnest", || edge.has("11.0.1.0/24"));
    let up = edge.since("isp");
    edge.machine.lose(&path);
    let told = edge.machine.announced();
    assert!(told.certain.contains(&near), "{told:?}");
    edge.machine.rdsup("apply").ok();
    edge.forgets("11.0.1.0/24");
    edge.learns(&["9.0.1.0/24"]);
    assert_ne!(edge.since("isp"), up);
    assert!(!edge.has("11.0.1.0/24"));
}

#[test]
fn a_network_that_begins_to_keep_what_bird_is_sent_has_the_session_begin_again() {
    begins_to_keep("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_network_that_begins_to_keep_what_frr_is_sent_has_the_session_begin_again() {
    begins_to_keep("frr");
}

/// One that is lost just before keeps its routes for two minutes, and one that is back for as long as it does not say that it has
/// said everything. The narrower policy is asked about them all the same.
fn drops_what_is_stale(daemon: &'static str, back: bool) {
    let edge = Edge::new(daemon);
    let near = edge.near(&[&GRACEFUL_RESTART], &["9.0.1.0/24", "11.0.1.0/24"]);
    edge.machine.rdsup("start --detach").ok();
    edge.learns(&["9.0.1.0/24", "11.0.1.0/24"]);
    edge.loses(near);
    eventually(SOON, "the session is lost", || edge.since("isp").is_none());
    let again = back.then(|| edge.near(&[&GRACEFUL_RESTART], &[]));
    if back {
        eventually(SOON, "the session is back", || edge.since("isp").is_some());
    }
    assert!(edge.has("9.0.1.0/24") && edge.has("11.0.1.0/24"), "they are kept");
    let told = edge.narrows();
    assert!(told.certain.contains(&("edge".to_owned(), "isp".to_owned())), "{told:?}");
    edge.forgets("11.0.1.0/24");
    if let Some(again) = again {
        edge.loses(again);
    }
    let _near = edge.near(&[&GRACEFUL_RESTART], &["9.0.1.0/24", "11.0.1.0/24"]);
    edge.learns(&["9.0.1.0/24"]);
    assert!(!edge.has("11.0.1.0/24"));
}

#[test]
fn bird_drops_what_it_keeps_of_a_neighbor_that_is_lost_when_the_policy_is_narrower() {
    drops_what_is_stale("bird", false);
}

#[test]
fn bird_drops_what_it_keeps_of_a_neighbor_that_came_back_when_the_policy_is_narrower() {
    drops_what_is_stale("bird", true);
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn frr_drops_what_it_keeps_of_a_neighbor_that_is_lost_when_the_policy_is_narrower() {
    drops_what_is_stale("frr", false);
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn frr_drops_what_it_keeps_of_a_neighbor_that_came_back_when_the_policy_is_narrower() {
    drops_what_is_stale("frr", true);
}

/// A daemon that was killed leaves its routes to the next one. What that is to read refuses some of them.
fn keeps_nothing_that_the_next_one_refuses(daemon: &'static str, program: &str) {
    let edge = Edge::new(daemon);
    let near = edge.near(&[&GRACEFUL_RESTART], &["9.0.1.0/24", "11.0.1.0/24"]);
    edge.machine.rdsup("start --detach").ok();
    edge.learns(&["9.0.1.0/24", "11.0.1.0/24"]);
    // The neighbor is away, so that nothing which it says decides.
    edge.loses(near);
    edge.machine.configure(&narrower(&edge.file));
    edge.machine.line(&format!("pkill -9 -x {program}"));
    edge.machine.rdsup("apply");
    edge.forgets("11.0.1.0/24");
}

/// The next one has begun with the old policy, and left alone what it found.
fn begins_again_for_what_it_refuses(daemon: &'static str, program: &str) {
    let edge = Edge::new(daemon);
    let near = edge.near(&[&GRACEFUL_RESTART], &["9.0.1.0/24", "11.0.1.0/24"]);
    edge.machine.rdsup("start --detach").ok();
    edge.learns(&["9.0.1.0/24", "11.0.1.0/24"]);
    edge.loses(near);
    edge.machine.line(&format!("pkill -9 -x {program}"));
    eventually(SOON, "another one runs", || {
        let status = edge.machine.rdsup("status edge --json").stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        let daemon = &status["domains"][0]["daemon"];
        daemon["state"] == "running" && daemon["restarts"].as_u64() > Some(0)
    });
    assert!(edge.has("11.0.1.0/24"), "it is left alone");
    let told = edge.narrows();
    assert!(told.reasons.iter().any(|why| why.contains("the daemon before it died less than 100 s ago")), "{told:?}");
    edge.forgets("11.0.1.0/24");
    let _near = edge.near(&[&GRACEFUL_RESTART], &["9.0.1.0/24", "11.0.1.0/24"]);
    edge.learns(&["9.0.1.0/24"]);
    assert!(!edge.has("11.0.1.0/24"));
}

#[test]
fn bird_that_took_over_begins_again_for_what_it_is_to_refuse() {
    begins_again_for_what_it_refuses("bird", "bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn frr_that_took_over_begins_again_for_what_it_is_to_refuse() {
    begins_again_for_what_it_refuses("frr", "bgpd");
}

#[test]
fn bird_that_was_killed_leaves_nothing_that_the_next_one_refuses() {
    keeps_nothing_that_the_next_one_refuses("bird", "bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn bgpd_that_was_killed_leaves_nothing_that_the_next_one_refuses() {
    keeps_nothing_that_the_next_one_refuses("frr", "bgpd");
}

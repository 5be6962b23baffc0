//! For whom FRR waits when it starts, and for how long: nobody is held up by a neighbor that misbehaves or is away.

use std::time::{Duration, Instant};

use crate::machine::{Background, Machine, SOON, eventually, throughout};
use crate::raw_speaker::{GRACEFUL_RESTART, IPV4};
use crate::speaker::Speaker;

/// A domain with three neighbors on one wire.
const EDGE: &str = r#"
[domain.edge]
daemon   = "frr"
asn      = 65001
loopback = ["198.51.100.1/32"]
networks = ["198.51.100.0/24"]
families = ["ipv4"]

[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/29"]

[[domain.edge.neighbor]]
name     = "honest"
address  = "203.0.113.1"
asn      = 64510
routes   = ["9.0.0.0/8 le 24"]
announce = ["198.51.100.0/24"]

[[domain.edge.neighbor]]
name     = "other"
address  = "203.0.113.3"
asn      = 64511
routes   = ["9.0.0.0/8 le 24"]
max_prefixes = 2

[[domain.edge.neighbor]]
name     = "away"
address  = "203.0.113.4"
asn      = 64512
routes   = ["9.0.0.0/8 le 24"]
"#;

/// The one that does what it should.
const HONEST: &str = r"
router id 203.0.113.1;
protocol device { }
protocol static old { ipv4; route 9.1.0.0/16 unreachable; }
protocol static new { disabled; ipv4; route 9.2.0.0/16 unreachable; }
protocol bgp edge { local 203.0.113.1 as 64510; neighbor 203.0.113.2 as 65001; ttl security on; connect delay time 1;
  connect retry time 1; error wait time 1, 1; ipv4 { import all; export where source = RTS_STATIC; }; }
";

/// How long the routes of one neighbor may take after its session is up, on a machine that others use too.
const A_FEW_SECONDS: Duration = Duration::from_secs(8);

/// A machine on which nothing of rdsup runs yet.
fn machine() -> Machine {
    let machine = Machine::new(EDGE);
    machine.sh("ip netns add isp; ip link add up0 type veth peer name customer netns isp
         ip -n isp link set lo up; ip -n isp link set customer up; ip link set up0 up
         for n in 1 3; do ip -n isp address add 203.0.113.$n/29 dev customer; done");
    machine.write("/srv/machine/isp.conf", HONEST);
    machine
}

impl Machine {
    fn runs_honest(&self) {
        self.line("ip netns exec isp bird -c /srv/machine/isp.conf -s /srv/machine/isp.ctl -P /srv/machine/isp.pid");
    }

    fn honest(&self, command: &str) -> String {
        self.sh(&format!("birdc -s /srv/machine/isp.ctl {command}"))
    }

    /// Runs the other neighbor as one that could restart gracefully, and says nothing but that it is there. ExaBGP can do that only
    /// as one that has just restarted.
    fn runs_silent(&self) -> Background {
        self.tells(("isp", "customer"), 64511, ("203.0.113.3", "203.0.113.2"), &[&IPV4, &GRACEFUL_RESTART], &[])
    }

    /// Runs the other neighbor with more routes than it may have.
    fn runs_over_limit(&self) -> Background {
        let speaker = Speaker::new(("203.0.113.3", 64511), ("203.0.113.2", 65001));
        self.speak("isp", &[(1..=9).fold(speaker, |it, n| it.says(&format!("9.9.{n}.0/24"), ""))])
    }

    /// How long it takes from the session until routes have come both ways.
    fn waits_for_honest(&self, prefix: &str) -> Duration {
        eventually(SOON, "the session with the honest neighbor is up", || {
            self.session("edge", "honest").contains("Established")
        });
        let up = Instant::now();
        eventually(Duration::from_secs(90), "routes come both ways", || {
            let held = self.honest("show protocols all edge").contains("graceful restart active");
            let told = self.honest("show route 198.51.100.0/24 protocol edge").contains("203.0.113.2");
            self.routes_to("edge", prefix).contains("203.0.113.1") && told && !held
        });
        up.elapsed()
    }

    /// Kills bgpd and has the honest neighbor tell something new while there is none.
    fn begins_again(&self) -> Duration {
        let before = self.program("edge", "bgpd").expect("it runs");
        self.honest("disable new");
        eventually(SOON, "the route is gone", || !self.routes_to("edge", "9.2.0.0/16").contains("203.0.113.1"));
        self.line(&format!("kill -9 {before}"));
        self.honest("enable new");
        eventually(SOON, "bgpd begins again", || self.program("edge", "bgpd").is_some_and(|now| now != before));
        self.waits_for_honest("9.2.0.0/16")
    }
}

/// It never says that this was all, nor any route.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn at_its_first_start_frr_waits_for_no_neighbor_that_never_ends_what_it_tells() {
    let machine = machine();
    let _silent = machine.runs_silent();
    machine.rdsup("start --detach").ok();
    eventually(SOON, "the other session is up", || machine.session("edge", "other").contains("Established"));
    machine.runs_honest();
    let took = machine.waits_for_honest("9.1.0.0/16");
    println!("first start: {took:.1?}");
    assert!(took < A_FEW_SECONDS, "{took:.1?}");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_neighbor_over_its_limit_or_away_delays_others_by_a_few_seconds_at_most() {
    let machine = machine();
    machine.runs_honest();
    let mut over_limit = Some(machine.runs_over_limit());
    machine.rdsup("start --detach").ok();
    let took = machine.waits_for_honest("9.1.0.0/16");
    println!("first start beside one over its limit: {took:.1?}");
    assert!(took < A_FEW_SECONDS, "{took:.1?}");
    for turn in ["one over its limit", "none but one that is away"] {
        let took = machine.begins_again();
        println!("after kill -9 beside {turn}: {took:.1?}");
        assert!(took < A_FEW_SECONDS, "{turn}: {took:.1?}");
        drop(over_limit.take());
    }
}

/// Two domains, of which one has more prefixes than the other takes.
const MORE: &str = r#"
[domain.taker]
daemon   = "DAEMON"
asn      = 65001
loopback = ["10.1.0.1/32"]
networks = ["10.1.0.0/16"]

[domain.giver]
daemon   = "bird"
asn      = 65002
loopback = ["10.2.0.1/32"]
networks = ["10.2.0.0/16", "10.3.0.0/16"]
families = ["ipv4"]

[[link]]
between = ["taker", "giver"]
[link.into.taker]
routes = ["10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16"]
max_prefixes = 2
[link.into.giver]
routes = ["10.1.0.0/16"]
"#;

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn more_prefixes_over_a_link_than_are_taken_close_it_with_frr_which_plan_says_and_lose_the_surplus_with_bird() {
    for daemon in ["frr", "bird"] {
        let file = MORE.replace("DAEMON", daemon);
        let machine = Machine::running(&file);
        let up = || machine.rdsup("ctl giver show bgp summary").stdout.contains(" Established ");
        let said = machine.rdsup("plan");
        assert!(!said.to_string().contains("FRR closes"), "{said}");
        machine.configure(
            &file.replace("\"10.3.0.0/16\"]\nfam", "\"10.3.0.0/16\", \"10.4.0.0/16\", \"10.5.0.0/16\"]\nfam"),
        );
        let closes = daemon == "frr";
        for verb in ["plan", "apply"] {
            let said = machine.rdsup(verb);
            let words =
                "\"taker\" accepts 4 IPv4 prefixes of \"giver\" itself, and at more than 2 FRR closes the session";
            assert_eq!(said.to_string().contains(words), closes, "{daemon} {said}");
        }
        if closes {
            eventually(SOON, "the session closes", || !up());
        } else {
            let learned = || {
                let table = machine.line("ip -n taker route show proto bird");
                ["10.2.", "10.3.", "10.4.", "10.5."].iter().filter(|net| table.contains(*net)).count()
            };
            throughout(Duration::from_secs(3), "the session stays, and two are learned", || up() && learned() == 2);
        }
    }
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_neighbor_that_is_added_is_spoken_to_only_when_all_of_it_is_there() {
    let machine = machine();
    let (without, _) = EDGE.split_once("\n[[domain.edge.neighbor]]").expect("it has neighbors");
    // Told that something is missing, it would wait for ten minutes.
    let patient = HONEST.replace("error wait time 1, 1", "error wait time 600, 600; passive on");
    machine.write("/srv/machine/isp.conf", &patient);
    machine.runs_honest();
    for round in 0..3 {
        machine.configure(without);
        machine.start();
        machine.honest("restart edge");
        // In its first two seconds bgpd connects to nobody so soon.
        throughout(Duration::from_secs(3), "it runs", || machine.rdsup("ctl edge show version").status.success());
        machine.configure(EDGE);
        machine.rdsup("apply").ok();
        eventually(SOON, &format!("round {round}: they speak"), || machine.established("edge", "honest"));
        machine.stop();
    }
}

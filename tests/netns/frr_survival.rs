//! What survives when a program of FRR ends, hangs, or loses its supervisor.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::machine::{CONFIG, Machine, RDSUP, SOON, eventually, words};

/// A way through `mid`, from a domain with the other daemon to one with the same.
const WAY: &str = r#"
[rdsup]
daemon = "frr"
[domain.left]
daemon = "bird"
asn = 65001
loopback = ["10.1.0.1/32", "2001:db8:1::1/128"]
networks = ["10.1.0.0/16", "2001:db8:1::/48"]
[domain.mid]
asn = 65002
loopback = ["10.2.0.1/32", "2001:db8:2::1/128"]
networks = ["10.2.0.0/16", "2001:db8:2::/48"]
[domain.right]
asn = 65003
loopback = ["10.3.0.1/32", "2001:db8:3::1/128"]
networks = ["10.3.0.0/16", "2001:db8:3::/48"]
[[link]]
between = ["left", "mid"]
[link.into.left]
routes = ["10.2.0.0/16", "10.3.0.0/16", "2001:db8:2::/48", "2001:db8:3::/48"]
transit = ["right"]
packets = ["icmp"]
[link.into.mid]
routes = ["10.1.0.0/16", "2001:db8:1::/48"]
packets = ["icmp"]
[[link]]
between = ["mid", "right"]
[link.into.mid]
routes = ["10.3.0.0/16", "2001:db8:3::/48"]
packets = ["icmp"]
[link.into.right]
routes = ["10.1.0.0/16", "10.2.0.0/16", "2001:db8:1::/48", "2001:db8:2::/48"]
transit = ["left"]
packets = ["icmp"]
"#;

/// Who has which routes.
const ROUTES: [(&str, &str); 8] = [
    ("left", "10.3.0.0/16"),
    ("left", "2001:db8:3::/48"),
    ("mid", "10.1.0.0/16"),
    ("mid", "2001:db8:1::/48"),
    ("mid", "10.3.0.0/16"),
    ("mid", "2001:db8:3::/48"),
    ("right", "10.1.0.0/16"),
    ("right", "2001:db8:1::/48"),
];

/// The programs of FRR, in the order in which they start.
const PROGRAMS: [&str; 2] = ["zebra", "bgpd"];

impl Machine {
    fn way() -> Self {
        let machine = Self::running(WAY);
        machine.await_way();
        machine
    }

    #[track_caller]
    fn await_way(&self) {
        for (domain, prefix) in ROUTES {
            eventually(SOON, &format!("{domain} learns {prefix}"), || self.routes_to(domain, prefix).contains(" dev "));
        }
        for address in ["10.3.0.1", "2001:db8:3::1"] {
            eventually(SOON, "the way is open", || self.pings("left", address));
        }
    }

    #[track_caller]
    fn assert_routes(&self) {
        for (domain, prefix) in ROUTES {
            assert!(self.routes_to(domain, prefix).contains(" dev "), "{domain} lost its route to {prefix}");
        }
    }

    fn frr(&self, domain: &str) -> Option<[String; 2]> {
        Some([self.program(domain, "zebra")?, self.program(domain, "bgpd")?])
    }

    fn mid_is_established(&self) -> bool {
        let sessions = self.sessions_of("mid");
        sessions.len() == 2 && sessions.values().all(|session| session.contains("Established"))
    }

    /// What a new session or program would change.
    fn way_now(&self) -> String {
        let sessions = ["left", "mid", "right"].map(|domain| {
            let mut sessions = self.sessions_of(domain);
            sessions.retain(|name, _| name.starts_with("rd_"));
            sessions
        });
        format!("{sessions:?} {:?} {:?}", self.frr("mid"), self.frr("right"))
    }
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn any_program_of_frr_killed_with_9_loses_no_packet_and_no_route_and_its_sessions_come_back() {
    let machine = Machine::way();
    let mut times = Vec::new();
    for victims in [&["bgpd"][..], &["zebra"], &PROGRAMS] {
        let before = machine.frr("mid").expect("FRR runs");
        let restarts = machine.daemon("mid")["restarts"].as_u64().expect("a number");
        let pings = ["10.3.0.1", "2001:db8:3::1"]
            .map(|to| machine.spawn(&words(&format!("ip netns exec left ping -nqi 0.01 -c 400 -W 1 {to}"))));
        let ids = victims.iter().filter_map(|program| machine.program("mid", program));
        let line = ids.fold("kill -9".to_owned(), |line, id| format!("{line} {id}"));
        // The second one may be gone with the first.
        machine.sh(&format!("{line} || true"));
        let killed = Instant::now();
        eventually(SOON, "both begin again, and both sessions are established", || {
            let now = machine.frr("mid");
            now.is_some_and(|now| now.iter().all(|id| !before.contains(id))) && machine.mid_is_established()
        });
        let took = killed.elapsed();
        machine.assert_routes();
        println!("kill -9 of {victims:?}: sessions after {took:.2?}");
        times.push(took);
        for ping in pings {
            let said = ping.finish(SOON).ok();
            println!("{}", said.lines().find(|line| line.contains("transmitted")).unwrap_or_default());
            assert!(said.contains(" 0% packet loss"), "{victims:?}: {said}");
        }
        machine.assert_routes();
        let daemon = machine.daemon("mid");
        assert_eq!(daemon["last_exit"], "killed (SIGKILL)", "{daemon}");
        let lost = daemon["restarts"].as_u64().expect("a number") - restarts;
        assert!(lost == 1 || victims.len() == 2 && lost == 2, "{victims:?} count as {lost} losses");
    }
    // Three seconds on a machine of one's own; this one is shared.
    assert!(times.iter().all(|time| *time < Duration::from_secs(6)), "{times:?}");
    machine.assert_converged();
}

/// zebra takes what it found in the kernel, and was not told of since, for left over when that time has passed.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn routes_outlive_the_time_for_which_zebra_keeps_what_it_finds() {
    let machine = Machine::way();
    machine.line(&format!("kill -9 {}", machine.program("mid", "zebra").expect("it runs")));
    let killed = Instant::now();
    eventually(SOON, "both sessions are established", || machine.mid_is_established());
    let ping = machine.spawn(&words("ip netns exec left ping -nqi 0.05 -w 100 10.3.0.1"));
    let said = ping.finish(Duration::from_mins(2)).ok();
    assert!(killed.elapsed() > Duration::from_secs(95) && said.contains(" 0% packet loss"), "{said}");
    machine.assert_routes();
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_supervisor_killed_with_9_is_succeeded_by_one_that_adopts_both_programs_and_resets_no_session() {
    let machine = Machine::way();
    let before = machine.way_now();
    machine.signal_supervisor("KILL");
    let ping = machine.spawn(&words("ip netns exec left ping -nqi 0.01 -c 200 -W 1 10.3.0.1"));
    machine.start();
    let said = ping.finish(SOON).ok();
    assert!(said.contains(" 0% packet loss"), "{said}");
    assert_eq!(machine.way_now(), before);
    machine.assert_converged();
    // Both are watched.
    for program in PROGRAMS {
        let old = machine.program("mid", program).expect("it runs");
        machine.line(&format!("kill -9 {old}"));
        eventually(SOON, &format!("{program} is replaced"), || {
            machine.program("mid", program).is_some_and(|new| new != old) && machine.mid_is_established()
        });
    }
}

/// Nobody was there to see it, so one of the two still runs as if nothing had happened.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_program_of_frr_that_died_while_no_supervisor_ran_loses_no_packet_either() {
    let machine = Machine::way();
    for program in PROGRAMS {
        let before = machine.frr("mid").expect("FRR runs");
        let ping = machine.spawn(&words("ip netns exec left ping -nqi 0.01 -c 500 -W 1 10.3.0.1"));
        machine.signal_supervisor("KILL");
        machine.line(&format!("kill -9 {}", machine.program("mid", program).expect("it runs")));
        machine.start();
        eventually(SOON, "both begin again, and both sessions are established", || {
            let now = machine.frr("mid");
            now.is_some_and(|now| now.iter().all(|id| !before.contains(id))) && machine.mid_is_established()
        });
        let said = ping.finish(SOON).ok();
        assert!(said.contains(" 0% packet loss"), "{program}: {said}");
        machine.assert_routes();
    }
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_stopped_program_of_frr_is_replaced_inside_the_hold_time_and_no_packet_is_lost() {
    for program in PROGRAMS {
        let machine = Machine::way();
        let before = machine.frr("mid").expect("FRR runs");
        let ping = machine.spawn(&words("ip netns exec left ping -nqi 0.01 -w 35 10.3.0.1"));
        machine.line(&format!("kill -STOP {}", machine.program("mid", program).expect("it runs")));
        let stopped = Instant::now();
        eventually(Duration::from_mins(1), "both begin again, and both sessions are established", || {
            let now = machine.frr("mid");
            now.is_some_and(|now| now.iter().all(|id| !before.contains(id))) && machine.mid_is_established()
        });
        println!("SIGSTOP of {program}: sessions after {:.1?}", stopped.elapsed());
        assert!(stopped.elapsed() < Duration::from_secs(90));
        let said = ping.finish(Duration::from_mins(2)).ok();
        assert!(said.contains(" 0% packet loss"), "{program}: {said}");
        machine.assert_routes();
    }
}

/// In `host`, which stays, what zebra found in the kernel and was told of by nobody yet must go, too.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn stop_leaves_nothing_of_frr_whatever_was_done_to_it() {
    let mut toml = String::from(
        "[rdsup]\ndaemon = \"frr\"\n[domain.host]\ndaemon = \"frr\"\nasn = 65001\nrouter_id = \"192.0.2.1\"\n",
    );
    let _ = write!(
        toml,
        "[domain.a]\nasn = 65002\nloopback = [\"10.2.0.1/32\", \"2001:db8:2::1/128\"]\n\
         networks = [\"10.2.0.0/16\", \"2001:db8:2::/48\"]\n\
         [[link]]\nbetween = [\"host\", \"a\"]\n[link.into.host]\nroutes = [\"10.2.0.0/16\", \"2001:db8:2::/48\"]\n"
    );
    for script in
        ["", "kill -9 $bgpd", "kill -9 $zebra", "kill -9 $zebra $bgpd", "kill -STOP $zebra", "kill -STOP $bgpd"]
    {
        let machine = Machine::new(&toml);
        let clean = machine.traces();
        machine.start();
        let routes = || machine.sh("ip -4 route; ip -6 route");
        eventually(SOON, "the host learns both routes", || {
            routes().contains("10.2.0.0/16") && routes().contains("2001:db8:2::/48")
        });
        let pids = "zebra=$(cat /run/rdsup/host/frr/zebra.pid) bgpd=$(cat /run/rdsup/host/frr/bgpd.pid)";
        machine.sh(&format!("{pids}; {script}"));
        machine.run(&[RDSUP, "-c", CONFIG, "stop"]).ok();
        machine.assert_left_as(&clean);
    }
}

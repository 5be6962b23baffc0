//! What dies comes back, and what is half there becomes whole.

use std::time::Duration;

use crate::machine::{CONFIG, DEMO, Machine, RDSUP, SOON, eventually, words};

#[test]
fn a_daemon_killed_with_9_comes_back_and_no_ping_through_it_is_lost() {
    let machine = Machine::demo();
    let other = machine.session("internet", "rd_hostile");
    let before = machine.bird("private").expect("private has a daemon");
    let ping = machine.spawn(&words("ip netns exec private ping -n -q -i 0.01 -c 400 -W 1 198.51.100.1"));
    machine.line(&format!("kill -9 {before}"));
    eventually(SOON, "another daemon runs", || machine.bird("private").is_some_and(|after| after != before));
    eventually(SOON, "its session is established again", || machine.established("private", "rd_internet"));
    let said = ping.finish(SOON).ok();
    assert!(said.contains("400 received") && said.contains(" 0% packet loss"), "{said}");
    assert_eq!(machine.session("internet", "rd_hostile"), other, "another domain's session was reset");
    machine.assert_converged();
}

#[test]
fn the_daemon_in_the_middle_may_die_too() {
    let machine = Machine::demo();
    let before = machine.bird("internet").expect("internet has a daemon");
    let ping = machine.spawn(&words("ip netns exec private ping -n -q -i 0.01 -c 400 -W 1 198.51.100.1"));
    machine.line(&format!("kill -9 {before}"));
    eventually(SOON, "both sessions are established again", || {
        machine.established("internet", "rd_private") && machine.established("internet", "rd_hostile")
    });
    let said = ping.finish(SOON).ok();
    assert!(said.contains(" 0% packet loss"), "{said}");
}

#[test]
fn start_converges_from_whatever_was_damaged_while_no_supervisor_ran() {
    let machine = Machine::demo();
    for damage in [
        "ip -n internet link delete rd-private",
        "ip -n private link set rd-internet down",
        "ip -n private address delete 192.168.0.1/32 dev lo",
        "ip -n private -6 address flush dev rd-internet",
        "ip netns exec internet nft delete table inet rdsup",
        "ip netns exec internet nft flush ruleset",
        "rm -f /run/rdsup/private/bird.conf /run/rdsup/private/rdsup.nft",
        "rm -rf /run/rdsup/hostile",
        "kill -9 $(comm -12 <(ip netns pids internet | sort) <(pgrep -x bird | sort))",
        "umount /run/netns/private; rm /run/netns/private",
        "ip netns delete internet",
        "umount /run/netns/hostile; echo text >/run/netns/hostile",
        "ip netns exec private sysctl -qw net.ipv4.ip_forward=0",
    ] {
        machine.signal_supervisor("KILL");
        machine.sh(damage);
        machine.start();
        assert!(machine.established("private", "rd_internet"), "after `{damage}`");
        assert!(machine.established("internet", "rd_hostile"), "after `{damage}`");
        eventually(SOON, &format!("a ping after `{damage}`"), || {
            machine.pings("private", "198.51.100.1") && machine.pings("private", "2001:db8:1::1")
        });
        assert!(!machine.pings("hostile", "198.51.100.1"), "the filter is open after `{damage}`");
        machine.assert_converged();
    }
    // One that was killed is there until somebody has asked how it ended.
    eventually(SOON, "daemons of lost namespaces run no longer", || machine.sh("pgrep -cx bird").trim() == "3");
}

#[test]
fn a_supervisor_killed_anywhere_in_its_start_leaves_what_the_next_one_completes() {
    let machine = Machine::new(DEMO);
    let clean = machine.traces();
    for milliseconds in [5, 15, 30, 50, 80, 120, 200, 350, 600, 1000] {
        let limit = format!("{}", f64::from(milliseconds) / 1000.0);
        // timeout(1) kills what it started, and itself only with the status 137.
        machine.run(&["timeout", "-s", "KILL", &limit, RDSUP, "-c", CONFIG, "start"]);
        eventually(SOON, "the supervisor is gone", || !machine.run(&["pgrep", "-x", "rdsup"]).status.success());
    }
    machine.start();
    assert!(machine.established("private", "rd_internet"));
    eventually(SOON, "the routes are learned", || machine.pings("private", "198.51.100.1"));
    machine.assert_converged();
    eventually(SOON, "there is one daemon for each domain", || machine.sh("pgrep -cx bird").trim() == "3");
    machine.stop();
    machine.assert_left_as(&clean);
}

#[test]
fn a_daemon_that_cannot_stay_up_leaves_the_other_domains_alone() {
    let machine = Machine::demo();
    let other = machine.session("internet", "rd_private");
    // hostile's daemon dies each time that it is started, ten times and more.
    let end = std::time::Instant::now() + Duration::from_secs(4);
    while std::time::Instant::now() < end {
        if let Some(id) = machine.bird("hostile") {
            machine.run(&["kill", "-9", &id]);
        }
    }
    assert_eq!(machine.session("internet", "rd_private"), other);
    assert!(machine.pings("private", "198.51.100.1"));
    eventually(Duration::from_mins(2), "it is started again", || machine.established("hostile", "rd_internet"));
}

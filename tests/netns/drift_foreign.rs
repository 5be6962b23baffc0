//! What is not rdsup's: left alone, told where it stands in the way, and no hindrance for everything else.

use std::time::Instant;

use crate::drift::{ALL, Damage, LINK_IS_WELL, OTHERS, identity, inflict, print, print_heading, said};
use crate::machine::{Machine, SOON, eventually, throughout};

/// What others may have in a domain, as they would list it.
fn foreign(machine: &Machine) -> String {
    // A list of addresses is in the order in which they came, and counters count.
    machine.sh(
        "for it in 'address show dev lo' 'address show dev rd-internet' 'link show dev br-other' 'route show proto 99' \
            '-6 route show proto 99'; do ip -n private -o $it | sed 's/valid_lft.*//' | sort; done
        ip netns exec private nft --stateless list table inet other; ip netns exec private nft list table ip rdsup",
    )
}

#[test]
fn what_others_have_in_a_domain_is_never_touched_while_everything_around_it_is_repaired() {
    let machine = Machine::demo();
    let before = identity(&machine, &ALL);
    machine.sh("ip -n private link add br-other type bridge; ip -n private link set br-other up
        ip -n private address add 172.20.0.1/24 dev br-other
        ip -n private address add 172.20.1.1/32 dev lo; ip -n private address add 172.20.2.1/24 dev rd-internet
        ip -n private route add 172.21.0.0/16 via 172.20.0.2 proto 99
        ip -n private -6 route add unreachable 2001:db8:99::/48 proto 99
        ip netns exec private nft 'table inet other { chain c { type filter hook input priority 9; counter; }; }'
        ip netns exec private nft 'table ip rdsup { chain c { type filter hook input priority 9; }; }'");
    let theirs = foreign(&machine);
    eventually(SOON, "all is as it was", || machine.rdsup("status").status.success());
    assert_eq!(said(&machine, ""), 0, "something was repaired that was not rdsup's");
    // Around them, events and repairs of what is rdsup's.
    // The name is taken away as `ip netns delete` does it, lazily: rdsup may just be looking at it.
    for damage in [
        "ip -n private address delete 192.168.0.1/32 dev lo",
        "ip netns exec private nft delete table inet rdsup",
        "ip -n private route delete unreachable 192.168.0.0/16 proto 114",
        "umount -l /run/netns/private",
    ] {
        let repairs = said(&machine, "");
        machine.sh(damage);
        eventually(SOON, &format!("`{damage}` is repaired"), || said(&machine, "") > repairs);
    }
    machine.assert_converged();
    assert_eq!(foreign(&machine), theirs);
    assert_eq!(identity(&machine, &ALL), before);
}

#[test]
fn a_foreign_namespace_under_a_domains_name_is_told_and_keeps_no_other_from_being_repaired() {
    let machine = Machine::demo();
    let before = identity(&machine, &ALL);
    let daemon = machine.bird("private").expect("a daemon");
    let inside = |line: &str| machine.line(&format!("nsenter --net=/proc/{daemon}/ns/net {line}"));
    // Over ours, so that there is no moment in which the name leads nowhere.
    machine.sh("ip netns add other; mount --bind /run/netns/other /run/netns/private");
    eventually(SOON, "it is told", || {
        machine
            .rdsup("status")
            .stdout
            .contains("private: a network namespace of that name exists and rdsup did not make it")
    });
    assert_eq!(machine.rdsup("status").code(), Some(3));
    // Another domain is repaired, and even the filter of the one that has lost its name.
    machine.line("ip -n hostile address delete 10.66.0.1/32 dev lo");
    eventually(SOON, "another domain is repaired", || {
        machine.line("ip -n hostile -o address show dev lo").contains("10.66.0.1/32")
    });
    inside("nft flush ruleset");
    eventually(SOON, "the filter is back", || inside("nft list ruleset").contains("table inet rdsup {"));
    assert_eq!(machine.sh("ip -n other -o link | wc -l"), "1\n", "the foreign namespace was changed");
    assert_eq!(machine.sh("ip netns exec other nft list ruleset"), "", "the foreign namespace was changed");
    // Who applies is refused whole.
    let error = machine.rdsup("apply").refused(1);
    assert!(error.contains("domain private: a network namespace of that name exists"), "{error}");
    // A supervisor that is started now has the others to watch over all the same.
    machine.signal_supervisor("KILL");
    let said = machine.rdsup("start --detach");
    assert_eq!(said.code(), Some(3), "{said}");
    assert!(said.stderr.contains("a network namespace of that name exists"), "{said}");
    machine.line("ip -n hostile address delete 10.66.0.1/32 dev lo");
    eventually(SOON, "another domain is repaired", || {
        machine.line("ip -n hostile -o address show dev lo").contains("10.66.0.1/32")
    });
    assert_eq!(machine.sh("ip -n other -o link | wc -l"), "1\n", "the foreign namespace was changed");
    machine.line("umount -l /run/netns/private");
    eventually(SOON, "all is well again", || machine.rdsup("status").status.success());
    assert_eq!(identity(&machine, &ALL), before);
    machine.assert_converged();
}

/// Puts a bridge where the link of private to internet was, and waits until that is told.
#[track_caller]
pub fn put_in_the_way(machine: &Machine) {
    machine.write(
        "/run/batch",
        "link set rd-internet down\nlink set rd-internet name other\nlink add rd-internet type bridge\n",
    );
    // All of it while rdsup stands still, or it could have the link up again before there is a bridge.
    let supervisor = machine.supervisor();
    machine.sh(&format!(
        "kill -STOP {supervisor}; until grep -q '^State:.T' /proc/{supervisor}/status; do :; done
         ip -n private -batch /run/batch; kill -CONT {supervisor}"
    ));
    eventually(SOON, "it is told", || {
        machine.rdsup("status").stdout.contains("private: an interface rd-internet exists and rdsup did not make it")
    });
}

#[test]
fn a_foreign_interface_under_a_links_name_is_told_and_the_link_comes_when_it_has_gone() {
    let machine = Machine::demo();
    let before = identity(&machine, &OTHERS);
    put_in_the_way(&machine);
    machine.line("ip -n hostile address delete 10.66.0.1/32 dev lo");
    eventually(SOON, "another domain is repaired", || {
        machine.line("ip -n hostile -o address show dev lo").contains("10.66.0.1/32")
    });
    assert!(machine.line("ip -n private -d -o link show dev rd-internet").contains("bridge"));
    let addresses = machine.line("ip -n private -o address show dev rd-internet");
    assert!(!addresses.contains("fe80::1/64"), "something was put on a foreign interface: {addresses}");
    machine.signal_supervisor("KILL");
    let said = machine.rdsup("start --detach");
    assert!(said.code() == Some(3) && said.stderr.contains("an interface rd-internet exists"), "{said}");
    machine.line("ip -n private link delete rd-internet");
    machine.rdsup("status --wait 30s").ok();
    machine.assert_converged();
    assert_eq!(identity(&machine, &OTHERS), before);
}

#[test]
fn a_claimed_interface_that_vanishes_is_claimed_again_when_it_appears() {
    let machine = Machine::new(
        "[domain.edge]\ndaemon = \"none\"\nloopback = [\"198.51.100.1/32\"]\n[[domain.edge.interface]]\nname = \"up0\"\n\
         address = [\"203.0.113.2/30\", \"2001:db8:ffff::2/64\"]\n[[domain.edge.route]]\nto = \"0.0.0.0/0\"\nvia = \"203.0.113.1\"\n",
    );
    machine.sh("ip netns add isp; ip link add up0 type veth peer name customer netns isp
        ip -n isp link set customer up; ip link set up0 up");
    machine.start();
    let appear = Damage {
        name: "interface vanishes and appears",
        script: "ip -n edge link delete up0; until rdsup_says 'up0 is not there'; do :; done
            ip link add up0 type veth peer name customer netns isp; ip -n isp link set customer up; begin=$(now)",
        well: "ip -n edge -o address show dev up0 up 2>/dev/null | grep -q 203.0.113.2/30 && \
            ip -n edge -o address show dev up0 | grep -q 2001:db8:ffff::2/64 && [ -n \"$(ip -n edge route show default)\" ] \
            || { rdsup_says() { /srv/machine/rdsup -c /srv/machine/rdsup.toml status | grep -q \"$1\"; }; false; }",
        told: "interface up0 appeared",
    };
    let first = "rdsup_says() { /srv/machine/rdsup -c /srv/machine/rdsup.toml status | grep -q \"$1\"; };";
    let script = format!("{first} {}", appear.script);
    let damage = Damage { script: Box::leak(script.into_boxed_str()), well: appear.well, ..appear };
    print_heading();
    print(damage.name, inflict(&machine, &damage, 10));
    eventually(SOON, "all are told", || said(&machine, damage.told) >= 10);
    machine.assert_converged();
    machine.stop();
}

#[test]
fn ten_thousand_foreign_changes_keep_no_request_waiting_and_no_repair() {
    let machine = Machine::demo();
    let before = identity(&machine, &ALL);
    machine.sh("for n in $(seq 5000); do
            echo \"address add 10.$((100 + n / 250)).$((n % 250)).1/32 dev lo\"; done >/run/add
        sed 's/ add / delete /' /run/add | cat /run/add - >/run/batch");
    let (begin, used) = (Instant::now(), processor_ms(&machine));
    let mut storm = machine.spawn(&["ip", "-n", "private", "-batch", "/run/batch"]);
    let mut slowest = 0.0_f64;
    let mut asked = 0;
    while storm.is_running() {
        let asking = Instant::now();
        machine.rdsup("ctl private show status").ok();
        slowest = slowest.max(asking.elapsed().as_secs_f64());
        asked += 1;
    }
    storm.finish(SOON).ok();
    let damage = Damage {
        name: "veth deleted right after a storm",
        script: "ip -n internet link delete rd-private",
        well: LINK_IS_WELL,
        told: "link rd-private was gone",
    };
    let (took, used) = (begin.elapsed().as_secs_f64(), processor_ms(&machine) - used);
    println!(
        "10000 foreign address changes in {took:.1} s: {asked} requests, the slowest in {:.0} ms; {used} ms of processor time used",
        slowest * 1000.0
    );
    print_heading();
    print(damage.name, inflict(&machine, &damage, 1));
    assert!(asked > 0 && slowest < 5.0, "a request took {slowest} s");
    machine.rdsup("status --wait 30s").ok();
    assert_eq!(identity(&machine, &OTHERS), before[..3].iter().chain(&before[3..5]).cloned().collect::<Vec<_>>());
    throughout(std::time::Duration::from_secs(1), "no more is repaired", || said(&machine, "") == 2);
}

#[test]
fn what_has_no_event_is_found_by_the_slow_comparison() {
    let machine = Machine::demo();
    machine.line("ip netns exec private sysctl -qw net.ipv4.conf.rd-internet.rp_filter=1");
    machine.line("rm /run/rdsup/private/bird.conf");
    eventually(SOON, "both are repaired", || {
        machine.run(&["test", "-e", "/run/rdsup/private/bird.conf"]).status.success()
            && machine.within("private", "sysctl -n net.ipv4.conf.rd-internet.rp_filter").ok() == "0\n"
    });
    eventually(SOON, "it is told", || {
        let status = machine.rdsup("status").stdout;
        status.contains("sysctl net.ipv4.conf.rd-internet.rp_filter was altered")
            && status.contains("file /run/rdsup/private/bird.conf was gone")
    });
    machine.rdsup("status --wait 30s").ok();
    let json = machine.rdsup("status --json").ok();
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let repairs = report["repairs"].as_array().expect("a list");
    assert!(
        repairs.iter().all(|repair| repair["domain"] == "private" && repair["milliseconds"].is_u64()),
        "{repairs:?}"
    );
}

/// The processor time that the supervisor has used, in milliseconds.
fn processor_ms(machine: &Machine) -> u64 {
    let id = machine.supervisor();
    let said = machine.sh(&format!("cut -d' ' -f14,15 /proc/{id}/stat"));
    said.split_whitespace().map(|word| word.parse::<u64>().expect("ticks") * 10).sum()
}

#[test]
fn routes_that_a_daemon_learns_and_what_others_do_in_the_host_wake_nobody() {
    let machine = Machine::demo();
    machine.sh("for n in $(seq 20000); do
        echo \"route add blackhole 10.$((100 + n / 250)).$((n % 250)).0/24 proto 12 metric 77\"; done >/run/batch");
    machine.sh("for n in $(seq 100); do echo \"link add b$n type bridge\"; echo \"link set b$n up\"
            echo \"address add 172.30.0.1/24 dev b$n\"; echo \"link delete b$n\"; done >/run/others");
    let before = processor_ms(&machine);
    machine.line("ip -n private -batch /run/batch");
    machine.line("ip -batch /run/others");
    let used = processor_ms(&machine) - before;
    println!(
        "20000 routes of a daemon, 100 foreign interfaces in the host: {used} ms of the supervisor's processor time used"
    );
    assert!(used < 500, "{used} ms");
    // One of ours among them does.
    machine.line("ip -n private route delete unreachable 192.168.0.0/16 proto 114");
    eventually(SOON, "a route comes back", || !machine.routes_to("private", "192.168.0.0/16").is_empty());
    eventually(SOON, "it is told", || said(&machine, "route unreachable 192.168.0.0/16 was gone") == 1);
}

#[test]
fn the_supervisor_has_files_enough_and_daemons_get_the_limit_that_it_was_started_with() {
    let machine = Machine::new(crate::machine::DEMO);
    machine.sh("ulimit -Sn 300; /srv/machine/rdsup -c /srv/machine/rdsup.toml start --detach --wait");
    let limit = |id: &str| -> u64 {
        let limits = machine.sh(&format!("grep 'open files' /proc/{id}/limits"));
        limits.split_whitespace().nth(3).and_then(|word| word.parse().ok()).expect("a number")
    };
    assert_eq!(limit(&machine.bird("private").expect("a daemon")), 300);
    let supervisor = limit(&machine.supervisor());
    assert!(supervisor > 300, "{supervisor}");
    machine.line("ip -n private address delete 192.168.0.1/32 dev lo");
    eventually(SOON, "it is repaired", || said(&machine, "address 192.168.0.1/32 of lo was gone") == 1);
}

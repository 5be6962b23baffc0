//! What has to come back comes back, whatever stands in its way by then.

use std::time::Duration;

use crate::drift_foreign::put_in_the_way;
use crate::generations::{all_in_force, in_force, pings, with_ping};
use crate::machine::{DEMO, Machine, SOON, eventually, throughout};

/// A file that is sound, and of which the machine refuses a step: there is a directory where a file must be.
fn failing(machine: &Machine) -> String {
    machine.sh("mkdir -p /run/rdsup/private/resolv.conf/x");
    with_ping().replacen("asn      = 65002", "asn      = 65002\ndns      = [\"192.168.0.53\"]", 1)
}

#[test]
fn while_something_waits_only_the_way_back_leads_out_of_it() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    machine.rdsup("apply").ok();
    machine.configure(&with_ping().replace("\"udp/53\", ", ""));
    machine.rdsup("apply --confirm 60s").ok();
    for line in ["rollback 1", "rollback 1 --confirm 5s", "rollback --confirm 5s", "rollback 2 --confirm 5s"] {
        let error = machine.rdsup(line).refused(1);
        assert!(error.contains("generation 3 waits to be confirmed") && error.contains("rdsup confirm"), "{error}");
    }
    machine.rdsup("rollback 2").ok();
    assert!(in_force(&machine) == 2);
    assert!(!machine.rdsup("status").stdout.contains("waits to be confirmed"));
}

#[test]
fn what_nobody_confirmed_comes_out_around_what_is_in_the_way() {
    let machine = Machine::demo();
    // Without `hostile`; ping from `internet` opens.
    let without = DEMO.split("# Someone else's machines").next().expect("the head").to_owned()
        + "[[link]]\nbetween = [\"private\", \"internet\"]\n[link.into.private]\nroutes = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]\n\
           packets = [\"icmp\"]\n[link.into.internet]\nroutes = [\"@lan\"]\npackets = [\"tcp/80,443\", \"udp/53\", \"icmp\"]\n";
    assert!(!machine.pings("internet", "192.168.0.1"), "it is not forbidden");
    machine.configure(&without);
    // Time for what has to happen before it is over.
    machine.rdsup("apply --confirm 8s").ok();
    assert!(machine.pings("internet", "192.168.0.1"), "it is not allowed");
    machine.line("ip netns add hostile");
    eventually(SOON, "the policy of generation 1 is back", || !machine.pings("internet", "192.168.0.1"));
    eventually(SOON, "generation 1 is in force", || all_in_force(&machine) == [1]);
    eventually(SOON, "what is in the way is told", || {
        let status = machine.rdsup("status");
        status.stdout.contains("a network namespace of that name exists") && status.code() == Some(3)
    });
    machine.line("ip netns delete hostile");
    machine.configure(DEMO);
    machine.rdsup("status --wait 30s").ok();
    machine.assert_converged();
}

/// A domain with a neighbor whose password is in `/srv/machine/transit.key`, on a machine that has both.
fn with_password() -> (Machine, &'static str) {
    let edge = "[domain.edge]\nasn = 65001\nloopback = [\"198.51.100.1/32\"]\nnetworks = [\"198.51.100.0/24\"]\n\
        [[domain.edge.interface]]\nname = \"up0\"\naddress = [\"203.0.113.2/30\"]\n\
        [[domain.edge.neighbor]]\nname = \"transit\"\naddress = \"203.0.113.1\"\nasn = 64510\nroutes = [\"8.8.0.0/16 le 24\"]\n\
        password = { file = \"/srv/machine/transit.key\" }\n";
    let machine = Machine::new(edge);
    machine.write("/srv/machine/transit.key", "s3cret words\n");
    machine.sh("chmod 600 /srv/machine/transit.key; ip netns add isp; ip link add up0 type veth peer name c netns isp");
    machine.rdsup("start --detach").ok();
    (machine, edge)
}

#[test]
fn a_start_that_cannot_take_over_for_want_of_a_password_says_what_becomes_of_the_network() {
    let (machine, edge) = with_password();
    let bird = machine.bird("edge").expect("a daemon");
    machine.signal_supervisor("TERM");
    machine.line("mv /srv/machine/transit.key /srv/machine/old.key");
    let said = machine.rdsup("start --detach").refused(1);
    for words in [
        "cannot read the password file /srv/machine/transit.key: No such file",
        "the network of generation 1 stays as it is and nobody looks after it",
        "hint: mend that and start again; or, with a file that can be used: rdsup start --apply",
    ] {
        assert!(said.contains(words), "{said}");
    }
    // Both of what the hint says lead out of it.
    machine.line("mv /srv/machine/old.key /srv/machine/transit.key");
    machine.rdsup("start --detach").ok();
    machine.signal_supervisor("TERM");
    machine.line("rm /srv/machine/transit.key");
    machine.configure(&edge.replace("password = { file = \"/srv/machine/transit.key\" }\n", ""));
    machine.rdsup("start --detach --apply").ok();
    assert_eq!(machine.bird("edge"), Some(bird), "the same daemon all the time");
}

#[test]
fn what_nobody_confirmed_comes_out_although_a_password_is_gone() {
    let (machine, edge) = with_password();
    machine.configure(&edge.replace("198.51.100.0/24", "198.51.100.0/25"));
    machine.rdsup("apply --confirm 6s").ok();
    machine.line("rm /srv/machine/transit.key");
    eventually(SOON, "generation 1 is in force", || all_in_force(&machine) == [1]);
    assert!(machine.sh("cat /run/rdsup/edge/bird.conf").contains("198.51.100.0/24"));
    assert!(machine.sh("cat /run/rdsup/edge/bird.conf").contains("s3cret words"), "the password is as it was");
}

#[test]
fn a_state_directory_that_cannot_be_written_keeps_nothing_in_force_that_nobody_confirmed() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    machine.rdsup("apply --confirm 6s").ok();
    machine.sh("mount --bind /var/lib/rdsup /var/lib/rdsup; mount -o remount,bind,ro /var/lib/rdsup");
    eventually(SOON, "generation 1 is in force", || all_in_force(&machine) == [1]);
    assert!(!pings(&machine));
    // Lazily: rdsup may just be looking at it.
    machine.line("umount -l /var/lib/rdsup");
    // Another change fails, and what was before comes back: that is generation 1.
    machine.configure(&failing(&machine));
    let error = machine.rdsup("apply").refused(1);
    assert!(error.contains("resolv.conf") && error.contains("as it was before"), "{error}");
    assert!(!pings(&machine), "what nobody confirmed came back");
    throughout(Duration::from_secs(6), "nothing is repaired towards it", || !pings(&machine));
}

#[test]
fn a_change_that_fails_while_something_is_in_the_way_is_taken_back_and_never_repaired_towards() {
    let machine = Machine::demo();
    put_in_the_way(&machine);
    // The change has a link of another name, so that nothing is in its way; going back there is.
    let file = failing(&machine).replacen(
        "between = [\"private\", \"internet\"]",
        "between = [\"private\", \"internet\"]\nname = \"pi\"",
        1,
    );
    machine.configure(&file);
    let error = machine.rdsup("apply").refused(1);
    assert!(error.contains("not all of it could be taken back") && error.contains("rd-internet"), "{error}");
    assert!(in_force(&machine) == 1 && !pings(&machine), "the policy that came with it stays");
    machine.sh("ip -n private link delete rd-internet; rm -r /run/rdsup/private/resolv.conf");
    machine.configure(DEMO);
    machine.rdsup("status --wait 30s").ok();
    assert!(!pings(&machine), "the policy that came with it was repaired towards");
    machine.assert_converged();
}

#[test]
fn nothing_waits_for_longer_than_anybody_would() {
    let machine = Machine::demo();
    let ask = |seconds: &str| {
        let request = format!(r#"{{\"method\":\"org.rdsup.Apply\",\"parameters\":{{\"confirm\":{seconds}}}}}\0"#);
        machine.sh(&format!(
            "printf \"{request}\" | timeout 5 perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(\"/run/rdsup/rdsup.sock\") \
             or die; local $/; print $s scalar <STDIN>; $s->flush; $/ = \"\\0\"; while (<$s>) {{ print; last unless /continues\":true/ }}'"
        ))
    };
    for seconds in ["18446744073709551615", "9223372036854775807", "604801"] {
        let answer = ask(seconds);
        assert!(answer.contains("nothing waits longer than 7 days"), "{answer}");
    }
    machine.rdsup("status").ok();
    assert!(in_force(&machine) == 1);
}

#[test]
fn a_file_that_came_out_once_and_was_applied_by_hand_since_is_what_a_boot_starts() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    machine.rdsup("apply --confirm 1s").ok();
    eventually(SOON, "generation 1 is in force", || all_in_force(&machine) == [1]);
    machine.rdsup("apply").ok();
    machine.configure(DEMO);
    machine.rdsup("apply").ok();
    machine.stop();
    machine.configure(&with_ping());
    let said = machine.rdsup("start --detach");
    assert!(said.status.success() && !said.stderr.contains("instead"), "{said}");
    eventually(SOON, "the file runs", || pings(&machine));
}

#[test]
fn a_file_that_was_cut_short_takes_nothing_down() {
    let machine = Machine::demo();
    machine.configure("");
    let error = machine.rdsup("apply").refused(1);
    assert!(error.contains("has no domain") && error.contains("rdsup stop"), "{error}");
    machine.configure(DEMO);
    machine.assert_converged();
}

#[test]
fn a_state_directory_that_is_lost_while_everything_runs_is_filled_again() {
    let machine = Machine::demo();
    machine.configure(&with_ping());
    machine.rdsup("apply").ok();
    machine.lose("/var/lib/rdsup/generations");
    eventually(SOON, "it is told", || machine.rdsup("log").ok().contains("no longer in the state directory"));
    eventually(SOON, "generation 2 is kept", || all_in_force(&machine) == [2]);
}

#[test]
fn a_run_directory_that_is_lost_leaves_a_network_that_the_next_start_mends_or_a_stop_finds() {
    let machine = Machine::demo();
    machine.signal_supervisor("KILL");
    machine.line("rm -rf /run/rdsup");
    machine.rdsup("start --detach --wait").ok();
    machine.rdsup("status").ok();
    machine.assert_converged();
    machine.signal_supervisor("KILL");
    machine.line("rm -rf /run/rdsup");
    machine.rdsup("stop").ok();
    machine.assert_prints("", "ls /run/netns; pgrep -x bird || true");
}

#[test]
fn whoever_claims_the_interface_that_the_host_is_reached_by_is_told() {
    let machine = Machine::new(
        "[domain.edge]\ndaemon = \"none\"\nloopback = [\"198.51.100.1/32\"]\n[[domain.edge.interface]]\nname = \"eth1\"\n\
         address = [\"203.0.113.2/30\"]\n",
    );
    machine.sh("ip link add eth1 type veth peer name other; ip link set eth1 up; ip link set other up
        ip address add 203.0.113.2/30 dev eth1; ip route add default via 203.0.113.1");
    let said = machine.rdsup("plan");
    assert!(said.stderr.contains("eth1") && said.stderr.contains("the host's default route"), "{said}");
    machine.line("ip route delete default");
    assert!(!machine.rdsup("plan").stderr.contains("default route"));
}

//! Several networks on one machine, of which one has the host for a domain: no other touches what that has there.

use std::time::Duration;

use crate::drift::said;
use crate::machine::{Machine, SOON, eventually, throughout};
use crate::said::Said;

/// A network of its own run directory with one domain, linked to the host.
fn linked(letter: char, number: u8) -> String {
    format!(
        "{}\n[domain.host]\n[[link]]\nbetween = [\"{letter}\", \"host\"]\nrouting = \"static\"\n\
         [link.into.host]\nroutes = [\"10.{number}.0.1/32\"]\npackets = [\"icmp\"]\n\
         [link.into.{letter}]\nroutes = [\"192.0.2.{number}/32\"]\n",
        alone(letter, number)
    )
}

/// The same without the host.
fn alone(letter: char, number: u8) -> String {
    let name = if letter == 'a' { "rdsup".to_owned() } else { letter.to_string() };
    format!(
        "[rdsup]\nrun_dir = \"/run/{name}\"\nstate_dir = \"/var/lib/{name}\"\n\
         [domain.{letter}]\ndaemon = \"none\"\nfamilies = [\"ipv4\"]\nloopback = [\"10.{number}.0.1/32\"]\n\
         networks = [\"10.{number}.0.0/16\"]\n"
    )
}

/// A machine on which one network runs that has the host, and another file.
fn machine(other: &str) -> Machine {
    let machine = Machine::running(&linked('a', 11));
    // Its own, beside the one by the link.
    machine.line("ip route add unreachable 10.79.0.0/16 proto 114");
    eventually(SOON, "what nobody asked for is gone", || !routes(&machine).contains("10.79"));
    eventually(SOON, "that is told", || said(&machine, "") > 0);
    machine.write("/srv/machine/other.toml", other);
    machine
}

fn other(machine: &Machine, line: &str) -> Said {
    let mut argv = vec!["/srv/machine/rdsup", "-c", "/srv/machine/other.toml"];
    argv.extend(line.split_whitespace());
    machine.run(&argv)
}

fn routes(machine: &Machine) -> String {
    machine.line("ip route show proto 114")
}

/// What the first network has in the host, and what it said of repairs.
fn of_the_first(machine: &Machine) -> (String, usize) {
    let there = machine.sh(
        "nft --stateless list table inet rdsup; ip -o link show group 29284; ip -o address show dev rd-a | sed 's/valid_lft.*//'
         ip route show proto 114",
    );
    assert!(there.contains("rdsup /run/rdsup host") && there.contains("10.11.0.1 "), "{there}");
    (there, said(machine, ""))
}

#[test]
fn a_second_network_that_has_the_host_is_refused_whole_and_told_of_the_first() {
    let machine = machine(&linked('b', 12));
    let before = of_the_first(&machine);
    for line in ["plan", "start --detach"] {
        let error = other(&machine, line).refused(1);
        assert!(
            error.contains("domain host: the network of run_dir /run/rdsup has `[domain.host]` already"),
            "{error}"
        );
        assert!(error.contains("hint: only one network can have `[domain.host]`"), "{error}");
    }
    assert_eq!(machine.sh("ls /run/netns"), "a\n", "nothing of it was made");
    // Without the host it runs beside the first; with it nothing is applied.
    machine.write("/srv/machine/other.toml", &alone('b', 12));
    other(&machine, "start --detach --wait").ok();
    machine.write("/srv/machine/other.toml", &linked('b', 12));
    let error = other(&machine, "apply").refused(1);
    assert!(error.contains("the network of run_dir /run/rdsup has `[domain.host]` already"), "{error}");
    other(&machine, "stop").ok();
    assert_eq!(machine.sh("ls /run/netns"), "a\n");
    assert_eq!(of_the_first(&machine), before, "the first was not touched");
    machine.assert_converged();
    // One after the other they may both.
    machine.stop();
    other(&machine, "start --detach --wait").ok();
    other(&machine, "stop").ok();
}

#[test]
fn who_changes_the_run_directory_of_a_network_that_runs_is_told_what_to_do_and_that_works() {
    let machine = Machine::running(&linked('a', 11));
    let moved = linked('a', 11).replace("/run/rdsup", "/run/moved").replace("/var/lib/rdsup", "/var/lib/moved");
    machine.write("/srv/machine/other.toml", &moved);
    let error = machine.rdsup("apply /srv/machine/other.toml").refused(1);
    assert!(
        error.contains("put the old ones back into the file; then rdsup stop, change them, rdsup start"),
        "{error}"
    );
    // In place nobody answers at the new directory, and what stands there is of the old one.
    machine.configure(&moved);
    let error = machine.rdsup("start --detach").refused(1);
    assert!(error.contains("marked \"rdsup /run/rdsup a\"") && error.contains("put the old one back"), "{error}");
    assert!(!error.contains("ip netns delete"), "{error}");
    machine.configure(&linked('a', 11));
    machine.stop();
    machine.configure(&moved);
    machine.start();
    machine.assert_converged();
    machine.stop();
    assert_eq!(machine.sh("ls /run/netns; ip -o link show group 29284; nft list ruleset"), "");
}

#[test]
fn a_network_without_the_host_starts_and_stops_and_leaves_what_another_has_there() {
    let machine = machine(&alone('b', 12));
    machine.unattended();
    let before = of_the_first(&machine);
    other(&machine, "start --detach --wait").ok();
    assert_eq!(of_the_first(&machine), before);
    other(&machine, "stop").ok();
    assert_eq!(of_the_first(&machine), before);
    // Not even where the table is gone for a moment.
    machine.line("nft delete table inet rdsup");
    other(&machine, "start --detach --wait").ok();
    other(&machine, "stop").ok();
    assert!(routes(&machine).contains("10.11.0.1 "));
    machine.start();
    assert_eq!(of_the_first(&machine).0, before.0);
}

#[test]
fn a_table_of_another_network_in_the_host_is_told_and_left_and_the_rest_is_repaired() {
    let machine = machine("");
    let replace = "sed 's,/run/rdsup host,/run/z host,' /run/rdsup/host/rdsup.nft | nft -f -";
    let mark = || machine.line("nft list table inet rdsup").contains("rdsup /run/z host");
    machine.sh(replace);
    eventually(SOON, "it is told", || {
        machine.rdsup("status").stdout.contains("host: the network of run_dir /run/z has `[domain.host]` already")
    });
    machine.line("ip route add unreachable 10.80.0.0/16 proto 114");
    machine.line("ip -n a address delete 10.11.0.1/32 dev lo");
    eventually(SOON, "another domain is repaired", || {
        machine.line("ip -n a -o address show dev lo").contains("10.11.0.1/32")
    });
    throughout(Duration::from_secs(2), "the other's table and route are there", || {
        mark() && routes(&machine).contains("10.80.0.0/16")
    });
    let error = machine.rdsup("apply").refused(1);
    assert!(error.contains("run_dir /run/z"), "{error}");
    machine.line("nft delete table inet rdsup");
    eventually(SOON, "the filter is back", || machine.line("nft list ruleset").contains("rdsup /run/rdsup host"));
    machine.rdsup("status --wait 30s").ok();
    machine.assert_converged();
    machine.sh(replace);
    eventually(SOON, "it is told again", || {
        machine.rdsup("status").stdout.contains("host: the network of run_dir /run/z")
    });
    machine.line("ip route add unreachable 10.80.0.0/16 proto 114");
    machine.stop();
    assert!(mark() && routes(&machine).contains("10.80.0.0/16"), "the other's are left by stop");
    assert_eq!(machine.sh("ls /run/netns; ip -o link show group 29284"), "", "its own are gone");
}

//! What `rdsup policy` says, compared with what packets do.

use crate::machine::{Machine, SOON, eventually};

#[test]
fn a_packet_arrives_where_policy_says_yes_and_nowhere_else() {
    let machine = Machine::demo();
    let addresses = [
        ("internet", ["198.51.100.1", "2001:db8:1::1"]),
        ("private", ["192.168.0.1", "2001:db8:2::1"]),
        ("hostile", ["10.66.0.1", "2001:db8:66::1"]),
    ];
    let mut servers = Vec::new();
    for (domain, addresses) in addresses {
        for address in addresses {
            servers.extend([80, 81].map(|port| machine.listen(Some(domain), address, port)));
        }
    }
    let mut said = [0, 0];
    for (from, _) in addresses {
        for (to, addresses) in addresses.into_iter().filter(|(to, _)| *to != from) {
            // What does not arrive takes seconds, so the other port is tried only where the first is open.
            let packets = if to == "internet" { vec!["icmp", "tcp/80", "tcp/81"] } else { vec!["icmp", "tcp/80"] };
            for (packet, address) in packets.into_iter().flat_map(|it| addresses.map(|at| (it, at))) {
                let answer = machine.rdsup(&format!("policy {from} {to} {packet} to {address}"));
                let arrives = match packet {
                    "icmp" => machine.pings(from, address),
                    "tcp/80" => machine.connects(Some(from), address, 80),
                    _ => machine.connects(Some(from), address, 81),
                };
                assert_eq!(answer.status.code(), Some(i32::from(!arrives)), "it arrives: {arrives}; {answer}");
                said[usize::from(arrives)] += 1;
            }
        }
    }
    assert_eq!(said, [22, 6], "no and yes");
}

/// Asks, and pings as soon as the answer should be so: `eventually` where it is yes.
fn compare_pings(machine: &Machine, questions: &[(&str, &str, &str, bool)]) {
    for (from, to, address, wanted) in questions {
        let answer = machine.rdsup(&format!("policy {from} {to} icmp to {address}"));
        assert_eq!(answer.status.success(), *wanted, "{answer}");
        if *wanted {
            eventually(SOON, &format!("a ping from {from} to {address}"), || machine.pings(from, address));
        } else {
            assert!(!machine.pings(from, address), "{from} reaches {address}");
        }
    }
}

#[test]
fn what_policy_says_of_transit_and_static_links_is_what_pings_do() {
    let machine = Machine::running(include_str!("../cases/policy/chain/input.toml"));
    let questions = [
        ("office", "lab", "10.2.0.1", true),
        ("office", "core", "10.0.0.1", true),
        ("core", "lab", "10.2.0.1", true),
        ("lab", "office", "10.1.0.1", false),
        ("office", "archive", "10.3.0.1", false),
        ("core", "archive", "10.3.0.1", false),
    ];
    compare_pings(&machine, &questions);
}

#[test]
fn what_policy_says_of_overlapping_domains_is_what_pings_and_connections_do() {
    let machine = Machine::running(include_str!("../cases/policy/overlap/input.toml"));
    let questions = [("middle", "right", "198.19.0.1", true), ("middle", "right", "10.0.0.1", false)];
    compare_pings(&machine, &questions);
    machine.line("ip -n middle address add 192.0.2.10/32 dev lo");
    let _server = machine.listen(Some("middle"), "192.0.2.10", 443);
    for (from, address, port) in [("left", "192.0.2.10", 443), ("right", "192.0.2.11", 8443)] {
        assert!(machine.rdsup(&format!("policy {from} middle tcp/{port}")).status.success());
        eventually(SOON, "a service is reached", || machine.connects(Some(from), address, port));
    }
    assert!(!machine.rdsup("policy right middle tcp/443 to 192.0.2.10").status.success());
    assert!(!machine.connects(Some("right"), "192.0.2.10", 443), "where it is really, only others may ask");
}

#[test]
fn status_shows_every_drop_by_link_and_reason_and_what_the_reason_means() {
    let machine = Machine::demo();
    assert!(!machine.pings("hostile", "198.51.100.1"));
    let shown = machine.rdsup("status internet").ok();
    let row = shown.lines().find(|line| line.starts_with("rd-hostile") && line.contains(" packets "));
    let row: Vec<&str> = row.unwrap_or_else(|| panic!("no row for it: {shown}")).split_whitespace().collect();
    assert_eq!(row[..4], ["rd-hostile", "hostile", "packets", "1"], "{shown}");
    assert!(row.join(" ").ends_with("flow that `packets` does not allow"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&machine.rdsup("status internet --json").ok()).expect("JSON");
    let drops = json["domains"][0]["drops"].as_array().expect("a list of drops");
    let drop = drops.iter().find(|drop| drop["interface"] == "rd-hostile" && drop["reason"] == "packets");
    let drop = drop.unwrap_or_else(|| panic!("not among {drops:?}"));
    assert_eq!((&drop["packets"], &drop["bytes"]), (&1.into(), &84.into()));
}

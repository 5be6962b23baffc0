//! Links of every form.

use crate::machine::{DEMO, Machine, SOON, eventually};

/// Two domains and one link with `extra` in its table.
fn pair(domain: &str, extra: &str) -> String {
    format!(
        r#"
[domain.a]
loopback = ["192.0.2.1/32", "2001:db8:a::1/128"]
networks = ["192.0.2.0/24", "2001:db8:a::/48"]
{domain}
asn = 65001
[domain.b]
loopback = ["198.51.100.1/32", "2001:db8:b::1/128"]
networks = ["198.51.100.0/24", "2001:db8:b::/48"]
{domain}
asn = 65002
[[link]]
between = ["a", "b"]
{extra}
[link.into.a]
routes = ["198.51.100.0/24", "2001:db8:b::/48"]
packets = ["icmp"]
[link.into.b]
routes = ["192.0.2.0/24", "2001:db8:a::/48"]
packets = ["icmp"]
"#
    )
}

fn assert_reaches_both_ways(machine: &Machine) {
    for (from, to) in [("a", "198.51.100.1"), ("a", "2001:db8:b::1"), ("b", "192.0.2.1"), ("b", "2001:db8:a::1")] {
        eventually(SOON, &format!("{from} pings {to}"), || machine.pings(from, to));
    }
}

#[test]
fn an_unnumbered_link_carries_both_families_over_one_session() {
    let machine = Machine::running(&pair("", ""));
    assert_reaches_both_ways(&machine);
    assert!(machine.routes_to("a", "198.51.100.0/24").contains("via inet6 fe80::2 dev rd-b"));
    assert_eq!(machine.birdc("a", "show protocols").matches(" BGP ").count(), 1);
    let addresses = machine.line("ip -n a -o address show dev rd-b");
    assert!(addresses.contains("fe80::1/64") && addresses.lines().count() == 1, "{addresses}");
    let link = machine.line("ip -n a -d -o link show dev rd-b");
    assert!(link.contains("veth") && link.contains("group 29284") && link.contains("alias"), "no marks: {link}");
}

#[test]
fn a_numbered_link_has_the_addresses_of_the_file() {
    let machine = Machine::running(&pair("", r#"addresses = ["169.254.0.0/31", "2001:db8:ff::/127"]"#));
    assert_reaches_both_ways(&machine);
    assert!(machine.line("ip -n a -o address show dev rd-b").contains("169.254.0.0/31"));
    let other = machine.line("ip -n b -o address show dev rd-a");
    assert!(other.contains("169.254.0.1/31") && other.contains("2001:db8:ff::1/127"), "{other}");
    machine.assert_converged();
}

#[test]
fn a_static_link_needs_no_daemon() {
    let machine = Machine::running(&pair("daemon = \"none\"", "routing = \"static\""));
    assert_reaches_both_ways(&machine);
    assert_eq!(machine.bird("a"), None);
    machine.assert_converged();
}

#[test]
fn a_named_link_and_its_mtu_are_seen_on_both_ends() {
    let machine = Machine::running(&pair("", "name = \"metro\"\nmtu = 1400"));
    assert_reaches_both_ways(&machine);
    for domain in ["a", "b"] {
        let link = machine.line(&format!("ip -n {domain} -o link show dev rd-metro"));
        assert!(link.contains("mtu 1400"), "{link}");
    }
    machine.assert_converged();
}

#[test]
fn a_domain_of_one_family_gets_no_route_of_the_other() {
    let (before, hostile) = DEMO.split_once("[domain.hostile]").expect("the domain");
    let hostile = hostile
        .replace(r#""10.66.0.1/32", "2001:db8:66::1/128""#, r#""10.66.0.1/32""#)
        .replace(r#""10.66.0.0/16", "2001:db8:66::/48""#, r#""10.66.0.0/16""#);
    let (domain, last) = hostile.rsplit_once("[[link]]").expect("its link");
    let last = last.replace(r#", "2001:db8:1::/48""#, "");
    let machine = Machine::running(&format!("{before}[domain.hostile]\nfamilies = [\"ipv4\"]{domain}[[link]]{last}"));
    eventually(SOON, "IPv4 arrives", || !machine.routes_to("hostile", "198.51.100.0/24").is_empty());
    assert!(machine.routes_to("hostile", "2001:db8:1::/48").is_empty());
    eventually(SOON, "the other link carries both", || !machine.routes_to("private", "2001:db8:1::/48").is_empty());
}

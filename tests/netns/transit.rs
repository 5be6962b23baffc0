//! Through one domain to another: only where the file asks for it.

use crate::machine::{Machine, SOON, eventually};

/// s may reach t through r, and nothing else goes through; u is behind r too.
const TRANSIT: &str = r#"
[domain.r]
asn      = 65001
loopback = ["10.0.0.1/32", "2001:db8::1/128"]
networks = ["10.0.0.0/24"]
[domain.s]
asn      = 65002
loopback = ["10.1.0.1/32", "2001:db8:1::1/128"]
networks = ["10.1.0.0/16", "2001:db8:1::/48"]
[domain.t]
asn      = 65003
loopback = ["10.2.0.1/32", "2001:db8:2::1/128"]
networks = ["10.2.0.0/16", "2001:db8:2::/48"]
[domain.u]
asn      = 65004
loopback = ["10.3.0.1/32", "2001:db8:3::1/128"]
networks = ["10.3.0.0/16", "2001:db8:3::/48"]

[[link]]
between = ["s", "r"]
[link.into.s]
routes  = ["10.2.0.0/16", "10.3.0.0/16", "10.0.0.0/24", "2001:db8:2::/48", "2001:db8:3::/48"]
transit = ["t"]
packets = ["any"]
[link.into.r]
routes  = ["10.1.0.0/16", "2001:db8:1::/48"]
packets = ["any"]

[[link]]
between = ["t", "r"]
[link.into.t]
routes  = ["10.1.0.0/16", "2001:db8:1::/48"]
transit = ["s"]
packets = ["icmp", "tcp/80"]
[link.into.r]
routes  = ["10.2.0.0/16", "2001:db8:2::/48"]

[[link]]
between = ["u", "r"]
[link.into.u]
routes  = ["10.1.0.0/16", "10.2.0.0/16", "2001:db8:1::/48"]
packets = ["any"]
[link.into.r]
routes  = ["10.3.0.0/16", "2001:db8:3::/48"]
packets = ["any"]
"#;

fn running(toml: &str) -> Machine {
    let machine = Machine::running(toml);
    for (domain, prefix) in [
        ("r", "10.1.0.0/16"),
        ("r", "10.2.0.0/16"),
        ("r", "10.3.0.0/16"),
        ("s", "10.0.0.0/24"),
        ("t", "10.1.0.0/16"),
        ("t", "2001:db8:1::/48"),
    ] {
        eventually(SOON, &format!("{domain} learns {prefix}"), || machine.routes_to(domain, prefix).contains(" dev "));
    }
    machine
}

#[test]
fn a_flow_goes_through_a_domain_only_where_transit_is_asked_for() {
    let machine = running(TRANSIT);
    for (domain, prefix) in
        [("s", "10.2.0.0/16"), ("s", "2001:db8:2::/48"), ("t", "10.1.0.0/16"), ("t", "2001:db8:1::/48")]
    {
        eventually(SOON, &format!("{domain} learns {prefix}"), || machine.routes_to(domain, prefix).contains(" dev "));
    }
    for address in ["10.2.0.1", "2001:db8:2::1"] {
        assert!(machine.pings("s", address), "s to {address}");
        let _open = machine.listen(Some("t"), address, 80);
        let _closed = machine.listen(Some("t"), address, 81);
        assert!(machine.connects(Some("s"), address, 80));
        assert!(!machine.connects(Some("s"), address, 81), "the last domain has a word to say too");
    }
    // t may learn the way to s, but r lets in no new flow from there.
    assert!(!machine.pings("t", "10.1.0.1"));
    machine.unattended();
    // As if they had the route anyway, and no filter.
    machine.sh("ip -n s -4 route replace 10.3.0.0/16 via inet6 fe80::2 dev rd-r
                ip -n s -6 route replace 2001:db8:3::/48 via fe80::2 dev rd-r
                ip -n u -4 route replace 10.1.0.0/16 via inet6 fe80::2 dev rd-r
                ip -n u -4 route replace 10.2.0.0/16 via inet6 fe80::2 dev rd-r
                for d in s u; do ip netns exec $d nft delete table inet rdsup; done");
    for (from, to, target) in
        [("s", "10.3.0.1", "u"), ("s", "2001:db8:3::1", "u"), ("u", "10.1.0.1", "s"), ("u", "10.2.0.1", "t")]
    {
        machine.watch(target, "prerouting", "iifname rd-r meta l4proto { icmp, ipv6-icmp } @th,0,8 { 8, 128 }");
        let rising = machine.rising("r", || assert!(!machine.pings(from, to), "{from} to {to}"));
        assert!(
            rising.iter().any(
                |name| name == &format!("drop.rd-{from}.transit") || name == &format!("drop.rd-{from}.destination")
            ),
            "{from} to {to}: {rising:?}"
        );
        assert_eq!(machine.watched(target), 0, "{from} to {to}");
    }
}

#[test]
fn the_forward_chain_holds_the_line_when_the_check_on_arrival_is_gone() {
    let machine = running(TRANSIT);
    eventually(SOON, "s learns t", || machine.routes_to("s", "10.2.0.0/16").contains(" dev "));
    machine.unattended();
    machine.sh("ip -n s -4 route replace 10.3.0.0/16 via inet6 fe80::2 dev rd-r
                ip netns exec s nft delete table inet rdsup
                ip netns exec r nft 'flush chain inet rdsup prerouting; add rule inet rdsup prerouting accept'");
    machine.watch("u", "prerouting", "iifname rd-r icmp type echo-request");
    let rising = machine.rising("r", || assert!(!machine.pings("s", "10.3.0.1")));
    assert!(rising.iter().any(|name| name == "drop.rd-s.transit"), "{rising:?}");
    assert_eq!(machine.watched("u"), 0);
    assert!(machine.pings("s", "10.2.0.1"), "what is asked for does not pass either: the test proves nothing");
}

#[test]
fn transit_ends_for_live_flows_when_it_is_no_longer_asked_for() {
    let machine = running(TRANSIT);
    eventually(SOON, "s learns t", || machine.routes_to("s", "10.2.0.0/16").contains(" dev "));
    let _server = machine.stream_tcp("t", "10.2.0.1", 80);
    let _client = machine.receive("s", "tcp", "10.2.0.1", 80);
    let received = || machine.received("s", "tcp", "10.2.0.1", 80);
    eventually(SOON, "the stream flows", || received() > 100);
    machine.configure(&TRANSIT.replace("transit = [\"t\"]\n", ""));
    machine.rdsup("apply").ok();
    machine.line("sleep 1");
    let then = received();
    machine.line("sleep 1");
    assert_eq!(received(), then, "a live flow goes on through r");
}

#[test]
fn through_transit_the_sender_is_told_of_a_smaller_mtu() {
    // The far link is the small one; what r says about it comes back over the first.
    let small = TRANSIT.replace("between = [\"t\", \"r\"]\n", "between = [\"t\", \"r\"]\nmtu = 1400\n");
    assert_ne!(small, TRANSIT);
    let machine = running(&small);
    for (prefix, to) in [("10.2.0.0/16", "10.2.0.1"), ("2001:db8:2::/48", "2001:db8:2::1")] {
        eventually(SOON, "s learns t", || machine.routes_to("s", prefix).contains(" dev "));
        let said = machine.within("s", &format!("ping -n -M do -s 1440 -c 2 -i 0.3 -W 1 {to}"));
        let text = format!("{}{}", said.stdout, said.stderr).to_lowercase().replace("mtu=", "mtu = ");
        assert!(text.replace("mtu: ", "mtu = ").contains("mtu = 1400"), "{to}: {text}");
    }
}

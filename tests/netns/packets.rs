//! What may cross a link, packet by packet.

use crate::machine::{DEMO, Machine, SOON, eventually, words};

#[test]
fn a_ping_that_policy_allows_arrives_in_both_families() {
    let machine = Machine::demo();
    assert!(machine.pings("private", "198.51.100.1"));
    assert!(machine.pings("private", "2001:db8:1::1"));
}

#[test]
fn a_ping_that_policy_forbids_is_dropped_and_counted() {
    let machine = Machine::demo();
    for (address, echo) in [("198.51.100.1", "icmp"), ("2001:db8:1::1", "icmpv6")] {
        machine.watch("internet", "input", &format!("iifname rd-hostile {echo} type echo-request"));
        let rising = machine.rising("internet", || assert!(!machine.pings("hostile", address), "{address} answers"));
        assert!(rising.iter().any(|name| name == "drop.rd-hostile.packets"), "{rising:?}");
        assert_eq!(machine.watched("internet"), 0, "a forbidden packet went past the filter");
    }
}

#[test]
fn no_new_flow_enters_where_packets_is_silent() {
    let machine = Machine::demo();
    let _server = machine.listen(Some("private"), "192.168.0.1", 80);
    assert!(machine.connects(Some("private"), "192.168.0.1", 80), "the listener answers inside");
    let rising = machine.rising("private", || {
        assert!(!machine.pings("internet", "192.168.0.1"));
        assert!(!machine.connects(Some("internet"), "192.168.0.1", 80));
    });
    assert!(rising.iter().any(|name| name == "drop.rd-internet.packets"), "{rising:?}");
}

#[test]
fn a_tcp_port_that_policy_names_is_open_and_the_next_one_is_not() {
    let machine = Machine::demo();
    let _open = machine.listen(Some("internet"), "198.51.100.1", 80);
    let _closed = machine.listen(Some("internet"), "198.51.100.1", 81);
    for domain in ["private", "hostile"] {
        assert!(machine.connects(Some(domain), "198.51.100.1", 80), "{domain} to the open port");
        assert!(!machine.connects(Some(domain), "198.51.100.1", 81), "{domain} to the closed port");
    }
}

#[test]
fn a_spoofed_source_is_dropped_and_counted_whoever_it_claims_to_be() {
    let machine = Machine::demo();
    machine.unattended();
    // The sender's own filter is not what protects the receiver.
    machine.line("ip netns exec private nft delete table inet rdsup");
    for (source, whose) in
        [("198.51.100.77", "the receiver's own"), ("10.66.0.9", "a third domain's"), ("203.0.113.7", "nobody's")]
    {
        machine.line(&format!("ip -n private address add {source}/32 dev lo"));
        machine.watch("internet", "input", &format!("ip saddr {source}"));
        let rising = machine.rising("internet", || {
            machine.within("private", &format!("ping -n -c 2 -i 0.2 -W 1 -I {source} 198.51.100.1"));
        });
        assert_eq!(machine.watched("internet"), 0, "a packet from {source} ({whose}) entered");
        assert!(rising.iter().any(|name| name == "drop.rd-private.spoofed"), "{whose}: {rising:?}");
    }
    machine.watch("internet", "input", "ip saddr 192.168.5.5");
    machine.line("ip -n private address add 192.168.5.5/32 dev lo");
    machine.within("private", "ping -n -c 2 -i 0.2 -W 1 -I 192.168.5.5 198.51.100.1");
    assert!(machine.watched("internet") > 0, "a listed source does not enter either: the test proves nothing");
}

#[test]
fn a_forbidden_packet_is_not_answered_by_an_icmp_error() {
    let machine = Machine::demo();
    // With a hop limit of 1 a router that drops only after routing would answer "time exceeded".
    machine.watch("hostile", "input", "icmp type { time-exceeded, destination-unreachable, parameter-problem }");
    machine.within("hostile", "ping -n -c 2 -i 0.2 -W 1 -t 1 198.51.100.1");
    machine.within("hostile", "ping -n -c 2 -i 0.2 -W 1 -t 1 198.51.100.200");
    assert_eq!(machine.watched("hostile"), 0);
}

#[test]
fn domains_without_a_link_between_them_do_not_reach_each_other_through_a_third() {
    let machine = Machine::demo();
    machine.unattended();
    // As if hostile had sent its packets to internet anyway.
    machine.line("ip -n hostile -4 route add 192.168.0.0/16 via inet6 fe80::2 dev rd-internet");
    machine.line("ip netns exec hostile nft delete table inet rdsup");
    let _server = machine.listen(Some("private"), "192.168.0.1", 80);
    machine.watch("private", "prerouting", "ip saddr 10.66.0.0/16");
    assert!(!machine.connects(Some("hostile"), "192.168.0.1", 80));
    assert!(!machine.pings("hostile", "192.168.0.1"));
    assert_eq!(machine.watched("private"), 0, "internet forwarded a packet from hostile to private");
}

#[test]
fn an_address_of_the_receiver_that_policy_does_not_name_is_not_reachable() {
    let machine = Machine::demo();
    machine.unattended();
    machine.line("ip -n internet address add 203.0.113.50/32 dev lo");
    machine.line("ip -n private -4 route add 203.0.113.50/32 via inet6 fe80::2 dev rd-internet");
    machine.line("ip netns exec private nft delete table inet rdsup");
    assert!(!machine.pings("private", "203.0.113.50"));
    assert!(machine.pings("private", "198.51.100.1"), "the link itself works");
}

#[test]
fn no_forbidden_packet_enters_while_policy_is_replaced_and_the_supervisor_dies() {
    let machine = Machine::demo();
    machine.watch("internet", "input", "iifname rd-hostile icmp type echo-request");
    let flood = machine.spawn(&words("ip netns exec hostile ping -n -q -i 0.002 -w 6 198.51.100.1"));
    for port in ["8080", "8081", "8082"] {
        machine.configure(&DEMO.replace(r#"packets = ["tcp/80,443"]"#, &format!(r#"packets = ["tcp/80,{port}"]"#)));
        machine.signal_supervisor("HUP");
        eventually(SOON, "the new policy is loaded", || {
            machine.within("internet", "nft list table inet rdsup").stdout.contains(port)
        });
    }
    machine.signal_supervisor("KILL");
    machine.start();
    let said = flood.finish(SOON);
    assert!(said.stdout.contains(" 0 received"), "{said}");
    assert_eq!(machine.watched("internet"), 0);
}

#[test]
fn packets_that_are_no_part_of_a_flow_or_have_an_impossible_address_are_dropped() {
    let machine = Machine::demo();
    machine.unattended();
    machine.line("ip netns exec private nft delete table inet rdsup");
    machine.sh("ip netns exec private sysctl -qw net.ipv4.conf.all.route_localnet=1");
    machine.line("ip -n private address add 240.1.2.3/32 dev lo");
    machine.line("ip -n private address add 169.254.7.7/32 dev lo");
    for source in ["240.1.2.3", "169.254.7.7"] {
        machine.watch("internet", "input", &format!("ip saddr {source}"));
        let rising = machine.rising("internet", || {
            machine.within("private", &format!("ping -n -c 1 -W 1 -I {source} 198.51.100.1"));
        });
        assert_eq!(machine.watched("internet"), 0, "a packet from {source} entered");
        assert!(rising.iter().any(|name| name.starts_with("drop.rd-private.")), "{source}: {rising:?}");
    }
}

#[test]
fn neighbor_discovery_for_another_wire_does_not_enter_by_a_link() {
    let link = "between = [\"hostile\", \"internet\"]";
    let toml = DEMO.replace(link, &format!("{link}\naddresses = [\"2001:db8:ee::/127\"]"));
    assert_ne!(toml, DEMO);
    let machine = Machine::running(&toml);
    machine.unattended();
    machine.line("ip netns exec hostile nft delete table inet rdsup");
    machine.line("ip -n hostile -6 route replace 2001:db8:1::/48 via fe80::2 dev rd-internet");
    let past = |destination| {
        machine.watch("internet", "prerouting", "icmpv6 type nd-neighbor-solicit icmpv6 code 7");
        machine.discovers("hostile", "2001:db8:ee::", destination);
        machine.watched("internet")
    };
    let arrives = |destination| {
        past(destination);
        eventually(SOON, "a solicitation for the wire goes past", || machine.watched("internet") > 0);
        machine.watched("internet")
    };
    assert_eq!(past("2001:db8:1::77"), 0, "a solicitation for a host behind the domain went past the filter");
    assert_eq!(past("2001:db8:1::1"), 0, "a solicitation for the loopback went past the filter");
    assert_eq!(arrives("2001:db8:ee::1"), 1, "a solicitation for the wire is dropped too: the test proves nothing");
}

#[test]
fn an_error_about_a_flow_enters_only_by_the_link_that_the_flow_takes() {
    const FLOW: &str = r#"
        use IO::Socket::IP;
        my $s = IO::Socket::IP->new(Proto => "udp", LocalHost => "2001:db8:2::1", LocalPort => 5353,
            PeerHost => "2001:db8:1::1", PeerPort => 53) or die "$@";
        print $s "x";
    "#;
    // "Port unreachable" from nobody's address, about the answer to that flow. The kernel adds the checksum.
    const ERROR: &str = r#"
        use Socket qw(:all);
        my ($from, $flow, $to) = map { inet_pton(AF_INET6, $_) } qw(2a00::9 2001:db8:2::1 2001:db8:1::1);
        socket(my $s, AF_INET6, SOCK_RAW, 58) or die "socket: $!";
        bind($s, pack_sockaddr_in6(0, $from)) or die "bind: $!";
        my $inner = pack("NnCC", 6 << 28, 9, 17, 64) . $to . $flow . pack("nnnna", 53, 5353, 9, 0, "x");
        send($s, pack("CCnN", 1, 4, 0, 0) . $inner, 0, pack_sockaddr_in6(0, $to)) or die "send: $!";
    "#;
    let machine = Machine::demo();
    machine.unattended();
    for (domain, arrives) in [("hostile", 0), ("private", 1)] {
        machine.run(&["ip", "netns", "exec", "private", "perl", "-e", FLOW]).ok();
        machine.line(&format!("ip netns exec {domain} nft delete table inet rdsup"));
        machine.line(&format!("ip -n {domain} -6 address add 2a00::9/128 dev lo nodad"));
        machine.watch("internet", "prerouting", "ip6 saddr 2a00::9");
        machine.run(&["ip", "netns", "exec", domain, "perl", "-e", ERROR]).ok();
        if arrives == 0 {
            machine.line("sleep 0.3");
        } else {
            eventually(SOON, "an error arrives", || machine.watched("internet") > 0);
        }
        assert_eq!(machine.watched("internet"), arrives, "an error about a flow of private, from {domain}");
    }
}

#[test]
fn a_flow_ends_when_policy_no_longer_names_it() {
    let with = DEMO.replace(r#"packets = ["tcp/80,443"]"#, r#"packets = ["tcp/80,443", "icmp"]"#);
    assert_ne!(with, DEMO);
    let machine = Machine::running(&with);
    for address in ["198.51.100.1", "2001:db8:1::1"] {
        eventually(SOON, "the ping is answered", || machine.pings("hostile", address));
    }
    // Each is one flow, which was answered before policy changes.
    let flows = ["198.51.100.1", "2001:db8:1::1"]
        .map(|address| machine.spawn(&words(&format!("ip netns exec hostile ping -n -q -i 0.02 -w 6 {address}"))));
    machine.line("sleep 1");
    machine.configure(DEMO);
    machine.rdsup("apply").ok();
    machine.watch("internet", "input", "iifname rd-hostile meta l4proto { icmp, ipv6-icmp } @th,0,8 { 8, 128 }");
    machine.line("sleep 1");
    assert_eq!(machine.watched("internet"), 0, "a flow goes on that policy forbids");
    for flow in flows {
        let said = flow.finish(SOON);
        assert!(!said.stdout.contains(" 0 received"), "nothing was answered before either: {said}");
    }
}

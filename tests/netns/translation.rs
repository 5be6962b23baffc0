//! Addresses that appear as others: alias, nat and masquerading, with real packets.

use crate::attached::Wire;
use crate::machine::{Machine, SOON, eventually};

/// Two domains with the same addresses. Each sees the other under an alias.
const OVERLAP: &str = r#"
[domain.left]
asn       = 65001
router_id = "192.0.2.1"
loopback  = ["10.1.0.1/32", "2001:db8:a::1/128"]
networks  = ["10.1.0.0/24", "2001:db8:a::/64"]

[[domain.left.interface]]
name    = "lan-l"
address = ["10.1.0.129/25", "2001:db8:a::129/121"]

[domain.right]
asn       = 65002
router_id = "192.0.2.2"
loopback  = ["10.1.0.1/32", "2001:db8:a::1/128"]
networks  = ["10.1.0.0/24", "2001:db8:a::/64"]

[[domain.right.interface]]
name    = "lan-r"
address = ["10.1.0.129/25", "2001:db8:a::129/121"]
mtu     = 1400

[[link]]
between = ["left", "right"]
[link.into.left]
routes  = ["198.18.6.0/24", "2001:db8:6::/64"]
packets = ["icmp", "tcp/80", "udp/53"]
alias   = [{ real = "10.1.0.0/24", seen = "198.18.6.0/24" }, { real = "2001:db8:a::/64", seen = "2001:db8:6::/64" }]
[link.into.right]
routes  = ["198.18.5.0/24", "2001:db8:5::/64"]
packets = ["icmp", "tcp/80", "udp/53"]
alias   = [{ real = "10.1.0.0/24", seen = "198.18.5.0/24" }, { real = "2001:db8:a::/64", seen = "2001:db8:5::/64" }]
"#;

const LAN_L: Wire = Wire {
    interface: "lan-l",
    host: "pc-l",
    router4: "10.1.0.129",
    host4: "10.1.0.130/25",
    router6: "2001:db8:a::129",
    host6: "2001:db8:a::130/121",
};

const LAN_R: Wire = Wire { interface: "lan-r", host: "pc-r", ..LAN_L };

fn overlap() -> Machine {
    let machine = Machine::new(OVERLAP);
    machine.attach(&LAN_L);
    machine.attach(&LAN_R);
    // The host on the wire of smaller MTU knows it, as hosts do.
    machine.line("ip -n pc-r link set eth0 mtu 1400");
    machine.start();
    for (domain, prefix) in [
        ("left", "198.18.6.0/24"),
        ("left", "2001:db8:6::/64"),
        ("right", "198.18.5.0/24"),
        ("right", "2001:db8:5::/64"),
    ] {
        eventually(SOON, &format!("{domain} learns {prefix}"), || machine.routes_to(domain, prefix).contains(" dev "));
    }
    machine
}

#[test]
fn two_domains_with_the_same_addresses_talk_under_aliases_in_both_directions() {
    let machine = overlap();
    for (from, router, host) in [
        ("left", "198.18.6.1", "198.18.6.130"),
        ("left", "2001:db8:6::1", "2001:db8:6::130"),
        ("pc-l", "198.18.6.1", "198.18.6.130"),
        ("pc-l", "2001:db8:6::1", "2001:db8:6::130"),
        ("right", "198.18.5.1", "198.18.5.130"),
        ("pc-r", "198.18.5.130", "198.18.5.1"),
        ("pc-r", "2001:db8:5::130", "2001:db8:5::1"),
    ] {
        assert!(machine.pings(from, router), "{from} to {router}");
        assert!(machine.pings(from, host), "{from} to {host}");
    }
    for (address, seen) in [("10.1.0.130", "198.18.6.130"), ("2001:db8:a::130", "2001:db8:6::130")] {
        let _server = machine.listen(Some("pc-r"), address, 80);
        assert!(machine.connects(Some("pc-l"), seen, 80), "{seen}");
        assert!(machine.connects(Some("left"), seen, 80), "the domain itself to {seen}");
    }
    // What the host on the right sees is the alias of the host on the left, and nothing of the real addresses.
    machine.watch("pc-r", "input", "ip saddr 198.18.5.130 icmp type echo-request");
    assert!(machine.pings("pc-l", "198.18.6.130"));
    assert_eq!(machine.watched("pc-r"), 1);
}

#[test]
fn an_error_about_a_translated_flow_comes_back_with_both_headers_translated() {
    // A refused datagram is told to a connected socket only if the header inside the error is that of the flow.
    const CLIENT: &str = r#"
        use IO::Socket::IP;
        my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => 53, Proto => "udp") or die "$@";
        print $s "x"; alarm 3; $s->recv(my $data, 100) // print "$!\n";
    "#;
    let machine = overlap();
    for (from, to) in [
        ("pc-l", "198.18.6.130"),
        ("pc-l", "2001:db8:6::130"),
        ("pc-l", "198.18.6.1"),
        ("left", "2001:db8:6::1"),
        ("left", "198.18.6.1"),
        ("pc-r", "198.18.5.1"),
    ] {
        machine.watch("left", "prerouting", "iifname rd-right ip saddr 10.1.0.0/24");
        let said = machine.within(from, "true").status.success()
            && machine.run(&["ip", "netns", "exec", from, "perl", "-e", CLIENT, to]).stdout.contains("refused");
        assert!(said, "{from} hears nothing about its datagram to {to}");
        assert_eq!(machine.watched("left"), 0, "the outer header names the real address");
    }
}

#[test]
fn a_packet_that_is_too_big_for_the_far_side_is_told_to_the_sender_through_aliases() {
    let machine = overlap();
    for (to, told) in [("198.18.6.130", "mtu = 1400"), ("2001:db8:6::130", "mtu: 1400")] {
        let said = machine.within("pc-l", &format!("ping -n -M do -s 1440 -c 2 -i 0.3 -W 1 {to}"));
        let text = format!("{}{}", said.stdout, said.stderr);
        let known = text.to_lowercase().replace("mtu=", "mtu = ");
        assert!(known.contains(told) || known.contains("mtu = 1400"), "{to}: {text}");
    }
}

#[test]
fn nothing_leaves_with_a_hidden_source_not_even_without_connection_tracking() {
    let machine = overlap();
    machine.unattended();
    // The receiver's own filter is not what protects it.
    machine.line("ip netns exec right nft delete table inet rdsup");
    machine.watch(
        "right",
        "prerouting",
        "iifname rd-left ip saddr 10.1.0.0/24 counter name seen; iifname rd-left ip6 saddr 2001:db8:a::/64",
    );
    for (from, to) in
        [("left", "198.18.6.1"), ("pc-l", "198.18.6.1"), ("left", "2001:db8:6::1"), ("pc-l", "2001:db8:6::1")]
    {
        let rising = machine.rising("left", || {
            machine.sh(&format!(
                "ip netns exec left nft 'table inet untracked {{
                     chain out {{ type filter hook output priority -300; meta l4proto {{ icmp, ipv6-icmp }} @th,0,8 {{ 8, 128 }} notrack; }}
                     chain in {{ type filter hook prerouting priority -300; meta l4proto {{ icmp, ipv6-icmp }} @th,0,8 {{ 8, 128 }} notrack; }}
                 }}'
                 ip netns exec {from} ping -n -c 2 -i 0.2 -W 1 -s 3000 {to} || true
                 ip netns exec left nft delete table inet untracked"
            ));
        });
        assert!(rising.iter().any(|name| name == "drop.rd-right.untranslated"), "{from} to {to}: {rising:?}");
    }
    assert_eq!(machine.watched("right"), 0, "a hidden source arrived");
    machine.within("left", "nft flush chain inet rdsup guard");
    machine.sh("ip netns exec left nft 'table inet untracked { chain out { type filter hook output priority -300; notrack; }; }'
                ip netns exec left ping -n -c 1 -W 1 198.18.6.1 || true");
    assert_ne!(machine.watched("right"), 0, "without the guard nothing leaves either: the test proves nothing");
}

#[test]
fn a_reset_without_a_flow_does_not_leave_with_its_hidden_source() {
    const RESET: &str = r#"
        use Socket qw(:all);
        socket(my $s, AF_INET, SOCK_RAW, 255) or die "socket: $!";
        my $ip = pack("CCnnnCCna4a4", 0x45, 0, 40, 7, 0, 64, 6, 0, inet_aton($ARGV[0]), inet_aton($ARGV[1]));
        my $tcp = pack("nnNNCCnnn", 80, 4242, 1, 0, 0x50, 0x04, 0, 0, 0);
        # Where the guard drops it, sending fails; that is as good.
        for (1 .. 3) { send($s, $ip . $tcp, 0, pack_sockaddr_in(0, inet_aton($ARGV[1]))) }
    "#;
    let machine = overlap();
    machine.unattended();
    machine.line("ip netns exec right nft delete table inet rdsup");
    machine.watch("right", "prerouting", "iifname rd-left ip saddr 10.1.0.0/24");
    for (from, source) in [("left", "10.1.0.1"), ("pc-l", "10.1.0.130")] {
        machine.run(&["ip", "netns", "exec", from, "perl", "-e", RESET, source, "198.18.6.130"]).ok();
    }
    machine.line("sleep 0.3");
    assert_eq!(machine.watched("right"), 0);
}

#[test]
fn a_hidden_address_is_no_destination_of_what_arrives() {
    let machine = overlap();
    machine.unattended();
    machine.sh("ip netns exec left nft delete table inet rdsup
                ip -n left address add 198.18.5.1/32 dev lo
                ip -n left route add 10.1.0.130/32 via inet6 fe80::2 dev rd-right");
    machine.watch("right", "prerouting", "iifname rd-left ip daddr 10.1.0.0/24");
    let rising = machine.rising("right", || {
        machine.within("left", "ping -n -c 2 -i 0.2 -W 1 -I 198.18.5.1 10.1.0.130");
    });
    assert!(rising.iter().any(|name| name == "drop.rd-left.untranslated"), "{rising:?}");
    assert_eq!(machine.watched("right"), 0);
}

/// Many inside, one address outside; and a way out with the interface's own address.
const NAT: &str = r#"
[domain.private]
asn      = 65001
loopback = ["10.5.0.1/32", "2001:db8:5::1/128"]
networks = ["10.5.0.0/16", "2001:db8:5::/48"]

[[domain.private.interface]]
name    = "lan-l"
address = ["10.5.1.1/24", "2001:db8:5:1::1/64"]

[domain.edge]
asn      = 65002
loopback = ["198.51.100.1/32", "2001:db8:e::1/128"]
networks = ["198.51.100.0/24", "2001:db8:e::/48"]

[[domain.edge.interface]]
name       = "wan0"
address    = ["203.0.113.2/24", "2001:db8:ff::2/64"]
mtu        = 1400
masquerade = ["192.0.2.7/32", "198.51.100.0/24", "2001:db8:77::/64"]
[[domain.edge.route]]
to  = "0.0.0.0/0"
via = "203.0.113.1"
[[domain.edge.route]]
to  = "::/0"
via = "2001:db8:ff::1"

[[link]]
between = ["private", "edge"]
[link.into.private]
routes  = ["0.0.0.0/0", "::/0"]
[link.into.edge]
routes  = ["192.0.2.7/32", "2001:db8:77::7/128"]
packets = ["any"]
nat     = [{ from = ["10.5.0.0/16"], to = "192.0.2.7" }, { from = ["2001:db8:5::/48"], to = "2001:db8:77::7" }]
"#;

const NAT_LAN: Wire = Wire {
    interface: "lan-l",
    host: "pc",
    router4: "10.5.1.1",
    host4: "10.5.1.9/24",
    router6: "2001:db8:5:1::1",
    host6: "2001:db8:5:1::9/64",
};

const NAT_WAN: Wire = Wire {
    interface: "wan0",
    host: "world",
    router4: "203.0.113.2",
    host4: "203.0.113.1/24",
    router6: "2001:db8:ff::2",
    host6: "2001:db8:ff::1/64",
};

fn nat() -> Machine {
    let machine = Machine::new(NAT);
    machine.attach(&NAT_LAN);
    machine.attach(&NAT_WAN);
    // The world knows no way back to anything but the wire.
    machine.sh("ip -n world link set eth0 mtu 1400; ip -n world route del default; ip -n world -6 route del default");
    machine.start();
    for prefix in ["default", "192.0.2.7"] {
        let domain = if prefix == "default" { "private" } else { "edge" };
        eventually(SOON, &format!("{domain} learns {prefix}"), || machine.routes_to(domain, prefix).contains(" dev "));
    }
    eventually(SOON, "IPv6 is learned", || {
        machine.routes_to("edge", "2001:db8:77::7").contains(" dev ")
            && machine.within("private", "ip -6 route show default").stdout.contains(" dev rd-edge")
    });
    machine
}

#[test]
fn many_sources_leave_under_one_address_and_then_under_that_of_the_interface() {
    let machine = nat();
    for (address, watch) in [
        ("203.0.113.1", "ip saddr 203.0.113.2 icmp type echo-request"),
        ("2001:db8:ff::1", "ip6 saddr 2001:db8:ff::2 icmpv6 type echo-request"),
    ] {
        machine.watch("world", "input", watch);
        for from in ["pc", "private"] {
            assert!(machine.pings(from, address), "{from} to {address}");
        }
        assert_eq!(machine.watched("world"), 2, "{address}");
        let _server = machine.listen(Some("world"), address, 80);
        assert!(machine.connects(Some("pc"), address, 80), "{address}");
    }
    // Nothing can be begun from the other side, whatever address it uses.
    machine.sh("ip -n world route add default via 203.0.113.2; ip -n world -6 route add default via 2001:db8:ff::2");
    for address in ["10.5.1.9", "192.0.2.7", "2001:db8:5:1::9", "2001:db8:77::7"] {
        assert!(!machine.pings("world", address), "{address}");
        assert!(!machine.pings("edge", address), "{address} from the edge itself");
    }
}

#[test]
fn through_nat_and_masquerading_the_sender_is_told_of_a_smaller_mtu_and_tcp_does_not_stall() {
    const SEND: &str = r#"
        use IO::Socket::IP;
        my $s = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => 80, Listen => 1, ReuseAddr => 1) or die "$@";
        my $c = $s->accept; print $c "x" x 400_000; close $c;
    "#;
    const GET: &str = r#"
        use IO::Socket::IP;
        my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => 80, Timeout => 3) or die "$@";
        my $n = 0; alarm 8; while (my $k = sysread $s, my $data, 65536) { $n += $k } print $n;
    "#;
    let machine = nat();
    for to in ["203.0.113.1", "2001:db8:ff::1"] {
        let said = machine.within("pc", &format!("ping -n -M do -s 1440 -c 2 -i 0.3 -W 1 {to}"));
        let text = format!("{}{}", said.stdout, said.stderr).to_lowercase().replace("mtu=", "mtu = ");
        assert!(text.replace("mtu: ", "mtu = ").contains("mtu = 1400"), "{to}: {text}");
        let mut server = machine.spawn(&["ip", "netns", "exec", "world", "perl", "-e", SEND, to]);
        eventually(SOON, "it listens", || {
            assert!(server.is_running(), "{}", server.complaint());
            machine.within("world", "ss -Hltn sport = 80").stdout.contains(to)
        });
        assert_eq!(machine.run(&["ip", "netns", "exec", "pc", "perl", "-e", GET, to]).stdout, "400000", "{to}");
    }
}

#[test]
fn nothing_leaves_an_outside_interface_unmasqueraded() {
    let machine = nat();
    machine.watch("world", "input", "ip saddr 192.0.2.7 counter name seen; ip saddr 198.51.100.0/24");
    let rising = machine.rising("edge", || {
        machine.sh("ip netns exec edge nft 'table inet untracked {
                chain out { type filter hook output priority -300; ip protocol icmp notrack; }; }'
            ip netns exec edge ping -n -c 2 -i 0.2 -W 1 -I 198.51.100.1 203.0.113.1 || true
            ip netns exec edge nft delete table inet untracked");
    });
    assert!(rising.iter().any(|name| name == "drop.wan0.untranslated"), "{rising:?}");
    assert_eq!(machine.watched("world"), 0);
    assert!(machine.within("edge", "ping -n -c 1 -W 1 -I 198.51.100.1 203.0.113.1").status.success());
}

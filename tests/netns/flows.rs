//! Live flows when policy changes: those that it forbids end, the others go on, and so do the sessions.

use crate::machine::{DEMO, Machine, SOON, eventually};

/// Guests may ask for a stream by UDP and by TCP.
fn with() -> String {
    let with = DEMO.replace(
        "routes  = [\"10.66.0.0/16\", \"2001:db8:66::/48\"]\npackets = [\"tcp/80,443\"]",
        "routes  = [\"10.66.0.0/16\", \"2001:db8:66::/48\"]\npackets = [\"tcp/80,443,8080\", \"udp/5000\"]",
    );
    assert_ne!(with, DEMO);
    with
}

const FLOWS: [(&str, &str, &str, u16); 6] = [
    ("hostile", "udp", "198.51.100.1", 5000),
    ("hostile", "udp", "2001:db8:1::1", 5000),
    ("hostile", "tcp", "198.51.100.1", 8080),
    ("hostile", "tcp", "2001:db8:1::1", 8080),
    ("hostile", "tcp", "198.51.100.1", 80),
    ("private", "tcp", "2001:db8:1::1", 443),
];

#[test]
fn flows_that_policy_no_longer_allows_end_within_a_second_and_others_go_on_without_a_session_reset() {
    let machine = Machine::running(&with());
    for (domain, prefix) in [
        ("hostile", "198.51.100.0/24"),
        ("hostile", "2001:db8:1::/48"),
        ("internet", "10.66.0.0/16"),
        ("internet", "2001:db8:66::/48"),
        ("private", "2001:db8:1::/48"),
        ("internet", "2001:db8:2::/48"),
    ] {
        eventually(SOON, &format!("{domain} learns {prefix}"), || machine.routes_to(domain, prefix).contains(" dev "));
    }
    let _running: Vec<_> = FLOWS
        .iter()
        .map(|(from, protocol, address, port)| {
            let server = if *protocol == "udp" {
                machine.stream_udp("internet", address, *port)
            } else {
                machine.stream_tcp("internet", address, *port)
            };
            (server, machine.receive(from, protocol, address, *port))
        })
        .collect();
    let received = || FLOWS.map(|(from, protocol, address, port)| machine.received(from, protocol, address, port));
    eventually(SOON, "every stream flows", || received().iter().all(|bytes| *bytes > 200));
    let sessions = || ["rd_private", "rd_hostile"].map(|protocol| machine.session("internet", protocol));
    let before = sessions();
    machine.configure(DEMO);
    machine.rdsup("apply").ok();
    machine.line("sleep 1");
    let then = received();
    let forbidden = FLOWS.map(|(from, _, _, port)| from == "hostile" && port != 80);
    // As much as half a second brings.
    eventually(SOON, "what is allowed goes on", || {
        received().iter().zip(then).zip(forbidden).all(|((now, then), forbidden)| forbidden || *now > then + 250)
    });
    let now = received();
    for (index, flow) in FLOWS.iter().enumerate() {
        let stands = now[index] == then[index];
        assert_eq!(stands, forbidden[index], "{flow:?} from {} to {} bytes", then[index], now[index]);
    }
    assert_eq!(sessions(), before, "a session was reset");
    let counter = machine.counters("internet").into_iter().find(|(name, _)| name == "drop.rd-hostile.packets").unwrap();
    assert!(counter.1 > 0, "the answers are not counted");
}

#[test]
fn a_flow_of_a_link_that_is_gone_ends_too() {
    // The guests stay, their link goes; what internet still sends them would go elsewhere.
    let machine = Machine::running(&with());
    for (domain, prefix) in [("hostile", "198.51.100.0/24"), ("internet", "10.66.0.0/16")] {
        eventually(SOON, &format!("{domain} learns {prefix}"), || machine.routes_to(domain, prefix).contains(" dev "));
    }
    let _server = machine.stream_udp("internet", "198.51.100.1", 5000);
    let _client = machine.receive("hostile", "udp", "198.51.100.1", 5000);
    eventually(SOON, "the stream flows", || machine.received("hostile", "udp", "198.51.100.1", 5000) > 200);
    let link = with().find("[[link]]\nbetween = [\"hostile\", \"internet\"]").unwrap();
    machine.configure(&with()[..link]);
    machine.rdsup("apply").ok();
    machine.unattended();
    // Another way to the same addresses, which would be legal there.
    machine.sh("ip -n internet -4 route replace 10.66.0.0/16 via inet6 fe80::1 dev rd-private
                ip netns exec internet nft 'add element inet rdsup rd-private.behind4 { 10.66.0.0/16 }'");
    machine.watch("internet", "postrouting", "ip daddr 10.66.0.0/16 udp sport 5000");
    machine.line("sleep 0.5");
    assert_eq!(machine.watched("internet"), 0, "the answers take another way");
}

#[test]
fn an_error_of_a_kind_that_no_router_needs_is_dropped() {
    // A redirect about a flow over the link, which connection tracking calls related.
    const REDIRECT: &str = r#"
        use Socket qw(:all);
        my ($to, $flow) = map { inet_aton($_) } qw(198.51.100.1 192.168.0.1);
        socket(my $s, AF_INET, SOCK_RAW, 1) or die "socket: $!";
        my $inner = pack("CCnnnCCna4a4nnnn", 0x45, 0, 28, 1, 0, 64, 17, 0, $to, $flow, 53, 5353, 8, 0);
        my $head = pack("CCn", 5, 1, 0) . inet_aton("192.168.0.9");
        my $sum = 0; $sum += $_ for unpack("n*", $head . $inner); $sum = ($sum & 0xffff) + ($sum >> 16) for 1 .. 2;
        substr($head, 2, 2) = pack("n", ~$sum & 0xffff);
        send($s, $head . $inner, 0, pack_sockaddr_in(0, $to)) or die "send: $!";
    "#;
    const FLOW: &str = r#"
        use IO::Socket::IP;
        my $s = IO::Socket::IP->new(Proto => "udp", LocalHost => "192.168.0.1", LocalPort => 5353,
            PeerHost => "198.51.100.1", PeerPort => 53) or die "$@";
        print $s "x";
    "#;
    let machine = Machine::demo();
    machine.unattended();
    machine.run(&["ip", "netns", "exec", "private", "perl", "-e", FLOW]).ok();
    machine.line("ip netns exec private nft delete table inet rdsup");
    machine.watch("internet", "input", "icmp type redirect");
    machine.assert_rises("internet", "drop.rd-private.link_local", || {
        machine.run(&["ip", "netns", "exec", "private", "perl", "-e", REDIRECT]).ok();
    });
    assert_eq!(machine.watched("internet"), 0);
}

//! What must not arrive by an interface claimed from the host.

use super::Case;
use crate::machine::SOON;
use crate::packet::{ACK, Carries, PSH, Packet, RST, SYN};
use crate::setup::{Edit, Failure, Outcome, Setup, Way, until};
use crate::wire::{Answer, Batch, Place, Request, Seen, hex};
use crate::worlds::{EDGE, EDGE_FRR};

/// Addresses of the domain: on the outside interface, on the second one, on the inside one, and its loopback.
pub const UP: [&str; 2] = ["203.0.113.2", "2001:db8:ffff::2"];
const UP2: [&str; 2] = ["203.0.113.6", "2001:db8:fffe::2"];
pub const INSIDE: [&str; 2] = ["198.51.100.129", "2001:db8:1:1::1"];
const LOOPBACK: [&str; 2] = ["198.51.100.1", "2001:db8:1::1"];
/// The neighbor, and somebody far away.
pub const ISP: [&str; 2] = ["203.0.113.1", "2001:db8:ffff::1"];
pub const FAR: [&str; 2] = ["8.8.8.8", "2a00::8"];
/// A host inside, and one in the linked domain.
pub const HOST: [&str; 2] = ["198.51.100.130", "2001:db8:1:1::2"];
const INNER: [&str; 2] = ["192.168.0.1", "2001:db8:2::1"];

const fn case(name: &'static str, run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world: &EDGE, off: &[], run }
}

/// What is neither announced nor believed by `packets` may also be no way out.
const PACKETS: Edit = Edit {
    file: "nft/interface.hbs",
    from: "counter name \"{{drop.packets}}\" drop\n{{else}}",
    to: "accept\n{{else}}",
};
const TO: Edit = Edit {
    file: "nft/interface.hbs",
    from: "{{keyword}} daddr != @{{to}} counter name \"{{../drop.destination}}\" drop",
    to: "",
};

pub const CASES: &[Case] = &[
    case("outside: martian source, IPv4", martian_source4),
    case("outside: martian source, IPv6", martian_source6),
    case("outside: martian destination, IPv4", martian_destination4),
    case("outside: martian destination, IPv6", martian_destination6),
    case("outside: loose source route", lsrr),
    case("outside: strict source route", ssrr),
    case("outside: routing header", routing_header),
    case("outside: packet of no flow", invalid),
    case("outside: source of inside", spoofed),
    case("outside: the domain's own address as source, IPv4", own4),
    case("outside: the domain's own address as source, IPv6", own6),
    case("outside: packet to the domain itself", input),
    case("outside: address of another interface", weak_host),
    case("outside: broadcast of another interface", broadcast),
    case("outside: link-local destination", link_local),
    case("outside: BGP of nobody we know", bgp_stranger),
    case("outside: BGP from further away than the wire", bgp_hops),
    case("outside: BFD of nobody we know", bfd_stranger),
    case("outside: BFD from further away than the wire", bfd_hops),
    case("outside: destination that is not announced", destination),
    case("outside: flow that `packets` does not name", packets),
    Case { name: "outside to outside", world: &EDGE, off: &[TO, PACKETS], run: outside_to_outside },
    case("outside: neighbor discovery for another wire", discovery),
    case("outside: router advertisement and redirect", advertisement),
    case("outside: source of inside, to all on the wire", spoofed_to_all),
    case("outside: error about a flow between two inside", bystander),
    case("outside: flow that is turned round in the middle", turned_round),
    case("outside: ICMP answer to a forbidden packet", answer),
    case("inside: source that is not behind it, IPv4", source_check4),
    case("inside: source that is not behind it, IPv6", source_check6),
    case("masquerade: packet without a conntrack entry", masquerade),
    Case { name: "router advertisement of zebra", world: &EDGE_FRR, off: &[], run: own_advertisement },
];

pub fn up() -> Way {
    Way::veth("isp", "customer", "edge", "up0")
}

pub fn inside() -> Way {
    Way::veth("hosts", "lan", "edge", "lan")
}

fn pings(from: [&str; 2], to: [&str; 2]) -> Vec<Packet> {
    vec![Packet::echo(from[0], to[0]), Packet::echo(from[1], to[1])]
}

/// What comes in from outside: to the domain itself and to a host inside.
pub fn control() -> Vec<Packet> {
    let mut control = pings(FAR, UP);
    for family in 0..2 {
        control.push(Packet::tcp(FAR[family], HOST[family], 25));
    }
    control
}

fn martian_source4(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for source in ["127.0.0.1", "0.0.0.0", "0.1.2.3", "240.0.0.1", "255.255.255.255", "224.0.0.1", "169.254.7.7"] {
        forbidden.push(Packet::echo(source, UP[0]));
        forbidden.push(Packet::tcp(source, HOST[0], 25));
    }
    setup.drops_as(&up(), "martian", &forbidden, &control())
}

fn martian_source6(setup: &Setup) -> Outcome {
    let stopped: Vec<_> = ["::1", "ff02::1", "ff0e::7"].map(|source| Packet::echo(source, UP[1])).to_vec();
    setup.refuses(&up(), &stopped, &control())?;
    let mut forbidden = Vec::new();
    for source in ["::", "::ffff:8.8.8.8", "::ffff:198.51.100.130"] {
        forbidden.push(Packet::echo(source, UP[1]));
        forbidden.push(Packet::tcp(source, HOST[1], 25));
    }
    setup.drops_as(&up(), "martian", &forbidden, &control())
}

fn martian_destination4(setup: &Setup) -> Outcome {
    let forbidden = ["127.0.0.1", "0.1.2.3", "240.0.0.1", "169.254.7.7"].map(|to| Packet::tcp(FAR[0], to, 25));
    setup.drops_as(&up(), "martian", &forbidden, &control())
}

fn martian_destination6(setup: &Setup) -> Outcome {
    setup.refuses(&up(), &[Packet::tcp(FAR[1], "::1", 25)], &control())?;
    let forbidden = ["::", "::ffff:198.51.100.130", "::ffff:127.0.0.1"].map(|to| Packet::tcp(FAR[1], to, 25));
    setup.drops_as(&up(), "martian", &forbidden, &control())
}

fn source_routed(setup: &Setup, kind: u8) -> Outcome {
    let option = [kind, 7, 4, 198, 51, 100, 130, 0];
    let mut forbidden = Vec::new();
    for to in [UP[0], HOST[0]] {
        forbidden.push(Packet::echo(FAR[0], to).options(&option));
        forbidden.push(Packet::tcp(FAR[0], to, 25).options(&option));
    }
    setup.drops_as(&up(), "source_route", &forbidden, &control())
}

fn lsrr(setup: &Setup) -> Outcome {
    source_routed(setup, 0x83)
}

fn ssrr(setup: &Setup) -> Outcome {
    source_routed(setup, 0x89)
}

fn routing_header(setup: &Setup) -> Outcome {
    let via: std::net::Ipv6Addr = HOST[1].parse().expect("an address");
    let mut forbidden = Vec::new();
    for (kind, left) in [(0, 1), (0, 0), (2, 1), (4, 0)] {
        let header = [&[0, 2, kind, left, 0, 0, 0, 0][..], &via.octets()[..]].concat();
        forbidden.push(Packet::echo(FAR[1], UP[1]).extension(43, &header));
        forbidden.push(Packet::tcp(FAR[1], HOST[1], 25).extension(43, &header));
    }
    setup.drops_as(&up(), "source_route", &forbidden, &control())
}

fn invalid(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        for flags in [RST, RST | ACK, SYN | ACK, 0] {
            forbidden.push(Packet::tcp(FAR[family], HOST[family], 25).with_port(41_000).flags(flags));
        }
    }
    setup.drops_as(&up(), "invalid", &forbidden, &control())
}

fn spoofed(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for source in [
        ["198.51.100.77", "2001:db8:1::77"],
        ["192.168.7.7", "2001:db8:2::7"],
        HOST,
        ["203.0.113.5", "2001:db8:fffe::1"],
    ] {
        forbidden.extend(pings(source, UP));
        forbidden.push(Packet::tcp(source[0], HOST[0], 25));
        forbidden.push(Packet::tcp(source[1], HOST[1], 25));
    }
    setup.drops_as(&up(), "spoofed", &forbidden, &control())
}

/// What goes to many has a source that is believed, or none as yet.
fn spoofed_to_all(setup: &Setup) -> Outcome {
    const ALL: [&str; 2] = ["203.0.113.3", "ff02::1"];
    let to = |source: [&str; 2]| [0, 1].map(|it| Packet::udp(source[it], ALL[it], 123));
    let forbidden: Vec<_> =
        [HOST, INNER, UP, LOOPBACK, ["203.0.113.5", "2001:db8:fffe::1"]].into_iter().flat_map(to).collect();
    let mut allowed = to(ISP).to_vec();
    allowed.push(Packet::udp("0.0.0.0", "255.255.255.255", 123));
    allowed.push(Packet::udp("fe80::99", "ff02::1", 123));
    setup.drops_as(&up(), "spoofed", &forbidden, &allowed)
}

/// The neighbor is on the way of no packet between the host and the linked domain.
fn bystander(setup: &Setup) -> Outcome {
    let way = Way::link("inner", "edge");
    let flows = [0, 1].map(|it| Packet::udp(INNER[it], HOST[it], 53).with_port(42_100));
    setup.admits(&way, &flows)?;
    let errors = |from: [&str; 2]| {
        [0, 1].map(|it| {
            let answer = Packet::new(HOST[it], INNER[it], Carries::Udp { from: 53, to: 42_100 });
            let body = [&[0; 4][..], &crate::packet::quoted(&answer)].concat();
            Packet::new(from[it], HOST[it], Carries::Icmp { kind: [3, 1][it], code: [3, 4][it], body })
        })
    };
    setup.drops_as(&up(), "spoofed", &errors(ISP), &control())?;
    setup.admits(&way, &errors(INNER))
}

/// The host answers in a flow that `edge` has forgotten. What comes from outside then is no answer to that.
fn turned_round(setup: &Setup) -> Outcome {
    let mut answers = Vec::new();
    let mut allowed = Vec::new();
    let mut forbidden = Vec::new();
    for it in 0..2 {
        let answer = Packet::new(HOST[it], FAR[it], Carries::Tcp { from: 8080, to: 42_200, flags: ACK });
        answers.extend([answer.clone(), answer.flags(PSH | ACK)]);
        allowed.push(Packet::tcp(HOST[it], FAR[it], 8080));
        let packet = Packet::new(FAR[it], HOST[it], Carries::Tcp { from: 42_200, to: 8080, flags: ACK });
        forbidden.extend([packet.clone(), packet.flags(PSH | ACK)]);
    }
    setup.refuses(&inside(), &answers, &allowed)?;
    setup.drops_as(&up(), "packets", &forbidden, &control())
}

fn own4(setup: &Setup) -> Outcome {
    setup.drops_as(&up(), "spoofed", &[Packet::echo(UP[0], UP[0]), Packet::tcp(UP[0], HOST[0], 25)], &control())
}

fn own6(setup: &Setup) -> Outcome {
    setup.drops_as(&up(), "spoofed", &[Packet::echo(UP[1], UP[1]), Packet::tcp(UP[1], HOST[1], 25)], &control())
}

fn input(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        for source in [ISP, FAR] {
            forbidden.push(Packet::tcp(source[family], UP[family], 22));
            forbidden.push(Packet::tcp(source[family], UP[family], 25));
            forbidden.push(Packet::udp(source[family], UP[family], 122));
            forbidden.push(Packet::udp(source[family], UP[family], 124));
            forbidden.push(Packet::new(source[family], UP[family], Carries::Other(47)));
        }
    }
    let allowed = [Packet::udp(FAR[0], UP[0], 123), Packet::udp(FAR[1], UP[1], 123)];
    setup.drops_as(&up(), "input", &forbidden, &allowed)
}

fn weak_host(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for to in [LOOPBACK, INSIDE, UP2] {
        forbidden.extend(pings(FAR, to));
        forbidden.push(Packet::udp(FAR[0], to[0], 123));
        forbidden.push(Packet::tcp(FAR[1], to[1], 25));
    }
    setup.drops_as(&up(), "weak_host", &forbidden, &control())
}

fn broadcast(setup: &Setup) -> Outcome {
    let forbidden = [Packet::udp(FAR[0], "198.51.100.255", 123), Packet::udp(ISP[0], "203.0.113.7", 123)];
    setup.drops_as(&up(), "weak_host", &forbidden, &control())
}

fn link_local(setup: &Setup) -> Outcome {
    let forbidden = [
        Packet::tcp(FAR[1], "fe80::77", 25),
        Packet::echo("fe80::99", "fe80::77"),
        Packet::udp(ISP[1], "fe80::1", 123),
    ];
    setup.drops_as(&up(), "input", &forbidden, &control())
}

fn bgp_stranger(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        forbidden.push(Packet::tcp(FAR[family], UP[family], 179).hops(255));
    }
    forbidden.push(Packet::tcp("203.0.113.3", UP[0], 179).hops(255));
    forbidden.push(Packet::tcp("2001:db8:ffff::99", UP[1], 179).hops(255));
    let allowed = [0, 1].map(|family| Packet::tcp(ISP[family], UP[family], 179).hops(255).with_port(44_100));
    setup.drops_as(&up(), "input", &forbidden, &allowed)
}

fn bgp_hops(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        for hops in [1, 64, 254] {
            forbidden.push(Packet::tcp(ISP[family], UP[family], 179).hops(hops).with_port(44_200));
            forbidden.push(Packet {
                carries: Carries::Tcp { from: 179, to: 44_201, flags: SYN },
                ..Packet::tcp(ISP[family], UP[family], 1).hops(hops)
            });
        }
    }
    let allowed = [0, 1].map(|family| Packet::tcp(ISP[family], UP[family], 179).hops(255).with_port(44_202));
    setup.drops_as(&up(), "ttl", &forbidden, &allowed)
}

const BFD: u16 = 3784;

fn bfd_stranger(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        forbidden.push(Packet::udp(FAR[family], UP[family], BFD).hops(255));
        // Echo packets and BFD of several hops are nobody's.
        forbidden.extend([3785, 4784].map(|port| Packet::udp(ISP[family], UP[family], port).hops(255)));
    }
    forbidden.push(Packet::udp("203.0.113.3", UP[0], BFD).hops(255));
    forbidden.push(Packet::udp("2001:db8:ffff::99", UP[1], BFD).hops(255));
    let allowed = [0, 1].map(|family| Packet::udp(ISP[family], UP[family], BFD).hops(255));
    setup.drops_as(&up(), "input", &forbidden, &allowed)
}

fn bfd_hops(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        forbidden.extend([1, 64, 254].map(|hops| Packet::udp(ISP[family], UP[family], BFD).hops(hops)));
    }
    let allowed = [0, 1].map(|family| Packet::udp(ISP[family], UP[family], BFD).hops(255));
    setup.drops_as(&up(), "ttl", &forbidden, &allowed)
}

fn destination(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for to in [INNER, ["8.8.4.4", "2a00::4"], ["192.168.255.255", "2001:db8:2:ffff::1"]] {
        for family in 0..2 {
            forbidden.push(Packet::tcp(FAR[family], to[family], 25));
        }
    }
    setup.drops_as(&up(), "destination", &forbidden, &control())
}

fn packets(setup: &Setup) -> Outcome {
    let mut forbidden = pings(FAR, HOST);
    for family in 0..2 {
        for port in [24, 26, 22, 80] {
            forbidden.push(Packet::tcp(FAR[family], HOST[family], port));
        }
        forbidden.push(Packet::udp(FAR[family], HOST[family], 25));
        forbidden.push(Packet::new(FAR[family], HOST[family], Carries::Other(47)));
    }
    setup.drops_as(&up(), "packets", &forbidden, &control())
}

/// What lies behind the other outside interface is neither announced nor in `packets`: both are off.
fn outside_to_outside(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        let far = ["9.9.9.9", "2a00:9::9"][family];
        forbidden.push(Packet::echo(FAR[family], far));
        forbidden.push(Packet::tcp(FAR[family], far, 25));
    }
    setup.drops_as(&up(), "transit", &forbidden, &control())
}

fn solicitation(source: &str, to: &str) -> Packet {
    let target: std::net::Ipv6Addr = to.parse().expect("an address");
    let body = [&[0; 4][..], &target.octets()[..]].concat();
    Packet::new(source, to, Carries::Icmp { kind: 135, code: 0, body }).hops(255)
}

fn discovery(setup: &Setup) -> Outcome {
    let forbidden =
        [solicitation(ISP[1], HOST[1]), solicitation(FAR[1], LOOPBACK[1]), solicitation(ISP[1], UP[1]).hops(254)];
    setup.refuses(&up(), &forbidden, &[solicitation(ISP[1], UP[1])])
}

fn advertisement(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    let body = vec![64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    forbidden.push(Packet::new("fe80::1", "ff02::1", Carries::Icmp { kind: 134, code: 0, body }).hops(255));
    let target: std::net::Ipv6Addr = "fe80::99".parse().expect("an address");
    let destination: std::net::Ipv6Addr = FAR[1].parse().expect("an address");
    let body = [&[0; 4][..], &target.octets()[..], &destination.octets()[..]].concat();
    forbidden.push(Packet::new("fe80::1", UP[1], Carries::Icmp { kind: 137, code: 0, body }).hops(255));
    // About a flow that there is.
    let flow = Packet::udp(FAR[0], UP[0], 123).with_port(45_000);
    setup.admits(&up(), std::slice::from_ref(&flow))?;
    let answer = Packet::new(UP[0], FAR[0], Carries::Udp { from: 123, to: 45_000 });
    let body = [&[203, 0, 113, 3][..], &crate::packet::quoted(&answer)].concat();
    forbidden.push(Packet::new(ISP[0], UP[0], Carries::Icmp { kind: 5, code: 1, body }));
    setup.refuses(&up(), &forbidden, &control())
}

fn answer(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        for to in [UP, LOOPBACK, HOST, INNER, ["203.0.112.1", "2a00:99::1"]] {
            forbidden.push(Packet::tcp(FAR[family], to[family], 22).hops(1));
            forbidden.push(Packet::udp(FAR[family], to[family], 33_434).hops(1));
        }
    }
    setup.refuses(&up(), &forbidden, &control())
}

fn source_check(setup: &Setup, family: usize) -> Outcome {
    let mut forbidden = Vec::new();
    for source in [INNER, ISP, ["10.9.9.9", "2a00:77::9"]] {
        forbidden.push(Packet::echo(source[family], INSIDE[family]));
        forbidden.push(Packet::tcp(source[family], FAR[family], 443));
    }
    setup.drops_as(&inside(), "source_check", &forbidden, &[Packet::tcp(HOST[family], FAR[family], 443)])
}

fn source_check4(setup: &Setup) -> Outcome {
    source_check(setup, 0)
}

fn source_check6(setup: &Setup) -> Outcome {
    source_check(setup, 1)
}

/// What has no conntrack entry is not translated. It must not leave with the address that is hidden.
fn masquerade(setup: &Setup) -> Outcome {
    // `notrack` is what a packet without an entry looks like, whatever made it one.
    setup.machine.sh(
        "ip netns exec edge nft 'table inet blind { chain c { type filter hook prerouting priority -300; policy accept; iifname lan tcp dport 4444 notrack; }; }'",
    );
    let hidden = ["198.51.100.200", "2001:db8:1:1:8000::7"];
    let forbidden: Vec<_> = (0..2)
        .flat_map(|it| [SYN, RST, ACK].map(|flags| Packet::tcp(hidden[it], FAR[it], 4444).flags(flags)))
        .collect();
    let control = [0, 1].map(|it| Packet::tcp(hidden[it], FAR[it], 4445));
    let rising = |setup: &Setup| setup.drops("edge")["drop.up0.untranslated"];
    let before = rising(setup);
    let result = setup.exchange(&inside(), &forbidden, &control);
    setup.machine.line("ip netns exec edge nft delete table inet blind");
    let seen = result?;
    if rising(setup) - before < forbidden.len() as u64 {
        return Err(Failure::Leak("drop.up0.untranslated did not rise by as much".into()));
    }
    let left = |it: &&Seen| it.namespace == "edge" && it.place == Place::Out("up0".into());
    let sources: Vec<_> = seen.iter().filter(left).map(|it| it.source).collect();
    if sources.iter().any(|source| hidden.contains(&source.to_string().as_str())) {
        return Err(Failure::Leak(format!("it left untranslated: {sources:?}")));
    }
    if UP.iter().all(|own| sources.contains(&crate::packet::address(own))) {
        Ok(())
    } else {
        Err(Failure::Dead(format!("nothing left translated: {sources:?}")))
    }
}

/// The session with `isp6` takes IPv6 next hops for IPv4. What somebody else announces in the domain's name does leave.
fn own_advertisement(setup: &Setup) -> Outcome {
    const SENDER: &str = r#"
        use Socket qw(:all);
        socket(my $s, AF_INET6, SOCK_RAW, 58) or die "socket: $!";
        setsockopt($s, 41, 18, 255) or die "hop limit: $!";
        my $index = do { local (@ARGV, $/) = "/sys/class/net/up0/ifindex"; <> + 0 };
        setsockopt($s, 41, 17, pack("i", $index)) or die "interface: $!";
        my $to = pack_sockaddr_in6(0, inet_pton(AF_INET6, "ff02::1"), $index);
        send($s, pack("CCnCCnNN", 134, 0, 0, 64, 0, 1800, 0, 7777), 0, $to) or die "send: $!";
    "#;
    setup.machine.sh(
        "ip netns exec edge nft 'table inet tried { counter seen { }; chain c {
            type filter hook output priority -10; oifname up0 icmpv6 type nd-router-advert @th,48,16 0 counter name seen; }; }'",
    );
    let tried = || {
        let text = setup.machine.line("ip netns exec edge nft list counter inet tried seen");
        !text.contains("packets 0 ")
    };
    // With hop limit 64 and a lifetime of 0, hosts are to give themselves addresses of the wire (RFC 4861, 4.6.2); the last one says
    // only who sent it.
    let zebra = ["030440c0".to_owned(), format!("0101{}", hex(&setup.mac("edge", "up0")))];
    let [first, last] = zebra.map(|option| format!("40000000{}{option}", "00".repeat(8)));
    let needles = vec![first, last, "4000070800000000".to_owned() + &hex(&7777_u32.to_be_bytes())];
    // zebra begins anew whenever bgpd asks it to, within a second. The neighbor speaks no BFD, and without that FRR 10.3 opens no session
    // anew.
    let bgpd =
        "vtysh --vty_socket /run/rdsup/edge/frr --config_dir /run/rdsup/edge -c 'configure terminal' -c 'router bgp'";
    let capability = "neighbor 2001:db8:ffff::1 capability extended-nexthop";
    let script = format!(
        "{bgpd} -c 'no neighbor 2001:db8:ffff::1 bfd'
         for round in 1 2; do
            {bgpd} -c 'no {capability}' -c '{capability}'; sleep 1.2; ip netns exec edge perl -e \"$0\"
         done"
    );
    let asks = setup.machine.spawn(&["bash", "-c", &script, SENDER]);
    let batch = Batch { frames: Vec::new(), awaited: Vec::new(), needles, deadline_ms: 5000, quiet_ms: 4000 };
    let Answer::Seen { found, .. } = setup.ask(&Request::Batch(batch)) else { panic!("another answer") };
    asks.finish(SOON);
    setup.note(1, 0, 1);
    // Another capability ends the session, and whoever comes next needs its routes.
    until(SOON, "the session is back", || {
        setup.machine.sh("ip -n edge -6 route show default").contains("2001:db8:ffff::1")
    })?;
    setup.machine.sh(&format!("{bgpd} -c 'neighbor 2001:db8:ffff::1 bfd profile rdsup'"));
    let arrived = |which: usize| found.iter().any(|(at, namespace, _)| *at == which && namespace == "isp");
    if arrived(0) || arrived(1) {
        return Err(Failure::Leak(format!("zebra has announced a router: {found:?}")));
    }
    if !tried() {
        return Err(Failure::Dead("zebra did not try to announce a router".into()));
    }
    if !arrived(2) {
        return Err(Failure::Dead("what somebody else announces does not leave".into()));
    }
    Ok(())
}

//! What must not arrive over a link.

use super::Case;
use crate::packet::{ACK, Carries, Packet, RST, SYN};
use crate::setup::{Edit, Outcome, Setup, Way};
use crate::worlds::HUB;

/// The loopback of `r`, and a host behind it.
pub const R: [&str; 2] = ["198.51.100.1", "2001:db8:1::1"];
pub const HOST: [&str; 2] = ["198.51.100.130", "2001:db8:1:1::2"];
/// Sources that `s`, `t` and `u` may use.
pub const S: [&str; 2] = ["192.168.5.5", "2001:db8:2::5"];
pub const T: [&str; 2] = ["10.66.5.5", "2001:db8:66::5"];
pub const U: [&str; 2] = ["172.20.5.5", "2001:db8:20::5"];
/// Addresses of `r` that no policy names.
pub const UNNAMED: [&str; 2] = ["203.0.113.50", "2001:db8:ff::50"];

const fn case(name: &'static str, run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world: &HUB, off: &[], run }
}

/// The chain that drops what would go on to another link before it is routed.
const TRANSIT_CHAIN: Edit = Edit { file: "nft/link.hbs", from: "\t\tjump transit\n", to: "" };

pub const CASES: &[Case] = &[
    case("spoofed source over a link", spoofed),
    case("spoofed source where everything is accepted", spoofed_everything),
    case("reply forged from another link", forged_reply),
    case("martian source, IPv4", martian_source4),
    case("martian source, IPv6", martian_source6),
    case("martian destination, IPv4", martian_destination4),
    case("martian destination, IPv6", martian_destination6),
    case("link-local source", link_local_source),
    case("link-local destination", link_local_destination),
    case("multicast and broadcast, IPv4", multicast4),
    case("multicast, IPv6", multicast6),
    case("broadcast of an inside network", broadcast),
    case("loose source route", lsrr),
    case("strict source route", ssrr),
    case("routing header", routing_header),
    case("packet of no flow", invalid),
    case("address of the receiver that is not named", unnamed),
    case("address of the receiver behind `everything`", unnamed_everything),
    case("flow that `packets` does not name", packets),
    case("ICMP answer to a forbidden packet", answer),
    case("transit answered by an ICMP error", transit_answer),
    Case {
        name: "transit from link to link in the forward chain",
        world: &HUB,
        off: &[TRANSIT_CHAIN],
        run: transit_forward,
    },
];

pub fn s_to_r() -> Way {
    Way::link("s", "r")
}

pub fn u_to_r() -> Way {
    Way::link("u", "r")
}

/// Echo requests between these, which policy allows.
pub fn pings(from: [&str; 2], to: [&str; 2]) -> Vec<Packet> {
    vec![Packet::echo(from[0], to[0]), Packet::echo(from[1], to[1])]
}

/// Echo requests of `s`, which arrive at `r` and at the host behind it.
pub fn control() -> Vec<Packet> {
    [pings(S, R), pings(S, HOST)].concat()
}

fn spoofed(setup: &Setup) -> Outcome {
    let whose = [
        ("198.51.100.77", "2001:db8:1::77"), // the receiver's own
        ("10.66.0.9", "2001:db8:66::9"),     // a third domain's
        ("203.0.113.7", "2a00::7"),          // nobody's
        ("192.167.255.255", "2001:db8:1:ffff:ffff:ffff:ffff:ffff"),
        ("192.169.0.0", "2001:db8:3::"), // just outside
    ];
    let mut forbidden = Vec::new();
    for (four, six) in whose {
        for to in [R, HOST] {
            forbidden.extend(pings([four, six], to));
            forbidden.push(Packet::tcp(four, to[0], 80));
            forbidden.push(Packet::udp(six, to[1], 53));
        }
    }
    setup.drops_as(&s_to_r(), "spoofed", &forbidden, &control())
}

fn spoofed_everything(setup: &Setup) -> Outcome {
    let u = ["172.20.0.1", "2001:db8:20::1"];
    let mut forbidden = pings(["172.20.9.9", "2001:db8:20::99"], u);
    forbidden.extend(pings(["10.77.9.9", "2001:db8:77::9"], u));
    forbidden.push(Packet::tcp("10.77.0.0", u[0], 80));
    forbidden.push(Packet::tcp("2001:db8:77:ffff:ffff:ffff:ffff:ffff", u[1], 80));
    let mut control = pings(["192.0.2.77", "2a00::77"], u);
    control.extend(pings(["10.78.0.0", "2001:db8:78::"], u));
    setup.drops_as(&Way::link("r", "u"), "spoofed", &forbidden, &control)
}

/// `s` begins a flow with `r`; `t` answers in the name of `r`'s other side: what looks like a reply must be believed first.
fn forged_reply(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        let flow = Packet::udp(R[family], S[family], 5353).with_port(5354);
        setup.exchange(&s_to_r(), &[], &control())?;
        // The flow of `r` itself, which makes what `s` answers a reply.
        setup.machine.run(&[
            "ip", "netns", "exec", "r", "perl", "-e",
            r#"use IO::Socket::IP; my $s = IO::Socket::IP->new(Proto => "udp", LocalHost => $ARGV[0], LocalPort => 5354,
                PeerHost => $ARGV[1], PeerPort => 5353) or die "$@"; print $s "x";"#,
            R[family], S[family],
        ]).ok();
        let reply = Packet::between(flow.destination, flow.source, Carries::Udp { from: 5353, to: 5354 });
        forbidden.push(reply);
    }
    setup.drops_as(&Way::link("t", "r"), "spoofed", &forbidden, &pings(T, R))?;
    setup.admits(&s_to_r(), &forbidden)
}

fn martian_source4(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for source in [
        "127.0.0.1",
        "127.255.255.255",
        "0.0.0.0",
        "0.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "169.254.7.7",
    ] {
        forbidden.push(Packet::echo(source, R[0]));
        forbidden.push(Packet::tcp(source, HOST[0], 80));
    }
    setup.drops_as(&s_to_r(), "martian", &forbidden, &control())?;
    let everything =
        forbidden.iter().map(|it| Packet { destination: crate::packet::address("172.20.0.1"), ..it.clone() });
    let control = pings(["192.0.2.77", "2a00::77"], ["172.20.0.1", "2001:db8:20::1"]);
    setup.drops_as(&Way::link("r", "u"), "martian", &everything.collect::<Vec<_>>(), &control)
}

fn martian_source6(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    // The kernel itself drops multicast sources and loopback addresses before every filter.
    let stopped: Vec<_> = ["::1", "ff02::1", "ff0e::7"].iter().flat_map(|from| pings([S[0], from], HOST)).collect();
    let stopped: Vec<_> = stopped.into_iter().filter(Packet::is_ipv6).collect();
    setup.refuses(&s_to_r(), &stopped, &control())?;
    for source in ["::", "::ffff:192.168.5.5", "::ffff:198.51.100.77"] {
        forbidden.push(Packet::echo(source, R[1]));
        forbidden.push(Packet::udp(source, HOST[1], 53));
    }
    setup.drops_as(&s_to_r(), "martian", &forbidden, &control())?;
    let everything =
        forbidden.iter().map(|it| Packet { destination: crate::packet::address("2001:db8:20::1"), ..it.clone() });
    let control = pings(["192.0.2.77", "2a00::77"], ["172.20.0.1", "2001:db8:20::1"]);
    setup.drops_as(&Way::link("r", "u"), "martian", &everything.collect::<Vec<_>>(), &control)
}

fn martian_destination4(setup: &Setup) -> Outcome {
    let destinations = ["127.0.0.1", "127.1.2.3", "0.1.2.3", "240.0.0.1", "255.255.255.254", "169.254.7.7"];
    let forbidden: Vec<_> = destinations.iter().map(|to| Packet::tcp(U[0], to, 80)).collect();
    setup.drops_as(&u_to_r(), "martian", &forbidden, &pings(U, HOST))
}

fn martian_destination6(setup: &Setup) -> Outcome {
    setup.refuses(&u_to_r(), &[Packet::tcp(U[1], "::1", 80)], &pings(U, HOST))?;
    let destinations = ["::", "::ffff:198.51.100.1", "::ffff:127.0.0.1"];
    let forbidden: Vec<_> = destinations.iter().map(|to| Packet::tcp(U[1], to, 80)).collect();
    setup.drops_as(&u_to_r(), "martian", &forbidden, &pings(U, HOST))
}

fn link_local_source(setup: &Setup) -> Outcome {
    let [first, second] = &setup.ends(&s_to_r());
    let forbidden = [
        Packet::echo(first, R[1]),
        Packet::echo("fe80::99", R[1]),
        Packet::tcp(first, HOST[1], 80),
        Packet::udp("febf::1", HOST[1], 53),
        Packet::echo(first, second),
        Packet::tcp(first, second, 22).hops(255),
    ];
    setup.drops_as(&s_to_r(), "link_local", &forbidden, &control())
}

fn link_local_destination(setup: &Setup) -> Outcome {
    let [_, second] = &setup.ends(&s_to_r());
    let forbidden = [
        Packet::echo(S[1], second),
        Packet::tcp(S[1], second, 179).hops(255),
        Packet::tcp(S[1], second, 80),
        Packet::udp(S[1], "fe80::77", 53),
    ];
    setup.drops_as(&s_to_r(), "link_local", &forbidden, &control())
}

fn multicast4(setup: &Setup) -> Outcome {
    let forbidden =
        ["224.0.0.1", "224.0.0.5", "239.255.255.255", "255.255.255.255"].map(|to| Packet::udp(S[0], to, 53));
    setup.drops_as(&s_to_r(), "multicast", &forbidden, &control())
}

fn multicast6(setup: &Setup) -> Outcome {
    let forbidden = ["ff02::1", "ff02::2", "ff02::5", "ff05::2", "ff0e::1"].map(|to| Packet::udp(S[1], to, 53));
    setup.drops_as(&s_to_r(), "multicast", &forbidden, &control())
}

fn broadcast(setup: &Setup) -> Outcome {
    let forbidden = [Packet::udp(S[0], "198.51.100.255", 53), Packet::echo(S[0], "198.51.100.255")];
    setup.drops_as(&s_to_r(), "multicast", &forbidden, &control())
}

/// A source route by way of `via`, as an option of this type with its last octet for alignment.
fn route_option(kind: u8, via: &str) -> Vec<u8> {
    let via: std::net::Ipv4Addr = via.parse().expect("an address");
    [&[kind, 7, 4][..], &via.octets()[..], &[0]].concat()
}

fn source_routed(setup: &Setup, kind: u8) -> Outcome {
    let mut forbidden = Vec::new();
    for (to, via) in [(R[0], "10.66.0.1"), (HOST[0], R[0]), (R[0], HOST[0])] {
        forbidden.push(Packet::echo(S[0], to).options(&route_option(kind, via)));
        forbidden.push(Packet::tcp(S[0], to, 80).options(&route_option(kind, via)));
    }
    // Another option is no fault: a no-operation and the end of the list.
    let control = [Packet::echo(S[0], R[0]).options(&[1, 1, 1, 0]), Packet::echo(S[0], HOST[0])];
    setup.drops_as(&s_to_r(), "source_route", &forbidden, &control)
}

fn lsrr(setup: &Setup) -> Outcome {
    source_routed(setup, 0x83)
}

fn ssrr(setup: &Setup) -> Outcome {
    source_routed(setup, 0x89)
}

fn routing_header(setup: &Setup) -> Outcome {
    let via: std::net::Ipv6Addr = "2001:db8:66::1".parse().expect("an address");
    let mut forbidden = Vec::new();
    for (kind, left) in [(0, 1), (0, 0), (2, 1), (4, 0), (43, 1)] {
        let header = [&[0, 2, kind, left, 0, 0, 0, 0][..], &via.octets()[..]].concat();
        forbidden.push(Packet::echo(S[1], R[1]).extension(43, &header));
        forbidden.push(Packet::udp(S[1], HOST[1], 53).extension(43, &header));
    }
    // Another extension header is no fault: destination options that are padding.
    let padding = [0, 0, 1, 4, 0, 0, 0, 0];
    let control = [Packet::echo(S[1], R[1]).extension(60, &padding), Packet::echo(S[1], HOST[1])];
    setup.drops_as(&s_to_r(), "source_route", &forbidden, &control)
}

fn invalid(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        for to in [R, HOST] {
            for flags in [RST, RST | ACK, SYN | ACK, SYN | RST, 0] {
                forbidden.push(Packet::tcp(S[family], to[family], 80).with_port(41_000).flags(flags));
            }
        }
    }
    setup.drops_as(&s_to_r(), "invalid", &forbidden, &control())
}

fn unnamed(setup: &Setup) -> Outcome {
    let mut forbidden = pings(S, UNNAMED);
    for family in 0..2 {
        forbidden.push(Packet::tcp(S[family], UNNAMED[family], 80));
        forbidden.push(Packet::udp(S[family], UNNAMED[family], 53));
    }
    setup.drops_as(&s_to_r(), "destination", &forbidden, &control())
}

fn unnamed_everything(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for to in [UNNAMED, R, ["198.51.100.129", "2001:db8:1:1::1"]] {
        forbidden.extend(pings(U, to));
    }
    // "Everything" never names an address of `r` itself; a host behind it is reached.
    setup.drops_as(&u_to_r(), "destination", &forbidden, &pings(U, HOST))
}

fn packets(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        for to in [R, HOST] {
            let (source, to) = (S[family], to[family]);
            for port in [1, 22, 79, 81, 442, 444, 65535] {
                forbidden.push(Packet::tcp(source, to, port));
            }
            for port in [52, 54, 80] {
                forbidden.push(Packet::udp(source, to, port));
            }
            forbidden.push(Packet::new(source, to, Carries::Other(47)));
            forbidden.push(Packet::new(source, to, Carries::Other(253)));
            // A segment in the middle of a connection that was never begun.
            forbidden.push(Packet::tcp(source, to, 8080).flags(ACK));
        }
    }
    forbidden.push(Packet::new(S[0], R[0], Carries::Icmp { kind: 13, code: 0, body: vec![0; 16] }));
    let mut control = control();
    for family in 0..2 {
        control.push(Packet::tcp(S[family], HOST[family], 80));
        control.push(Packet::tcp(S[family], R[family], 443));
        control.push(Packet::udp(S[family], HOST[family], 53));
    }
    setup.drops_as(&s_to_r(), "packets", &forbidden, &control)
}

/// A forbidden packet whose hop limit is used up, and one to where there is no route.
fn answer(setup: &Setup) -> Outcome {
    let mut forbidden = Vec::new();
    for family in 0..2 {
        for to in [R, HOST, UNNAMED, T, ["203.0.113.200", "2a00::200"]] {
            forbidden.push(Packet::tcp(S[family], to[family], 22).hops(1));
            forbidden.push(Packet::udp(S[family], to[family], 33_434).hops(1));
        }
    }
    setup.refuses(&s_to_r(), &forbidden, &control())
}

fn transit_answer(setup: &Setup) -> Outcome {
    let mut forbidden = pings(U, T);
    forbidden.extend(forbidden.clone().into_iter().map(|packet| packet.hops(1)));
    forbidden.extend(pings(U, S).into_iter().map(|packet| packet.hops(1)));
    setup.drops_as(&u_to_r(), "transit", &forbidden, &pings(U, HOST))
}

fn transit_forward(setup: &Setup) -> Outcome {
    let mut forbidden = pings(U, T);
    forbidden.extend(pings(U, S));
    setup.drops_as(&u_to_r(), "transit", &forbidden, &pings(U, HOST))
}

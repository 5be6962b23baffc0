//! What belongs to the wire itself: errors, neighbor discovery, BGP, interfaces without a name, what leaves.

use super::Case;
use super::link::{HOST, R, S, T, UNNAMED, control, pings, s_to_r, u_to_r};
use crate::packet::{ACK, Carries, PSH, Packet, SYN, quoted};
use crate::setup::{Edit, Outcome, Setup, Way};
use crate::worlds::HUB;

const fn case(name: &'static str, run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world: &HUB, off: &[], run }
}

pub const CASES: &[Case] = &[
    case("error about a flow of another link", foreign_error),
    case("error about a flow between two others", bystander),
    case("flow that is turned round in the middle", turned_round),
    case("redirect about a flow of the link", redirect),
    case("router advertisement and solicitation", router_advertisement),
    case("BGP from further away than the wire", bgp_hops),
    case("BGP from another address than the peer's", bgp_address),
    case("neighbor discovery from further away than the wire", discovery_hops),
    case("neighbor discovery for another wire", discovery_destination),
    case("ARP and neighbor discovery for other addresses", resolution),
    case("interface that the file does not name", interface),
    case("packet to a link whose end does not own it", egress),
    case("packet to a link that accepts everything else", egress_everything),
    Case {
        name: "redirect as an error about a flow",
        world: &HUB,
        off: &[Edit {
            file: "nft/wire.hbs",
            from: "icmp type { redirect, router-advertisement, router-solicitation } counter name iifname map @drop.link_local drop",
            to: "",
        }],
        run: redirect_as_error,
    },
];

/// An ICMP error, or a redirect with its `body`, about a packet.
fn about(packet: &Packet, source: &str, to: &str, kind: u8, code: u8, rest: &[u8]) -> Packet {
    let body = [rest, &quoted(packet)].concat();
    Packet::new(source, to, Carries::Icmp { kind, code, body })
}

fn foreign_error(setup: &Setup) -> Outcome {
    // A flow of `s`, which `r` knows.
    let flows = [Packet::udp(S[0], HOST[0], 53).with_port(42_000), Packet::udp(S[1], HOST[1], 53).with_port(42_000)];
    setup.admits(&s_to_r(), &flows)?;
    let answers = [
        Packet::new(HOST[0], S[0], Carries::Udp { from: 53, to: 42_000 }),
        Packet::new(HOST[1], S[1], Carries::Udp { from: 53, to: 42_000 }),
    ];
    // From a router on the way that nobody names, about what the host answers.
    let errors = [
        about(&answers[0], "203.0.113.99", HOST[0], 3, 3, &[0; 4]),
        about(&answers[1], "2a00::99", HOST[1], 1, 4, &[0; 4]),
    ];
    setup.drops_as(&Way::link("t", "r"), "spoofed", &errors, &pings(T, R))?;
    setup.admits(&s_to_r(), &errors)
}

/// From an address that `s` really has, which is on the way of no packet between the host and `t`.
fn bystander(setup: &Setup) -> Outcome {
    let way = Way::link("t", "r");
    let flows = [0, 1].map(|it| Packet::udp(T[it], HOST[it], 53).with_port(42_100));
    setup.admits(&way, &flows)?;
    let error = |from: [&str; 2]| {
        [0, 1].map(|it| {
            let answer = Packet::new(HOST[it], T[it], Carries::Udp { from: 53, to: 42_100 });
            about(&answer, from[it], HOST[it], [3, 1][it], [3, 4][it], &[0; 4])
        })
    };
    setup.drops_as(&s_to_r(), "packets", &error(S), &control())?;
    setup.admits(&way, &error(T))
}

/// The host answers in a flow that `r` has forgotten. What `s` sends then is no answer to that.
fn turned_round(setup: &Setup) -> Outcome {
    let answers = both(|it| {
        let carries = |flags| Carries::Tcp { from: 8080, to: 42_200, flags };
        [ACK, PSH | ACK].map(|flags| Packet::new(HOST[it], S[it], carries(flags))).to_vec()
    });
    let allowed = both(|it| vec![Packet::tcp(HOST[it], S[it], 8080)]);
    setup.refuses(&Way::veth("hosts", "lan", "r", "lan"), &answers, &allowed)?;
    let forbidden = both(|it| {
        let packet = Packet::new(S[it], HOST[it], Carries::Tcp { from: 42_200, to: 8080, flags: ACK });
        vec![packet.clone(), packet.flags(PSH | ACK)]
    });
    setup.drops_as(&s_to_r(), "packets", &forbidden, &control())
}

fn both(make: impl Fn(usize) -> Vec<Packet>) -> Vec<Packet> {
    (0..2).flat_map(make).collect()
}

fn redirect(setup: &Setup) -> Outcome {
    let flows = [Packet::udp(S[0], R[0], 53).with_port(43_000), Packet::udp(S[1], R[1], 53).with_port(43_000)];
    setup.admits(&s_to_r(), &flows)?;
    let answers = [
        Packet::new(R[0], S[0], Carries::Udp { from: 53, to: 43_000 }),
        Packet::new(R[1], S[1], Carries::Udp { from: 53, to: 43_000 }),
    ];
    let gateway = std::net::Ipv4Addr::new(10, 66, 0, 1);
    let mut forbidden = Vec::new();
    for code in [0, 1] {
        forbidden.push(about(&answers[0], S[0], R[0], 5, code, &gateway.octets()));
        forbidden.push(about(&answers[0], "203.0.113.99", R[0], 5, code, &gateway.octets()));
    }
    let [first, second] = &setup.ends(&s_to_r());
    for source in [first, S[1]] {
        let target: std::net::Ipv6Addr = first.parse().expect("an address");
        let destination: std::net::Ipv6Addr = S[1].parse().expect("an address");
        let body = [&[0; 4][..], &target.octets()[..], &destination.octets()[..]].concat();
        for to in [second, R[1]] {
            let packet = Packet::new(source, to, Carries::Icmp { kind: 137, code: 0, body: body.clone() }).hops(255);
            forbidden.push(packet);
        }
    }
    setup.refuses(&s_to_r(), &forbidden, &control())?;
    // Those of IPv4 are not link-local by their addresses.
    forbidden.retain(|packet| !packet.is_ipv6());
    setup.drops_as(&s_to_r(), "link_local", &forbidden, &control())
}

/// Connection tracking takes a redirect for an error about a flow; the first protection is off.
fn redirect_as_error(setup: &Setup) -> Outcome {
    setup.admits(&s_to_r(), &[Packet::udp(S[0], R[0], 53).with_port(43_000)])?;
    let answer = Packet::new(R[0], S[0], Carries::Udp { from: 53, to: 43_000 });
    let forbidden = [S[0], "203.0.113.99"].map(|from| about(&answer, from, R[0], 5, 1, &[10, 66, 0, 1]));
    setup.refuses(&s_to_r(), &forbidden, &control())
}

fn router_advertisement(setup: &Setup) -> Outcome {
    let [first, second] = &setup.ends(&s_to_r());
    let mut forbidden = Vec::new();
    for to in ["ff02::1", second] {
        let body = vec![64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        forbidden.push(Packet::new(first, to, Carries::Icmp { kind: 134, code: 0, body }).hops(255));
        forbidden.push(Packet::new(first, to, Carries::Icmp { kind: 133, code: 0, body: vec![0; 4] }).hops(255));
    }
    setup.drops_as(&s_to_r(), "link_local", &forbidden, &control())
}

fn bgp_hops(setup: &Setup) -> Outcome {
    let ([first, second], reason) = &setup.session(&s_to_r());
    let forbidden: Vec<_> = [1, 64, 254]
        .iter()
        .flat_map(|hops| {
            let listening = Packet::tcp(first, second, 179).hops(*hops).with_port(44_000);
            [listening.clone(), Packet { carries: Carries::Tcp { from: 179, to: 44_001, flags: SYN }, ..listening }]
        })
        .collect();
    setup.drops_as(&s_to_r(), reason, &forbidden, &[Packet::tcp(first, second, 179).hops(255).with_port(44_002)])
}

fn bgp_address(setup: &Setup) -> Outcome {
    let [first, second] = &setup.ends(&s_to_r());
    let forbidden = [
        Packet::tcp("fe80::99", second, 179).hops(255),
        Packet::tcp(first, "fe80::99", 179).hops(255),
        Packet::tcp(first, "ff02::1", 179).hops(255),
    ];
    let ([from, to], reason) = &setup.session(&s_to_r());
    let control = [Packet::tcp(from, to, 179).hops(255).with_port(44_003)];
    setup.drops_as(&s_to_r(), "link_local", &forbidden, &control)?;
    if from == first {
        return Ok(());
    }
    // Of a numbered link, whose addresses are link-local to nobody else.
    let forbidden = [Packet::tcp(S[1], to, 179).hops(255), Packet::tcp(from, R[1], 179).hops(255)];
    setup.refuses(&s_to_r(), &forbidden, &control)?;
    setup.drops_as(&s_to_r(), reason, &forbidden[1..], &control)
}

fn solicitation(source: &str, to: &str, target: &str) -> Packet {
    let target: std::net::Ipv6Addr = target.parse().expect("an address");
    let body = [&[0; 4][..], &target.octets()[..]].concat();
    Packet::new(source, to, Carries::Icmp { kind: 135, code: 0, body }).hops(255)
}

fn discovery_hops(setup: &Setup) -> Outcome {
    let [first, second] = &setup.ends(&s_to_r());
    let forbidden =
        [solicitation(first, second, second).hops(254), solicitation(first, "ff02::1:ff00:2", second).hops(64)];
    setup.drops_as(&s_to_r(), "link_local", &forbidden, &[solicitation(first, second, second)])
}

fn discovery_destination(setup: &Setup) -> Outcome {
    let wire = ["2001:db8:ee::", "2001:db8:ee::1"];
    let way = Way::link("v", "u");
    let forbidden = [
        solicitation(wire[0], "2001:db8:20::1", "2001:db8:20::1"),
        solicitation(wire[0], "2001:db8:20::77", "2001:db8:20::77"),
    ];
    setup.drops_as(&way, "spoofed", &forbidden, &[solicitation(wire[0], wire[1], wire[1])])
}

/// `r` must not tell over a link that it has other addresses, nor resolve them.
fn resolution(setup: &Setup) -> Outcome {
    use crate::wire::{Answer, Batch, Frame, Request, hex};
    let way = s_to_r();
    let (mine, theirs) = (setup.mac(&way.from, &way.by), setup.mac(&way.into, &way.at));
    let mut frames = Vec::new();
    let mut needles = Vec::new();
    for target in [R[0], UNNAMED[0], "198.51.100.129", "10.66.0.1"] {
        let octets = target.parse::<std::net::Ipv4Addr>().expect("an address").octets();
        let sender: [u8; 4] = [192, 168, 0, 1];
        let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &mine, &sender, &[0; 6], &octets].concat();
        let bytes = [&[0xff; 6][..], &mine, &[8, 6], &arp].concat();
        frames.push(Frame { namespace: way.from.clone(), interface: way.by.clone(), bytes: hex(&bytes), nonce: 0 });
        needles.push(hex(&[&[0, 2][..], &theirs, &octets].concat()));
    }
    let advertised = |target: &str| {
        let octets = target.parse::<std::net::Ipv6Addr>().expect("an address").octets();
        // Router, solicited, override: what an advertisement of a router's own address has.
        hex(&[&[0xe0, 0, 0, 0][..], &octets].concat())
    };
    let [first, second] = &setup.ends(&way);
    let asked = [R[1], UNNAMED[1], "2001:db8:1:1::1"];
    for target in asked {
        let tail = target.parse::<std::net::Ipv6Addr>().expect("an address").octets();
        let group = format!("ff02::1:ff{:02x}:{:02x}{:02x}", tail[13], tail[14], tail[15]);
        frames.push(setup.frame(&way, &solicitation(first, &group, target)));
        needles.push(advertised(target));
    }
    frames.push(setup.frame(&way, &solicitation(first, "ff02::1:ff00:2", second)));
    needles.push(advertised(second));
    let own = needles.len() - 1;
    let awaited = Vec::new();
    let batch = Batch { frames, awaited, needles, deadline_ms: 10_000, quiet_ms: 1000 };
    let Answer::Seen { found, .. } = setup.ask(&Request::Batch(batch)) else { panic!("another answer") };
    setup.note(own, found.iter().filter(|(at, ..)| *at != own).count(), 1);
    if let Some((at, namespace, place)) = found.iter().find(|(at, ..)| *at != own) {
        return Err(crate::setup::Failure::Leak(format!(
            "question {at} was answered, seen in {namespace} at {place:?}"
        )));
    }
    if found.is_empty() {
        return Err(crate::setup::Failure::Dead("the address of the wire itself is not resolved".into()));
    }
    Ok(())
}

/// An interface in `r` that the file does not name.
pub fn stranger(setup: &Setup) -> Way {
    setup.machine.sh(
        "ip -n r link show dev stranger >/dev/null 2>&1 || ip -n r link add stranger type veth peer name stranger netns hosts
         ip -n r link set stranger up; ip -n hosts link set stranger up",
    );
    setup.open(&["r", "hosts"]);
    Way::veth("hosts", "stranger", "r", "stranger")
}

fn interface(setup: &Setup) -> Outcome {
    let mut way = stranger(setup);
    let mut forbidden = pings(S, R);
    forbidden.extend(pings(HOST, R));
    forbidden.push(Packet::udp(HOST[0], "255.255.255.255", 53));
    forbidden.push(solicitation("fe80::5", "ff02::1", "fe80::2"));
    // The counter of everything that no chain names.
    "/other".clone_into(&mut way.at);
    let counter = way.counter("interface");
    "stranger".clone_into(&mut way.at);
    let before = setup.drops("r");
    setup.refuses(&way, &forbidden, &[])?;
    setup.admits(&s_to_r(), &control())?;
    let rise = setup.drops("r").get(&counter).copied().unwrap_or(0) - before.get(&counter).copied().unwrap_or(0);
    if rise < forbidden.len() as u64 {
        return Err(crate::setup::Failure::Leak(format!("{counter} rose by {rise}, not {}", forbidden.len())));
    }
    Ok(())
}

/// A route over a link that policy does not name, as if another program had made it.
fn egress(setup: &Setup) -> Outcome {
    let [first, _] = setup.ends(&s_to_r());
    setup.machine.sh(&format!(
        "ip -n r -4 route replace 203.0.112.0/24 via inet6 {first} dev rd-s
         ip -n r -6 route replace 2a00:9::/32 via {first} dev rd-s"
    ));
    let way = Way::veth("hosts", "lan", "r", "lan");
    let forbidden = pings(HOST, ["203.0.112.9", "2a00:9::9"]);
    let before = setup.drops("r");
    setup.refuses(&way, &forbidden, &pings(HOST, ["192.168.0.1", "2001:db8:2::1"]))?;
    let name = "drop.rd-s.egress";
    let rise = setup.drops("r")[name] - before[name];
    if rise < forbidden.len() as u64 {
        return Err(crate::setup::Failure::Leak(format!("{name} rose by {rise}")));
    }
    Ok(())
}

/// `u` itself sends to what it accepts elsewhere.
fn egress_everything(setup: &Setup) -> Outcome {
    let before = setup.drops("u")["drop.rd-r.egress"];
    let [_, second] = setup.ends(&u_to_r());
    setup.machine.sh(&format!(
        "ip -n u -4 route replace 10.77.9.9/32 via inet6 {second} dev rd-r src 172.20.0.1
        ip -n u -6 route replace 2001:db8:77::9/128 via {second} dev rd-r src 2001:db8:20::1
        for a in 10.77.9.9 2001:db8:77::9; do ip netns exec u ping -n -c 1 -W 1 -w 1 $a >/dev/null 2>&1 || true; done
        ip -n u -4 route delete 10.77.9.9/32; ip -n u -6 route delete 2001:db8:77::9/128"
    ));
    setup.note(2, 0, 0);
    let rise = setup.drops("u")["drop.rd-r.egress"] - before;
    if rise < 2 {
        return Err(crate::setup::Failure::Leak(format!("drop.rd-r.egress rose by {rise}")));
    }
    Ok(())
}

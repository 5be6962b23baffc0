//! What the kernel itself must refuse, by its settings, where the packet filter has let it through.

use super::Case;
use super::interface::{self, up};
use super::link::{self, R, S, U, s_to_r, u_to_r};
use crate::machine::SOON;
use crate::packet::{Carries, Packet, quoted};
use crate::setup::{Edit, Failure, Outcome, Setup, Way, World};
use crate::wire::{Answer, Batch, Request, hex};
use crate::worlds::{EDGE, HUB};

const fn case(name: &'static str, world: &'static World, off: &'static [Edit], run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world, off, run }
}

const fn off(file: &'static str, from: &'static str, to: &'static str) -> Edit {
    Edit { file, from, to }
}

const LSRR: Edit = off("nft/wire.hbs", "ip option lsrr exists counter name iifname map @drop.source_route drop", "");
const MARTIAN: Edit =
    off("nft/wire.hbs", "ip daddr @martian_destination4 counter name iifname map @drop.martian drop", "");
const OWN: Edit = off(
    "nft/link.hbs",
    "{{keyword}} daddr != @{{to}} fib daddr type { local, anycast } counter name \"{{../drop.destination}}\" drop",
    "",
);
const SPOOFED: Edit =
    off("nft/link.hbs", "{{keyword}} saddr != @{{behind}} counter name \"{{../drop.spoofed}}\" drop", "");
const INPUT: Edit = off(
    "nft/interface.hbs",
    "counter name \"{{drop.input}}\" drop\n\t}\n\n\tchain from",
    "accept\n\t}\n\n\tchain from",
);

pub const CASES: &[Case] = &[
    case("kernel: source route that the filter lets through", &HUB, &[LSRR], source_route),
    case("kernel: loopback address that the filter lets through", &HUB, &[MARTIAN, OWN], loopback),
    case("kernel: own source that the filter lets through", &HUB, &[SPOOFED], own_source),
    case("kernel: router advertisement that the filter lets through", &HUB, &[INPUT], advertisement),
    case("kernel: redirect that the filter lets through", &HUB, &[INPUT], redirect),
    case("kernel: redirects are not sent", &HUB, &[], redirects),
    case("kernel: questions for neighbors do not name other addresses", &EDGE, &[], announce),
];

fn lan() -> Way {
    Way::veth("hosts", "lan", "r", "lan")
}

fn source_route(setup: &Setup) -> Outcome {
    let option = [0x83, 7, 4, 198, 51, 100, 130, 0];
    let forbidden = [Packet::echo(S[0], R[0]).options(&option), Packet::tcp(S[0], R[0], 80).options(&option)];
    setup.refuses(&s_to_r(), &forbidden, &link::control())
}

fn loopback(setup: &Setup) -> Outcome {
    let forbidden = ["127.0.0.1", "127.1.2.3"].map(|to| Packet::tcp(U[0], to, 80));
    setup.refuses(&u_to_r(), &forbidden, &link::pings(U, link::HOST))
}

fn own_source(setup: &Setup) -> Outcome {
    let forbidden = [Packet::echo(R[0], link::HOST[0]), Packet::tcp("198.51.100.129", link::HOST[0], 80)];
    setup.refuses(&s_to_r(), &forbidden, &link::control())
}

/// A router on the inside network makes itself the default, and gives out addresses.
fn advertisement(setup: &Setup) -> Outcome {
    let prefix =
        [&[3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0][..], &[0x20, 1, 0x0d, 0xb8, 0, 0x99], &[0; 10]].concat();
    let body = [&[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..], &prefix].concat();
    let packet = Packet::new("fe80::99", "ff02::1", Carries::Icmp { kind: 134, code: 0, body }).hops(255);
    setup.admits(&lan(), std::slice::from_ref(&packet))?;
    setup.admits(&s_to_r(), &link::control())?;
    let text = setup.machine.sh("ip -n r -6 route show; ip -n r -6 address show dev lan");
    setup.note(1, 0, 1);
    let believed: Vec<_> =
        text.lines().filter(|line| line.contains("proto ra") || line.contains("2001:db8:99:")).collect();
    if believed.is_empty() { Ok(()) } else { Err(Failure::Leak(format!("{believed:?}"))) }
}

/// The gateway of a route of `r` names another one.
fn redirect(setup: &Setup) -> Outcome {
    let mac = setup.mac("hosts", "lan").map(|octet| format!("{octet:02x}")).join(":");
    setup.machine.sh(&format!("ip -n r neighbor replace 198.51.100.131 lladdr {mac} dev lan"));
    setup
        .machine
        .sh("ip netns exec r ping -n -c 1 -e 30583 -W 1 -w 1 -I 198.51.100.129 198.51.100.77 >/dev/null 2>&1 || true");
    let about = Packet::new("198.51.100.129", "198.51.100.77", Carries::Echo);
    let body = [&[198, 51, 100, 131][..], &quoted(&about)].concat();
    let packet = Packet::new(link::HOST[0], "198.51.100.129", Carries::Icmp { kind: 5, code: 1, body });
    setup.admits(&lan(), std::slice::from_ref(&packet))?;
    setup.note(1, 0, 1);
    let text = setup.machine.sh("ip -n r route get 198.51.100.77 from 198.51.100.129; ip -n r route get 198.51.100.77");
    if text.contains("198.51.100.131") { Err(Failure::Leak(text)) } else { Ok(()) }
}

/// What came in by an interface goes back by it: the sender is not told to take another way.
fn redirects(setup: &Setup) -> Outcome {
    let way = lan();
    let mac = setup.mac("hosts", "lan").map(|octet| format!("{octet:02x}")).join(":");
    setup.machine.sh(&format!(
        "ip -n r route replace 198.51.100.141/32 dev lan; ip -n r neighbor replace 198.51.100.141 lladdr {mac} dev lan"
    ));
    let packet = Packet::udp("198.51.100.140", "198.51.100.141", 7);
    setup.machine.sh(&format!(
        "ip -n r neighbor replace 198.51.100.140 lladdr {mac} dev lan; ip -n r route replace 198.51.100.140/32 dev lan"
    ));
    let seen = setup.exchange(&way, &[], &[packet.clone(), packet])?;
    setup.note(1, 0, 1);
    let told = seen.iter().find(|it| it.namespace == "r" && it.kind == crate::packet::Kind::Error);
    told.map_or(Ok(()), |told| Err(Failure::Leak(format!("{told:?}"))))
}

/// `edge` asks for a neighbor in order to send with the address of its loopback.
fn announce(setup: &Setup) -> Outcome {
    let asking = |source: [u8; 4]| hex(&[&[0, 1][..], &setup.mac("edge", "up0"), &source].concat());
    let needles = vec![asking([198, 51, 100, 1]), asking([203, 0, 113, 2])];
    // Again and again: what was asked before the batch is not looked at.
    let asks = setup.machine.spawn(&[
        "bash",
        "-c",
        "for round in {1..12}; do
            ip -n edge neighbor flush dev up0 203.0.113.1; ip -n edge neighbor delete 203.0.113.1 dev up0
            ip netns exec edge ping -n -c 1 -W 1 -w 1 -I 198.51.100.1 203.0.113.1; sleep 0.2
         done",
    ]);
    let batch = Batch { frames: Vec::new(), awaited: Vec::new(), needles, deadline_ms: 4000, quiet_ms: 2000 };
    let Answer::Seen { found, .. } = setup.ask(&Request::Batch(batch)) else { panic!("another answer") };
    asks.finish(SOON);
    setup.note(1, 0, 1);
    if found.iter().any(|(at, ..)| *at == 0) {
        return Err(Failure::Leak("the question names the address of the loopback".into()));
    }
    if found.is_empty() {
        return Err(Failure::Dead("nobody asked".into()));
    }
    setup.admits(&up(), &interface::control())
}

//! What must not pass in the machine's own namespace by a link that somebody has renamed, as long as nobody puts it right.

use super::Case;
use super::link::pings;
use crate::packet::Packet;
use crate::setup::{Failure, Outcome, Setup, Way, World};

/// The machine's own namespace has a name here, so that the worker finds it; `lan` is a host beside it.
const WORLD: World = World {
    name: "host",
    toml: r#"
[domain.host]
forwarding = true
[domain.s]
daemon = "none"
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]

[[link]]
between = ["s", "host"]
routing = "static"
[link.into.host]
routes = ["192.168.0.0/16", "2001:db8:2::/48"]
packets = ["icmp", "tcp/80"]
[link.into.s]
routes = ["192.0.2.1/32", "2001:db8:7::1/128", "203.0.113.0/24", "2001:db8:113::/64"]
packets = ["icmp"]
"#,
    before: "touch /run/netns/machine; mount --bind /proc/self/ns/net /run/netns/machine; ip netns add hosts
        ip link add lan type veth peer name lan netns hosts
        ip -n hosts link set lo up; ip -n hosts link set lan up; ip link set lan up
        ip address add 203.0.113.1/24 dev lan; ip address add 2001:db8:113::1/64 dev lan nodad
        ip -n hosts address add 203.0.113.2/24 dev lan; ip -n hosts address add 2001:db8:113::2/64 dev lan nodad
        ip address add 192.0.2.1/32 dev lo; ip address add 2001:db8:7::1/128 dev lo nodad",
    // Nothing waits for an address to be resolved.
    after: "mac=$(ip -n hosts -o link show dev lan | sed 's/.*link.ether //; s/ .*//')
        for a in 203.0.113.2 2001:db8:113::2; do ip neighbor replace $a lladdr $mac dev lan; done",
    namespaces: &["machine", "s", "hosts"],
    frr: &[],
    edits: &[],
    waits: true,
    learned: &[],
};

const S: [&str; 2] = ["192.168.0.1", "2001:db8:2::1"];
const MACHINE: [&str; 2] = ["192.0.2.1", "2001:db8:7::1"];
const BESIDE: [&str; 2] = ["203.0.113.2", "2001:db8:113::2"];

const fn case(name: &'static str, run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world: &WORLD, off: &[], run }
}

pub const CASES: &[Case] = &[
    case("host: arriving by a link that was renamed", arriving),
    case("host: forwarded to a link that was renamed", forwarded),
    case("host: its own packets by a link that was renamed", own),
];

fn lan() -> Way {
    Way::veth("hosts", "lan", "machine", "lan")
}

/// Gives the host's end another name, or its own again. Not every kernel renames what is up, and what goes down loses its
/// addresses and routes.
fn rename(setup: &Setup, from: &str, to: &str) {
    setup.machine.sh(&format!(
        "ip link set {from} down; ip link set {from} name {to}; ip link set {to} up
         ip address replace fe80::2/64 dev {to} nodad
         ip route replace 192.168.0.0/16 dev {to} src 192.0.2.1; ip -6 route replace 2001:db8:2::/48 dev {to} metric 1
         mac=$(ip -n s -o link show dev rd-host | sed 's/.*link.ether //; s/ .*//')
         for a in {} {}; do ip neighbor replace $a lladdr $mac dev {to}; done",
        S[0], S[1]
    ));
    setup.open(WORLD.namespaces);
}

fn renamed(setup: &Setup, run: impl FnOnce() -> Outcome) -> Outcome {
    rename(setup, "rd-s", "lost");
    let outcome = run();
    rename(setup, "lost", "rd-s");
    outcome
}

/// What policy forbids, and what it would allow.
fn arriving(setup: &Setup) -> Outcome {
    let way = Way::link("s", "host");
    let named = Way { into: "machine".to_owned(), at: "rd-s".to_owned(), ..way.clone() };
    let lost = Way { into: "machine".to_owned(), at: "lost".to_owned(), ..way };
    let allowed = [pings(S, MACHINE), pings(S, BESIDE), vec![Packet::tcp(S[0], MACHINE[0], 80)]].concat();
    let mut forbidden = pings(["10.9.9.9", "2001:db8:99::9"], MACHINE);
    forbidden.push(Packet::udp(S[0], MACHINE[0], 7777));
    forbidden.push(Packet::udp(S[1], MACHINE[1], 7777));
    setup.refuses(&named, &forbidden, &allowed)?;
    renamed(setup, || setup.refuses(&lost, &[forbidden, allowed.clone()].concat(), &[]))?;
    setup.admits(&named, &allowed)
}

/// From beside the machine.
fn forwarded(setup: &Setup) -> Outcome {
    let packets = pings(BESIDE, S);
    rename(setup, "rd-s", "rd-s");
    setup.admits(&lan(), &packets)?;
    renamed(setup, || setup.refuses(&lan(), &packets, &[]))?;
    setup.admits(&lan(), &packets)
}

fn own(setup: &Setup) -> Outcome {
    rename(setup, "rd-s", "rd-s");
    let pinged = || {
        setup.machine.watch(
            "s",
            "prerouting",
            "iifname rd-host icmp type echo-request counter name seen; iifname rd-host icmpv6 type echo-request",
        );
        setup.machine.sh(&format!(
            "ping -n -c 1 -W 1 -w 1 -I {} {} >/dev/null || true; ping -n -c 1 -W 1 -w 1 -I {} {} >/dev/null || true",
            MACHINE[0], S[0], MACHINE[1], S[1]
        ));
        setup.machine.watched("s")
    };
    if pinged() != 2 {
        return Err(Failure::Dead("the host's own pings arrive by the link under its name".into()));
    }
    renamed(setup, || match pinged() {
        0 => Ok(()),
        arrived => Err(Failure::Leak(format!("{arrived} of the host's own packets left by a link without its name"))),
    })?;
    setup.note(2, 0, 4);
    if pinged() == 2 { Ok(()) } else { Err(Failure::Dead("the host's own pings after it".into())) }
}

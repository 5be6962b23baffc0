//! Forbidden packets at 1 kHz while the network comes and goes.
//!
//! The way in has to be there without rdsup, so it is an interface that is claimed: a host behind it sends before, during and
//! after. What it must not reach are the domain behind the claimed interface, its other host, and the linked domain. A
//! second stream comes over a link whose ends live as long as the namespaces do.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::cases;
use crate::machine::{CONFIG, Machine, SOON, eventually};
use crate::packet::Packet;
use crate::report::{self, Line};
use crate::setup::{Setup, Tally, Way};
use crate::wire::{Answer, Frame, Request, Seen};

/// Packets in a second.
const RATE: u32 = 1000;

/// Both policies forbid what is sent; `PORT` is what they differ in.
const TOML: &str = r#"
[domain.edge]
asn = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]
[[domain.edge.interface]]
name = "up0"
address = ["203.0.113.2/30", "2001:db8:ffff::2/64"]
outside = true
packets = ["tcp/PORT", "tcp/25"]
[[domain.edge.interface]]
name = "lan"
address = ["198.51.100.129/25", "2001:db8:1:1::1/64"]
[domain.inner]
asn = 65002
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]
[[link]]
between = ["inner", "edge"]
[link.into.inner]
routes = ["198.51.100.0/24", "2001:db8:1::/48"]
[link.into.edge]
routes = ["192.168.0.0/16", "2001:db8:2::/48"]
packets = ["tcp/PORT", "tcp/25"]
"#;

const BEFORE: &str = "ip netns add isp; ip netns add hosts
    ip link add up0 type veth peer name customer netns isp; ip link add lan type veth peer name lan netns hosts
    for n in isp hosts; do ip -n $n link set lo up; done
    ip -n isp link set customer up; ip -n hosts link set lan up; ip link set up0 up; ip link set lan up
    ip -n isp address add 203.0.113.1/30 dev customer; ip -n isp address add 2001:db8:ffff::1/64 dev customer nodad
    ip -n hosts address add 198.51.100.130/25 dev lan; ip -n hosts address add 2001:db8:1:1::2/64 dev lan nodad";

const FAR: [&str; 2] = ["8.8.8.8", "2a00::8"];
const S: [&str; 2] = ["192.168.5.5", "2001:db8:2::5"];
const HOST: [&str; 2] = ["198.51.100.130", "2001:db8:1:1::2"];
const EDGE: [&str; 2] = ["198.51.100.1", "2001:db8:1::1"];
const INNER: [&str; 2] = ["192.168.0.1", "2001:db8:2::1"];

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("stream::over a link", || finish("stream over a link", &over_a_link(Kind::Bird))),
        Trial::test("stream::over a link (frr)", || finish("stream over a link (frr)", &over_a_link(Kind::Frr))),
        Trial::test("stream::from outside", || finish("stream from outside", &from_outside(Kind::Bird))),
        Trial::test("stream::from outside (frr)", || finish("stream from outside (frr)", &from_outside(Kind::Frr))),
    ]
}

fn finish(name: &str, line: &Line) -> Result<(), libtest_mimic::Failed> {
    report::write(name, std::slice::from_ref(line));
    cases::verdict(std::slice::from_ref(line))
}

/// Who routes in both domains.
#[derive(Clone, Copy)]
enum Kind {
    Bird,
    Frr,
}

impl Kind {
    fn policy(self, port: u16) -> String {
        format!("[rdsup]\ndaemon = \"{}\"\n{}", self.name(), TOML.replace("PORT", &port.to_string()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bird => "bird",
            Self::Frr => "frr",
        }
    }

    /// How many times another policy is applied. With FRR, two programs are asked each time what they make of their files.
    fn applies(self) -> usize {
        match self {
            Self::Bird => 100,
            Self::Frr => 50,
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Bird => &["bird"],
            Self::Frr => &["bgpd", "zebra"],
        }
    }
}

fn machine(kind: Kind) -> Machine {
    let machine = Machine::new(&kind.policy(80));
    machine.sh(BEFORE);
    machine
}

/// What is sent, of each kind one of each family: other ports, another protocol, spoofed sources, other destinations.
fn forbidden(source: [&str; 2]) -> Vec<Packet> {
    let mut packets = Vec::new();
    for family in 0..2 {
        for to in [EDGE, HOST] {
            packets.push(Packet::tcp(source[family], to[family], 22));
            packets.push(Packet::udp(source[family], to[family], 53));
            packets.push(Packet::tcp(source[family], to[family], 22).hops(1));
        }
        packets.push(Packet::tcp(["198.51.100.77", "2001:db8:1::77"][family], HOST[family], 25));
        packets.push(Packet::tcp(HOST[family], EDGE[family], 25));
    }
    packets
}

fn streaming(setup: &Setup, frames: &[Frame]) {
    let Answer::Streaming = setup.ask(&Request::Stream(frames.to_vec(), RATE)) else { panic!("another answer") };
}

fn streamed(setup: &Setup) -> (u64, Vec<Seen>) {
    let Answer::Streamed { sent, seen } = setup.ask(&Request::Finish) else { panic!("another answer") };
    (sent, seen)
}

/// What of it came out: anything that a namespace accepted or sent on, the sender's own apart.
fn leaks(way: &Way, frames: &[Frame], packets: &[Packet], seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .filter(|it| it.namespace != way.from)
        .filter_map(|it| {
            let at = frames.iter().position(|frame| frame.nonce == it.nonce)?;
            Some(format!("{} came out in {} at {:?} as {:?}", packets[at], it.namespace, it.place, it.kind))
        })
        .collect()
}

/// Applies one policy after the other.
fn apply_all(machine: &Machine, kind: Kind) {
    for round in 0..kind.applies() {
        machine.configure(&kind.policy(if round % 2 == 0 { 8080 } else { 80 }));
        machine.rdsup("apply").ok();
    }
}

/// Kills each program of a daemon and the supervisor, and starts it again.
fn kill_all(machine: &Machine, kind: Kind) {
    for program in kind.programs() {
        let process = machine.program("edge", program).expect("a daemon");
        machine.line(&format!("kill -9 {process}"));
        let is_back = || machine.program("edge", program).is_some_and(|new| new != process);
        eventually(SOON, &format!("{program} is back"), is_back);
    }
    machine.signal_supervisor("KILL");
    machine.start();
}

fn line(
    kind: Kind,
    name: &str,
    begin: Instant,
    sent: u64,
    leaked: &[String],
    control: Tally,
    failure: Option<String>,
) -> Line {
    let forbidden = usize::try_from(sent).expect("some thousand packets");
    let tally = Tally { forbidden, leaked: leaked.len(), ipv4: true, ipv6: true, ..control };
    let failure = failure.or_else(|| (!leaked.is_empty()).then(|| crate::setup::first_of(leaked)));
    let world = match kind {
        Kind::Bird => "stream",
        Kind::Frr => "stream (frr)",
    };
    Line::new(world, name, tally, failure, begin.elapsed().as_secs_f64())
}

/// While 100 policies are applied, with FRR 50, daemon and supervisor die, and the network is stopped.
fn over_a_link(kind: Kind) -> Line {
    let begin = Instant::now();
    let machine = machine(kind);
    machine.start();
    let neighbors = "mac=$(ip -n hosts -o link show dev lan | sed 's/.*link.ether //; s/ .*//')
        for a in 198.51.100.130 2001:db8:1:1::2; do ip -n edge neighbor replace $a lladdr $mac dev lan; done";
    machine.sh(neighbors);
    let setup = Setup::of(machine, &["edge", "inner", "isp", "hosts"]);
    let way = Way::link("inner", "edge");
    let control = [Packet::tcp(S[0], HOST[0], 25), Packet::tcp(S[1], HOST[1], 25)];
    let mut failure = setup.admits(&way, &control).err();
    let mut packets = forbidden(S);
    packets.extend([Packet::tcp("203.0.112.9", HOST[0], 25), Packet::tcp("2a00:9::9", EDGE[1], 25)]);
    let frames: Vec<Frame> = packets.iter().map(|packet| setup.frame(&way, packet)).collect();
    streaming(&setup, &frames);
    apply_all(&setup.machine, kind);
    kill_all(&setup.machine, kind);
    let (mut sent, mut seen) = streamed(&setup);
    failure = failure.or(setup.admits(&way, &control).err());
    streaming(&setup, &frames);
    setup.machine.stop();
    let (more, last) = streamed(&setup);
    sent += more;
    seen.extend(last);
    let leaked = leaks(&way, &frames, &packets, &seen);
    let tally = *setup.tally.borrow();
    line(
        kind,
        "100 applies, kills and stop, over a link",
        begin,
        sent,
        &leaked,
        tally,
        failure.map(|it| it.to_string()),
    )
}

/// While the network starts, is applied, dies and stops: the interface is there before and after. Sent is also what the host
/// itself would answer without rdsup; that is not what is looked for.
fn from_outside(kind: Kind) -> Line {
    let begin = Instant::now();
    let machine = machine(kind);
    // Before the start only the machine itself is at the other end, which forwards nothing.
    let setup = Setup::of(machine, &["isp", "hosts"]);
    let way = Way::veth("isp", "customer", "edge", "up0");
    let mac = setup
        .machine
        .sh("cat /sys/class/net/up0/address 2>/dev/null || ip -o link show dev up0 | sed 's/.*link.ether //; s/ .*//'");
    let mac: Vec<u8> = mac.trim().split(':').map(|it| u8::from_str_radix(it, 16).expect("two digits")).collect();
    let mut packets = forbidden(FAR);
    for family in 0..2 {
        packets.push(Packet::tcp(FAR[family], INNER[family], 25));
        packets.push(Packet::tcp(FAR[family], INNER[family], 80));
        packets.push(Packet::tcp(S[family], HOST[family], 25));
    }
    let frames: Vec<Frame> = packets.iter().map(|packet| setup.frame_to(&way, packet, &mac)).collect();
    streaming(&setup, &frames);
    setup.machine.start();
    let (mut sent, mut seen) = streamed(&setup);
    setup.machine.sh("mac=$(ip -n hosts -o link show dev lan | sed 's/.*link.ether //; s/ .*//')
        for a in 198.51.100.130 2001:db8:1:1::2; do ip -n edge neighbor replace $a lladdr $mac dev lan; done");
    setup.open(&["edge", "inner", "isp", "hosts"]);
    let control = [Packet::tcp(FAR[0], HOST[0], 25), Packet::tcp(FAR[1], HOST[1], 25)];
    let mut failure = setup.admits(&way, &control).err();
    streaming(&setup, &frames);
    for port in [8080, 80, 8080] {
        setup.machine.configure(&kind.policy(port));
        setup.machine.rdsup("apply").ok();
    }
    kill_all(&setup.machine, kind);
    let (more, last) = streamed(&setup);
    sent += more;
    seen.extend(last);
    failure = failure.or(setup.admits(&way, &control).err());
    streaming(&setup, &frames);
    setup.machine.stop();
    std::thread::sleep(Duration::from_millis(200));
    let (more, last) = streamed(&setup);
    sent += more;
    seen.extend(last);
    let leaked = leaks(&way, &frames, &packets, &seen);
    let tally = *setup.tally.borrow();
    assert!(setup.machine.run(&["test", "-e", CONFIG]).status.success(), "the machine is still there");
    line(
        kind,
        "start, applies, kills and stop, from outside",
        begin,
        sent,
        &leaked,
        tally,
        failure.map(|it| it.to_string()),
    )
}

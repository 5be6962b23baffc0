//! Answers in flows that policy has allowed and no longer does: the filter is tightened while they live.

use super::interface::{self, up};
use super::link::{self, HOST, R, S, T, U, s_to_r, u_to_r};
use super::{Case, translated};
use crate::packet::{Carries, Packet};
use crate::setup::{Failure, Outcome, Setup, Way, World};
use crate::worlds::{EDGE, HUB};

const fn case(name: &'static str, world: &'static World, run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world, off: &[], run }
}

pub const CASES: &[Case] = &[
    case("answer in a flow whose source is no longer accepted", &HUB, source),
    case("answer in a flow whose source is no longer part of everything", &HUB, source_everything),
    case("answer in a flow whose destination is no longer accepted", &HUB, destination),
    case("answer of the domain itself where everything is reached", &HUB, own_everything),
    case("answer in a flow that `packets` no longer names", &HUB, packets),
    case("answer in a flow of a link that is gone", &HUB, gone),
    case("answer of what stands for other addresses", &translated::WORLD, claimed),
    case("answer of a service's host from another port", &translated::WORLD, service),
    case("answer to a source that is hidden now", &translated::WORLD, unseen),
    case("answer of a destination that is hidden now", &translated::WORLD, hidden),
    case("outside: answer of what is no longer announced", &EDGE, not_announced),
    case("outside: answer in a flow that `packets` no longer names", &EDGE, outside_packets),
    case("outside: answer of the domain itself that `input` no longer names", &EDGE, input),
];

/// A flow in each family that is allowed until the filter of `domain` changes.
struct Flow {
    domain: &'static str,
    way: Way,
    begins: Vec<Packet>,
    answers: Vec<Packet>,
    /// What counts the answers afterwards.
    counter: &'static str,
    change: String,
}

impl Flow {
    fn rise(&self, setup: &Setup, act: impl FnOnce() -> Outcome) -> Result<u64, Failure> {
        let before = setup.drops(self.domain)[self.counter];
        act()?;
        Ok(setup.drops(self.domain)[self.counter] - before)
    }

    /// The answers come from a host behind the domain.
    fn ends(&self, setup: &Setup) -> Outcome {
        let back = Way::veth("hosts", "lan", self.domain, "lan");
        setup.admits(&self.way, &self.begins)?;
        self.judge(setup, || setup.admits(&back, &self.answers), || setup.refuses(&back, &self.answers, &[]))
    }

    /// The answers come from the domain itself, from sockets.
    fn ends_here(&self, setup: &Setup) -> Outcome {
        setup.admits(&self.way, &self.begins)?;
        let answer = || {
            for packet in &self.answers {
                let Carries::Udp { from, to } = packet.carries else { panic!("only UDP is answered by sockets") };
                let program = r#"use IO::Socket::IP; my $s = IO::Socket::IP->new(Proto => "udp", LocalHost => $ARGV[0],
                    LocalPort => $ARGV[1], PeerHost => $ARGV[2], PeerPort => $ARGV[3]) or die "$@"; print $s "x";"#;
                let words =
                    [packet.source.to_string(), from.to_string(), packet.destination.to_string(), to.to_string()];
                let [source, from, destination, to] = &words;
                // What the filter drops is an error to the sender.
                setup.machine.run(&[
                    "ip",
                    "netns",
                    "exec",
                    self.domain,
                    "perl",
                    "-e",
                    program,
                    source,
                    from,
                    destination,
                    to,
                ]);
            }
            Ok(())
        };
        self.judge(setup, answer, answer)
    }

    fn judge(&self, setup: &Setup, allowed: impl FnOnce() -> Outcome, forbidden: impl FnOnce() -> Outcome) -> Outcome {
        if self.rise(setup, allowed)? != 0 {
            return Err(Failure::Dead(format!("answers are dropped before anything changes: {}", self.counter)));
        }
        setup.machine.sh(&self.change);
        let result = self.rise(setup, forbidden);
        setup.machine.sh(&format!("ip netns exec {0} nft -f /run/rdsup/{0}/rdsup.nft
            if ip netns exec {0} nft list table inet blind >/dev/null 2>&1; then ip netns exec {0} nft delete table inet blind; fi", self.domain));
        setup.note(self.answers.len(), 0, self.answers.len());
        let rise = result?;
        if rise < self.answers.len() as u64 {
            return Err(Failure::Leak(format!("{} rose by {rise}, not {}", self.counter, self.answers.len())));
        }
        Ok(())
    }
}

/// Adds to or deletes from a set of each family.
fn elements(domain: &str, verb: &str, set: &str, [four, six]: [&str; 2]) -> String {
    let set = format!("element inet rdsup {set}");
    format!("ip netns exec {domain} nft '{verb} {set}4 {{ {four} }}; {verb} {set}6 {{ {six} }}'")
}

/// Deletes the rules of a chain that have this in them.
fn rules(domain: &str, chain: &str, text: &str) -> String {
    format!(
        "ip netns exec {domain} nft -a list chain inet rdsup {chain} | sed -n 's/.*{text}.*# handle //p' |
        while read -r handle; do ip netns exec {domain} nft delete rule inet rdsup {chain} handle $handle; done"
    )
}

fn udp(from: [&str; 2], to: [&str; 2], port: u16, at: u16) -> Vec<Packet> {
    (0..2).map(|it| Packet::udp(from[it], to[it], at).with_port(port)).collect()
}

fn answering(from: [&str; 2], at: u16, to: [&str; 2], port: u16) -> Vec<Packet> {
    (0..2).map(|it| Packet::new(from[it], to[it], Carries::Udp { from: at, to: port })).collect()
}

fn pongs(from: [&str; 2], to: [&str; 2]) -> Vec<Packet> {
    let kinds = [0, 129];
    (0..2)
        .map(|it| {
            Packet::new(from[it], to[it], Carries::Icmp { kind: kinds[it], code: 0, body: vec![0x77, 0x77, 0, 1] })
        })
        .collect()
}

/// `s` begins flows with the host behind `r`.
fn from_s(setup: &Setup, port: u16, counter: &'static str, change: String) -> Outcome {
    let (begins, answers) = (udp(S, HOST, port, 53), answering(HOST, 53, S, port));
    Flow { domain: "r", way: s_to_r(), begins, answers, counter, change }.ends(setup)?;
    setup.admits(&Way::link("t", "r"), &link::pings(T, R))
}

fn source(setup: &Setup) -> Outcome {
    let change = elements("r", "delete", "rd-s.behind", ["192.168.0.0/16", "2001:db8:2::/48"]);
    from_s(setup, 46_000, "drop.rd-s.packets", change)
}

fn destination(setup: &Setup) -> Outcome {
    let change = elements("r", "delete", "rd-s.to", ["198.51.100.0/24", "2001:db8:1::/48"]);
    from_s(setup, 46_001, "drop.rd-s.packets", change)
}

fn packets(setup: &Setup) -> Outcome {
    from_s(setup, 46_002, "drop.rd-s.packets", rules("r", "flow.rd-s", "udp sport"))
}

/// The flow has the number of a link that there is not.
fn gone(setup: &Setup) -> Outcome {
    let change = "ip netns exec r nft 'table inet blind { chain c { type filter hook prerouting priority -140; policy accept; iifname lan ct mark set 0x2fffffff; }; }'";
    from_s(setup, 46_003, "drop./other.interface", change.to_owned())
}

/// `u` accepts everything from `r`.
fn source_everything(setup: &Setup) -> Outcome {
    let (far, own) = (["192.0.2.77", "2a00::77"], ["172.20.0.1", "2001:db8:20::1"]);
    let (begins, answers) = (udp(far, own, 46_004, 5353), answering(own, 5353, far, 46_004));
    let change = elements("u", "add", "rd-r.except", far);
    let way = Way::link("r", "u");
    Flow { domain: "u", way, begins, answers, counter: "drop.rd-r.packets", change }.ends_here(setup)
}

/// `u` may reach everything but addresses of `r` itself: first one that is named, then it is not.
fn own_everything(setup: &Setup) -> Outcome {
    setup.machine.sh(&elements("r", "add", "rd-u.to", R));
    let (begins, answers) = (udp(U, R, 46_005, 5353), answering(R, 5353, U, 46_005));
    let change = elements("r", "delete", "rd-u.to", R);
    Flow { domain: "r", way: u_to_r(), begins, answers, counter: "drop.rd-u.packets", change }.ends_here(setup)
}

/// Echo requests of `from` to a host behind `o`, known as `to`.
fn behind_o(setup: &Setup, from: (&str, [&str; 2]), to: ([&str; 2], [&str; 2]), change: String) -> Outcome {
    let (begins, answers) = (link::pings(from.1, to.0), pongs(to.1, from.1));
    let counter = match from.0 {
        "c" => "drop.rd-c.packets",
        "d" => "drop.rd-d.packets",
        _ => "drop.rd-w.packets",
    };
    Flow { domain: "o", way: Way::link(from.0, "o"), begins, answers, counter, change }.ends(setup)
}

/// `w` may reach everything but what stands for other addresses: this does so now.
fn claimed(setup: &Setup) -> Outcome {
    let to = translated::OTHER;
    behind_o(setup, ("w", ["10.7.5.5", "2001:db8:7::5"]), (to, to), elements("o", "add", "claimed", to))
}

/// What `c` may still reach of the host is one port.
fn service(setup: &Setup) -> Outcome {
    let host = translated::INNER;
    setup.machine.sh(&elements("o", "add", "rd-c.to", host));
    behind_o(setup, ("c", translated::C), (host, host), elements("o", "delete", "rd-c.to", host))
}

fn unseen(setup: &Setup) -> Outcome {
    let change = elements("o", "add", "rd-d.unseen", translated::ONE);
    behind_o(setup, ("d", translated::ONE), (translated::ALIAS, translated::INNER), change)
}

fn hidden(setup: &Setup) -> Outcome {
    let change = elements("o", "add", "rd-d.hidden", translated::ALIAS);
    behind_o(setup, ("d", translated::ONE), (translated::ALIAS, translated::INNER), change)
}

/// Flows from far away to the host behind `edge`.
fn from_far(setup: &Setup, port: u16, change: String) -> Outcome {
    let (far, host) = (interface::FAR, interface::HOST);
    let (begins, answers) = (udp(far, host, port, 2525), answering(host, 2525, far, port));
    Flow { domain: "edge", way: up(), begins, answers, counter: "drop.up0.packets", change }.ends(setup)
}

fn not_announced(setup: &Setup) -> Outcome {
    from_far(setup, 46_006, elements("edge", "delete", "up0.to", ["198.51.100.0/24", "2001:db8:1::/48"]))
}

fn outside_packets(setup: &Setup) -> Outcome {
    from_far(setup, 46_007, rules("edge", "flow.up0", "udp sport"))
}

fn input(setup: &Setup) -> Outcome {
    let (far, own) = (interface::FAR, interface::UP);
    let (begins, answers) = (udp(far, own, 46_008, 123), answering(own, 123, far, 46_008));
    let change = rules("edge", "answer.up0", "udp sport");
    Flow { domain: "edge", way: up(), begins, answers, counter: "drop.up0.input", change }.ends_here(setup)
}

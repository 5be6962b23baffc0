//! What stands behind another protection: that one is off, or does not see the packet.

use super::Case;
use super::link::{self, HOST, R, S, s_to_r};
use super::translated::{self, ALIAS, C, E, ONE, PUBLISHED, both};
use super::wire::stranger;
use crate::packet::{ACK, Carries, Kind, Packet, address};
use crate::setup::{Edit, Failure, Outcome, Setup, Way, World};
use crate::wire::{Batch, Place};
use crate::worlds::HUB;

const fn case(name: &'static str, world: &'static World, off: &'static [Edit], run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world, off, run }
}

/// What comes by an interface that no chain names is dropped before it is routed.
const OTHER: Edit = Edit {
    file: "nft/domain.hbs",
    from: "counter name \"{{other}}\" drop\n\t}\n\n\t# What prerouting",
    to: "accept\n\t}\n\n\t# What prerouting",
};
const ONWARD: Edit = Edit {
    file: "nft/link.hbs",
    from: "fib daddr oifname != { {{#each onward}}\"{{this}}\"{{#unless @last}}, {{/unless}}{{/each}} } jump transit",
    to: "",
};
/// The guard that drops what is hidden.
const GUARD: Edit = Edit {
    file: "nft/translate.hbs",
    from: "{{keyword}} saddr @{{hidden}} counter name \"{{../drop.untranslated}}\" drop\n{{/if}}\n{{/each}}\n\t}\n{{/if}}\n{{/each}}\n{{#each interfaces}}",
    to: "{{/if}}\n{{/each}}\n\t}\n{{/if}}\n{{/each}}\n{{#each interfaces}}",
};

pub const CASES: &[Case] = &[
    case("interface that the file does not name, to the domain itself", &HUB, &[OTHER], input),
    case("forwarded to an interface that the file does not name", &HUB, &[], forward),
    case("the domain itself by an interface that the file does not name", &HUB, &[], output),
    case("answer of a BGP speaker further away than the wire", &HUB, &[], bgp_answer),
    case("transit: to a domain that is not named, in the forward chain", &translated::WORLD, &[ONWARD], transit),
    case("transit: a flow the other way round", &translated::WORLD, &[], backwards),
    case("everything: what stands for other addresses", &translated::WORLD, &[], claimed),
    case("overlap: an error about a flow that is not translated", &translated::WORLD, &[GUARD], error),
];

fn input(setup: &Setup) -> Outcome {
    let way = stranger(setup);
    setup.refuses(&way, &[link::pings(S, R), link::pings(HOST, R)].concat(), &[])?;
    setup.admits(&s_to_r(), &link::control())
}

/// A host behind `r` sends to what lies behind an interface that `r` should not have.
fn forward(setup: &Setup) -> Outcome {
    stranger(setup);
    setup.machine.sh("ip -n r address replace 198.18.77.1/24 dev stranger; ip -n r address replace 2001:db8:5a::1/64 dev stranger nodad
        mac=$(ip -n hosts -o link show dev stranger | sed 's/.*link.ether //; s/ .*//')
        for a in 198.18.77.7 2001:db8:5a::7; do ip -n r neighbor replace $a lladdr $mac dev stranger; done");
    let lan = Way::veth("hosts", "lan", "r", "lan");
    let forbidden = link::pings(HOST, ["198.18.77.7", "2001:db8:5a::7"]);
    setup.refuses(&lan, &forbidden, &link::pings(HOST, ["192.168.0.1", "2001:db8:2::1"]))
}

fn output(setup: &Setup) -> Outcome {
    stranger(setup);
    let count = || setup.drops("r")["drop./other.interface"];
    setup.machine.sh("ip -n r address replace 198.18.77.1/24 dev stranger; ip -n r address replace 2001:db8:5a::1/64 dev stranger nodad
        mac=$(ip -n hosts -o link show dev stranger | sed 's/.*link.ether //; s/ .*//')
        for a in 198.18.77.7 2001:db8:5a::7; do ip -n r neighbor replace $a lladdr $mac dev stranger; done");
    let before = count();
    setup.machine.sh(
        "for a in 198.18.77.7 2001:db8:5a::7; do ip netns exec r ping -n -c 1 -W 1 -w 1 $a >/dev/null 2>&1 || true; done",
    );
    setup.note(2, 0, 0);
    if count() - before < 2 {
        return Err(Failure::Leak("drop./other.interface did not rise".into()));
    }
    setup.admits(&s_to_r(), &link::control())
}

/// In the session that there is, towards the end that began it: connection tracking takes every segment for a part of it.
fn bgp_answer(setup: &Setup) -> Outcome {
    let port = |domain: &str| {
        setup
            .machine
            .sh(&format!(
                "ip netns exec {domain} sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1
            ip netns exec {domain} ss -tnH state established '( dport = 179 )'"
            ))
            .split_whitespace()
            .find_map(|word| word.starts_with("[f").then(|| word.rsplit(':').next()?.parse::<u16>().ok()).flatten())
    };
    let (way, port) = match (port("r"), port("s")) {
        (Some(port), _) => (s_to_r(), port),
        (None, Some(port)) => (Way::link("r", "s"), port),
        (None, None) => return Err(Failure::Dead("there is no session between r and s".into())),
    };
    let ([from, to], reason) = &setup.session(&way);
    let segment = Packet::new(from, to, Carries::Tcp { from: 179, to: port, flags: ACK });
    let forbidden = [1, 64, 254].map(|hops| segment.clone().hops(hops));
    setup.drops_as(&way, reason, &forbidden, &[segment.hops(255)])
}

fn transit(setup: &Setup) -> Outcome {
    let forbidden = both(|it| vec![Packet::tcp(C[it], ONE[it], 80), Packet::echo(C[it], ONE[it])]);
    let allowed = both(|it| vec![Packet::tcp(C[it], E[it], 80), Packet::echo(C[it], E[it])]);
    setup.drops_as(&Way::link("c", "o"), "transit", &forbidden, &allowed)
}

/// `c` may begin flows with `e`, and `e` none with `c`; what `e` sends in a flow is an answer.
fn backwards(setup: &Setup) -> Outcome {
    let forbidden = both(|it| vec![Packet::tcp(E[it], C[it], 80), Packet::echo(E[it], C[it])]);
    let allowed = both(|it| vec![Packet::tcp(E[it], ["192.0.2.1", "2001:db8:c::1"][it], 80)]);
    setup.drops_as(&Way::link("e", "o"), "transit", &forbidden, &allowed)
}

/// `w` may reach everything: neither the published service of another link nor an alias are part of it.
fn claimed(setup: &Setup) -> Outcome {
    let from = ["10.7.5.5", "2001:db8:7::5"];
    let forbidden = both(|it| {
        vec![
            Packet::tcp(from[it], PUBLISHED[it], 8443),
            Packet::echo(from[it], PUBLISHED[it]),
            Packet::tcp(from[it], ALIAS[it], 80),
            Packet::echo(from[it], ALIAS[it]),
        ]
    });
    let allowed = both(|it| vec![Packet::tcp(from[it], translated::OTHER[it], 80)]);
    setup.drops_as(&Way::link("w", "o"), "destination", &forbidden, &allowed)
}

/// `d` has no route to the one address that stands for it, and says so: not with its real one.
fn error(setup: &Setup) -> Outcome {
    let sent = both(|it| vec![Packet::udp(ALIAS[it], ONE[it], 9999)]);
    let way = Way::link("o", "d");
    let frames: Vec<_> = sent.iter().map(|packet| setup.frame(&way, packet)).collect();
    let awaited = frames.iter().map(|frame| (frame.nonce, "d".to_owned())).collect();
    let seen = setup.batch(Batch { frames, awaited, needles: Vec::new(), deadline_ms: 10_000, quiet_ms: 60 });
    setup.note(2, 0, 2);
    let errors: Vec<_> = seen
        .iter()
        .filter(|it| it.namespace == "d" && it.kind == Kind::Error && it.place == Place::Out("rd-o".into()))
        .map(|it| it.source)
        .collect();
    let shown = ONE.map(address);
    if let Some(source) = errors.iter().find(|source| !shown.contains(source)) {
        return Err(Failure::Leak(format!("an error left with {source}")));
    }
    if errors.len() < 2 { Err(Failure::Dead(format!("there were only these errors: {errors:?}"))) } else { Ok(()) }
}

//! Services, translated addresses and transit: what must not come along.

use super::Case;
use crate::packet::{ACK, Carries, Packet, RST, SYN, address};
use crate::setup::{Edit, Failure, Outcome, Setup, Way, World};
use crate::wire::{Place, Seen};

/// `o` owns a service on a host behind it, open to `c`, and to `d` at another address. `d` has the same IPv4 and IPv6 addresses as
/// `o`: it is one address to `o`, and sees `o` under an alias. `c` may go on through `o` to `e`. `w` may reach everything.
pub const WORLD: World = World {
    name: "translated",
    toml: r#"
[domain.o]
daemon = "none"
loopback = ["192.0.2.1/32", "2001:db8:c::1/128"]
networks = ["10.1.0.0/16", "2001:db8:1::/48"]
[[domain.o.interface]]
name = "lan"
address = ["10.1.1.1/24", "2001:db8:1:1::1/64"]
[domain.c]
daemon = "none"
loopback = ["10.3.0.1/32", "2001:db8:3::1/128"]
networks = ["10.3.0.0/16", "2001:db8:3::/48"]
[domain.d]
daemon = "none"
loopback = ["10.1.0.9/32", "2001:db8:1::9/128"]
networks = ["10.1.0.0/16", "2001:db8:1::/48"]
[domain.e]
daemon = "none"
loopback = ["10.5.0.1/32", "2001:db8:5::1/128"]
networks = ["10.5.0.0/16", "2001:db8:5::/48"]
[domain.w]
daemon = "none"
loopback = ["10.7.0.1/32", "2001:db8:7::1/128"]
networks = ["10.7.0.0/16", "2001:db8:7::/48"]

[[service]]
name = "wiki"
domain = "o"
at = "10.1.1.130:443/tcp"
expose = [{ to = "c" }, { to = "d", as = "198.51.100.5:8443" }]
[[service]]
name = "wiki6"
domain = "o"
at = "[2001:db8:1:1::130]:443/tcp"
expose = [{ to = "c" }, { to = "d", as = "[2001:db8:ff::5]:8443" }]

[[link]]
between = ["c", "o"]
routing = "static"
[link.into.c]
routes = ["192.0.2.1/32", "2001:db8:c::1/128", "10.5.0.0/16", "2001:db8:5::/48", "192.0.2.9/32", "2001:db8:d::9/128"]
packets = ["any"]
transit = ["e"]
[link.into.o]
routes = ["10.3.0.0/16", "2001:db8:3::/48"]
packets = ["icmp", "tcp/80"]
[[link]]
between = ["d", "o"]
routing = "static"
[link.into.d]
routes = ["198.18.0.0/16", "2001:db8:a::/48"]
packets = ["any"]
alias = [{ real = "10.1.0.0/16", seen = "198.18.0.0/16" }, { real = "2001:db8:1::/48", seen = "2001:db8:a::/48" }]
[link.into.o]
routes = ["192.0.2.9/32", "2001:db8:d::9/128"]
packets = ["icmp", "tcp/80"]
nat = [{ from = ["10.1.0.0/16"], to = "192.0.2.9" }, { from = ["2001:db8:1::/48"], to = "2001:db8:d::9" }]
[[link]]
between = ["e", "o"]
routing = "static"
[link.into.e]
routes = ["192.0.2.1/32", "2001:db8:c::1/128", "10.3.0.0/16", "2001:db8:3::/48"]
packets = ["any"]
[link.into.o]
routes = ["10.5.0.0/16", "2001:db8:5::/48"]
packets = ["any"]
[[link]]
between = ["w", "o"]
routing = "static"
[link.into.w]
routes = ["0.0.0.0/0", "::/0"]
packets = ["any"]
[link.into.o]
routes = ["10.7.0.0/16", "2001:db8:7::/48"]
packets = ["any"]
"#,
    before: "ip netns add hosts; ip link add lan type veth peer name lan netns hosts
        ip -n hosts link set lo up; ip -n hosts link set lan up; ip link set lan up
        ip -n hosts address add 10.1.1.2/24 dev lan; ip -n hosts address add 2001:db8:1:1::2/64 dev lan nodad",
    after: "mac=$(ip -n hosts -o link show dev lan | sed 's/.*link.ether //; s/ .*//')
        for a in 10.1.1.130 10.1.1.131 2001:db8:1:1::130 2001:db8:1:1::131; do
            ip -n o neighbor replace $a lladdr $mac dev lan; done",
    namespaces: &["o", "c", "d", "e", "w", "hosts"],
    frr: &[],
    edits: &[],
    waits: true,
    learned: &[],
};

pub const INNER: [&str; 2] = ["10.1.1.130", "2001:db8:1:1::130"];
pub const OTHER: [&str; 2] = ["10.1.1.131", "2001:db8:1:1::131"];
/// The service as `d` knows it, and the host under its alias.
pub const PUBLISHED: [&str; 2] = ["198.51.100.5", "2001:db8:ff::5"];
pub const ALIAS: [&str; 2] = ["198.18.1.130", "2001:db8:a:1::130"];
/// `d` as `o` knows it, and an address that `d` really has.
pub const ONE: [&str; 2] = ["192.0.2.9", "2001:db8:d::9"];
const REAL: [&str; 2] = ["10.1.5.5", "2001:db8:1:5::5"];
pub const C: [&str; 2] = ["10.3.5.5", "2001:db8:3::5"];
pub const E: [&str; 2] = ["10.5.5.5", "2001:db8:5::5"];

/// What `d` hides is refused as a source that is not accepted before it is refused as one that should be translated.
const SPOOFED: Edit = Edit {
    file: "nft/link.hbs",
    from: "{{keyword}} saddr != @{{behind}} counter name \"{{../drop.spoofed}}\" drop",
    to: "",
};

const fn case(name: &'static str, run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world: &WORLD, off: &[], run }
}

pub const CASES: &[Case] = &[
    case("service: another port or address of the host", service),
    case("service: from a domain that it is not open to", stranger),
    case("service: another port of the published address", published),
    case("service: its host begins a flow", host_begins),
    case("overlap: a destination that is hidden", hidden_destination),
    case("overlap: a source that is not translated", untranslated_source),
    case("overlap: a packet without a conntrack entry leaves", guard),
    case("overlap: a broadcast behind an alias", broadcast),
    case("transit: to a domain that is not named", transit),
];

pub fn both(make: impl Fn(usize) -> Vec<Packet>) -> Vec<Packet> {
    (0..2).flat_map(make).collect()
}

fn service(setup: &Setup) -> Outcome {
    let forbidden = both(|it| {
        vec![
            Packet::tcp(C[it], INNER[it], 442),
            Packet::tcp(C[it], INNER[it], 444),
            Packet::tcp(C[it], INNER[it], 80),
            Packet::udp(C[it], INNER[it], 443),
            Packet::echo(C[it], INNER[it]),
            Packet::tcp(C[it], OTHER[it], 443),
            Packet::tcp(C[it], PUBLISHED[it], 8443),
        ]
    });
    let allowed = both(|it| vec![Packet::tcp(C[it], INNER[it], 443)]);
    setup.drops_as(&Way::link("c", "o"), "destination", &forbidden, &allowed)
}

fn stranger(setup: &Setup) -> Outcome {
    let forbidden = both(|it| vec![Packet::tcp(E[it], INNER[it], 443), Packet::tcp(E[it], PUBLISHED[it], 8443)]);
    let allowed = both(|it| vec![Packet::tcp(E[it], ["192.0.2.1", "2001:db8:c::1"][it], 80)]);
    setup.drops_as(&Way::link("e", "o"), "destination", &forbidden, &allowed)
}

fn published(setup: &Setup) -> Outcome {
    let forbidden = both(|it| {
        vec![
            Packet::tcp(ONE[it], PUBLISHED[it], 443),
            Packet::tcp(ONE[it], PUBLISHED[it], 8442),
            Packet::tcp(ONE[it], PUBLISHED[it], 8444),
            Packet::udp(ONE[it], PUBLISHED[it], 8443),
            Packet::echo(ONE[it], PUBLISHED[it]),
        ]
    });
    let allowed = both(|it| vec![Packet::tcp(ONE[it], PUBLISHED[it], 8443), Packet::tcp(ONE[it], ALIAS[it], 80)]);
    setup.drops_as(&Way::link("d", "o"), "destination", &forbidden, &allowed)
}

/// The host of a service answers; it is no source of new flows.
fn host_begins(setup: &Setup) -> Outcome {
    let forbidden = both(|it| {
        let answering = Packet::new(INNER[it], C[it], Carries::Tcp { from: 443, to: 7777, flags: SYN });
        vec![Packet::tcp(INNER[it], C[it], 80), Packet::echo(INNER[it], C[it]), answering]
    });
    let allowed = both(|it| vec![Packet::echo(E[it], ["10.3.0.1", "2001:db8:3::1"][it])]);
    setup.drops_as(&Way::link("o", "c"), "spoofed", &forbidden, &allowed)
}

fn hidden_destination(setup: &Setup) -> Outcome {
    let forbidden = both(|it| {
        vec![
            Packet::tcp(ONE[it], INNER[it], 80),
            Packet::tcp(ONE[it], INNER[it], 443),
            Packet::echo(ONE[it], OTHER[it]),
        ]
    });
    let allowed = both(|it| vec![Packet::tcp(ONE[it], ALIAS[it], 80)]);
    setup.drops_as(&Way::link("d", "o"), "untranslated", &forbidden, &allowed)
}

fn untranslated_source(setup: &Setup) -> Outcome {
    let forbidden = both(|it| vec![Packet::tcp(REAL[it], ALIAS[it], 80), Packet::echo(REAL[it], ALIAS[it])]);
    let allowed = both(|it| vec![Packet::tcp(ONE[it], ALIAS[it], 80)]);
    setup.refuses(&Way::link("d", "o"), &forbidden, &allowed)
}

/// A host behind `o` sends to `d`; connection tracking knows nothing of it.
fn guard(setup: &Setup) -> Outcome {
    setup.machine.sh(
        "ip netns exec o nft 'table inet blind { chain c { type filter hook prerouting priority -300; policy accept; iifname lan tcp dport 4444 notrack; }; }'",
    );
    let forbidden = both(|it| [SYN, RST, ACK].map(|flags| Packet::tcp(INNER[it], ONE[it], 4444).flags(flags)).to_vec());
    let control = both(|it| vec![Packet::tcp(INNER[it], ONE[it], 4445)]);
    let rising = |setup: &Setup| setup.drops("o")["drop.rd-d.untranslated"];
    let before = rising(setup);
    let result = setup.exchange(&Way::veth("hosts", "lan", "o", "lan"), &forbidden, &control);
    setup.machine.line("ip netns exec o nft delete table inet blind");
    let seen = result?;
    if rising(setup) - before < forbidden.len() as u64 {
        return Err(Failure::Leak("drop.rd-d.untranslated did not rise by as much".into()));
    }
    let left = |it: &&Seen| it.namespace == "o" && it.place == Place::Out("rd-d".into());
    let sources: Vec<_> = seen.iter().filter(left).map(|it| it.source).collect();
    let hidden = sources.iter().any(|source| INNER.iter().any(|inner| *source == address(inner)));
    let shown = ALIAS.iter().all(|alias| sources.contains(&address(alias)));
    match (hidden, shown) {
        (true, _) => Err(Failure::Leak(format!("it left untranslated: {sources:?}"))),
        (false, false) => Err(Failure::Dead(format!("nothing left translated: {sources:?}"))),
        (false, true) => Ok(()),
    }
}

/// The last address of the network behind `o`, under its alias.
fn broadcast(setup: &Setup) -> Outcome {
    let forbidden = [Packet::echo(ONE[0], "198.18.1.255"), Packet::tcp(ONE[0], "198.18.1.255", 80)];
    let allowed = [Packet::tcp(ONE[0], ALIAS[0], 80), Packet::echo(ONE[0], ALIAS[0])];
    setup.drops_as(&Way::link("d", "o"), "multicast", &forbidden, &allowed)
}

/// Used up hop limits show whether it was stopped before it was routed.
fn transit(setup: &Setup) -> Outcome {
    let forbidden = both(|it| vec![Packet::tcp(C[it], ONE[it], 80), Packet::echo(C[it], ONE[it]).hops(1)]);
    let allowed = both(|it| vec![Packet::tcp(C[it], E[it], 80), Packet::echo(C[it], E[it])]);
    setup.drops_as(&Way::link("c", "o"), "transit", &forbidden, &allowed)
}

/// The same with the protection off that comes first.
pub const FIRST_OFF: &[Case] =
    &[Case { name: "overlap: a source that is hidden", world: &WORLD, off: &[SPOOFED], run: hidden_source }];

fn hidden_source(setup: &Setup) -> Outcome {
    let forbidden = both(|it| vec![Packet::tcp(REAL[it], ALIAS[it], 80), Packet::echo(REAL[it], ALIAS[it])]);
    let allowed = both(|it| vec![Packet::tcp(ONE[it], ALIAS[it], 80)]);
    setup.drops_as(&Way::link("d", "o"), "untranslated", &forbidden, &allowed)
}

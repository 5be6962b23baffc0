//! Sessions that must not come up, and routes of sessions that must not go on. BIRD with a configuration of its own plays the
//! others: neighbors in `isp`, and four linked domains whose own daemon is replaced.

use std::time::{Duration, Instant};

use super::Case;
use crate::machine::SOON;
use crate::setup::{Edit, Failure, Outcome, Setup, World, until};

/// `r` in the middle of neighbors and linked domains, one for each fault. `x` and `y` each see a part of `r` under an alias,
/// and `x` may go on to `y`. Sessions over links are between link-local addresses, and with FRR between others.
pub const SESSIONS: World = World {
    name: "sessions",
    toml: r#"
[domain.r]
asn = 65001
loopback = ["198.51.100.1/32"]
networks = ["198.51.100.0/24", "10.1.0.0/16"]
families = ["ipv4"]
[[domain.r.interface]]
name = "up0"
address = ["203.0.113.2/28"]
[[domain.r.neighbor]]
name = "honest"
address = "203.0.113.1"
asn = 64510
routes = ["any"]
announce = ["198.51.100.0/24", "198.18.0.0/15 le 24", "9.0.0.0/8 le 24"]
[[domain.r.neighbor]]
name = "other"
address = "203.0.113.3"
asn = 64511
routes = ["any"]
[[domain.r.neighbor]]
name = "distant"
address = "203.0.113.4"
asn = 64512
routes = ["any"]
[[domain.r.neighbor]]
name = "roleless"
address = "203.0.113.5"
asn = 64513
routes = ["any"]
role = "customer"
[[domain.r.neighbor]]
name = "wrong"
address = "203.0.113.6"
asn = 64514
routes = ["any"]
role = "customer"
[[domain.r.neighbor]]
name = "flood"
address = "203.0.113.7"
asn = 64515
routes = ["any"]
max_prefixes = 5
[[rpki]]
name = "validator"
domain = "r"
address = "203.0.113.1"
port = 3323

[domain.x]
asn = 65002
loopback = ["10.2.0.1/32"]
networks = ["10.2.0.0/16"]
families = ["ipv4"]
[domain.y]
asn = 65003
loopback = ["10.3.0.1/32"]
networks = ["10.3.0.0/16"]
families = ["ipv4"]
[domain.liar]
asn = 65005
loopback = ["10.5.0.1/32"]
networks = ["10.5.0.0/16"]
families = ["ipv4"]
[domain.norole]
asn = 65006
loopback = ["10.6.0.1/32"]
networks = ["10.6.0.0/16"]
families = ["ipv4"]
[domain.afar]
asn = 65007
loopback = ["10.7.0.1/32"]
networks = ["10.7.0.0/16"]
families = ["ipv4"]
[domain.many]
asn = 65008
loopback = ["10.8.0.1/32"]
networks = ["10.8.0.0/16"]
families = ["ipv4"]

[[link]]
between = ["x", "r"]
[link.into.x]
routes = ["198.51.100.0/24", "198.18.0.0/15 le 24", "10.3.0.0/16", "10.5.0.0/16 le 24"]
packets = ["icmp"]
transit = ["y"]
alias = [{ real = "10.1.0.0/24", seen = "198.18.0.0/24" }]
[link.into.r]
routes = ["10.2.0.0/16"]
packets = ["icmp"]
[[link]]
between = ["y", "r"]
[link.into.y]
routes = ["198.51.100.0/24", "198.18.0.0/15 le 24", "10.2.0.0/16"]
packets = ["icmp"]
alias = [{ real = "10.1.1.0/24", seen = "198.19.0.0/24" }]
[link.into.r]
routes = ["10.3.0.0/16"]
packets = ["icmp"]
[[link]]
between = ["liar", "r"]
[link.into.liar]
routes = ["198.51.100.0/24"]
[link.into.r]
routes = ["10.5.0.0/16 le 24"]
[[link]]
between = ["many", "r"]
[link.into.many]
routes = ["198.51.100.0/24"]
[link.into.r]
routes = ["10.8.0.0/16 le 24"]
max_prefixes = 6
[[link]]
between = ["norole", "r"]
provider = "r"
[link.into.norole]
routes = ["198.51.100.0/24"]
[link.into.r]
routes = ["10.6.0.0/16 le 24"]
[[link]]
between = ["afar", "r"]
[link.into.afar]
routes = ["198.51.100.0/24"]
[link.into.r]
routes = ["10.7.0.0/16 le 24"]
"#,
    before: r#"ip netns add isp
        ip link add up0 type veth peer name customer netns isp
        ip -n isp link set lo up; ip -n isp link set customer up; ip link set up0 up
        for n in 1 3 4 5 6 7; do ip -n isp address add 203.0.113.$n/28 dev customer; done
        # One daemon for each: one has only one session at a time with the same address.
        speak() { # number, AS number, options; routes on standard input
            echo "router id 203.0.113.$1; protocol device { }
            protocol static { ipv4; $(while read -r route; do echo "route $route;"; done) }
            protocol bgp b { local 203.0.113.$1 as $2; neighbor 203.0.113.2 as 65001; strict bind on; $3
              connect delay time 1; connect retry time 1; error wait time 1, 1; error forget time 1;
              ipv4 { import all; export where source = RTS_STATIC; }; }" >/srv/machine/b$1.conf
            ip netns exec isp bird -c /srv/machine/b$1.conf -s /srv/machine/b$1.ctl -P /srv/machine/b$1.pid; }
        # `multihop` is to send with hop limit 255 and ask for none.
        printf '%s unreachable\n' 9.1.0.0/24 9.7.0.0/24 | speak 1 64510 'multihop 255;'
        printf '%s unreachable\n' 9.2.0.0/24 | speak 3 64511 'multihop 255;'
        printf '%s unreachable\n' 9.4.0.0/24 | speak 4 64512 ''
        printf '%s unreachable\n' 9.5.0.0/24 | speak 5 64513 'multihop 255;'
        printf '%s unreachable\n' 9.6.0.0/24 | speak 6 64514 'multihop 255; local role customer;'
        printf '9.77.%s.0/24 unreachable\n' $(seq 20) | speak 7 64515 'multihop 255;'
        echo '{ "roas": [ { "prefix": "9.7.0.0/24", "maxLength": 24, "asn": "AS3333", "ta": "test" } ] }' >/srv/machine/payloads.json
        ip netns exec isp stayrtr -cache /srv/machine/payloads.json -checktime=false -bind 203.0.113.1:3323 -metrics.addr= >/dev/null 2>&1 &"#,
    after: r#"linked() { # domain, number, options; routes on standard input
            echo "router id 10.0.0.$2; protocol device { }
            filter say { if source != RTS_STATIC then reject;
              if net = 10.5.15.0/24 then bgp_next_hop = fe80::99; accept; }
            protocol static { ipv4; $(while read -r route; do echo "route $route;"; done) }
            protocol bgp r { $(grep -E '^\s(local .* as|neighbor|interface) .*;' /run/rdsup/$1/bird.conf) $3
              connect delay time 1; connect retry time 1; error wait time 1, 1; error forget time 1;
              ipv4 { extended next hop on; import all; export filter say; }; }" >/srv/machine/$1.conf
            birdc -s /run/rdsup/$1/bird.ctl down >/dev/null
            while ip netns exec $1 ss -tlnH '( sport = 179 )' | grep -q .; do :; done
            ip netns exec $1 bird -c /srv/machine/$1.conf -s /srv/machine/$1.ctl -P /srv/machine/$1.pid; }
        { echo '10.5.10.0/24 unreachable { bgp_path.prepend(65009); }'
          echo '10.5.15.0/24 unreachable { bgp_path.prepend(65005); }'
          echo '10.5.1.0/24 unreachable { bgp_path.prepend(65005); }'
        } | linked liar 5 'ttl security on; rs client;'
        printf '10.8.%s.0/24 unreachable\n' $(seq 20) | linked many 8 'ttl security on;'
        echo '10.6.1.0/24 unreachable' | linked norole 6 'ttl security on;'
        echo '10.7.1.0/24 unreachable' | linked afar 7 ''"#,
    namespaces: &["r", "isp"],
    frr: &[],
    edits: &[],
    waits: false,
    learned: &[("r", "9.1.0.0/24"), ("r", "10.2.0.0/16"), ("r", "10.3.0.0/16"), ("r", "10.5.0.0/16")],
};

/// The same with FRR.
pub const SESSIONS_FRR: World = SESSIONS.with_frr("sessions (frr)", &["r", "x"]);

const fn case(name: &'static str, off: &'static [Edit], run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world: &SESSIONS, off, run }
}

/// The packet filter looks at hop limits too.
const HOPS: Edit = Edit {
    file: "nft/interface.hbs",
    from: "{{keyword}} saddr {{remote}} {{keyword}} {{hops}} != 255 tcp",
    to: "{{keyword}} saddr {{remote}} {{keyword}} {{hops}} 0 tcp",
};
const LINK_HOPS: Edit = Edit { file: "nft/link.hbs", from: "{{keyword}} {{hops}} 255 tcp", to: "tcp" };

pub const CASES: &[Case] = &[
    case("sessions: a neighbor further away than the wire", &[HOPS], |setup| refused(setup, "ext_distant", "b", "b4")),
    case("sessions: a linked domain further away than the wire", &[LINK_HOPS], |setup| {
        refused(setup, "rd_afar", "r", "afar")
    }),
    case("sessions: a neighbor without a role", &[], |setup| refused(setup, "ext_roleless", "b", "b5")),
    case("sessions: a neighbor with another role", &[], |setup| refused(setup, "ext_wrong", "b", "b6")),
    case("sessions: a linked domain without a role", &[], |setup| refused(setup, "rd_norole", "r", "norole")),
    case("routes: an invalid origin", &[], origin),
    case("routes: more than a neighbor may announce", &[], |setup| limit(setup, "ext_flood", 5)),
    case("routes: more than a linked domain may announce", &[], |setup| limit(setup, "rd_many", 6)),
    case("routes: another first AS, over a link", &[], |setup| lies(setup, "10.5.10.0/24")),
    case("routes: a foreign next hop, over a link", &[], |setup| lies(setup, "10.5.15.0/24")),
    case("routes: from outside to outside", &[], outside),
    case("routes: shown to another domain only", &[], only_here),
    case("routes: shown to a domain, told to a neighbor", &[], only_here_outside),
    case("routes: of a linked domain that `transit` does not name", &[], transit),
];

fn up(setup: &Setup, protocol: &str) -> bool {
    setup.is_up("r", protocol)
}

/// Whether `r` has learned a prefix from anybody.
fn learned(setup: &Setup, prefix: &str) -> bool {
    setup.learned("r").iter().any(|it| it.prefix == prefix)
}

fn leak_if(leaked: bool, what: impl FnOnce() -> String) -> Outcome {
    if leaked { Err(Failure::Leak(what())) } else { Ok(()) }
}

/// Looks for a while: what must not be there could come after what must.
pub fn no_leak_for(seconds: u64, mut look: impl FnMut() -> Outcome) -> Outcome {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        look()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The other side tries again and again, each second.
fn refused(setup: &Setup, protocol: &str, theirs: &str, socket: &str) -> Outcome {
    setup.note(1, 0, 1);
    until(SOON, "an honest neighbor is heard", || up(setup, "ext_honest"))?;
    let there = || setup.machine.sh(&format!("birdc -s /srv/machine/{socket}.ctl show protocols {theirs}"));
    until(SOON, "the other side tries", || {
        ["Connect", "Active", "OpenSent", "OpenConfirm", "Established"].iter().any(|state| there().contains(state))
    })
    .map_err(|_| Failure::Dead(format!("nobody tries: {}", there())))?;
    if protocol.starts_with("rd_") {
        // A session of the domain's own daemon, before that was replaced, takes a moment to end.
        until(Duration::from_secs(10), "the former session has ended", || !up(setup, protocol)).ok();
    }
    no_leak_for(4, || leak_if(up(setup, protocol), || format!("{protocol} is established")))
}

/// The cache knows the prefix for somebody else's.
fn origin(setup: &Setup) -> Outcome {
    setup.note(1, 0, 1);
    until(SOON, "the cache has been heard", || setup.has_origin("r", "9.7.0.0/24"))?;
    until(SOON, "what nobody else owns is learned", || learned(setup, "9.1.0.0/24"))?;
    // Routes that came before the cache was heard are judged again.
    let end = Instant::now() + Duration::from_secs(12);
    while learned(setup, "9.7.0.0/24") {
        leak_if(Instant::now() > end, || "9.7.0.0/24 is learned".to_owned())?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn limit(setup: &Setup, protocol: &str, most: usize) -> Outcome {
    setup.note(1, 0, 1);
    // bgpd counts a route when it is in its table, and goes on with it only if it is not one too many; so of FRR the kernel's count.
    let gateway = setup.is_frr("r").then(|| setup.gateway("r", protocol));
    let count = || match &gateway {
        Some(gateway) => setup.machine.line("ip -n r route show proto bgp").matches(&format!("via {gateway} ")).count(),
        None => setup.learned("r").iter().filter(|it| it.session == protocol).count(),
    };
    until(SOON, "more has been announced than is allowed", || count() > most || setup.is_at_limit("r", protocol))?;
    no_leak_for(1, || {
        let now = count();
        leak_if(now > most, || format!("{now} routes of {protocol} are in the table"))
    })
}

/// Routes that the liar announces with the others.
fn lies(setup: &Setup, prefix: &str) -> Outcome {
    setup.note(1, 0, 1);
    until(SOON, "the honest routes are learned", || learned(setup, "10.5.1.0/24"))?;
    no_leak_for(1, || leak_if(learned(setup, prefix), || format!("{prefix} is learned: {:?}", setup.learned("r"))))
}

/// What `r` tells: `own`, and not `others`.
fn told(setup: &Setup, protocol: &str, own: &str, others: &[&str]) -> Outcome {
    setup.note(others.len(), 0, 1);
    let routes = || setup.told("r", protocol);
    until(SOON, &format!("{protocol} is told {own}"), || routes().iter().any(|it| it == own))?;
    no_leak_for(1, || {
        let told = routes();
        let leaked: Vec<_> = others.iter().filter(|prefix| told.iter().any(|it| it == *prefix)).collect();
        leak_if(!leaked.is_empty(), || format!("{protocol} is told {leaked:?}"))
    })
}

fn outside(setup: &Setup) -> Outcome {
    until(SOON, "9.2.0.0/24 is learned", || learned(setup, "9.2.0.0/24"))?;
    told(setup, "ext_honest", "198.51.100.0/24", &["9.2.0.0/24"])
}

fn only_here(setup: &Setup) -> Outcome {
    told(setup, "rd_x", "198.18.0.0/24", &["198.19.0.0/24"])?;
    told(setup, "rd_y", "198.19.0.0/24", &["198.18.0.0/24"])
}

fn only_here_outside(setup: &Setup) -> Outcome {
    told(setup, "ext_honest", "198.51.100.0/24", &["198.18.0.0/24", "198.19.0.0/24"])
}

fn transit(setup: &Setup) -> Outcome {
    until(SOON, "10.2.0.0/16 is learned", || learned(setup, "10.2.0.0/16"))?;
    told(setup, "rd_y", "198.51.100.0/24", &["10.2.0.0/16"])?;
    until(SOON, "what the liar announces is learned", || learned(setup, "10.5.1.0/24"))?;
    told(setup, "rd_x", "10.3.0.0/16", &["10.5.1.0/24"])
}

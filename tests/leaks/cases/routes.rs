//! Routes that must not be learned, nor told. `ExaBGP`, which shares no code with BIRD, says what is forbidden.

use std::time::Duration;

use super::Case;
use crate::daemon::Learned;
use crate::machine::SOON;
use crate::setup::{Edit, Failure, Outcome, Setup, World, until};
use crate::wire::{Answer, Batch, Place, Request};

/// `r` between `four` and `six`, linked domains with a session over IPv4 and one over IPv6, `third` on a static link, and
/// the neighbor `isp` on an outside interface. `ExaBGP` plays all but `third`.
pub const SPEAKERS: World = World {
    name: "speakers",
    toml: r#"
[domain.r]
asn = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]
[[domain.r.interface]]
name = "up0"
address = ["203.0.113.2/29", "2001:db8:ffff::2/64"]
[[domain.r.neighbor]]
name = "isp"
address = "203.0.113.1"
asn = 64510
routes = ["any", "198.51.100.128/25", "10.50.0.0/16"]
announce = ["198.51.100.0/24", "192.168.0.0/16 le 24"]
max_path = 20
[[domain.r.neighbor]]
name = "isp6"
address = "2001:db8:ffff::1"
asn = 64510
routes = ["any"]
announce = ["2001:db8:1::/48"]
max_path = 20
[domain.four]
asn = 65002
loopback = ["192.168.0.1/32"]
networks = ["192.168.0.0/16"]
families = ["ipv4"]
[domain.six]
asn = 65003
router_id = "192.0.2.3"
loopback = ["2001:db8:2::1/128"]
networks = ["2001:db8:2::/48"]
families = ["ipv6"]
[domain.third]
daemon = "none"
loopback = ["10.66.0.1/32", "2001:db8:66::1/128"]
networks = ["10.66.0.0/16", "2001:db8:66::/48"]

[[link]]
between = ["four", "r"]
addresses = ["169.254.20.0/31"]
[link.into.four]
routes = ["198.51.100.0/24", "10.66.0.0/16"]
[link.into.r]
routes = ["192.168.0.0/16 le 24"]
[[link]]
between = ["six", "r"]
addresses = ["2001:db8:ee::/127"]
[link.into.six]
routes = ["2001:db8:1::/48", "2001:db8:66::/48"]
[link.into.r]
routes = ["2001:db8:2::/48 le 64"]
[[link]]
between = ["third", "r"]
routing = "static"
[link.into.third]
routes = ["198.51.100.0/24", "2001:db8:1::/48"]
[link.into.r]
routes = ["10.66.0.0/16", "2001:db8:66::/48"]
"#,
    before: r#"ip netns add isp
        ip link add up0 type veth peer name customer netns isp
        ip -n isp link set lo up; ip -n isp link set customer up; ip link set up0 up
        ip -n isp address add 203.0.113.1/29 dev customer; ip -n isp address add 2001:db8:ffff::1/64 dev customer nodad
        session() { # local AS peer family next-hop-of-a-lie
            echo "neighbor $3 { router-id 203.0.113.1; local-address $1; local-as $2; peer-as 65001; outgoing-ttl 255;
              hold-time 90; group-updates false; capability { asn4 enable; route-refresh enable; } family { $4 unicast; } static {"
            while read -r prefix rest; do
                [ -n "$prefix" ] || continue
                case $rest in *as-path*) ;; *) rest="as-path [ $2 ] $rest" ;; esac
                case $rest in *next-hop*) ;; *) rest="next-hop self $rest" ;; esac
                echo "route $prefix $rest;"
            done
            echo "} }"
        }
        times() { printf "$1 %.0s" $(seq $2); }
        session 169.254.20.0 65002 169.254.20.1 ipv4 >/srv/machine/four.exabgp <<END
192.168.1.0/24
192.168.2.0/25
192.168.3.7/32
192.168.0.0/15
10.66.0.0/16
10.66.7.0/24
198.51.100.0/24
203.0.112.0/24
0.0.0.0/0
192.168.10.0/24 as-path [ 65009 ]
192.168.11.0/24 as-path [ 65009 65002 ]
192.168.12.0/24 as-path [ 65002 ( 65009 65010 ) ]
192.168.13.0/24 as-path [ $(times 65002 65) ]
192.168.14.0/24 as-path [ 65002 65001 ]
192.168.20.0/24 large-community [ 65001:1:65003 65001:2:7 65001:4:0 65009:1:1 ]
192.168.30.0/24 as-path [ $(times 65002 64) ]
192.168.250.0/24
END
        session 2001:db8:ee:: 65003 2001:db8:ee::1 ipv6 >/srv/machine/six.exabgp <<END
2001:db8:2:1::/64
2001:db8:2:2::/65
2001:db8:2:3::7/128
2001:db8::/32
2001:db8:66::/48
2001:db8:1::/48
2a00:9::/32
::/0
2001:db8:2:10::/64 as-path [ 65009 ]
2001:db8:2:11::/64 as-path [ 65009 65003 ]
2001:db8:2:12::/64 as-path [ 65003 ( 65009 65010 ) ]
2001:db8:2:13::/64 as-path [ $(times 65003 65) ]
2001:db8:2:14::/64 as-path [ 65003 65001 ]
2001:db8:2:20::/64 large-community [ 65001:1:65002 65001:2:7 65001:4:0 65009:1:1 ]
2001:db8:2:30::/64 as-path [ $(times 65003 64) ]
2001:db8:2:ff::/64
END
        { session 203.0.113.1 64510 203.0.113.2 ipv4 <<END
9.1.0.0/24
9.10.0.0/24 as-path [ 3333 ]
9.12.0.0/24 as-path [ 64510 ( 3333 4444 ) ]
9.13.0.0/24 as-path [ $(times 64510 21) ]
9.15.0.0/24 next-hop 203.0.113.3
9.16.0.0/24 as-path [ 64510 64496 3333 ]
9.20.0.0/24 large-community [ 65001:1:65002 65001:2:7 ]
198.51.100.128/25
10.50.0.0/16
10.66.8.0/24
192.168.77.0/24
100.64.0.0/24
9.200.0.0/24
END
        session 2001:db8:ffff::1 64510 2001:db8:ffff::2 ipv6 <<END
2a00:1::/32
2a00:10::/32 as-path [ 3333 ]
2a00:12::/32 as-path [ 64510 ( 3333 4444 ) ]
2a00:13::/32 as-path [ $(times 64510 21) ]
2a00:15::/32 next-hop 2001:db8:ffff::99
2a00:16::/32 as-path [ 64510 64496 3333 ]
2a00:20::/32 large-community [ 65001:1:65002 65001:2:7 ]
2a00:ff::/32
END
        } >/srv/machine/isp.exabgp
        cat >/srv/machine/speak <<'END'
ip netns exec $1 env exabgp.daemon.user=root exabgp.api.cli=false exabgp.daemon.drop=false exabgp.log.level=WARNING \
    exabgp /srv/machine/$1.exabgp >/srv/machine/$1.log 2>&1 &
END
        bash /srv/machine/speak isp"#,
    after: "for domain in four six; do birdc -s /run/rdsup/$domain/bird.ctl down >/dev/null; bash /srv/machine/speak $domain; done",
    namespaces: &["r", "four", "six", "third", "isp"],
    frr: &[],
    edits: &[],
    waits: true,
    learned: &[("r", "9.200.0.0/24"), ("r", "2a00:ff::/32")],
};

/// With FRR, nothing is learned.
const UNFILTERED: World = World { learned: &[], waits: false, ..SPEAKERS.with_frr("speakers (frr)", &["r"]) };

const UNFILTERED_IN: Edit =
    Edit { file: "frr/channel.hbs", from: "  neighbor {{address}} route-map {{import.name}} in\n", to: "" };

const fn case(name: &'static str, run: fn(&Setup) -> Outcome) -> Case {
    Case { name, world: &SPEAKERS, off: &[], run }
}

pub const CASES: &[Case] = &[
    case("routes: what no list names", unlisted),
    case("routes: another first AS, from a linked domain", first_as_link),
    case("routes: another first AS, from a neighbor", first_as_neighbor),
    case("routes: the domain's own from a neighbor", own),
    case("routes: not meant by a range over everything", except),
    case("routes: AS_SET", as_set),
    case("routes: a path that is too long", path),
    case("routes: a foreign next hop", next_hop),
    case("routes: an AS number that nobody has", bogon_asn),
    case("routes: foreign labels", labels),
    case("routes: a third domain's over a link", third),
    case("routes: unlisted to a neighbor", announce),
    case("routes: labels told to a neighbor", labels_out),
    case("routes: only BGP's own in the kernel", kernel),
    Case { name: "routes: a session without a filter", world: &UNFILTERED, off: &[UNFILTERED_IN], run: unfiltered },
];

/// Waits until every speaker has been heard to the end: routes come in the order of its file.
fn heard(setup: &Setup) -> Result<Vec<Learned>, Failure> {
    const HONEST: [&str; 8] = [
        "192.168.1.0/24",
        "192.168.250.0/24",
        "2001:db8:2:1::/64",
        "2001:db8:2:ff::/64",
        "9.1.0.0/24",
        "9.200.0.0/24",
        "2a00:1::/32",
        "2a00:ff::/32",
    ];
    let mut table = Vec::new();
    until(Duration::from_mins(1), "the honest routes are learned", || {
        table = setup.learned("r");
        HONEST.iter().all(|prefix| table.iter().any(|it| it.prefix == *prefix))
    })
    .map_err(|dead| {
        let logs = setup.machine.sh("tail -n 5 /srv/machine/*.log");
        Failure::Dead(format!("{dead}\n{table:#?}\n{logs}"))
    })?;
    Ok(table)
}

/// None of these may be in the table, by a session.
fn absent(setup: &Setup, sessions: &str, prefixes: &[&str]) -> Outcome {
    let mut learned = heard(setup)?;
    // Another route to the same prefix may be there: one of ours.
    learned.retain(|it| prefixes.contains(&it.prefix.as_str()) && sessions.split(' ').any(|name| it.session == name));
    note(setup, prefixes.len(), learned.len(), 8);
    if learned.is_empty() { Ok(()) } else { Err(Failure::Leak(format!("learned: {learned:#?}"))) }
}

fn note(setup: &Setup, forbidden: usize, leaked: usize, allowed: usize) {
    setup.note(forbidden, leaked, allowed);
    let mut tally = setup.tally.borrow_mut();
    (tally.ipv4, tally.ipv6) = (true, true);
}

const LINKS: &str = "rd_four rd_six";
const NEIGHBORS: &str = "ext_isp ext_isp6";

fn unlisted(setup: &Setup) -> Outcome {
    absent(
        setup,
        LINKS,
        &[
            // More specific, less specific, a third domain's, the receiver's own, nobody's, and a default route.
            "192.168.2.0/25",
            "192.168.3.7/32",
            "192.168.0.0/15",
            "10.66.0.0/16",
            "10.66.7.0/24",
            "198.51.100.0/24",
            "203.0.112.0/24",
            "0.0.0.0/0",
            "2001:db8:2:2::/65",
            "2001:db8:2:3::7/128",
            "2001:db8::/32",
            "2001:db8:66::/48",
            "2001:db8:1::/48",
            "2a00:9::/32",
            "::/0",
        ],
    )
}

fn first_as_link(setup: &Setup) -> Outcome {
    absent(setup, LINKS, &["192.168.10.0/24", "192.168.11.0/24", "2001:db8:2:10::/64", "2001:db8:2:11::/64"])
}

fn first_as_neighbor(setup: &Setup) -> Outcome {
    absent(setup, NEIGHBORS, &["9.10.0.0/24", "2a00:10::/32"])
}

/// Named, and yet its own: nobody outside has a way there.
fn own(setup: &Setup) -> Outcome {
    absent(setup, NEIGHBORS, &["198.51.100.128/25"])?;
    // What is named though nobody outside should have it.
    until(SOON, "10.50.0.0/16 is learned", || setup.learned("r").iter().any(|it| it.prefix == "10.50.0.0/16"))
}

/// What another domain has, what a linked domain announces, what is for carriers.
fn except(setup: &Setup) -> Outcome {
    absent(setup, NEIGHBORS, &["10.66.8.0/24", "192.168.77.0/24", "100.64.0.0/24"])
}

fn as_set(setup: &Setup) -> Outcome {
    absent(
        setup,
        "rd_four rd_six ext_isp ext_isp6",
        &["192.168.12.0/24", "2001:db8:2:12::/64", "9.12.0.0/24", "2a00:12::/32"],
    )
}

fn path(setup: &Setup) -> Outcome {
    let all = "rd_four rd_six ext_isp ext_isp6";
    absent(
        setup,
        all,
        &[
            "192.168.13.0/24",
            "2001:db8:2:13::/64",
            "9.13.0.0/24",
            "2a00:13::/32",
            "192.168.14.0/24",
            "2001:db8:2:14::/64",
        ],
    )?;
    // The longest path that is allowed.
    until(SOON, "a path of 64 is learned", || setup.learned("r").iter().any(|it| it.prefix == "192.168.30.0/24"))
}

fn next_hop(setup: &Setup) -> Outcome {
    absent(setup, NEIGHBORS, &["9.15.0.0/24", "2a00:15::/32"])
}

fn bogon_asn(setup: &Setup) -> Outcome {
    absent(setup, NEIGHBORS, &["9.16.0.0/24", "2a00:16::/32"])
}

fn labels(setup: &Setup) -> Outcome {
    heard(setup)?;
    let mut leaked = Vec::new();
    for (prefix, own) in [
        ("192.168.20.0/24", "65001:1:65002"),
        ("2001:db8:2:20::/64", "65001:1:65003"),
        ("9.20.0.0/24", ""),
        ("2a00:20::/32", ""),
    ] {
        let labels = setup.labels("r", prefix).ok_or_else(|| Failure::Dead(format!("{prefix} is not learned")))?;
        // `65001:4:0` is what `r` itself says of an outside neighbor.
        let foreign = |label: &&String| {
            let begins = |kind| label.starts_with(kind);
            *label != own && (begins("65001:1:") || begins("65001:2:"))
                || prefix.starts_with("192") && begins("65001:4:")
        };
        leaked.extend(labels.iter().filter(foreign).map(|label| format!("{prefix} has {label}")));
    }
    note(setup, 8, leaked.len(), 4);
    if leaked.is_empty() { Ok(()) } else { Err(Failure::Leak(format!("{leaked:?}"))) }
}

/// What `r` tells a session, after its filter, once it has told what it has to.
fn told(setup: &Setup, protocol: &str, own: &str) -> Result<Vec<String>, Failure> {
    heard(setup)?;
    let mut told = Vec::new();
    until(SOON, "what is its own is told", || {
        told = setup.told("r", protocol);
        told.iter().any(|it| it == own)
    })
    .map_err(|_| Failure::Dead(format!("{protocol} is not told {own}: {told:?}")))?;
    Ok(told)
}

/// Each of these sessions is told this prefix, and none of those.
fn is_told_alone(setup: &Setup, sessions: [(&str, &str, [&str; 2]); 2]) -> Outcome {
    for (protocol, own, others) in sessions {
        let told = told(setup, protocol, own)?;
        let leaked: Vec<_> = others.iter().filter(|prefix| told.iter().any(|it| it == *prefix)).collect();
        note(setup, others.len(), leaked.len(), 1);
        if !leaked.is_empty() {
            return Err(Failure::Leak(format!("{protocol} is told {leaked:?}")));
        }
    }
    Ok(())
}

fn third(setup: &Setup) -> Outcome {
    let four = ("rd_four", "198.51.100.0/24", ["10.66.0.0/16", "9.1.0.0/24"]);
    let six = ("rd_six", "2001:db8:1::/48", ["2001:db8:66::/48", "2a00:1::/32"]);
    is_told_alone(setup, [four, six])
}

fn announce(setup: &Setup) -> Outcome {
    let four = ("ext_isp", "198.51.100.0/24", ["10.66.0.0/16", "198.51.100.1/32"]);
    let six = ("ext_isp6", "2001:db8:1::/48", ["2001:db8:66::/48", "2001:db8:2:1::/64"]);
    is_told_alone(setup, [four, six])
}

fn labels_out(setup: &Setup) -> Outcome {
    // It came over a link, and is in `announce`.
    told(setup, "ext_isp", "192.168.1.0/24")?;
    // FRR 8.4 does not show what it adds and deletes on the way out, so it is looked for on the wire, where all is told again.
    let again = if setup.is_frr("r") {
        "vtysh --vty_socket /run/rdsup/r/frr --config_dir /run/rdsup/r -c 'clear bgp ipv4 unicast 203.0.113.1 soft out'"
    } else {
        "birdc -s /run/rdsup/r/bird.ctl 'reload out ext_isp'"
    };
    // The prefix, and the beginnings of the labels of r: of a linked domain with BGP, of a link, of one without BGP.
    let needles = ["18c0a801", "0000fde900000001", "0000fde900000002", "0000fde900000003", "0000fde900000004"];
    let needles = needles.map(str::to_owned).to_vec();
    let asks = setup.machine.spawn(&["bash", "-c", &format!("for round in {{1..4}}; do {again}; sleep 0.2; done")]);
    let batch = Batch { frames: Vec::new(), awaited: Vec::new(), needles, deadline_ms: 3000, quiet_ms: 1000 };
    let Answer::Seen { mut found, .. } = setup.ask(&Request::Batch(batch)) else { panic!("another answer") };
    asks.finish(SOON);
    found.retain(|(_, namespace, place)| namespace == "r" && *place == Place::Out("up0".into()));
    if !found.iter().any(|(at, ..)| *at == 0) {
        return Err(Failure::Dead("192.168.1.0/24 is not told again".into()));
    }
    let leaked = found.iter().filter(|(at, ..)| *at > 0).count();
    note(setup, 1, leaked, 1);
    if leaked == 0 { Ok(()) } else { Err(Failure::Leak(format!("labels are told: {found:?}"))) }
}

fn kernel(setup: &Setup) -> Outcome {
    heard(setup)?;
    let daemon = if setup.is_frr("r") { "bgp" } else { "bird" };
    let text = setup.machine.sh(&format!("ip -n r route show proto {daemon}; ip -n r -6 route show proto {daemon}"));
    if !text.contains("192.168.1.0/24") {
        return Err(Failure::Dead(format!("BGP's routes are not in the kernel: {text}")));
    }
    let leaked: Vec<_> =
        text.lines().filter(|line| line.starts_with("unreachable") || line.contains("10.66.")).collect();
    note(setup, 1, leaked.len(), 1);
    if leaked.is_empty() { Ok(()) } else { Err(Failure::Leak(format!("{leaked:?}"))) }
}

/// A session of FRR whose route map is missing altogether.
fn unfiltered(setup: &Setup) -> Outcome {
    let mut heard = 0;
    until(SOON, "the neighbor announces", || {
        heard = setup.updates("r", "ext_isp");
        setup.is_up("r", "ext_isp") && heard > 0
    })?;
    note(setup, 1, 0, 1);
    super::sessions::no_leak_for(2, || {
        let learned = setup.learned("r");
        if learned.is_empty() { Ok(()) } else { Err(Failure::Leak(format!("learned: {learned:?}"))) }
    })
}

//! When a session with an external neighbor closes, and when it must not.

use std::time::Duration;

use crate::external::{EDGE, isp, machine};
use crate::machine::{Machine, SOON, eventually, throughout};

/// The neighbor announces this many prefixes and the domain accepts at most so many.
fn flooded(prefixes: usize, limit: usize) -> (Machine, String) {
    let toml = EDGE
        .replace(r#""0.0.0.0/0", "8.8.0.0/16 le 32""#, r#""any""#)
        .replace("password = { file = \"/srv/machine/transit.key\" }", &format!("max_prefixes = {limit}"));
    (machine(&toml, &upstream(prefixes, "")), toml)
}

fn upstream(prefixes: usize, attributes: &str) -> String {
    let route = |n| format!("route 9.{n}.0.0/16 unreachable {{ {attributes} }};");
    let routes = (0..prefixes).map(route).collect::<Vec<_>>().join("\n");
    format!(
        "router id 203.0.113.1; protocol device {{ }} protocol static {{ ipv4; {routes} }}
         protocol bgp four {{ local as 64510; neighbor 203.0.113.2 as 65001; ttl security on;
             connect delay time 1; connect retry time 1; error wait time 1, 1;
             ipv4 {{ import all; export where source = RTS_STATIC; }}; }}"
    )
}

/// How long the session waits now because of what happened before: 4 of `Error wait: 2.318/4`.
fn wait(machine: &Machine) -> Option<u32> {
    let all = machine.birdc("edge", "show protocols all ext_transit");
    let line = all.lines().find_map(|line| line.trim().strip_prefix("Error wait:"))?;
    line.rsplit('/').next()?.trim().parse().ok()
}

#[test]
fn a_neighbor_that_floods_loses_its_session_for_ever_longer_until_it_stops() {
    let (machine, _) = flooded(12, 10);
    machine.rdsup("start --detach").ok();
    // Who looks too seldom misses a short one.
    let mut waits = Vec::new();
    eventually(2 * SOON, "the session waits for 8 s", || {
        if let Some(seconds) = wait(&machine).filter(|seconds| waits.last() != Some(seconds)) {
            waits.push(seconds);
        }
        waits.last() == Some(&8)
    });
    assert!(waits.is_sorted() && waits.iter().all(|seconds| [1, 2, 4, 8].contains(seconds)), "{waits:?}");
    assert!(machine.routes_to("edge", "9.1.0.0/16").is_empty(), "routes of a closed session");
    machine.write("/srv/machine/isp.conf", &upstream(10, ""));
    isp(&machine, "configure");
    eventually(2 * SOON, "as many as allowed are learned", || {
        machine.routes_to("edge", "9.9.0.0/16").contains("dev up0")
    });
    throughout(Duration::from_secs(1), "the session stays", || machine.established("edge", "ext_transit"));
}

#[test]
fn a_session_that_is_lost_is_back_after_a_second_or_two() {
    let (machine, _) = flooded(3, 10);
    machine.rdsup("start --detach").ok();
    let up = || machine.established("edge", "ext_transit");
    eventually(SOON, "the session comes up", up);
    let before = machine.session("edge", "ext_transit");
    // BIRD tells since when in whole seconds, and the next session may come as fast as that.
    let second = || machine.line("date +%T");
    let established = second();
    eventually(SOON, "another second begins", || second() != established);
    isp(&machine, "restart four");
    let started = std::time::Instant::now();
    eventually(SOON, "the session is another one", || up() && machine.session("edge", "ext_transit") != before);
    assert!(started.elapsed() < Duration::from_secs(8), "it took {:?}", started.elapsed());
}

#[test]
fn a_route_that_is_about_to_go_is_the_last_choice() {
    let (machine, _) = flooded(2, 10);
    machine.write("/srv/machine/isp.conf", &upstream(2, "bgp_community.add((65535, 0));"));
    isp(&machine, "configure");
    machine.rdsup("start --detach").ok();
    let table = || machine.birdc("edge", "show route all protocol ext_transit");
    eventually(SOON, "the routes have the lowest local preference", || {
        table().matches("BGP.local_pref: 0").count() == 2 && !table().contains("BGP.local_pref: 200")
    });
    machine.write("/srv/machine/isp.conf", &upstream(2, ""));
    isp(&machine, "configure");
    eventually(SOON, "the neighbor stays after all", || table().matches("BGP.local_pref: 200").count() == 2);
}

#[test]
fn no_change_of_policy_resets_a_session() {
    let (machine, toml) = flooded(4, 10);
    machine.rdsup("start --detach").ok();
    let learned = |prefix: &str| machine.routes_to("edge", prefix).contains("dev up0");
    eventually(SOON, "a route is learned", || learned("9.1.0.0/16"));
    let before = machine.session("edge", "ext_transit");
    let changes: [(&str, String, Option<&str>); 8] = [
        ("routes", toml.replacen(r#"["any"]"#, r#"["9.2.0.0/16"]"#, 1), Some("9.1.0.0/16")),
        ("an exact default route", toml.replacen(r#"["any"]"#, r#"["any", "0.0.0.0/0"]"#, 1), None),
        ("accept_default", toml.replacen("max_prefixes", "accept_default = true\nmax_prefixes", 1), None),
        ("announce", toml.replace(r#"announce = ["198.51.100.0/24"]"#, "announce = [\"any\"]"), None),
        ("preference", toml.replace("preference = 200", "preference = 300"), None),
        ("max_prefixes", toml.replace("max_prefixes = 10", "max_prefixes = 4"), None),
        ("max_path", toml.replace("max_prefixes", "max_path = 30\nmax_prefixes"), None),
        (
            "networks",
            toml.replace(r#"networks = ["198.51.100.0/24""#, r#"networks = ["9.1.0.0/16", "198.51.100.0/24""#),
            Some("9.1.0.0/16"),
        ),
    ];
    for (what, changed, gone) in changes {
        assert_ne!(changed, toml, "{what}");
        machine.configure(&changed);
        machine.rdsup("apply").ok();
        if let Some(gone) = gone {
            eventually(SOON, &format!("{gone} goes after a change of {what}"), || !learned(gone));
        }
        assert_eq!(machine.session("edge", "ext_transit"), before, "a change of {what} reset the session");
        machine.configure(&toml);
        machine.rdsup("apply").ok();
        eventually(SOON, &format!("after {what}, all is learned again"), || learned("9.1.0.0/16"));
        assert_eq!(machine.session("edge", "ext_transit"), before, "a change of {what} and back reset the session");
    }
    // What does reset it, so that the rest of this test means something.
    machine.configure(&toml.replace("preference = 200", "preference = 200\nrole = \"customer\""));
    machine.rdsup("apply").ok();
    eventually(SOON, "a role is agreed on when a session begins", || machine.session("edge", "ext_transit") != before);
}

#[test]
fn a_neighbor_several_hops_away_is_reached_by_a_declared_route_and_so_is_what_it_announces() {
    let far = "
[[domain.edge.route]]
to  = \"192.0.2.200/32\"
via = \"203.0.113.1\"
[[domain.edge.neighbor]]
name     = \"far\"
address  = \"192.0.2.200\"
asn      = 3333
multihop = 3
routes   = [\"9.7.0.0/16\", \"9.8.0.0/16\"]
";
    let upstream = "
router id 192.0.2.200; protocol device { }
protocol static { ipv4; route 9.7.0.0/16 unreachable; route 9.8.0.0/16 unreachable; }
filter say { if source != RTS_STATIC then reject; if net = 9.8.0.0/16 then bgp_next_hop = 203.0.113.1; accept; }
protocol bgp far { local 192.0.2.200 as 3333; neighbor 203.0.113.2 as 65001; multihop 3;
    connect delay time 1; connect retry time 1; ipv4 { next hop keep on; import all; export filter say; }; }
";
    let machine = machine(&format!("{EDGE}{far}"), upstream);
    machine.line("ip -n isp address add 192.0.2.200/32 dev lo");
    machine.rdsup("start --detach").ok();
    eventually(SOON, "the session comes up", || machine.established("edge", "ext_far"));
    eventually(SOON, "a route leads to the neighbor", || {
        machine.routes_to("edge", "9.7.0.0/16").contains("via 203.0.113.1")
    });
    assert!(machine.routes_to("edge", "9.8.0.0/16").is_empty(), "its next hop is another");
}

//! Who a neighbor may send packets to: itself. A message can name several next hops, and each daemon has its own opinion of which counts.

use std::time::Duration;

use crate::machine::{Machine, SOON, eventually, frr_version, throughout};
use crate::raw_speaker::{CONNECTS, IPV4, IPV4_OVER_IPV6, IPV6, ROUTE_REFRESH, WAITS, update};

const EDGE: &str = r#"
[domain.edge]
daemon   = "bird"
asn      = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]

[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/24", "2001:db8:f::2/64"]

[[domain.edge.neighbor]]
name    = "four"
address = "203.0.113.1"
asn     = 3333
routes  = ["9.0.0.0/8 le 24"]

[[domain.edge.neighbor]]
name    = "six"
address = "2001:db8:f::3"
asn     = 3334
routes  = ["12.0.0.0/8 le 24", "2a00:c::/32 le 48"]

[[domain.edge.neighbor]]
name      = "local"
address   = "fe80::9"
interface = "up0"
asn       = 3335
routes    = ["19.0.0.0/8 le 24", "2a00:9::/32 le 48"]
"#;

/// Of this one nobody has said that packets may go there.
const OTHER: [&str; 3] = ["203.0.113.66", "2001:db8:f::66", "fe80::66"];

/// What each of them can do.
const ABLE: [&[u8]; 4] = [&IPV4, &IPV6, &ROUTE_REFRESH, &IPV4_OVER_IPV6];

fn leads_to_the_neighbor(daemon: &str) {
    let machine = Machine::new(&EDGE.replace("\"bird\"", &format!("\"{daemon}\"")));
    machine.sh("ip netns add isp; ip link add up0 type veth peer name wire netns isp
         ip -n isp link set lo up; ip -n isp link set wire up; ip link set up0 up
         for a in 203.0.113.1/24 203.0.113.66/24 2001:db8:f::3/64 2001:db8:f::66/64 fe80::9/64 fe80::66/64; do
             ip -n isp address add $a dev wire nodad; done");
    machine.rdsup("start --detach").ok();
    let own = machine.sh("ip -n edge -6 -o address show dev up0 scope link | sed 's/.*inet6 //; s|/.*||'");
    let own = own.trim();
    let (four, six, local) = (3333, 3334, 3335);
    let [_, global, link] = OTHER;
    let honest = Some("203.0.113.1");
    let _four = machine.tells(
        ("isp", "wire"),
        four,
        ("203.0.113.1", "203.0.113.2"),
        &ABLE,
        &[
            update(four, &[], honest, Some((1, &[global], &["9.0.1.0/24"]))),
            update(four, &["9.0.2.0/24"], honest, Some((2, &[global], &["2a00:c:4::/48"]))),
            update(four, &["9.0.3.0/24"], honest, Some((2, &["2001:db8:f::3", link], &["2a00:c:5::/48"]))),
            update(four, &[], honest, Some((1, &["::", link], &["9.0.4.0/24"]))),
            update(four, &["9.0.5.0/24"], Some(OTHER[0]), None),
            update(four, &["9.9.9.0/24"], honest, None),
        ],
    );
    let _six = machine.tells(
        ("isp", "wire"),
        six,
        ("2001:db8:f::3", "2001:db8:f::2"),
        &ABLE,
        &[
            update(six, &[], None, Some((1, &["2001:db8:f::3", link], &["12.0.1.0/24"]))),
            update(six, &[], None, Some((2, &["2001:db8:f::3", link], &["2a00:c:1::/48"]))),
            update(six, &[], None, Some((2, &[global, "fe80::9"], &["2a00:c:2::/48"]))),
            update(six, &["12.0.2.0/24"], Some(OTHER[0]), Some((2, &["2001:db8:f::3"], &["2a00:c:3::/48"]))),
            update(six, &[], None, Some((2, &["2001:db8:f::3"], &["2a00:c:9::/48"]))),
        ],
    );
    let told = [
        update(local, &[], None, Some((1, &["fe80::9", link], &["19.0.1.0/24"]))),
        update(local, &[], None, Some((2, &["fe80::9", link], &["2a00:9:1::/48"]))),
        update(local, &[], None, Some((2, &[global, "fe80::9"], &["2a00:9:2::/48"]))),
        update(local, &[], None, Some((2, &["::", link], &["2a00:9:3::/48"]))),
        update(local, &[], None, Some((2, &["fe80::9"], &["2a00:9:9::/48"]))),
    ];
    // Of a session between link-local addresses FRR 10.3 takes no route if the other has opened it, and 8.4 never opens one.
    let how = if daemon == "frr" && frr_version() >= [9, 1] { WAITS } else { CONNECTS };
    let _local = machine.speaks(how, ("isp", "wire"), local, ("fe80::9", own), &ABLE, &told);
    let routes = || machine.sh("ip -n edge -4 route; ip -n edge -6 route");
    for told in ["9.9.9.0/24", "2a00:c:9::/48", "2a00:9:9::/48"] {
        eventually(SOON, &format!("{told}, which is honest, is learned"), || routes().contains(told));
    }
    // Those came last, so everything else has been judged.
    throughout(Duration::from_secs(2), "every route leads to its neighbor", || {
        let all = routes();
        let wrong: Vec<_> =
            all.lines().filter(|line| OTHER.iter().any(|at| line.contains(&format!("{at} ")))).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        true
    });
}

#[test]
fn every_route_that_bird_learns_leads_to_the_neighbor_whatever_next_hops_it_names() {
    leads_to_the_neighbor("bird");
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn every_route_that_frr_learns_leads_to_the_neighbor_whatever_next_hops_it_names() {
    leads_to_the_neighbor("frr");
}

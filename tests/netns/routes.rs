//! Which routes a domain learns.

use std::time::Duration;

use crate::machine::{DEMO, Machine, SOON, eventually, throughout};

#[test]
fn a_route_inside_the_accepted_set_is_learned_with_the_loopback_as_source() {
    let machine = Machine::demo();
    let route = machine.routes_to("private", "198.51.100.0/24");
    assert!(route.contains("dev rd-internet") && route.contains("proto bird"), "{route}");
    assert!(route.contains("src 192.168.0.1"), "{route}");
    let route = machine.routes_to("internet", "2001:db8:2::/48");
    assert!(route.contains("dev rd-private"), "{route}");
    assert!(machine.routes_to("internet", "192.168.0.1/32").is_empty(), "the loopback is longer than `le 24`");
}

/// FRR names none for IPv4 over an IPv6 next hop, so that the kernel takes the first address of the domain.
#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn what_a_domain_with_frr_sends_has_its_first_loopback_as_source_whatever_their_order() {
    for (of_a, of_b) in [("frr", "frr"), ("frr", "bird")] {
        let machine = Machine::new(&format!(
            r#"
[domain.a]
daemon   = "{of_a}"
asn      = 65001
loopback = ["10.1.0.9/32", "10.1.0.1/32", "2001:db8:1::9/128", "2001:db8:1::1/128"]
networks = ["10.1.0.0/16", "2001:db8:1::/48"]
[domain.b]
daemon   = "{of_b}"
asn      = 65002
loopback = ["10.2.0.1/32", "2001:db8:2::1/128"]
networks = ["10.2.0.0/16", "2001:db8:2::/48"]
[[link]]
between = ["a", "b"]
[link.into.a]
routes = ["10.2.0.0/16", "2001:db8:2::/48"]
"#
        ));
        machine.start();
        for (to, source) in [("10.2.0.1", "10.1.0.9"), ("2001:db8:2::1", "2001:db8:1::9")] {
            eventually(SOON, "the kernel takes the first loopback", || {
                machine.run(&["ip", "-n", "a", "route", "get", to]).stdout.contains(&format!("src {source} "))
            });
        }
    }
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn a_loopback_that_becomes_the_first_counts_with_frr_when_the_other_goes_or_from_the_next_start_on_which_plan_says() {
    let file = |loopbacks: &str| {
        format!(
            r#"
[rdsup]
daemon   = "frr"
families = ["ipv4"]
[domain.a]
asn      = 65001
loopback = [{loopbacks}]
networks = ["10.1.0.0/16"]
router_id = "10.1.0.9"
[domain.b]
asn      = 65002
loopback = ["10.2.0.1/32"]
networks = ["10.2.0.0/16"]
[[link]]
between = ["a", "b"]
[link.into.a]
routes = ["10.2.0.0/16"]
[link.into.b]
routes = ["10.1.0.0/16"]
"#
        )
    };
    let (old, new) = (r#""10.1.0.9/32", "10.1.0.1/32""#, r#""10.1.0.1/32", "10.1.0.9/32""#);
    let machine = Machine::running(&file(old));
    let sends_as = |source: &str| {
        machine.run(&["ip", "-n", "a", "route", "get", "10.2.0.1"]).stdout.contains(&format!("src {source} "))
    };
    let told = |verb: &str| {
        let said = machine.rdsup(verb).ok();
        said.contains("IPv4 over links without addresses keeps 10.1.0.9 as its source until the network is stopped")
    };
    eventually(SOON, "the first is the source", || sends_as("10.1.0.9"));
    machine.configure(&file(new));
    assert!(told("plan") && told("apply"));
    throughout(Duration::from_secs(3), "the source stays", || !sends_as("10.1.0.1"));
    machine.rdsup("stop").ok();
    machine.start();
    eventually(SOON, "the new first is the source", || sends_as("10.1.0.1"));
    machine.configure(&file(r#""10.1.0.9/32""#));
    assert!(!told("plan") && !told("apply"));
    eventually(SOON, "the one that is left is the source", || sends_as("10.1.0.9"));
}

#[test]
fn a_route_outside_the_accepted_set_is_not_learned() {
    // hostile announces a network that internet does not list, and a more specific one of a listed network.
    let toml = DEMO.replace(
        r#"networks = ["10.66.0.0/16", "2001:db8:66::/48"]"#,
        r#"networks = ["10.66.0.0/16", "2001:db8:66::/48", "10.66.7.0/24", "203.0.113.0/24", "2001:db8:99::/48"]"#,
    );
    assert_ne!(toml, DEMO);
    let machine = Machine::running(&toml);
    eventually(SOON, "the accepted route arrives", || !machine.routes_to("internet", "10.66.0.0/16").is_empty());
    for prefix in ["10.66.7.0/24", "203.0.113.0/24", "2001:db8:99::/48"] {
        assert!(machine.routes_to("internet", prefix).is_empty(), "{prefix} is in the kernel of internet");
        let table = machine.birdc("internet", &format!("show route for {prefix} protocol rd_hostile"));
        assert!(!table.contains(&format!("{prefix} ")), "{prefix} is in the table of internet:\n{table}");
    }
}

#[test]
fn without_transit_a_domain_does_not_learn_a_third_ones_routes() {
    // hostile would take anything.
    let toml = DEMO.replace(
        "[link.into.hostile]\nroutes  = [",
        r#"[link.into.hostile]
routes  = ["192.168.0.0/16 le 32", "2001:db8:2::/48 le 128", "#,
    );
    assert_ne!(toml, DEMO);
    let machine = Machine::running(&toml);
    eventually(SOON, "internet learns private's network", || {
        !machine.routes_to("internet", "192.168.0.0/16").is_empty()
    });
    eventually(SOON, "hostile learns internet's network", || {
        !machine.routes_to("hostile", "198.51.100.0/24").is_empty()
    });
    assert!(machine.routes_to("hostile", "root 192.168.0.0/16").is_empty());
    assert!(machine.within("hostile", "ip -6 route show root 2001:db8:2::/48").stdout.is_empty());
}

#[test]
fn preference_chooses_between_two_links() {
    let machine = Machine::running(
        r#"
[domain.a]
asn = 65001
loopback = ["192.0.2.1/32"]
networks = ["192.0.2.0/24"]
families = ["ipv4"]
[domain.b]
asn = 65002
loopback = ["198.51.100.1/32"]
networks = ["198.51.100.0/24"]
families = ["ipv4"]
[[link]]
name = "slow"
between = ["a", "b"]
[link.into.a]
routes = ["198.51.100.0/24"]
preference = 50
[link.into.b]
routes = ["192.0.2.0/24"]
[[link]]
name = "fast"
between = ["a", "b"]
[link.into.a]
routes = ["198.51.100.0/24"]
preference = 200
[link.into.b]
routes = ["192.0.2.0/24"]
"#,
    );
    eventually(SOON, "the preferred link is used", || {
        machine.routes_to("a", "198.51.100.0/24").contains("dev rd-fast")
    });
    machine.unattended();
    machine.line("ip -n b link set rd-fast down");
    eventually(SOON, "the other link is used", || machine.routes_to("a", "198.51.100.0/24").contains("dev rd-slow"));
}

#[test]
fn blackhole_unreachable_and_prohibit_routes_do_what_their_names_say() {
    let machine = Machine::running(
        r#"
[domain.a]
asn = 65001
loopback = ["192.0.2.1/32"]
families = ["ipv4"]
[[domain.a.route]]
to = "198.51.100.0/26"
kind = "blackhole"
[[domain.a.route]]
to = "198.51.100.64/26"
kind = "unreachable"
[[domain.a.route]]
to = "198.51.100.128/26"
kind = "prohibit"
"#,
    );
    let table = machine.within("a", "ip -4 route show").ok();
    for route in ["blackhole 198.51.100.0/26", "unreachable 198.51.100.64/26", "prohibit 198.51.100.128/26"] {
        assert!(table.contains(route), "{route} is missing:\n{table}");
    }
    for (address, words) in [
        ("198.51.100.1", "Invalid argument"),
        ("198.51.100.65", "No route to host"),
        ("198.51.100.129", "Permission denied"),
    ] {
        // What the kernel answers to a program that sends there.
        let said = machine.within("a", &format!("ip route get {address}"));
        assert!(said.stderr.contains(words), "{said}");
    }
    machine.assert_converged();
}

/// A BIRD at the end of a link that says what it must not.
const HOSTILE: &str = r#"
router id 10.66.0.1;
protocol device { }
protocol static lies { ipv4;
    route 10.66.0.0/16 unreachable; route 10.66.1.0/24 unreachable; route 10.66.2.0/24 unreachable;
    route 10.66.3.0/24 unreachable; route 10.66.4.0/25 unreachable; route 0.0.0.0/0 unreachable;
    route 192.168.0.0/16 unreachable; route 198.51.100.0/24 unreachable; }
filter lie {
    if net = 10.66.1.0/24 then bgp_next_hop = fe80::99;
    if net = 10.66.2.0/24 then { LONG }
    if net = 10.66.3.0/24 then { bgp_large_community.add((65001, 1, 65002)); bgp_large_community.add((65001, 9, 9)); }
    accept;
}
protocol bgp peer {
    local fe80::1 as 65003; neighbor fe80::2 as 65001; interface "rd-internet"; direct; ttl security on;
    connect delay time 1; connect retry time 1; error wait time 1, 2;
    ipv4 { extended next hop on; next hop keep on; import all; export filter lie; };
}
"#;

#[test]
fn of_a_lying_peer_only_what_is_listed_and_its_own_is_learned() {
    let toml = DEMO.replace(
        "[link.into.internet]\nroutes  = [\"10.66.0.0/16\"",
        "[link.into.internet]\nmax_prefixes = 10\nroutes  = [\"10.66.0.0/16 le 24\"",
    );
    assert_ne!(toml, DEMO);
    let machine = Machine::running(&toml);
    machine.unattended();
    machine.birdc("hostile", "down");
    let more = (20..50).map(|n| format!("route 10.66.{n}.0/24 unreachable;")).collect::<Vec<_>>().concat();
    let lies = HOSTILE.replace("LONG", &"bgp_path.prepend(65003); ".repeat(64));
    machine.write("/srv/machine/lies.conf", &lies);
    let bird = "ip netns exec hostile bird -c /srv/machine/lies.conf -s /srv/machine/lies.ctl -P /srv/machine/lies.pid";
    eventually(SOON, "the other BIRD has gone", || machine.bird("hostile").is_none());
    machine.line(bird);
    let learned = || machine.birdc("internet", "show route all protocol rd_hostile");
    eventually(SOON, "what is listed is learned", || {
        let table = learned();
        table.contains("10.66.3.0/24 ") && table.contains("10.66.0.0/16 ")
    });
    let table = learned();
    for (prefix, why) in [
        ("10.66.1.0/24", "its next hop is another"),
        ("10.66.2.0/24", "its path is too long"),
        ("10.66.4.0/25", "it is longer than `le 24`"),
        ("0.0.0.0/0", "nobody listed it"),
        ("192.168.0.0/16", "it is a third domain's"),
        ("198.51.100.0/24", "it is the receiver's own"),
    ] {
        assert!(!table.contains(&format!("{prefix} ")), "{prefix} was learned: {why}\n{table}");
    }
    assert!(!table.contains("(65001, 1, 65002)") && !table.contains("(65001, 9, 9)"), "labels are believed:\n{table}");

    // A flood is blocked and leaves the session up.
    machine.write("/srv/machine/lies.conf", &lies.replace("route 10.66.0.0/16", &format!("{more}route 10.66.0.0/16")));
    machine.line("birdc -s /srv/machine/lies.ctl configure");
    let count = || learned().matches("unicast [rd_hostile").count();
    eventually(SOON, "as many as allowed are learned", || count() == 10);
    throughout(Duration::from_secs(1), "no more are learned and the session stays", || {
        count() == 10 && machine.established("internet", "rd_hostile")
    });

    // Whoever sends with another hop limit is not even heard.
    machine.write("/srv/machine/lies.conf", &lies.replace("ttl security on", "ttl security off"));
    machine.sh("birdc -s /srv/machine/lies.ctl configure; birdc -s /srv/machine/lies.ctl restart peer");
    eventually(SOON, "the session ends", || !machine.established("internet", "rd_hostile"));
    throughout(Duration::from_secs(5), "there is no session with a hop limit of 1", || {
        !machine.established("internet", "rd_hostile")
    });
}

#[test]
fn a_domain_that_has_no_daemon_any_more_keeps_nothing_of_what_its_daemon_learned() {
    let machine = Machine::demo();
    // What hostile accepted changes too: 198.51.100.0/24 now by a static route, the rest not at all.
    let toml = DEMO
        .replace("[domain.hostile]", "[domain.hostile]\ndaemon = \"none\"")
        .replace("between = [\"hostile\", \"internet\"]", "between = [\"hostile\", \"internet\"]\nrouting = \"static\"")
        .replace(
            "[link.into.hostile]\nroutes  = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]",
            "[link.into.hostile]\nroutes  = [\"198.51.100.0/24\"]",
        );
    assert!(machine.routes_to("hostile", "2001:db8:1::/48").contains("proto bird"));
    machine.configure(&toml);
    machine.rdsup("apply").ok();
    for family in ["-4", "-6"] {
        let left = machine.line(&format!("ip -n hostile {family} route show proto bird"));
        assert_eq!(left, "", "routes of a daemon that is gone");
    }
    assert!(machine.routes_to("hostile", "198.51.100.0/24").contains("dev rd-internet"));
    machine.assert_converged();
}

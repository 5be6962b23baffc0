//! Which routes go on from one link to another, and which from one neighbor to another.

use std::time::Duration;

use crate::machine::{Machine, SOON, eventually, throughout};
use crate::speaker::Speaker;

/// left – middle – right over BGP, and stub, a domain without a daemon, on a static link of middle. Everybody would accept
/// everything; left may go on to right and to stub.
const CHAIN: &str = r#"
[domain.left]
asn      = 65001
loopback = ["10.1.0.1/32"]
networks = ["10.1.0.0/16"]
families = ["ipv4"]
[domain.middle]
asn      = 65002
loopback = ["10.2.0.1/32"]
networks = ["10.2.0.0/16"]
families = ["ipv4"]
[domain.right]
asn      = 65003
loopback = ["10.3.0.1/32"]
networks = ["10.3.0.0/16"]
families = ["ipv4"]
[domain.other]
asn      = 65004
loopback = ["10.4.0.1/32"]
networks = ["10.4.0.0/16"]
families = ["ipv4"]
[domain.stub]
daemon   = "none"
loopback = ["10.5.0.1/32"]
networks = ["10.5.0.0/16"]
families = ["ipv4"]

[[link]]
between = ["left", "middle"]
[link.into.left]
routes  = ["10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16"]
transit = ["right", "stub"]
[link.into.middle]
routes  = ["10.1.0.0/16"]

[[link]]
between = ["middle", "right"]
[link.into.middle]
routes  = ["10.3.0.0/16"]
[link.into.right]
routes  = ["10.1.0.0/16", "10.2.0.0/16", "10.4.0.0/16", "10.5.0.0/16"]

[[link]]
between = ["middle", "other"]
[link.into.middle]
routes  = ["10.4.0.0/16"]
[link.into.other]
routes  = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.5.0.0/16"]

[[link]]
between = ["middle", "stub"]
routing = "static"
[link.into.middle]
routes  = ["10.5.0.0/16"]
[link.into.stub]
routes  = ["10.2.0.0/16"]
"#;

impl Machine {
    /// Which of these prefixes a domain's kernel sends out over a link.
    fn has(&self, domain: &str, prefix: &str) -> bool {
        self.routes_to(domain, prefix).contains(" dev rd-")
    }

    #[track_caller]
    fn learns(&self, domain: &str, prefixes: &[&str]) {
        for prefix in prefixes {
            eventually(SOON, &format!("{domain} learns {prefix}"), || self.has(domain, prefix));
        }
    }

    #[track_caller]
    fn never_learns(&self, domain: &str, prefixes: &[&str]) {
        throughout(Duration::from_millis(500), &format!("{domain} does not learn {prefixes:?}"), || {
            !prefixes.iter().any(|prefix| self.has(domain, prefix))
        });
    }
}

/// The times since which sessions are up; they change with every reset.
fn since(machine: &Machine, sessions: &[(&str, &str)]) -> Vec<String> {
    sessions.iter().map(|(domain, protocol)| machine.session(domain, protocol)).collect()
}

#[test]
fn only_the_domains_that_transit_names_are_reached_through_another() {
    let machine = Machine::running(CHAIN);
    machine.learns("left", &["10.2.0.0/16", "10.3.0.0/16", "10.5.0.0/16"]);
    for domain in ["right", "other"] {
        machine.learns(domain, &["10.2.0.0/16"]);
    }
    machine.never_learns("left", &["10.4.0.0/16"]);
    machine.never_learns("right", &["10.1.0.0/16", "10.4.0.0/16", "10.5.0.0/16"]);
    machine.never_learns("other", &["10.1.0.0/16", "10.3.0.0/16", "10.5.0.0/16"]);
}

#[test]
fn transit_comes_and_goes_with_the_file_and_no_session_resets() {
    const SESSIONS: [(&str, &str); 4] =
        [("left", "rd_middle"), ("middle", "rd_left"), ("middle", "rd_right"), ("right", "rd_middle")];
    let machine = Machine::running(CHAIN);
    machine.learns("left", &["10.3.0.0/16", "10.5.0.0/16"]);
    let before = since(&machine, &SESSIONS);
    machine.configure(&CHAIN.replace(r#"transit = ["right", "stub"]"#, r#"transit = ["other"]"#));
    machine.rdsup("apply").ok();
    machine.learns("left", &["10.4.0.0/16"]);
    eventually(SOON, "the others go", || !machine.has("left", "10.3.0.0/16") && !machine.has("left", "10.5.0.0/16"));
    machine.configure(CHAIN);
    machine.rdsup("apply").ok();
    machine.learns("left", &["10.3.0.0/16", "10.5.0.0/16"]);
    eventually(SOON, "the other one goes", || !machine.has("left", "10.4.0.0/16"));
    assert_eq!(since(&machine, &SESSIONS), before, "a session was reset");
}

/// middle shows a part of itself to right as something else, and opens two services: at its own address and published.
const SHOWN: &str = r#"
alias = { real = "10.2.5.0/24", seen = "198.18.5.0/24" }
nat   = { from = ["10.2.6.0/24"], to = "198.18.9.9" }
"#;

const SERVICES: &str = r#"
[[service]]
name   = "wiki"
domain = "middle"
at     = "10.2.7.7:443/tcp"
expose = [{ to = "right" }, { to = "other", as = "198.18.1.1:443" }, { to = "stub" }]
"#;

fn shown() -> String {
    let right = r#"routes  = ["10.1.0.0/16", "10.2.0.0/16", "10.4.0.0/16", "10.5.0.0/16"]"#;
    let wide = r#"routes  = ["10.2.0.0/16 le 32", "198.18.5.0/24", "198.18.9.9/32"]"#;
    let toml = CHAIN.replace(right, &format!("{wide}{SHOWN}"));
    let other = r#"routes  = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.5.0.0/16"]"#;
    let toml = toml.replace(other, r#"routes  = ["10.2.0.0/16 le 32", "198.18.0.0/15 le 32"]"#);
    // Parts of the networks that are hidden from right and from nobody else.
    let parts = "[[domain.middle.route]]\nto = \"10.2.5.0/24\"\nkind = \"blackhole\"\n\
                 [[domain.middle.route]]\nto = \"10.2.6.128/25\"\nkind = \"blackhole\"\n";
    format!("{toml}{parts}{SERVICES}")
}

#[test]
fn what_is_seen_as_something_else_and_hosts_of_services_are_announced_over_their_link_alone() {
    let machine = Machine::running(&shown());
    machine.learns("right", &["10.2.0.0/16", "198.18.5.0/24", "198.18.9.9/32", "10.2.7.7/32"]);
    machine.learns("other", &["10.2.0.0/16", "10.2.5.0/24", "10.2.6.128/25", "198.18.1.1/32"]);
    machine.learns("stub", &["10.2.7.7/32"]);
    machine.never_learns("right", &["10.2.5.0/24", "10.2.6.128/25", "198.18.1.1/32"]);
    machine.never_learns("other", &["198.18.5.0/24", "198.18.9.9/32", "10.2.7.7/32"]);
    machine.never_learns("left", &["10.2.7.7/32"]);
    for prefix in ["198.18.5.0/24", "198.18.9.9/32", "198.18.1.1/32"] {
        let route = machine.routes_to("middle", prefix);
        assert!(route.starts_with("unreachable "), "middle itself must answer for {prefix}: {route}");
    }
    let labels = machine.birdc("right", "show route all");
    assert!(!labels.contains("(65002, "), "the labels of middle have left it:\n{labels}");
    machine.assert_converged();
}

#[test]
fn services_and_translations_come_and_go_and_no_session_resets() {
    const SESSIONS: [(&str, &str); 4] =
        [("middle", "rd_right"), ("right", "rd_middle"), ("middle", "rd_other"), ("other", "rd_middle")];
    let machine = Machine::running(CHAIN);
    let before = since(&machine, &SESSIONS);
    machine.configure(&shown());
    machine.rdsup("apply").ok();
    machine.learns("right", &["198.18.5.0/24", "198.18.9.9/32", "10.2.7.7/32"]);
    machine.learns("other", &["198.18.1.1/32"]);
    machine.configure(CHAIN);
    machine.rdsup("apply").ok();
    for (domain, prefix) in [("right", "198.18.5.0/24"), ("right", "10.2.7.7/32"), ("other", "198.18.1.1/32")] {
        eventually(SOON, &format!("{prefix} goes"), || !machine.has(domain, prefix));
    }
    assert_eq!(since(&machine, &SESSIONS), before, "a session was reset");
}

/// edge between two upstreams and a linked domain. Everybody would take everything.
const EDGE: &str = r#"
[domain.edge]
asn      = 65001
loopback = ["198.51.100.1/32"]
networks = ["198.51.100.0/24"]
families = ["ipv4"]
[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/30"]
[[domain.edge.interface]]
name    = "up1"
address = ["203.0.113.6/30"]
[[domain.edge.neighbor]]
name     = "one"
address  = "203.0.113.1"
asn      = 3333
routes   = ["any"]
announce = ["any"]
[[domain.edge.neighbor]]
name     = "two"
address  = "203.0.113.5"
asn      = 4444
routes   = ["any"]
announce = ["any"]
[domain.inner]
asn      = 65002
loopback = ["10.2.0.1/32"]
networks = ["10.2.0.0/16"]
families = ["ipv4"]
[[link]]
between = ["edge", "inner"]
[link.into.edge]
routes  = ["10.2.0.0/16"]
[link.into.inner]
routes  = ["any"]
"#;

const SECOND: &str = "
router id 203.0.113.5;
protocol device { }
protocol static { ipv4; route 9.4.0.0/16 unreachable; }
protocol bgp edge { local 203.0.113.5 as 4444; neighbor 203.0.113.6 as 65001; ttl security on;
    connect delay time 1; connect retry time 1; ipv4 { import all; export where source = RTS_STATIC; }; }
";

#[test]
fn routes_of_an_outside_neighbor_go_inside_and_to_no_other_whatever_labels_they_come_with() {
    let machine = Machine::new(EDGE);
    for (number, namespace, address) in [(0, "isp", "203.0.113.1/30"), (1, "isp2", "203.0.113.5/30")] {
        machine.sh(&format!(
            "ip netns add {namespace}; ip link add up{number} type veth peer name edge netns {namespace}
             ip -n {namespace} link set lo up; ip -n {namespace} link set edge up; ip link set up{number} up
             ip -n {namespace} address add {address} dev edge"
        ));
    }
    machine.write("/srv/machine/isp2.conf", SECOND);
    machine.line("ip netns exec isp2 bird -c /srv/machine/isp2.conf -s /srv/machine/isp2.ctl -P /srv/machine/isp2.pid");
    machine.rdsup("start --detach").ok();
    let mark = {
        let exported = machine.run(&["cat", "/run/rdsup/edge/bird.conf"]).stdout;
        let at = exported.find("!~ [(65001, 2, ").expect("the label of the link") + "!~ [(65001, 2, ".len();
        exported[at..].split(')').next().expect("its end").to_owned()
    };
    // As if it had entered over the link, was for that link or neighbor only, or had come from outside another way.
    let speaker = Speaker::new(("203.0.113.1", 3333), ("203.0.113.2", 65001))
        .says("9.1.0.0/16", "")
        .says("9.2.0.0/16", "large-community [ 65001:1:65002 ]")
        .says("9.3.0.0/16", &format!("large-community [ 65001:2:{mark} ]"))
        .says("9.5.0.0/16", "large-community [ 65001:3:1 65001:4:0 65001:4:7 ]")
        .says("9.6.0.0/16", "large-community [ 3333:1:1 ]");
    let _speaking = machine.speak("isp", &[speaker]);
    let all = ["9.1.0.0/16", "9.2.0.0/16", "9.3.0.0/16", "9.5.0.0/16", "9.6.0.0/16"];
    machine.learns("inner", &all);
    machine.learns("inner", &["9.4.0.0/16"]);
    let second = || machine.sh("birdc -s /srv/machine/isp2.ctl show route all protocol edge");
    eventually(SOON, "the second neighbor learns what is the domain's", || {
        second().contains("198.51.100.0/24") && second().contains("10.2.0.0/16")
    });
    throughout(Duration::from_secs(1), "no route of one neighbor reaches the other", || {
        !second().lines().any(|line| line.starts_with("9."))
    });
    let table = machine.birdc("edge", "show route all protocol ext_one");
    for label in ["(65001, 1,", "(65001, 2,", "(65001, 3,", "(65001, 4, 7)"] {
        assert!(!table.contains(label), "{label} is believed:\n{table}");
    }
    assert_eq!(table.matches("(65001, 4, 0)").count(), 5, "{table}");
    assert!(table.contains("(3333, 1, 1)"), "communities of others are none of our business:\n{table}");
    assert!(!machine.birdc("inner", "show route all").contains("(65001,"), "a label has left the domain");
}

//! External BGP neighbors over a claimed interface, against a plain BIRD.

use crate::machine::{CONFIG, Machine, RDSUP, SOON, eventually, words};

/// A domain with an upstream on `up0`, spoken to over both families.
pub const EDGE: &str = r#"
[domain.edge]
asn      = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]

[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/30", "2001:db8:ffff::2/64"]
input   = ["icmp"]

[[domain.edge.neighbor]]
name     = "transit"
address  = "203.0.113.1"
asn      = 64510
routes   = ["0.0.0.0/0", "8.8.0.0/16 le 32"]
announce = ["198.51.100.0/24"]
preference = 200
password = { file = "/srv/machine/transit.key" }

[[domain.edge.neighbor]]
name     = "transit6"
address  = "2001:db8:ffff::1"
asn      = 64510
routes   = ["::/0", "2a00::/16 le 48"]
announce = ["2001:db8:1::/48"]
"#;

const UPSTREAM: &str = r#"
router id 203.0.113.1;
protocol device { }
protocol kernel { ipv4 { export all; import none; }; }
protocol kernel { ipv6 { export all; import none; }; }
protocol static { ipv4;
    route 0.0.0.0/0 unreachable; route 8.8.8.0/24 unreachable; route 8.8.8.128/25 unreachable;
    route 10.0.0.0/8 unreachable; route 100.64.0.0/10 unreachable; route 192.0.2.0/24 unreachable;
    route 198.51.100.0/25 unreachable; route 9.9.9.0/24 unreachable; }
protocol static { ipv6; route ::/0 unreachable; route 2a00:1450::/32 unreachable; route 2a01::/16 unreachable; }
template bgp customer {
    local as 64510; ttl security on; connect delay time 1; connect retry time 1; error wait time 1,5;
}
protocol bgp four from customer {
    neighbor 203.0.113.2 as 65001; password "s3cret words"; ipv4 { import all; export where source = RTS_STATIC; };
}
protocol bgp six from customer {
    neighbor 2001:db8:ffff::2 as 65001; ipv6 { import all; export where source = RTS_STATIC; };
}
"#;

/// A machine with an interface `up0` that leads to a namespace `isp` with a BIRD of its own.
pub fn machine(toml: &str, upstream: &str) -> Machine {
    let machine = leads_out(toml);
    machine.write("/srv/machine/isp.conf", upstream);
    machine.line("ip netns exec isp bird -c /srv/machine/isp.conf -s /srv/machine/isp.ctl -P /srv/machine/isp.pid");
    machine
}

/// The same without anybody who answers there.
pub fn leads_out(toml: &str) -> Machine {
    let machine = Machine::new(toml);
    machine.sh("ip netns add isp
         ip link add up0 type veth peer name customer netns isp
         ip -n isp link set lo up; ip -n isp link set customer up; ip link set up0 up
         ip -n isp address add 203.0.113.1/30 dev customer; ip -n isp address add 2001:db8:ffff::1/64 dev customer nodad
         ip -n isp address add 8.8.8.8/32 dev lo
         ip address add 203.0.113.2/30 dev up0; ip address add 2001:db8:ffff::2/64 dev up0 nodad
         ip route add 100.100.0.0/16 via 203.0.113.1 metric 7; ip link set up0 mtu 1480");
    // The kernel says so a moment after it is.
    eventually(SOON, "up0 is up", || machine.line("ip -o link show dev up0").contains("state UP"));
    machine.write("/srv/machine/transit.key", "s3cret words\n");
    machine.sh("chmod 600 /srv/machine/transit.key");
    machine
}

pub fn isp(machine: &Machine, command: &str) -> String {
    machine.sh(&format!("birdc -s /srv/machine/isp.ctl {command}"))
}

#[test]
fn an_external_neighbor_is_peered_with_over_both_families_and_with_a_password() {
    let machine = machine(EDGE, UPSTREAM);
    machine.start();
    assert!(machine.established("edge", "ext_transit"), "{}", machine.session("edge", "ext_transit"));
    assert!(machine.established("edge", "ext_transit6"), "{}", machine.session("edge", "ext_transit6"));
    eventually(SOON, "the IPv4 network is announced", || {
        isp(&machine, "show route protocol four").contains("198.51.100.0/24")
    });
    eventually(SOON, "the IPv6 network is announced", || {
        isp(&machine, "show route protocol six").contains("2001:db8:1::/48")
    });
    let announced = isp(&machine, "show route protocol four");
    assert!(!announced.contains("198.51.100.1/32"), "the loopback is not in `announce`: {announced}");
    machine.assert_converged();
}

#[test]
fn from_an_external_neighbor_only_what_is_listed_is_learned() {
    let machine = machine(EDGE, UPSTREAM);
    machine.start();
    for prefix in ["default", "8.8.8.0/24"] {
        eventually(SOON, &format!("{prefix} is learned"), || machine.routes_to("edge", prefix).contains("dev up0"));
    }
    eventually(SOON, "IPv6 is learned", || machine.routes_to("edge", "2a00:1450::/32").contains("dev up0"));
    for (prefix, why) in [("8.8.8.128/25", "too specific"), ("9.9.9.0/24", "not listed"), ("2a01::/16", "not listed")] {
        assert!(machine.routes_to("edge", prefix).is_empty(), "{prefix} was learned: {why}");
    }
}

#[test]
fn a_range_over_everything_lets_in_neither_bogons_nor_what_is_ours() {
    let machine = machine(&EDGE.replace(r#""0.0.0.0/0", "8.8.0.0/16 le 32""#, r#""0.0.0.0/0 le 24""#), UPSTREAM);
    machine.start();
    for prefix in ["8.8.8.0/24", "9.9.9.0/24"] {
        eventually(SOON, &format!("{prefix} is learned"), || machine.routes_to("edge", prefix).contains("dev up0"));
    }
    for (prefix, why) in [
        ("10.0.0.0/8", "RFC 1918"),
        ("100.64.0.0/10", "shared address space"),
        ("192.0.2.0/24", "documentation"),
        ("198.51.100.0/25", "our own"),
    ] {
        assert!(!machine.routes_to("edge", prefix).contains("dev up0"), "{prefix} was learned: {why}");
    }
}

#[test]
fn a_wrong_password_gives_no_session_and_the_secret_is_printed_nowhere() {
    let machine = machine(EDGE, &UPSTREAM.replace("s3cret words", "another"));
    machine.rdsup("start --detach").ok();
    eventually(SOON, "the session without password comes up", || machine.established("edge", "ext_transit6"));
    assert!(!machine.established("edge", "ext_transit"));
    let printed = ["plan", "render", "render edge", "status", "status --json", "log edge", "check", "-v plan"]
        .map(|verb| {
            let said = machine.rdsup(verb);
            format!("{}{}", said.stdout, said.stderr)
        })
        .concat();
    assert!(printed.contains("transit"), "nothing was printed at all");
    assert!(!printed.contains("s3cret"), "the password was printed:\n{printed}");
    let readable = machine.sh("find /run/rdsup /var/lib -type f -perm /o+r -exec grep -l s3cret {} + || true");
    assert_eq!(readable, "", "the password is in a file that everyone can read");
}

/// What an interface has that is given back.
const AS_IT_WAS: &str = "ip -o link show dev up0 | sed 's/^[0-9]*: //'; ip -o address show dev up0 scope global | sed 's/^[0-9]*: //'; ip route; ip -6 route show 2001:db8:ffff::/64";

/// The same, as soon as the kernel tells the state of the link that was just set up.
fn settled(machine: &Machine) -> String {
    eventually(SOON, "up0 is up", || machine.line("ip -o link show dev up0").contains("state UP"));
    machine.sh(AS_IT_WAS)
}

#[test]
fn a_claimed_interface_is_given_back_at_stop_as_it_was() {
    let machine = machine(EDGE, UPSTREAM);
    let before = machine.sh(AS_IT_WAS);
    assert!(before.contains("100.100.0.0/16"), "{before}");
    machine.start();
    assert!(!machine.line("ip -o link").contains("up0"), "up0 is still in the host");
    machine.line("ip -n edge link show dev up0");
    machine.signal_supervisor("KILL");
    machine.start();
    machine.stop();
    machine.assert_prints(&before, AS_IT_WAS);
    assert!(machine.run(&["ping", "-n", "-c", "1", "-W", "1", "203.0.113.1"]).status.success());
}

#[test]
fn an_interface_that_was_down_in_the_host_is_down_there_again_and_stopping_twice_does_no_harm() {
    let machine = machine(EDGE, UPSTREAM);
    machine.line("ip link set up0 down");
    let look = "ip -o link show dev up0 | sed 's/^[0-9]*: //; s/qdisc [a-z]*//'; ip -o address show dev up0 | sed 's/^[0-9]*: //'";
    eventually(SOON, "it is down", || machine.sh(look).contains("state DOWN"));
    let before = machine.sh(look);
    machine.rdsup("start --detach").ok();
    machine.line("ip -n edge link show dev up0");
    machine.stop();
    machine.assert_prints(&before, look);
    let again = machine.rdsup("stop");
    assert!(again.status.success() && again.stderr.contains("nothing to stop"), "{again}");
    machine.assert_prints(&before, look);
}

#[test]
fn an_interface_is_given_back_as_it_was_though_the_state_directory_or_the_run_directory_is_lost() {
    let machine = machine(EDGE, UPSTREAM);
    let before = machine.sh(AS_IT_WAS);
    let records = "/var/lib/rdsup/interfaces/up0.json /run/rdsup/interface.up0.json";
    let mode = |file: &str| machine.line(&format!("stat -c %a:%u {file}"));
    machine.rdsup("start --detach").ok();
    for (lost, files) in [("/var/lib/rdsup", "/var/lib/rdsup"), ("its copy", "/run/rdsup/interface.up0.json")] {
        machine.lose(files);
        eventually(SOON, &format!("{lost} is filled again"), || {
            machine.run(&words(&format!("ls {records}"))).status.success()
        });
        assert!(words(records).into_iter().all(|file| mode(file) == "600:0\n"));
    }
    // Where it cannot be kept the network does without, and it comes as soon as it can.
    let problems = || machine.rdsup("status").stdout.split("PROBLEMS").nth(1).unwrap_or_default().to_owned();
    machine.rdsup("status --wait 30s").ok();
    let usual = problems();
    machine.unattended();
    machine.sh("rm -rf /var/lib/rdsup; echo text >/var/lib/rdsup");
    let said = machine.rdsup("start --detach");
    assert!(
        said.stderr.contains("what is remembered is not kept there: cannot write /var/lib/rdsup/interfaces/"),
        "{said}"
    );
    assert_eq!(problems(), usual);
    assert!(machine.plan().contains("nothing to do"), "a plan lists what the supervisor sees to");
    machine.unattended();
    machine.line("rm /var/lib/rdsup");
    machine.rdsup("start --detach").ok();
    assert!(words(records).into_iter().all(|file| mode(file) == "600:0\n"));
    machine.unattended();
    for lost in ["/var/lib/rdsup", "/run/rdsup/interface.up0.json"] {
        machine.line(&format!("rm -rf {lost}"));
        machine.stop();
        machine.assert_prints(&before, AS_IT_WAS);
        assert!(!machine.run(&words(&format!("ls {records}"))).stdout.contains("up0"), "a record is left");
        machine.rdsup("start --detach").ok();
        machine.unattended();
    }
}

#[test]
fn an_interface_that_was_renamed_in_its_domain_is_given_back_once_and_is_the_admins_from_then_on() {
    let machine = machine(EDGE, UPSTREAM);
    let before = machine.sh(AS_IT_WAS);
    machine.rdsup("start --detach").ok();
    machine.unattended();
    let rename = |run: &str, from: &str, to: &str| {
        machine.sh(&format!("{run} link set {from} down; {run} link set {from} name {to}; {run} link set {to} up"));
    };
    rename("ip -n edge", "up0", "foo0");
    machine.stop();
    machine.assert_prints(&before.replace("up0", "foo0"), &AS_IT_WAS.replace("up0", "foo0"));
    machine.sh("ip address flush dev foo0");
    rename("ip", "foo0", "up0");
    machine.sh("ip link set up0 mtu 1400; ip address add 10.1.1.1/24 dev up0");
    let admins = settled(&machine);
    machine.stop();
    machine.assert_prints(&admins, AS_IT_WAS);
}

#[test]
fn what_an_interface_had_is_forgotten_when_it_is_nowhere_at_the_end_and_no_namesake_gets_it() {
    let machine = machine(EDGE, UPSTREAM);
    machine.rdsup("start --detach").ok();
    machine.sh("ip netns add elsewhere; ip -n edge link set up0 netns elsewhere");
    let said = machine.rdsup("stop");
    assert!(said.status.success(), "{said}");
    let words =
        "interface up0 of domain edge is gone; forgotten is what it had in the host: up, MTU 1480, 203.0.113.2/30";
    assert!(said.stderr.contains(words), "{said}");
    machine
        .sh("ip -n elsewhere link set up0 netns $$; ip link set up0 mtu 1400 up; ip address add 10.1.1.1/24 dev up0");
    let admins = settled(&machine);
    machine.stop();
    machine.assert_prints(&admins, AS_IT_WAS);
    // Nor does another one of that name, whose record was kept because nobody stopped it to the end.
    machine.rdsup("start --detach").ok();
    machine.signal_supervisor("KILL");
    machine.sh("ip -n edge link set up0 netns elsewhere; ip link add up0 type veth peer name up1; ip link set up0 up
         ip address add 10.2.2.2/24 dev up0");
    eventually(SOON, "its other end is down", || machine.line("ip -o link show dev up0").contains("NO-CARRIER"));
    let namesake = machine.sh(AS_IT_WAS);
    machine.stop();
    machine.assert_prints(&namesake, AS_IT_WAS);
}

#[test]
fn what_an_interface_has_and_will_not_get_back_is_named_before_it_is_claimed() {
    let machine = machine(EDGE, UPSTREAM);
    let told = |said: &str| {
        said.lines().find(|line| line.contains("is not given back at stop with: ")).unwrap_or_default().to_owned()
    };
    let plain = machine.rdsup("plan");
    assert_eq!(told(&plain.stderr), "", "of what it has everything is given back");
    machine.sh("ip route add 10.1.0.0/16 via 203.0.113.1 table 100
         ip route add 10.2.0.0/16 nexthop via 203.0.113.1 dev up0 nexthop via 203.0.113.1 dev up0 onlink
         ip route add 10.3.0.0/16 via 203.0.113.1 mtu 1400
         ip -6 route add 2001:db8:77::/48 via 2001:db8:ffff::1 table 100
         ip address add 10.9.9.1 peer 10.9.9.2 dev up0; ip address add 10.8.8.1/24 dev up0 valid_lft 3000 preferred_lft 3000
         ip neighbor add 203.0.113.3 lladdr 02:00:00:00:00:09 dev up0
         tc qdisc add dev up0 root tbf rate 1mbit burst 10k latency 50ms || true");
    let expected = [
        "interface up0",
        "route 10.1.0.0/16 in table 100",
        "route 10.2.0.0/16 with several next hops",
        "route 10.3.0.0/16 with metrics",
        "route 2001:db8:77::/48 in table 100",
        "the peer of 10.9.9.1/32",
        "the lifetime of 10.8.8.1/24",
        "neighbor 203.0.113.3",
    ];
    for line in [told(&machine.rdsup("plan").stderr), told(&machine.rdsup("start --detach").stderr)] {
        assert!(expected.iter().all(|words| line.contains(words)), "{line}");
    }
    machine.stop();
    let routes = machine.line("ip route show dev up0");
    assert!(routes.contains("10.3.0.0/16") && routes.contains("100.100.0.0/16"), "the rest is given back: {routes}");
}

#[test]
fn an_interface_whose_record_is_lost_is_given_back_and_stop_says_what_it_could_not_restore() {
    let machine = machine(EDGE, UPSTREAM);
    machine.rdsup("start --detach").ok();
    machine.unattended();
    machine.sh("rm -rf /var/lib/rdsup /run/rdsup/interface.*");
    let said = machine.rdsup("stop");
    assert!(said.status.success() && said.stderr.contains("up0 goes back to the host without the addresses"), "{said}");
    assert!(machine.line("ip -o link show dev up0").contains("up0"));
    assert!(!machine.line("ip netns list").contains("edge"));
}

#[test]
fn an_interface_that_is_not_there_yet_is_named_in_the_status_and_hurts_nobody_else() {
    let machine = machine(&EDGE.replace("up0", "up1"), UPSTREAM);
    machine.run(&[RDSUP, "-c", CONFIG, "start", "--detach"]);
    let status = machine.rdsup("status");
    assert!(status.stdout.contains("up1") || status.stderr.contains("up1"), "{status}");
    machine.line("ip link show dev up0");
}

#[test]
fn a_claimed_interface_without_a_carrier_is_a_problem_of_its_domain() {
    let machine = machine(EDGE, UPSTREAM);
    machine.start();
    machine.line("ip -n isp link set customer down");
    eventually(SOON, "the status names the interface", || {
        machine.rdsup("status").stdout.contains("interface up0 is down")
    });
    machine.line("ip -n isp link set customer up");
    eventually(SOON, "all is well again", || !machine.rdsup("status").stdout.contains("up0 is down"));
}

#[test]
fn the_domain_answers_on_an_outside_interface_only_what_input_names() {
    let machine = machine(EDGE, UPSTREAM);
    machine.start();
    let _server = machine.listen(Some("edge"), "203.0.113.2", 22);
    assert!(machine.pings("isp", "203.0.113.2"), "`input` names icmp");
    assert!(!machine.connects(Some("isp"), "203.0.113.2", 22));
}

#[test]
fn neighbor_discovery_for_another_wire_is_not_forwarded_from_outside() {
    let machine = machine(EDGE, UPSTREAM);
    machine.start();
    machine.unattended();
    // What lies behind the domain is of no importance here: the packet must not get as far as the route to it.
    machine.line("ip -n edge -6 route add 2001:db8:1:1::/64 dev up0");
    machine.line("ip -n isp -6 address add 2001:db8:2::77/128 dev lo nodad");
    machine.line("ip -n isp -6 route add 2001:db8:1:1::/64 via 2001:db8:ffff::2");
    let past = |destination| {
        machine.watch("edge", "prerouting", "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } icmpv6 code 7");
        machine.discovers("isp", "2001:db8:2::77", destination);
        machine.watched("edge")
    };
    let arrives = |destination| {
        past(destination);
        eventually(SOON, "a solicitation for the wire goes past", || machine.watched("edge") > 0);
        machine.watched("edge")
    };
    assert_eq!(past("2001:db8:1:1::2"), 0, "a solicitation for a host behind the domain went past the filter");
    assert_eq!(past("2001:db8:1::1"), 0, "a solicitation for the loopback went past the filter");
    assert_eq!(arrives("2001:db8:ffff::2"), 1, "a solicitation for the wire is dropped too: the test proves nothing");
}

#[test]
fn from_outside_comes_neither_an_inside_source_nor_a_packet_for_another_interface() {
    let machine = machine(EDGE, UPSTREAM);
    machine.start();
    machine.unattended();
    machine.sh("ip -n isp address add 198.51.100.77/32 dev lo; ip -n isp address add 2001:db8:1::77/128 dev lo nodad
         ip -n isp route replace 198.51.100.1/32 via 203.0.113.2
         ip -n isp -6 route replace 2001:db8:1::1/128 via 2001:db8:ffff::2");
    for (source, destination) in [("198.51.100.77", "203.0.113.2"), ("2001:db8:1::77", "2001:db8:ffff::2")] {
        machine.watch("edge", "input", "iifname up0 meta l4proto { icmp, ipv6-icmp } @th,0,8 { 8, 128 }");
        let rising = machine.rising("edge", || {
            machine.within("isp", &format!("ping -n -c 1 -W 1 -I {source} {destination}"));
        });
        assert_eq!(machine.watched("edge"), 0, "{source} came in");
        assert!(rising.iter().any(|name| name == "drop.up0.spoofed"), "{rising:?}");
        assert!(machine.pings("isp", destination), "nothing comes in at all: the test proves nothing");
    }
    for loopback in ["198.51.100.1", "2001:db8:1::1"] {
        let rising = machine.rising("edge", || assert!(!machine.pings("isp", loopback), "{loopback} answers"));
        assert!(rising.iter().any(|name| name == "drop.up0.weak_host"), "{rising:?}");
    }
}

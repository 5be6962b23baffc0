//! Networks in which everything is tried: the matrix.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::setup::World;

/// A domain `name` with the number `n`: loopbacks, networks, and a host behind an inside interface, to which everything goes
/// that the domain has no better route to.
fn domain(name: &str, n: u8, extra: &str) -> String {
    format!(
        r#"
[domain.{name}]
asn = 650{n:02}
loopback = ["10.{n}.0.1/32", "2001:db8:{n}::1/128"]
networks = ["10.{n}.0.0/16", "2001:db8:{n}::/48"]
{extra}
[[domain.{name}.interface]]
name = "lan-{name}"
address = ["10.{n}.1.1/24", "2001:db8:{n}:1::1/64"]
[[domain.{name}.route]]
to = "10.{n}.0.0/17"
via = "10.{n}.1.2"
[[domain.{name}.route]]
to = "10.{n}.128.0/17"
via = "10.{n}.1.2"
[[domain.{name}.route]]
to = "2001:db8:{n}::/49"
via = "2001:db8:{n}:1::2"
[[domain.{name}.route]]
to = "2001:db8:{n}:8000::/49"
via = "2001:db8:{n}:1::2"
"#
    )
}

/// Hosts, each in a namespace `h-HOST`, behind the interface `lan-HOST` of a domain: domain, host, number.
fn hosts(hosts: &[(&str, &str, u8)]) -> (String, String) {
    let (mut before, mut after) = (String::new(), String::new());
    for (domain, host, n) in hosts {
        let _ = write!(
            before,
            "ip netns add h-{host}; ip link add lan-{host} type veth peer name lan netns h-{host}
             ip -n h-{host} link set lo up; ip -n h-{host} link set lan up; ip link set lan-{host} up
             ip -n h-{host} address add 10.{n}.1.2/24 dev lan
             ip -n h-{host} address add 2001:db8:{n}:1::2/64 dev lan nodad\n"
        );
        // Whatever goes there comes out there, and nothing waits for an address to be resolved.
        let _ = write!(
            after,
            "mac=$(ip -n h-{host} -o link show dev lan | sed 's/.*link.ether //; s/ .*//')
             for a in 10.{n}.1.0 10.{n}.1.2 10.{n}.1.254 2001:db8:{n}:1::2 2001:db8:{n}:1:ffff:ffff:ffff:ffff; do
                 ip -n {domain} neighbor replace $a lladdr $mac dev lan-{host}; done\n"
        );
    }
    (before, after)
}

fn leak<T: ?Sized>(value: Box<T>) -> &'static T {
    Box::leak(value)
}

fn world(
    name: &'static str,
    toml: String,
    behind: &[(&str, &str, u8)],
    learned: &[(&'static str, &'static str)],
) -> World {
    let (before, after) = hosts(behind);
    let text = |text: String| leak(text.into_boxed_str());
    let domains: BTreeSet<String> = behind.iter().map(|(domain, ..)| (*domain).to_owned()).collect();
    let hosts = behind.iter().map(|(_, host, _)| format!("h-{host}"));
    let namespaces: Vec<&'static str> = domains.into_iter().chain(hosts).map(text).collect();
    World {
        name,
        toml: text(toml),
        before: text(before),
        after: text(after),
        namespaces: leak(namespaces.into_boxed_slice()),
        frr: &[],
        edits: &[],
        waits: true,
        learned: leak(learned.to_vec().into_boxed_slice()),
    }
}

/// a – b – c: b accepts little, a accepts everything from b, b–c is static.
pub fn chain() -> World {
    let toml = domain("a", 1, "")
        + &domain("b", 2, "")
        + &domain("c", 3, "")
        + r#"
[[link]]
between = ["a", "b"]
[link.into.a]
routes = ["0.0.0.0/0 le 17", "::/0 le 49"]
packets = ["tcp/22", "icmp"]
[link.into.b]
routes = ["10.1.0.0/16", "2001:db8:1::/48 le 64"]
packets = ["tcp/80,8000-8080", "udp/53", "icmp", "gre"]
[[link]]
between = ["c", "b"]
routing = "static"
[link.into.c]
routes = ["10.2.0.0/17", "2001:db8:2:8000::/49"]
packets = ["udp/1-1024"]
[link.into.b]
routes = ["10.3.64.0/18", "2001:db8:3::/48"]
packets = ["any"]
"#;
    let hosts = [("a", "a", 1), ("b", "b", 2), ("c", "c", 3)];
    world("chain", toml, &hosts, &[("b", "10.1.0.0/16"), ("a", "10.2.0.0/16")])
}

/// A hub with three others, two of which meet by transit, and services of the hub.
pub fn transit() -> World {
    let toml = domain("hub", 1, "")
        + &domain("x", 2, "")
        + &domain("y", 3, "")
        + &domain("z", 4, "")
        + r#"
[[service]]
name = "wiki"
domain = "hub"
at = "10.1.7.7:443/tcp"
expose = [{ to = "z" }, { to = "x", as = "192.0.2.5:8443" }]
[[link]]
between = ["x", "hub"]
[link.into.x]
routes = ["10.1.0.0/17", "10.3.0.0/16", "2001:db8:1::/48", "2001:db8:3::/48"]
packets = ["icmp"]
transit = ["y"]
[link.into.hub]
routes = ["10.2.0.0/16", "2001:db8:2::/48"]
packets = ["tcp/80", "icmp"]
[[link]]
between = ["y", "hub"]
routing = "static"
[link.into.y]
routes = ["10.2.0.0/16", "10.4.0.0/16", "10.1.0.0/16", "2001:db8:1::/48", "2001:db8:2::/48"]
packets = ["tcp", "icmp"]
transit = ["x"]
[link.into.hub]
routes = ["10.3.0.0/16", "2001:db8:3::/48"]
packets = ["any"]
[[link]]
between = ["z", "hub"]
[link.into.z]
routes = ["10.1.0.0/17", "10.2.0.0/16", "2001:db8:1::/49"]
packets = ["udp"]
[link.into.hub]
routes = ["10.4.0.0/16", "2001:db8:4::/48"]
packets = ["udp/53"]
"#;
    let hosts = [("hub", "hub", 1), ("x", "x", 2), ("y", "y", 3), ("z", "z", 4)];
    world("transit", toml, &hosts, &[("hub", "10.2.0.0/16"), ("x", "10.3.0.0/16")])
}

/// Everyone is linked with everyone, by BGP and statically.
pub fn triangle() -> World {
    let link = |one: &str, m: u8, other: &str, n: u8, routing: &str, packets: &str| {
        format!(
            r#"
[[link]]
between = ["{one}", "{other}"]
routing = "{routing}"
[link.into.{one}]
routes = ["10.{n}.0.0/16", "2001:db8:{n}::/48"]
packets = [{packets}]
[link.into.{other}]
routes = ["10.{m}.0.0/16", "2001:db8:{m}::/48"]
packets = ["icmp"]
"#
        )
    };
    let toml = domain("a", 1, "")
        + &domain("b", 2, "")
        + &domain("c", 3, "")
        + &link("a", 1, "b", 2, "bgp", r#""tcp/443", "icmp""#)
        + &link("b", 2, "c", 3, "bgp", r#""any""#)
        + &link("c", 3, "a", 1, "static", r#""udp/500,4500", "esp""#);
    let hosts = [("a", "a", 1), ("b", "b", 2), ("c", "c", 3)];
    world("triangle", toml, &hosts, &[("a", "10.2.0.0/16"), ("b", "10.3.0.0/16")])
}

/// Three domains with the same addresses: a and b see each other by aliases, c is one address to b.
pub fn overlap() -> World {
    let same = |name: &str, asn: &str| domain(name, 1, "").replace("65001", asn);
    let toml = same("a", "65001")
        + &same("b", "65002")
        + &same("c", "65003")
        + r#"
[[link]]
between = ["a", "b"]
[link.into.a]
routes = ["198.19.0.0/16", "2001:db8:b::/48"]
alias = [{ real = "10.1.0.0/16", seen = "198.19.0.0/16" }, { real = "2001:db8:1::/48", seen = "2001:db8:b::/48" }]
packets = ["tcp/80", "icmp"]
[link.into.b]
routes = ["198.18.0.0/16", "2001:db8:a::/48"]
alias = [{ real = "10.1.0.0/16", seen = "198.18.0.0/16" }, { real = "2001:db8:1::/48", seen = "2001:db8:a::/48" }]
packets = ["udp/53", "icmp"]
[[link]]
between = ["c", "b"]
[link.into.c]
routes = ["198.20.0.0/16", "2001:db8:bc::/48"]
alias = [{ real = "10.1.0.0/16", seen = "198.20.0.0/16" }, { real = "2001:db8:1::/48", seen = "2001:db8:bc::/48" }]
[link.into.b]
routes = ["192.0.2.3/32", "2001:db8:c::3/128"]
nat = [{ from = ["10.1.0.0/16"], to = "192.0.2.3" }, { from = ["2001:db8:1::/48"], to = "2001:db8:c::3" }]
packets = ["tcp/443", "icmp"]
"#;
    let hosts = [("a", "a", 1), ("b", "b", 1), ("c", "c", 1)];
    world("overlap", toml, &hosts, &[("a", "198.19.0.0/16"), ("b", "198.18.0.0/16"), ("b", "192.0.2.3")])
}

/// A domain with an inside and two outside interfaces, a service, and a link to another.
pub fn external() -> World {
    let outside = |name: &str, n: u8, extra: &str| {
        format!(
            r#"
[[domain.edge.interface]]
name = "lan-{name}"
address = ["10.{n}.1.1/24", "2001:db8:{n}:1::1/64"]
outside = true
{extra}
"#
        )
    };
    let toml = domain("edge", 1, "")
        + &outside(
            "one",
            7,
            r#"packets = ["tcp/25,8000-8080", "icmp"]
input = ["udp/123"]"#,
        )
        + &outside("two", 8, "")
        + &domain("inner", 2, "")
        + r#"
[[link]]
between = ["inner", "edge"]
[link.into.inner]
routes = ["10.1.0.0/16", "2001:db8:1::/48", "10.7.1.0/24"]
packets = ["tcp/25"]
[link.into.edge]
routes = ["10.2.0.0/16", "2001:db8:2::/48"]
packets = ["icmp", "tcp/80"]
"#;
    let hosts = [("edge", "edge", 1), ("edge", "one", 7), ("edge", "two", 8), ("inner", "inner", 2)];
    world("external", toml, &hosts, &[("edge", "10.2.0.0/16"), ("inner", "10.1.0.0/16")])
}

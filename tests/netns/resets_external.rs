//! What `plan` says of sessions with external neighbors, and what becomes of them.

use crate::announced::{Change, Table, Then, settled, try_all};
use crate::external::leads_out;
use crate::machine::Machine;

/// Four neighbors on one wire: with a password, over IPv6, without route refresh, and one several hops away. The link shows that
/// what concerns neighbors leaves it alone.
const FILE: &str = r#"
[domain.edge]
asn = 65001
router_id = "198.51.100.1"
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]

[[domain.edge.interface]]
name = "up0"
address = ["203.0.113.2/29", "2001:db8:ffff::2/64"]
input = ["icmp"]

[[domain.edge.route]]
to = "192.0.2.200/32"
via = "203.0.113.1"

[[domain.edge.neighbor]]
name = "transit"
address = "203.0.113.1"
asn = 64510
routes = ["any"]
announce = ["198.51.100.0/24"]
preference = 200
max_prefixes = 10
password = { file = "/srv/machine/transit.key" }

[[domain.edge.neighbor]]
name = "six"
address = "2001:db8:ffff::1"
asn = 64510
routes = ["2a00::/16 le 48"]

[[domain.edge.neighbor]]
name = "old"
address = "203.0.113.3"
asn = 64511
routes = ["9.8.0.0/16"]
preference = 90

[[domain.edge.neighbor]]
name = "far"
address = "192.0.2.200"
asn = 3333
multihop = 3
routes = ["9.7.0.0/16"]

[domain.left]
asn = 65002
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16"]

[[link]]
between = ["left", "edge"]
[link.into.left]
routes = ["198.51.100.0/24"]
"#;

/// What everybody on the other side says. A BIRD has one session with an address, and each of these has one with 203.0.113.2.
const COMMON: &str = r"
protocol device { }
protocol static { ipv4; route 9.1.0.0/16 unreachable; route 9.2.0.0/16 unreachable; route 9.7.0.0/16 unreachable;
    route 9.8.0.0/16 unreachable; }
protocol static { ipv6; route 2a00:1450::/32 unreachable; }
template bgp any { strict bind; connect delay time 1; connect retry time 1; error wait time 1, 1; }
";

const OTHERS: [(&str, &str); 3] = [
    (
        "near",
        r#"router id 203.0.113.1;
protocol bgp four from any { local 203.0.113.1 as 64510; neighbor 203.0.113.2 as 65001; ttl security on; password "s3cret words";
    ipv4 { import all; export where source = RTS_STATIC; }; }
protocol bgp six from any { local 2001:db8:ffff::1 as 64510; neighbor 2001:db8:ffff::2 as 65001; ttl security on;
    ipv6 { import all; export where source = RTS_STATIC; }; }"#,
    ),
    (
        "old",
        r"router id 203.0.113.3;
protocol bgp old from any { local 203.0.113.3 as 64511; neighbor 203.0.113.2 as 65001; ttl security on; enable route refresh off;
    ipv4 { import all; export where source = RTS_STATIC; }; }",
    ),
    (
        "far",
        r"router id 192.0.2.200;
protocol bgp far from any { local 192.0.2.200 as 3333; neighbor 203.0.113.2 as 65001; multihop 3;
    ipv4 { import all; export where source = RTS_STATIC; }; }",
    ),
];

fn machine() -> Machine {
    let machine = leads_out(FILE);
    machine.sh("ip -n isp address flush dev customer scope global
         ip -n isp address add 203.0.113.1/29 dev customer; ip -n isp address add 203.0.113.3/29 dev customer
         ip -n isp address add 2001:db8:ffff::1/64 dev customer nodad; ip -n isp address add 192.0.2.200/32 dev lo
         ip address flush dev up0; echo s3cret words >/srv/machine/same.key; echo other >/srv/machine/other.key");
    for (name, text) in OTHERS {
        let file = format!("/srv/machine/{name}");
        machine.write(&format!("{file}.conf"), &text.replacen("protocol bgp", &format!("{COMMON}protocol bgp"), 1));
        machine.line(&format!("ip netns exec isp bird -c {file}.conf -s {file}.ctl -P {file}.pid"));
    }
    machine.start();
    machine
}

const TRANSIT: &str = "name = \"transit\"\n";
const SIX: &str = "name = \"six\"\n";
const OLD: &str = "name = \"old\"\n";
const FAR: &str = "name = \"far\"\n";
const CACHE: &str = "[[rpki]]\nname = \"one\"\ndomain = \"edge\"\naddress = \"203.0.113.1\"\nport = 3323\n";

/// What resets nothing, or next to nothing.
const QUIET: &[Change<'static>] = &[
    ("routes", &[("routes = [\"any\"]", "routes = [\"9.1.0.0/16\"]")]),
    (
        "routes, of one without route refresh",
        &[("routes = [\"9.8.0.0/16\"]", "routes = [\"9.8.0.0/16\", \"9.9.0.0/16\"]")],
    ),
    ("preference, of one without route refresh", &[("preference = 90", "preference = 80")]),
    ("max_path, of one without route refresh", &[(OLD, "name = \"old\"\nmax_path = 7\n")]),
    ("announce", &[("announce = [\"198.51.100.0/24\"]", "announce = []")]),
    ("announce, of one without route refresh", &[(OLD, "name = \"old\"\nannounce = [\"198.51.100.0/24\"]\n")]),
    ("preference", &[("preference = 200", "preference = 300")]),
    ("max_prefixes, above what is there", &[("max_prefixes = 10", "max_prefixes = 4")]),
    ("max_path", &[(TRANSIT, "name = \"transit\"\nmax_path = 7\n")]),
    ("accept_default", &[(TRANSIT, "name = \"transit\"\naccept_default = true\n")]),
    ("description", &[(TRANSIT, "name = \"transit\"\ndescription = \"circuit } 4711\"\n")]),
    ("the same password from another file", &[("transit.key", "same.key")]),
    ("interface: input", &[("input = [\"icmp\"]", "input = [\"icmp\", \"udp\"]")]),
    ("interface: packets", &[("input = [\"icmp\"]", "input = [\"icmp\"]\npackets = [\"icmp\"]")]),
    ("interface: masquerade", &[("input = [\"icmp\"]", "input = [\"icmp\"]\nmasquerade = [\"192.168.0.0/16\"]")]),
    ("interface: source_check", &[("input = [\"icmp\"]", "input = [\"icmp\"]\nsource_check = true")]),
    ("interface: mtu", &[("input = [\"icmp\"]", "input = [\"icmp\"]\nmtu = 1400")]),
    (
        "route",
        &[(
            "[[domain.edge.route]]",
            "[[domain.edge.route]]\nto = \"192.0.2.0/24\"\nkind = \"blackhole\"\n[[domain.edge.route]]",
        )],
    ),
    ("a loopback more", &[("\"198.51.100.1/32\"", "\"198.51.100.1/32\", \"198.51.100.2/32\"")]),
    ("the loopback", &[("[\"198.51.100.1/32\"", "[\"198.51.100.2/32\"")]),
];

/// All sessions come up again after these.
const MENDED: &[Change<'static>] = &[
    ("routes, of one far away", &[("routes = [\"9.7.0.0/16\"]", "routes = [\"9.7.0.0/16\", \"9.9.0.0/16\"]")]),
    ("multihop", &[("multihop = 3", "multihop = 4")]),
    ("networks", &[("networks = [\"198.51.100.0/24\", ", "networks = [\"198.51.100.0/24\", \"203.0.114.0/24\", ")]),
    ("a neighbor renamed", &[(SIX, "name = \"sixth\"\n")]),
    (
        "a neighbor away",
        &[(
            "[[domain.edge.neighbor]]\nname = \"six\"\naddress = \"2001:db8:ffff::1\"\nasn = 64510\nroutes = [\"2a00::/16 le 48\"]\n",
            "",
        )],
    ),
    ("router_id", &[("router_id = \"198.51.100.1\"", "router_id = \"198.51.100.9\"")]),
    ("interface: an address more", &[("\"203.0.113.2/29\"", "\"203.0.113.2/29\", \"203.0.113.130/29\"")]),
    ("interface: another prefix length", &[("203.0.113.2/29", "203.0.113.2/28")]),
    ("role of the link", &[("between = [\"left\", \"edge\"]", "between = [\"left\", \"edge\"]\nprovider = \"edge\"")]),
];

/// The other side does not follow these, so that a session stays down until they are taken back.
const BROKEN: &[Change<'static>] = &[
    ("role", &[(TRANSIT, "name = \"transit\"\nrole = \"customer\"\n")]),
    ("another password", &[("transit.key", "other.key")]),
    ("no password", &[("password = { file = \"/srv/machine/transit.key\" }", "")]),
    ("max_prefixes, below what is there", &[("max_prefixes = 10", "max_prefixes = 1")]),
    ("asn of a neighbor", &[("asn = 64511", "asn = 64512")]),
    ("address of a neighbor", &[("address = \"203.0.113.3\"", "address = \"203.0.113.4\"")]),
    (
        "multihop away",
        &[
            (FAR, "name = \"far\"\nannounce = []\n"),
            ("address = \"192.0.2.200\"\nasn = 3333\nmultihop = 3", "address = \"203.0.113.5\"\nasn = 3333"),
        ],
    ),
    ("the address of the interface", &[("203.0.113.2/29", "203.0.113.6/29")]),
    (
        "the route to a neighbor far away",
        &[("[[domain.edge.route]]\nto = \"192.0.2.200/32\"\nvia = \"203.0.113.1\"\n", "")],
    ),
    ("asn", &[("asn = 65001", "asn = 65009")]),
];

#[test]
fn what_plan_says_of_sessions_with_neighbors_is_what_happens() {
    let machine = machine();
    let mut table = Table::new();
    try_all(&machine, &mut table, FILE, Then::Next, QUIET);
    try_rpki(&machine, &mut table);
    table.conclude();
}

#[test]
fn what_plan_says_of_sessions_with_neighbors_is_what_happens_when_they_must_be_reset() {
    let machine = machine();
    let mut table = Table::new();
    try_all(&machine, &mut table, FILE, Then::Back, MENDED);
    table.conclude();
}

fn try_rpki(machine: &Machine, table: &mut Table) {
    for (what, file) in [
        ("rpki: the first cache", format!("{FILE}{CACHE}")),
        ("rpki: a second one", format!("{FILE}{CACHE}{}", CACHE.replace("one", "two"))),
        ("rpki: the first away", format!("{FILE}{}", CACHE.replace("one", "two"))),
        (
            "rpki: none for transit",
            format!("{}{}", FILE.replace(TRANSIT, "name = \"transit\"\nrpki = false\n"), CACHE.replace("one", "two")),
        ),
        (
            "rpki: routes of one without route refresh",
            format!("{}{}", FILE.replace("9.8.0.0/16", "9.9.0.0/16"), CACHE.replace("one", "two")),
        ),
        ("rpki: none left", FILE.to_owned()),
    ] {
        machine.configure(&file);
        table.apply(machine, what);
        settled(machine);
    }
}

#[test]
fn what_plan_says_of_sessions_with_neighbors_is_what_happens_when_they_stay_down() {
    let machine = machine();
    let mut table = Table::new();
    try_all(&machine, &mut table, FILE, Then::BackAtOnce, BROKEN);
    table.conclude();
}

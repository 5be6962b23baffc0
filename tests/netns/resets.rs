//! What `plan` says of sessions between domains, and what becomes of them: a table of single changes of the file.

use crate::announced::{Change, Table, Then, settled, try_all};
use crate::machine::Machine;

/// Links of every kind: unnumbered, numbered, static.
pub const FILE: &str = r#"
[rdsup]
templates = "/srv/machine/templates"

[domain.core]
asn = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]

[domain.left]
asn = 65002
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]

[domain.right]
asn = 65003
router_id = "10.66.0.1"
loopback = ["10.66.0.1/32", "2001:db8:66::1/128"]
networks = ["10.66.0.0/16", "2001:db8:66::/48"]

[domain.pen]
daemon = "none"
loopback = ["10.77.0.1/32"]
networks = ["10.77.0.0/16"]

[[link]]
between = ["left", "core"]
[link.into.left]
routes = ["198.51.100.0/24", "2001:db8:1::/48"]
packets = ["icmp"]
[link.into.core]
routes = ["192.168.0.0/16", "2001:db8:2::/48"]

[[link]]
between = ["right", "core"]
addresses = ["169.254.7.0/31", "2001:db8:ff::/127"]
[link.into.right]
routes = ["198.51.100.0/24", "2001:db8:1::/48"]
[link.into.core]
routes = ["10.66.0.0/16", "2001:db8:66::/48"]

[[link]]
between = ["core", "pen"]
[link.into.core]
routes = ["10.77.0.0/16"]
[link.into.pen]
routes = ["198.51.100.0/24"]
"#;

const LEFT: &str = "between = [\"left\", \"core\"]";
pub const RIGHT: &str = "between = [\"right\", \"core\"]";
const NUMBERS: &str = "addresses = [\"169.254.7.0/31\", \"2001:db8:ff::/127\"]";

/// What is policy, or for people: none of it resets anything but what it adds itself, when that goes again.
pub const HARMLESS: &[Change<'static>] = &[
    ("comments", &[("[domain.left]", "# A remark.\n\n[domain.left] # another")]),
    ("routes", &[("routes = [\"192.168.0.0/16\"", "routes = [\"192.168.0.0/17\", \"192.168.0.0/16\"")]),
    ("packets", &[("packets = [\"icmp\"]", "packets = [\"icmp\", \"udp/53\"]")]),
    ("preference", &[("packets = [\"icmp\"]", "packets = [\"icmp\"]\npreference = 50")]),
    ("max_prefixes below what is there", &[("packets = [\"icmp\"]", "packets = [\"icmp\"]\nmax_prefixes = 1")]),
    ("max_path", &[(LEFT, "between = [\"left\", \"core\"]\nmax_path = 9")]),
    ("mtu", &[(LEFT, "between = [\"left\", \"core\"]\nmtu = 1400")]),
    (
        "transit",
        &[("routes = [\"198.51.100.0/24\"", "transit = [\"right\"]\nroutes = [\"10.66.0.0/16\", \"198.51.100.0/24\"")],
    ),
    ("networks", &[("networks = [\"10.66.0.0/16\"", "networks = [\"10.66.0.0/17\", \"10.66.0.0/16\"")]),
    ("a loopback more", &[("\"198.51.100.1/32\"", "\"198.51.100.1/32\", \"198.51.100.2/32\"")]),
    ("loopback, router_id staying", &[("[\"10.66.0.1/32\"", "[\"10.66.0.2/32\"")]),
    (
        "route",
        &[("[domain.left]", "[[domain.core.route]]\nto = \"192.0.2.0/24\"\nkind = \"blackhole\"\n[domain.left]")],
    ),
    (
        "nat",
        &[(
            "routes = [\"192.168.0.0/16\"",
            "nat = { from = [\"192.168.7.0/24\"], to = \"203.0.113.7\" }\nroutes = [\"203.0.113.7/32\", \"192.168.0.0/16\"",
        )],
    ),
    (
        "alias",
        &[(
            "routes = [\"192.168.0.0/16\"",
            "alias = { real = \"192.168.7.0/24\", seen = \"198.18.7.0/24\" }\nroutes = [\"198.18.7.0/24\", \"192.168.0.0/16\"",
        )],
    ),
    (
        "service",
        &[(
            "[domain.left]",
            "[[service]]\nname = \"wiki\"\ndomain = \"core\"\nat = \"198.51.100.10:443/tcp\"\nexpose = [{ to = \"left\" }]\n[domain.left]",
        )],
    ),
    ("description", &[("asn = 65002", "asn = 65002\ndescription = \"the lan; } {\"")]),
    ("dns", &[("asn = 65002", "asn = 65002\ndns = [\"192.168.0.53\"]")]),
    ("operators and viewers", &[("asn = 65002", "asn = 65002\noperators = \"root\"\nviewers = \"root\"")]),
    ("extra: a remark", &[("asn = 65002", "asn = 65002\nextra = { bird = \"# } hold time 3;\" }")]),
    ("extra: debug", &[("asn = 65002", "asn = 65002\nextra = { bird = \"debug protocols { states };\" }")]),
    ("extra: a template", &[("asn = 65002", "asn = 65002\nextra = { bird = \"template bgp t { hold time 30; }\" }")]),
    (
        "extra: a static protocol",
        &[(
            "asn = 65002",
            "asn = 65002\nextra = { bird = \"protocol static more { ipv4; route 192.168.9.0/24 blackhole; }\" }",
        )],
    ),
    ("static link: routes", &[("routes = [\"10.77.0.0/16\"]", "routes = [\"10.77.0.0/17\"]")]),
    (
        "static link away",
        &[(
            "[[link]]\nbetween = [\"core\", \"pen\"]\n[link.into.core]\nroutes = [\"10.77.0.0/16\"]\n[link.into.pen]\nroutes = [\"198.51.100.0/24\"]\n",
            "",
        )],
    ),
    ("a link more", &[("[[link]]", "[[link]]\nbetween = [\"left\", \"right\"]\n[[link]]")]),
    ("a second link of two", &[("[[link]]", "[[link]]\nname = \"spare\"\nbetween = [\"left\", \"core\"]\n[[link]]")]),
    (
        "a domain more",
        &[(
            "[[link]]",
            "[domain.new]\nasn = 65009\nloopback = [\"10.88.0.1/32\", \"2001:db8:88::1/128\"]\n[[link]]\nbetween = [\"new\", \"left\"]\n[[link]]",
        )],
    ),
    (
        "link tables in another order",
        &[
            (
                "[[link]]\nbetween = [\"core\", \"pen\"]\n[link.into.core]\nroutes = [\"10.77.0.0/16\"]\n[link.into.pen]\nroutes = [\"198.51.100.0/24\"]\n",
                "",
            ),
            (
                "[[link]]",
                "[[link]]\nbetween = [\"core\", \"pen\"]\n[link.into.core]\nroutes = [\"10.77.0.0/16\"]\n[link.into.pen]\nroutes = [\"198.51.100.0/24\"]\n[[link]]",
            ),
        ],
    ),
];

/// What has to reset sessions.
pub const RESETTING: &[Change<'static>] = &[
    ("provider", &[(LEFT, "between = [\"left\", \"core\"]\nprovider = \"core\"")]),
    ("asn", &[("65002", "65009")]),
    ("router_id", &[("asn = 65001", "asn = 65001\nrouter_id = \"198.51.100.9\"")]),
    ("loopback that is the router id", &[("[\"192.168.0.1/32\"", "[\"192.168.0.2/32\"")]),
    (
        "families",
        &[
            ("asn = 65002", "asn = 65002\nfamilies = [\"ipv4\"]"),
            (", \"2001:db8:2::1/128\"", ""),
            (", \"2001:db8:2::/48\"", ""),
            (", \"2001:db8:2::/48\"", ""),
            (
                "[link.into.left]\nroutes = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]",
                "[link.into.left]\nroutes = [\"198.51.100.0/24\"]",
            ),
        ],
    ),
    ("addresses that the session uses", &[(NUMBERS, "addresses = [\"169.254.7.0/31\", \"2001:db8:fe::/127\"]")]),
    ("addresses that it does not use", &[(NUMBERS, "addresses = [\"169.254.8.0/31\", \"2001:db8:ff::/127\"]")]),
    ("addresses away", &[(NUMBERS, "")]),
    ("the ends of a link swapped", &[(LEFT, "between = [\"core\", \"left\"]")]),
    ("a link renamed", &[(LEFT, "between = [\"left\", \"core\"]\nname = \"lan\"")]),
    ("a link becomes static", &[(RIGHT, "between = [\"right\", \"core\"]\nrouting = \"static\"")]),
    (
        "extra: include",
        &[("asn = 65002", "asn = 65002\nextra = { bird = \"\"\"\ninclude \"/srv/machine/more.conf\";\n\"\"\" }")],
    ),
    ("daemon none", &[("asn = 65003\nrouter_id = \"10.66.0.1\"", "daemon = \"none\"")]),
];

#[test]
fn what_plan_says_of_sessions_between_domains_is_what_happens_to_policy() {
    let machine = Machine::running(FILE);
    let mut table = Table::new();
    try_all(&machine, &mut table, FILE, Then::Next, HARMLESS);
    table.conclude();
}

#[test]
fn what_plan_says_of_sessions_between_domains_is_what_happens_when_they_must_be_reset() {
    let machine = Machine::new(FILE);
    machine.sh("echo '# nothing' >/srv/machine/more.conf; chmod 755 /srv/machine; chmod 644 /srv/machine/more.conf");
    machine.start();
    let mut table = Table::new();
    try_all(&machine, &mut table, FILE, Then::Back, RESETTING);
    // What no key of the file says.
    machine.write(
        "/srv/machine/templates/bird/link.hbs",
        &include_str!("../../templates/bird/link.hbs").replace("hold time 90", "hold time 60"),
    );
    let all = table.apply(&machine, "templates: link.hbs with another hold time");
    assert_eq!(all.certain.len(), 4, "{all:?}");
    settled(&machine);
    machine.configure(
        &FILE
            .replacen("[domain.left]\nasn = 65002", "[domain.left2]\nasn = 65002", 1)
            .replace("\"left\"", "\"left2\"")
            .replace("into.left", "into.left2"),
    );
    table.apply(&machine, "a domain renamed");
    settled(&machine);
    machine.configure(FILE.split("[[link]]\nbetween = [\"right\"").next().expect("it has that"));
    table.apply(&machine, "links and a domain away");
    table.conclude();
}

//! Single ports of a domain, opened to other domains.

use crate::attached::Wire;
use crate::machine::{DEMO, Machine, SOON, eventually};

const LAN: &str = r#"
[[domain.private.interface]]
name    = "lan0"
address = ["192.168.9.1/24", "2001:db8:2:9::1/64"]

[[service]]
name = "wiki"
domain = "private"
at = "192.168.9.10:443/tcp"
expose = [{ to = "hostile" }, { to = "internet", as = "198.18.7.5:8443" }]

[[service]]
name = "wiki6"
domain = "private"
at = "[2001:db8:2:9::10]:443/tcp"
expose = [{ to = "hostile" }, { to = "internet", as = "[2001:db8:77::5]:8443" }]

[[service]]
name = "own"
domain = "private"
at = "192.168.0.1:8080/tcp"
expose = [{ to = "hostile" }, { to = "internet", as = "198.18.7.6:80" }]

[[link]]
between = ["private", "hostile"]
[link.into.private]
routes  = ["10.66.0.0/16", "2001:db8:66::/48"]
[link.into.hostile]
"#;

const WIRE: Wire = Wire {
    interface: "lan0",
    host: "wiki",
    router4: "192.168.9.1",
    host4: "192.168.9.10/24",
    router6: "2001:db8:2:9::1",
    host6: "2001:db8:2:9::10/64",
};

/// Each consumer with what it knows the services as.
const SEEN: [(&str, &str, u16, &str, u16); 6] = [
    ("hostile", "192.168.9.10", 443, "192.168.9.10", 443),
    ("hostile", "2001:db8:2:9::10", 443, "2001:db8:2:9::10", 443),
    ("hostile", "192.168.0.1", 8080, "192.168.0.1", 8080),
    ("internet", "198.18.7.5", 8443, "192.168.9.10", 443),
    ("internet", "2001:db8:77::5", 8443, "2001:db8:2:9::10", 443),
    ("internet", "198.18.7.6", 80, "192.168.0.1", 8080),
];

fn machine() -> Machine {
    let machine = Machine::new(&format!("{DEMO}{LAN}"));
    machine.attach(&WIRE);
    machine.start();
    for (consumer, seen, ..) in SEEN {
        eventually(SOON, &format!("{consumer} learns the way to {seen}"), || {
            machine.within(consumer, &format!("ip route get {seen}")).stdout.contains("dev rd-private")
        });
    }
    // And the way back.
    for (consumer, prefix) in [
        ("hostile", "10.66.0.0/16"),
        ("hostile", "2001:db8:66::/48"),
        ("internet", "198.51.100.0/24"),
        ("internet", "2001:db8:1::/48"),
    ] {
        eventually(SOON, &format!("private learns {prefix}"), || {
            machine.routes_to("private", prefix).contains(&format!("dev rd-{consumer}"))
        });
    }
    machine
}

fn place(at: &str) -> &'static str {
    if at == "192.168.0.1" { "private" } else { "wiki" }
}

#[test]
fn a_service_is_reached_by_the_domains_that_it_is_exposed_to_at_the_address_that_they_know() {
    let machine = machine();
    for (consumer, seen, port, at, real) in SEEN {
        let _server = machine.listen(Some(place(at)), at, real);
        assert!(machine.connects(Some(consumer), seen, port), "{consumer} to {seen} port {port}");
    }
}

#[test]
fn nothing_else_is_opened_at_the_address_of_a_service() {
    let machine = machine();
    machine.unattended();
    // The consumer's own filter is not what protects the owner.
    for consumer in ["hostile", "internet"] {
        machine.line(&format!("ip netns exec {consumer} nft delete table inet rdsup"));
    }
    for (consumer, seen, port, at, real) in SEEN {
        let _other = machine.listen(Some(place(at)), at, real + 1);
        let _right = machine.listen(Some(place(at)), at, real);
        let rising = machine.rising("private", || {
            assert!(!machine.connects(Some(consumer), seen, port + 1), "{consumer} to {seen} port {}", port + 1);
            assert!(!machine.pings(consumer, seen), "{consumer} pings {seen}");
        });
        assert!(rising.iter().any(|name| name == &format!("drop.rd-{consumer}.destination")), "{rising:?}");
        assert!(machine.connects(Some(consumer), seen, port), "the service itself: the test proves nothing");
    }
    // What is published under another address is not there under its own.
    machine.line("ip -n internet -4 route replace 192.168.9.10/32 via inet6 fe80::1 dev rd-private");
    let _server = machine.listen(Some("wiki"), "192.168.9.10", 443);
    assert!(!machine.connects(Some("internet"), "192.168.9.10", 443));
}

#[test]
fn the_host_of_a_service_begins_no_flow_and_its_consumer_asks_it_nothing_else() {
    let machine = machine();
    let rising = machine.rising("hostile", || {
        assert!(!machine.connects(Some("hostile"), "192.168.9.10", 444));
        assert!(!machine.pings("hostile", "192.168.9.10"));
    });
    assert!(rising.iter().any(|name| name == "drop.rd-private.egress"), "{rising:?}");
    machine.unattended();
    machine.line("ip netns exec private nft delete table inet rdsup");
    let rising = machine.rising("hostile", || {
        assert!(!machine.pings("wiki", "10.66.0.1"));
    });
    assert!(rising.iter().any(|name| name == "drop.rd-private.spoofed"), "{rising:?}");
}

#[test]
fn the_host_offers_and_uses_services_over_its_links() {
    let machine = Machine::new(
        r#"
[domain.host]
families = ["ipv4"]

[domain.lab]
loopback = ["10.8.0.1/32"]
networks = ["10.8.0.0/24"]
families = ["ipv4"]
daemon   = "none"

[[link]]
between = ["host", "lab"]
routing = "static"
[link.into.host]
routes  = ["10.8.0.0/24", "10.8.0.1/32"]
[link.into.lab]
routes  = ["192.0.2.1/32"]

[[service]]
name = "repository"
domain = "host"
at = "192.0.2.1:80/tcp"
expose = [{ to = "lab", as = "198.18.0.80:8080" }]

[[service]]
name = "bench"
domain = "lab"
at = "10.8.0.1:5000/tcp"
expose = [{ to = "host" }]
"#,
    );
    machine.line("ip address add 192.0.2.1/32 dev lo");
    machine.start();
    let _one = machine.listen(None, "192.0.2.1", 80);
    let _two = machine.listen(Some("lab"), "10.8.0.1", 5000);
    assert!(machine.connects(Some("lab"), "198.18.0.80", 8080));
    assert!(!machine.connects(Some("lab"), "192.0.2.1", 80));
    assert!(machine.sh("ip route get 10.8.0.1").contains("rd-lab"));
    assert!(machine.connects(None, "10.8.0.1", 5000));
    assert!(machine.connects(None, "192.0.2.1", 80), "the machine's own way is as before");
}

//! The machine's own namespace as a domain: linked, never owned.

use crate::machine::{Background, Machine};

const HOST: &str = r#"
[domain.host]
families = ["ipv4"]

[domain.private]
loopback = ["192.168.0.1/32"]
networks = ["192.168.0.0/16"]
families = ["ipv4"]
daemon   = "none"

[[link]]
between = ["host", "private"]
routing = "static"
[link.into.host]
routes  = ["192.168.0.0/16"]
[link.into.private]
routes  = ["192.0.2.1/32"]
packets = ["icmp"]
"#;

/// A machine with a way to the world, a packet filter of its own and someone logged in.
fn lived_in(toml: &str) -> (Machine, Background) {
    let machine = Machine::new(toml);
    machine.sh("ip netns add world
         ip link add eth0 type veth peer name eth0 netns world
         ip -n world link set lo up; ip -n world link set eth0 up; ip link set eth0 up
         ip -n world address add 203.0.113.1/24 dev eth0; ip address add 203.0.113.2/24 dev eth0
         ip address add 192.0.2.1/32 dev lo
         ip route add default via 203.0.113.1
         nft 'table inet mine { chain c { type filter hook input priority 0; policy accept; tcp dport 25 drop; }; }'");
    let listener = machine.listen(None, "203.0.113.2", 22);
    (machine, listener)
}

/// What is the machine's own: its route, its table, the sysctls that would change it.
fn own(machine: &Machine) -> String {
    machine.sh(
        "ip route show default; ip address show dev eth0; nft list table inet mine
         sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.conf.all.rp_filter net.ipv4.conf.eth0.rp_filter \
             net.ipv4.conf.all.arp_ignore net.ipv4.conf.default.rp_filter",
    )
}

#[test]
fn linking_the_host_touches_neither_its_listener_its_default_route_nor_its_table() {
    let (machine, _listener) = lived_in(HOST);
    let before = own(&machine);
    let clean = machine.traces();
    assert!(machine.connects(Some("world"), "203.0.113.2", 22), "the listener is reachable before");
    machine.start();
    assert_eq!(own(&machine), before);
    assert!(machine.connects(Some("world"), "203.0.113.2", 22), "the listener is reachable while rdsup runs");
    assert!(machine.run(&["ping", "-n", "-c", "1", "-W", "1", "203.0.113.1"]).status.success());
    machine.assert_converged();
    machine.stop();
    assert_eq!(own(&machine), before);
    assert!(machine.connects(Some("world"), "203.0.113.2", 22), "the listener is reachable after");
    machine.assert_left_as(&clean);
}

#[test]
fn the_host_reaches_a_linked_domain_and_is_reached_only_as_policy_says() {
    let (machine, _listener) = lived_in(HOST);
    let _open = machine.listen(None, "192.0.2.1", 22);
    machine.start();
    assert!(machine.run(&["ping", "-n", "-c", "1", "-W", "1", "-I", "192.0.2.1", "192.168.0.1"]).status.success());
    assert!(!machine.pings("private", "192.0.2.1"), "a ping into host that nothing allows");
    assert!(!machine.connects(Some("private"), "192.0.2.1", 22), "a connection into host that nothing allows");
    assert!(!machine.connects(Some("private"), "203.0.113.2", 22), "another address of the host");
}

#[test]
fn the_host_forwards_nothing_unless_the_file_says_so() {
    let (machine, _listener) = lived_in(HOST);
    machine.start();
    machine.line("ip -n world route add 192.168.0.0/16 via 203.0.113.2");
    assert!(!machine.pings("world", "192.168.0.1"));
}

#[test]
fn stop_leaves_a_foreign_table_and_interface_in_the_host_that_look_like_ours() {
    let (machine, _listener) = lived_in(HOST);
    machine.start();
    machine.sh("ip link add rd-mine type veth peer name other; nft add table inet rdsup-mine");
    machine.stop();
    machine.line("ip link show dev rd-mine");
    machine.line("nft list table inet rdsup-mine");
}

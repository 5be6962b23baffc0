//! The machine's own namespace as a domain: linked, never owned.

use crate::machine::{Background, Machine, SOON, eventually};

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
    machine.sh("ip netns add world; sysctl -qw net.ipv6.conf.default.accept_dad=0
         ip link add eth0 type veth peer name eth0 netns world
         ip -n world link set lo up; ip -n world link set eth0 up; ip link set eth0 up
         ip -n world address add 203.0.113.1/24 dev eth0; ip address add 203.0.113.2/24 dev eth0
         ip address add 192.0.2.1/32 dev lo
         ip route add default via 203.0.113.1
         nft 'table inet mine { chain c { type filter hook input priority 0; policy accept; tcp dport 25 drop; }; }'");
    // The kernel says so a moment after it is.
    eventually(SOON, "eth0 is up", || machine.line("ip -o link show dev eth0").contains("state UP"));
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

#[test]
fn interfaces_of_others_in_the_group_of_links_stay_and_a_link_that_was_not_marked_yet_goes() {
    let (machine, _listener) = lived_in(HOST);
    machine.sh("ip link add f1 group 29284 type veth peer name f2 group 29284; ip link add f3 group 29284 type bridge
         ip link set f1 up; ip link set f2 up; ip link set f3 up");
    let others = || machine.sh("for it in f1 f2 f3; do ip -o link show dev $it | cut -d' ' -f2-3; done");
    // The kernel tells the carrier a moment after there is one.
    eventually(SOON, "their carrier is told", || !others().contains("NO-CARRIER"));
    let before = others();
    machine.start();
    assert_eq!(others(), before, "after start");
    // Not even where a filter cannot be put back, and what leads into the host goes down.
    let nft = machine.sh("command -v nft").trim().to_owned();
    machine.sh(&format!("cp {nft} /srv/machine/nft; mount --bind /bin/false {nft}"));
    machine.line("/srv/machine/nft delete table inet rdsup");
    eventually(SOON, "the link is down", || !machine.line("ip -o link show dev rd-private").contains(",UP"));
    assert_eq!(others(), before, "closed");
    // Lazily: rdsup may just be trying.
    machine.line(&format!("umount -l {nft}"));
    machine.rdsup("status --wait 30s").ok();
    machine.unattended();
    machine.line("ip link add rd-half group 29284 type veth peer name rd-made netns private group 29284");
    machine.start();
    eventually(SOON, "the link that nobody finished is gone", || !machine.line("ip -o link").contains("rd-half"));
    assert_eq!(others(), before, "after the second start");
    machine.stop();
    assert_eq!(others(), before, "after stop");
}

/// Two domains beside the host, which accepts from them what it lists.
const TWO: &str = r#"
[domain.host]

[domain.private]
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]
daemon   = "none"
[domain.hostile]
loopback = ["10.66.0.1/32", "2001:db8:66::1/128"]
networks = ["10.66.0.0/16", "2001:db8:66::/48"]
daemon   = "none"

[[link]]
between = ["host", "private"]
routing = "static"
[link.into.host]
routes  = ["192.168.0.0/16", "2001:db8:2::/48"]
[link.into.private]
routes  = ["192.0.2.1/32", "2001:db8:77::1/128", "203.0.113.0/24"]
packets = ["icmp"]

[[link]]
between = ["host", "hostile"]
routing = "static"
[link.into.host]
routes  = ["10.66.0.0/16", "2001:db8:66::/48"]
[link.into.hostile]
routes  = ["192.0.2.1/32", "2001:db8:77::1/128"]
packets = ["icmp"]
"#;

/// A router that advertises itself every 200 ms.
const ROUTER: &str = r#"
    use Socket qw(:all); use Time::HiRes qw(sleep);
    socket(my $s, AF_INET6, SOCK_RAW, 58) or die "socket: $!";
    my $index = `cat /sys/class/net/eth0/ifindex` + 0;
    setsockopt($s, 41, 17, pack("i", $index)) or die "interface: $!";
    setsockopt($s, 41, 18, pack("i", 255)) or die "hop limit: $!";
    bind($s, pack_sockaddr_in6(0, inet_pton(AF_INET6, "fe80::1"), $index)) or die "bind: $!";
    my $all = pack_sockaddr_in6(0, inet_pton(AF_INET6, "ff02::1"), $index);
    while (1) { send($s, pack("CCnCCnNN", 134, 0, 0, 64, 0, 1800, 0, 0), 0, $all) or die "send: $!"; sleep 0.2; }
"#;

/// Answers each line with itself.
const ECHO: &str = r#"
    use IO::Socket::IP;
    my $s = IO::Socket::IP->new(LocalHost => "203.0.113.2", LocalPort => 22, Listen => 5, ReuseAddr => 1) or die "$@";
    while (my $c = $s->accept) { $c->autoflush(1); while (<$c>) { print $c $_ } }
"#;

/// One connection, in which every line is answered within six seconds until the file is there. Says how many.
const SHELL: &str = r#"
    use IO::Socket::IP; use Time::HiRes qw(sleep);
    my $s = IO::Socket::IP->new(PeerHost => "203.0.113.2", PeerPort => 22, Timeout => 2) or die "$@";
    $s->autoflush(1); my $n = 0;
    until (-e "/run/stop") { alarm 6; print $s "x\n"; <$s> eq "x\n" or die "closed"; $n++; sleep 0.01; }
    print $n;
"#;

/// A machine with a default route that a router advertised, a firewall that drops what it does not list, and an open
/// connection to the service that it is managed by.
fn advertised(toml: &str) -> (Machine, [Background; 2]) {
    let machine = Machine::new(toml);
    machine.sh("ip netns add world
         sysctl -qw net.ipv6.conf.default.accept_dad=0; ip netns exec world sysctl -qw net.ipv6.conf.default.accept_dad=0
         ip link add eth0 type veth peer name eth0 netns world
         ip -n world link set lo up; ip -n world link set eth0 up; ip link set eth0 up
         ip -n world address add fe80::1/64 dev eth0 nodad
         ip -n world address add 203.0.113.1/24 dev eth0; ip address add 203.0.113.2/24 dev eth0
         ip address add 192.0.2.1/32 dev lo; ip address add 2001:db8:77::1/128 dev lo
         nft 'table inet filter { chain input { type filter hook input priority 0; policy drop;
             iifname lo accept; ct state established,related accept; tcp dport 22 accept; icmpv6 type { 134, 135, 136 } accept; }; }'");
    let router = machine.spawn(&["ip", "netns", "exec", "world", "perl", "-e", ROUTER]);
    let echo = machine.spawn(&["perl", "-e", ECHO]);
    eventually(SOON, "the machine learns its default route", || default_route(&machine).contains("via fe80::1"));
    eventually(SOON, "its service listens", || machine.line("ss -Hltn sport = 22").contains("203.0.113.2"));
    eventually(SOON, "eth0 is up", || machine.line("ip -o link show dev eth0").contains("state UP"));
    (machine, [router, echo])
}

fn default_route(machine: &Machine) -> String {
    let route = machine.line("ip -6 route show default proto ra");
    // The seconds that are left change by themselves.
    route.split(" expires").next().unwrap_or_default().to_owned()
}

/// Everything of the machine's own: its firewall, and all sysctls but those of the links.
fn kept(machine: &Machine) -> String {
    let rest = machine.sh(
        "nft list table inet filter; ip -o address show dev eth0 | sed 's/valid_lft.*//'; ip -4 route show dev eth0
         cd /proc/sys/net; grep -rs . . | grep -vE '/rd-(private|hostile)/|nf_conntrack_count' | sort",
    );
    format!("{}\n{rest}", default_route(machine))
}

#[test]
fn a_machine_that_is_linked_to_two_domains_keeps_its_connection_route_firewall_and_sysctls() {
    let (machine, _world) = advertised(TWO);
    let shell = machine.spawn(&["ip", "netns", "exec", "world", "perl", "-e", SHELL]);
    let before = kept(&machine);
    assert!(before.contains("./ipv6/conf/all/forwarding:0") && before.contains("policy drop"), "{before}");
    machine.start();
    assert_eq!(kept(&machine), before, "after start");
    for address in ["192.168.0.1", "10.66.0.1", "2001:db8:2::1", "2001:db8:66::1"] {
        let source = if address.contains(':') { "2001:db8:77::1" } else { "192.0.2.1" };
        let said = machine.run(&["ping", "-n", "-c", "1", "-W", "1", "-I", source, address]);
        assert!(said.status.success(), "the links work: {said}");
    }
    machine.configure(&TWO.replace(r#"packets = ["icmp"]"#, r#"packets = ["icmp", "tcp/80"]"#));
    machine.rdsup("apply").ok();
    assert_eq!(kept(&machine), before, "after apply");
    machine.stop();
    assert_eq!(kept(&machine), before, "after stop");
    assert_eq!(machine.line("nft list tables"), "table inet filter\n");
    machine.write("/run/stop", "");
    let lines: u32 = shell.finish(SOON).ok().trim().parse().expect("a number");
    assert!(lines > 10, "only {lines} lines were answered");
}

#[test]
fn forwarding_is_refused_while_it_would_cost_an_interface_its_advertised_default_route() {
    let (machine, _world) = advertised(&TWO.replace("[domain.host]", "[domain.host]\nforwarding = true"));
    let before = kept(&machine);
    for verb in ["plan", "start --detach"] {
        let error = machine.rdsup(verb).refused(1);
        assert!(error.contains("eth0") && error.contains("sysctl -w net.ipv6.conf.eth0.accept_ra=2"), "{error}");
    }
    assert_eq!(kept(&machine), before);
    machine.line("sysctl -qw net.ipv6.conf.eth0.accept_ra=2");
    let plan = machine.plan();
    let line = plan.lines().find(|line| line.contains("net.ipv4.ip_forward=1")).unwrap_or_default();
    assert!(line.contains("net.ipv6.conf.all.forwarding=1") && line.contains("# forwarding = true: every"), "{plan}");
    machine.line("ip -n world route add 192.168.0.0/16 via 203.0.113.2");
    machine.start();
    assert!(machine.pings("world", "192.168.0.1"), "the machine forwards");
    assert!(default_route(&machine).contains("via fe80::1"), "the route is kept");
    machine.assert_converged();
    // Of one family nothing is asked for, so nothing is lost.
    machine.stop();
    machine.line("sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.eth0.accept_ra=1");
    eventually(SOON, "it learns the route again", || default_route(&machine).contains("via fe80::1"));
    machine.configure(&HOST.replace("[domain.host]", "[domain.host]\nforwarding = true"));
    machine.start();
    assert!(default_route(&machine).contains("via fe80::1"));
    assert_eq!(machine.line("sysctl -n net.ipv6.conf.all.forwarding net.ipv6.conf.rd-private.forwarding"), "0\n0\n");
}

#[test]
fn with_forwarding_nobody_beside_the_host_enters_a_domain_as_the_host() {
    let (machine, _world) = advertised(&TWO.replace("[domain.host]", "[domain.host]\nforwarding = true"));
    machine.line("sysctl -qw net.ipv6.conf.eth0.accept_ra=2");
    machine.start();
    machine.sh("ip -n world route add 192.168.0.0/16 via 203.0.113.2
         ip -n world address add 2001:db8:77::1/128 dev lo
         ip -n world route add 2001:db8:2::/48 via $(ip -6 -o address show dev eth0 scope link | sed 's/.*inet6 //; s,/.*,,') dev eth0");
    machine.watch("private", "input", "ip6 saddr 2001:db8:77::1 icmpv6 type echo-request");
    assert!(machine.pings("world", "192.168.0.1"), "the machine forwards");
    let forged = machine.within("world", "ping -n -c 2 -i 0.2 -W 1 -I 2001:db8:77::1 2001:db8:2::1");
    assert!(!forged.status.success());
    assert_eq!(machine.watched("private"), 0, "the address of the machine itself is believed from eth0");
    let counter = machine.line("nft list counter inet rdsup drop.rd-private.spoofed");
    assert!(counter.contains("packets 2"), "{counter}");
}

/// The host speaks BGP itself.
fn with_bgp() -> String {
    HOST.replace("[domain.host]", "[domain.host]\ndaemon = \"bird\"\nasn = 65001\nrouter_id = \"192.0.2.1\"")
        .replace("daemon   = \"none\"", "asn = 65002")
        .replace("routing = \"static\"\n", "")
}

#[test]
#[ignore = "needs root: FRR becomes the user frr"]
fn frr_in_the_host_is_refused_while_there_are_routes_that_zebra_would_take_for_its_own() {
    let (machine, _listener) = lived_in(&with_bgp());
    machine.line("ip route add 198.51.100.0/24 via 203.0.113.1 proto ospf");
    machine.configure(&with_bgp().replace("daemon = \"bird\"", "daemon = \"frr\""));
    for verb in ["plan", "start --detach"] {
        let error = machine.rdsup(verb).refused(1);
        let words = "198.51.100.0/24 is a route of another routing daemon (protocol 188)";
        assert!(error.contains("domain host") && error.contains(words), "{verb}: {error}");
    }
    // BIRD leaves it alone.
    machine.configure(&with_bgp());
    machine.start();
    assert!(machine.sh("ip route show 198.51.100.0/24").contains("proto ospf"));
    machine.stop();
    assert!(machine.sh("ip route show 198.51.100.0/24").contains("proto ospf"));
}

#[test]
fn a_daemon_in_the_host_is_refused_while_someone_else_routes_there() {
    let (machine, _listener) = lived_in(&with_bgp());
    let refused = |words: &str| {
        for verb in ["plan", "start --detach"] {
            let error = machine.rdsup(verb).refused(1);
            assert!(error.contains("domain host") && error.contains(words), "{verb}: {error}");
        }
    };
    let port = machine.listen(None, "127.0.0.1", 179);
    refused("listens on TCP port 179");
    machine.sh("kill $(ss -Hltnp sport = 179 | grep -o 'pid=[0-9]*' | cut -d= -f2)");
    port.finish(SOON);
    machine.write("/srv/machine/other.conf", "router id 192.0.2.9; protocol device {}\n");
    machine.line("bird -c /srv/machine/other.conf -s /srv/machine/other.ctl -P /srv/machine/other.pid");
    refused("bird, process ");
    machine.sh("kill $(cat /srv/machine/other.pid)");
    eventually(SOON, "it is gone", || !machine.run(&["pgrep", "-x", "bird"]).status.success());
    machine.line("ip route add 198.51.100.0/24 via 203.0.113.1 proto bird");
    refused("198.51.100.0/24 is a route of a BIRD");
    machine.line("ip route del 198.51.100.0/24");
    machine.start();
    assert!(machine.established("private", "rd_host"));
    machine.assert_converged();
    // Its own daemon, and what it leaves when it dies, is no one else's.
    machine.signal_supervisor("KILL");
    machine.sh("kill -9 $(pgrep -x bird)");
    machine.line("ip route add 198.51.100.0/24 via 203.0.113.1 proto bird");
    machine.start();
    assert!(machine.established("private", "rd_host"));
    machine.stop();
}

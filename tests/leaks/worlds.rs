//! The networks in which cases are.

use crate::setup::World;

/// Links only: `r` in the middle receives. `s` and `t` may send it a little, `u` accepts everything from it and may reach
/// everything but its unnamed addresses; `v` is behind `u` on a numbered link. `hosts` is a host behind `r`.
pub const HUB: World = World {
    name: "hub",
    toml: r#"
[domain.r]
asn = 65001
loopback = ["198.51.100.1/32", "203.0.113.50/32", "2001:db8:1::1/128", "2001:db8:ff::50/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]
[[domain.r.interface]]
name = "lan"
address = ["198.51.100.129/25", "2001:db8:1:1::1/64"]
[domain.s]
asn = 65002
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]
[domain.t]
daemon = "none"
loopback = ["10.66.0.1/32", "2001:db8:66::1/128"]
networks = ["10.66.0.0/16", "2001:db8:66::/48"]
[domain.u]
daemon = "none"
loopback = ["172.20.0.1/32", "2001:db8:20::1/128"]
networks = ["172.20.0.0/16", "2001:db8:20::/48"]
[domain.v]
daemon = "none"
loopback = ["10.77.0.1/32", "2001:db8:77::1/128"]
networks = ["10.77.0.0/16", "2001:db8:77::/48"]

[[link]]
between = ["s", "r"]
[link.into.s]
routes = ["198.51.100.0/24", "2001:db8:1::/48"]
packets = ["any"]
[link.into.r]
routes = ["192.168.0.0/16 le 24", "2001:db8:2::/48 le 64"]
packets = ["tcp/80,443", "udp/53", "icmp"]
[[link]]
between = ["t", "r"]
routing = "static"
[link.into.t]
routes = ["198.51.100.0/24", "2001:db8:1::/48"]
packets = ["any"]
[link.into.r]
routes = ["10.66.0.0/16", "2001:db8:66::/48"]
packets = ["any"]
[[link]]
between = ["u", "r"]
routing = "static"
[link.into.u]
routes = ["0.0.0.0/0", "::/0"]
packets = ["any"]
[link.into.r]
routes = ["172.20.0.0/16", "2001:db8:20::/48"]
packets = ["any"]
[[link]]
between = ["v", "u"]
routing = "static"
addresses = ["169.254.10.0/31", "2001:db8:ee::/127"]
[link.into.v]
routes = ["172.20.0.0/16", "2001:db8:20::/48"]
packets = ["any"]
[link.into.u]
routes = ["10.77.0.0/16", "2001:db8:77::/48"]
packets = ["any"]
"#,
    before: "ip netns add hosts
        ip link add lan type veth peer name lan netns hosts
        ip -n hosts link set lo up; ip -n hosts link set lan up; ip link set lan up
        ip -n hosts address add 198.51.100.130/25 dev lan; ip -n hosts address add 2001:db8:1:1::2/64 dev lan nodad",
    // Whatever is let in for a host behind `r` comes out there, and nothing waits for an address to be resolved.
    after: "mac=$(ip -n hosts -o link show dev lan | sed 's/.*link.ether //; s/ .*//')
        ip -n r neighbor replace 198.51.100.130 lladdr $mac dev lan; ip -n r neighbor replace 2001:db8:1:1::2 lladdr $mac dev lan
        ip -n r -4 route replace 198.51.100.0/24 via 198.51.100.130
        ip -n r -6 route add 2001:db8:1::/48 via 2001:db8:1:1::2 metric 1",
    namespaces: &["r", "s", "t", "u", "v", "hosts"],
    frr: &[],
    edits: &[],
    waits: true,
    learned: &[("r", "192.168.0.0/16"), ("r", "2001:db8:2::/48"), ("s", "198.51.100.0/24")],
};

/// An edge: `up0` and `up1` are outside, with a neighbor of BGP on the first and hosts on the other side of both; `lan` is
/// inside; `inner` is a linked domain whose private addresses are masqueraded on `up0`.
pub const EDGE: World = World {
    name: "edge",
    toml: r#"
[domain.edge]
asn      = 65001
loopback = ["198.51.100.1/32", "2001:db8:1::1/128"]
networks = ["198.51.100.0/24", "2001:db8:1::/48"]
[[domain.edge.interface]]
name    = "up0"
address = ["203.0.113.2/30", "2001:db8:ffff::2/64"]
input   = ["udp/123"]
packets = ["tcp/25", "udp/2525"]
masquerade = ["192.168.0.0/16", "198.51.100.192/26", "2001:db8:1:1:8000::/65"]
[[domain.edge.interface]]
name    = "up1"
address = ["203.0.113.6/30", "2001:db8:fffe::2/64"]
outside = true
input   = ["udp/123"]
[[domain.edge.interface]]
name    = "lan"
address = ["198.51.100.129/25", "2001:db8:1:1::1/64"]
[[domain.edge.neighbor]]
name     = "isp"
address  = "203.0.113.1"
asn      = 64510
routes   = ["0.0.0.0/0", "8.0.0.0/8 le 24"]
announce = ["198.51.100.0/24"]
bfd      = true
[[domain.edge.neighbor]]
name     = "isp6"
address  = "2001:db8:ffff::1"
asn      = 64510
routes   = ["::/0", "2a00::/16 le 48", "11.0.0.0/8"]
announce = ["2001:db8:1::/48"]
bfd      = true
[[domain.edge.route]]
to  = "9.9.9.0/24"
via = "203.0.113.5"
[[domain.edge.route]]
to  = "2a00:9::/32"
via = "2001:db8:fffe::1"

[domain.inner]
daemon   = "none"
loopback = ["192.168.0.1/32", "2001:db8:2::1/128"]
networks = ["192.168.0.0/16", "2001:db8:2::/48"]
[[link]]
between = ["inner", "edge"]
routing = "static"
[link.into.inner]
routes  = ["0.0.0.0/0", "::/0"]
packets = ["any"]
[link.into.edge]
routes  = ["192.168.0.0/16", "2001:db8:2::/48"]
packets = ["any"]
"#,
    before: "ip netns add isp; ip netns add hosts
        ip link add up0 type veth peer name customer netns isp; ip link add up1 type veth peer name customer1 netns isp
        ip link add lan type veth peer name lan netns hosts
        for i in lo customer customer1; do ip -n isp link set $i up; done
        ip -n hosts link set lo up; ip -n hosts link set lan up; ip link set up0 up; ip link set up1 up; ip link set lan up
        ip -n isp address add 203.0.113.1/30 dev customer; ip -n isp address add 2001:db8:ffff::1/64 dev customer nodad
        ip -n isp address add 203.0.113.5/30 dev customer1; ip -n isp address add 2001:db8:fffe::1/64 dev customer1 nodad
        ip -n hosts address add 198.51.100.130/25 dev lan; ip -n hosts address add 2001:db8:1:1::2/64 dev lan nodad
        cat >/srv/machine/isp.conf <<'END'
router id 203.0.113.1;
protocol device { }
protocol static { ipv4; route 0.0.0.0/0 unreachable; route 8.8.8.0/24 unreachable; }
protocol static { ipv6; route ::/0 unreachable; route 2a00:8::/32 unreachable; }
template bgp customer { local as 64510; ttl security on; connect delay time 1; connect retry time 1; error wait time 1, 5; }
protocol bgp four from customer { neighbor 203.0.113.2 as 65001; ipv4 { import all; export where source = RTS_STATIC; }; }
protocol bgp six from customer { neighbor 2001:db8:ffff::2 as 65001; ipv6 { import all; export where source = RTS_STATIC; }; }
END
        ip netns exec isp bird -c /srv/machine/isp.conf -s /srv/machine/isp.ctl -P /srv/machine/isp.pid",
    after: "mac=$(ip -n hosts -o link show dev lan | sed 's/.*link.ether //; s/ .*//')
        for a in 198.51.100.130 2001:db8:1:1::2; do ip -n edge neighbor replace $a lladdr $mac dev lan; done
        mac=$(ip -n isp -o link show dev customer | sed 's/.*link.ether //; s/ .*//')
        for a in 203.0.113.1 2001:db8:ffff::1; do ip -n edge neighbor replace $a lladdr $mac dev up0; done
        mac=$(ip -n isp -o link show dev customer1 | sed 's/.*link.ether //; s/ .*//')
        for a in 203.0.113.5 2001:db8:fffe::1; do ip -n edge neighbor replace $a lladdr $mac dev up1; done",
    namespaces: &["edge", "inner", "isp", "hosts"],
    frr: &[],
    edits: &[],
    waits: true,
    learned: &[("edge", "8.8.8.0/24"), ("edge", "2a00:8::/32"), ("edge", "default")],
};

/// The same with FRR.
pub const EDGE_FRR: World = EDGE.with_frr("edge (frr)", &["edge"]);

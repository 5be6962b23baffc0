//! Settings of the kernel.

use super::{Mutation, script};

pub const MUTATIONS: &[Mutation] = &[
    script(
        "ARP for the addresses of the wire only",
        "ARP and neighbor discovery for other addresses",
        "ip netns exec r sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.rd-s.arp_ignore=0",
    ),
    script(
        "no proxy ARP",
        "ARP and neighbor discovery for other addresses",
        "ip netns exec r sysctl -qw net.ipv4.conf.rd-s.proxy_arp=1 net.ipv4.neigh.rd-s.proxy_delay=0",
    ),
    script(
        "no source routes",
        "kernel: source route that the filter lets through",
        "ip netns exec r sysctl -qw net.ipv4.conf.all.accept_source_route=1 net.ipv4.conf.rd-s.accept_source_route=1",
    ),
    script(
        "loopback addresses stay on the loopback",
        "kernel: loopback address that the filter lets through",
        "ip netns exec r sysctl -qw net.ipv4.conf.rd-u.route_localnet=1",
    ),
    script(
        "own addresses are no sources of others",
        "kernel: own source that the filter lets through",
        "ip netns exec r sysctl -qw net.ipv4.conf.rd-s.accept_local=1",
    ),
    script(
        "router advertisements are not believed",
        "kernel: router advertisement that the filter lets through",
        "ip netns exec r sysctl -qw net.ipv6.conf.lan.accept_ra=2 net.ipv6.conf.lan.autoconf=1",
    ),
    script(
        "redirects are not believed",
        "kernel: redirect that the filter lets through",
        "ip netns exec r sysctl -qw net.ipv4.conf.all.accept_redirects=1 net.ipv4.conf.lan.accept_redirects=1",
    ),
    script(
        "redirects are not sent",
        "kernel: redirects are not sent",
        "ip netns exec r sysctl -qw net.ipv4.conf.lan.send_redirects=1",
    ),
    script(
        "questions name an address of the wire",
        "kernel: questions for neighbors do not name other addresses",
        "ip netns exec edge sysctl -qw net.ipv4.conf.all.arp_announce=0 net.ipv4.conf.up0.arp_announce=0",
    ),
];

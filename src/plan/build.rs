//! From what the file means to what should be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use ipnet::{IpNet, Ipv6Net};

use super::desired::{
    Desired, DesiredDaemon, DesiredDomain, DesiredFile, DesiredFilter, DesiredInterface, DesiredVeth, FileOwner,
    InterfaceKind, VethEnd,
};
use super::observed::RouteSpec;
use super::{Layout, ROUTE_PROTOCOL, host};
use crate::model::{Domain, Family, InterfaceName, Link, LinkEnd, Network, Origin};
use crate::policy;
use crate::render::{Rendered, RenderedDomain};

impl Desired {
    /// What `network`, rendered as `rendered`, wants on the machine.
    pub fn of(network: &Network, rendered: &Rendered, layout: &Layout) -> Self {
        let domains = network
            .domains
            .iter()
            .filter_map(|domain| {
                let text = rendered.domains.get(&domain.name)?;
                Some((domain.name.clone(), desired_domain(network, domain, text, layout)))
            })
            .collect();
        let veths = network.links.iter().map(|link| DesiredVeth { ends: ends(link), origin: link.origin }).collect();
        Self { domains, veths }
    }
}

fn ends(link: &Link) -> [VethEnd; 2] {
    link.ends.each_ref().map(|end| VethEnd { domain: end.domain.clone(), interface: end.interface.clone() })
}

fn desired_domain(network: &Network, domain: &Domain, rendered: &RenderedDomain, layout: &Layout) -> DesiredDomain {
    let name = &domain.name;
    let mut files = Vec::new();
    let mut daemon = None;
    for (program, text) in &rendered.daemon {
        let path = layout.daemon_config(name, *program);
        // The configuration may hold passwords: the daemon's group may read it, others may not.
        let (text, owner) = (text.as_str().into(), FileOwner::DaemonGroup(domain.daemon));
        files.push(DesiredFile { path: path.clone(), text, mode: 0o640, owner });
        // That of the program that speaks BGP is the last.
        let programs = rendered.daemon.keys().copied().collect();
        daemon = Some(DesiredDaemon { kind: domain.daemon, programs, config: path });
    }
    if !domain.dns.is_empty() {
        let text = domain.dns.iter().fold(String::new(), |mut text, server| {
            let _ = writeln!(text, "nameserver {server}");
            text
        });
        let path = layout.resolv_conf(name);
        files.push(DesiredFile { path, text: text.into(), mode: 0o644, owner: FileOwner::Root });
    }
    let sysctls = if name.is_host() { host::sysctls(domain) } else { namespace_sysctls() };
    if !name.is_host() {
        let text = sysctls.iter().fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{} = {value}", key.replace('/', "."));
            text
        });
        let path = layout.sysctls(name);
        files.push(DesiredFile { path, text: text.into(), mode: 0o644, owner: FileOwner::Root });
    }
    let routes: Vec<_> = policy::kernel_routes(network, name)
        .into_iter()
        .map(|route| {
            let origin = route_origin(network, domain, &route);
            (route_spec(route), origin)
        })
        .collect();
    DesiredDomain {
        sysctls,
        filter: DesiredFilter { path: layout.filter(name), text: Arc::from(rendered.filter.as_str()) },
        files,
        interfaces: interfaces(network, domain, layout),
        routes: routes.iter().map(|(route, _)| route.clone()).collect(),
        route_origins: routes.into_iter().filter_map(|(route, origin)| Some((route, origin?))).collect(),
        daemon,
        origin: domain.origin,
    }
}

/// The line of a declared route, or of the static link that a route crosses.
fn route_origin(network: &Network, domain: &Domain, route: &policy::KernelRoute) -> Option<Origin> {
    let declared = domain.routes.iter().find(|it| it.to == route.to && it.metric == route.metric);
    let link = || {
        let dev = route.dev.as_ref()?;
        let (link, ..) = network.links_of(&domain.name).find(|(_, end, _)| end.interface == *dev)?;
        Some(link.origin)
    };
    declared.map(|route| route.origin).or_else(link)
}

fn route_spec(route: policy::KernelRoute) -> RouteSpec {
    RouteSpec {
        to: route.to,
        kind: route.kind.as_str().to_owned(),
        via: route.via,
        dev: route.dev,
        src: route.src,
        metric: route.metric,
        protocol: ROUTE_PROTOCOL,
    }
}

fn interfaces(network: &Network, domain: &Domain, layout: &Layout) -> BTreeMap<InterfaceName, DesiredInterface> {
    let mut interfaces = BTreeMap::new();
    if !domain.name.is_host() {
        let lo = DesiredInterface {
            kind: InterfaceKind::Loopback,
            addresses: domain.loopback.iter().copied().collect(),
            // FRR 8.4 gives IPv4 routes whose next hop is an IPv6 address no source.
            first: domain
                .loopback
                .iter()
                .filter(|it| domain.source(Family::of(it.addr())) == Some(it.addr()))
                .copied()
                .collect(),
            mtu: None,
            sysctls: BTreeMap::new(),
            alias: None,
            origin: domain.origin,
        };
        interfaces.insert(InterfaceName::loopback(), lo);
    }
    for interface in &domain.interfaces {
        let physical = DesiredInterface {
            kind: InterfaceKind::Physical,
            addresses: interface.addresses.iter().copied().collect(),
            first: BTreeSet::new(),
            mtu: interface.mtu,
            sysctls: interface_sysctls(&interface.name, GENERATED_ADDRESS, |_| true),
            alias: None,
            origin: interface.origin,
        };
        interfaces.insert(interface.name.clone(), physical);
    }
    for (link, end, _) in network.links_of(&domain.name) {
        let forwarding = |family| !domain.name.is_host() || (domain.forwarding && domain.families.contains(family));
        let link_end = DesiredInterface {
            kind: InterfaceKind::Link,
            addresses: end_addresses(end),
            first: BTreeSet::new(),
            mtu: link.mtu,
            sysctls: interface_sysctls(&end.interface, NO_GENERATED_ADDRESS, forwarding),
            alias: Some(layout.alias(link)),
            origin: link.origin,
        };
        interfaces.insert(end.interface.clone(), link_end);
    }
    interfaces
}

/// The link-local address, and those of a numbered link.
fn end_addresses(end: &LinkEnd) -> BTreeSet<IpNet> {
    let link_local = Ipv6Net::new_assert(end.link_local, 64);
    end.addresses.iter().copied().chain([IpNet::V6(link_local)]).collect()
}

/// IPv4 settings of every interface, with the reason where the name does not tell.
const IPV4: [(&str, &str); 11] = [
    // Reverse path is checked in the packet filter, which knows about policy; the kernel takes max(all, interface).
    ("rp_filter", "0"),
    // Weak host closed: answer ARP only for addresses of the interface that was asked.
    ("arp_ignore", "1"),
    ("arp_announce", "2"),
    ("proxy_arp", "0"),
    ("accept_redirects", "0"),
    ("secure_redirects", "0"),
    ("send_redirects", "0"),
    ("accept_source_route", "0"),
    // 127/8 would cross a veth if this were 1.
    ("route_localnet", "0"),
    ("accept_local", "0"),
    ("log_martians", "0"),
];

/// IPv6 settings of every interface.
const IPV6: [(&str, &str); 7] = [
    ("accept_ra", "0"),
    ("autoconf", "0"),
    ("accept_redirects", "0"),
    // Below 0 no routing header is accepted at all; 0 would accept type 2.
    ("accept_source_route", "-1"),
    // Addresses are usable at once: both ends of a link are ours, so there is nobody to collide with.
    ("accept_dad", "0"),
    ("router_solicitations", "0"),
    ("proxy_ndp", "0"),
];

/// No link-local address is generated; each link has a fixed one.
const NO_GENERATED_ADDRESS: (&str, &str) = ("addr_gen_mode", "1");

/// Without a link-local address of its own a router asks for no neighbor to whom it forwards (RFC 4861, 7.2.2), so an
/// interface to hosts gets the usual one.
const GENERATED_ADDRESS: (&str, &str) = ("addr_gen_mode", "0");

/// A new namespace copies the IPv4 values of the host's, so each that matters is written, for `all` and for `default`.
fn namespace_sysctls() -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    let mut set = |key: String, value: &str| sysctls.insert(key, value.to_owned());
    for scope in ["all", "default"] {
        for (key, value) in IPV4 {
            set(format!("net/ipv4/conf/{scope}/{key}"), value);
        }
        for (key, value) in IPV6 {
            set(format!("net/ipv6/conf/{scope}/{key}"), value);
        }
        set(format!("net/ipv6/conf/{scope}/forwarding"), "1");
        set(format!("net/ipv6/conf/{scope}/keep_addr_on_down"), "1");
    }
    let (key, value) = NO_GENERATED_ADDRESS;
    set(format!("net/ipv6/conf/default/{key}"), value);
    set("net/ipv4/conf/default/forwarding".to_owned(), "1");
    set("net/ipv4/ip_forward".to_owned(), "1");
    sysctls
}

fn interface_sysctls(
    name: &InterfaceName,
    generated: (&str, &str),
    forwards: impl Fn(Family) -> bool,
) -> BTreeMap<String, String> {
    let forwarding = |family| ("forwarding", if forwards(family) { "1" } else { "0" });
    let ipv4 = IPV4.into_iter().chain([forwarding(Family::Ipv4)]).map(|setting| ("ipv4", setting));
    let ipv6 = IPV6.into_iter().chain([forwarding(Family::Ipv6), generated]).map(|setting| ("ipv6", setting));
    ipv4.chain(ipv6)
        .map(|(family, (key, value))| (format!("net/{family}/conf/{name}/{key}"), value.to_owned()))
        .collect()
}

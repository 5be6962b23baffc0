//! Networks for the rendering tests, written as values so that they do not depend on the configuration reader.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::PathBuf;

use ipnet::IpNet;
use rdsup::model::*;

/// A prefix pattern as the configuration writes it.
pub fn pattern(text: &str) -> PrefixPattern {
    let mut words = text.split(' ');
    let prefix: IpNet = words.next().unwrap().parse().unwrap();
    let mut pattern = PrefixPattern::exact(prefix);
    while let Some(word) = words.next() {
        let length = words.next().unwrap().parse().unwrap();
        match word {
            "ge" => (pattern.ge, pattern.le) = (length, prefix.max_prefix_len()),
            "le" => pattern.le = length,
            other => panic!("{other}"),
        }
    }
    pattern
}

pub fn patterns(texts: &[&str]) -> Vec<PrefixPattern> {
    texts.iter().map(|text| pattern(text)).collect()
}

pub fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub fn name(text: &str) -> DomainName {
    DomainName::new(text).unwrap()
}

pub fn tcp(ports: &[u16]) -> PacketMatch {
    PacketMatch::Ports(PortProtocol::Tcp, ports.iter().map(|port| PortRange { first: *port, last: *port }).collect())
}

pub fn udp(ports: &[u16]) -> PacketMatch {
    PacketMatch::Ports(PortProtocol::Udp, ports.iter().map(|port| PortRange { first: *port, last: *port }).collect())
}

/// A domain that runs BIRD, with loopbacks and networks.
pub fn domain(text: &str, asn: u32, loopback: &[&str], networks: &[&str]) -> Domain {
    Domain {
        name: name(text),
        description: None,
        asn: Some(Asn(asn)),
        router_id: Some([10, 255, 0, u8::try_from(asn % 200).unwrap()].into()),
        loopback: nets(loopback),
        networks: nets(networks),
        daemon: DaemonKind::Bird,
        families: Families { ipv4: true, ipv6: true },
        dns: Vec::new(),
        extra: None,
        operators: None,
        viewers: None,
        forwarding: false,
        interfaces: Vec::new(),
        routes: Vec::new(),
        neighbors: Vec::new(),
        origin: Origin { line: asn % 100 },
    }
}

pub fn accept(routes: &[&str], packets: Packets) -> Accept {
    Accept { routes: patterns(routes), packets, max_prefixes: 1000, ..Accept::default() }
}

/// A link between `first` and `second`, with what each accepts.
pub fn link(mark: u32, first: &str, first_accept: Accept, second: &str, second_accept: Accept) -> Link {
    let end = |at: &str, peer: &str, number: u16, accept| LinkEnd {
        domain: name(at),
        interface: InterfaceName::new(format!("rd-{peer}")).unwrap(),
        link_local: [0xfe80, 0, 0, 0, 0, 0, 0, number].into(),
        addresses: Vec::new(),
        accept,
    };
    Link {
        name: None,
        mark,
        ends: [end(first, second, 1, first_accept), end(second, first, 2, second_accept)],
        routing: Routing::Bgp,
        mtu: None,
        max_path: 64,
        provider: None,
        origin: Origin { line: 50 + mark },
    }
}

pub fn network(domains: Vec<Domain>, links: Vec<Link>) -> Network {
    Network {
        settings: Settings {
            source: PathBuf::from("/etc/rdsup/rdsup.toml"),
            run_dir: PathBuf::from("/run/rdsup"),
            state_dir: PathBuf::from("/var/lib/rdsup"),
            templates: None,
        },
        domains,
        links,
        services: Vec::new(),
        rpki: Vec::new(),
    }
}

/// The example of the README: private and hostile behind internet.
pub fn three_domains() -> Network {
    let mut internet =
        domain("internet", 65001, &["198.51.100.1/32", "2001:db8:1::1/128"], &["198.51.100.0/24", "2001:db8:1::/48"]);
    internet.description = Some("upstream side".to_owned());
    internet.routes.push(Route {
        to: "0.0.0.0/0".parse().unwrap(),
        kind: RouteKind::Blackhole,
        metric: None,
        origin: Origin { line: 9 },
    });
    let mut private =
        domain("private", 65002, &["192.168.0.1/32", "2001:db8:2::1/128"], &["192.168.0.0/16", "2001:db8:2::/48"]);
    private.extra = Some(ExtraText {
        text: "# first\nfunction admins_own() { return true; }".to_owned(),
        origin: Origin { line: 30 },
    });
    let mut hostile = domain("hostile", 65003, &["10.66.0.1/32"], &["10.66.0.0/16"]);
    hostile.families.ipv6 = false;
    let links = vec![
        link(
            1,
            "private",
            accept(&["0.0.0.0/0", "::/0", "198.51.100.0/24", "2001:db8:1::/48"], Vec::new()),
            "internet",
            accept(
                &["192.168.0.0/16 le 24", "2001:db8:2::/48 le 64"],
                vec![tcp(&[80, 443]), udp(&[53]), PacketMatch::Icmp],
            ),
        ),
        link(
            2,
            "hostile",
            accept(&["0.0.0.0/0"], Vec::new()),
            "internet",
            accept(&["10.66.0.0/16"], vec![tcp(&[80, 443])]),
        ),
    ];
    network(vec![internet, private, hostile], links)
}

/// An edge with two upstreams, a customer side, a numbered link and a neighbor several hops away.
pub fn edge() -> Network {
    let mut edge = domain("edge", 64496, &["192.0.2.1/32", "2001:db8::1/128"], &["192.0.2.0/24", "2001:db8::/48"]);
    edge.interfaces = vec![
        interface("eth1", &["203.0.113.2/30", "2001:db8:ff::2/64"], true),
        interface("lan0", &["192.0.2.129/25", "2001:db8:0:1::1/64"], false),
    ];
    edge.interfaces[0].packets = vec![tcp(&[443]), PacketMatch::Protocol(47)];
    edge.interfaces[1].input = vec![udp(&[53, 67])];
    edge.interfaces[1].source_check = true;
    let base = Neighbor {
        name: NeighborName::new("transit").unwrap(),
        description: Some("said \"fast\"; \\ { $x }".to_owned()),
        address: "203.0.113.1".parse().unwrap(),
        interface: None,
        asn: Asn(64500),
        ibgp: false,
        multihop: None,
        routes: patterns(&["0.0.0.0/0 le 32"]),
        announce: patterns(&["192.0.2.0/24", "198.18.0.0/15"]),
        preference: Some(200),
        max_prefixes: 1_000_000,
        max_path: 100,
        role: None,
        rpki: true,
        accept_default: false,
        bfd: true,
        password: Some(PasswordFile(PathBuf::from("/etc/rdsup/keys/transit"))),
        origin: Origin { line: 20 },
    };
    edge.neighbors = vec![
        base.clone(),
        Neighbor {
            name: NeighborName::new("transit6").unwrap(),
            description: None,
            address: "2001:db8:ff::1".parse().unwrap(),
            routes: patterns(&["::/0"]),
            announce: patterns(&["2001:db8::/48"]),
            bfd: false,
            password: None,
            ..base.clone()
        },
        Neighbor {
            name: NeighborName::new("far").unwrap(),
            description: None,
            address: "198.51.100.9".parse().unwrap(),
            asn: Asn(64501),
            multihop: Some(4),
            bfd: false,
            routes: patterns(&["198.51.100.0/24", "198.51.100.128/25"]),
            announce: Vec::new(),
            preference: None,
            password: None,
            ..base.clone()
        },
        Neighbor {
            name: NeighborName::new("wire").unwrap(),
            description: None,
            address: "fe80::99".parse().unwrap(),
            interface: Some(InterfaceName::new("lan0").unwrap()),
            asn: Asn(64496),
            ibgp: true,
            routes: patterns(&["192.0.2.64/26", "2001:db8::/48 le 64"]),
            announce: patterns(&["0.0.0.0/0", "::/0 le 48"]),
            password: None,
            ..base
        },
    ];
    let client =
        domain("client", 65010, &["198.18.0.1/32", "2001:db8:2::1/128"], &["198.18.0.0/15", "2001:db8:2::/48"]);
    let mut link = link(
        77,
        "edge",
        accept(&["198.18.0.0/15", "2001:db8:2::/48"], vec![PacketMatch::Any]),
        "client",
        accept(&["0.0.0.0/0 le 32", "::/0 le 128"], vec![PacketMatch::Icmp]),
    );
    link.ends[0].addresses = nets(&["169.254.0.0/31", "2001:db8:fe::/127"]);
    link.ends[1].addresses = nets(&["169.254.0.1/31", "2001:db8:fe::1/127"]);
    network(vec![edge, client], vec![link])
}

pub fn interface(text: &str, addresses: &[&str], outside: bool) -> Interface {
    Interface {
        name: InterfaceName::new(text).unwrap(),
        addresses: nets(addresses),
        mtu: None,
        outside,
        packets: Vec::new(),
        input: Vec::new(),
        source_check: false,
        masquerade: Vec::new(),
        origin: Origin::default(),
    }
}

/// The machine itself behind a static link.
pub fn host() -> Network {
    let mut host = domain("host", 0, &["10.9.0.1/32"], &["10.9.0.0/24"]);
    (host.asn, host.router_id, host.daemon) = (None, None, DaemonKind::None);
    let mut lab = domain("lab", 65020, &["10.8.0.1/32", "2001:db8:8::1/128"], &["10.8.0.0/24", "2001:db8:8::/64"]);
    lab.description = Some("quotes \" and ; } {".to_owned());
    let mut link = link(
        9,
        "host",
        accept(&["10.8.0.0/24", "10.8.0.1/32", "2001:db8:8::/64"], vec![tcp(&[22]), PacketMatch::Icmp]),
        "lab",
        accept(&["10.9.0.0/24"], vec![PacketMatch::Any]),
    );
    link.routing = Routing::Static;
    network(vec![host, lab], vec![link])
}

/// The host without any link.
pub fn host_alone() -> Network {
    let mut network = host();
    network.domains.truncate(1);
    network.links.clear();
    network
}

/// Two domains without IPv6 on a numbered link, so that the session runs over IPv4; one of them takes everything.
pub fn ipv4_only() -> Network {
    let mut a = domain("a", 65030, &["10.30.0.1/32"], &["10.30.0.0/16"]);
    let mut b = domain("b", 65031, &["10.31.0.1/32"], &["10.31.0.0/16"]);
    (a.families.ipv6, b.families.ipv6) = (false, false);
    let mut link = link(
        5,
        "a",
        accept(&["10.31.0.0/16 ge 20 le 24", "10.31.0.0/16"], vec![PacketMatch::Icmp]),
        "b",
        accept(&["0.0.0.0/0 le 32"], vec![tcp(&[]), udp(&[5000, 5001])]),
    );
    (link.ends[0].accept.preference, link.ends[0].accept.max_prefixes) = (Some(300), 10);
    link.ends[0].addresses = nets(&["172.31.0.0/31"]);
    link.ends[1].addresses = nets(&["172.31.0.1/31"]);
    network(vec![a, b], vec![link])
}

/// A chain in which ends see each other through the middle, over BGP on one side and a static link without an AS number
/// on the other, with translations, services and an RPKI cache.
pub fn chain() -> Network {
    let mut middle =
        domain("middle", 65050, &["10.50.0.1/32", "2001:db8:50::1/128"], &["10.50.0.0/16", "2001:db8:50::/48"]);
    middle.interfaces = vec![interface("wan0", &["203.0.113.2/30"], true), interface("wan1", &["192.0.2.2/30"], true)];
    let upstream = |text: &str, address: &str, asn| Neighbor {
        name: NeighborName::new(text).unwrap(),
        description: None,
        address: address.parse().unwrap(),
        interface: None,
        asn: Asn(asn),
        ibgp: false,
        multihop: None,
        routes: patterns(&["0.0.0.0/0 le 32"]),
        announce: patterns(&["0.0.0.0/0 le 32"]),
        preference: None,
        max_prefixes: 1000,
        max_path: 100,
        role: Some(Role::Customer),
        rpki: true,
        accept_default: true,
        bfd: false,
        password: None,
        origin: Origin { line: 30 },
    };
    middle.neighbors = vec![upstream("one", "203.0.113.1", 3333), upstream("two", "192.0.2.1", 64510)];
    middle.neighbors[1].rpki = false;
    let route = |to: &str, via: Option<&str>, dev: Option<&str>| Route {
        to: to.parse().unwrap(),
        kind: RouteKind::Unicast {
            via: via.map(|via| via.parse().unwrap()),
            dev: dev.map(|dev| InterfaceName::new(dev).unwrap()),
        },
        metric: None,
        origin: Origin { line: 40 },
    };
    middle.routes = vec![
        route("192.0.2.200/32", Some("203.0.113.1"), None),
        route("192.0.2.201/32", Some("fe80::7"), Some("wan0")),
        route("192.0.2.202/32", None, Some("wan1")),
    ];
    let left = domain("left", 65051, &["10.51.0.1/32"], &["10.51.0.0/16"]);
    let mut right = domain("right", 0, &["10.52.0.1/32"], &["10.52.0.0/16"]);
    (right.asn, right.router_id, right.daemon) = (None, None, DaemonKind::None);
    let mut first = link(
        1001,
        "left",
        Accept {
            transit: vec![name("right")],
            nat: vec![Nat {
                from: nets(&["10.50.2.0/24"]),
                to: "198.18.9.9".parse().unwrap(),
                origin: Origin::default(),
            }],
            alias: vec![Alias {
                real: "10.50.1.0/24".parse().unwrap(),
                seen: "198.18.5.0/24".parse().unwrap(),
                origin: Origin::default(),
            }],
            ..accept(&["10.50.0.0/16 le 24", "10.52.0.0/16", "198.18.5.0/24", "198.18.9.9/32"], Vec::new())
        },
        "middle",
        accept(&["10.51.0.0/16"], vec![PacketMatch::Icmp]),
    );
    first.provider = Some(name("middle"));
    let mut second =
        link(1002, "right", accept(&["10.50.0.0/16"], Vec::new()), "middle", accept(&["10.52.0.0/16"], Vec::new()));
    second.routing = Routing::Static;
    let mut network = network(vec![left, middle, right], vec![first, second]);
    let at = |text: &str| {
        let socket: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { address: socket.ip(), port: socket.port() }
    };
    let expose = |to: &str, published: Option<&str>| Exposure {
        to: name(to),
        published: published.map(at),
        origin: Origin::default(),
    };
    network.services.push(Service {
        name: ServiceName::new("wiki").unwrap(),
        domain: name("middle"),
        at: at("10.50.9.10:443"),
        protocol: PortProtocol::Tcp,
        expose: vec![expose("left", None), expose("right", Some("198.18.7.7:443"))],
        origin: Origin::default(),
    });
    network.rpki.push(RpkiCache {
        name: CacheName::new("validator").unwrap(),
        domain: name("middle"),
        address: "10.50.0.53".parse().unwrap(),
        port: 3323,
        origin: Origin::default(),
    });
    network
}

/// A hub with spokes.
pub fn hub(spokes: u32) -> Network {
    let mut domains = vec![domain("hub", 65100, &["10.0.0.1/32", "2001:db8::1/128"], &["10.0.0.0/24"])];
    let mut links = Vec::new();
    for i in 1..=spokes {
        let (v4, v6) = (format!("10.{i}.0.0/16"), format!("2001:db8:{i}::/48"));
        let loopbacks = [format!("10.{i}.0.1/32"), format!("2001:db8:{i}::1/128")];
        let loopbacks = loopbacks.each_ref().map(String::as_str);
        let spoke = format!("s{i}");
        domains.push(domain(&spoke, 65100 + i, &loopbacks, &[&v4, &v6]));
        let from_spoke = accept(&[&v4, &v6], vec![PacketMatch::Icmp]);
        links.push(link(i, "hub", from_spoke, &spoke, accept(&["0.0.0.0/0", "10.0.0.0/24"], Vec::new())));
    }
    network(domains, links)
}

/// Two sites with the same addresses and a shop behind a middle: translation both ways, transit, services, masquerading.
pub fn overlap() -> Network {
    let own = ["10.1.0.0/24", "2001:db8:a::/64"];
    let mut middle = domain("middle", 65041, &["198.51.100.1/32", "2001:db8:1::1/128"], &["198.51.100.0/24"]);
    middle.interfaces = vec![interface("eth0", &["203.0.113.2/24", "2001:db8:ff::2/64"], true)];
    middle.interfaces[0].masquerade = nets(&["198.51.100.0/24", "203.0.113.0/24", "2001:db8:1::/48"]);
    middle.interfaces[0].input = vec![tcp(&[22])];
    middle.interfaces[0].packets = vec![tcp(&[80])];
    let left = domain("left", 65042, &["10.1.0.1/32", "2001:db8:a::1/128"], &own);
    let right = domain("right", 65043, &["10.1.0.1/32", "2001:db8:a::1/128"], &own);
    let nat = |from: &[&str], to: &str| Nat { from: nets(from), to: to.parse().unwrap(), origin: Origin::default() };
    let alias = |real: &str, seen: &str| Alias {
        real: real.parse().unwrap(),
        seen: seen.parse().unwrap(),
        origin: Origin::default(),
    };
    let mut links = vec![
        link(
            41,
            "left",
            Accept { transit: vec![name("right")], ..accept(&["0.0.0.0/0", "::/0"], vec![PacketMatch::Icmp]) },
            "middle",
            Accept {
                alias: vec![alias("10.1.0.0/24", "198.18.5.0/24"), alias("2001:db8:a::/64", "2001:db8:5::/64")],
                ..accept(&["198.18.5.0/24", "2001:db8:5::/64"], vec![PacketMatch::Any])
            },
        ),
        link(
            42,
            "right",
            accept(&["198.18.5.0/24", "2001:db8:5::/64"], vec![PacketMatch::Icmp]),
            "middle",
            Accept {
                nat: vec![
                    nat(&["10.1.0.0/25", "10.1.0.0/26", "10.1.0.128/25"], "198.18.6.1"),
                    nat(&["2001:db8:a::/64"], "2001:db8:6::1"),
                ],
                ..accept(&["198.18.6.1/32", "2001:db8:6::1/128"], vec![tcp(&[80])])
            },
        ),
    ];
    links[0].ends[0].addresses = nets(&["10.1.0.254/31", "2001:db8:a::fe/127"]);
    links[0].ends[1].addresses = nets(&["10.1.0.255/31", "2001:db8:a::ff/127"]);
    let mut network = network(vec![middle, left, right], links);
    let service = |text: &str, domain: &str, at: &str, expose: &[(&str, Option<&str>)]| Service {
        name: ServiceName::new(text).unwrap(),
        domain: name(domain),
        at: endpoint(at),
        protocol: PortProtocol::Tcp,
        expose: expose
            .iter()
            .map(|(to, published)| Exposure {
                to: name(to),
                published: published.map(endpoint),
                origin: Origin::default(),
            })
            .collect(),
        origin: Origin::default(),
    };
    network.services = vec![
        service("wiki", "middle", "198.51.100.9:443", &[("left", None), ("right", Some("198.18.9.9:8443"))]),
        service("shop", "right", "[2001:db8:a::7]:80", &[("middle", Some("[2001:db8:7::7]:80"))]),
    ];
    network
}

/// An address and a port as the configuration writes them.
pub fn endpoint(text: &str) -> Endpoint {
    let at: std::net::SocketAddr = text.parse().unwrap();
    Endpoint { address: at.ip(), port: at.port() }
}

/// The same network with FRR in place of every BIRD.
pub fn with_frr(mut network: Network) -> Network {
    for domain in &mut network.domains {
        if domain.daemon == DaemonKind::Bird {
            domain.daemon = DaemonKind::Frr;
        }
        for neighbor in &mut domain.neighbors {
            neighbor.description = neighbor.description.as_deref().map(|text| format!("{text} | a"));
        }
        // Lines of BIRD's language.
        if let Some(extra) = &mut domain.extra {
            extra.text = String::from("! first\nip prefix-list admins-own seq 5 permit 192.0.2.0/24");
        }
    }
    address_for_frr(&mut network);
    network
}

/// Gives links the addresses that they have with FRR at an end.
pub fn address_for_frr(network: &mut Network) {
    for link in &mut network.links {
        for (index, end) in link.ends.iter_mut().enumerate() {
            end.link_local = LinkEnd::fixed_link_local(link.mark, index == 0, true);
            if end.addresses.is_empty() && link.routing == Routing::Bgp {
                end.addresses = vec![LinkEnd::fixed_addresses(link.mark)[index]];
            }
        }
    }
}

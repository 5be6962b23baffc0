//! The rule, the sets compiled from it, and what the daemons are told, compared with each other.

mod render_fixture;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;
use rdsup::model::*;
use rdsup::policy::*;
use render_fixture::*;

/// Few prefixes, close together, so that random choices overlap often.
const PREFIXES: [&str; 14] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "10.2.0.0/16",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "2001:db8:1::1/128",
    "2001:db8:2::/48",
    "fc00::/7",
];

fn any_pattern() -> impl Strategy<Value = PrefixPattern> {
    (select(&PREFIXES[..]), any::<bool>(), 0u8..9).prop_map(|(text, range, longer)| {
        let mut pattern = pattern(text);
        if range {
            pattern.le = (pattern.ge + longer).min(pattern.prefix.max_prefix_len());
        }
        pattern
    })
}

fn some_patterns() -> impl Strategy<Value = Vec<PrefixPattern>> {
    prop::collection::vec(any_pattern(), 0..4)
}

fn any_packets() -> impl Strategy<Value = Packets> {
    let one = select(vec![
        PacketMatch::Any,
        PacketMatch::Icmp,
        tcp(&[80, 443]),
        udp(&[]),
        PacketMatch::Protocol(47),
        PacketMatch::Protocol(58),
    ]);
    prop::collection::vec(one, 0..3)
}

/// Addresses of translations and services, and next to them.
const TRANSLATED: [&str; 10] = [
    "198.18.0.1",
    "198.18.0.2",
    "192.168.0.7",
    "192.168.0.9",
    "10.2.9.7",
    "10.1.2.7",
    "10.1.2.9",
    "10.2.0.7",
    "2001:db8:2::7",
    "2001:db8:2::9",
];

/// An address inside, at the edge of, or right outside of one of the prefixes.
fn any_address() -> impl Strategy<Value = IpAddr> {
    let extra = [
        "127.0.0.1",
        "0.1.2.3",
        "240.0.0.1",
        "224.0.0.5",
        "8.8.8.8",
        "fe80::1",
        "ff02::5",
        "::1",
        "::",
        "::ffff:10.1.2.3",
    ];
    let extra = select(extra.map(|text| text.parse::<IpAddr>().unwrap()).to_vec());
    let near = (select(&PREFIXES[..]), 0u8..4).prop_map(|(text, place)| {
        let net: IpNet = text.parse().unwrap();
        match (net, place) {
            (net, 0) => net.network(),
            (net, 1) => net.broadcast(),
            (IpNet::V4(net), 2) => Ipv4Addr::from(u32::from(net.broadcast()).wrapping_add(1)).into(),
            (IpNet::V6(net), 2) => Ipv6Addr::from(u128::from(net.broadcast()).wrapping_add(1)).into(),
            (IpNet::V4(net), _) => Ipv4Addr::from(u32::from(net.network()).wrapping_add(7)).into(),
            (IpNet::V6(net), _) => Ipv6Addr::from(u128::from(net.network()).wrapping_add(7)).into(),
        }
    });
    let translated = select(TRANSLATED.map(|text| text.parse::<IpAddr>().unwrap()).to_vec());
    prop_oneof![4 => near, 1 => extra, 2 => translated]
}

fn any_transport() -> impl Strategy<Value = Transport> {
    select(vec![
        Transport::Tcp(80),
        Transport::Tcp(22),
        Transport::Udp(53),
        Transport::EchoRequest,
        Transport::Other(47),
        Transport::Other(50),
    ])
}

/// Translations of one end of a link, of both families.
fn any_translation() -> impl Strategy<Value = (Vec<Nat>, Vec<Alias>)> {
    let nat = (select(&["10.1.0.0/16", "10.1.2.0/24", "2001:db8:1::/48"][..]), any::<bool>());
    let alias = select(
        &[
            ("10.1.2.0/24", "10.2.9.0/24"),
            ("10.1.0.0/16", "10.2.0.0/16"),
            ("2001:db8:1::/48", "2001:db8:2::/48"),
            ("10.1.2.3/32", "192.168.0.7/32"),
        ][..],
    );
    let nat = nat.prop_map(|(from, inside): (&str, bool)| {
        let to = match (from.contains(':'), inside) {
            (false, false) => "198.18.0.1",
            (false, true) => "10.1.2.3",
            (true, _) => "2001:db8:2::7",
        };
        Nat { from: nets(&[from]), to: to.parse().unwrap(), origin: Origin::default() }
    });
    let alias = alias.prop_map(|(real, seen): (&str, &str)| Alias {
        real: real.parse().unwrap(),
        seen: seen.parse().unwrap(),
        origin: Origin::default(),
    });
    (prop::collection::vec(nat, 0..2), prop::collection::vec(alias, 0..2))
}

/// Services from and to R, some of them under another address.
fn any_services() -> impl Strategy<Value = Vec<Service>> {
    let places = [
        ("r", "s", "10.1.2.3:80", None),
        ("r", "s", "10.1.2.7:22", Some("192.168.0.9:80")),
        ("r", "t", "[2001:db8:1::1]:80", Some("[2001:db8:2::9]:80")),
        ("s", "r", "10.2.0.7:53", None),
        ("t", "r", "10.1.2.9:53", Some("8.8.8.8:80")),
        ("t", "r", "[2001:db8:2::7]:80", None),
    ];
    let one = (select(places.to_vec()), any::<bool>()).prop_map(|((owner, consumer, at, published), udp)| Service {
        name: ServiceName::new("x").unwrap(),
        domain: name(owner),
        at: endpoint(at),
        protocol: if udp { PortProtocol::Udp } else { PortProtocol::Tcp },
        expose: vec![Exposure { to: name(consumer), published: published.map(endpoint), origin: Origin::default() }],
        origin: Origin::default(),
    });
    prop::collection::vec(one, 0..3)
}

/// R with links to S and T, an external neighbor, and things of its own; with translations, services and transit.
fn any_network() -> impl Strategy<Value = Network> {
    let more = (any_translation(), any_translation(), any_translation(), any_services(), any::<bool>());
    (any_plain_network(), more).prop_map(|(mut network, (to_s, from_s, to_t, services, transit))| {
        for (link, end, (nat, alias)) in [(0, 1, to_s), (0, 0, from_s), (1, 1, to_t)] {
            let accept = &mut network.links[link].ends[end].accept;
            (accept.nat, accept.alias) = (nat, alias);
        }
        if transit {
            network.links[0].ends[1].accept.transit = vec![name("t")];
        }
        network.services = services;
        network
    })
}

fn any_plain_network() -> impl Strategy<Value = Network> {
    let lists = (some_patterns(), some_patterns(), some_patterns(), some_patterns());
    let own = (prop::collection::vec(select(&PREFIXES[1..]), 0..2), any::<bool>(), any_packets());
    (lists, own).prop_map(|((from_s, to_s, from_t, from_neighbor), (networks, ipv6, packets))| {
        let networks: Vec<&str> = networks;
        let mut r = domain("r", 65001, &["10.1.2.3/32", "2001:db8:1::1/128"], &networks);
        r.families.ipv6 = ipv6;
        r.interfaces = vec![interface("eth0", &["10.2.0.1/24"], true)];
        let mut neighbor = edge().domains[0].neighbors[0].clone();
        neighbor.routes = from_neighbor;
        r.neighbors = vec![neighbor];
        let accept = |routes, packets| Accept { routes, ..accept(&[], packets) };
        let links = vec![
            link(1, "r", accept(from_s, packets), "s", accept(to_s, vec![])),
            link(2, "r", accept(from_t, vec![]), "t", accept(vec![], vec![])),
        ];
        network(vec![r, domain("s", 65002, &[], &[]), domain("t", 65003, &[], &[])], links)
    })
}

/// What the generated packet filter does with the first packet of a flow, from the compiled sets, in its order.
fn compiled(network: &Network, packet: &Packet) -> Option<Reason> {
    let receiver = network.domain(&packet.receiver).unwrap();
    let (_, own, peer) =
        network.links_of(&packet.receiver).find(|(_, own, _)| own.interface == packet.interface).unwrap();
    let policy = link_policy(network, receiver, own, peer);
    let (source, destination) = (packet.source, packet.destination);
    let family = Family::of(source);
    let within = |nets: &[IpNet], address: IpAddr| nets.iter().any(|net| net.contains(&address));
    let link_local: IpNet = "fe80::/10".parse().unwrap();
    if link_local.contains(&source) || link_local.contains(&destination) {
        return Some(Reason::LinkLocal);
    }
    if within(
        &["224.0.0.0/4".parse().unwrap(), "255.255.255.255/32".parse().unwrap(), "ff00::/8".parse().unwrap()],
        destination,
    ) {
        return Some(Reason::Multicast);
    }
    if within(martian_sources(family), source) || within(martian_destinations(family), destination) {
        return Some(Reason::Martian);
    }
    if !policy.behind.get(family).contains(source) {
        return Some(Reason::Spoofed);
    }
    if within(policy.unseen.get(family), source) || within(policy.hidden.get(family), destination) {
        return Some(Reason::Untranslated);
    }
    let open = policy.open.iter().any(|offer| {
        let transport = match offer.protocol {
            PortProtocol::Tcp => Transport::Tcp(offer.seen.port),
            PortProtocol::Udp => Transport::Udp(offer.seen.port),
        };
        offer.seen.address == destination && transport == packet.transport
    });
    if open {
        return None;
    }
    let addresses = ["10.1.2.3", "2001:db8:1::1", "10.2.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
    if !policy.destinations.get(family).contains(destination, addresses.contains(&destination)) {
        return Some(Reason::Destination);
    }
    let allowed = policy.packets.iter().any(|entry| match (entry, packet.transport) {
        (PacketMatch::Any, _) | (PacketMatch::Icmp, Transport::EchoRequest) => true,
        (PacketMatch::Ports(PortProtocol::Tcp, ports), Transport::Tcp(port))
        | (PacketMatch::Ports(PortProtocol::Udp, ports), Transport::Udp(port)) => {
            ports.is_empty() || ports.iter().any(|range| range.contains(port))
        }
        (PacketMatch::Protocol(58), Transport::EchoRequest) => family == Family::Ipv6,
        (PacketMatch::Protocol(number), Transport::Other(other)) => *number == other,
        _ => false,
    });
    (!allowed).then_some(Reason::Packets)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, max_global_rejects: 40_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_sets_say_what_the_rule_says(
        network in any_network(),
        source in any_address(),
        destination in any_address(),
        transport in any_transport(),
    ) {
        prop_assume!(source.is_ipv4() == destination.is_ipv4());
        let interface = InterfaceName::new("rd-s").unwrap();
        let packet = Packet { receiver: name("r"), interface, source, destination, transport };
        let rule = verdict(&network, &packet);
        // Where a destination lies is asked of the kernel's routes, before `packets`: no set says it.
        if rule.reason == Some(Reason::Transit) {
            prop_assert!(matches!(compiled(&network, &packet), None | Some(Reason::Packets)));
        } else {
            prop_assert_eq!(rule.reason, compiled(&network, &packet));
        }
        prop_assert_eq!(rule.allowed, rule.reason.is_none());
    }

    #[test]
    fn only_destinations_that_were_accepted_are_learned(network in any_network(), text in select(&PREFIXES[..]), longer in 0u8..9) {
        let r = network.domain(&name("r")).unwrap();
        let (_, own, peer) = network.links_of(&r.name).next().unwrap();
        let net: IpNet = text.parse().unwrap();
        let length = (net.prefix_len() + longer).min(net.max_prefix_len());
        let route = IpNet::new(net.addr(), length).unwrap();
        let family = Family::of_net(&route);
        if link_routes(&network, r, own, peer).get(family).accepts(&route) {
            prop_assert!(own.accept.routes.iter().any(|pattern| pattern.matches(&route)));
            // A route learned is one whose addresses are believed, unless it only covers something of the domain's own.
            let set = link_policy(&network, r, own, peer).behind;
            if length > 0 {
                let inside = set.get(family).except.iter().any(|except| except.contains(&route));
                prop_assert!(!inside, "{route} lies in an exception of {:?}", set.get(family));
            }
        }
    }
}

#[test]
fn everything_means_neither_the_receivers_own_nor_what_others_announce() {
    let mut network = three_domains();
    network.links[1].ends[1].accept.routes = patterns(&["0.0.0.0/0 le 24", "10.66.0.0/16"]);
    let internet = network.domain(&name("internet")).unwrap();
    let (_, own, peer) = network.links_of(&internet.name).nth(1).unwrap();
    let behind = link_policy(&network, internet, own, peer).behind;
    let believed = |text: &str| behind.ipv4.contains(text.parse().unwrap());
    assert!(believed("8.8.8.8") && believed("10.66.1.1") && believed("172.16.0.1"));
    for forged in ["198.51.100.1", "192.168.3.4", "127.0.0.1", "169.254.1.1", "0.0.0.0", "255.255.255.255"] {
        assert!(!believed(forged), "{forged}");
    }
    let routes = link_routes(&network, internet, own, peer).ipv4;
    let learned = |text: &str| routes.accepts(&text.parse().unwrap());
    assert!(learned("0.0.0.0/0") && learned("8.8.8.0/24") && learned("10.66.0.0/16"));
    for refused in ["198.51.100.0/24", "192.168.4.0/24", "8.8.8.8/32", "127.0.0.0/16"] {
        assert!(!learned(refused), "{refused}");
    }
}

#[test]
fn a_static_link_becomes_routes_through_the_peers_link_local() {
    let lines = |network: &Network, domain: &str| {
        let text = |route: KernelRoute| {
            let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
            let dev = route.dev.map(|dev| format!(" dev {dev}")).unwrap_or_default();
            let src = route.src.map(|src| format!(" src {src}")).unwrap_or_default();
            format!("{} {}{via}{dev}{src}", route.kind.as_str(), route.to)
        };
        kernel_routes(network, &name(domain)).into_iter().map(text).collect::<Vec<_>>()
    };
    let host = host();
    assert_eq!(
        lines(&host, "host"),
        [
            "unicast 10.8.0.0/24 via fe80::2 dev rd-lab src 10.9.0.1",
            "unicast 10.8.0.1/32 via fe80::2 dev rd-lab src 10.9.0.1",
            "unicast 2001:db8:8::/64 via fe80::2 dev rd-lab",
        ]
    );
    assert_eq!(
        lines(&host, "lab"),
        [
            "unreachable 10.8.0.0/24",
            "unicast 10.9.0.0/24 via fe80::1 dev rd-host src 10.8.0.1",
            "unreachable 2001:db8:8::/64",
        ]
    );
    assert_eq!(
        lines(&three_domains(), "internet"),
        ["blackhole 0.0.0.0/0", "unreachable 198.51.100.0/24", "unreachable 2001:db8:1::/48"]
    );
}

#[test]
fn a_neighbor_may_not_announce_too_specific_own_or_martian_prefixes() {
    let network = edge();
    let edge = network.domain(&name("edge")).unwrap();
    let accepts = |neighbor: usize, text: &str| {
        let prefix: IpNet = text.parse().unwrap();
        neighbor_policy(&network, edge, &edge.neighbors[neighbor]).accept.get(Family::of_net(&prefix)).accepts(&prefix)
    };
    assert!(accepts(0, "8.8.8.0/24"));
    for refused in [
        "0.0.0.0/0",
        "8.8.8.8/32",
        "192.88.99.0/24",
        "192.0.2.0/25",
        "192.0.2.0/24",
        "203.0.113.0/30",
        "127.0.0.0/8",
        "198.18.4.0/24",
        "240.0.0.0/8",
    ] {
        assert!(!accepts(0, refused), "{refused}");
    }
    assert!(accepts(2, "198.51.100.128/25"), "a longer prefix that is named itself");
    assert!(accepts(3, "192.0.2.64/26"), "an internal neighbor may hold a part of the domain's own networks");
}

#[test]
fn of_two_static_ways_to_a_prefix_the_preferred_one_is_taken() {
    let mut network = host();
    let mut second = network.links[0].clone();
    for end in &mut second.ends {
        end.interface = InterfaceName::new("rd-second").unwrap();
    }
    network.links.push(second);
    let devices = |network: &Network| {
        let routes = kernel_routes(network, &name("host"));
        assert_eq!(routes.len(), 3, "{routes:?}");
        routes.into_iter().map(|route| route.dev.unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(devices(&network), ["rd-lab"; 3], "of equals the first");
    network.links[1].ends[0].accept.preference = Some(101);
    assert_eq!(devices(&network), ["rd-second"; 3]);
    network.links[1].ends[0].accept.preference = Some(99);
    assert_eq!(devices(&network), ["rd-lab"; 3]);
}

#[test]
fn the_default_route_of_a_neighbor_must_be_named_or_asked_for() {
    let mut network = edge();
    let policy = |network: &Network| {
        let edge = network.domain(&name("edge")).unwrap();
        neighbor_policy(network, edge, &edge.neighbors[0])
    };
    let default: IpNet = "0.0.0.0/0".parse().unwrap();
    let neighbor = |network: &mut Network, change: fn(&mut Neighbor)| change(&mut network.domains[0].neighbors[0]);
    neighbor(&mut network, |it| it.announce = patterns(&["0.0.0.0/0 le 24"]));
    assert!(!policy(&network).accept.ipv4.accepts(&default));
    neighbor(&mut network, |it| it.accept_default = true);
    assert!(policy(&network).accept.ipv4.accepts(&default));
    assert!(!policy(&network).announce.ipv4.accepts(&default), "to accept it is not to announce it");
    neighbor(&mut network, |it| it.routes = patterns(&["8.8.0.0/16"]));
    assert!(policy(&network).accept.ipv4.accepts(&default), "whatever else is listed");
    neighbor(&mut network, |it| (it.accept_default, it.routes) = (false, patterns(&["0.0.0.0/0"])));
    assert!(policy(&network).accept.ipv4.accepts(&default), "an exact pattern names it");
    neighbor(&mut network, |it| it.announce = patterns(&["0.0.0.0/0"]));
    assert!(policy(&network).announce.ipv4.accepts(&default));
}

#[test]
fn from_a_neighbor_the_halves_of_everything_are_no_more_welcome_than_the_default_route() {
    let mut network = edge();
    network.domains[0].neighbors[0].accept_default = true;
    let accepts = |network: &Network, texts: &[&str], prefix: &str| {
        let mut network = network.clone();
        network.domains[0].neighbors[0].routes = patterns(texts);
        let edge = network.domain(&name("edge")).unwrap();
        let accepted = neighbor_policy(&network, edge, &edge.neighbors[0]).accept;
        let prefix: IpNet = prefix.parse().unwrap();
        accepted.get(Family::of_net(&prefix)).accepts(&prefix)
    };
    for prefix in ["0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/7"] {
        assert!(!accepts(&network, &["0.0.0.0/0 le 32"], prefix), "{prefix}");
    }
    assert!(accepts(&network, &["0.0.0.0/0 le 32"], "8.0.0.0/8"));
    assert!(accepts(&network, &["0.0.0.0/0 le 32"], "0.0.0.0/0"), "that one was asked for");
    for named in ["128.0.0.0/1", "0.0.0.0/0 ge 1 le 24", "0.0.0.0/0 le 4"] {
        assert!(accepts(&network, &[named], "128.0.0.0/1"), "{named}");
    }
    network.domains[0].neighbors[0].ibgp = true;
    assert!(accepts(&network, &["0.0.0.0/0 le 32"], "128.0.0.0/1"));
}

#[test]
fn what_a_receiver_sees_as_something_else_is_announced_under_that_name_only() {
    let network = chain();
    let left = network.domain(&name("left")).unwrap();
    let middle = name("middle");
    let (_, own, peer) = network.links_of(&middle).next().unwrap();
    let announced = link_announcements(&network, left, own, peer).ipv4;
    let to_left = |text: &str| announced.accepts(&text.parse().unwrap());
    for passes in ["198.18.5.0/24", "198.18.9.9/32", "10.50.3.0/24", "10.50.9.10/32", "10.52.0.0/16"] {
        assert!(to_left(passes), "{passes}");
    }
    for refused in ["10.50.1.0/24", "10.50.2.0/24", "198.18.7.7/32", "10.50.9.11/32", "10.51.0.0/16"] {
        assert!(!to_left(refused), "{refused}");
    }
    let mut among = network.clone();
    let accept = &mut among.links[0].ends[0].accept;
    accept.nat[0].to = "10.50.2.1".parse().unwrap();
    accept.routes = patterns(&["10.50.0.0/16 le 32"]);
    let (_, own, peer) = among.links_of(&middle).next().unwrap();
    let announced = link_announcements(&among, left, own, peer).ipv4;
    assert!(announced.accepts(&"10.50.2.1/32".parse().unwrap()), "one of the addresses stands for all");
    assert!(
        !announced.accepts(&"10.50.2.2/32".parse().unwrap()) && !announced.accepts(&"10.50.2.0/24".parse().unwrap())
    );
    let routes = link_only_routes(&network, network.domain(&middle).unwrap(), Family::Ipv4);
    let only_left = std::collections::BTreeSet::from([Label::OnlyOver(1001)]);
    let expected = [("10.50.9.10/32", true), ("198.18.5.0/24", false), ("198.18.9.9/32", false)];
    let expected =
        expected.map(|(to, host)| LinkOnlyRoute { to: to.parse().unwrap(), labels: only_left.clone(), host });
    assert_eq!(routes, expected);
    let edge = network.domain(&middle).unwrap();
    let foreign = neighbor_policy(&network, edge, &edge.neighbors[0]).accept.ipv4;
    assert!(!foreign.accepts(&"198.18.5.0/24".parse().unwrap()), "a neighbor announces what others see");
}

#[test]
fn what_others_see_is_unreachable_unless_the_kernel_has_it_and_hosts_of_services_cross_static_links() {
    let mut network = chain();
    let to = |network: &Network, domain: &str, kind: KernelRouteKind| {
        let routes = kernel_routes(network, &name(domain)).into_iter();
        routes.filter(|route| route.kind == kind).map(|route| route.to.to_string()).collect::<Vec<_>>()
    };
    let unreachable = ["10.50.0.0/16", "198.18.5.0/24", "198.18.7.7/32", "198.18.9.9/32", "2001:db8:50::/48"];
    assert_eq!(to(&network, "middle", KernelRouteKind::Unreachable), unreachable);
    assert_eq!(to(&network, "right", KernelRouteKind::Unicast), ["10.50.0.0/16", "198.18.7.7/32"]);
    network.domains[1].interfaces[0].addresses.extend(nets(&["198.18.5.1/24", "198.18.9.9/29"]));
    network.domains[1].loopback.extend(nets(&["198.18.7.7/32"]));
    assert_eq!(to(&network, "middle", KernelRouteKind::Unreachable), ["10.50.0.0/16", "2001:db8:50::/48"]);
}

#[test]
fn transit_is_named_by_the_label_of_the_link_that_it_comes_over() {
    let mut network = chain();
    let labels = |network: &Network| {
        let (_, own, peer) = network.links_of(&network.domains[1].name).next().unwrap();
        transit_labels(network, own, peer).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(labels(&network), [Label::EnteredOver(1002)]);
    network.domains[2].asn = Some(Asn(65052));
    assert_eq!(labels(&network), [Label::Entered(Asn(65052))]);
    network.links[0].ends[0].accept.transit.clear();
    assert_eq!(labels(&network), []);
}

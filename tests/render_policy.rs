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
    prop_oneof![4 => near, 1 => extra]
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

/// R with links to S and T, an external neighbor, and things of its own.
fn any_network() -> impl Strategy<Value = Network> {
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
        prop_assert_eq!(rule.reason, compiled(&network, &packet));
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
    assert!(accepts(0, "0.0.0.0/0") && accepts(0, "8.8.8.0/24"));
    for refused in
        ["8.8.8.8/32", "192.0.2.0/25", "192.0.2.0/24", "203.0.113.0/30", "127.0.0.0/8", "198.18.4.0/24", "240.0.0.0/8"]
    {
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

//! The matrix and the way of a packet, compared with the rule.

mod render_fixture;

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::select;
use rdsup::model::*;
use rdsup::policy::*;
use render_fixture::*;

/// Few prefixes, close together, so that random choices overlap often.
const PREFIXES: [&str; 12] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.2.0.0/16",
    "10.2.2.0/24",
    "10.3.0.0/16",
    "10.3.2.3/32",
    "198.18.5.0/24",
    "192.0.2.1/32",
    "::/0",
    "2001:db8:2::/48",
];

fn some_patterns() -> impl Strategy<Value = Vec<PrefixPattern>> {
    prop::collection::vec(select(&PREFIXES[..]).prop_map(pattern), 0..4)
}

fn some_packets() -> impl Strategy<Value = Packets> {
    let all = vec![PacketMatch::Any, PacketMatch::Icmp, tcp(&[80, 443]), udp(&[]), PacketMatch::Protocol(47)];
    prop::collection::vec(select(all), 0..3)
}

fn any_accept() -> impl Strategy<Value = Accept> {
    let alias = Alias {
        real: "10.1.2.0/24".parse().unwrap(),
        seen: "198.18.5.0/24".parse().unwrap(),
        origin: Origin { line: 7 },
    };
    let nat = Nat { from: nets(&["10.2.2.0/24"]), to: "192.0.2.1".parse().unwrap(), origin: Origin { line: 8 } };
    let transit = prop::collection::vec(select(vec!["a", "b", "c"]), 0..3);
    (some_patterns(), some_packets(), transit, any::<bool>(), any::<bool>()).prop_map(
        move |(routes, packets, transit, aliased, natted)| Accept {
            routes,
            transit: transit.into_iter().map(name).collect(),
            alias: vec![alias].into_iter().filter(|_| aliased).collect(),
            nat: vec![nat.clone()].into_iter().filter(|_| natted).collect(),
            ..accept(&[], packets)
        },
    )
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    let all = [
        "10.1.0.1",
        "10.1.2.7",
        "10.2.0.1",
        "10.2.2.7",
        "10.3.0.1",
        "10.3.2.3",
        "10.9.0.1",
        "198.18.5.7",
        "192.0.2.1",
        "8.8.8.8",
        "127.0.0.1",
        "224.0.0.5",
        "2001:db8:2::1",
        "2001:db8:9::9",
        "fe80::1",
    ];
    select(all.map(|text| text.parse::<IpAddr>().unwrap()).to_vec())
}

fn any_transport() -> impl Strategy<Value = Transport> {
    select(vec![
        Transport::Tcp(80),
        Transport::Tcp(22),
        Transport::Udp(53),
        Transport::EchoRequest,
        Transport::Other(47),
    ])
}

/// Three domains, each linked to each other.
fn any_network() -> impl Strategy<Value = Network> {
    let accepts = prop::collection::vec(any_accept(), 6);
    let own = prop::collection::vec(prop::collection::vec(select(&PREFIXES[1..10]), 0..3), 3);
    let services = prop::collection::vec((0usize..3, 0usize..3, any::<bool>()), 0..3);
    (accepts, own, services, any::<bool>()).prop_map(|(accepts, own, services, ipv6)| {
        let names = ["a", "b", "c"];
        let mut domains: Vec<Domain> = (0u32..3)
            .zip(own)
            .map(|(at, networks)| {
                let loopback = format!("10.{}.0.1/32", at + 1);
                domain(names[at as usize], 65001 + at, &[&loopback], &networks)
            })
            .collect();
        domains[1].families.ipv6 = ipv6;
        let [ab, ba, bc, cb, ca, ac]: [Accept; 6] = accepts.try_into().unwrap();
        let links = vec![link(1, "a", ab, "b", ba), link(2, "b", bc, "c", cb), link(3, "c", ca, "a", ac)];
        let mut network = network(domains, links);
        for (owner, consumer, translated) in services.into_iter().filter(|(owner, consumer, _)| owner != consumer) {
            let at = Endpoint { address: format!("10.{}.0.1", owner + 1).parse().unwrap(), port: 80 };
            let published = Endpoint { address: "192.0.2.1".parse().unwrap(), port: 22 };
            let to = name(names[consumer]);
            let origin = Origin { line: 9 };
            network.services.push(Service {
                name: ServiceName::new("web").unwrap(),
                domain: name(names[owner]),
                at,
                protocol: PortProtocol::Tcp,
                expose: vec![Exposure { to, published: translated.then_some(published), origin }],
                origin,
            });
        }
        network
    })
}

fn is_listed(packets: &[PacketMatch], transport: Transport) -> bool {
    packets.iter().any(|entry| match (entry, transport) {
        (PacketMatch::Any, _) | (PacketMatch::Icmp, Transport::EchoRequest) => true,
        (PacketMatch::Ports(PortProtocol::Tcp, ports), Transport::Tcp(port))
        | (PacketMatch::Ports(PortProtocol::Udp, ports), Transport::Udp(port)) => {
            ports.is_empty() || ports.iter().any(|range| range.contains(port))
        }
        (PacketMatch::Protocol(number), Transport::Other(other)) => *number == other,
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_global_rejects: 40_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_hop_of_a_journey_ends_as_the_rule_says_and_names_why(
        network in any_network(),
        from in select(vec!["a", "b", "c"]),
        to in select(vec!["a", "b", "c"]),
        source in prop::option::of(any_address()),
        destination in prop::option::of(any_address()),
        transport in any_transport(),
    ) {
        prop_assume!(from != to);
        let question = Question { from: name(from), to: name(to), source, destination, transport };
        let Ok(journey) = journey(&network, &question) else {
            // Only for want of an address.
            prop_assert!(source.is_none() || destination.is_none() || source.unwrap().is_ipv4() != destination.unwrap().is_ipv4());
            return Ok(());
        };
        let mut at = name(from);
        for (index, hop) in journey.hops.iter().enumerate() {
            prop_assert_eq!(&hop.from, &at);
            prop_assert_eq!(hop.verdict, verdict(&network, &hop.packet));
            let failing: Vec<Option<Reason>> = hop.clauses.iter().filter(|it| !it.holds()).map(|it| it.reason).collect();
            prop_assert_eq!(failing.first().copied().flatten(), hop.verdict.reason, "{:?}", &hop.clauses);
            prop_assert!(hop.verdict.allowed || index + 1 == journey.hops.len());
            prop_assert!(hop.deciding().is_some());
            at = hop.packet.receiver.clone();
        }
        let entered = journey.hops.last().is_some_and(|hop| hop.verdict.allowed);
        prop_assert_eq!(journey.arrives, entered && at == name(to) && journey.end.is_none());
        prop_assert!(journey.arrives || journey.end.is_some() || !entered && !journey.hops.is_empty(), "no word why: {journey:?}");
    }

    #[test]
    fn the_matrix_holds_what_the_rule_lets_in_and_nothing_else(
        network in any_network(),
        source in any_address(),
        destination in any_address(),
        transport in any_transport(),
    ) {
        prop_assume!(source.is_ipv4() == destination.is_ipv4());
        for pair in matrix(&network) {
            let path = &pair.paths[0];
            prop_assert_eq!(path.crossings.len(), 1, "each is linked to each");
            let receiver = path.crossings[0].receiver;
            let interface = receiver.interface.clone();
            let packet = Packet { receiver: pair.to.clone(), interface, source, destination, transport };
            let rule = verdict(&network, &packet);
            let service = pair.services.iter().any(|(service, exposure)| {
                let seen = exposure.seen(service);
                seen.address == destination && transport == Transport::Tcp(seen.port)
            });
            let listed = path.sources.contains(source)
                && (service || path.destinations.contains(destination) && is_listed(&path.packets, transport));
            prop_assert!(!rule.allowed || listed, "{} -> {}: {packet:?} enters", pair.from, pair.to);
            if listed && !service {
                let reason = rule.reason;
                prop_assert!(matches!(reason, None | Some(Reason::Transit | Reason::Multicast | Reason::LinkLocal)), "{packet:?} {reason:?}");
            }
            prop_assert!(!rule.allowed || pair.extent() >= Extent::Services);
        }
    }

    #[test]
    fn a_path_through_others_holds_what_every_hop_lets_in(
        network in any_network(),
        source in any_address(),
        destination in any_address(),
        transport in any_transport(),
    ) {
        prop_assume!(source.is_ipv4() == destination.is_ipv4());
        for pair in matrix(&network) {
            for path in pair.paths.iter().filter(|path| path.crossings.len() == 2) {
                // The wires' own addresses: a translation in between is another packet.
                let plain = path.crossings.iter().all(|it| it.receiver.accept.nat.is_empty() && it.sender.accept.alias.is_empty() && it.receiver.accept.alias.is_empty());
                let enters = |crossing: &Crossing<'_>| {
                    let interface = crossing.receiver.interface.clone();
                    let receiver = crossing.receiver.domain.clone();
                    verdict(&network, &Packet { receiver, interface, source, destination, transport }).allowed
                };
                if plain && network.services.is_empty() && path.crossings.iter().all(enters) {
                    prop_assert!(path.sources.contains(source) && path.destinations.contains(destination));
                    prop_assert!(is_listed(&path.packets, transport), "{:?}", &path.packets);
                }
            }
        }
    }
}

#[test]
fn every_ordered_pair_is_in_the_matrix_once() {
    let network = three_domains();
    let pairs: Vec<(String, Extent)> =
        matrix(&network).iter().map(|pair| (format!("{} {}", pair.from, pair.to), pair.extent())).collect();
    let wanted = [
        ("internet private", Extent::Replies),
        ("internet hostile", Extent::Replies),
        ("private internet", Extent::Packets),
        ("private hostile", Extent::Nothing),
        ("hostile internet", Extent::Packets),
        ("hostile private", Extent::Nothing),
    ];
    assert_eq!(pairs, wanted.map(|(names, extent)| (names.to_owned(), extent)));
}

#[test]
fn transit_is_a_path_with_what_both_links_allow() {
    let mut network = three_domains();
    network.links[0].ends[0].accept.transit = vec![name("hostile")];
    let pairs = matrix(&network);
    let pair = pairs.iter().find(|pair| pair.from.as_str() == "private" && pair.to.as_str() == "hostile").unwrap();
    assert_eq!(pair.paths.len(), 1);
    let path = &pair.paths[0];
    assert_eq!(path.via(), [&name("internet")]);
    assert!(!path.is_open(), "hostile lets nothing in");
    assert_eq!(pair.extent(), Extent::Nothing, "hostile does not learn of private, for its own transit names nobody");
    network.links[1].ends[0].accept =
        Accept { transit: vec![name("private")], ..accept(&["192.168.0.0/20"], vec![tcp(&[443]), PacketMatch::Icmp]) };
    let pairs = matrix(&network);
    let pair = pairs.iter().find(|pair| pair.from.as_str() == "private" && pair.to.as_str() == "hostile").unwrap();
    let path = &pair.paths[0];
    assert_eq!(path.packets, [tcp(&[443]), PacketMatch::Icmp]);
    assert_eq!(path.sources.prefixes, nets(&["192.168.0.0/20"]));
    assert_eq!(path.routes, patterns(&["192.168.0.0/20"]));
    assert_eq!(
        path.destinations.prefixes,
        nets(&["10.66.0.0/16"]),
        "what private may ask for, and internet has from hostile"
    );
}

#[test]
fn a_yes_that_no_route_leads_to_says_so() {
    let mut network = three_domains();
    let question = Question {
        from: name("private"),
        to: name("internet"),
        source: None,
        destination: None,
        transport: Transport::Tcp(80),
    };
    let answer = |network: &Network| journey(network, &question).unwrap();
    assert!(answer(&network).arrives && answer(&network).notes.is_empty());
    network.links[0].ends[0].accept.routes = patterns(&["198.51.0.0/16"]);
    assert!(answer(&network).arrives);
    let note = "private learns no route to 198.51.100.1: internet announces 198.51.100.0/24, which no pattern of \
        [link.into.private] matches; write `le 24`";
    assert_eq!(answer(&network).notes, [note]);
    network.links[0].ends[0].accept.routes = patterns(&["198.51.0.0/16 le 24"]);
    assert!(answer(&network).notes.is_empty());
}

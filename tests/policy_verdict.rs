//! The rule, sentence by sentence.

mod render_fixture;

use rdsup::model::*;
use rdsup::policy::*;
use render_fixture::*;

/// a, hub and b in a row, each with everything that a new flow may be.
fn chain() -> Network {
    let any = || vec![PacketMatch::Any];
    let hub = domain("hub", 65100, &["10.0.0.1/32"], &["10.0.0.0/24"]);
    let a = domain("a", 65101, &["10.1.0.1/32"], &["10.1.0.0/16"]);
    let b = domain("b", 65102, &["10.2.0.1/32"], &["10.2.0.0/16"]);
    let to_a = accept(&["10.0.0.0/24", "10.2.0.0/16"], any());
    let to_b = accept(&["10.0.0.0/24", "10.1.0.0/16"], any());
    let links = vec![
        link(1, "a", to_a, "hub", accept(&["10.1.0.0/16"], any())),
        link(2, "b", to_b, "hub", accept(&["10.2.0.0/16"], any())),
    ];
    network(vec![hub, a, b], links)
}

/// What the rule says of a packet `from` one domain that arrives in another: `None` if it enters.
fn says(network: &Network, from: &str, at: &str, addresses: [&str; 2], transport: Transport) -> Option<Reason> {
    let [source, destination] = addresses.map(|text| text.parse().unwrap());
    let receiver = name(at);
    let (_, own, _) = network.links_of(&receiver).find(|(_, _, peer)| peer.domain == name(from)).unwrap();
    let interface = own.interface.clone();
    let rule = verdict(network, &Packet { receiver, interface, source, destination, transport });
    assert_eq!(rule.allowed, rule.reason.is_none());
    rule.reason
}

const WEB: Transport = Transport::Tcp(443);

#[test]
fn a_packet_goes_through_a_domain_only_where_transit_names_its_destination() {
    let mut network = chain();
    let through = ["10.1.0.9", "10.2.0.9"];
    assert_eq!(says(&network, "a", "hub", through, WEB), Some(Reason::Transit));
    network.links[0].ends[0].accept.transit = vec![name("b")];
    assert_eq!(says(&network, "a", "hub", through, WEB), None);
    assert_eq!(says(&network, "hub", "b", through, WEB), None, "b believes a");
    assert_eq!(says(&network, "b", "hub", ["10.2.0.9", "10.1.0.9"], WEB), Some(Reason::Transit), "not the other way");
    network.links[0].ends[0].accept.transit = vec![name("c")];
    assert_eq!(says(&network, "a", "hub", through, WEB), Some(Reason::Transit), "another domain's name");
}

#[test]
fn the_longest_prefix_says_where_a_destination_lies() {
    let mut network = chain();
    network.links[0].ends[0].accept.routes = patterns(&["10.0.0.0/8"]);
    let to = |network: &Network, destination| says(network, "a", "hub", ["10.1.0.9", destination], WEB);
    network.domains[0].networks.push("10.2.7.0/24".parse().unwrap());
    assert_eq!(to(&network, "10.2.7.7"), None, "the hub's own, inside of what it accepts from b");
    assert_eq!(to(&network, "10.2.8.7"), Some(Reason::Transit));
    network.links[1].ends[1].accept.routes = patterns(&["10.0.0.128/25"]);
    assert_eq!(to(&network, "10.0.0.9"), None);
    assert_eq!(to(&network, "10.0.0.129"), Some(Reason::Transit), "of b, inside of the hub's own");
    assert_eq!(to(&network, "10.1.0.10"), Some(Reason::Transit), "back by the link that it came by");
    assert_eq!(to(&network, "10.77.0.1"), None, "nobody's: the hub itself answers that there is no way");
    let via = RouteKind::Unicast { via: None, dev: Some(InterfaceName::new("eth0").unwrap()) };
    let to_everywhere = "10.0.0.128/25".parse().unwrap();
    network.domains[0].routes = vec![Route { to: to_everywhere, kind: via, metric: None, origin: Origin::default() }];
    assert_eq!(to(&network, "10.0.0.129"), None, "a declared route is the admin's own word and wins");
}

fn service(at: &str, to: &str, published: Option<&str>) -> Service {
    let endpoint = |text: &str| {
        let address: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { address: address.ip(), port: address.port() }
    };
    let exposure = Exposure { to: name(to), published: published.map(endpoint), origin: Origin::default() };
    Service {
        name: ServiceName::new("wiki").unwrap(),
        domain: name("hub"),
        at: endpoint(at),
        protocol: PortProtocol::Tcp,
        expose: vec![exposure],
        origin: Origin::default(),
    }
}

/// The chain with a hub that lets no flow in, and a hub that a and b learn nothing of.
fn closed() -> Network {
    let mut network = chain();
    for link in &mut network.links {
        link.ends[0].accept.routes.clear();
        link.ends[1].accept.packets.clear();
    }
    network
}

#[test]
fn a_service_is_open_at_its_port_to_those_it_is_exposed_to_and_nothing_else_is() {
    let mut network = closed();
    network.services = vec![service("10.0.0.10:443", "a", None)];
    let from_a = |source, destination, transport| says(&network, "a", "hub", [source, destination], transport);
    assert_eq!(from_a("10.1.0.9", "10.0.0.10", WEB), None);
    assert_eq!(from_a("10.1.0.9", "10.0.0.10", Transport::Tcp(444)), Some(Reason::Destination));
    assert_eq!(from_a("10.1.0.9", "10.0.0.10", Transport::Udp(443)), Some(Reason::Destination));
    assert_eq!(from_a("10.1.0.9", "10.0.0.10", Transport::EchoRequest), Some(Reason::Destination));
    assert_eq!(from_a("10.1.0.9", "10.0.0.11", WEB), Some(Reason::Destination));
    assert_eq!(from_a("10.9.0.9", "10.0.0.10", WEB), Some(Reason::Spoofed), "the source is believed as always");
    assert_eq!(says(&network, "b", "hub", ["10.2.0.9", "10.0.0.10"], WEB), Some(Reason::Destination));
}

#[test]
fn a_service_published_elsewhere_is_open_there_and_not_at_its_own_address() {
    let mut network = closed();
    network.services = vec![service("10.0.0.10:443", "a", Some("198.51.100.5:8443"))];
    let from_a = |destination, transport| says(&network, "a", "hub", ["10.1.0.9", destination], transport);
    assert_eq!(from_a("198.51.100.5", Transport::Tcp(8443)), None);
    assert_eq!(from_a("198.51.100.5", WEB), Some(Reason::Destination));
    assert_eq!(from_a("10.0.0.10", WEB), Some(Reason::Destination));
}

#[test]
fn the_host_of_a_service_begins_no_flow() {
    let mut network = closed();
    network.links[0].ends[0].accept.packets = vec![PacketMatch::Any];
    network.services = vec![service("10.0.0.10:443", "a", None)];
    assert_eq!(says(&network, "hub", "a", ["10.0.0.10", "10.1.0.9"], WEB), Some(Reason::Spoofed));
    // Nor does someone elsewhere who says that he is it.
    network.links.push(link(
        3,
        "a",
        accept(&["0.0.0.0/0"], vec![PacketMatch::Any]),
        "b",
        accept(&["10.1.0.0/16"], vec![PacketMatch::Any]),
    ));
    assert_eq!(says(&network, "b", "a", ["10.0.0.10", "10.1.0.9"], WEB), Some(Reason::Spoofed));
    assert_eq!(says(&network, "b", "a", ["10.0.0.11", "10.1.0.9"], WEB), None);
}

/// The chain where the hub sees what a has as something else.
fn translated() -> Network {
    let mut network = chain();
    let into_hub = &mut network.links[0].ends[1].accept;
    into_hub.routes = patterns(&["10.1.0.0/16", "192.0.2.1/32", "198.18.5.0/24"]);
    let from = nets(&["10.1.0.0/20"]);
    into_hub.nat = vec![Nat { from, to: "192.0.2.1".parse().unwrap(), origin: Origin::default() }];
    let (real, seen) = ("10.1.128.0/24".parse().unwrap(), "198.18.5.0/24".parse().unwrap());
    into_hub.alias = vec![Alias { real, seen, origin: Origin::default() }];
    network.links[0].ends[0].accept.packets = vec![PacketMatch::Any];
    network
}

#[test]
fn what_a_translation_hides_never_crosses_whatever_the_lists_say() {
    let network = translated();
    let out = |source| says(&network, "a", "hub", [source, "10.0.0.9"], WEB);
    let back = |destination| says(&network, "hub", "a", ["10.0.0.9", destination], WEB);
    for hidden in ["10.1.0.9", "10.1.15.255", "10.1.128.0", "10.1.128.255"] {
        assert_eq!(out(hidden), Some(Reason::Untranslated), "{hidden}");
        assert_eq!(back(hidden), Some(Reason::Untranslated), "{hidden}");
    }
    for seen in ["192.0.2.1", "198.18.5.7", "10.1.16.0", "10.1.129.0"] {
        assert_eq!(out(seen), None, "{seen}");
        assert_eq!(back(seen), None, "{seen}");
    }
}

#[test]
fn the_address_that_is_shown_may_be_one_of_those_that_it_hides() {
    let mut network = translated();
    network.links[0].ends[1].accept.nat[0].to = "10.1.0.1".parse().unwrap();
    assert_eq!(says(&network, "a", "hub", ["10.1.0.1", "10.0.0.9"], WEB), None);
    assert_eq!(says(&network, "a", "hub", ["10.1.0.2", "10.0.0.9"], WEB), Some(Reason::Untranslated));
}

#[test]
fn everything_is_neither_what_a_domain_shows_nor_reached_under_an_alias_that_is_not_named() {
    let mut network = translated();
    network.links[0].ends[0].accept.routes = patterns(&["0.0.0.0/0"]);
    assert_eq!(says(&network, "hub", "a", ["198.18.5.7", "10.1.16.1"], WEB), Some(Reason::Spoofed));
    assert_eq!(says(&network, "hub", "a", ["8.8.8.8", "10.1.16.1"], WEB), None);
    network.links[0].ends[1].accept.routes = patterns(&["0.0.0.0/0"]);
    network.domains[1].loopback = nets(&["10.1.128.1/32"]);
    assert_eq!(says(&network, "hub", "a", ["8.8.8.8", "198.18.5.1"], WEB), Some(Reason::Destination));
    assert_eq!(says(&network, "hub", "a", ["8.8.8.8", "198.18.5.2"], WEB), Some(Reason::Destination));
    network.links[0].ends[1].accept.routes = patterns(&["0.0.0.0/0", "198.18.5.0/24"]);
    assert_eq!(says(&network, "hub", "a", ["8.8.8.8", "198.18.5.2"], WEB), None);
}

#[test]
fn from_outside_a_packet_reaches_what_is_announced_and_from_inside_everything() {
    let network = edge();
    let by = |interface: &str, source: &str, destination: &str, transport| {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let interface = InterfaceName::new(interface).unwrap();
        verdict(&network, &Packet { receiver: name("edge"), interface, source, destination, transport }).reason
    };
    assert_eq!(by("eth1", "8.8.8.8", "192.0.2.140", WEB), None);
    assert_eq!(by("eth1", "8.8.8.8", "198.18.0.9", WEB), None, "over a link, as it is announced");
    assert_eq!(by("eth1", "8.8.8.8", "192.0.2.140", Transport::Tcp(80)), Some(Reason::Packets));
    assert_eq!(by("eth1", "8.8.8.8", "8.8.4.4", WEB), Some(Reason::Transit), "outside again, whatever is announced");
    assert_eq!(by("eth1", "2a00::8", "2a00::4", WEB), Some(Reason::Transit));
    for inside in ["192.0.2.77", "192.0.2.140", "198.18.0.9"] {
        assert_eq!(by("eth1", inside, "192.0.2.141", WEB), Some(Reason::Spoofed), "{inside}");
    }
    assert_eq!(by("eth1", "8.8.8.8", "192.0.2.1", WEB), Some(Reason::WeakHost));
    assert_eq!(by("eth1", "8.8.8.8", "203.0.113.2", WEB), Some(Reason::Input));
    assert_eq!(by("eth1", "8.8.8.8", "203.0.113.2", Transport::EchoRequest), None);
    assert_eq!(by("eth1", "203.0.113.1", "203.0.113.2", Transport::Tcp(179)), None);
    assert_eq!(by("eth1", "203.0.113.1", "203.0.113.2", Transport::Udp(3784)), None, "BFD watches this neighbor");
    assert_eq!(by("eth1", "2001:db8:ff::1", "2001:db8:ff::2", Transport::Udp(3784)), Some(Reason::Input));
    assert_eq!(by("eth1", "8.8.8.8", "203.0.113.2", Transport::Udp(3784)), Some(Reason::Input));
    for of_another_kind in [3785, 4784] {
        assert_eq!(by("eth1", "203.0.113.1", "203.0.113.2", Transport::Udp(of_another_kind)), Some(Reason::Input));
    }
    assert_eq!(by("lan0", "192.0.2.140", "8.8.8.8", Transport::Tcp(22)), None);
    assert_eq!(by("lan0", "192.0.2.140", "198.18.0.9", Transport::Tcp(22)), None);
    assert_eq!(by("lan0", "10.0.0.1", "8.8.8.8", WEB), Some(Reason::SourceCheck));
    assert_eq!(by("lan0", "192.0.2.140", "192.0.2.129", Transport::Udp(53)), None);
    assert_eq!(by("lan0", "192.0.2.140", "192.0.2.129", WEB), Some(Reason::Input));
    assert_eq!(by("eth7", "8.8.8.8", "192.0.2.140", WEB), Some(Reason::Interface));
}

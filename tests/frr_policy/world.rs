//! The network: `middle` between two links, a static one, two upstreams, one several hops away and one inside.

use rdsup::model::*;

use crate::render_fixture::{accept, address_for_frr, chain, domain, interface, link, name, nets, patterns};

/// The name of the domain that is looked at.
pub const MIDDLE: &str = "middle";

fn neighbor(text: &str, address: &str, asn: u32, routes: &[&str], announce: &[&str]) -> Neighbor {
    Neighbor {
        name: NeighborName::new(text).unwrap(),
        address: address.parse().unwrap(),
        asn: Asn(asn),
        routes: patterns(routes),
        announce: patterns(announce),
        role: None,
        rpki: false,
        accept_default: false,
        bfd: false,
        ..chain().domains[1].neighbors[0].clone()
    }
}

/// See the module.
pub fn network() -> Network {
    let mut network = chain();
    network.rpki.clear();
    let middle = &mut network.domains[1];
    middle.interfaces = vec![
        interface("wan0", &["203.0.113.2/24", "2001:db8:ff::2/64"], true),
        interface("wan1", &["192.0.2.2/24"], true),
        interface("lan0", &["10.50.3.2/24"], false),
    ];
    middle.routes = vec![Route {
        to: "198.51.100.9/32".parse().unwrap(),
        kind: RouteKind::Unicast { via: Some("192.0.2.1".parse().unwrap()), dev: None },
        metric: None,
        origin: Origin::default(),
    }];
    let everything = ["0.0.0.0/0 le 32"];
    middle.neighbors = vec![
        neighbor("one", "203.0.113.1", 3333, &everything, &everything),
        neighbor("six", "2001:db8:ff::1", 3333, &["::/0 le 128"], &["::/0 le 128"]),
        neighbor("two", "192.0.2.1", 64510, &["8.8.0.0/16 le 24", "20.0.0.0/8 ge 16 le 20", "0.0.0.0/0"], &everything),
        neighbor("far", "198.51.100.9", 65020, &["30.0.0.0/8 le 24"], &["10.50.0.0/16", "10.51.0.0/16 le 24"]),
        neighbor("inner", "10.50.3.9", 65050, &["10.50.3.0/24 le 32", "0.0.0.0/0 le 32"], &everything),
    ];
    middle.neighbors[0].preference = Some(200);
    middle.neighbors[0].accept_default = true;
    middle.neighbors[3].multihop = Some(4);
    middle.neighbors[4].ibgp = true;
    let left = &mut network.links[0];
    left.ends[0].accept.transit = vec![name("right"), name("stub")];
    left.ends[0].accept.routes = patterns(&[
        "10.50.0.0/16 le 24",
        "10.52.0.0/16",
        "60.0.0.0/8 le 32",
        "198.18.5.0/24",
        "198.18.9.9/32",
        "::/0 le 64",
    ]);
    left.ends[1].accept.routes =
        patterns(&["10.51.0.0/16 le 24", "10.99.0.0/16", "127.0.0.0/8 le 32", "2001:db8:51::/48 le 64"]);
    // What the fixture calls `right` is the static one here.
    network.domains[2].name = name("stub");
    network.links[1].ends[0].domain = name("stub");
    network.links[1].ends[1].interface = InterfaceName::new("rd-stub").unwrap();
    network.services[0].expose[1].to = name("stub");
    network.domains.push(domain("right", 65053, &["10.53.0.1/32", "2001:db8:53::1/128"], &["10.53.0.0/16"]));
    network.domains[0].families.ipv6 = true;
    let everything = ["0.0.0.0/0 le 32", "::/0 le 128"];
    let mut right = link(1003, "right", accept(&everything, Vec::new()), MIDDLE, accept(&everything, Vec::new()));
    right.ends[0].addresses = nets(&["169.254.7.1/30", "2001:db8:fe::1/126"]);
    right.ends[1].addresses = nets(&["169.254.7.2/30", "2001:db8:fe::2/126"]);
    right.ends[1].accept.preference = Some(50);
    network.links.push(right);
    address_for_frr(&mut network);
    network
}

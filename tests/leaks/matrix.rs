//! The matrix: what enters, measured with packets, against what the rule says.
//!
//! For every way into every domain, packets with the first, the last and the neighboring addresses of everything that the
//! file names, and the first, the last and the neighboring ports. `policy::verdict` says of each whether it may enter.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;

use ipnet::IpNet;
use libtest_mimic::Trial;
use rdsup::config;
use rdsup::model::{Domain, DomainName, Family, Network, PacketMatch, PortProtocol};
use rdsup::policy::{self, Transport};

use crate::cases;
use crate::packet::{Carries, Packet};
use crate::report::{self, Line};
use crate::setup::{Setup, Tally, Way, World, first_of};
use crate::topologies;
use crate::wire::{Answer, Batch, Request};

/// One test for each topology with BIRD, and one with FRR at both ends of some sessions and at one end of others.
pub fn trials() -> Vec<Trial> {
    let [chain, transit, triangle] = [topologies::chain(), topologies::transit(), topologies::triangle()];
    let [overlap, external] = [topologies::overlap(), topologies::external()];
    let worlds = [
        chain,
        transit,
        triangle,
        overlap,
        external,
        chain.with_frr("chain (frr)", &["a", "b", "c"]),
        transit.with_frr("transit (frr)", &["hub", "z"]),
        triangle.with_frr("triangle (frr)", &["a", "c"]),
        overlap.with_frr("overlap (frr)", &["a", "b"]),
        external.with_frr("external (frr)", &["edge", "inner"]),
    ];
    worlds
        .into_iter()
        .map(|world| {
            Trial::test(format!("matrix::{}", world.name), move || {
                let network = config::read(Path::new("matrix.toml"), &world.file(), &mut |_| Err("no file".into()))
                    .map_err(|it| it.to_string())?
                    .network;
                let setup = Setup::start(&world, &[]);
                let lines: Vec<Line> = ways(&network)
                    .into_iter()
                    .map(|(way, domain)| measure(&setup, &network, &world, &way, domain))
                    .collect();
                report::write(&format!("matrix::{}", world.name), &lines);
                cases::verdict(&lines)
            })
        })
        .collect()
}

/// Every way into every domain: by its links, and by its interfaces from the host behind them.
fn ways(network: &Network) -> Vec<(Way, &Domain)> {
    let mut ways = Vec::new();
    for domain in &network.domains {
        for (_, own, peer) in network.links_of(&domain.name) {
            let (by, at) = (peer.interface.to_string(), own.interface.to_string());
            ways.push((Way::veth(peer.domain.as_ref(), &by, domain.name.as_ref(), &at), domain));
        }
        for interface in &domain.interfaces {
            let host = interface.name.as_str().replacen("lan-", "h-", 1);
            ways.push((Way::veth(&host, "lan", domain.name.as_ref(), interface.name.as_str()), domain));
        }
    }
    ways
}

/// A packet to be judged, and what carries it.
struct Probe {
    packet: policy::Packet,
    wire: Packet,
    allowed: bool,
    reason: String,
}

fn measure(setup: &Setup, network: &Network, world: &World, way: &Way, domain: &Domain) -> Line {
    let begin = Instant::now();
    let Answer::Streaming = setup.ask(&Request::Forget) else { panic!("another answer") };
    let probes = probes(network, way, domain);
    let frames: Vec<_> = probes.iter().map(|probe| setup.frame(way, &probe.wire)).collect();
    let awaited = probes.iter().zip(&frames).filter(|(probe, _)| probe.allowed);
    let awaited = awaited.map(|(_, frame)| (frame.nonce, way.into.clone())).collect();
    let batch = Batch { frames: frames.clone(), awaited, needles: Vec::new(), deadline_ms: 10_000, quiet_ms: 60 };
    let seen = setup.batch(batch);
    let passed: BTreeSet<u64> = seen.iter().filter(|it| way.passed(it)).map(|it| it.nonce).collect();
    // Whoever is refused gets no answer either.
    let answered: BTreeSet<u64> = seen
        .iter()
        .filter(|it| it.namespace == way.into && !matches!(it.place, crate::wire::Place::In(_)))
        .map(|it| it.nonce)
        .collect();
    let mut tally = Tally { ipv4: true, ipv6: true, ..Tally::default() };
    let mut wrong = Vec::new();
    for (probe, frame) in probes.iter().zip(&frames) {
        let arrived = passed.contains(&frame.nonce);
        let what = format!("{} {:?}", probe.wire, probe.packet.transport);
        if probe.allowed {
            tally.allowed += 1;
            tally.arrived += usize::from(arrived);
            if !arrived {
                wrong.push(format!("allowed, did not arrive: {what}"));
            }
        } else {
            tally.forbidden += 1;
            if arrived || answered.contains(&frame.nonce) {
                tally.leaked += 1;
                wrong.push(format!(
                    "forbidden ({}), but {}: {what}",
                    probe.reason,
                    if arrived { "entered" } else { "answered" }
                ));
            }
        }
    }
    if tally.allowed == 0 && way.by != "lan" {
        // A way without anything allowed is proven alive by the way back.
        tally.arrived = 0;
    }
    let failure = (!wrong.is_empty()).then(|| first_of(&wrong));
    let case = format!("{} > {} by {}", way.from, way.into, way.at);
    Line::new(&format!("matrix {}", world.name), &case, tally, failure, begin.elapsed().as_secs_f64())
}

fn probes(network: &Network, way: &Way, domain: &Domain) -> Vec<Probe> {
    let mut probes = Vec::new();
    for family in Family::ALL {
        let addresses: Vec<IpAddr> = addresses(network).into_iter().filter(|it| Family::of(*it) == family).collect();
        let transports = transports(network);
        let judge = |source: IpAddr, destination: IpAddr, transport: Transport| {
            let packet = policy::Packet {
                receiver: domain.name.clone(),
                interface: rdsup::model::InterfaceName::new(&way.at).expect("the name of an interface"),
                source,
                destination,
                transport,
            };
            let verdict = policy::verdict(network, &packet);
            let reason = verdict.reason.map(|reason| reason.to_string()).unwrap_or_default();
            let wire = Packet::between(source, destination, carries(transport));
            Probe { packet, wire, allowed: verdict.allowed, reason }
        };
        // Which addresses meet with something that may pass: each pair with one transport that is allowed somewhere.
        let mut good: Vec<(IpAddr, IpAddr)> = Vec::new();
        for source in &addresses {
            for destination in &addresses {
                let verdicts = transports.iter().map(|transport| judge(*source, *destination, *transport));
                let mut first = None;
                for probe in verdicts {
                    if probe.allowed || first.is_none() {
                        let allowed = probe.allowed;
                        first = Some(probe);
                        if allowed {
                            good.push((*source, *destination));
                            break;
                        }
                    }
                    // All transports of a pair are refused for the same reason unless it is the transport itself.
                    if first.as_ref().is_some_and(|probe: &Probe| {
                        !probe.allowed && !["packets", "input", "destination"].contains(&probe.reason.as_str())
                    }) {
                        break;
                    }
                }
                probes.extend(first);
            }
        }
        // Every transport with some of the pairs that may pass at all.
        let step = (good.len() / 24).max(1);
        for (source, destination) in good.iter().step_by(step) {
            probes.extend(transports.iter().map(|transport| judge(*source, *destination, *transport)));
        }
    }
    let mut known = HashSet::new();
    probes.retain(|probe| {
        let key = (probe.packet.source, probe.packet.destination, format!("{:?}", probe.packet.transport));
        // What enters and has nowhere to go proves nothing.
        (!probe.allowed || leads_on(network, domain, way, &probe.packet)) && known.insert(key)
    });
    probes
}

/// Whether what enters can come out again.
fn leads_on(network: &Network, domain: &Domain, way: &Way, packet: &policy::Packet) -> bool {
    let by_link = way.by.starts_with("rd-");
    // Without ports, only one of many can talk to an address in the name of one.
    let is_one_of_many = network.links_of(&domain.name).any(|(_, _, peer)| !peer.accept.nat.is_empty());
    let has_ports = !matches!(packet.transport, Transport::Other(_));
    has_way(network, domain, packet.destination, by_link) && (by_link || has_ports || !is_one_of_many)
}

/// Whether a domain has a way to an address: its own, declared, or told by the other end of a link.
fn has_way(network: &Network, domain: &Domain, address: IpAddr, by_link: bool) -> bool {
    let networks = |name: &DomainName| network.domain(name).map(|it| it.networks.clone()).unwrap_or_default();
    let told = network.links_of(&domain.name).any(|(_, own, peer)| {
        let accepts = own.accept.routes.iter().any(|it| it.prefix.contains(&address));
        let others = own.accept.transit.iter().chain([&peer.domain]);
        let shown = own.accept.alias.iter().map(|it| it.seen).chain(own.accept.nat.iter().map(|it| it.to.into()));
        accepts && others.flat_map(networks).chain(shown).any(|prefix| prefix.contains(&address))
    });
    // What the other end sees instead of the domain's own.
    let mirrored = network
        .links_of(&domain.name)
        .any(|(_, _, peer)| peer.accept.alias.iter().any(|alias| alias.seen.contains(&address)));
    let published = network.services.iter().filter(|it| it.domain == domain.name);
    let mut published = published.flat_map(|it| &it.expose).filter_map(|it| it.published);
    let declared = domain.routes.iter().map(|route| route.to);
    let mut own = domain.networks.iter().copied().chain(domain.interface_prefixes()).chain(declared);
    told || by_link && mirrored
        || own.any(|prefix| prefix.contains(&address))
        || by_link && published.any(|it| it.address == address)
}

fn carries(transport: Transport) -> Carries {
    match transport {
        Transport::Tcp(to) => Carries::Tcp { from: 40_000, to, flags: crate::packet::SYN },
        Transport::Udp(to) => Carries::Udp { from: 40_000, to },
        Transport::EchoRequest => Carries::Echo,
        Transport::Other(protocol) => Carries::Other(protocol),
    }
}

/// The first, the last and the neighboring addresses of everything that the file names.
fn addresses(network: &Network) -> BTreeSet<IpAddr> {
    let mut prefixes: BTreeSet<IpNet> = BTreeSet::new();
    for domain in &network.domains {
        prefixes.extend(&domain.networks);
        prefixes.extend(&domain.loopback);
        prefixes.extend(domain.interfaces.iter().flat_map(|it| &it.addresses).map(|net| IpNet::from(net.addr())));
    }
    for accept in network.links.iter().flat_map(|link| &link.ends).map(|end| &end.accept) {
        prefixes.extend(accept.routes.iter().map(|pattern| pattern.prefix));
        prefixes.extend(accept.nat.iter().flat_map(|nat| nat.from.iter().copied().chain([IpNet::from(nat.to)])));
        prefixes.extend(accept.alias.iter().flat_map(|alias| [alias.real, alias.seen]));
    }
    for service in &network.services {
        prefixes.insert(IpNet::from(service.at.address));
        prefixes.extend(service.expose.iter().filter_map(|it| it.published).map(|it| IpNet::from(it.address)));
    }
    let mut addresses = BTreeSet::new();
    for prefix in prefixes.into_iter().filter(|prefix| prefix.prefix_len() > 0) {
        let (first, last) = (prefix.network(), prefix.broadcast());
        addresses.extend([first, last, step(first, -1), step(last, 1)]);
    }
    // The anycast address of a network's routers (RFC 4291) is an address of the domain itself, and no host's. Broadcast
    // has cases of its own.
    for prefix in network.domains.iter().flat_map(|it| &it.interfaces).flat_map(|it| &it.addresses) {
        addresses.remove(&if prefix.addr().is_ipv6() { prefix.network() } else { prefix.broadcast() });
    }
    addresses
        .extend(["203.0.113.77", "2a00::77", "127.0.0.1", "240.0.0.1", "::ffff:10.1.0.1"].map(crate::packet::address));
    addresses
}

fn step(address: IpAddr, by: i8) -> IpAddr {
    match address {
        IpAddr::V4(it) => IpAddr::V4(u32::from(it).wrapping_add_signed(i32::from(by)).into()),
        IpAddr::V6(it) => IpAddr::V6(u128::from(it).wrapping_add_signed(i128::from(by)).into()),
    }
}

/// The first, the last and the neighboring ports of everything that the file names, and other protocols.
fn transports(network: &Network) -> Vec<Transport> {
    let mut transports = vec![Transport::EchoRequest, Transport::Other(47), Transport::Other(253)];
    let mut add = |transport| {
        if !transports.contains(&transport) {
            transports.push(transport);
        }
    };
    let links = network.links.iter().flat_map(|link| &link.ends).flat_map(|end| &end.accept.packets);
    let interfaces =
        network.domains.iter().flat_map(|it| &it.interfaces).flat_map(|it| it.packets.iter().chain(&it.input));
    for entry in links.chain(interfaces) {
        match entry {
            PacketMatch::Ports(protocol, ranges) => {
                let port = |port| match protocol {
                    PortProtocol::Tcp => Transport::Tcp(port),
                    PortProtocol::Udp => Transport::Udp(port),
                };
                for range in ranges {
                    let neighbors = [range.first.wrapping_sub(1), range.first, range.last, range.last.wrapping_add(1)];
                    for it in neighbors {
                        add(port(it));
                    }
                }
                add(port(65_535));
            }
            PacketMatch::Protocol(number) => add(Transport::Other(*number)),
            PacketMatch::Any | PacketMatch::Icmp => {}
        }
    }
    for service in &network.services {
        for endpoint in service.expose.iter().filter_map(|it| it.published).chain([service.at]) {
            for by in [endpoint.port.wrapping_sub(1), endpoint.port, endpoint.port.wrapping_add(1)] {
                add(Transport::Tcp(by));
            }
        }
    }
    add(Transport::Tcp(80));
    add(Transport::Udp(53));
    transports
}

//! The context of a domain's `bird.conf`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::context::{Bird, BirdChannel, BirdFamily, BirdLink, BirdLinked, BirdNeighbor, BirdPrefixes, BirdSet};
use super::error::{Problem, RenderError};
use super::quote::{Quoted, refuse_control};
use super::secrets::Secrets;
use crate::model::{
    Asn, Domain, Family, InterfaceName, Link, LinkEnd, Neighbor, NeighborName, Network, PrefixPattern, Routing,
};
use crate::policy::{self, PREFERENCE, RouteFilter};

/// The large community `(ASN, LEARNED, peer's ASN)` marks what entered over a link.
const LEARNED: u32 = 1;

/// The BIRD protocol of the session on a link's interface: `rd-internet` → `rd_internet`.
pub fn link_protocol(interface: &InterfaceName) -> String {
    symbol(interface.as_str())
}

/// The BIRD protocol of the session with an external neighbor: `transit` → `ext_transit`.
pub fn neighbor_protocol(neighbor: &NeighborName) -> String {
    format!("ext_{}", symbol(neighbor.as_str()))
}

fn symbol(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Builds the context of `domain`, or says everything that is in its way.
pub(super) fn context(network: &Network, domain: &Domain, secrets: &Secrets) -> Result<Bird, Vec<RenderError>> {
    let mut errors = Vec::new();
    let mut fail = |origin, problem| errors.push(RenderError { domain: domain.name.clone(), origin, problem });
    let log = network.settings.run_dir.join(domain.name.as_str()).join("log").join("bird.log");
    let log = log.to_string_lossy();
    for text in [Some(network.settings.source.to_string_lossy()), domain.description.as_deref().map(Into::into)] {
        if let Some(Err(error)) = text.as_deref().map(refuse_control) {
            fail(domain.origin, Problem::Text { what: "description or file name", error });
        }
    }
    let logs = match (Quoted::exact(&log), Quoted::exact(&format!("{log}.1"))) {
        (Ok(log), Ok(backup)) => Some((log, backup)),
        (Err(error), _) | (_, Err(error)) => {
            fail(domain.origin, Problem::Text { what: "run_dir", error });
            None
        }
    };
    if domain.router_id.is_none() {
        fail(domain.origin, Problem::Missing("router_id"));
    }
    let mut links = Vec::new();
    for (link, own, peer) in network.links_of(&domain.name).filter(|(link, _, _)| link.routing == Routing::Bgp) {
        match self::link(network, domain, link, own, peer) {
            Ok(context) => links.push(context),
            Err(problem) => fail(link.origin, problem),
        }
    }
    let mut neighbors = Vec::new();
    for neighbor in &domain.neighbors {
        match self::neighbor(network, domain, neighbor, secrets) {
            Ok(context) => neighbors.push(context),
            Err(problem) => fail(neighbor.origin, problem),
        }
    }
    let (Some(router_id), Some((log_file, log_backup)), true) = (domain.router_id, logs, errors.is_empty()) else {
        return Err(errors);
    };
    Ok(Bird {
        domain: domain.name.clone(),
        source: network.settings.source.display().to_string(),
        description: domain.description.clone(),
        router_id,
        log_file,
        log_backup,
        families: domain.families.iter().map(|family| self::family(network, domain, family)).collect(),
        links,
        neighbors,
    })
}

fn family(network: &Network, domain: &Domain, family: Family) -> BirdFamily {
    let label = |peer: Option<Asn>| domain.asn.map(|own| label(own, peer.map_or(0, |asn| asn.0)));
    BirdFamily {
        name: family.as_str(),
        digit: digit(family),
        source: domain.source(family),
        originated: policy::originated(domain).get(family).iter().copied().collect(),
        linked: policy::linked_routes(network, domain, family)
            .into_iter()
            .map(|route| BirdLinked { to: route.to, label: label(route.entered_by) })
            .collect(),
    }
}

fn link(network: &Network, domain: &Domain, link: &Link, own: &LinkEnd, peer: &LinkEnd) -> Result<BirdLink, Problem> {
    let asn = domain.asn.ok_or(Problem::Missing("asn"))?;
    let other = network.domain(&peer.domain).ok_or(Problem::Missing("domain at the other end"))?;
    let peer_asn = other.asn.ok_or(Problem::Missing("asn of the domain at the other end"))?;
    let (local, address) = policy::session_addresses(network, own, peer);
    let protocol = link_protocol(&own.interface);
    let accept = policy::link_routes(network, domain, own, peer);
    let announce = policy::link_routes(network, other, peer, own);
    let channels = policy::link_families(network, own, peer)
        .into_iter()
        .map(|family| {
            let suffix = format!("{}_{protocol}", digit(family));
            BirdChannel {
                name: family.as_str(),
                extended_next_hop: family == Family::Ipv4 && local.is_ipv6(),
                next_hop_self: true,
                asn,
                max_path: link.max_path,
                next_hop: Some("gw"),
                import: prefixes("import", &suffix, accept.get(family)),
                export: prefixes("export", &suffix, announce.get(family)),
                announce_linked: false,
                label: Some(label(asn, peer_asn.0)),
                preference: own.accept.preference.unwrap_or(PREFERENCE),
                max_prefixes: own.accept.max_prefixes,
                suffix,
            }
        })
        .collect();
    let interface = quoted_interface(&own.interface)?;
    // Two ends that connect within the same moment collide, and BIRD then closes a connection with a Cease, after which it
    // waits: seen in one start of ten with 50 links. So one end goes first and the other only if that failed.
    let connect_delay = if own.link_local < peer.link_local { 1 } else { 3 };
    let peer = peer.domain.clone();
    Ok(BirdLink { protocol, peer, interface, local, asn, address, peer_asn, connect_delay, channels })
}

fn neighbor(
    network: &Network,
    domain: &Domain,
    neighbor: &Neighbor,
    secrets: &Secrets,
) -> Result<BirdNeighbor, Problem> {
    let asn = domain.asn.ok_or(Problem::Missing("asn"))?;
    let protocol = neighbor_protocol(&neighbor.name);
    let text = |what| move |error| Problem::Text { what, error };
    let description = neighbor.description.as_deref().map(Quoted::text).transpose().map_err(text("description"))?;
    let password = match &neighbor.password {
        None => None,
        Some(file) => {
            let secret = secrets.get(file).ok_or_else(|| Problem::NoSecret(file.0.clone()))?;
            let error = |error| Problem::Password { file: file.0.clone(), error };
            Some(Quoted::password(secret.expose()).map_err(error)?)
        }
    };
    let at = policy::neighbor_interface(domain, neighbor).filter(|_| neighbor.multihop.is_none());
    let local = at.and_then(|interface| {
        let own = interface.addresses.iter().find(|address| address.contains(&neighbor.address));
        own.map(IpNet::addr)
    });
    // A neighbor several hops away names its own next hop, which BIRD resolves; one on the wire is the next hop.
    let next_hop = match (neighbor.ibgp, neighbor.multihop) {
        (true, _) => None,
        (false, Some(_)) => Some("bgp_next_hop"),
        (false, None) => Some("gw"),
    };
    let routes = policy::neighbor_policy(network, domain, neighbor);
    let channels = policy::neighbor_families(domain, neighbor)
        .into_iter()
        .map(|family| {
            let suffix = format!("{}_{protocol}", digit(family));
            BirdChannel {
                name: family.as_str(),
                extended_next_hop: family == Family::Ipv4 && neighbor.address.is_ipv6(),
                next_hop_self: true,
                asn,
                max_path: neighbor.max_path,
                next_hop,
                import: prefixes("import", &suffix, routes.accept.get(family)),
                export: prefixes("export", &suffix, routes.announce.get(family)),
                announce_linked: true,
                label: None,
                preference: neighbor.preference.unwrap_or(PREFERENCE),
                max_prefixes: neighbor.max_prefixes,
                suffix,
            }
        })
        .collect();
    Ok(BirdNeighbor {
        protocol,
        name: neighbor.name.clone(),
        description,
        interface: at.filter(|_| is_link_local(neighbor.address)).map(|it| quoted_interface(&it.name)).transpose()?,
        local,
        asn,
        address: neighbor.address,
        peer_asn: neighbor.asn,
        ibgp: neighbor.ibgp,
        multihop: neighbor.multihop,
        password,
        channels,
    })
}

/// The sets of a filter and the condition on them. `&&` and `||` bind equally in BIRD, hence the parentheses.
fn prefixes(direction: &str, suffix: &str, filter: &RouteFilter) -> BirdPrefixes {
    let mut sets = Vec::new();
    let mut set = |kind: &str, patterns: Vec<String>| {
        let name = format!("{direction}_{kind}{suffix}");
        sets.push(BirdSet { name: name.clone(), patterns });
        name
    };
    let under = |list: &[IpNet]| list.iter().map(|prefix| format!("{prefix}+")).collect::<Vec<_>>();
    let patterns = |list: &[PrefixPattern]| list.iter().map(pattern).collect::<Vec<_>>();
    let mut either = Vec::new();
    if !filter.named.is_empty() {
        either.push(format!("net ~ {}", set("named", patterns(&filter.named))));
    }
    if !filter.ranges.is_empty() {
        let mut test = format!("net ~ {}", set("range", patterns(&filter.ranges)));
        if !filter.except.is_empty() {
            test = format!("({test} && net !~ {})", set("except", under(&filter.except)));
        }
        either.push(test);
    }
    let mut test = if either.is_empty() { "false".to_owned() } else { either.join(" || ") };
    if !filter.is_empty() && !filter.never.is_empty() {
        test = format!("net !~ {} && ({test})", set("never", under(&filter.never)));
    }
    BirdPrefixes { sets, test }
}

/// A pattern as BIRD writes it.
fn pattern(pattern: &PrefixPattern) -> String {
    if pattern.is_exact() {
        pattern.prefix.to_string()
    } else {
        format!("{}{{{},{}}}", pattern.prefix, pattern.ge, pattern.le)
    }
}

fn label(own: Asn, peer: u32) -> String {
    format!("({own}, {LEARNED}, {peer})")
}

fn digit(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 6,
    }
}

fn quoted_interface(interface: &InterfaceName) -> Result<Quoted, Problem> {
    Quoted::exact(interface.as_str()).map_err(|error| Problem::Text { what: "interface", error })
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

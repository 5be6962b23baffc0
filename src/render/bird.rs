//! The context of a domain's `bird.conf`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::common::{LinkSession, bad_texts, caches, digit, is_link_local, link_session, password, wire};
use super::context::{
    Bird, BirdCache, BirdChannel, BirdElements, BirdFamily, BirdLink, BirdLinkOnly, BirdLinked, BirdNeighbor,
    BirdOriginated, BirdPrefixes, BirdSet,
};
use super::error::{Problem, RenderError};
use super::quote::Quoted;
use super::secrets::Secrets;
use crate::model::{
    Asn, CacheName, Domain, Family, InterfaceName, Link, LinkEnd, Neighbor, NeighborName, Network, PrefixPattern,
    RouteKind, Routing, RpkiCache,
};
use crate::policy::{self, Label, LinkPolicy, PREFERENCE, RouteFilter};

/// How many prefixes of a family one neighbor may announce where all are kept, accepted or not: twice what the Internet has,
/// because `max_prefixes` counts only what is accepted and memory is everybody's.
const MOST_RECEIVED: u32 = 2_000_000;

/// The BIRD protocol of the session on a link's interface: `rd-internet` → `rd_internet`.
pub fn link_protocol(interface: &InterfaceName) -> String {
    symbol(interface.as_str())
}

/// The BIRD protocol of the session with an external neighbor: `transit` → `ext_transit`.
pub fn neighbor_protocol(neighbor: &NeighborName) -> String {
    format!("ext_{}", symbol(neighbor.as_str()))
}

/// Whether a BIRD protocol is that of the session with an external neighbor.
pub fn is_neighbor_protocol(protocol: &str) -> bool {
    protocol.starts_with("ext_")
}

/// The RPKI protocol that asks a cache: `validator` → `rpki_validator`.
pub fn cache_protocol(cache: &CacheName) -> String {
    format!("rpki_{}", symbol(cache.as_str()))
}

/// What people call the session of a BIRD protocol: by the link's interface or the neighbor's name. What has another name is the
/// admin's own, and keeps it.
pub fn session_name(protocol: &str) -> String {
    match protocol.strip_prefix("ext_") {
        Some(neighbor) => neighbor.replace('_', "-"),
        None if protocol.starts_with("rd_") => protocol.replace('_', "-"),
        None => protocol.to_owned(),
    }
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
    for problem in bad_texts(network, domain) {
        fail(domain.origin, problem);
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
    let mut sets = Sets::default();
    let mut links = Vec::new();
    for (link, own, peer) in network.links_of(&domain.name).filter(|(link, _, _)| link.routing == Routing::Bgp) {
        match self::link(network, domain, (link, own, peer), &mut sets) {
            Ok(context) => links.push(context),
            Err(problem) => fail(link.origin, problem),
        }
    }
    let mut neighbors = Vec::new();
    let bfd = bfd_interfaces(domain).map_err(|problem| fail(domain.origin, problem)).unwrap_or_default();
    for neighbor in &domain.neighbors {
        match self::neighbor(network, domain, neighbor, secrets, &mut sets) {
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
        caches: caches(network, domain).map(cache).collect(),
        families: domain.families.iter().map(|family| self::family(network, domain, family)).collect(),
        links,
        neighbors,
        bfd,
    })
}

/// The interfaces with neighbors that BFD watches, each once.
fn bfd_interfaces(domain: &Domain) -> Result<Vec<Quoted>, Problem> {
    let watched = domain.neighbors.iter().filter(|neighbor| neighbor.bfd);
    let names: BTreeSet<&str> = watched
        .map(|neighbor| {
            // Those of the machine are not in the file.
            let named = neighbor.interface.as_ref().or_else(|| Some(&wire(domain, neighbor).0?.name));
            named.map_or("*", InterfaceName::as_str)
        })
        .collect();
    let quoted = |name: &str| Quoted::exact(name).map_err(|error| Problem::Text { what: "interface", error });
    names.into_iter().map(quoted).collect()
}

fn cache(cache: &RpkiCache) -> BirdCache {
    BirdCache {
        protocol: cache_protocol(&cache.name),
        name: cache.name.clone(),
        address: cache.address,
        port: cache.port,
    }
}

fn family(network: &Network, domain: &Domain, family: Family) -> BirdFamily {
    let text = |label: Label| domain.asn.map(|own| community(own, label));
    let link_only = policy::link_only_routes(network, domain, family).into_iter();
    BirdFamily {
        name: family.as_str(),
        digit: digit(family),
        source: domain.source(family),
        originated: policy::originated(domain).get(family).iter().map(|to| originated(domain, *to)).collect(),
        linked: policy::linked_routes(network, domain, family)
            .into_iter()
            .map(|route| BirdLinked { to: route.to, label: text(route.label) })
            .collect(),
        link_only: link_only
            .map(|route| BirdLinkOnly {
                to: route.to,
                labels: route.labels.into_iter().filter_map(text).collect(),
                host: route.host,
            })
            .collect(),
    }
}

/// Copies of declared routes lead where these do, because next hops of neighbors several hops away are looked up there.
fn originated(domain: &Domain, to: IpNet) -> BirdOriginated {
    let declared = domain.routes.iter().filter(|route| route.to == to).min_by_key(|route| route.metric);
    let way = match declared.map(|route| &route.kind) {
        Some(RouteKind::Unicast { via: Some(via), dev: Some(dev) }) if is_link_local(*via) => scoped(*via, dev),
        Some(RouteKind::Unicast { via: Some(via), .. }) => Some(format!("via {via}")),
        Some(RouteKind::Unicast { via: None, dev: Some(dev) }) => Some(format!("via \"{dev}\"")),
        _ => None,
    };
    BirdOriginated { to, way: way.unwrap_or_else(|| "unreachable".to_owned()) }
}

/// A gateway on an interface; none if BIRD has no way to write the interface's name there.
fn scoped(via: IpAddr, dev: &InterfaceName) -> Option<String> {
    let writable = dev.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    writable.then(|| format!("via {via}%'{dev}'"))
}

fn link(
    network: &Network,
    domain: &Domain,
    (link, own, peer): (&Link, &LinkEnd, &LinkEnd),
    sets: &mut Sets,
) -> Result<BirdLink, Problem> {
    let session = link_session(network, domain, (link, own, peer))?;
    let LinkSession { asn, other, peer_asn, local, address, connect_delay, role } = session;
    let protocol = link_protocol(&own.interface);
    let accept = policy::link_routes(network, domain, own, peer);
    let announce = policy::link_announcements(network, other, own, peer);
    let transit = policy::transit_labels(network, own, peer);
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
                import: sets.prefixes("import", &suffix, accept.get(family)),
                export: sets.prefixes("export", &suffix, announce.get(family)),
                announce_linked: false,
                transit: transit.iter().map(|label| community(asn, *label)).collect(),
                announce_outside: true,
                only_here: Some(community(asn, Label::OnlyOver(LinkPolicy::mark(link)))),
                label: Some(community(asn, Label::of_link(network, link, peer))),
                refused_asns: None,
                roa_table: None,
                import_table: false,
                max_received: MOST_RECEIVED,
                preference: own.accept.preference.unwrap_or(PREFERENCE),
                max_prefixes: own.accept.max_prefixes,
                at_limit: "block",
                suffix,
            }
        })
        .collect();
    let interface = quoted_interface(&own.interface)?;
    let peer = peer.domain.clone();
    Ok(BirdLink { protocol, peer, interface, local, asn, address, peer_asn, connect_delay, role, channels })
}

fn neighbor(
    network: &Network,
    domain: &Domain,
    neighbor: &Neighbor,
    secrets: &Secrets,
    sets: &mut Sets,
) -> Result<BirdNeighbor, Problem> {
    let asn = domain.asn.ok_or(Problem::Missing("asn"))?;
    let protocol = neighbor_protocol(&neighbor.name);
    let text = |what| move |error| Problem::Text { what, error };
    let description = neighbor.description.as_deref().map(Quoted::text).transpose().map_err(text("description"))?;
    let password = password(neighbor, secrets, Quoted::password)?;
    let (at, local) = wire(domain, neighbor);
    Ok(BirdNeighbor {
        name: neighbor.name.clone(),
        description,
        interface: at.filter(|_| is_link_local(neighbor.address)).map(|it| quoted_interface(&it.name)).transpose()?,
        local,
        asn,
        address: neighbor.address,
        peer_asn: neighbor.asn,
        ibgp: neighbor.ibgp,
        multihop: neighbor.multihop,
        bfd: neighbor.bfd,
        password,
        role: neighbor.role.filter(|_| !neighbor.ibgp),
        channels: neighbor_channels(network, domain, (neighbor, asn), &protocol, sets),
        protocol,
    })
}

fn neighbor_channels(
    network: &Network,
    domain: &Domain,
    (neighbor, asn): (&Neighbor, Asn),
    protocol: &str,
    sets: &mut Sets,
) -> Vec<BirdChannel> {
    // A neighbor several hops away names its own next hop, which BIRD resolves; one on the wire is the next hop.
    let next_hop = match (neighbor.ibgp, neighbor.multihop) {
        (true, _) => None,
        (false, Some(_)) => Some("bgp_next_hop"),
        (false, None) => Some("gw"),
    };
    let external = !neighbor.ibgp;
    let outside = policy::is_outside(domain, neighbor);
    let validated = external && caches(network, domain).next().is_some();
    let routes = policy::neighbor_policy(network, domain, neighbor);
    let mut channels = Vec::new();
    for family in policy::neighbor_families(domain, neighbor) {
        let suffix = format!("{}_{protocol}", digit(family));
        let mut import = sets.prefixes("import", &suffix, routes.accept.get(family));
        let refused_asns = external.then(|| {
            let bogons = BirdElements::asns(&policy::bogon_asns(neighbor.asn));
            sets.named(format!("import_asns{suffix}"), bogons, &mut import.sets)
        });
        channels.push(BirdChannel {
            name: family.as_str(),
            extended_next_hop: family == Family::Ipv4 && neighbor.address.is_ipv6(),
            next_hop_self: true,
            asn,
            max_path: neighbor.max_path,
            next_hop,
            import,
            export: sets.prefixes("export", &suffix, routes.announce.get(family)),
            announce_linked: true,
            transit: Vec::new(),
            announce_outside: !outside,
            only_here: None,
            label: outside.then(|| community(asn, Label::Outside)),
            refused_asns,
            roa_table: (validated && neighbor.rpki).then_some(match family {
                Family::Ipv4 => "rpki4",
                Family::Ipv6 => "rpki6",
            }),
            // Who is asked to send its routes again need not do so, and would keep what an older list let in. Next hops that BIRD
            // must resolve are not kept up to date in the table; such sessions begin anew, see `daemons::bird`.
            import_table: (external || outside) && neighbor.multihop.is_none(),
            max_received: MOST_RECEIVED.max(neighbor.max_prefixes),
            preference: neighbor.preference.unwrap_or(PREFERENCE),
            max_prefixes: neighbor.max_prefixes,
            at_limit: if external { "restart" } else { "block" },
            suffix,
        });
    }
    channels
}

/// The sets of a domain's filters, each defined once: a list from a routing registry that several neighbors share has
/// hundreds of thousands of prefixes.
#[derive(Default)]
struct Sets(BTreeMap<BirdElements, String>);

impl Sets {
    /// The name of the set of these elements, which is put among `new` if nothing has defined it yet.
    fn named(&mut self, name: String, elements: BirdElements, new: &mut Vec<BirdSet>) -> String {
        if let Some(known) = self.0.get(&elements) {
            return known.clone();
        }
        new.push(BirdSet { name: name.clone(), elements: elements.clone() });
        self.0.insert(elements, name.clone());
        name
    }

    /// The sets of a filter and the condition on them. `&&` and `||` bind equally in BIRD, hence the parentheses.
    fn prefixes(&mut self, direction: &str, suffix: &str, filter: &RouteFilter) -> BirdPrefixes {
        let mut new = Vec::new();
        let mut set = |kind: &str, elements| self.named(format!("{direction}_{kind}{suffix}"), elements, &mut new);
        let mut either = Vec::new();
        if !filter.named.is_empty() {
            either.push(format!("net ~ {}", set("named", BirdElements::patterns(&filter.named))));
        }
        if !filter.ranges.is_empty() {
            let mut test = format!("net ~ {}", set("range", BirdElements::patterns(&filter.ranges)));
            if !filter.except.is_empty() {
                test = format!("({test} && net !~ {})", set("except", BirdElements::under(&filter.except)));
            }
            either.push(test);
        }
        let mut test = if either.is_empty() { "false".to_owned() } else { either.join(" || ") };
        if !filter.is_empty() && !filter.never.is_empty() {
            let mut never = format!("net !~ {}", set("never", BirdElements::under(&filter.never)));
            if !filter.unless.is_empty() {
                let exactly: Vec<_> = filter.unless.iter().copied().map(PrefixPattern::exact).collect();
                never = format!("({never} || net ~ {})", set("unless", BirdElements::patterns(&exactly)));
            }
            test = format!("{never} && ({test})");
        }
        BirdPrefixes { sets: new, test }
    }
}

/// A label as BIRD writes a large community.
fn community(own: Asn, label: Label) -> String {
    let (kind, value) = label.parts();
    format!("({own}, {kind}, {value})")
}

fn quoted_interface(interface: &InterfaceName) -> Result<Quoted, Problem> {
    Quoted::exact(interface.as_str()).map_err(|error| Problem::Text { what: "interface", error })
}

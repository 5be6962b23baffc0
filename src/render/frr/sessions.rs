//! The sessions of a domain, and the policy of each family on them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::lists::Lists;
use super::steps::{Steps, command};
use super::{community, nowhere, numbers};
use crate::model::{Asn, Domain, Family, InterfaceName, Link, LinkEnd, Neighbor, Network, Origin, Role, Routing};
use crate::policy::{self, Label, LinkPolicy, PREFERENCE, RouteFilter};
use crate::render::common::{LinkSession, caches, is_link_local, link_session, password, wire};
use crate::render::context::{FrrChannel, FrrLink, FrrMap, FrrNeighbor};
use crate::render::error::Problem;
use crate::render::quote::Bare;
use crate::render::secrets::Secrets;

/// Everything that has a neighbor.
#[derive(Default)]
pub(super) struct Sessions {
    pub links: Vec<FrrLink>,
    pub neighbors: Vec<FrrNeighbor>,
    pub channels: Vec<FrrChannel>,
    /// Every interface, if IPv4 takes IPv6 next hops anywhere.
    pub extended: BTreeSet<InterfaceName>,
}

/// The sessions of `domain`. What is in the way of one is told to `fail`.
pub(super) fn of(
    network: &Network,
    domain: &Domain,
    secrets: &Secrets,
    lists: &mut Lists,
    fail: &mut impl FnMut(Origin, Problem),
) -> Sessions {
    let mut sessions = Sessions::default();
    let mut taken = BTreeSet::new();
    let mut twice = |address: IpAddr| (!taken.insert(address)).then_some(Problem::SameAddress(address));
    for (link, own, peer) in network.links_of(&domain.name).filter(|(link, _, _)| link.routing == Routing::Bgp) {
        let found = self::link(network, domain, (link, own, peer), lists);
        match found.and_then(|found| twice(found.0.address).map_or(Ok(found), Err)) {
            Ok((context, channels)) => {
                sessions.links.push(context);
                sessions.channels.extend(channels);
            }
            Err(problem) => fail(link.origin, problem),
        }
    }
    for neighbor in &domain.neighbors {
        let found = self::neighbor(network, domain, neighbor, secrets, lists);
        match found.and_then(|found| twice(found.0.address).map_or(Ok(found), Err)) {
            Ok((context, channels)) => {
                sessions.neighbors.push(context);
                sessions.channels.extend(channels);
            }
            Err(problem) => fail(neighbor.origin, problem),
        }
    }
    let by_links = sessions.links.iter().map(|it| it.extended_next_hop);
    if by_links.chain(sessions.neighbors.iter().map(|it| it.extended_next_hop)).any(|it| it) {
        let links = network.links_of(&domain.name).map(|(_, own, _)| own.interface.clone());
        sessions.extended = links.chain(domain.interfaces.iter().map(|it| it.name.clone())).collect();
    }
    sessions
}

fn link(
    network: &Network,
    domain: &Domain,
    (link, own, peer): (&Link, &LinkEnd, &LinkEnd),
    lists: &mut Lists,
) -> Result<(FrrLink, Vec<FrrChannel>), Problem> {
    let session = link_session(network, domain, (link, own, peer))?;
    let LinkSession { asn, other, peer_asn, local, address, connect_delay, role } = session;
    let accept = policy::link_routes(network, domain, own, peer);
    let announce = policy::link_announcements(network, other, own, peer);
    let transit = policy::transit_labels(network, own, peer);
    let families = policy::link_families(network, own, peer);
    let extended_next_hop = local.is_ipv6() && families.contains(&Family::Ipv4);
    let mut channels = Vec::new();
    for family in families {
        let session = Session {
            name: own.interface.to_string(),
            asn,
            address,
            next_hop: true,
            paths: paths(lists, link.max_path, None),
            validated: false,
        };
        // No transit from link to link, except where it is asked for; what is for one link goes over no other.
        let linked = ["1", "3"].map(|kind| format!("deny _{asn}:{kind}:"));
        let labels = [
            noted(lists, "transit", transit.iter().map(|it| exactly(asn, *it)).chain(linked)),
            noted(lists, "only", [exactly(asn, Label::OnlyOver(LinkPolicy::mark(link))), format!("deny _{asn}:2:")]),
        ];
        channels.push(FrrChannel {
            label: Some(community(asn, Label::of_link(network, link, peer))),
            preference: own.accept.preference.unwrap_or(PREFERENCE),
            max_prefixes: own.accept.max_prefixes,
            ..session.channel(lists, family, (accept.get(family), announce.get(family)), &labels)?
        });
    }
    let link = FrrLink {
        peer: peer.domain.clone(),
        session: own.interface.clone(),
        interface: is_link_local(address).then(|| own.interface.clone()),
        local,
        address,
        peer_asn,
        connect_delay,
        role: role.map(spelled),
        extended_next_hop,
    };
    Ok((link, channels))
}

fn neighbor(
    network: &Network,
    domain: &Domain,
    neighbor: &Neighbor,
    secrets: &Secrets,
    lists: &mut Lists,
) -> Result<(FrrNeighbor, Vec<FrrChannel>), Problem> {
    let asn = domain.asn.ok_or(Problem::Missing("asn"))?;
    let description = neighbor.description.as_deref().map(Bare::text).transpose();
    let description = description.map_err(|error| Problem::Text { what: "description", error })?.flatten();
    let password = password(neighbor, secrets, Bare::password)?;
    let (at, local) = wire(domain, neighbor);
    let families = policy::neighbor_families(domain, neighbor);
    let context = FrrNeighbor {
        name: neighbor.name.clone(),
        description,
        interface: at.filter(|_| is_link_local(neighbor.address)).map(|it| it.name.clone()),
        local,
        address: neighbor.address,
        peer_asn: neighbor.asn,
        ibgp: neighbor.ibgp,
        multihop: neighbor.multihop,
        bfd: neighbor.bfd,
        ttl_security: neighbor.multihop.is_none() && !policy::raises_hops(domain, neighbor),
        password,
        role: neighbor.role.filter(|_| !neighbor.ibgp).map(spelled),
        extended_next_hop: neighbor.address.is_ipv6() && families.contains(&Family::Ipv4),
    };
    let outside = policy::is_outside(domain, neighbor);
    let validated = !neighbor.ibgp && caches(network, domain).next().is_some();
    let routes = policy::neighbor_policy(network, domain, neighbor);
    let mut channels = Vec::new();
    for family in families {
        let session = Session {
            name: format!("ext-{}", neighbor.name),
            asn,
            address: neighbor.address,
            next_hop: !neighbor.ibgp,
            paths: paths(lists, neighbor.max_path, (!neighbor.ibgp).then_some(neighbor.asn)),
            validated: validated && neighbor.rpki,
        };
        // Nothing from outside to outside, and nothing that is for links.
        let outside_only = outside.then(|| format!("deny _{asn}:4:"));
        let labels = [noted(lists, "outside", outside_only.into_iter().chain([format!("deny _{asn}:2:")]))];
        channels.push(FrrChannel {
            // Who is asked to send its routes again need not do so, and would keep what an older list let in.
            keep_refused: outside || !neighbor.ibgp,
            label: outside.then(|| community(asn, Label::Outside)),
            preference: neighbor.preference.unwrap_or(PREFERENCE),
            max_prefixes: neighbor.max_prefixes,
            ..session.channel(lists, family, (routes.accept.get(family), routes.announce.get(family)), &labels)?
        });
    }
    Ok((context, channels))
}

/// What the families of a session have in common.
struct Session {
    name: String,
    asn: Asn,
    address: IpAddr,
    /// Whether the next hop must be the peer.
    next_hop: bool,
    paths: String,
    validated: bool,
}

impl Session {
    fn channel(
        &self,
        lists: &mut Lists,
        family: Family,
        (accept, announce): (&RouteFilter, &RouteFilter),
        labels: &[String],
    ) -> Result<FrrChannel, Problem> {
        let asn = self.asn;
        let own = format!("permit ^{asn}:");
        let shutdown = ["permit graceful-shutdown".to_owned()];
        Ok(FrrChannel {
            session: self.name.clone(),
            family: family.as_str(),
            address: self.address,
            next_hop_self: true,
            next_hop: if self.next_hop { becomes(self.address) } else { Vec::new() },
            keep_refused: false,
            import: self.import(lists, family, accept)?,
            export: export(lists, family, announce, labels)?,
            own_labels: lists.put("bgp large-community-list expanded", "own", &[own]),
            no_labels: noted(lists, "clean", [format!("deny _{asn}:")]),
            graceful_shutdown: lists.put("bgp community-list standard", "shutdown", &shutdown),
            label: None,
            preference: PREFERENCE,
            max_prefixes: 0,
        })
    }

    fn import(&self, lists: &mut Lists, family: Family, accept: &RouteFilter) -> Result<FrrMap, Problem> {
        let mut steps = Steps::begin(lists.dialect);
        steps.guard(
            "The path: its length, no AS_SET, no number that nobody has",
            vec![format!("as-path {}", self.paths)],
        );
        if self.next_hop {
            let of = Family::of(self.address);
            let mut matches = vec![format!("{} next-hop address {}", command(of), self.address)];
            if is_link_local(self.address) && family == Family::Ipv6 {
                // `address` matches the global next hop or the link-local one; with a global one of a third party, the route
                // would pass too. FRR has no such test for IPv4: there it takes the link-local one, which is the neighbor.
                let global = ["::/128".to_owned(), format!("{}/128", self.address)].map(|it| format!("permit {it}"));
                let list = lists.put("ipv6 prefix-list", "hop6", &global);
                matches.push(format!("ipv6 next-hop prefix-list {list}"));
            }
            steps.guard("The next hop is the neighbor", matches);
        }
        if self.validated {
            steps.refuse("The origin is invalid", vec!["rpki invalid".to_owned()]);
        }
        steps.finish(lists, family, accept, &nowhere(family))
    }
}

/// The route map of what is announced; the name is still to come.
fn export(lists: &mut Lists, family: Family, announce: &RouteFilter, labels: &[String]) -> Result<FrrMap, Problem> {
    let mut steps = Steps::begin(lists.dialect);
    for list in labels {
        steps.guard("Where it came from and where it may go", vec![format!("large-community {list}")]);
    }
    steps.finish(lists, family, announce, &[])
}

/// What has a route lead to the neighbor, whatever it said. One message may name several next hops (`NEXT_HOP`, and in
/// `MP_REACH_NLRI` a global one and a link-local one), of which FRR compares one with a list and uses another.
fn becomes(neighbor: IpAddr) -> Vec<String> {
    let peer = "ipv6 next-hop peer-address".to_owned();
    match neighbor {
        IpAddr::V4(address) => vec![format!("ip next-hop {address}")],
        _ if is_link_local(neighbor) => vec![peer],
        IpAddr::V6(_) => vec![peer, "ipv6 next-hop prefer-global".to_owned()],
    }
}

/// The list of paths that may be: at most `longest` numbers, no `AS_SET`, and from outside no number that nobody has.
fn paths(lists: &mut Lists, longest: u32, neighbor: Option<Asn>) -> String {
    // regcomp(3) takes repetitions up to RE_DUP_MAX; no path that fits into a message of BGP has so many numbers.
    let longest = longest.min(4096);
    let mut entries = vec!["deny [{(]".to_owned(), format!("deny ^([0-9]+ ){{{longest}}}[0-9]")];
    for range in neighbor.map(policy::bogon_asns).into_iter().flatten() {
        entries.push(format!("deny _({})_", numbers::expressions(&range).join("|")));
    }
    entries.push("permit .*".to_owned());
    lists.put("bgp as-path access-list", "paths", &entries)
}

/// A list of large communities that matches what none of `entries` refuses first.
fn noted(lists: &mut Lists, kind: &str, entries: impl IntoIterator<Item = String>) -> String {
    let entries: Vec<_> = entries.into_iter().chain(["permit .*".to_owned()]).collect();
    lists.put("bgp large-community-list expanded", kind, &entries)
}

/// The entry that lets a label pass.
fn exactly(own: Asn, label: Label) -> String {
    format!("permit _{}_", community(own, label))
}

/// A role as FRR spells it.
fn spelled(role: Role) -> String {
    role.as_str().replace('_', "-")
}

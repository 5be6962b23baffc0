//! What the configurations of all routing daemons begin with, whatever each makes of it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::error::Problem;
use super::quote::{QuoteError, refuse_control};
use super::secrets::Secrets;
use crate::model::{Asn, Domain, Family, Interface, Link, LinkEnd, Neighbor, Network, Role, RpkiCache};
use crate::policy;

/// The session over a link, seen from one end.
pub(super) struct LinkSession<'a> {
    pub(super) asn: Asn,
    /// The domain at the other end.
    pub(super) other: &'a Domain,
    pub(super) peer_asn: Asn,
    pub(super) local: IpAddr,
    pub(super) address: IpAddr,
    /// In seconds. Two ends that connect within the same moment collide, and BIRD then closes a connection with a Cease, after
    /// which it waits: seen in one start of ten with 50 links. So one end goes first and the other only if that failed.
    pub(super) connect_delay: u32,
    pub(super) role: Option<Role>,
}

/// The session of `domain` over a link.
pub(super) fn link_session<'a>(
    network: &'a Network,
    domain: &Domain,
    (link, own, peer): (&Link, &LinkEnd, &LinkEnd),
) -> Result<LinkSession<'a>, Problem> {
    let asn = domain.asn.ok_or(Problem::Missing("asn"))?;
    let other = network.domain(&peer.domain).ok_or(Problem::Missing("domain at the other end"))?;
    let peer_asn = other.asn.ok_or(Problem::Missing("asn of the domain at the other end"))?;
    let (local, address) = policy::session_addresses(network, own, peer);
    let connect_delay = if own.link_local < peer.link_local { 1 } else { 3 };
    let provider = link.provider.as_ref();
    let role = provider.map(|it| if *it == domain.name { Role::Provider } else { Role::Customer });
    Ok(LinkSession { asn, other, peer_asn, local, address, connect_delay, role })
}

/// The interface on whose wire a neighbor is, and the own address on it.
pub(super) fn wire<'a>(domain: &'a Domain, neighbor: &Neighbor) -> (Option<&'a Interface>, Option<IpAddr>) {
    let at = policy::neighbor_interface(domain, neighbor).filter(|_| neighbor.multihop.is_none());
    let own = at.and_then(|it| it.addresses.iter().find(|address| address.contains(&neighbor.address)));
    (at, own.map(IpNet::addr))
}

/// The password of a neighbor, as `quote` has it written.
pub(super) fn password<T>(
    neighbor: &Neighbor,
    secrets: &Secrets,
    quote: fn(&str) -> Result<T, QuoteError>,
) -> Result<Option<T>, Problem> {
    let Some(file) = &neighbor.password else { return Ok(None) };
    let secret = secrets.get(file).ok_or_else(|| Problem::NoSecret(file.0.clone()))?;
    let error = |error| Problem::Password { file: file.0.clone(), error };
    quote(secret.expose()).map(Some).map_err(error)
}

/// What cannot stand in the comments that a file begins with.
pub(super) fn bad_texts(network: &Network, domain: &Domain) -> Vec<Problem> {
    let source = network.settings.source.to_string_lossy();
    let texts = [Some(source.as_ref()), domain.description.as_deref()];
    let errors = texts.into_iter().flatten().filter_map(|text| refuse_control(text).err());
    errors.map(|error| Problem::Text { what: "description or file name", error }).collect()
}

/// The caches that a domain asks.
pub(super) fn caches<'a>(network: &'a Network, domain: &'a Domain) -> impl Iterator<Item = &'a RpkiCache> {
    network.rpki.iter().filter(|cache| cache.domain == domain.name)
}

/// What tells the two families apart in names.
pub(super) fn digit(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 6,
    }
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

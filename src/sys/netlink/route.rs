//! Routes of the main table.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Connection, NetlinkError};
use crate::model::InterfaceName;
use crate::plan::{COVER_PROTOCOL, RouteSpec};

/// Routes that the kernel or the network put there and will put there again (`RTPROT_REDIRECT`, `_KERNEL`, `_RA`).
pub const NOT_CONFIGURED: [u8; 3] = [1, 2, 9];

/// The highest metric with which zebra takes a route of somebody else for better than any of its own: it reads a distance from the byte above.
const LAST: u32 = 0x00ff_ffff;

/// The metric of an IPv6 route that was added without one.
const IPV6_METRIC: u32 = 1024;

/// Every route of the main table, of one protocol or of all, with interfaces named by `names`. A route that a
/// [`RouteSpec`] cannot express (several next hops, an encapsulation) is left out.
pub async fn dump(
    connection: &Connection,
    protocol: Option<u8>,
    names: &BTreeMap<u32, InterfaceName>,
) -> Result<Vec<RouteSpec>, NetlinkError> {
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        if let Some(protocol) = protocol {
            message.header.protocol = RouteProtocol::from(protocol);
        }
        let answers = ask(connection, message).await?;
        routes.extend(answers.into_iter().filter_map(|answer| from_answer(answer, names)));
    }
    // Kernels that do not filter a dump answer with every table and protocol.
    routes.retain(|route| protocol.is_none_or(|wanted| route.protocol == wanted));
    Ok(routes)
}

/// Adds a route; `index` is the number of its interface, if it names one. A route of the same destination and metric is
/// replaced if it has the same protocol, and `EEXIST` otherwise.
pub async fn add(connection: &Connection, route: &RouteSpec, index: Option<u32>) -> Result<(), NetlinkError> {
    let message = message(route, index)?;
    let first = connection.change(RouteNetlinkMessage::NewRoute(message.clone()), NLM_F_CREATE | NLM_F_EXCL).await;
    let Err(refused) = &first else { return first };
    if refused.errno() != Some(libc::EEXIST) {
        return first;
    }
    // NLM_F_REPLACE asks for no protocol: it would take the place of anybody's route.
    let there = dump(connection, Some(route.protocol), &BTreeMap::new()).await?;
    let same =
        |other: &RouteSpec| other.to == route.to.trunc() && other.metric == normal_metric(route.to, route.metric);
    if there.iter().any(same) {
        connection.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE).await
    } else {
        first
    }
}

/// Removes a route; `ESRCH` if it is not there.
pub async fn delete(connection: &Connection, route: &RouteSpec, index: Option<u32>) -> Result<(), NetlinkError> {
    connection.change(RouteNetlinkMessage::DelRoute(message(route, index)?), 0).await
}

/// Removes every route of one protocol, in whatever table and whatever it leads to.
pub async fn clear(connection: &Connection, protocol: u8) -> Result<(), NetlinkError> {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        for mut route in dump_all(connection, family, protocol).await? {
            // Without next hops it means all of them.
            strip(&mut route);
            match connection.change(RouteNetlinkMessage::DelRoute(route), 0).await {
                Err(error) if error.errno() != Some(libc::ESRCH) => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Covers each IPv4 route of one protocol that has no IPv4 gateway: whoever looks at what is configured finds an unreachable route beside it,
/// which the kernel itself never takes while that one is there.
pub async fn cover(connection: &Connection, protocol: u8) -> Result<(), NetlinkError> {
    for mut route in dump_all(connection, AddressFamily::Inet, protocol).await? {
        if route.attributes.iter().any(|attribute| matches!(attribute, RouteAttribute::Gateway(_))) {
            continue;
        }
        strip(&mut route);
        route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Priority(_)));
        route.attributes.push(RouteAttribute::Priority(LAST));
        route.header.protocol = RouteProtocol::from(COVER_PROTOCOL);
        route.header.kind = RouteType::Unreachable;
        route.header.scope = RouteScope::Universe;
        connection.change(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_REPLACE).await?;
    }
    Ok(())
}

/// Every route of one family and protocol, in whatever table and whatever it leads to.
async fn dump_all(
    connection: &Connection,
    family: AddressFamily,
    protocol: u8,
) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.protocol = RouteProtocol::from(protocol);
    let found = ask(connection, message).await?;
    let route = |answer| match answer {
        RouteNetlinkMessage::NewRoute(route) if u8::from(route.header.protocol) == protocol => Some(route),
        _ => None,
    };
    Ok(found.into_iter().filter_map(route).collect())
}

async fn ask(connection: &Connection, message: RouteMessage) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
    match connection.dump(RouteNetlinkMessage::GetRoute(message)).await {
        // A namespace without an address has no main table; a kernel without IPv6 has no such family.
        Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT)) => {
            Ok(Vec::new())
        }
        other => other,
    }
}

/// Leaves of a route what it is known by.
fn strip(route: &mut RouteMessage) {
    route.attributes.retain(|attribute| {
        matches!(
            attribute,
            RouteAttribute::Destination(_)
                | RouteAttribute::Source(_)
                | RouteAttribute::Priority(_)
                | RouteAttribute::Table(_)
        )
    });
    route.header.flags = RouteFlags::empty();
}

/// The metric as [`RouteSpec`] has it: none where the kernel filled in its own.
fn normal_metric(to: IpNet, metric: Option<u32>) -> Option<u32> {
    let default = if to.addr().is_ipv6() { IPV6_METRIC } else { 0 };
    metric.filter(|metric| *metric != default)
}

fn message(route: &RouteSpec, index: Option<u32>) -> Result<RouteMessage, NetlinkError> {
    let kind = match route.kind.as_str() {
        "unicast" => RouteType::Unicast,
        "blackhole" => RouteType::BlackHole,
        "unreachable" => RouteType::Unreachable,
        "prohibit" => RouteType::Prohibit,
        _ => {
            return Err(NetlinkError::Refused {
                errno: libc::EINVAL,
                words: Some(format!("route type {}", route.kind)),
            });
        }
    };
    let v4 = route.to.addr().is_ipv4();
    let mut message = RouteMessage::default();
    message.header.address_family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = route.to.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::from(route.protocol);
    message.header.kind = kind;
    message.header.scope =
        if kind == RouteType::Unicast && route.via.is_none() && v4 { RouteScope::Link } else { RouteScope::Universe };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Destination(RouteAddress::from(route.to.addr())));
    match route.via {
        Some(via) if via.is_ipv4() == v4 => attributes.push(RouteAttribute::Gateway(RouteAddress::from(via))),
        Some(via) => attributes.push(RouteAttribute::Via(RouteVia::from(via))),
        None => {}
    }
    attributes.extend(index.map(RouteAttribute::Oif));
    attributes.extend(route.src.map(|src| RouteAttribute::PrefSource(RouteAddress::from(src))));
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    Ok(message)
}

fn from_answer(answer: RouteNetlinkMessage, names: &BTreeMap<u32, InterfaceName>) -> Option<RouteSpec> {
    let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
    let header = &message.header;
    let kind = match header.kind {
        RouteType::Unicast => "unicast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        _ => return None,
    };
    let any: IpAddr = match header.address_family {
        AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut table = u32::from(header.table);
    let mut destination = any;
    let mut route = RouteSpec::own(IpNet::from(any), kind);
    route.protocol = u8::from(header.protocol);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = address_of(address)?,
            RouteAttribute::Gateway(address) => route.via = Some(address_of(address)?),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.via = Some(IpAddr::from(*address)),
            RouteAttribute::Via(RouteVia::Inet6(address)) => route.via = Some(IpAddr::from(*address)),
            RouteAttribute::PrefSource(address) => route.src = Some(address_of(address)?),
            RouteAttribute::Oif(index) => route.dev = names.get(index).cloned(),
            RouteAttribute::Priority(metric) => route.metric = Some(*metric),
            RouteAttribute::Table(id) => table = *id,
            RouteAttribute::MultiPath(_) | RouteAttribute::Encap(_) | RouteAttribute::Via(_) => return None,
            _ => {}
        }
    }
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    if kind != "unicast" {
        // IPv6 shows `lo` as the interface of a route that leads nowhere.
        route.dev = None;
    }
    route.to = IpNet::new(destination, header.destination_prefix_length).ok()?;
    route.metric = normal_metric(route.to, route.metric);
    Some(route)
}

fn address_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::from(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::from(*address)),
        _ => None,
    }
}

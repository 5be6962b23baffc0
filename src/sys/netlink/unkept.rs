//! What an interface has in the host that is not remembered when a domain claims it, so that whoever claims it can be told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RoutePreference, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::route::NOT_CONFIGURED;
use super::{Connection, NetlinkError};
use crate::model::InterfaceName;

/// In words, such as `route 10.0.0.0/8 in table 100`, by interface.
pub type Unkept = BTreeMap<InterfaceName, BTreeSet<String>>;

/// `RT_TABLE_LOCAL`, which the kernel fills.
const LOCAL: u32 = 255;

/// Looks at the interfaces of these numbers.
pub async fn dump(connection: &Connection, names: &BTreeMap<u32, InterfaceName>) -> Result<Unkept, NetlinkError> {
    let mut unkept = Unkept::new();
    let mut note = |index: u32, words: Option<String>| {
        if let (Some(name), Some(words)) = (names.get(&index), words) {
            unkept.entry(name.clone()).or_default().insert(words);
        }
    };
    for answer in connection.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default())).await? {
        if let RouteNetlinkMessage::NewAddress(message) = answer
            && let Some(name) = names.get(&message.header.index)
        {
            for words in of_address(&message, name) {
                note(message.header.index, Some(words));
            }
        }
    }
    for answer in connection.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default())).await? {
        if let RouteNetlinkMessage::NewNeighbour(message) = answer {
            note(message.header.ifindex, of_neighbor(&message));
        }
    }
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let answers = match connection.dump(RouteNetlinkMessage::GetRoute(message)).await {
            Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT)) => {
                continue;
            }
            other => other?,
        };
        for answer in answers {
            let RouteNetlinkMessage::NewRoute(message) = answer else { continue };
            for index in interfaces_of(&message) {
                note(index, of_route(&message));
            }
        }
    }
    Ok(unkept)
}

fn of_address(message: &AddressMessage, name: &InterfaceName) -> Vec<String> {
    let (mut local, mut address) = (None, None);
    let mut lost: Vec<&str> = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(own) => local = Some(*own),
            AddressAttribute::Address(other) => address = Some(*other),
            // The kernel's own, which comes by itself.
            AddressAttribute::Protocol(protocol) if !matches!(protocol, AddressProtocol::Other(_)) => {
                return Vec::new();
            }
            AddressAttribute::Label(label) if label != name.as_str() => lost.push("the label"),
            AddressAttribute::CacheInfo(info) if info.ifa_valid != u32::MAX => lost.push("the lifetime"),
            AddressAttribute::RoutePriority(_) => lost.push("the metric"),
            AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Noprefixroute) => {
                lost.push("`noprefixroute`");
            }
            _ => {}
        }
    }
    let Some(own) = local.or(address) else { return Vec::new() };
    if local.is_some() && address.is_some_and(|peer| peer != own) {
        lost.push("the peer");
    }
    lost.iter().map(|what| format!("{what} of {own}/{}", message.header.prefix_len)).collect()
}

fn of_neighbor(message: &NeighbourMessage) -> Option<String> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(address.to_string()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(address.to_string()),
        _ => None,
    });
    address.filter(|_| message.header.state == NeighbourState::Permanent).map(|address| format!("neighbor {address}"))
}

/// The interfaces that a route leads by.
fn interfaces_of(message: &RouteMessage) -> BTreeSet<u32> {
    let of = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    };
    message.attributes.iter().flat_map(of).collect()
}

fn of_route(message: &RouteMessage) -> Option<String> {
    let header = &message.header;
    let is_configured = header.kind == RouteType::Unicast
        && !header.flags.contains(RouteFlags::Cloned)
        && !NOT_CONFIGURED.contains(&u8::from(header.protocol));
    let mut table = u32::from(header.table);
    let mut to = "default".to_owned();
    let mut what = None;
    for attribute in &message.attributes {
        let lost = match attribute {
            RouteAttribute::Destination(address) => {
                to = format!("{}/{}", words(address), header.destination_prefix_length);
                continue;
            }
            RouteAttribute::Table(id) => {
                table = *id;
                continue;
            }
            RouteAttribute::MultiPath(_) => "with several next hops",
            RouteAttribute::Encap(_) => "with an encapsulation",
            RouteAttribute::Metrics(_) => "with metrics",
            RouteAttribute::NhId(_) => "with a nexthop object",
            RouteAttribute::Realm(_) => "with a realm",
            RouteAttribute::Source(_) => "with a source prefix",
            RouteAttribute::Preference(preference) if *preference != RoutePreference::Medium => "with a preference",
            _ => continue,
        };
        what = what.or(Some(lost));
    }
    if header.flags.contains(RouteFlags::Onlink) {
        what = what.or(Some("with `onlink`"));
    }
    if header.tos != 0 {
        what = what.or(Some("with a type of service"));
    }
    if !is_configured || table == LOCAL {
        None
    } else if table == u32::from(RouteHeader::RT_TABLE_MAIN) {
        what.map(|what| format!("route {to} {what}"))
    } else {
        Some(format!("route {to} in table {table}"))
    }
}

fn words(address: &RouteAddress) -> String {
    let text: &dyn Display = match address {
        RouteAddress::Inet(address) => address,
        RouteAddress::Inet6(address) => address,
        _ => &"?",
    };
    text.to_string()
}

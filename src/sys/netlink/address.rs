//! Addresses of interfaces.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Connection, NetlinkError};
use crate::plan::ROUTE_PROTOCOL;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's number.
    pub index: u32,
    /// The address with its prefix length.
    pub address: IpNet,
    /// Whether the kernel gave it by itself: to `lo`, or from a hardware address (`IFA_PROTO`).
    pub automatic: bool,
    /// Whether rdsup added it.
    pub own: bool,
}

/// Every address of the namespace.
pub async fn dump(connection: &Connection) -> Result<Vec<Address>, NetlinkError> {
    let answers = connection.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default())).await?;
    Ok(answers.into_iter().filter_map(from_answer).collect())
}

/// Adds an address, marked as ours; an IPv6 address is usable at once, without duplicate address detection.
pub async fn add(connection: &Connection, index: u32, address: IpNet) -> Result<(), NetlinkError> {
    let mut message = message(index, address);
    if address.addr().is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(ROUTE_PROTOCOL)));
    connection.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL).await
}

/// Removes an address; `EADDRNOTAVAIL` if it is not there.
pub async fn delete(connection: &Connection, index: u32, address: IpNet) -> Result<(), NetlinkError> {
    connection.change(RouteNetlinkMessage::DelAddress(message(index, address)), 0).await
}

fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address.addr()));
    message.attributes.push(AddressAttribute::Address(address.addr()));
    message
}

fn from_answer(answer: RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    // With a peer address, IFA_LOCAL is the interface's own and IFA_ADDRESS the peer's.
    let mut own: Option<IpAddr> = None;
    let mut other = None;
    let mut automatic = false;
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => other = Some(*address),
            AddressAttribute::Protocol(AddressProtocol::Other(protocol)) => ours = *protocol == ROUTE_PROTOCOL,
            AddressAttribute::Protocol(_) => automatic = true,
            _ => {}
        }
    }
    let address = IpNet::new(own.or(other)?, message.header.prefix_len).ok()?;
    automatic |= address.addr().is_loopback();
    Some(Address { index: message.header.index, address, automatic, own: ours })
}

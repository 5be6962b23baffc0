//! Addresses that never cross a link or enter by an interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::addresses::PerFamily;
use crate::model::Family;

const fn v4(a: u8, b: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length))
}

const fn v6(first: u16, last: u16, fifth: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, fifth, 0, last), length))
}

/// Sources that no packet may have: "this network", loopback, link-local, multicast and reserved (RFC 6890), the
/// unspecified address and IPv4-mapped ones. RFC 1918 is not among them: private networks are what domains are made of.
pub const MARTIAN_SOURCES: PerFamily<&[IpNet]> = PerFamily {
    ipv4: &[v4(0, 0, 8), v4(127, 0, 8), v4(169, 254, 16), v4(224, 0, 3)],
    ipv6: &[v6(0, 0, 0, 128), v6(0, 1, 0, 128), v6(0, 0, 0xffff, 96), v6(0xfe80, 0, 0, 10), v6(0xff00, 0, 0, 8)],
};

/// Destinations that no packet may have; multicast is counted apart, as are link-local IPv6 addresses.
pub const MARTIAN_DESTINATIONS: PerFamily<&[IpNet]> = PerFamily {
    ipv4: &[v4(0, 0, 8), v4(127, 0, 8), v4(169, 254, 16), v4(240, 0, 4)],
    ipv6: &[v6(0, 0, 0, 128), v6(0, 1, 0, 128), v6(0, 0, 0xffff, 96)],
};

/// [`MARTIAN_SOURCES`] of one family.
pub fn martian_sources(family: Family) -> &'static [IpNet] {
    MARTIAN_SOURCES.get(family)
}

/// [`MARTIAN_DESTINATIONS`] of one family.
pub fn martian_destinations(family: Family) -> &'static [IpNet] {
    MARTIAN_DESTINATIONS.get(family)
}

/// Whether `address` lies in one of `prefixes`.
pub(super) fn among(prefixes: &[IpNet], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(&address))
}

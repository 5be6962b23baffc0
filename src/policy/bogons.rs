//! What nobody announces on the Internet: prefixes and AS numbers, in one place so that one can see when they were checked.
//!
//! Checked in 2026-11 against the IANA special-purpose registries (RFC 6890 and its successors), the NLNOG BGP filter
//! guide and Team Cymru's list of bogons. They concern external neighbors only: networks of one's own are made of such
//! addresses and numbers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::addresses::PerFamily;
use crate::model::Asn;

const fn v4(a: u8, b: u8, c: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length))
}

const fn v6(first: u16, second: u16, third: u16, fourth: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, fourth, 0, 0, 0, 0), length))
}

/// Prefixes, martians apart. A range over everything from an external neighbor leaves them out; a pattern that names them
/// does not, because then somebody wanted them.
pub const BOGONS: PerFamily<&[IpNet]> = PerFamily {
    ipv4: &[
        v4(10, 0, 0, 8),      // private, RFC 1918
        v4(100, 64, 0, 10),   // shared by carriers, RFC 6598
        v4(172, 16, 0, 12),   // private, RFC 1918
        v4(192, 0, 0, 24),    // protocol assignments, RFC 6890
        v4(192, 0, 2, 24),    // documentation, RFC 5737
        v4(192, 88, 99, 24),  // 6to4 relays: deprecated, and RFC 7526 asks for filters against what is left of them
        v4(192, 168, 0, 16),  // private, RFC 1918
        v4(198, 18, 0, 15),   // benchmarks, RFC 2544
        v4(198, 51, 100, 24), // documentation, RFC 5737
        v4(203, 0, 113, 24),  // documentation, RFC 5737
    ],
    ipv6: &[
        v6(0, 0, 0, 0, 8),           // loopback, IPv4-mapped and translated addresses (RFC 4291, 6052, 8215)
        v6(0x100, 0, 0, 0, 64),      // discard only, RFC 6666
        v6(0x100, 0, 0, 1, 64),      // dummy prefix, RFC 9780
        v6(0x2001, 2, 0, 0, 48),     // benchmarks, RFC 5180
        v6(0x2001, 0x10, 0, 0, 28),  // ORCHID, deprecated by RFC 7343
        v6(0x2001, 0xdb8, 0, 0, 32), // documentation, RFC 3849
        v6(0x2002, 0, 0, 0, 16),     // 6to4, whose relays are deprecated by RFC 7526
        v6(0x3ffe, 0, 0, 0, 16),     // 6bone, returned by RFC 3701
        v6(0x3fff, 0, 0, 0, 20),     // documentation, RFC 9637
        v6(0x5f00, 0, 0, 0, 16),     // segment routing, RFC 9602
        v6(0xfc00, 0, 0, 0, 7),      // unique local, RFC 4193
        v6(0xfec0, 0, 0, 0, 10),     // site local, deprecated by RFC 3879
    ],
};

/// AS numbers that stand in no path on the Internet.
pub const BOGON_ASNS: &[RangeInclusive<u32>] = &[
    0..=0,                         // RFC 7607
    23456..=23456,                 // AS_TRANS, RFC 6793
    64496..=64511,                 // documentation, RFC 5398
    64512..=65534,                 // private, RFC 6996
    65535..=65535,                 // RFC 7300
    65536..=65551,                 // documentation, RFC 5398
    65552..=131_071,               // reserved by IANA
    4_200_000_000..=4_294_967_294, // private, RFC 6996
    4_294_967_295..=4_294_967_295, // RFC 7300
];

/// [`BOGON_ASNS`] without one that an admin has named: a neighbor with a private number must be able to speak for itself.
pub fn bogon_asns(except: Asn) -> Vec<RangeInclusive<u32>> {
    let Asn(except) = except;
    let around = |range: &RangeInclusive<u32>| {
        if !range.contains(&except) {
            return vec![range.clone()];
        }
        let below = except.checked_sub(1).map(|last| *range.start()..=last);
        let above = except.checked_add(1).map(|first| first..=*range.end());
        below.into_iter().chain(above).filter(|part| !part.is_empty()).collect()
    };
    BOGON_ASNS.iter().flat_map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbor_may_have_a_bogon_number_and_no_other() {
        let refused = |neighbor: u32, asn: u32| bogon_asns(Asn(neighbor)).iter().any(|range| range.contains(&asn));
        for asn in [0, 23456, 64496, 64500, 64511, 64512, 65534, 65535, 65536, 131_071, 4_200_000_000, u32::MAX] {
            assert!(refused(3333, asn), "{asn}");
            assert!(!refused(asn, asn), "{asn} itself");
            assert!(asn == 64500 || refused(asn, 64500), "{asn} lets in another");
        }
        for asn in [1, 23455, 23457, 64495, 131_072, 4_199_999_999] {
            assert!(!refused(3333, asn), "{asn}");
        }
    }
}

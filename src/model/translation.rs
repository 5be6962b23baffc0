//! How a domain's own addresses appear to the receiver of a link.
//!
//! The owner translates at its own end of the link: sources as packets leave, destinations as they arrive. So on the wire a
//! source is what the receiver sees and a destination what the sender sees, and every set of `into.R` is written as R
//! sees it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Origin;

/// `into.R.nat`: flows into R from these sources of the sender appear as one address (source NAT, RFC 3022).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// The sources, all of one family; host bits are zero.
    pub from: Vec<IpNet>,
    /// The address that R sees, of the same family.
    pub to: IpAddr,
    /// Where it was declared.
    pub origin: Origin,
}

/// `into.R.alias`: R sees one prefix of the sender as another of the same length, one to one and in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The sender's own addresses; host bits are zero.
    pub real: IpNet,
    /// As R sees them; of the same family and length.
    pub seen: IpNet,
    /// Where it was declared.
    pub origin: Origin,
}

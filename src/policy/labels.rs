//! What a domain notes on routes about where they came from and where they may go, as large communities (RFC 8092) whose
//! first part is its own AS number.

use std::collections::BTreeSet;

use super::interface::neighbor_interface;
use super::link::LinkPolicy;
use crate::model::{Asn, Domain, Link, LinkEnd, Neighbor, Network};

/// A note on a route inside a domain. Communities with the domain's own AS number in front are removed from whatever comes
/// in and goes out, so that nobody else can write or read such notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Entered over a link from the domain of this AS number.
    Entered(Asn),
    /// To be announced over the link of this mark and nowhere else.
    OnlyOver(u32),
    /// Entered over the link of this mark, whose other end has no AS number.
    EnteredOver(u32),
    /// Learned from an external neighbor outside.
    Outside,
}

impl Label {
    /// The second and third part of the large community.
    pub fn parts(self) -> (u32, u32) {
        match self {
            Self::Entered(Asn(peer)) => (1, peer),
            Self::OnlyOver(mark) => (2, mark),
            Self::EnteredOver(mark) => (3, mark),
            Self::Outside => (4, 0),
        }
    }

    /// That of what enters over `link` from `peer`, the other end.
    pub fn of_link(network: &Network, link: &Link, peer: &LinkEnd) -> Self {
        match network.domain(&peer.domain).and_then(|domain| domain.asn) {
            Some(asn) => Self::Entered(asn),
            None => Self::EnteredOver(LinkPolicy::mark(link)),
        }
    }
}

/// The labels of what `peer`, the other end of a link, may learn through `own` although it came over another link:
/// its `transit`.
pub fn transit_labels(network: &Network, own: &LinkEnd, peer: &LinkEnd) -> BTreeSet<Label> {
    network
        .links_of(&own.domain)
        .filter(|(_, _, other)| peer.accept.transit.contains(&other.domain))
        .map(|(link, _, other)| Label::of_link(network, link, other))
        .collect()
}

/// Whether a neighbor is out of what the admin controls: on an outside interface, or somewhere behind one. What it announces
/// is never passed on to another such neighbor, as packets are not.
pub fn is_outside(domain: &Domain, neighbor: &Neighbor) -> bool {
    neighbor.multihop.is_some() || neighbor_interface(domain, neighbor).is_none_or(|interface| interface.outside)
}

//! Who may send what to whom: the intents that routing daemons and packet filters are generated from.
//!
//! One statement in the file, `link.into.R`, becomes three things, all computed here and nowhere else: what R learns
//! ([`RouteFilter`]), which sources R believes and which destinations it sends there ([`AddressSet`]), and which new flows
//! enter ([`Destinations`] and the packets). [`verdict`] states the rule a second time, directly on patterns; generators
//! do not call it, so that each can be checked against the other.

mod addresses;
mod bogons;
mod counters;
mod interface;
mod journey;
mod labels;
mod link;
mod mark;
mod martians;
mod matrix;
mod origin;
mod routes;
mod translation;
mod verdict;

pub use addresses::{AddressSet, Destinations, PerFamily};
pub use bogons::{BOGON_ASNS, BOGONS, bogon_asns};
pub use counters::{OTHER_INTERFACE, Reason, counter_name, identifier, other_counter_name, parse_counter};
pub use interface::{InterfacePolicy, SessionPeer, interface_policy, neighbor_interface, raises_hops};
pub use journey::{About, Clause, Hop, Journey, NoPacket, Question, journey};
pub use labels::{Label, is_outside, transit_labels};
pub use link::{LinkPolicy, link_families, link_policy, may_go_on, own_prefixes, session_addresses};
pub use mark::{LEFT, MARK_MASK, NUMBER_MASK, interface_marks};
pub use martians::{MARTIAN_DESTINATIONS, MARTIAN_SOURCES, martian_destinations, martian_sources};
pub use matrix::{Addresses, Crossing, Extent, Pair, Path, matrix};
pub use origin::{
    KernelRoute, KernelRouteKind, LinkOnlyRoute, LinkedRoute, PREFERENCE, kernel_routes, link_only_routes,
    linked_routes, originated,
};
pub use routes::{NeighborPolicy, RouteFilter, link_announcements, link_routes, neighbor_families, neighbor_policy};
pub use translation::{Offer, claimed, hidden, offered_hosts, offers, shown};
pub use verdict::{Packet, Transport, Verdict, verdict};

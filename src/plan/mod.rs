//! What must change: desired × observed → ordered steps.
//!
//! [`Desired`] is built from the model and the rendered files, [`Observed`] is read from the machine, and the plan is
//! their difference as a list of [`Step`]s. Nothing here touches the machine.

mod around;
mod build;
mod daemons;
mod desired;
mod drift;
#[cfg(test)]
mod fake;
mod filters;
pub mod frr;
mod host;
mod layout;
mod observed;
mod planner;
#[cfg(test)]
mod policy_tests;
mod removal;
mod renamed;
mod resets;
mod stages;
mod step;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod touched_tests;

pub use around::plan_around;
pub use desired::{
    Desired, DesiredDaemon, DesiredDomain, DesiredFile, DesiredFilter, DesiredInterface, DesiredVeth, FileOwner,
    FileText, InterfaceKind, VethEnd,
};
pub use drift::found;
pub use filters::STACKED;
pub use host::IPV6_FORWARDING;
pub use layout::Layout;
pub use observed::{
    InterfaceRecord, NamespaceState, Observed, ObservedDaemon, ObservedDomain, ObservedFilter, ObservedHost,
    ObservedLink, RouteSpec,
};
pub use planner::plan;
pub use removal::lost_interfaces;
pub use resets::{
    About, Negotiated, Reason, Reset, SessionEnd, Sessions, asked_for_resets, judged_anew_by_bird, opened_anew_by_frr,
    resets,
};
pub use stages::{Conflict, HOST_TAKEN_HINT, Missing, Plan, Stage, foreign_hint, host_taken};
pub use step::{Action, Step, Sysctl};

pub use crate::model::LINK_GROUP;

/// Route protocol (`rtm_protocol`, see `ip-route(8)`) of every route that rdsup installs itself, and address protocol of
/// its addresses: the letter `r`. Unassigned in `linux/rtnetlink.h`.
pub const ROUTE_PROTOCOL: u8 = 0x72;

/// Route protocol of what covers the routes of a daemon while it begins, as unassigned: no event tells of it, and no plan knows it.
pub const COVER_PROTOCOL: u8 = 0x73;

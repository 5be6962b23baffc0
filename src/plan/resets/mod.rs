//! Which sessions a plan resets, and why.
//!
//! Routing daemons do not say which of their sessions a new configuration will restart, and a session also goes with its link,
//! its address or its domain. So the text that a daemon last loaded is held against the one that it will load, by what is known
//! of that daemon (`bird`), and the steps of the plan against what carries each session. Where the answer depends on what is not
//! known, a session *may* reset.

mod bird;
mod frr;
mod reason;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

pub use self::reason::{About, Reason};
use self::search::Search;
use super::{Action, Desired, Observed, Plan};
use crate::model::{DomainName, Family};

/// A session that the plan resets, with both its ends where both are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// One end.
    pub end: SessionEnd,
    /// The other end, if it is in a domain of ours.
    pub other: Option<SessionEnd>,
    /// Who is at the other end: a domain, or an external neighbor by its name.
    pub peer: String,
    /// Why, with the domain whose own reason it is; none where both ends have it. There is at least one. Reasons that only
    /// may reset the session are there only if none surely does.
    pub reasons: Vec<(Option<DomainName>, Reason)>,
}

/// One end of a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionEnd {
    /// The domain.
    pub domain: DomainName,
    /// What the session is called there: by the link's interface or by the neighbor's name.
    pub session: String,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.domain, self.session)
    }
}

impl Reset {
    /// Whether it surely comes to that.
    pub fn is_certain(&self) -> bool {
        self.reasons.iter().any(|(_, reason)| reason.certain)
    }

    /// The reasons in words.
    pub fn why(&self) -> Vec<String> {
        let words = |(domain, reason): &(Option<DomainName>, Reason)| match domain {
            Some(domain) => format!("{domain}: {}", reason.words),
            None => reason.words.clone(),
        };
        self.reasons.iter().map(words).collect()
    }
}

/// `private rd-internet -- internet rd-private: private: role changes from none to customer`.
impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.end)?;
        if let Some(other) = &self.other {
            write!(f, " -- {other}")?;
        }
        write!(f, ": {}", self.why().join("; "))
    }
}

/// What the two ends of a session that is up have agreed on, and what it carries; of one that is down, that its routes are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// The own address, if it is known.
    pub source: Option<IpAddr>,
    /// Whether the other end sends its routes again when it is asked (RFC 2918).
    pub route_refresh: bool,
    /// How many routes it announced that were accepted, by family, for those families that both want.
    pub imported: BTreeMap<Family, u64>,
    /// Whether routes of the session before are kept until the neighbor has said everything again (RFC 4724).
    pub stale: bool,
}

/// The sessions that are up or whose routes are kept, by domain and by the daemon's name of the session. Those of which nothing is known are left out.
pub type Sessions = BTreeMap<DomainName, BTreeMap<String, Negotiated>>;

/// A session as a daemon's configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Configured {
    /// Our name of it.
    name: String,
    /// The daemon's name of it.
    protocol: String,
    /// The interface, if it is bound to one.
    interface: Option<String>,
    /// The own address, if it is given.
    local: Option<IpAddr>,
    /// The address of the neighbor.
    neighbor: Option<IpAddr>,
    /// Whether routers may be between.
    multihop: bool,
}

/// The sessions that `plan`, which leads from `observed` to `desired`, resets. `sessions` is what the running daemons say of theirs.
pub fn resets(desired: &Desired, observed: &Observed, plan: &Plan, sessions: &Sessions) -> Vec<Reset> {
    let found = Search::new(desired, observed, plan, sessions).run();
    found.into_iter().map(|(key, found)| conclude(key, found)).collect()
}

/// The sessions of BIRD of which other routes are accepted once it reads `new` instead of `old`, by its own names of them, and
/// whether they must begin again then. Where that cannot be known it is all of them; `None` if `new` cannot be read.
pub fn judged_anew_by_bird(old: Option<&str>, new: &str) -> Option<BTreeMap<String, bool>> {
    bird::judged_anew(old, new)
}

/// The sessions of FRR that begin anew for sure when it is told `new` instead of `old`, by its own names of them, and that have the same
/// neighbor afterwards.
pub fn opened_anew_by_frr(old: &super::frr::Configuration, new: &super::frr::Configuration) -> BTreeSet<String> {
    frr::opened_anew(old, new)
}

/// Domains whose daemons know what decides about their sessions: they read another configuration, or an address of theirs goes.
pub fn asked_for_resets(plan: &Plan) -> BTreeSet<&DomainName> {
    let decides = |action: &Action| matches!(action, Action::ReloadDaemon { .. } | Action::RemoveAddress { .. });
    plan.steps().filter(|step| decides(&step.action)).map(|step| &step.domain).collect()
}

/// A session by its ends, the lesser first.
type Key = (SessionEnd, Option<SessionEnd>);

/// What was found of one session.
struct Found {
    /// Who is at the other end.
    peer: String,
    /// The reasons of each end.
    reasons: Vec<(DomainName, Reason)>,
}

/// One line from the reasons of both ends: the best ones, and none twice.
fn conclude((end, other): Key, Found { peer, mut reasons }: Found) -> Reset {
    if reasons.iter().any(|(_, reason)| reason.certain) {
        reasons.retain(|(_, reason)| reason.certain);
    }
    if reasons.iter().any(|(_, reason)| reason.certain && reason.about != About::Refresh) {
        reasons.retain(|(_, reason)| reason.about != About::Refresh);
    }
    reasons.sort_by_key(|(_, reason)| reason.about);
    // With what carries it a session goes whatever else there is to say.
    if let Some((_, first)) = reasons.first().filter(|(_, first)| first.about <= About::Removed) {
        let about = first.about;
        reasons.retain(|(_, reason)| reason.about == about);
        if about == About::Carrier {
            reasons.truncate(1);
        }
    }
    let mut kept: Vec<(Option<DomainName>, Reason)> = Vec::new();
    for (domain, reason) in &reasons {
        if let Some((both, _)) = kept.iter_mut().find(|(_, known)| known == reason) {
            *both = both.take().filter(|known| known == domain);
            continue;
        }
        let told = |(by, other): &(DomainName, Reason)| {
            let first = reason.about != other.about || by < domain;
            by != domain && first && reason.about.is_told_by(other.about)
        };
        if !reasons.iter().any(told) {
            kept.push((other.is_some().then(|| domain.clone()), reason.clone()));
        }
    }
    // Of two ends the lesser one stands first, whichever of them was looked at.
    let peer = other.as_ref().map_or(peer, |other| other.domain.to_string());
    Reset { end, other, peer, reasons: kept }
}

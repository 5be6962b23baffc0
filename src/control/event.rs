//! What changes, as a stream: the events and what two reports differ in.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::protocol::{DomainState, DomainStatus, StatusReport};
use crate::daemons::Session;
use crate::model::DomainName;

/// Something that happened. As JSON: `{"time":…,"domain":…,"event":"session-up",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was noticed.
    pub time: Timestamp,
    /// What it is about; none for the network as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. New kinds may come: readers pass over what they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum What {
    /// How everything was when the stream began: always the first.
    Snapshot {
        /// As `status` has it, without counters.
        status: Box<StatusReport>,
    },
    /// A session is Established.
    SessionUp {
        /// Its name.
        session: String,
        /// Who is at the other end.
        peer: String,
    },
    /// A session is no longer Established.
    SessionDown {
        /// Its name.
        session: String,
        /// Who is at the other end.
        peer: String,
        /// What it is in now.
        state: String,
        /// Why, in the daemon's words.
        last_error: Option<String>,
    },
    /// A link's interface is up and has its carrier.
    LinkUp {
        /// The interface.
        interface: String,
        /// The domain at the other end.
        peer: DomainName,
    },
    /// A link's interface is down or gone.
    LinkDown {
        /// The interface.
        interface: String,
        /// The domain at the other end.
        peer: DomainName,
    },
    /// A daemon's process runs.
    DaemonStarted {
        /// Its id.
        pid: u32,
        /// Whether it ran already when the supervisor came.
        adopted: bool,
    },
    /// A daemon has read its configuration and answers.
    DaemonReady,
    /// A daemon ended unasked, or could not be started.
    DaemonLost {
        /// How.
        why: String,
        /// When the next attempt comes.
        retry_in_ms: u64,
    },
    /// A daemon ended too often. Attempts go on.
    DaemonFailed {
        /// How it ended last.
        why: String,
    },
    /// A daemon left as it was asked.
    DaemonStopped,
    /// Something else about a daemon.
    Daemon {
        /// In words.
        words: String,
    },
    /// A domain came.
    DomainAdded {
        /// How it is.
        state: DomainState,
    },
    /// A domain went.
    DomainRemoved,
    /// A domain is in another state.
    DomainState {
        /// Before.
        was: DomainState,
        /// Now.
        state: DomainState,
    },
    /// Something is not well.
    Problem {
        /// In words.
        words: String,
    },
    /// It is well again.
    ProblemSolved {
        /// In the words of the problem.
        words: String,
    },
    /// The machine was not as it should be and is again.
    Repaired {
        /// What was found, in words.
        found: Vec<String>,
        /// Milliseconds from the first sign of it to the end of the repair.
        milliseconds: u64,
    },
    /// Another generation is in force.
    Generation {
        /// Which.
        number: u64,
        /// Which one was before.
        was: Option<u64>,
        /// Seconds until the one before comes back, where it waits to be confirmed.
        confirm_within: Option<u64>,
    },
    /// A generation that waited for it was confirmed.
    Confirmed {
        /// Which.
        number: u64,
    },
    /// The reader was too slow: so many events were dropped here.
    Missed {
        /// How many.
        count: u64,
    },
    /// The supervisor leaves. The stream ends.
    Leaving {
        /// Whether the network stays.
        network_stays: bool,
    },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot { status } => f.write_str(&status.state_words),
            Self::SessionUp { session, peer } => write!(f, "session {session} to {peer} is Established"),
            Self::SessionDown { session, peer, state, last_error } => {
                write!(f, "session {session} to {peer} is down ({state})")?;
                last_error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
            Self::LinkUp { interface, peer } => write!(f, "link {interface} to {peer} is up"),
            Self::LinkDown { interface, peer } => write!(f, "link {interface} to {peer} is down or gone"),
            Self::DaemonStarted { pid, adopted: false } => write!(f, "daemon started (pid {pid})"),
            Self::DaemonStarted { pid, adopted: true } => write!(f, "daemon taken over (pid {pid})"),
            Self::DaemonReady => f.write_str("daemon ready"),
            Self::DaemonLost { why, retry_in_ms } => {
                write!(f, "daemon {why}; again in {}.{} s", retry_in_ms / 1000, retry_in_ms % 1000 / 100)
            }
            Self::DaemonFailed { why } => write!(f, "daemon failed: {why}"),
            Self::DaemonStopped => f.write_str("daemon stopped"),
            Self::Daemon { words } => write!(f, "daemon {words}"),
            Self::DomainAdded { state } => write!(f, "added, {}", state.as_str()),
            Self::DomainRemoved => f.write_str("removed"),
            Self::DomainState { was, state } => write!(f, "{}, was {}", state.as_str(), was.as_str()),
            Self::Problem { words } => f.write_str(words),
            Self::ProblemSolved { words } => write!(f, "no longer: {words}"),
            Self::Repaired { found, milliseconds } => write!(f, "{}: repaired in {milliseconds} ms", found.join("; ")),
            Self::Generation { number, was, confirm_within } => {
                write!(f, "generation {number} is in force")?;
                was.map_or(Ok(()), |was| write!(f, ", was {was}"))?;
                confirm_within.map_or(Ok(()), |seconds| write!(f, "; to be confirmed within {seconds} s"))
            }
            Self::Confirmed { number } => write!(f, "generation {number} is confirmed"),
            Self::Missed { count } => write!(f, "read too slowly: {count} events were dropped here"),
            Self::Leaving { network_stays: true } => f.write_str("the supervisor leaves; the network stays"),
            Self::Leaving { network_stays: false } => f.write_str("the supervisor takes everything down"),
        }
    }
}

/// What happened between two reports, each with its domain. Of daemons the event loop tells by itself, at once.
pub fn changes(before: &StatusReport, after: &StatusReport) -> Vec<(Option<DomainName>, What)> {
    let mut found = Vec::new();
    found.extend(generation(before, after).map(|what| (None, what)));
    for old in &before.domains {
        if after.domains.iter().all(|new| new.name != old.name) {
            found.push((Some(old.name.clone()), What::DomainRemoved));
        }
    }
    for new in &after.domains {
        match before.domains.iter().find(|old| old.name == new.name) {
            Some(old) => found.extend(in_domain(old, new).into_iter().map(|what| (Some(new.name.clone()), what))),
            None => found.push((Some(new.name.clone()), What::DomainAdded { state: new.state })),
        }
    }
    found.extend(problems(&before.problems, &after.problems).map(|what| (None, what)));
    found
}

fn generation(before: &StatusReport, after: &StatusReport) -> Option<What> {
    let (old, new) = (before.generation.as_ref(), after.generation.as_ref()?);
    if old.map(|old| old.number) != Some(new.number) {
        let was = old.map(|old| old.number);
        return Some(What::Generation { number: new.number, was, confirm_within: new.confirm_within });
    }
    let waited = old.is_some_and(|old| old.confirm_within.is_some());
    (waited && new.confirm_within.is_none()).then_some(What::Confirmed { number: new.number })
}

fn in_domain(old: &DomainStatus, new: &DomainStatus) -> Vec<What> {
    let mut found = Vec::new();
    // In the order of cause and effect, as far as there is one.
    for link in &new.links {
        let (interface, peer) = (link.interface.clone(), link.peer.clone());
        // One that was not there before was not up.
        let was_up = old.links.iter().any(|old| old.interface == link.interface && old.up);
        match (was_up, link.up) {
            (false, true) => found.push(What::LinkUp { interface, peer }),
            (true, false) => found.push(What::LinkDown { interface, peer }),
            _ => {}
        }
    }
    let gone = old.links.iter().filter(|old| old.up && new.links.iter().all(|new| new.interface != old.interface));
    found.extend(gone.map(|link| What::LinkDown { interface: link.interface.clone(), peer: link.peer.clone() }));
    for session in &old.sessions {
        let now = new.sessions.iter().find(|new| new.name == session.name);
        if session.is_established() && now.is_none_or(|now| !is_same(session, now)) {
            found.push(What::SessionDown {
                session: session.name.clone(),
                peer: session.peer.clone(),
                state: now.map_or("gone", |now| if now.is_established() { "reset" } else { &now.state }).to_owned(),
                last_error: now.and_then(|now| now.last_error.clone()),
            });
        }
    }
    for session in new.sessions.iter().filter(|session| session.is_established()) {
        if !old.sessions.iter().any(|old| old.name == session.name && is_same(old, session)) {
            found.push(What::SessionUp { session: session.name.clone(), peer: session.peer.clone() });
        }
    }
    found.extend(problems(&old.problems, &new.problems));
    if old.state != new.state {
        found.push(What::DomainState { was: old.state, state: new.state });
    }
    found
}

/// Whether an Established session has been so all the time. The daemon's own times are whole seconds, rounded.
fn is_same(old: &Session, new: &Session) -> bool {
    let later = |(old, new): (Timestamp, Timestamp)| new.duration_since(old) > SignedDuration::from_secs(1);
    let began_again = old.since.zip(new.since).is_some_and(later);
    old.is_established() && new.is_established() && !began_again
}

/// A daemon that gives no answer has the sessions that were known last, until it answers or is gone.
pub fn keep_known(before: &StatusReport, after: &mut StatusReport) {
    for new in after.domains.iter_mut().filter(|new| new.sessions_unknown) {
        if let Some(old) = before.domains.iter().find(|old| old.name == new.name) {
            new.sessions.clone_from(&old.sessions);
        }
    }
}

fn problems<'a>(old: &'a [String], new: &'a [String]) -> impl Iterator<Item = What> + 'a {
    let solved = old.iter().filter(|words| !new.contains(words));
    let come = new.iter().filter(|words| !old.contains(words));
    solved
        .map(|words| What::ProblemSolved { words: words.clone() })
        .chain(come.map(|words| What::Problem { words: words.clone() }))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;

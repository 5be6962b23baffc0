//! What can be asked of the supervisor, and what it answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::event::Event;
use crate::daemons::{Answer, Query, Session, redacted};
use crate::history::Generation;
use crate::model::{DaemonKind, DomainName, Routing};
use crate::plan::Reset;

/// A request. On the wire the method is `org.rdsup.` and the variant's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "parameters")]
pub enum Request {
    /// Who are you? For clients of another version.
    #[serde(rename = "org.rdsup.Ping")]
    Ping {},
    /// How is everything?
    #[serde(rename = "org.rdsup.Status")]
    Status {
        /// Whether the packet filters' counters are wanted, which take a few milliseconds for each domain.
        #[serde(default)]
        counters: bool,
    },
    /// How is everything, and then, for a caller that says `more`, what changes?
    #[serde(rename = "org.rdsup.Events")]
    Events {
        /// Only this domain.
        #[serde(default)]
        domain: Option<DomainName>,
    },
    /// Ask routing daemons.
    #[serde(rename = "org.rdsup.Ctl")]
    Ctl {
        /// Whom.
        domains: Asked,
        /// The command, as it was typed; or several, a line each.
        command: String,
        /// Whether it goes to the daemon verbatim in any case.
        #[serde(default)]
        raw: bool,
    },
    /// What would `Apply` do? Answers with lines.
    #[serde(rename = "org.rdsup.Plan")]
    Plan {
        /// The text of another file than the one in force.
        #[serde(default)]
        file: Option<String>,
    },
    /// Read the file again and make the machine what it says.
    #[serde(rename = "org.rdsup.Apply")]
    Apply {
        /// Another file than the supervisor's own, an absolute path.
        #[serde(default)]
        file: Option<PathBuf>,
        /// The configuration file that the caller named, an absolute path: refused if it is not the supervisor's own.
        #[serde(default)]
        config: Option<PathBuf>,
        /// Seconds after which what was before comes back, unless `Confirm` comes.
        #[serde(default)]
        confirm: Option<u64>,
    },
    /// What waits to be confirmed stays.
    #[serde(rename = "org.rdsup.Confirm")]
    Confirm {},
    /// An earlier generation comes back.
    #[serde(rename = "org.rdsup.Rollback")]
    Rollback {
        /// Which; the one before that in force if none is named.
        #[serde(default)]
        to: Option<u64>,
        /// As in `Apply`.
        #[serde(default)]
        confirm: Option<u64>,
    },
    /// Which generations are kept?
    #[serde(rename = "org.rdsup.History")]
    History {},
    /// What was one of them?
    #[serde(rename = "org.rdsup.Generation")]
    Generation {
        /// Its number.
        number: u64,
    },
    /// Leave.
    #[serde(rename = "org.rdsup.Stop")]
    Stop {
        /// Whether the network stays.
        #[serde(default)]
        keep: bool,
    },
}

impl Request {
    /// Whether nothing can be changed by it.
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Ping {}
            | Self::Status { .. }
            | Self::Events { .. }
            | Self::Plan { .. }
            | Self::History {}
            | Self::Generation { .. } => true,
            Self::Ctl { command, raw, .. } => Query::parse(command, *raw).is_ok_and(|query| query.only_looks()),
            Self::Apply { .. } | Self::Confirm {} | Self::Rollback { .. } | Self::Stop { .. } => false,
        }
    }

    /// The same for a log: without the passwords that are in a command.
    #[must_use]
    pub fn redacted(&self) -> Self {
        match self {
            Self::Ctl { domains, command, raw } => {
                Self::Ctl { domains: domains.clone(), command: redacted(command), raw: *raw }
            }
            other => other.clone(),
        }
    }

    /// The word for messages.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Ping {} => "ping",
            Self::Status { .. } => "status",
            Self::Events { .. } => "events",
            Self::Ctl { .. } => "ctl",
            Self::Plan { .. } => "plan",
            Self::Apply { .. } => "apply",
            Self::Confirm {} => "confirm",
            Self::Rollback { .. } => "rollback",
            Self::History {} => "history",
            Self::Generation { .. } => "diff",
            Self::Stop { .. } => "stop",
        }
    }
}

/// Which domains are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// Every one that has a daemon and that the caller may ask.
    All,
    /// These.
    Some(Vec<DomainName>),
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// To `Ping`.
    Version(String),
    /// To `Status`.
    Status(Box<StatusReport>),
    /// To `Events`, one for each.
    Event(Box<Event>),
    /// To `Ctl`, by domain.
    Ctl(BTreeMap<DomainName, CtlAnswer>),
    /// To `Plan`, and progress of `Apply` and `Stop`: lines for people.
    Lines(Vec<String>),
    /// To `Apply`, `Confirm` and `Rollback`: what came of it.
    Changed(Change),
    /// To `Stop`: done. Also the end of `Events`.
    Done,
    /// To `History`: what is kept, in order.
    History(Vec<GenerationReport>),
    /// To `Generation`.
    Generation(Box<Generation>),
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The generation in force.
    pub generation: u64,
    /// How many steps were done.
    pub steps: usize,
    /// The sessions that were announced to be reset.
    pub resets: Vec<ResetReport>,
    /// What is not as it should be, by domain. It was so before the change, or the change would have been taken back.
    pub problems: BTreeMap<DomainName, Vec<String>>,
    /// Seconds that are left to confirm it, where it waits for that.
    pub confirm_within: Option<u64>,
}

/// One session that is reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetReport {
    /// Whose session.
    pub domain: DomainName,
    /// What it is called there.
    pub session: String,
    /// A domain, or an external neighbor's name.
    pub peer: String,
    /// What the session is called in the domain at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_session: Option<String>,
    /// Whether it surely comes to that, or only may.
    pub certain: bool,
    /// Why.
    pub reasons: Vec<String>,
}

impl From<&Reset> for ResetReport {
    fn from(reset: &Reset) -> Self {
        Self {
            domain: reset.end.domain.clone(),
            session: reset.end.session.clone(),
            peer: reset.peer.clone(),
            peer_session: reset.other.as_ref().map(|other| other.session.clone()),
            certain: reset.is_certain(),
            reasons: reset.why(),
        }
    }
}

/// One generation that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationReport {
    /// Its number.
    pub number: u64,
    /// When it was first applied; none if it cannot be read.
    pub at: Option<jiff::Timestamp>,
    /// The file that it was read from.
    pub file: PathBuf,
    /// How it came.
    pub by: String,
    /// Whether it is in force.
    pub in_force: bool,
    /// Seconds that are left to confirm it, where it waits for that.
    pub confirm_within: Option<u64>,
    /// Why it came back out, or why it cannot be read.
    pub remark: Option<String>,
}

/// What one domain's daemon said, or why it could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CtlAnswer {
    /// Its answer.
    Answer(Answer),
    /// Why there is none.
    Problem(String),
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// `Denied`, `Invalid` or `Failed`; `org.rdsup.` before it on the wire.
    #[serde(skip)]
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// One thing to try.
    #[serde(default)]
    pub hint: Option<String>,
}

/// The kinds of [`CallError`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller may not.
    Denied,
    /// It is not a request, or speaks of what is not there.
    Invalid,
    /// It was tried.
    #[default]
    Failed,
}

impl ErrorKind {
    /// The word on the wire, after `org.rdsup.`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "Denied",
            Self::Invalid => "Invalid",
            Self::Failed => "Failed",
        }
    }

    /// The kind of a word on the wire; what is unknown has failed.
    pub fn from_wire(word: &str) -> Self {
        match word {
            "Denied" => Self::Denied,
            "Invalid" => Self::Invalid,
            _ => Self::Failed,
        }
    }
}

impl CallError {
    /// Something was tried and failed.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self { kind: ErrorKind::Failed, message: message.to_string(), hint: None }
    }

    /// Something makes no sense.
    pub fn invalid(message: impl std::fmt::Display) -> Self {
        Self { kind: ErrorKind::Invalid, message: message.to_string(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl std::fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }
}

/// How everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The supervisor's version.
    pub version: String,
    /// The supervisor's process id.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The file in force.
    pub config: PathBuf,
    /// The run directory.
    pub run_dir: PathBuf,
    /// Whether every domain is up and every session Established.
    pub ready: bool,
    /// The same in words: `3 domains up, 4 sessions Established`.
    pub state_words: String,
    /// Every domain, in the order of the file.
    pub domains: Vec<DomainStatus>,
    /// What is wrong and belongs to no domain.
    pub problems: Vec<String>,
    /// The generation in force; none where it cannot be noted.
    #[serde(default)]
    pub generation: Option<GenerationStatus>,
    /// What was found to be other than it should be, and was repaired: the last ones of the last day.
    #[serde(default)]
    pub repairs: Vec<Repair>,
}

/// The generation in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Its number.
    pub number: u64,
    /// When it was first applied.
    pub at: jiff::Timestamp,
    /// Seconds until the one before comes back, where this one waits to be confirmed.
    pub confirm_within: Option<u64>,
    /// Whether the configuration file holds something else by now.
    pub file_differs: bool,
}

impl StatusReport {
    /// Concludes from its parts whether all is well, and says so in `ready` and `state_words`.
    pub fn conclude(&mut self) {
        let (mut sessions, mut established) = (0, 0);
        for session in self.domains.iter().flat_map(|domain| &domain.sessions) {
            sessions += 1;
            established += usize::from(session.is_established());
        }
        let up = self.domains.iter().filter(|domain| domain.state == DomainState::Up).count();
        let of = |part: usize, whole: usize, what: &str| {
            let plural = if whole == 1 { "" } else { "s" };
            if part == whole { format!("{whole} {what}{plural}") } else { format!("{part} of {whole} {what}{plural}") }
        };
        self.ready = self.problems.is_empty() && self.domains.iter().all(DomainStatus::is_well);
        let mut words = vec![format!("{} up", of(up, self.domains.len(), "domain"))];
        if sessions > 0 {
            words.push(format!("{} Established", of(established, sessions, "session")));
        }
        self.state_words = words.join(", ");
    }
}

impl DomainStatus {
    /// Whether it is as the file says, with every session Established.
    pub fn is_well(&self) -> bool {
        self.state == DomainState::Up && self.sessions.iter().all(Session::is_established)
    }
}

/// One domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainStatus {
    /// Its name.
    pub name: DomainName,
    /// What the file says of it.
    pub description: Option<String>,
    /// How it is, in one word.
    pub state: DomainState,
    /// Its routing daemon.
    pub daemon: Option<DaemonStatus>,
    /// Its sessions.
    pub sessions: Vec<Session>,
    /// Whether that is unknown, because its daemon gives no answer: there are none then, or in a stream of events those that
    /// were known last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sessions_unknown: bool,
    /// Its links.
    pub links: Vec<LinkStatus>,
    /// What its packet filter dropped; only what is not zero.
    pub drops: Vec<Drop>,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// How a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainState {
    /// Being built.
    Starting,
    /// As the file says.
    Up,
    /// There, and something in it is not as the file says.
    Degraded,
    /// It could not be built, or its daemon ended too often.
    Failed,
    /// Being taken down.
    Stopping,
}

impl DomainState {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }
}

/// Something that was not as it should be in one domain, and was repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// When.
    pub at: jiff::Timestamp,
    /// Where.
    pub domain: DomainName,
    /// What was found, in words for people.
    pub found: Vec<String>,
    /// From when the kernel told of it, or else from when it was looked for, until it was well again.
    pub milliseconds: u64,
}

/// One routing daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Which program.
    pub kind: DaemonKind,
    /// What it is doing: the word of [`crate::supervise::State`].
    pub state: String,
    /// Its process id, while there is one.
    pub pid: Option<u32>,
    /// How long it has been running.
    pub uptime_seconds: Option<u64>,
    /// How often it was lost and started again.
    pub restarts: u32,
    /// How it last ended unasked, or why it could not be started.
    pub last_exit: Option<String>,
    /// What it said last before that, the oldest line first.
    #[serde(default)]
    pub last_words: Vec<String>,
    /// In how many seconds it is started again, while it waits for that.
    #[serde(default)]
    pub next_attempt_seconds: Option<u64>,
    /// For how many seconds it has not answered, while it does not.
    #[serde(default)]
    pub unanswered_seconds: Option<u64>,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The interface.
    pub interface: String,
    /// The domain at the other end.
    pub peer: DomainName,
    /// Whether it is up and has its carrier.
    pub up: bool,
    /// How routes cross.
    pub routing: Routing,
}

/// What the packet filter of a domain dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// Where it came in; empty where the filter does not tell.
    pub interface: String,
    /// Why, in the counter's words.
    pub reason: String,
    /// How many packets.
    pub packets: u64,
    /// How many bytes.
    pub bytes: u64,
}

//! What a routing daemon wants and says.
//!
//! [`RoutingDaemon`] is what the supervisor and `ctl` need of any of them: how it is started, when it is ready, how it
//! takes a new configuration, and how it is asked. `show.rs` holds the answers, `query.rs` the questions.

pub mod bird;
mod connect;
pub mod frr;
mod query;
mod said;
mod script;
mod show;

pub use query::{LONGEST_COMMAND, Query, QueryError, Target};
pub use said::{LAST_LINES, harmless, line, redacted, version};
pub use script::{Line, LineAnswer, Script};
pub use show::{Answer, BgpAttributes, FamilyCounts, NextHop, Peers, Route, Session};

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::model::{DaemonKind, Program};
use crate::plan::Layout;
use crate::supervise::StopSignal;
use crate::sys::process::MountPlan;

/// How long a whole answer may take that is asked for again and again. One that comes in pieces without end must keep nobody.
const WHOLE_WITHIN: Duration = Duration::from_secs(20);

/// The same for one that somebody asked for, which may be a whole table.
const READ_WITHIN: Duration = Duration::from_mins(5);

/// How a daemon is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments, the program's name apart.
    pub args: Vec<OsString>,
}

/// Where one domain's daemon keeps its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The domain's run directory.
    pub directory: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
}

impl Place {
    /// The files of `kind` in a domain's run directory.
    pub fn in_directory(kind: DaemonKind, directory: &Path) -> Self {
        Self { directory: directory.to_owned(), socket: Layout::socket_in(directory, kind) }
    }

    /// The configuration of a program.
    pub fn config(&self, program: Program) -> PathBuf {
        Layout::config_in(&self.directory, program)
    }
}

/// What went wrong with a routing daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its program is nowhere to be found.
    #[error("{program} is not installed; try: apt-get install {package}")]
    NotInstalled {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// Its program could not be run.
    #[error("cannot run {}: {words}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why, in the kernel's words.
        words: String,
    },
    /// Its control socket could not be reached: usually it does not run.
    #[error("cannot reach the daemon at {}: {source}", socket.display())]
    Unreachable {
        /// The control socket.
        socket: PathBuf,
        /// The kernel's words.
        source: std::io::Error,
    },
    /// It gave no answer in time.
    #[error("the daemon at {} gave no answer for {} s", socket.display(), after.as_secs())]
    NoAnswer {
        /// The control socket.
        socket: PathBuf,
        /// How long was waited.
        after: Duration,
    },
    /// It went on answering, a bit now and then, without coming to an end in time.
    #[error("the answer of the daemon at {} had not ended after {} s", socket.display(), after.as_secs())]
    NoEnd {
        /// The control socket.
        socket: PathBuf,
        /// How long was waited.
        after: Duration,
    },
    /// It closed the connection, or the connection broke.
    #[error("the daemon at {} broke off: {source}", socket.display())]
    BrokenOff {
        /// The control socket.
        socket: PathBuf,
        /// The kernel's words.
        source: std::io::Error,
    },
    /// It said something that is not its protocol.
    #[error("the daemon at {} does not speak as expected: {found:?}", socket.display())]
    Garbled {
        /// The control socket.
        socket: PathBuf,
        /// What it said.
        found: String,
    },
    /// FRR cannot be used as it is.
    #[error(transparent)]
    Frr(#[from] frr::Unusable),
    /// It refused what it was asked to do.
    #[error("{0}")]
    Refused(String),
    /// It refused a configuration.
    #[error(transparent)]
    Config(#[from] Rejected),
    /// No session is called that.
    #[error("no session is called {name:?}; there are: {known}")]
    NoSuchSession {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
}

/// Why a daemon will not take a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct CheckError {
    /// The line of the text, counted from 1; 0 where the daemon names none.
    pub line: u32,
    /// The column, counted from 1; 0 where the daemon names none.
    pub column: u32,
    /// The daemon's own words.
    pub message: String,
}

/// All that a daemon will not take of a configuration, as far as it reads on; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Rejected(Vec<CheckError>);

impl Rejected {
    /// These, in the order of the text; `None` if there are none.
    pub fn new(mut errors: Vec<CheckError>) -> Option<Self> {
        errors.sort_by_key(|error| (error.line, error.column));
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// Each of them.
    pub fn errors(&self) -> &[CheckError] {
        &self.0
    }
}

impl From<CheckError> for DaemonError {
    fn from(error: CheckError) -> Self {
        Self::Config(Rejected(vec![error]))
    }
}

impl DaemonError {
    /// Why it gives no answer, where more is known than that; in words that do not change from one question to the next.
    pub fn why_silent(&self) -> Option<String> {
        match self {
            Self::NoAnswer { .. } => None,
            Self::Unreachable { socket, source } if source.kind() == std::io::ErrorKind::NotFound => {
                Some(format!("its socket {} is gone", socket.display()))
            }
            error => Some(error.to_string()),
        }
    }

    /// One thing to try, where the words do not have it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Frr(unusable) => Some(unusable.hint().to_owned()),
            _ => None,
        }
    }

    /// Whether we could not ask, for want of something of our own: then it tells nothing of the daemon.
    pub fn is_our_own(&self) -> bool {
        const LACKING: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
        match self {
            Self::Unreachable { source, .. } | Self::BrokenOff { source, .. } => {
                source.raw_os_error().is_some_and(|number| LACKING.contains(&number))
            }
            _ => false,
        }
    }
}

/// How much the one who asks may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything that the daemon understands.
    Full,
    /// Looking, which the daemon itself enforces.
    Look,
}

/// A kind of routing daemon. It holds no state: every call names the daemon that is meant by its socket.
pub trait RoutingDaemon: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> DaemonKind;

    /// How a program of it is started, in the foreground and inside its namespace. `recovering` tells it that it replaces one
    /// whose routes neighbors and kernel still hold.
    fn command(&self, program: Program, place: &Place, recovering: bool) -> Result<Command, DaemonError>;

    /// The program whose configuration says what the kernel may hold of what this one writes there.
    fn decided_by(&self, program: Program) -> Program {
        program
    }

    /// Whether it accepts no less with the configuration `new` than with `old`, so that what one before it left in the kernel may
    /// stay until the neighbors have said everything again.
    fn accepts_the_same(&self, old: &str, new: &str) -> bool;

    /// The protocol (`rtm_protocol`) of the routes that a program of it leaves in the kernel when it is killed, and that must be
    /// gone before the next one begins which is not to keep them. None where that one removes them by itself.
    fn leaves(&self, _: Program) -> Option<u8> {
        None
    }

    /// The protocol of the routes that a program of it would damage if it found them in the kernel before [`RoutingDaemon::recover`]
    /// has returned: until then they are covered by others, which it has to leave alone and prefers.
    fn damages(&self, _: Program) -> Option<u8> {
        None
    }

    /// A directory that its programs write to for themselves alone, so that each gets an empty one.
    fn scratch(&self) -> Option<&'static Path> {
        None
    }

    /// The same plan with what else a program sees of the file system in its own way.
    fn view(&self, program: Program, place: &Place, mounts: MountPlan) -> io::Result<MountPlan> {
        let _ = (program, place);
        Ok(mounts)
    }

    /// The programs of it that must be ready before this one is started.
    fn prerequisites(&self, _: Program, _: &Place) -> &'static [Program] {
        &[]
    }

    /// What a program of it that nobody waits for has to see come about before it is started, if anything: until then it keeps no
    /// other from its turn.
    fn awaits<'a>(&'a self, _program: Program, _place: &'a Place) -> Option<BoxFuture<'a, ()>> {
        None
    }

    /// Whether a program of it is of no use any more when another was lost, which had been ready or not: then it is ended, and
    /// both begin again.
    fn falls_with(&self, _program: Program, _lost: Program, _was_ready: bool) -> bool {
        false
    }

    /// What ends a program of it that is to begin again. SIGKILL leaves sessions and routes to whoever comes next.
    fn renewed_by(&self, _: Program) -> StopSignal {
        StopSignal::Kill
    }

    /// Its version, as in `2.0.12`.
    fn version(&self) -> BoxFuture<'_, Result<String, DaemonError>>;

    /// Whether it opens a session that BFD is to watch only while BFD is up.
    fn waits_for_bfd(&self) -> bool {
        false
    }

    /// What whoever configures it is to know of the version that is installed.
    fn remark(&self) -> BoxFuture<'_, Option<String>> {
        std::future::ready(None).boxed()
    }

    /// Has the daemon's own parser read the configuration of a program of it, without a running daemon.
    fn check<'a>(&'a self, program: Program, text: &'a str) -> BoxFuture<'a, Result<(), DaemonError>>;

    /// Returns when a program of it has read its configuration and answers; an error means not yet.
    fn ready<'a>(&'a self, program: Program, place: &'a Place) -> BoxFuture<'a, Result<(), DaemonError>>;

    /// Tells a program of it that has just become ready that it replaces one whose routes neighbors still hold, where its command
    /// line cannot say it.
    fn recover<'a>(&'a self, _program: Program, _place: &'a Place) -> BoxFuture<'a, Result<(), DaemonError>> {
        std::future::ready(Ok(())).boxed()
    }

    /// Returns when a program of it that was ready answers: the cheapest question that there is, asked again and again.
    fn answers<'a>(&'a self, program: Program, place: &'a Place) -> BoxFuture<'a, Result<(), DaemonError>> {
        self.ready(program, place)
    }

    /// Tells a running program of what happened around it what it does not see by itself: called again and again, after it has
    /// answered. `told` is whether it was told, and false for a process that begins.
    fn attend<'a>(
        &'a self,
        _program: Program,
        _place: &'a Place,
        _told: &'a mut bool,
    ) -> BoxFuture<'a, Result<(), DaemonError>> {
        std::future::ready(Ok(())).boxed()
    }

    /// Whether a running program reads all of its configuration again, so that it is no matter what it has read before.
    fn reads_whole(&self) -> bool {
        true
    }

    /// Has a running program read its configuration again; returns when the new one is in force. `before` is what it has read
    /// before, where that is known.
    fn reload<'a>(
        &'a self,
        program: Program,
        place: &'a Place,
        before: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), DaemonError>>;

    /// Has the running daemon write its routes to the kernel again, which may have lost some.
    fn resync<'a>(&'a self, socket: &'a Path) -> BoxFuture<'a, Result<(), DaemonError>>;

    /// Every session, by name.
    fn sessions<'a>(&'a self, socket: &'a Path, peers: &'a Peers) -> BoxFuture<'a, Result<Vec<Session>, DaemonError>>;

    /// Those sessions of a configuration that a running daemon has read which are not among those that it has, because somebody
    /// removed them by a command; none where that cannot be.
    fn absent(&self, _read: &str, _there: &[Session], _: &Peers) -> Vec<Session> {
        Vec::new()
    }

    /// What a program of it runs, in its own words, if it can be told something else than what it has read.
    fn running<'a>(
        &'a self,
        _program: Program,
        _place: &'a Place,
    ) -> BoxFuture<'a, Result<Option<String>, DaemonError>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// What it was told between two answers of [`RoutingDaemon::running`], each as a command and the part in which it was typed. Sessions
    /// that are gone are not among it: those are [`RoutingDaemon::absent`].
    fn told(&self, _before: &str, _now: &str) -> Vec<String> {
        Vec::new()
    }

    /// What it would have answered to [`RoutingDaemon::running`] `after` it was told the configuration `wanted`, if nobody had told it anything
    /// else from `before` until `then`.
    fn untold(&self, _before: &str, _then: &str, after: &str, _wanted: &str) -> String {
        after.to_owned()
    }

    /// A configuration as if it did not speak of these sessions.
    fn without(&self, read: &str, _absent: &[Session]) -> String {
        read.to_owned()
    }

    /// Asks.
    fn ask<'a>(
        &'a self,
        socket: &'a Path,
        query: &'a Query,
        access: Access,
        peers: &'a Peers,
    ) -> BoxFuture<'a, Result<Answer, DaemonError>>;
}

/// The daemon of a kind; `None` for `daemon = "none"`.
pub fn of_kind(kind: DaemonKind) -> Option<&'static dyn RoutingDaemon> {
    match kind {
        DaemonKind::Bird => Some(&bird::Bird),
        DaemonKind::Frr => Some(&frr::Frr),
        DaemonKind::None => None,
    }
}

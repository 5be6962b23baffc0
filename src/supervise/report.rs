//! What people should hear of a process.

use std::fmt;
use std::time::Duration;

use super::{LONGEST_DELAY, RESTART_WINDOW, STABLE_AFTER, STOP_WITHIN};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was not our child, and the kernel does not tell others.
    Unknown,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(9) => f.write_str("killed (SIGKILL)"),
            Self::Signal(15) => f.write_str("terminated (SIGTERM)"),
            Self::Signal(11) => f.write_str("crashed (SIGSEGV)"),
            Self::Signal(6) => f.write_str("aborted (SIGABRT)"),
            Self::Signal(number) => write!(f, "killed by signal {number}"),
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

/// What people should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A process was started.
    Started {
        /// Process id.
        pid: u32,
    },
    /// A process was taken over.
    Adopted {
        /// Process id.
        pid: u32,
    },
    /// It is ready.
    Ready,
    /// It ended unasked, or could not be started; the next attempt comes after the delay.
    Lost {
        /// How it ended, or why it could not start.
        why: String,
        /// When the next attempt comes.
        retry_in: Duration,
    },
    /// It ended too often. Attempts go on every 30 s.
    Failed {
        /// How it ended, or why it could not start.
        why: String,
        /// How many times within five minutes.
        restarts: usize,
    },
    /// It was not ready in time and is replaced.
    NotReadyInTime {
        /// How long it had.
        after: Duration,
    },
    /// It does not answer.
    Silent,
    /// It does not answer, but works.
    Busy,
    /// It answers again.
    AnswersAgain,
    /// It gave no answer for too long and is replaced.
    Hung {
        /// How long it gave none.
        after: Duration,
    },
    /// It is of no use as it is, and is replaced.
    Renewed,
    /// It did not leave when asked and is killed.
    WillNotStop,
    /// It was killed and is still there.
    WillNotDie,
    /// It left as it was asked.
    Stopped,
    /// It ran long enough for its past to be forgotten.
    Stable,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { pid } => write!(f, "started (pid {pid})"),
            Self::Adopted { pid } => write!(f, "found running (pid {pid}), taken over"),
            Self::Ready => f.write_str("ready"),
            Self::Lost { why, retry_in } => write!(f, "{why}; again in {:.1} s", retry_in.as_secs_f64()),
            Self::Failed { why, restarts } => write!(
                f,
                "failed: {why}, {restarts} times within {} s; trying every {} s",
                RESTART_WINDOW.as_secs(),
                LONGEST_DELAY.as_secs()
            ),
            Self::NotReadyInTime { after } => write!(f, "not ready after {} s: killed", after.as_secs()),
            Self::Silent => f.write_str("does not answer"),
            Self::Busy => f.write_str("is busy and does not answer"),
            Self::AnswersAgain => f.write_str("answers again"),
            Self::Hung { after } => write!(f, "hung, no answer for {} s: killed", after.as_secs()),
            Self::Renewed => f.write_str("ended, to begin again"),
            Self::WillNotStop => write!(f, "did not leave within {} s: killed", STOP_WITHIN.as_secs()),
            Self::WillNotDie => f.write_str("killed and still there"),
            Self::Stopped => f.write_str("stopped"),
            Self::Stable => write!(f, "stable for {} s", STABLE_AFTER.as_secs()),
        }
    }
}

//! Why something did not come about, and what a client is told of it.

use std::collections::BTreeSet;

use super::apply::FailedStep;
use super::keeper::KeepError;
use super::prepare::PrepareError;
use super::undo::ChangeError;
use crate::control::CallError;
use crate::plan::Conflict;
use crate::sys::SysError;

/// Why the supervisor could not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file cannot be applied.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The machine refused.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// Something of others stands in the way.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Conflicts(Vec<Conflict>),
    /// A packet filter could not be loaded: everything stays behind the old ones.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Filters(Vec<FailedStep>),
    /// A step failed, and what was done was taken back.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// There is no such generation.
    #[error("generation {0} is not kept")]
    NotKept(u64),
    /// It makes no sense now.
    #[error("{words}")]
    NotNow {
        /// Why.
        words: String,
        /// One thing to try.
        hint: &'static str,
    },
    /// Something could not be taken down.
    #[error("{0}")]
    Left(String),
    /// A network stands, and what it was made from cannot be used any more.
    #[error("{source}\n{}", unsupervised(*generation))]
    Unsupervised {
        /// What it was made from.
        generation: u64,
        /// What is wrong with that.
        source: PrepareError,
    },
}

/// What becomes of a network whose supervisor could not start.
pub fn unsupervised(generation: u64) -> String {
    format!("the network of generation {generation} stays as it is and nobody looks after it: nothing is repaired")
}

impl From<KeepError> for RunError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Observe(error) => Self::Sys(error),
            KeepError::Conflicts(conflicts) => Self::Conflicts(conflicts),
            KeepError::Filters(failed) => Self::Filters(failed),
        }
    }
}

/// What a client is told of an error: what is wrong with the file is the file's fault, the rest is a failure.
pub(super) fn told(error: RunError) -> CallError {
    match error {
        RunError::Prepare(error) => CallError { hint: hint_of(&error), ..CallError::invalid(error) },
        RunError::NotKept(_) => CallError::invalid(error).hint(WHAT_IS_KEPT),
        RunError::NotNow { words, hint } => CallError::failed(words).hint(hint),
        RunError::Change(ChangeError::Refused(KeepError::Conflicts(conflicts))) => told(RunError::Conflicts(conflicts)),
        RunError::Conflicts(conflicts) => {
            let hints: Vec<String> = conflicts.iter().map(Conflict::hint).collect();
            CallError::failed(RunError::Conflicts(conflicts)).hint(hints.join("\n"))
        }
        error => CallError::failed(error),
    }
}

/// What to try about the file, each thing once.
fn hint_of(error: &PrepareError) -> Option<String> {
    let PrepareError::Faults(faults) = error else { return None };
    let hints: BTreeSet<&str> = faults.iter().filter_map(|fault| fault.hint.as_deref()).collect();
    (!hints.is_empty()).then(|| hints.into_iter().collect::<Vec<_>>().join("\n"))
}

/// What helps whoever named a generation that there is not.
pub(super) const WHAT_IS_KEPT: &str = "rdsup history shows what is kept";

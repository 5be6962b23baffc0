//! What was applied.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Pending;

/// Everything that one reading of a configuration took from files, secrets apart: from it the same network can be made again
/// when the files have changed. Passwords are read from their own files each time and are never copied.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The configuration's text.
    pub text: String,
    /// Prefix lists and templates that it names, by path.
    pub files: BTreeMap<PathBuf, String>,
}

/// `extra` lines may hold what others should not read.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes, {} files>", self.text.len(), self.files.len())
    }
}

impl Snapshot {
    /// How many bytes of text it holds.
    pub fn size(&self) -> usize {
        self.text.len() + self.files.values().map(String::len).sum::<usize>()
    }
}

/// A file that was applied, numbered in the order in which that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its number; the first is 1.
    pub number: u64,
    /// When it was first applied.
    pub at: Timestamp,
    /// The file that it was read from.
    pub file: PathBuf,
    /// How it came: `start`, `SIGHUP`, or `apply by uid 0`.
    pub by: String,
    /// What was read.
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

/// What the network that stands was made from: kept in the run directory, which lives as long as the network does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The boot in which it stands.
    pub boot_id: String,
    /// The supervisor's configuration file, which generated files name.
    pub config: PathBuf,
    /// Where its state is kept, which the command line may have said instead of the file.
    #[serde(default)]
    pub state_dir: Option<PathBuf>,
    /// What is in force.
    pub generation: Generation,
    /// While that waits to be confirmed: what comes back otherwise. All of it, because a state directory may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// What comes back unless somebody confirms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// When.
    pub pending: Pending,
    /// What.
    pub generation: Generation,
}

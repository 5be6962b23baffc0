//! Passwords on their way into a daemon's configuration, and nowhere else.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::PasswordFile;

/// What stands where a secret would.
pub const REDACTED: &str = "<redacted>";

/// A password. It prints as [`REDACTED`]; only [`Secret::expose`] gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// The passwords of a network, by the file that each was read from.
#[derive(Clone, Debug)]
pub struct Secrets {
    known: BTreeMap<PasswordFile, Secret>,
    redacted: Option<Secret>,
}

impl Secrets {
    /// Passwords that have been read.
    pub fn new(known: BTreeMap<PasswordFile, Secret>) -> Self {
        Self { known, redacted: None }
    }

    /// No passwords: every look-up answers [`REDACTED`], so that what is rendered may be shown to anyone.
    pub fn redacted() -> Self {
        Self { known: BTreeMap::new(), redacted: Some(Secret::new(REDACTED)) }
    }

    /// The password of `file`; `None` if it was not read.
    pub fn get(&self, file: &PasswordFile) -> Option<&Secret> {
        self.redacted.as_ref().or_else(|| self.known.get(file))
    }
}

impl FromIterator<(PasswordFile, Secret)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (PasswordFile, Secret)>>(entries: I) -> Self {
        Self::new(entries.into_iter().collect())
    }
}

//! What can be wrong with a rendering.

use std::path::PathBuf;

use super::quote::QuoteError;
use super::templates::TemplateError;
use crate::model::{DomainName, Origin};

/// Why the files of a domain cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("domain {domain}: {problem}")]
pub struct RenderError {
    /// The domain.
    pub domain: DomainName,
    /// Where the object was declared that cannot be rendered.
    pub origin: Origin,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a rendering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value that the daemon needs is not there; the configuration should have said so.
    #[error("no {0}")]
    Missing(&'static str),
    /// A string cannot be written in the target's language.
    #[error("{what} {error}")]
    Text {
        /// Which string.
        what: &'static str,
        /// Why.
        error: QuoteError,
    },
    /// A password that was not read.
    #[error("the password in {} was not read", .0.display())]
    NoSecret(PathBuf),
    /// A password that BIRD or TCP MD5 cannot take. The password itself is never shown.
    #[error("the password in {} {error}", file.display())]
    Password {
        /// Its file.
        file: PathBuf,
        /// Why.
        error: QuoteError,
    },
    /// A template failed.
    #[error("template {0}")]
    Template(#[from] TemplateError),
}

impl RenderError {
    /// One thing to try.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.problem {
            Problem::Password { error: QuoteError::TooLong(_), .. } => Some("TCP MD5 takes at most 80 bytes"),
            Problem::Password { .. } => Some("use letters, digits and punctuation other than a double quote"),
            Problem::Template(_) => Some("compare it with the built-in template and with docs/templates.md"),
            _ => None,
        }
    }
}

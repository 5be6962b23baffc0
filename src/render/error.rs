//! What can be wrong with a rendering.

use std::net::IpAddr;
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
    /// A password that the daemon or TCP MD5 cannot take. The password itself is never shown.
    #[error("the password in {} {error}", file.display())]
    Password {
        /// Its file.
        file: PathBuf,
        /// Why.
        error: QuoteError,
    },
    /// FRR knows a neighbor by its address alone, so that two on different interfaces cannot have the same.
    #[error("two neighbors have the address {0}, and FRR tells them apart by nothing else")]
    SameAddress(IpAddr),
    /// More prefixes than a route map has places for.
    #[error("{0} prefixes are more than a route map of FRR can name")]
    TooManyPrefixes(usize),
    /// FRR reads longer lines in pieces, each as a command.
    #[error("line {line} of {file} has more than {most} bytes")]
    LongLine {
        /// The file that was made.
        file: &'static str,
        /// The line in it, counted from 1.
        line: usize,
        /// The most bytes.
        most: usize,
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
            Problem::Password { error: QuoteError::Space, .. } => Some("use a password without spaces"),
            Problem::SameAddress(_) => Some("give each link addresses of its own, or run BIRD in this domain"),
            Problem::TooManyPrefixes(_) => Some("run BIRD in this domain: it takes a million prefixes in a second"),
            Problem::LongLine { .. } => Some("shorten the description"),
            Problem::Password { .. } => Some("use letters, digits and punctuation other than a double quote"),
            Problem::Template(_) => Some("compare it with the built-in template and with docs/templates.md"),
            _ => None,
        }
    }
}

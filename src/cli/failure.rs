//! How a command ends.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::output::{harmless, tell};
use crate::config::Problem;
use crate::supervisor::{PrepareError, RunError, unsupervised};
use crate::sys::SysError;

/// The exit codes of cli commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something failed.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// Not ready, or degraded.
    NotReady,
    /// The exit code of a command that was run inside a domain.
    Command(u8),
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotReady => 3,
            Exit::Command(code) => code,
        })
    }
}

/// Why a command did not succeed, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, naming the object and the kernel's or daemon's own words; printed after `error: `.
    pub message: String,
    /// One thing to try; printed after `hint: `.
    pub hint: Option<String>,
    /// A picture of the problems that says `error` itself, printed as it is.
    picture: Option<String>,
    /// What else programs are told, by key.
    details: serde_json::Map<String, Value>,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.to_string(),
            hint: None,
            picture: None,
            details: serde_json::Map::new(),
        }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// The same with something more for programs.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Serialize) -> Self {
        self.details.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// Prints it on standard error: for people, or as one JSON object for programs.
    pub fn show(&self, json: bool) {
        if json {
            let mut object = serde_json::Map::new();
            object.insert("error".to_owned(), self.message.clone().into());
            object.insert("hint".to_owned(), self.hint.clone().into());
            object.extend(self.details.clone());
            tell(Value::Object(object));
        } else if let Some(picture) = &self.picture {
            tell(picture.trim_end());
        } else {
            // Daemons and neighbors have their words in it.
            tell(format_args!("error: {}", harmless(&self.message)));
            if let Some(hint) = &self.hint {
                tell(format_args!("hint: {}", harmless(hint)));
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<SysError> for Failure {
    fn from(error: SysError) -> Self {
        Self { hint: error.hint(), ..Self::new(&error) }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let failure = Self::new(&error).exit(Exit::Usage).detail("errors", findings(&error));
        match error {
            PrepareError::Unreadable { .. } => failure.hint(
                "name another file, as with -c FILE; examples are conf/demo.toml and conf/rdsup.toml of the source",
            ),
            PrepareError::Invalid(problems) => Self { picture: Some(problems.render(super::colour())), ..failure },
            PrepareError::Faults(faults) => {
                let lines = faults.iter().map(|fault| match &fault.hint {
                    Some(hint) => format!("error: {fault}\nhint: {hint}"),
                    None => format!("error: {fault}"),
                });
                let picture = lines.collect::<Vec<_>>().join("\n");
                Self { picture: Some(picture), ..failure }
            }
        }
    }
}

/// What is wrong, for programs: each with its place, what to try, and what else is known of it.
pub(super) fn findings(error: &PrepareError) -> Vec<Value> {
    match error {
        PrepareError::Unreadable { path, source } => {
            let message = format!("cannot read it: {source}");
            vec![finding(path, None, &message, None)]
        }
        PrepareError::Invalid(problems) => problems.iter().map(|problem| placed(problem, problems.source())).collect(),
        PrepareError::Faults(faults) => faults
            .iter()
            .map(|fault| {
                let line = Some(fault.origin.line).filter(|line| *line > 0);
                finding(&fault.source, line, &fault.message, fault.hint.as_deref())
            })
            .collect(),
    }
}

fn finding(file: &Path, line: Option<u32>, message: &str, hint: Option<&str>) -> Value {
    json!({ "severity": "error", "file": file, "line": line, "column": null, "message": message, "hint": hint, "related": [] })
}

/// A problem of the file, with that file's name where it is not another one's.
pub(super) fn placed(problem: &Problem, source: &Path) -> Value {
    let mut value = serde_json::to_value(problem).unwrap_or_default();
    if let Value::Object(object) = &mut value {
        object.entry("file").or_insert_with(|| source.to_string_lossy().into());
    }
    value
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Prepare(error) => error.into(),
            RunError::Sys(error) => error.into(),
            RunError::Conflicts(conflicts) => {
                let lines = conflicts.iter().map(|conflict| {
                    let line = conflict.origin().line;
                    format!("error: {conflict}, asked for in line {line}\nhint: {}", conflict.hint())
                });
                let picture = Some(lines.collect::<Vec<_>>().join("\n"));
                let message = conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                Self { picture, ..Self::new(message) }
            }
            RunError::Filters(_) => Self::new(&error).hint("all domains stay behind their old filters; try again"),
            RunError::NotKept(_) => Self::new(&error).exit(Exit::Usage),
            RunError::NotNow { words, hint } => Self::new(words).hint(hint),
            RunError::Change(error) => Self::new(error),
            RunError::Left(words) => Self::new(words),
            RunError::Unsupervised { generation, source } => {
                let failure = Self::from(source);
                let words = unsupervised(generation);
                let hint = "mend that and start again; or, with a file that can be used: rdsup start --apply";
                let cause = failure.picture.unwrap_or_else(|| format!("error: {}", failure.message));
                Self {
                    // A service is started again: a file may come back that was there when the network was made.
                    exit: Exit::Failed,
                    picture: Some(format!("{}\nerror: {words}\nhint: {hint}", cause.trim_end())),
                    message: format!("{}; {words}", failure.message),
                    hint: Some(hint.to_owned()),
                    details: failure.details,
                }
            }
        }
    }
}

//! Several commands of a daemon's own: a line each, on one connection, until one fails.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::query::{QueryError, one_line};
use super::{DaemonError, redacted};

/// Commands in the order in which they are sent; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(Vec<Line>);

/// One command of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its line in the text, counted from 1.
    pub number: usize,
    /// The command, without white space around it.
    pub command: String,
}

/// What came of one command of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineAnswer {
    /// Its line in the text, counted from 1.
    pub line: usize,
    /// The command; of a password nothing is said again.
    pub command: String,
    /// What the daemon said, without a final newline.
    pub text: String,
    /// Whether it failed: then it is the last that was sent.
    pub error: bool,
}

/// One connection, or several, on which commands of a daemon's own are typed.
pub(super) trait Typing: Send {
    /// What is said to a command, and whether it is an error.
    fn ask<'a>(&'a mut self, command: &'a str) -> BoxFuture<'a, Result<(String, bool), DaemonError>>;
}

impl Script {
    /// Reads a text. Nothing of it is sent unless every line can be. Empty lines and comments, as both daemons write them, are
    /// left out.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let (number, command) = (at + 1, line.trim());
            if command.is_empty() || command.starts_with(['!', '#']) {
                continue;
            }
            one_line(command).map_err(|error| QueryError::Line { number, error: Box::new(error) })?;
            lines.push(Line { number, command: command.to_owned() });
        }
        if lines.is_empty() { Err(QueryError::Empty) } else { Ok(Self(lines)) }
    }

    /// Asks each command until one fails.
    pub(super) async fn run(&self, typing: &mut dyn Typing) -> Vec<LineAnswer> {
        let mut answers = Vec::new();
        for line in &self.0 {
            let answer = line.answered(typing.ask(&line.command).await);
            let failed = answer.error;
            answers.push(answer);
            if failed {
                break;
            }
        }
        answers
    }

    /// Its commands.
    pub fn lines(&self) -> &[Line] {
        &self.0
    }
}

impl Line {
    /// What came of it: the daemon's text and whether that is an error, or why there is none.
    pub(super) fn answered(&self, answer: Result<(String, bool), DaemonError>) -> LineAnswer {
        let (text, error) = answer.unwrap_or_else(|error| (error.to_string(), true));
        LineAnswer { line: self.number, command: redacted(&self.command), text, error }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LONGEST_COMMAND;
    use super::*;

    #[test]
    fn lines_keep_the_numbers_that_they_have_in_the_text() {
        let script = Script::parse("! what I do\n\nconfigure terminal\r\n  router bgp 65001\n# more\n\tend\n")
            .expect("it is one");
        let lines: Vec<_> = script.lines().iter().map(|line| (line.number, line.command.as_str())).collect();
        assert_eq!(lines, [(3, "configure terminal"), (4, "router bgp 65001"), (6, "end")]);
        assert_eq!(Script::parse("!\n\n# nothing\n"), Err(QueryError::Empty));
    }

    #[test]
    fn one_line_that_cannot_be_sent_keeps_all_others_back() {
        let longest = "x".repeat(LONGEST_COMMAND);
        assert!(Script::parse(&format!("show a\n{longest}\n")).is_ok());
        let error = Script::parse(&format!("show a\n{longest}x\nshow b\n")).expect_err("it is too long");
        assert_eq!(error.to_string(), "line 2: the command has 4091 bytes; at most 4090 are possible");
        let error = Script::parse("show a\nshow\0b\n").expect_err("a NUL ends a command");
        assert!(error.to_string().starts_with("line 2: the command holds a control character"), "{error}");
    }

    #[test]
    fn a_password_is_not_said_again() {
        let script = Script::parse("a\nneighbor 10.0.0.1 password hunter2").expect("it is one");
        let answer = script.lines()[1].answered(Ok((String::new(), false)));
        assert_eq!(answer.command, "neighbor 10.0.0.1 password …");
    }
}

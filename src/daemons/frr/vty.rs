//! FRR's vty: how bytes become replies, and a client.
//!
//! Every daemon has a socket of its own, `DAEMON.vty`. A command is text and a NUL. The answer is text, which may be empty, and
//! then `00 00 00 RC`, where RC says how it went (`lib/command.h`, `CMD_SUCCESS` and the others). There is no banner, and no
//! second command may be sent before the first is answered. A connection begins in the node VIEW, which only looks; `enable`
//! leaves it without a password (`vtysh_read()` in `lib/vty.c`).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::daemons::connect::connect;
use crate::daemons::query::one_line;
use crate::daemons::{DaemonError, READ_WITHIN, WHOLE_WITHIN};

/// The answer has more bytes than what is asked of each daemon again and again ever has.
const LARGEST_REPLY: usize = 32 << 20;
/// The answer has more bytes than anyone would read.
const LARGEST_READ: usize = 256 << 20;

/// How many bytes of an answer are told as words.
const MOST_WORDS: usize = 1000;

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, as far as this daemon says. In a configuration that means little: see [`Reply::is_applied`].
    Success,
    /// `CMD_WARNING`: also the answer of `show` where there is nothing to show.
    Warning,
    /// `CMD_ERR_NO_MATCH`: this daemon has no such command.
    Unknown,
    /// Anything else, with its number.
    Other(u8),
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the daemon said.
    pub text: String,
    /// How it went.
    pub outcome: Outcome,
}

impl Reply {
    /// Whether a command of a configuration was applied: FRR answers one that it refused with `Success` and words, so any word
    /// is a refusal, except that some changes count from the next session on, which it says.
    pub fn is_applied(&self) -> bool {
        let is_note = |line: &str| line.trim().is_empty() || line.starts_with("Graceful restart configuration changed");
        self.outcome == Outcome::Success && self.text.lines().all(is_note)
    }

    /// The words, on one line, as many of them as anybody reads.
    pub fn words(&self) -> String {
        let mut said = String::new();
        for word in self.text.split_whitespace().skip_while(|word| *word == "%") {
            if said.len() + word.len() > MOST_WORDS {
                said.push('…');
                break;
            }
            if !said.is_empty() {
                said.push(' ');
            }
            said.push_str(word);
        }
        if said.is_empty() { format!("it says nothing but {:?}", self.outcome) } else { said }
    }
}

/// Puts an answer together from what is read, however it is cut.
#[derive(Debug, Default)]
pub struct Collector {
    bytes: Vec<u8>,
    /// How many bytes are known to hold no NUL.
    searched: usize,
}

/// What is read is not the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAnswer;

impl Collector {
    /// Takes what was read; an answer once it is whole.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Reply>, NotAnAnswer> {
        self.bytes.extend_from_slice(bytes);
        let Some(offset) = self.bytes[self.searched..].iter().position(|byte| *byte == 0) else {
            self.searched = self.bytes.len();
            return Ok(None);
        };
        self.searched += offset;
        let (text, end) = self.bytes.split_at(self.searched);
        let code = match *end {
            [0, 0, 0, code] => code,
            [0] | [0, 0] | [0, 0, 0] => return Ok(None),
            // Something between the NULs, or behind an answer that nothing else was asked after.
            _ => return Err(NotAnAnswer),
        };
        let outcome = match code {
            0 => Outcome::Success,
            1 => Outcome::Warning,
            2 => Outcome::Unknown,
            other => Outcome::Other(other),
        };
        let reply = Reply { text: String::from_utf8_lossy(text).into_owned(), outcome };
        *self = Self::default();
        Ok(Some(reply))
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A connection to one daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    socket: PathBuf,
    patience: Duration,
    longest: Duration,
    largest: usize,
}

impl Client {
    /// Connects, within `patience`, which is then also how long each piece of an answer may take. The whole may take
    /// 20 s, and have 32 MiB: whoever answers may want to be waited for without end.
    pub async fn connect(socket: &Path, patience: Duration) -> Result<Self, DaemonError> {
        let stream = connect(socket, patience).await?;
        let longest = WHOLE_WITHIN.max(patience);
        Ok(Self { stream, socket: socket.to_owned(), patience, longest, largest: LARGEST_REPLY })
    }

    /// The same for somebody who reads what is answered, and may have asked for a whole table.
    #[must_use]
    pub fn for_a_reader(self) -> Self {
        Self { longest: READ_WITHIN, largest: LARGEST_READ, ..self }
    }

    /// Lets everything pass from here on. Without it the daemon itself lets only commands pass that look.
    pub async fn enable(&mut self) -> Result<(), DaemonError> {
        let reply = self.ask("enable").await?;
        if reply.is_applied() { Ok(()) } else { Err(DaemonError::Refused(reply.words())) }
    }

    /// Sends one command and waits for its answer. After an error the connection is of no more use.
    pub async fn ask(&mut self, command: &str) -> Result<Reply, DaemonError> {
        one_line(command).map_err(|error| DaemonError::Refused(error.to_string()))?;
        let (longest, socket) = (self.longest, self.socket.clone());
        let no_end = DaemonError::NoEnd { socket, after: longest };
        timeout(longest, self.answer(command)).await.unwrap_or(Err(no_end))
    }

    async fn answer(&mut self, command: &str) -> Result<Reply, DaemonError> {
        let mut bytes = command.as_bytes().to_vec();
        bytes.push(0);
        match timeout(self.patience, self.stream.write_all(&bytes)).await {
            Err(_) => return Err(self.no_answer()),
            Ok(Err(source)) => return Err(self.broken_off(source)),
            Ok(Ok(())) => {}
        }
        let mut collector = Collector::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match timeout(self.patience, self.stream.read(&mut buffer)).await {
                Err(_) => return Err(self.no_answer()),
                Ok(Err(source)) => return Err(self.broken_off(source)),
                Ok(Ok(0)) => return Err(self.broken_off(ErrorKind::UnexpectedEof.into())),
                Ok(Ok(count)) => count,
            };
            match collector.read(&buffer[..count]) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) if collector.len() > self.largest => {
                    let words = format!("its answer has more than {} MiB", self.largest >> 20);
                    return Err(self.broken_off(std::io::Error::other(words)));
                }
                Ok(None) => {}
                Err(NotAnAnswer) => {
                    let found = String::from_utf8_lossy(&buffer[..count.min(200)]).into_owned();
                    return Err(DaemonError::Garbled { socket: self.socket.clone(), found });
                }
            }
        }
    }

    /// Sends a command of a configuration; whatever is said to it is a refusal by `who`.
    pub async fn apply(&mut self, who: &str, command: &str) -> Result<(), DaemonError> {
        let reply = self.ask(command).await?;
        if reply.is_applied() {
            return Ok(());
        }
        let command = command.split(" password ").next().unwrap_or_default();
        Err(DaemonError::Refused(format!("{who} refused {command:?}: {}", reply.words())))
    }

    fn no_answer(&self) -> DaemonError {
        DaemonError::NoAnswer { socket: self.socket.clone(), after: self.patience }
    }

    fn broken_off(&self, source: std::io::Error) -> DaemonError {
        DaemonError::BrokenOff { socket: self.socket.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"one\ntwo\n\0\0\0\x0d";

    #[test]
    fn of_a_long_answer_the_beginning_is_told() {
        let said = |text: String| Reply { text, outcome: Outcome::Success }.words();
        assert_eq!(said("% not\n  known\n".to_owned()), "not known");
        let long = said("word ".repeat(100_000));
        assert!(long.starts_with("word word ") && long.ends_with('…') && long.len() < MOST_WORDS + 10, "{long}");
        assert_eq!(said("w".repeat(100_000)), "…");
    }

    #[test]
    fn an_answer_is_read_however_it_is_cut() {
        let wanted = Reply { text: "one\ntwo\n".to_owned(), outcome: Outcome::Other(13) };
        for cut in 0..=ANSWER.len() {
            for second in cut..=ANSWER.len() {
                let mut collector = Collector::default();
                let pieces = [&ANSWER[..cut], &ANSWER[cut..second], &ANSWER[second..]];
                let found: Vec<Reply> =
                    pieces.iter().filter_map(|piece| collector.read(piece).expect("it is one")).collect();
                assert_eq!(found, std::slice::from_ref(&wanted), "cut at {cut} and {second}");
            }
        }
    }

    #[test]
    fn an_empty_answer_is_one() {
        let mut collector = Collector::default();
        let reply = collector.read(b"\0\0\0\0").expect("it is one").expect("it is whole");
        assert_eq!(reply, Reply { text: String::new(), outcome: Outcome::Success });
        // The next one begins anew.
        assert_eq!(collector.read(b"x\0\0"), Ok(None));
        let reply = collector.read(b"\0\x02").expect("it is one").expect("it is whole");
        assert_eq!(reply, Reply { text: "x".to_owned(), outcome: Outcome::Unknown });
    }

    #[test]
    fn a_nul_in_an_odd_place_is_not_the_protocol() {
        for bytes in [&b"a\0b\0\0\0\0"[..], b"\0\0a\0", b"\0\x01", b"a\0\0\0\0b\0\0\0\0", b"\0\0\0\0\0"] {
            assert_eq!(Collector::default().read(bytes), Err(NotAnAnswer), "{bytes:?}");
        }
        let mut collector = Collector::default();
        assert_eq!(collector.read(b"a\0"), Ok(None));
        assert_eq!(collector.read(b"b"), Err(NotAnAnswer));
    }

    #[test]
    fn any_word_in_a_configuration_is_a_refusal_but_that_it_counts_from_the_next_session_on() {
        let reply = |text: &str, outcome| Reply { text: text.to_owned(), outcome };
        assert!(reply("", Outcome::Success).is_applied());
        assert!(reply("Graceful restart configuration changed, reset this peer\n", Outcome::Success).is_applied());
        assert!(!reply("% Configuration failed.\n\nError type: validation\n", Outcome::Success).is_applied());
        assert!(!reply("", Outcome::Other(13)).is_applied());
    }
}

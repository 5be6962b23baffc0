//! BIRD's control socket: how lines become replies, and a client.
//!
//! A command is a line. The answer is lines `NNNN-text` and a last one `NNNN text`; a line that starts with a space has
//! the code of the line before, and one that starts with `+` is a message that nobody asked for. Codes from 8000 on are
//! errors of running a command, from 9000 on of reading it (`doc/reply_codes` in BIRD's source).

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::daemons::connect::connect;
use crate::daemons::{DaemonError, READ_WITHIN, WHOLE_WITHIN};

/// BIRD is ready: the banner, which it sends once its configuration is in force.
pub const READY: u16 = 1;
/// Access is restricted to commands that look.
pub const RESTRICTED: u16 = 16;
/// The answer has more bytes than anyone would read; a full Internet table with all attributes is about 500 MB.
const LARGEST_REPLY: usize = 64 << 20;

/// What every BIRD reads of a line: 2.0.12 hangs up on whoever sends more, although its buffer has room for 4096 bytes.
const SURELY_READ: usize = 1022;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Every line with its code, the framing taken off.
    pub lines: Vec<(u16, String)>,
}

impl Reply {
    /// The code of the last line, which says how it went.
    pub fn code(&self) -> u16 {
        self.lines.last().map_or(0, |(code, _)| *code)
    }

    /// Whether BIRD calls it an error.
    pub fn is_error(&self) -> bool {
        self.code() >= 8000
    }

    /// Whether a line has this code.
    pub fn has(&self, code: u16) -> bool {
        self.lines.iter().any(|(found, _)| *found == code)
    }

    /// The text as `birdc` prints it: without codes, and without the empty last line that only ends the answer.
    pub fn text(&self) -> String {
        let lines = match self.lines.split_last() {
            Some(((0, last), rest)) if last.is_empty() => rest,
            _ => &self.lines,
        };
        lines.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The words of the last line: the error, where it is one.
    pub fn message(&self) -> &str {
        self.lines.last().map_or("", |(_, text)| text)
    }
}

/// Collects lines until an answer is whole.
#[derive(Debug, Default)]
pub struct Collector {
    reply: Reply,
}

/// A line that is not of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotALine;

impl Collector {
    /// Takes one line without its newline; returns the answer that it completes.
    pub fn line(&mut self, line: &str) -> Result<Option<Reply>, NotALine> {
        if line.starts_with('+') {
            return Ok(None);
        }
        if let Some(text) = line.strip_prefix(' ') {
            let code = self.reply.lines.last().ok_or(NotALine)?.0;
            self.reply.lines.push((code, text.to_owned()));
            return Ok(None);
        }
        let (code, rest) = line.split_at_checked(4).ok_or(NotALine)?;
        if !code.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotALine);
        }
        let code = code.parse().map_err(|_| NotALine)?;
        if let Some(text) = rest.strip_prefix('-') {
            self.reply.lines.push((code, text.to_owned()));
            Ok(None)
        } else if let Some(text) = rest.strip_prefix(' ') {
            self.reply.lines.push((code, text.to_owned()));
            Ok(Some(std::mem::take(&mut self.reply)))
        } else {
            Err(NotALine)
        }
    }
}

/// A connection to one BIRD.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
    patience: Duration,
    longest: Duration,
}

impl Client {
    /// Connects and waits for the banner. `patience` is how long each line of an answer may take, this one included, and
    /// 20 s the whole.
    pub async fn connect(socket: &Path, patience: Duration) -> Result<Self, DaemonError> {
        let stream = connect(socket, patience).await?;
        let (stream, longest) = (BufReader::new(stream), WHOLE_WITHIN.max(patience));
        let mut client = Self { stream, socket: socket.to_owned(), patience, longest };
        let banner = client.reply().await?;
        if banner.code() == READY { Ok(client) } else { Err(client.garbled(banner.message())) }
    }

    /// The same for somebody who reads what is answered, and may have asked for a whole table.
    #[must_use]
    pub fn for_a_reader(self) -> Self {
        Self { longest: READ_WITHIN, ..self }
    }

    /// Lets only commands that look pass from here on. BIRD itself enforces it, until the connection ends.
    pub async fn restrict(&mut self) -> Result<(), DaemonError> {
        let reply = self.ask("restrict").await?;
        if reply.code() == RESTRICTED { Ok(()) } else { Err(DaemonError::Refused(reply.message().to_owned())) }
    }

    /// Sends one command and waits for its answer. The command must be one line: [`crate::daemons::Query`] sees to it.
    pub async fn ask(&mut self, command: &str) -> Result<Reply, DaemonError> {
        debug_assert!(!command.contains('\n'));
        let line = format!("{command}\n");
        match timeout(self.patience, self.stream.get_mut().write_all(line.as_bytes())).await {
            Err(_) => return Err(self.no_answer()),
            Ok(Err(source)) => return Err(DaemonError::BrokenOff { socket: self.socket.clone(), source }),
            Ok(Ok(())) => {}
        }
        let no_end = DaemonError::NoEnd { socket: self.socket.clone(), after: self.longest };
        match timeout(self.longest, self.reply()).await.unwrap_or(Err(no_end)) {
            Err(DaemonError::BrokenOff { .. }) if command.len() > SURELY_READ => {
                let (length, socket) = (command.len(), self.socket.display());
                Err(DaemonError::Refused(format!(
                    "the daemon at {socket} broke off over a command of {length} bytes; BIRD 2.0 takes at most {SURELY_READ}"
                )))
            }
            answer => answer,
        }
    }

    /// Reads one answer. Patience is for each line: a long answer may take long, as long as it goes on.
    async fn reply(&mut self) -> Result<Reply, DaemonError> {
        let mut collector = Collector::default();
        let mut total = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let room = u64::try_from(LARGEST_REPLY - total).unwrap_or(0);
            let mut limited = (&mut self.stream).take(room);
            let read = match timeout(self.patience, limited.read_until(b'\n', &mut line)).await {
                Err(_) => return Err(self.no_answer()),
                Ok(Err(source)) => return Err(DaemonError::BrokenOff { socket: self.socket.clone(), source }),
                Ok(Ok(read)) => read,
            };
            total += read;
            if line.pop() != Some(b'\n') {
                let source = if total >= LARGEST_REPLY {
                    std::io::Error::other("its answer has more than 64 MiB")
                } else {
                    std::io::ErrorKind::UnexpectedEof.into()
                };
                return Err(DaemonError::BrokenOff { socket: self.socket.clone(), source });
            }
            let text = String::from_utf8_lossy(&line);
            match collector.line(&text) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(NotALine) => return Err(self.garbled(&text)),
            }
        }
    }

    fn no_answer(&self) -> DaemonError {
        DaemonError::NoAnswer { socket: self.socket.clone(), after: self.patience }
    }

    fn garbled(&self, found: &str) -> DaemonError {
        DaemonError::Garbled { socket: self.socket.clone(), found: found.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(text: &str) -> Result<Vec<Reply>, NotALine> {
        let mut collector = Collector::default();
        text.lines().filter_map(|line| collector.line(line).transpose()).collect()
    }

    #[test]
    fn a_reply_ends_with_the_line_whose_code_is_followed_by_a_space() {
        let found = replies("0001 BIRD 2.0.12 ready.\n1000-BIRD 2.0.12\n1011-Router ID\n Hostname\n0013 Up\n");
        let found = found.expect("it is the protocol");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].code(), READY);
        assert_eq!(found[1].text(), "BIRD 2.0.12\nRouter ID\nHostname\nUp");
        assert_eq!(found[1].lines[2], (1011, "Hostname".to_owned()));
    }

    #[test]
    fn messages_that_nobody_asked_for_are_skipped_and_an_empty_end_is_no_text() {
        let found = replies("1008-one\n+0000 <INFO> noise\n two\n0000 \n").expect("it is the protocol");
        assert_eq!(found[0].text(), "one\ntwo");
        assert!(!found[0].is_error());
    }

    #[test]
    fn codes_from_8000_are_errors() {
        let found = replies("0002-Reading configuration from x\n8002 x:1:25 syntax error\n").expect("protocol");
        assert!(found[0].is_error());
        assert_eq!(found[0].message(), "x:1:25 syntax error");
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        for text in ["HTTP/1.1 200 OK", "12", " continued from nothing", "0001_x", "+001 x\nééé"] {
            assert_eq!(replies(text), Err(NotALine), "{text}");
        }
    }
}

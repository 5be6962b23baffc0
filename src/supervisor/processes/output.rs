//! What daemons say on their standard output and error: into our log, as far as it is worth reading, and remembered for
//! those who ask why a daemon ended.
//!
//! A daemon that floods its output costs at most a pipe full each [`PAUSE`]; what does not fit is lost in the kernel, and
//! neither the daemon nor we wait for the other. Of what is read, a few lines a minute go to the log, so that one daemon
//! does not push everything else out of it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::daemons::{LAST_LINES, line};
use crate::model::DaemonName;
use crate::sys::SysError;
use crate::sys::process::OutputPipe;

/// How long the pipe is left alone after something was read.
const PAUSE: Duration = Duration::from_millis(250);
/// As much as a pipe holds.
const PIPE_FULL: usize = 64 << 10;
/// The longest piece of output that counts as one line.
const LONGEST_LINE: usize = 4 << 10;
/// How many lines of one daemon are logged in each [`WINDOW`].
const LINES_IN_WINDOW: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// The output of one daemon. Dropped, it stays in the pipe for the next supervisor.
pub(super) struct Output {
    listener: Arc<Listener>,
    _task: AbortOnDropHandle<()>,
}

impl Output {
    /// Listens to the pipe of this name.
    pub(super) fn listen(name: &DaemonName, path: &Path) -> Result<Self, SysError> {
        let listener =
            Arc::new(Listener { pipe: OutputPipe::open(path)?, name: name.clone(), heard: Mutex::default() });
        let task = AbortOnDropHandle::new(tokio::spawn(listener.clone().run()));
        Ok(Self { listener, _task: task })
    }

    /// Whoever listens.
    pub(super) fn listener(&self) -> Arc<Listener> {
        self.listener.clone()
    }
}

/// Who listens to one daemon.
pub(super) struct Listener {
    pipe: OutputPipe,
    name: DaemonName,
    heard: Mutex<Heard>,
}

impl Listener {
    async fn run(self: Arc<Self>) {
        loop {
            let notice = self.heard().limit.notice_at();
            tokio::select! {
                readable = self.pipe.readable() => match readable {
                    Ok(()) => self.read(),
                    Err(error) => {
                        tracing::warn!(domain = %self.name.domain, "cannot hear its daemon any more: {error}");
                        return;
                    }
                },
                () = sleep_until(notice.unwrap_or_else(Instant::now)), if notice.is_some() => {
                    let left_out = self.heard().limit.take_left_out();
                    self.log_left_out(left_out);
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads what there is, a pipe full at most: whoever floods goes on.
    fn read(&self) {
        let mut buffer = vec![0; PIPE_FULL];
        let mut heard = self.heard();
        let mut left = PIPE_FULL;
        while left > 0 {
            match self.pipe.try_read(&mut buffer[..left]) {
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    left -= read;
                    heard.take(&buffer[..read], |line| self.log(line), |left_out| self.log_left_out(left_out));
                }
            }
        }
    }

    /// What the process that is over said last.
    pub(super) fn last_words(&self) -> Vec<String> {
        self.read();
        let mut heard = self.heard();
        heard.finish(|line| self.log(line));
        let left_out = heard.limit.take_left_out();
        self.log_left_out(left_out);
        std::mem::take(&mut heard.last).into()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, line: &str) {
        tracing::info!(domain = %self.name.domain, source = self.name.program.as_str(), "{line}");
    }

    fn log_left_out(&self, lines: u64) {
        if lines > 0 {
            let seconds = WINDOW.as_secs();
            tracing::warn!(domain = %self.name.domain, source = self.name.program.as_str(), left_out = lines,
                "and more lines that are left out: only {LINES_IN_WINDOW} are logged in {seconds} s");
        }
    }
}

/// What was heard of one process.
#[derive(Default)]
struct Heard {
    /// A line whose end has not come yet.
    partial: Vec<u8>,
    last: VecDeque<String>,
    limit: Limit,
}

impl Heard {
    fn take(&mut self, bytes: &[u8], log: impl Fn(&str), log_left_out: impl Fn(u64)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let left_out = self.limit.begin_window(Instant::now());
                log_left_out(left_out);
                self.finish(&log);
            }
        }
    }

    fn finish(&mut self, log: impl Fn(&str)) {
        let partial = std::mem::take(&mut self.partial);
        let Some(line) = line(&partial) else { return };
        if self.limit.permits() {
            log(&line);
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// So many lines in a time, and how many more there were.
#[derive(Default)]
struct Limit {
    window_ends: Option<Instant>,
    lines: u64,
}

impl Limit {
    /// A window that is over gives way to a new one; the answer is what the old one left out.
    fn begin_window(&mut self, now: Instant) -> u64 {
        if self.window_ends.is_some_and(|end| now < end) {
            return 0;
        }
        let left_out = self.take_left_out();
        self.window_ends = Some(now + WINDOW);
        left_out
    }

    fn permits(&mut self) -> bool {
        self.lines += 1;
        self.lines <= LINES_IN_WINDOW
    }

    /// When it should be said that lines were left out, if no more come.
    fn notice_at(&self) -> Option<Instant> {
        self.window_ends.filter(|_| self.lines > LINES_IN_WINDOW)
    }

    fn take_left_out(&mut self) -> u64 {
        self.window_ends = None;
        std::mem::take(&mut self.lines).saturating_sub(LINES_IN_WINDOW)
    }
}

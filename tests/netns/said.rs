//! What commands said, and how to wait.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    /// What was run, for messages.
    command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Said {
    /// The exit code; a death by signal has none.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// Standard error of a command that must have failed with this exit code, as `error:` with a `hint:`.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code(), Some(code), "{self}");
        assert!(self.stderr.contains("error"), "no `error:` line: {self}");
        self.stderr
    }
}

impl Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "`{}` ended with {}", self.command, self.status)?;
        write!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// A command that runs while the test goes on.
pub struct Background {
    command: String,
    child: Child,
    stdout: File,
    stderr: File,
}

impl Background {
    /// A child whose output goes to these files.
    pub fn new(command: String, child: Child, stdout: File, stderr: File) -> Self {
        Self { command, child, stdout, stderr }
    }

    /// What it has said on standard error until now.
    pub fn complaint(&mut self) -> String {
        whole(&mut self.stderr)
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn finish(mut self, deadline: Duration) -> Said {
        let mut status = None;
        eventually(deadline, &format!("`{}` ends", self.command), || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        Said {
            command: std::mem::take(&mut self.command),
            status: status.expect("it has ended"),
            stdout: whole(&mut self.stdout),
            stderr: whole(&mut self.stderr),
        }
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // What it started inside dies with the machine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn whole(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("a temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Probes until it is true, and fails if that takes longer than `deadline`.
#[track_caller]
pub fn eventually(deadline: Duration, what: &str, mut probe: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !probe() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Probes for the whole of `period`, and fails as soon as it is false.
#[track_caller]
pub fn throughout(period: Duration, what: &str, mut probe: impl FnMut() -> bool) {
    let end = Instant::now() + period;
    while Instant::now() < end {
        assert!(probe(), "no longer true: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

//! A running process, held by a pidfd so that its number cannot come to mean another.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::OnceCell;

pub use rustix::process::Signal;

use super::record::{ProcessRecord, start_time};
use crate::sys::fault;

/// A process, our child or adopted.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    start_time: u64,
    pidfd: Arc<OwnedFd>,
    /// The same descriptor with the runtime, for all who wait: a second one for each daemon would be too many where a
    /// process may have 1,024.
    watched: OnceCell<AsyncFd<Arc<OwnedFd>>>,
    /// What was found when it was reaped, which can be done only once.
    status: Mutex<Option<ExitStatus>>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
    /// It was not our child, and the kernel does not tell (before 6.15).
    Unknown,
}

impl ExitStatus {
    /// The exit code as a shell has it: 128 and the signal's number for one who was killed.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
            Self::Unknown => 1,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

impl Process {
    /// Opens a process by its number. Right for a child that nobody has waited for; for any other use [`Self::adopt`].
    pub(in crate::sys) fn open(pid: u32) -> io::Result<Self> {
        let pidfd = open_pidfd(pid)?;
        // A child may be over already: then no other can have its number before it is waited for.
        let start_time = start_time(pid).unwrap_or_default();
        Ok(Self::new(pid, start_time, pidfd))
    }

    fn new(pid: u32, start_time: u64, pidfd: OwnedFd) -> Self {
        Self { pid, start_time, pidfd: Arc::new(pidfd), watched: OnceCell::new(), status: Mutex::default() }
    }

    /// The process of a record, if it is still that very process: same start, boot, program and namespace. `None` if it
    /// is gone or its number means another by now.
    pub fn adopt(record: &ProcessRecord) -> io::Result<Option<Self>> {
        let gone = |error: &io::Error| {
            matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT | libc::EINVAL))
                || error.kind() == io::ErrorKind::NotFound
        };
        // The pidfd comes first: whatever is then true of the number is true of the process that is held.
        let pidfd = match open_pidfd(record.pid) {
            Ok(pidfd) => pidfd,
            Err(error) if gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match ProcessRecord::of(record.pid) {
            Ok(now) if &now == record || fault::is_off("identity") => {
                let (pid, start_time) = (record.pid, record.start_time);
                Ok(Some(Self::new(pid, start_time, pidfd)))
            }
            Ok(_) => Ok(None),
            Err(error) if gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The process of a pidfd that was kept for us, with what was noted of it. It may be over; then the descriptor tells how
    /// it ended, but no longer its number, so that is believed.
    pub fn from_pidfd(pid: u32, start_time: u64, pidfd: OwnedFd) -> io::Result<Self> {
        let known = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
        let number = known.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim);
        match number {
            None => Err(io::Error::other("this is no pidfd")),
            Some(number) if number == "-1" || number == pid.to_string() => Ok(Self::new(pid, start_time, pidfd)),
            Some(number) => Err(io::Error::other(format!("this is the pidfd of {number}"))),
        }
    }

    /// A second descriptor of it, to be kept by somebody else.
    pub fn pidfd(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// Waits until it is over, without a runtime, for at most ten seconds.
    pub fn wait_blocking(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(10_000_u16))? {
            0 => Err(io::Error::from(io::ErrorKind::TimedOut)),
            _ => self.reap().map(drop),
        }
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(0)
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it started, in clock ticks since boot.
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// What to remember of it, so that it can be adopted later.
    pub fn record(&self) -> io::Result<ProcessRecord> {
        ProcessRecord::of(self.pid)
    }

    /// Sends a signal to this process and never to another. `false` if it is over.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(self.pidfd.as_fd(), signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it is over and tells how it ended, outside asynchronous code.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        let mut watched = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) => return Ok(self.reap()?.unwrap_or(ExitStatus::Unknown)),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until it is over and tells how it ended. Can be called again. A child is reaped by the first call.
    pub async fn exited(&self) -> io::Result<ExitStatus> {
        let register = || async {
            // SAFETY: an `OwnedFd` always returns the same descriptor, which stays open as long as it lives, and the
            // registration shares it.
            unsafe { AsyncFd::register_with_interest(Arc::clone(&self.pidfd), Interest::READABLE) }
        };
        let watched = self.watched.get_or_try_init(register).await?;
        let _ = watched.readable().await?;
        match self.reap()? {
            Some(status) => Ok(status),
            None => Ok(self.status_of_stranger().await),
        }
    }

    /// The status of our own child, however often it is asked for; `None` where it is not ours.
    fn reap(&self) -> io::Result<Option<ExitStatus>> {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            *status = self.wait_for_child()?;
        }
        Ok(*status)
    }

    fn wait_for_child(&self) -> io::Result<Option<ExitStatus>> {
        loop {
            return match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::Exited(_, code)) => Ok(Some(ExitStatus::Code(code))),
                Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(ExitStatus::Signal(signal as i32))),
                Ok(_) | Err(nix::errno::Errno::ECHILD) => Ok(None),
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }

    /// The kernel (from 6.15 on) keeps the status in the pidfd once the parent has reaped the process, which happens a
    /// moment after the pidfd says that it is over. On a busy machine that moment is long, but the next daemon must not wait
    /// much longer.
    async fn status_of_stranger(&self) -> ExitStatus {
        for _ in 0..100 {
            match self.kept_status() {
                Ok(Some(status)) => return status,
                Ok(None) => tokio::time::sleep(Duration::from_millis(5)).await,
                // ENOTTY: the kernel does not know the request.
                Err(_) => break,
            }
        }
        ExitStatus::Unknown
    }

    fn kept_status(&self) -> io::Result<Option<ExitStatus>> {
        // SAFETY: the structure consists of integers, for which zero is a value.
        let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
        info.mask = u64::from(libc::PIDFD_INFO_EXIT);
        // SAFETY: the request takes a pointer to this structure, whose size is part of the request's number, and the
        // structure outlives the call.
        let result = unsafe { libc::ioctl(self.pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        if info.mask & u64::from(libc::PIDFD_INFO_EXIT) == 0 {
            return Ok(None);
        }
        let status = info.exit_code;
        Ok(Some(if libc::WIFSIGNALED(status) {
            ExitStatus::Signal(libc::WTERMSIG(status))
        } else {
            ExitStatus::Code(libc::WEXITSTATUS(status))
        }))
    }
}

fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid =
        i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

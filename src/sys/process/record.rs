//! What identifies a process beyond its number, which the kernel gives out again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use crate::sys::clock;

/// One process, such that no other process ever has the same record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
    /// The boot in which it started.
    pub boot_id: String,
    /// Its program.
    pub exe: PathBuf,
    /// The inode of its network namespace.
    pub netns_inode: u64,
}

impl ProcessRecord {
    /// The record of a process that runs now.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self {
            pid,
            start_time: start_time(pid)?,
            boot_id: boot_id()?,
            exe: executable(pid)?,
            netns_inode: fs::metadata(format!("/proc/{pid}/ns/net"))?.ino(),
        })
    }

    /// How long ago it started.
    pub fn age(&self) -> io::Result<Duration> {
        age(self.start_time)
    }
}

/// How long ago a process started, whose start is given in clock ticks since boot.
pub(super) fn age(start_time: u64) -> io::Result<Duration> {
    let ticks = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100).max(1);
    let started = Duration::from_millis(start_time.saturating_mul(1000) / ticks);
    Ok(clock::since_boot()?.saturating_sub(started))
}

/// The random name of this boot.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// When a process started, in clock ticks since boot; `ESRCH` if it is a zombie.
pub fn start_time(pid: u32) -> io::Result<u64> {
    let stat = stat(pid)?;
    if stat.state == 'Z' {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // Field 22 of the file is the 20th from the state on.
    stat.number(19)
}

/// What `/proc/PID/stat` says, from the state on.
pub(super) struct Stat {
    pub(super) state: char,
    fields: Vec<String>,
}

impl Stat {
    /// The field at this place, counted from the state, which is 0.
    pub(super) fn number(&self, place: usize) -> io::Result<u64> {
        let unexpected = || io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat is not as expected");
        self.fields.get(place).and_then(|field| field.parse().ok()).ok_or_else(unexpected)
    }
}

pub(super) fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses and may hold anything, even parentheses.
    let rest = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let fields: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    let state = fields.first().and_then(|field| field.chars().next()).unwrap_or_default();
    Ok(Stat { state, fields })
}

/// The program; when its file has been replaced by an upgrade, still under its old name.
fn executable(pid: u32) -> io::Result<PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/exe"))?;
    Ok(match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(old) => PathBuf::from(old),
        None => path,
    })
}

//! Routing daemons that run already: those to take over, and those in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Machine;
use crate::model::{DaemonName, DomainName, InterfaceName, Program};
use crate::sys::SysError;
use crate::sys::fault;
use crate::sys::netlink::link;
use crate::sys::process::{Process, ProcessRecord, Signal};

impl Machine {
    /// A process of a routing daemon that an earlier supervisor started, to be watched from now on. One that is over is given
    /// out once, if the service manager kept its pidfd: that tells how it ended.
    pub fn adopt_daemon(&self, name: &DaemonName) -> Result<Option<Process>, SysError> {
        let Some(record) = self.recorded_daemon(name) else { return Ok(None) };
        let running = self.running_daemon(name, &record)?;
        if let Some(process) = &running {
            self.place_in_cgroup(&name.domain, process);
        }
        Ok(running.or_else(|| self.ended_daemon(name, &record)))
    }

    /// Whether a recorded process of a routing daemon runs, as far as this user may know.
    pub fn runs_daemon(&self, name: &DaemonName) -> bool {
        self.recorded_daemon(name).is_some_and(|record| matches!(self.running_daemon(name, &record), Ok(Some(_))))
    }

    /// The process of this record, if it still is that very process and this program of the domain.
    pub(super) fn running_daemon(
        &self,
        name: &DaemonName,
        record: &ProcessRecord,
    ) -> Result<Option<Process>, SysError> {
        let process =
            Process::adopt(record).map_err(|error| SysError::io(format!("look at process {}", record.pid), error))?;
        // A record is a file, and whatever it says, only a BIRD with this domain's control socket is this domain's daemon.
        Ok(process.filter(|process| has_hallmark(process.pid(), name.program, &self.layout.hallmark(name))))
    }

    /// Ends processes of these routing daemons that nobody watches: a supervisor started them and did not live to note it, their
    /// record was lost, or their namespace was replaced under them. They would keep the socket, and the kernel routes, for
    /// themselves. Answers with those that there were.
    ///
    /// They are killed rather than asked, so that neighbors keep their routes until the new ones have come up.
    pub async fn end_strays(&self, names: BTreeSet<DaemonName>) -> Result<BTreeSet<DaemonName>, SysError> {
        let marks = names.into_iter().map(|name| {
            let (flag, path) = self.layout.hallmark(&name);
            (name, flag, path)
        });
        let (run_dir, marks) = (self.layout.run_dir.clone(), marks.collect::<Vec<_>>());
        super::blocking(move || end_strays(&run_dir, &marks))
            .await
            .map_err(|error| SysError::io("end a stray daemon", error))
    }

    /// Every interface of a domain, and whether it is up and has its carrier.
    pub async fn interfaces_up(&self, domain: &DomainName) -> Result<BTreeMap<InterfaceName, bool>, SysError> {
        let failed = |error| SysError::netlink(format!("read the interfaces of {domain}"), error);
        let connection = self.connection(domain).await?;
        let links = link::dump(&connection).await.map_err(failed)?;
        Ok(links.into_iter().filter_map(|link| Some((link.name?, link.up && link.carrier))).collect())
    }
}

fn end_strays(run_dir: &Path, marks: &[(DaemonName, &str, PathBuf)]) -> io::Result<BTreeSet<DaemonName>> {
    let mut found = BTreeSet::new();
    if fault::is_off("strays") {
        return Ok(found);
    }
    let Ok(ours) = std::fs::metadata(run_dir).map(|metadata| metadata.dev()) else { return Ok(found) };
    // A lab or a container may have daemons with the same words in their command line, and another file system behind
    // them. The directory itself may have been removed under the daemon, so its number is not compared.
    let is_ours = |pid: u32, name: &DaemonName| {
        let seen_by_it = format!("/proc/{pid}/root{}", run_dir.join(name.domain.as_str()).display());
        std::fs::metadata(seen_by_it).is_ok_and(|seen| seen.dev() == ours)
    };
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let is_it =
            |(name, flag, path): &&(DaemonName, &str, PathBuf)| mark(pid, name.program, flag).as_ref() == Some(path);
        let Some(stray) = marks.iter().find(is_it) else { continue };
        let Ok(process) = Process::open(pid) else { continue };
        let (name, _, path) = stray;
        // Read again now that the pidfd is open: the number may have been given to another process meanwhile.
        if !is_it(&stray) || !is_ours(pid, name) {
            continue;
        }
        tracing::warn!(pid, "a daemon that no record tells of uses {}: replacing it", path.display());
        process.signal(Signal::KILL)?;
        process.wait_blocking()?;
        found.insert(name.clone());
    }
    Ok(found)
}

/// Whether a process is this program and has this in its command line.
pub(super) fn has_hallmark(pid: u32, program: Program, (flag, path): &(&str, PathBuf)) -> bool {
    mark(pid, program, flag).as_ref() == Some(path)
}

/// The path that stands after a word in the command line of a program; none for any other program.
fn mark(pid: u32, program: Program, flag: &str) -> Option<PathBuf> {
    if !runs(pid, program) {
        return None;
    }
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let path = words.windows(2).find(|pair| pair[0] == flag.as_bytes())?[1];
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

/// Whether a process runs a program. Debian and others append a version to the file's name.
pub(super) fn runs(pid: u32, program: Program) -> bool {
    let file = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    file.file_name().is_some_and(|name| name.as_bytes().starts_with(program.as_str().as_bytes()))
}

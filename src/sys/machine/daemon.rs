//! Routing daemons that run already: those to take over, and those in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Machine;
use crate::model::{DaemonKind, DomainName, InterfaceName};
use crate::sys::SysError;
use crate::sys::fault;
use crate::sys::netlink::link;
use crate::sys::process::{Process, ProcessRecord, Signal};

impl Machine {
    /// The routing daemon that an earlier supervisor started for the domain, to be watched from now on. One that is over is
    /// given out once, if the service manager kept its pidfd: that tells how it ended.
    pub fn adopt_daemon(&self, domain: &DomainName) -> Result<Option<(DaemonKind, Process)>, SysError> {
        let Some(record) = self.recorded_daemon(domain) else { return Ok(None) };
        let running = self.running_daemon(domain, &record)?;
        if let Some(process) = &running {
            self.place_in_cgroup(domain, process);
        }
        let process = running.or_else(|| self.ended_daemon(domain, &record));
        Ok(process.map(|process| (DaemonKind::Bird, process)))
    }

    /// The process of this record, if it still is that very process and the domain's daemon.
    pub(super) fn running_daemon(
        &self,
        domain: &DomainName,
        record: &ProcessRecord,
    ) -> Result<Option<Process>, SysError> {
        let process =
            Process::adopt(record).map_err(|error| SysError::io(format!("look at process {}", record.pid), error))?;
        // A record is a file, and whatever it says, only a BIRD with this domain's control socket is this domain's daemon.
        Ok(process.filter(|process| socket_of(process.pid()) == Some(self.layout.socket(domain, DaemonKind::Bird))))
    }

    /// Ends daemons that were started with one of these control sockets and that nobody watches: a supervisor started them
    /// and did not live to note it, their record was lost, or their namespace was replaced under them. They would keep the
    /// socket, and the kernel routes, for themselves. Answers with the sockets of those that there were.
    ///
    /// They are killed rather than asked, so that neighbors keep their routes until the new ones have come up.
    pub async fn end_strays(&self, sockets: BTreeSet<PathBuf>) -> Result<BTreeSet<PathBuf>, SysError> {
        let run_dir = self.layout.run_dir.clone();
        super::blocking(move || end_strays(&run_dir, &sockets))
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

fn end_strays(run_dir: &Path, sockets: &BTreeSet<PathBuf>) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    if fault::is_off("strays") {
        return Ok(found);
    }
    let Ok(ours) = std::fs::metadata(run_dir).map(|metadata| metadata.dev()) else { return Ok(found) };
    // A lab or a container may have daemons with the same words in their command line, and another file system behind
    // them. The directory itself may have been removed under the daemon, so its number is not compared.
    let is_ours = |pid: u32, socket: &Path| {
        let directory = socket.parent().unwrap_or(run_dir);
        let seen_by_it = PathBuf::from(format!("/proc/{pid}/root{}", directory.display()));
        std::fs::metadata(seen_by_it).is_ok_and(|seen| seen.dev() == ours)
    };
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(socket) = socket_of(pid).filter(|socket| sockets.contains(socket)) else { continue };
        let Ok(process) = Process::open(pid) else { continue };
        // Read again now that the pidfd is open: the number may have been given to another process meanwhile.
        if socket_of(pid).as_ref() != Some(&socket) || !is_ours(pid, &socket) {
            continue;
        }
        tracing::warn!(pid, "a daemon that no record tells of uses {}: replacing it", socket.display());
        process.signal(Signal::KILL)?;
        process.wait_blocking()?;
        found.insert(socket);
    }
    Ok(found)
}

/// The control socket in a BIRD's command line; none for anything else.
pub(super) fn socket_of(pid: u32) -> Option<PathBuf> {
    if !is_bird(pid) {
        return None;
    }
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let socket = words.windows(2).find(|pair| pair[0] == b"-s")?[1];
    Some(PathBuf::from(OsStr::from_bytes(socket)))
}

/// Whether a process runs a BIRD.
pub(super) fn is_bird(pid: u32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.file_name().is_some_and(|name| name.as_bytes().starts_with(b"bird"))
}

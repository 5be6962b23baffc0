//! Notes in the run directory about what the kernel cannot say: they are compared with the kernel and never believed alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Machine;
use crate::model::{DaemonName, DomainName, InterfaceName, Program};
use crate::plan::Layout;
use crate::sys::process::ProcessRecord;
use crate::sys::{SysError, fault, files};

/// `RUN_DIR/DOMAIN/namespace`: which namespace was published under the domain's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamespaceRecord {
    /// The boot.
    pub(super) boot_id: String,
    /// The namespace's number in that boot.
    pub(super) cookie: u64,
}

/// `RUN_DIR/DOMAIN/rdsup.nft.loaded`: the state of the packet filter after it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilterRecord {
    /// The namespace.
    #[serde(flatten)]
    pub(super) namespace: NamespaceRecord,
    /// nftables' generation right after.
    pub(super) generation: Option<u32>,
    /// Digest of the kernel's listing of the table in that generation; none until [`Machine::note_listings`].
    pub(super) listing: Option<u64>,
    /// Digest of the text that was loaded.
    pub(super) text: u64,
}

/// `RUN_DIR/DOMAIN/PROGRAM.json`: the process of a routing daemon's program that was started last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DaemonRecord {
    /// The process.
    pub(super) process: ProcessRecord,
    /// Whether it was told to leave alone for a while what the one before it had left in the kernel.
    #[serde(default)]
    pub(super) keeps: bool,
}

/// How long what a daemon left in the kernel may be there after the next one began: zebra's `-K90`, and a little more.
const LEFT_FOR: Duration = Duration::from_secs(100);

/// FNV-1a: tells a text from an altered one. Nobody gains by a collision, who could write the file as well.
pub fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) const NAMESPACE: &str = "namespace";
pub(super) const FILTER: &str = "rdsup.nft";
pub(super) const FILTER_LOADED: &str = "rdsup.nft.loaded";

/// Whether a directory in the run directory is a domain's: it has a file that is made for one.
pub(super) fn is_of_domain(directory: &Path) -> bool {
    let of_programs = Program::ALL.into_iter().flat_map(|program| {
        [process_record(directory, program), config_record(directory, program), Layout::config_in(directory, program)]
    });
    let of_all = [NAMESPACE, FILTER, FILTER_LOADED].map(|file| directory.join(file));
    of_all.into_iter().chain(of_programs).any(|file| file.exists())
}

/// Which process a program is, in its domain's directory.
fn process_record(directory: &Path, program: Program) -> PathBuf {
    directory.join(format!("{}.json", program.as_str()))
}

/// The configuration text that a program has read, beside the one that it should have read.
fn config_record(directory: &Path, program: Program) -> PathBuf {
    Layout::config_in(directory, program).with_extension("conf.loaded")
}

/// A text behind its digest: a part of it would have a daemon told the difference to something that it never read.
fn write_text(path: &Path, text: &str) -> Result<(), SysError> {
    let noted = format!("{:016x}\n{text}", digest(text));
    files::write(path, noted.as_bytes(), 0o600, None).map_err(|error| SysError::path("write", path, error))
}

/// The text, if there is one and it is whole.
fn read_text(path: &Path) -> Option<String> {
    let (noted, _) = files::read(path).ok().flatten()?;
    let (number, text) = noted.split_once('\n')?;
    (number == format!("{:016x}", digest(text))).then(|| text.to_owned())
}

/// A note, or `None` if there is none that can be read: a truncated one is as good as none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let (text, _) = files::read(path).ok()??;
    match serde_json::from_str(&text) {
        Ok(record) => Some(record),
        Err(error) if fault::is_off("damaged record") => panic!("{}: {error}", path.display()),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "ignored a damaged record");
            None
        }
    }
}

/// Writes a note, readable by root only.
pub(super) fn write(path: &Path, record: &impl Serialize) -> Result<(), SysError> {
    let text =
        serde_json::to_string(record).map_err(|error| SysError::path("write", path, std::io::Error::from(error)))?;
    files::write(path, text.as_bytes(), 0o600, None).map_err(|error| SysError::path("write", path, error))
}

impl Machine {
    /// Forgets what a claimed interface was like.
    pub fn forget_interface(&self, name: &InterfaceName) -> Result<(), SysError> {
        let paths = self.layout.interface_record(name);
        paths.iter().try_for_each(|path| files::remove(path).map_err(|error| SysError::path("remove", path, error)))
    }

    /// Remembers a process of a routing daemon, so that the next supervisor can adopt it, and whether it keeps what the one
    /// before it left in the kernel.
    pub fn record_daemon(&self, name: &DaemonName, process: &ProcessRecord, keeps: bool) -> Result<(), SysError> {
        write(&self.daemon_record(name), &DaemonRecord { process: process.clone(), keeps })
    }

    /// Whether the kernel may still hold what the daemon before this one wrote there.
    pub fn keeps_leftovers(&self, name: &DaemonName) -> bool {
        let record = read::<DaemonRecord>(&self.daemon_record(name)).filter(|record| record.keeps);
        record.is_some_and(|record| !record.process.age().is_ok_and(|age| age >= LEFT_FOR))
    }

    /// The process that was recorded for a program; whether it still runs is not asked.
    pub fn recorded_daemon(&self, name: &DaemonName) -> Option<ProcessRecord> {
        read::<DaemonRecord>(&self.daemon_record(name)).map(|record| record.process)
    }

    /// Whether any process of a routing daemon was recorded for a domain.
    pub(super) fn has_recorded_daemon(&self, domain: &DomainName) -> bool {
        DaemonName::all_of(domain).iter().any(|name| self.recorded_daemon(name).is_some())
    }

    fn daemon_record(&self, name: &DaemonName) -> PathBuf {
        process_record(&self.domain_dir(&name.domain), name.program)
    }

    fn loaded_record(&self, name: &DaemonName) -> PathBuf {
        config_record(&self.domain_dir(&name.domain), name.program)
    }

    fn running_record(&self, name: &DaemonName) -> PathBuf {
        Layout::config_in(&self.domain_dir(&name.domain), name.program).with_extension("conf.running")
    }

    /// Remembers the configuration text that a program of a daemon has read.
    pub fn record_loaded_config(&self, name: &DaemonName, text: &str) -> Result<(), SysError> {
        write_text(&self.loaded_record(name), text)
    }

    /// The configuration text that a program of a daemon read last; none where that is not known, or no longer whole.
    pub fn loaded_config(&self, name: &DaemonName) -> Option<String> {
        read_text(&self.loaded_record(name))
    }

    /// Remembers what a program of a daemon answered, as soon as it had read a configuration, when it was asked what it runs; nothing if it
    /// was not asked, or did not say.
    pub fn record_running_config(&self, name: &DaemonName, text: Option<&str>) -> Result<(), SysError> {
        let path = self.running_record(name);
        match text {
            Some(text) => write_text(&path, text),
            None => files::remove(&path).map_err(|error| SysError::path("remove", &path, error)),
        }
    }

    /// What it answered then.
    pub fn running_config(&self, name: &DaemonName) -> Option<String> {
        read_text(&self.running_record(name))
    }

    /// Forgets a process of a routing daemon, and what that had read.
    pub fn forget_daemon(&self, name: &DaemonName) -> Result<(), SysError> {
        [self.daemon_record(name), self.loaded_record(name), self.running_record(name)]
            .iter()
            .try_for_each(|path| files::remove(path).map_err(|error| SysError::path("remove", path, error)))
    }
}

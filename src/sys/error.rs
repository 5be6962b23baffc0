//! What can go wrong between rdsup and the machine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::netlink::NetlinkError;
use crate::model::{DomainName, Origin};
use crate::plan::{HOST_TAKEN_HINT, foreign_hint, host_taken};

/// Why the machine could not be observed or changed.
#[derive(Debug, thiserror::Error)]
pub enum SysError {
    /// A system call failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, naming the object.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A netlink request failed.
    #[error("cannot {what}: {source}")]
    Netlink {
        /// What was tried, naming the object.
        what: String,
        /// The kernel's answer, with its extended acknowledgement.
        source: NetlinkError,
    },
    /// Ordinary users may not make user namespaces.
    #[error("cannot make a user namespace: {source} ({reason})")]
    UserNamespaces {
        /// The sysctl that forbids it.
        reason: String,
        /// The command that allows it.
        command: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program is not installed.
    #[error("{program} is not installed")]
    MissingProgram {
        /// Its name.
        program: String,
    },
    /// A program that was started ended with an error.
    #[error("cannot {what}: {program} says: {words}")]
    Program {
        /// Its name.
        program: String,
        /// What it was to do.
        what: String,
        /// What it said.
        words: String,
    },
    /// A program that was started did not end in time.
    #[error("cannot {what}: {program} gave no answer within {within:?}")]
    Silent {
        /// Its name.
        program: String,
        /// What it was to do.
        what: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// Another supervisor owns the run directory.
    #[error("another supervisor{} owns {}", .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), .run_dir.display())]
    Locked {
        /// The run directory.
        run_dir: PathBuf,
        /// The process that holds the lock, where it says so.
        pid: Option<u32>,
    },
    /// The domain has no namespace.
    #[error("the namespace {domain} does not exist")]
    NoNamespace {
        /// The domain.
        domain: DomainName,
    },
    /// The domain's namespace is not ours.
    #[error("the namespace {domain} is not rdsup's: {found}")]
    Foreign {
        /// The domain.
        domain: DomainName,
        /// What was found.
        found: String,
    },
    /// Another run directory has the host for a domain.
    #[error("{}", host_taken(.run_dir))]
    HostTaken {
        /// That run directory.
        run_dir: PathBuf,
    },
    /// This process may not do what routing domains need.
    #[error("not enough privilege: {missing} missing")]
    NotPrivileged {
        /// The capabilities that are missing.
        missing: String,
    },
    /// The action belongs to the supervisor, not to the machine.
    #[error("{0} is done by the supervisor alone")]
    NotHere(&'static str),
}

impl SysError {
    /// A failed system call; `what` completes "cannot …".
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }

    /// The same for a path, with the verb before it.
    pub(crate) fn path(verb: &str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::io(format!("{verb} {}", path.display()), source)
    }

    /// A failed netlink request; `what` completes "cannot …".
    pub(crate) fn netlink(what: impl Into<String>, source: NetlinkError) -> Self {
        Self::Netlink { what: what.into(), source }
    }

    /// The error number of the kernel, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Netlink { source, .. } => source.errno(),
            _ => None,
        }
    }

    /// One thing to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            // Not `rdsup stop`: whoever starts twice wants the network that stands.
            Self::Locked { .. } => {
                Some("rdsup status shows what runs; rdsup apply brings what has changed in the file".to_owned())
            }
            Self::HostTaken { .. } => Some(HOST_TAKEN_HINT.to_owned()),
            Self::MissingProgram { program } => {
                let package = match program.as_str() {
                    "nft" => "nftables",
                    "bird" => "bird2",
                    "ip" => "iproute2",
                    other => other,
                };
                Some(format!("apt install {package}"))
            }
            Self::Foreign { domain, found } => Some(foreign_hint(domain, found)),
            Self::NotPrivileged { .. } => {
                Some("run it as root (sudo), or try the file with: rdsup lab FILE".to_owned())
            }
            Self::UserNamespaces { command, .. } => Some(format!("sudo {command}, or run it as root")),
            Self::NoNamespace { .. } => Some("rdsup start".to_owned()),
            Self::Io { .. } | Self::Netlink { .. } => match self.errno() {
                Some(libc::EPERM | libc::EACCES) => {
                    Some("run it as root (sudo), or try the file with: rdsup lab FILE".to_owned())
                }
                Some(libc::EOPNOTSUPP) => Some("rdsup doctor says what this kernel lacks".to_owned()),
                Some(libc::EMFILE | libc::ENFILE) => Some("raise the limit on open files (ulimit -n)".to_owned()),
                Some(libc::ENOSPC) => Some("make room on the file system".to_owned()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Why one step of a plan failed.
#[derive(Debug, thiserror::Error)]
#[error("{domain}: {source}")]
pub struct StepError {
    /// The domain of the step.
    pub domain: DomainName,
    /// The step as an admin would type it.
    pub step: String,
    /// Where in the file the object was asked for.
    pub origin: Origin,
    /// What went wrong.
    pub source: SysError,
}

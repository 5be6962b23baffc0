//! What one supervisor leaves with the service manager for the next one: names for descriptors, and values made of them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::str::FromStr;

use super::netns::Namespace;
use super::process::Process;
use crate::model::{DaemonName, DomainName, Program};

/// What a descriptor that was kept is. Written as its `FDNAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// The control socket, listening: what is asked between two supervisors is answered by the second.
    Control,
    /// A domain's network namespace, which lives on when its name is lost.
    Namespace(DomainName),
    /// A pidfd of a domain's routing daemon, which tells how it ended. It no longer tells the number of a process that is
    /// over, so that stands here.
    Daemon {
        /// Whose.
        name: DaemonName,
        /// Its process id.
        pid: u32,
        /// When it started, in clock ticks since boot.
        start_time: u64,
    },
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Namespace(domain) => write!(f, "netns-{domain}"),
            Self::Daemon { name: DaemonName { domain, program }, pid, start_time } => {
                write!(f, "{}-{domain}-{pid}-{start_time}", program.as_str())
            }
        }
    }
}

/// A name that is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name is not one that rdsup gives")]
pub struct NotOurs;

impl FromStr for Kept {
    type Err = NotOurs;

    fn from_str(name: &str) -> Result<Self, NotOurs> {
        if name == "control" {
            return Ok(Self::Control);
        }
        let domain = |name: &str| DomainName::new(name).map_err(|_| NotOurs);
        if let Some(name) = name.strip_prefix("netns-") {
            return Ok(Self::Namespace(domain(name)?));
        }
        let (program, name) = name.split_once('-').ok_or(NotOurs)?;
        let program = Program::ALL.into_iter().find(|it| it.as_str() == program).ok_or(NotOurs)?;
        // A domain's name may have hyphens, the numbers after it have none.
        let mut parts = name.rsplitn(3, '-');
        let (start_time, pid, name) = (parts.next(), parts.next(), parts.next());
        Ok(Self::Daemon {
            name: DaemonName { domain: domain(name.ok_or(NotOurs)?)?, program },
            pid: pid.and_then(|pid| pid.parse().ok()).ok_or(NotOurs)?,
            start_time: start_time.and_then(|time| time.parse().ok()).ok_or(NotOurs)?,
        })
    }
}

/// What an earlier supervisor left.
#[derive(Debug, Default)]
pub struct Handover {
    /// The control socket.
    pub control: Option<UnixListener>,
    /// Namespaces by domain.
    pub namespaces: BTreeMap<DomainName, Namespace>,
    /// The routing daemons, those that are over included.
    pub daemons: BTreeMap<DaemonName, Process>,
    /// The names of everything that is kept, to be forgotten when it is no longer wanted.
    pub names: Vec<String>,
}

impl Handover {
    /// Makes values of descriptors. What is not what its name says is left out, with a warning.
    pub fn of(kept: Vec<(String, OwnedFd)>) -> Self {
        let mut handover = Self::default();
        for (name, descriptor) in kept {
            if let Err(error) = handover.take(&name, descriptor) {
                tracing::warn!(name, "cannot use a descriptor that the service manager kept: {error}");
            }
            handover.names.push(name);
        }
        handover
    }

    fn take(&mut self, name: &str, descriptor: OwnedFd) -> io::Result<()> {
        match name.parse().map_err(io::Error::other)? {
            Kept::Control => self.control = Some(UnixListener::from(descriptor)),
            Kept::Namespace(domain) => drop(self.namespaces.insert(domain, Namespace::from_fd(descriptor)?)),
            Kept::Daemon { name, pid, start_time } => {
                drop(self.daemons.insert(name, Process::from_pidfd(pid, start_time, descriptor)?));
            }
        }
        Ok(())
    }
}

/// `SIOCUNIXFILE`: opens (as `O_PATH`) the file that a socket is bound to.
const SOCKET_FILE: libc::c_ulong = 0x89e0;

/// Whether a socket listens at `path`: the name may have been removed, or be another socket's by now.
pub fn listens_at(listener: &UnixListener, path: &Path) -> bool {
    // SAFETY: the request has no argument and returns a descriptor or -1.
    let number = unsafe { libc::ioctl(listener.as_raw_fd(), SOCKET_FILE) };
    if number < 0 {
        return false;
    }
    // SAFETY: the kernel has just opened it for us.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(number) });
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_what_it_was() {
        let domain = DomainName::new("a-2-3").unwrap();
        let daemon = Kept::Daemon { name: DaemonName::new(&domain, Program::Bird), pid: 4711, start_time: 99 };
        for (kept, name) in
            [(Kept::Control, "control"), (Kept::Namespace(domain), "netns-a-2-3"), (daemon, "bird-a-2-3-4711-99")]
        {
            assert_eq!(kept.to_string(), name);
            assert_eq!(name.parse(), Ok(kept));
        }
        for name in ["", "netns-", "bird-private", "bird-private-1", "bird-private-x-1", "stored", "netns-A"] {
            assert_eq!(name.parse::<Kept>(), Err(NotOurs), "{name}");
        }
    }

    #[test]
    fn what_is_not_what_its_name_says_is_left_out() {
        let nothing = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let names = ["netns-private", "bird-private-1-1", "else"];
        let handover = Handover::of(names.map(|name| (name.to_owned(), nothing())).into());
        assert!(handover.namespaces.is_empty() && handover.daemons.is_empty());
        assert_eq!(handover.names, names);
    }

    #[test]
    fn a_socket_is_known_by_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let first = UnixListener::bind(&path).unwrap();
        // Asking takes CAP_NET_ADMIN; without it no socket is taken over.
        let may = nix::unistd::geteuid().is_root();
        assert_eq!(listens_at(&first, &path), may);
        std::fs::remove_file(&path).unwrap();
        assert!(!listens_at(&first, &path));
        let second = UnixListener::bind(&path).unwrap();
        assert!(!listens_at(&first, &path));
        assert_eq!(listens_at(&second, &path), may);
    }
}

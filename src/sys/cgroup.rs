//! A cgroup for each domain's daemon, where cgroup v2 was delegated to us.
//!
//! A service manager that delegates (`Delegate=yes`) marks the cgroup of the service as ours to make groups in. The
//! supervisor sits in a group below it, where `DelegateSubgroup=` of systemd 254 starts it or where it moves by itself,
//! because a group with processes of its own cannot give its children controllers. The daemons are beside it, so that
//! `systemd-cgls` and `systemd-cgtop` show them by domain and they can be limited by domain. Where nothing was delegated
//! nothing is done.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::model::DomainName;

/// The group that the supervisor is in, below the one that was delegated.
const SUPERVISOR: &str = "supervisor";
/// What the groups of domains are called, before the name: none can then have the name of a file of the kernel.
const DOMAIN: &str = "domain-";
/// How a service manager marks what it delegated; the first needs `CAP_SYS_ADMIN`, the second serves user managers.
const MARKS: [&str; 2] = ["trusted.delegate", "user.delegate"];

/// A cgroup that is ours to make groups in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegated {
    directory: PathBuf,
}

/// What was found of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Ours to make groups in.
    Delegated(Delegated),
    /// There, and not ours.
    NotDelegated(PathBuf),
    /// No cgroup v2 is mounted.
    None,
}

impl Found {
    /// What a process was given; this one without a number. Nothing is changed.
    pub fn look(pid: Option<u32>) -> io::Result<Self> {
        let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let own = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let Some(directory) = own_directory(&own, &mounts).filter(|directory| directory.is_dir()) else {
            return Ok(Self::None);
        };
        let parent = directory.parent().filter(|_| directory.file_name().is_some_and(|name| name == SUPERVISOR));
        let ours = [Some(directory.as_path()), parent].into_iter().flatten().find(|group| is_marked(group));
        let delegated = ours.map(|group| Delegated { directory: group.to_owned() });
        Ok(delegated.map_or(Self::NotDelegated(directory), Self::Delegated))
    }
}

impl Delegated {
    /// The group that was delegated.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Moves this process into the supervisor's group, out of the way of the domains'.
    pub fn settle(&self) -> io::Result<()> {
        let group = self.directory.join(SUPERVISOR);
        make(&group)?;
        // Of several processes in the group only this one moves: the others are not ours.
        move_to(&group)?.write_all(std::process::id().to_string().as_bytes())
    }

    /// The group of a domain, made if it is not there, as the file that moves whoever writes `0` to it.
    pub fn join(&self, domain: &DomainName) -> io::Result<fs::File> {
        let group = self.directory.join(format!("{DOMAIN}{domain}"));
        make(&group)?;
        move_to(&group)
    }

    /// Moves a process that runs already into the group of its domain.
    pub fn place(&self, domain: &DomainName, pid: u32) -> io::Result<()> {
        self.join(domain)?.write_all(pid.to_string().as_bytes())
    }

    /// Removes the groups of domains that have no process any more, except those of `wanted`.
    pub fn tidy(&self, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(domain) = name.to_str().and_then(|name| name.strip_prefix(DOMAIN)) else { continue };
            if wanted(domain) {
                continue;
            }
            match fs::remove_dir(entry.path()) {
                // EBUSY: a process is in it still, a daemon that does not leave, or one that somebody put there.
                Err(error) if !matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOENT)) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a process is written to that is to be in the group.
fn move_to(group: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).open(group.join("cgroup.procs"))
}

fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn is_marked(group: &Path) -> bool {
    MARKS.iter().any(|mark| {
        let mut value = [0; 1];
        rustix::fs::getxattr(group, *mark, &mut value) == Ok(1) && value == *b"1"
    })
}

/// The directory of a process's own cgroup v2, from its `/proc/PID/cgroup` and `mountinfo`.
fn own_directory(own: &str, mounts: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        // `36 35 98:0 /root /mount/point options tags - type source options`
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        // A container may see a part of the tree only; what lies outside of it has no directory.
        let inside = path.strip_prefix(if root == "/" { "" } else { &root })?;
        (rest.split(' ').next() == Some("cgroup2")).then(|| PathBuf::from(point).join(inside.trim_start_matches('/')))
    })
}

/// A path of mountinfo, in which white space and backslashes are octal.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (code, character)| path.replace(code, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_in_a_plain_a_hybrid_and_a_container_mount() {
        let plain = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        let own = "0::/system.slice/rdsup.service/supervisor\n";
        let directory = |own: &str, mounts: &str| own_directory(own, mounts).map(|path| path.display().to_string());
        let wanted = "/sys/fs/cgroup/system.slice/rdsup.service/supervisor";
        assert_eq!(directory(own, plain).as_deref(), Some(wanted));
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(directory("1:cpu:/x\n0::/\n", hybrid).as_deref(), Some("/sys/fs/cgroup/unified/"));
        let container = "31 23 0:28 /machine/x /sys/fs/cgroup\\040here rw - cgroup2 cgroup2 rw\n";
        assert_eq!(directory("0::/machine/x/init\n", container).as_deref(), Some("/sys/fs/cgroup here/init"));
        assert_eq!(directory("0::/elsewhere\n", container), None);
        assert_eq!(directory("1:cpu:/x\n", plain), None);
    }
}

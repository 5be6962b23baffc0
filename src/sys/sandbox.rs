//! Throwaway namespaces of every kind, in which a whole machine can be tried without touching the real one.
//!
//! Two steps, because only a child can be in the new process namespace: [`leave`] in the first process, which then starts
//! the one that calls [`furnish`]. When that one, the first of its process namespace, ends, the kernel ends everything
//! else in it, and with the processes go the network namespaces and mounts.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;

use super::{SysError, files, netns, privilege};

/// Leaves the machine: new mount, network, host name and process namespaces (the last for children only), and without
/// privileges a user namespace in which the user is root. The process must have one thread.
pub fn leave() -> Result<(), SysError> {
    let kinds =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWPID;
    let failed = |error| SysError::io("make throwaway namespaces", error);
    if privilege::require().is_ok() {
        return netns::leave_for_good(kinds).map_err(failed);
    }
    let maps = netns::UserMaps::root_only();
    netns::leave_for_good(kinds | CloneFlags::CLONE_NEWUSER).and_then(|()| maps.write()).map_err(|source| {
        match privilege::user_namespaces_forbidden() {
            Some((reason, command)) => SysError::UserNamespaces { reason, command, source },
            None => failed(source),
        }
    })
}

/// Makes the new namespaces a place to live in: own `/proc`, empty `/run`, own `/sys`, and a host name. The directories
/// in `cover` are covered by empty ones where they exist.
pub fn furnish(host_name: &str, cover: &[&Path]) -> Result<(), SysError> {
    let guard = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let failed = |what: &str, error: nix::errno::Errno| SysError::io(what, io::Error::from(error));
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)
        .map_err(|error| failed("keep mounts to itself", error))?;
    mount(Some("proc"), "/proc", Some("proc"), guard, None::<&str>).map_err(|error| failed("mount /proc", error))?;
    empty(Path::new("/run"))?;
    for directory in cover.iter().filter(|path| path.is_dir()) {
        empty(directory)?;
    }
    // Where parts of /sys are hidden from this machine (in a container), no other may be mounted; few programs care.
    let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), guard, None::<&str>);
    // SAFETY: the pointer and the length are those of one string.
    if unsafe { libc::sethostname(host_name.as_ptr().cast(), host_name.len()) } != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "cannot set the host name");
    }
    Ok(())
}

/// Gives root a user's and groups' names, too, where this user namespace has no other id: for programs that insist on becoming a
/// user of their own. Not where there are others, because whoever is to be such a user then must not be root.
pub fn name_root(user: &str, groups: &[&str]) -> Result<(), SysError> {
    if files::is_mapped("uid_map", 1) {
        return Ok(());
    }
    cover_with(Path::new("/etc/passwd"), &named(&[user], "x:0:0::/:/bin/sh"))?;
    cover_with(Path::new("/etc/group"), &named(groups, "x:0:"))
}

/// What is to become of a file of users or groups: these names, and only once.
fn named<'a>(names: &'a [&str], rest: &'a str) -> impl Fn(&str) -> String + 'a {
    move |text| {
        let is_other = |line: &&str| line.split(':').next().is_none_or(|name| !names.contains(&name));
        let others = text.lines().filter(is_other).map(str::to_owned);
        let own = names.iter().map(|name| format!("{name}:{rest}"));
        others.chain(own).fold(String::new(), |all, line| all + &line + "\n")
    }
}

/// Covers a file with what `change` makes of it.
fn cover_with(path: &Path, change: &dyn Fn(&str) -> String) -> Result<(), SysError> {
    let text = fs::read_to_string(path).map_err(|error| SysError::path("read", path, error))?;
    let copy = Path::new("/run").join(path.file_name().unwrap_or_default());
    files::write(&copy, change(&text).as_bytes(), 0o644, None)
        .map_err(|error| SysError::path("write", &copy, error))?;
    let covered = mount(Some(&copy), path, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    covered.map_err(|error| SysError::path("cover", path, error))?;
    // It lives on where it is mounted.
    fs::remove_file(&copy).map_err(|error| SysError::path("remove", &copy, error))
}

fn empty(directory: &Path) -> Result<(), SysError> {
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))
        .map_err(|error| SysError::path("mount an empty", directory, error))
}

/// Waits, as the first process of a process namespace must, for everybody's children until `pid` is over.
pub fn reap_until(pid: u32) -> io::Result<super::process::ExitStatus> {
    use super::process::ExitStatus;
    use nix::sys::wait::{WaitStatus, wait};
    loop {
        let (ended, status) = match wait() {
            Ok(WaitStatus::Exited(ended, code)) => (ended, ExitStatus::Code(code)),
            Ok(WaitStatus::Signaled(ended, signal, _)) => (ended, ExitStatus::Signal(signal as i32)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if u32::try_from(ended.as_raw()) == Ok(pid) {
            return Ok(status);
        }
    }
}

/// Lets a process that only waits for another ignore the terminal's signals, which are meant for that other.
pub fn ignore_terminal_signals() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for each in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: ignoring installs no handler that could run.
        let _ = unsafe { signal(each, SigHandler::SigIgn) };
    }
}

/// Whether a path lies below `/run`, which is empty inside.
pub fn is_hidden(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|path| path.starts_with("/run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_root_is_there_once_and_others_stay() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nfrr:x:104:108::/nonexistent:/usr/sbin/nologin\nfrrx:x:105:109::/:/bin/sh";
        assert_eq!(
            named(&["frr"], "x:0:0::/:/bin/sh")(passwd),
            "root:x:0:0:root:/root:/bin/bash\nfrrx:x:105:109::/:/bin/sh\nfrr:x:0:0::/:/bin/sh\n"
        );
        let group = "root:x:0:\nfrrvty:x:107:frr\n";
        assert_eq!(named(&["frr", "frrvty"], "x:0:")(group), "root:x:0:\nfrr:x:0:\nfrrvty:x:0:\n");
    }
}

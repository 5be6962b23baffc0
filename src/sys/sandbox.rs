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

use super::{SysError, netns, privilege};

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

//! One supervisor for each run directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::SysError;

/// The lock; dropped (or with the process gone, however it ended) it is free.
#[derive(Debug)]
pub struct RunDirLock {
    _file: Flock<File>,
    path: PathBuf,
}

impl RunDirLock {
    /// Takes `RUN_DIR/rdsup.lock` and writes our process id into it, for the message that the next one prints.
    pub fn take(run_dir: &Path) -> Result<Self, SysError> {
        let path = run_dir.join("rdsup.lock");
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)
                .map_err(|error| SysError::path("open", &path, error))?;
            let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((file, Errno::EWOULDBLOCK)) => {
                    return Err(SysError::Locked { run_dir: run_dir.to_owned(), pid: pid_in(file) });
                }
                Err((_, error)) => return Err(SysError::path("lock", &path, error)),
            };
            // Its last holder may have removed it between our opening and our locking: then it locks nothing.
            if !is_still_there(&file, &path) {
                continue;
            }
            let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(|error| SysError::path("write", &path, error))?;
            return Ok(Self { _file: file, path });
        }
    }

    /// Gives the lock up and leaves no file.
    pub fn remove(self) {
        // Removed while it is held, so nobody can hold it; a file that stays is only untidy.
        let _ = std::fs::remove_file(&self.path);
    }

    /// The process id that the holder wrote, if the lock is held.
    pub fn holder(run_dir: &Path) -> Option<u32> {
        let file = OpenOptions::new().read(true).open(run_dir.join("rdsup.lock")).ok()?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => None,
            Err((file, _)) => pid_in(file),
        }
    }
}

fn is_still_there(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn pid_in(mut file: File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_has_one_owner_whose_process_is_named_and_is_free_when_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let lock = RunDirLock::take(directory.path()).unwrap();
        match RunDirLock::take(directory.path()) {
            Err(SysError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        assert_eq!(RunDirLock::holder(directory.path()), Some(std::process::id()));
        drop(lock);
        assert_eq!(RunDirLock::holder(directory.path()), None);
        RunDirLock::take(directory.path()).unwrap();
    }
}

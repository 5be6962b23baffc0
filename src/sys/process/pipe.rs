//! A named pipe for what a daemon says, which waits for nobody and outlives whoever reads.
//!
//! An ordinary pipe would kill the daemon (SIGPIPE) when its reader dies, and stop it when its reader is slow. Here both
//! ends are opened for reading and writing, so that there is always a reader, and without waiting: while the pipe is full
//! what the daemon writes is lost, and the daemon goes on. The next reader opens the same pipe by its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::sys::stat::Mode;
use tokio::net::unix::pipe::{self, Receiver};

use crate::sys::SysError;

/// The end at which what was said is read.
#[derive(Debug)]
pub struct OutputPipe(Receiver);

impl OutputPipe {
    /// Opens the pipe of this name, which must lie in a directory of ours alone. It is made if it is not there.
    pub fn open(path: &Path) -> Result<Self, SysError> {
        let open = || {
            make(path)?;
            pipe::OpenOptions::new().read_write(true).open_receiver(path)
        };
        open().map(Self).map_err(|error| SysError::path("open the pipe", path, error))
    }

    /// Returns when there is something to read.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Reads what there is; `WouldBlock` if that is nothing.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

/// The end that a daemon gets.
pub(super) fn writer(path: &Path) -> io::Result<File> {
    make(path)?;
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    if file.metadata()?.file_type().is_fifo() { Ok(file) } else { Err(io::Error::other("this is no pipe")) }
}

fn make(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_fifo() => return Ok(()),
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
        }
        Err(error) => return Err(error),
    }
    Ok(nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600))?)
}

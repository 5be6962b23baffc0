//! How a daemon's socket is reached.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::DaemonError;

/// How long a connection waits before it is tried again while the daemon has as many waiting as it can.
const AGAIN: Duration = Duration::from_millis(10);

/// Connects to the socket of a daemon within `patience`.
///
/// The directory of FRR's sockets is its user's. Through a link in it, one that was taken over would have root talk to the daemon of
/// another domain, or to anything else that listens on the machine; so what is connected to is what lies there, and that must
/// be a socket.
///
/// A daemon that does something else for a moment takes nobody in, and only a few may wait (BIRD lets 8, FRR 5). To whoever comes
/// after them the kernel says EAGAIN at once instead of letting them wait (unix(7)), because the socket here does not block.
pub(super) async fn connect(socket: &Path, patience: Duration) -> Result<UnixStream, DaemonError> {
    let deadline = Instant::now() + patience;
    let unreachable = |source| DaemonError::Unreachable { socket: socket.to_owned(), source };
    let held = hold(socket).map_err(unreachable)?;
    let there = format!("/proc/self/fd/{}", held.as_raw_fd());
    loop {
        match UnixStream::connect(&there).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    return Err(DaemonError::NoAnswer { socket: socket.to_owned(), after: patience });
                }
                sleep(AGAIN).await;
            }
            Err(source) => return Err(unreachable(source)),
        }
    }
}

/// The socket itself, by a descriptor that can only be named.
fn hold(socket: &Path) -> io::Result<OwnedFd> {
    let held = rustix::fs::open(socket, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&held)?.st_mode) {
        FileType::Socket => Ok(held),
        FileType::Symlink => Err(io::Error::other("it is a link, which is not followed")),
        _ => Err(io::Error::other("it is no socket")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream as Waiting};

    use nix::sys::socket::{Backlog, listen};
    use tempfile::TempDir;

    use super::*;

    /// A listener that has as many waiting as it can.
    fn full(directory: &TempDir) -> (UnixListener, Waiting) {
        let path = directory.path().join("ctl");
        let listener = UnixListener::bind(&path).expect("a socket");
        // What listens may be told of another backlog; with 0 one may wait.
        listen(&listener, Backlog::new(0).expect("a backlog")).expect("listen");
        let waiting = Waiting::connect(&path).expect("one may wait");
        (listener, waiting)
    }

    #[tokio::test]
    async fn whoever_finds_others_waiting_waits_too() {
        let directory = TempDir::new().expect("a directory");
        let (listener, _waiting) = full(&directory);
        let socket = directory.path().join("ctl");
        let connecting = tokio::spawn(async move { connect(&socket, Duration::from_secs(10)).await });
        // It has met the full queue before anybody is taken out of it.
        tokio::time::sleep(AGAIN * 3).await;
        assert!(!connecting.is_finished());
        listener.accept().expect("the one that waits");
        connecting.await.expect("it ends").expect("there is room now");
    }

    #[tokio::test]
    async fn a_queue_that_stays_full_is_no_answer() {
        let directory = TempDir::new().expect("a directory");
        let (_listener, _waiting) = full(&directory);
        let error = connect(&directory.path().join("ctl"), Duration::from_millis(30)).await.expect_err("full");
        assert!(matches!(error, DaemonError::NoAnswer { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_link_is_not_followed_and_what_is_no_socket_is_not_connected_to() {
        let directory = TempDir::new().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let _listener = UnixListener::bind(at("ctl")).expect("a socket");
        std::os::unix::fs::symlink(at("ctl"), at("link")).expect("a link");
        std::fs::File::create(at("file")).expect("a file");
        let patience = Duration::from_secs(5);
        connect(&at("ctl"), patience).await.expect("it listens");
        for (name, words) in [("link", "it is a link"), ("file", "it is no socket"), ("none", "No such file")] {
            let error = connect(&at(name), patience).await.expect_err("there is none").to_string();
            assert!(error.contains(words) && error.contains(name), "{error}");
        }
    }
}

//! How a daemon's socket is reached.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::DaemonError;

/// How long a connection waits before it is tried again while the daemon has as many waiting as it can.
const AGAIN: Duration = Duration::from_millis(10);

/// Connects to the socket of a daemon within `patience`.
///
/// A daemon that does something else for a moment takes nobody in, and only a few may wait (BIRD lets 8, FRR 5). To whoever comes
/// after them the kernel says EAGAIN at once instead of letting them wait (unix(7)), because the socket here does not block.
pub(super) async fn connect(socket: &Path, patience: Duration) -> Result<UnixStream, DaemonError> {
    let deadline = Instant::now() + patience;
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    return Err(DaemonError::NoAnswer { socket: socket.to_owned(), after: patience });
                }
                sleep(AGAIN).await;
            }
            Err(source) => return Err(DaemonError::Unreachable { socket: socket.to_owned(), source }),
        }
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
}

//! The command line's end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio_util::codec::Framed;

use super::event::Event;
use super::frame::{FrameCodec, LARGEST_FRAME, Returned, read_reply, write_call};
use super::protocol::{CallError, Reply, Request};
use crate::model::DomainName;

/// How long a supervisor that is being restarted is waited for, and how often it is looked for.
const RESTART_WITHIN: Duration = Duration::from_secs(5);
const TRY_EVERY: Duration = Duration::from_millis(50);

/// A connection to the supervisor.
#[derive(Debug)]
pub struct Client {
    frames: Framed<UnixStream, FrameCodec>,
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No supervisor listens.
    #[error("the supervisor is not running: nothing listens at {}", .0.display())]
    NotRunning(PathBuf),
    /// The socket cannot be reached for another reason.
    #[error("cannot reach the supervisor at {}: {source}", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// The connection ended before the answer.
    #[error("the supervisor at {} broke off: {source}", socket.display())]
    BrokenOff {
        /// The socket.
        socket: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// The supervisor says no.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Whether the process that listens on the socket still runs.
fn is_listener_there(stream: &UnixStream) -> bool {
    // Without a number the listener is in a process namespace that cannot be seen from here.
    let pid = stream.peer_cred().ok().and_then(|credentials| credentials.pid()).filter(|pid| *pid > 0);
    // Whoever may not signal it (EPERM) learns as well that it is there.
    pid.is_none_or(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

impl Client {
    /// Connects to the supervisor that listens at `socket`.
    ///
    /// The service manager keeps the socket while it restarts the supervisor, and when it has stopped it: then nobody is
    /// there to ask. Nothing is asked of a socket whose listener is gone, because whoever listens next would carry it out
    /// when the caller no longer waits for it.
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        let deadline = Instant::now() + RESTART_WITHIN;
        let stream = loop {
            let stream = UnixStream::connect(socket).await.map_err(|source| match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NotRunning(socket.to_owned())
                }
                _ => ClientError::Unreachable { socket: socket.to_owned(), source },
            })?;
            if is_listener_there(&stream) {
                break stream;
            }
            if Instant::now() >= deadline {
                return Err(ClientError::NotRunning(socket.to_owned()));
            }
            drop(stream);
            tokio::time::sleep(TRY_EVERY).await;
        };
        Ok(Self { frames: Framed::new(stream, FrameCodec::new(LARGEST_FRAME)), socket: socket.to_owned() })
    }

    /// Makes a request and waits for its answer.
    pub async fn call(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.exchange(request, None).await
    }

    /// Makes a request and hands each line of its progress to `line`.
    pub async fn call_with_progress(
        &mut self,
        request: &Request,
        mut line: impl FnMut(&str),
    ) -> Result<Reply, ClientError> {
        self.exchange(request, Some(&mut line)).await
    }

    /// Hands each event to `event`, the first being how everything is, as long as that answers `true` and the supervisor is
    /// there.
    pub async fn listen(
        &mut self,
        domain: Option<DomainName>,
        mut event: impl FnMut(&Event) -> bool,
    ) -> Result<(), ClientError> {
        self.ask(&Request::Events { domain }, true).await?;
        loop {
            match self.next().await? {
                Returned::Progress(Reply::Event(happened)) if !event(&happened) => return Ok(()),
                Returned::Progress(_) => {}
                Returned::End(reply) => return Ok(reply.map(drop)?),
            }
        }
    }

    async fn ask(&mut self, request: &Request, more: bool) -> Result<(), ClientError> {
        let call = write_call(request, more).map_err(|error| self.broken_off(error.into()))?;
        let Err(source) = self.frames.send(call).await else { return Ok(()) };
        // Whoever is turned away is told why, before it has asked.
        match self.frames.next().await.and_then(Result::ok).map(read_reply) {
            Some(Ok(Returned::End(Err(error)))) => Err(error.into()),
            _ => Err(self.broken_off(source)),
        }
    }

    async fn next(&mut self) -> Result<Returned, ClientError> {
        match self.frames.next().await {
            Some(Ok(value)) => Ok(read_reply(value)?),
            Some(Err(source)) => Err(self.broken_off(source)),
            None => Err(self.broken_off(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    async fn exchange(
        &mut self,
        request: &Request,
        mut progress: Option<&mut dyn FnMut(&str)>,
    ) -> Result<Reply, ClientError> {
        self.ask(request, progress.is_some()).await?;
        loop {
            match self.next().await? {
                Returned::End(reply) => return Ok(reply?),
                Returned::Progress(Reply::Lines(lines)) => {
                    if let Some(progress) = &mut progress {
                        for line in &lines {
                            progress(line);
                        }
                    }
                }
                Returned::Progress(_) => {}
            }
        }
    }

    fn broken_off(&self, source: io::Error) -> ClientError {
        ClientError::BrokenOff { socket: self.socket.clone(), source }
    }
}

//! The supervisor's end: accepts, finds out who calls, decides, and hands what is allowed to the [`Handler`].

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{self, AccessRules};
use super::frame::{FrameCodec, largest_request, read_call, write_reply};
use super::peer::Caller;
use super::places::Places;
use super::protocol::{CallError, Reply, Request};
use crate::sys::handover::listens_at;

/// Connections at one time of which it is not known yet what their user may do. Root is known by its number.
const MOST_UNKNOWN: usize = 64;
/// How long a client may take to read what it asked for.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection may do nothing after it has asked something, so that forgotten ones do not keep others out.
const IDLE_FOR: Duration = Duration::from_mins(5);
/// How long it may take to ask something at all, and from the beginning of a question to its end.
const ASKS_WITHIN: Duration = Duration::from_secs(10);

/// How long answers under way are waited for when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// What carries requests out.
pub trait Handler: Send + Sync + 'static {
    /// The rules in force now.
    fn rules(&self) -> Arc<AccessRules>;

    /// Carries one request out. It is allowed; a `Ctl` must still ask [`access::ctl_access`] how.
    ///
    /// The future is not dropped when the caller goes away: what was begun is finished.
    fn handle(&self, request: Request, caller: Caller, progress: Progress) -> BoxFuture<'_, Result<Reply, CallError>>;
}

/// Where a long request tells how far it is. Lines that nobody wants to hear vanish.
#[derive(Clone, Debug)]
pub struct Progress(Option<Heard>);

#[derive(Clone, Debug)]
struct Heard {
    lines: mpsc::UnboundedSender<String>,
    /// Holds one reply, so that who sends a stream goes at the pace of the one who reads it.
    stream: mpsc::Sender<Reply>,
}

/// Whoever listened is gone.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

impl Progress {
    /// Progress that nobody hears.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Tells the caller.
    pub fn line(&self, line: impl Into<String>) {
        if let Some(heard) = &self.0 {
            // The caller may be gone.
            let _ = heard.lines.send(line.into());
        }
    }

    /// Whether the caller wants to hear more than the answer.
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Sends one reply of several, when the caller has read the one before.
    pub async fn send(&self, reply: Reply) -> Result<(), Gone> {
        match &self.0 {
            Some(heard) => heard.stream.send(reply).await.map_err(|_| Gone),
            None => Err(Gone),
        }
    }

    /// Waits until the caller is gone.
    pub async fn gone(&self) {
        if let Some(heard) = &self.0 {
            heard.stream.closed().await;
        }
    }
}

/// The listening socket. Dropping it removes the socket's name.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    leaves_name: AtomicBool,
}

impl Server {
    /// Listens at `path`, replacing a socket that a dead supervisor left behind: the caller holds the lock of the run
    /// directory, so no living one can be there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // Everyone may connect; who may do what is decided for every request.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, path: path.to_owned(), leaves_name: false.into() })
    }

    /// Goes on with the socket of an earlier supervisor, if it still is the one at `path`. Whoever connected to it meanwhile
    /// waits in its backlog.
    pub fn inherit(listener: Option<std::os::unix::net::UnixListener>, path: &Path) -> Option<Self> {
        let listener = listener.filter(|listener| listens_at(listener, path))?;
        let inherit = || -> io::Result<Self> {
            // Again, so that the kernel names this process to who connects.
            nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN)?;
            listener.set_nonblocking(true)?;
            Ok(Self { listener: UnixListener::from_std(listener)?, path: path.to_owned(), leaves_name: true.into() })
        };
        inherit().inspect_err(|error| tracing::warn!("cannot take over {}: {error}", path.display())).ok()
    }

    /// The socket itself, to be kept for the next supervisor.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Whether the socket keeps its name when this value is gone, as one that is kept elsewhere must. One that was inherited
    /// does, one that was bound here does not.
    pub fn leave_name(&self, leave: bool) {
        self.leaves_name.store(leave, Ordering::Relaxed);
    }

    /// Serves until `end` is ready. Then no request is taken any more, and those under way get their answers.
    pub async fn serve(&self, handler: Arc<dyn Handler>, end: impl Future<Output = ()> + Send) {
        let connections = TaskTracker::new();
        let closing = CancellationToken::new();
        tokio::select! {
            () = end => {}
            () = self.accept(handler, &connections, &closing) => {}
        }
        closing.cancel();
        connections.close();
        // Whoever does not read its answer is not waited for.
        let _ = timeout(FAREWELL, connections.wait()).await;
    }

    async fn accept(&self, handler: Arc<dyn Handler>, connections: &TaskTracker, closing: &CancellationToken) {
        let places = Arc::new(Places::default());
        let unknown = Arc::new(Semaphore::new(MOST_UNKNOWN));
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let is_root = stream.peer_cred().is_ok_and(|credentials| credentials.uid() == 0);
                    let unknown = if is_root { None } else { Some(Arc::clone(&unknown).try_acquire_owned()) };
                    let Ok(unknown) = unknown.transpose() else {
                        // Nobody waits in the backlog, where root would have to wait behind them.
                        turn_away(&stream);
                        continue;
                    };
                    let (handler, places, closing) = (Arc::clone(&handler), Arc::clone(&places), closing.clone());
                    connections.spawn(async move {
                        if let Err(error) = connection(stream, handler, places, unknown, closing).await {
                            tracing::debug!(%error, "a control connection broke");
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, usually. Accepting again at once would only burn the processor.
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !*self.leaves_name.get_mut() {
            // Nothing can be done about a name that stays; the next supervisor removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

type Connection = Framed<UnixStream, FrameCodec>;

/// Says that there is no time now, and does not wait for anything.
fn turn_away(stream: &UnixStream) {
    let reply = Err(CallError::failed("too many connect at the same time; try again"));
    let mut words = write_reply(&reply, false).to_string().into_bytes();
    words.push(0);
    // A stream that has not been used has room for it.
    let _ = stream.try_write(&words);
}

async fn connection(
    stream: UnixStream,
    handler: Arc<dyn Handler>,
    places: Arc<Places>,
    unknown: Option<OwnedSemaphorePermit>,
    closing: CancellationToken,
) -> io::Result<()> {
    let caller = Caller::of(&stream).await?;
    let rank = access::rank(&caller, &handler.rules());
    drop(unknown);
    let mut frames = Framed::new(stream, FrameCodec::new(largest_request(rank)));
    let place = match places.enter(caller.uid, rank) {
        Ok(place) => place,
        Err(words) => return send(&mut frames, &Err(CallError::failed(words)), false).await,
    };
    let mut patience = ASKS_WITHIN;
    loop {
        let next = tokio::select! {
            next = question(&mut frames, patience) => next,
            () = place.leave.cancelled() => return Ok(()),
            () = closing.cancelled() => return Ok(()),
        };
        // A question that comes together with the end of the place is not carried out, so that nobody has to guess.
        let Some(next) = next.filter(|_| place.is_asked()) else { return Ok(()) };
        let call = match next {
            Ok(value) => read_call(value),
            Err(error) => {
                // Where the next frame starts is unknown now.
                send(&mut frames, &Err(CallError::invalid(error)), false).await?;
                return Ok(());
            }
        };
        let reply = match call {
            Ok((request, more)) => carry_out(&mut frames, &handler, request, &caller, more).await?,
            Err(error) => Err(error),
        };
        send(&mut frames, &reply, false).await?;
        place.is_answered();
        patience = IDLE_FOR;
    }
}

/// The next question. None if the caller is gone, does not begin one for as long as `patience`, or does not come to its end.
async fn question(frames: &mut Connection, patience: Duration) -> Option<io::Result<Value>> {
    let begun = Instant::now();
    let mut was_in_it = false;
    loop {
        if let Ok(next) = timeout(ASKS_WITHIN, frames.next()).await {
            return next;
        }
        let is_in_it = !frames.read_buffer().is_empty();
        if is_in_it && (was_in_it || patience <= ASKS_WITHIN) || !is_in_it && begun.elapsed() >= patience {
            return None;
        }
        was_in_it = is_in_it;
    }
}

async fn carry_out(
    frames: &mut Connection,
    handler: &Arc<dyn Handler>,
    request: Request,
    caller: &Caller,
    more: bool,
) -> io::Result<Result<Reply, CallError>> {
    if let Err(denied) = access::allowed(&request, caller, &handler.rules()) {
        tracing::info!(uid = caller.uid, pid = caller.pid, request = request.what(), "denied");
        return Ok(Err(denied.into()));
    }
    let is_stream = matches!(request, Request::Events { .. });
    let noted = Noted::of(&request, caller);
    let (lines, mut said) = mpsc::unbounded_channel();
    let (stream, mut streamed) = mpsc::channel(1);
    // Both end when the last sender is gone, so one that nobody is given must not stay.
    let progress = Progress(Some(Heard { lines, stream }).filter(|_| more));
    // In a task of its own: if the client goes away this function ends, and the request does not.
    let task = {
        let (handler, caller) = (Arc::clone(handler), caller.clone());
        tokio::spawn(async move { handler.handle(request, caller, progress).await })
    };
    loop {
        tokio::select! {
            Some(line) = said.recv() => send(frames, &Ok(Reply::Lines(vec![line])), true).await?,
            // A pager that is looked at does not read for as long as it takes.
            reply = streamed.recv() => match reply {
                Some(reply) => frames.send(write_reply(&Ok(reply), true)).await?,
                None => break,
            },
            // Whoever listens has nothing more to ask, so this is how it goes away. Of another request the next one may wait
            // here already.
            _ = frames.next(), if is_stream => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
    // The other channel ended before, and may hold lines that were not taken yet.
    while let Some(line) = said.recv().await {
        send(frames, &Ok(Reply::Lines(vec![line])), true).await?;
    }
    let result = task.await.unwrap_or_else(|_| Err(CallError::failed("the request broke off; the log says why")));
    if let Some(noted) = noted {
        noted.ended(&result);
    }
    Ok(result)
}

/// A request that changes something, for the log: who asked what.
struct Noted {
    what: &'static str,
    begun: Instant,
}

impl Noted {
    /// Notes it before it is carried out, as that may be the last that is heard. What only looks is asked many times a second
    /// and changes nothing.
    fn of(request: &Request, caller: &Caller) -> Option<Self> {
        let what = request.what();
        if request.only_looks() {
            return None;
        }
        let asked = serde_json::to_string(&request.redacted()).unwrap_or_default();
        let (uid, pid) = (caller.uid, caller.pid);
        tracing::info!(uid, pid, request = what, asked, "{what} asked for by uid {uid}");
        Some(Self { what, begun: Instant::now() })
    }

    fn ended(self, result: &Result<Reply, CallError>) {
        let took_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let what = self.what;
        match result {
            Ok(_) => tracing::debug!(request = what, took_ms, "{what} is done"),
            Err(error) => tracing::debug!(request = what, took_ms, error = error.message, "{what} failed"),
        }
    }
}

async fn send(frames: &mut Connection, reply: &Result<Reply, CallError>, continues: bool) -> io::Result<()> {
    let value = write_reply(reply, continues);
    timeout(WRITE_WITHIN, frames.send(value)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

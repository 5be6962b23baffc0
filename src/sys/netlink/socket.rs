//! One rtnetlink socket inside a namespace, driven by the runtime outside it.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::time::Duration;

use futures_util::StreamExt;
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, TokioSocket};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::NetlinkError;
use crate::sys::netns::Namespace;

/// The kernel answers within microseconds; only a lock held for long (a table of a million routes) takes seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Under steady churn most dumps are interrupted (230 of 365 were seen to be), so twenty attempts are not enough.
const DUMP_ATTEMPTS: u32 = 50;

/// Room for the answers that arrive before the runtime gets to read them.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A connection to the kernel's tables of one namespace. It keeps the namespace alive.
#[derive(Debug)]
pub struct Connection {
    handle: rtnetlink::Handle,
    driver: AbortHandle,
    namespace: Namespace,
    /// A socket has one dump at a time: the kernel answers a second one with `EBUSY`.
    dumps: Mutex<()>,
}

impl Connection {
    /// Opens one.
    pub async fn open(namespace: &Namespace) -> Result<Self, NetlinkError> {
        let socket = namespace.run_async(open_socket).await??;
        // SAFETY: the descriptor is open and belongs to nobody else: `into_raw_fd` gave it up.
        let socket = unsafe { TokioSocket::from_raw_fd(socket.into_raw_fd()) };
        let (mut connection, handle, unsolicited) = rtnetlink::from_socket(socket);
        // The mark of an interrupted dump may stand on the last message alone. No `execute()` of rtnetlink, which would
        // not expect that message, is used on this connection.
        connection.set_forward_done(true);
        drop(unsolicited);
        let driver = tokio::spawn(connection).abort_handle();
        Ok(Self { handle, driver, namespace: namespace.clone(), dumps: Mutex::new(()) })
    }

    /// The namespace whose tables these are.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Whether the socket failed, so that another must be opened.
    pub fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Sends a change and waits for its acknowledgement; `flags` such as `NLM_F_CREATE` come on top of the usual ones.
    pub async fn change(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags).await.map(|_| ())
    }

    /// Asks for one object.
    pub async fn get(&self, message: RouteNetlinkMessage) -> Result<RouteNetlinkMessage, NetlinkError> {
        // Without an acknowledgement, because the answer itself ends the exchange.
        let (answers, _) = self.exchange(message, NLM_F_REQUEST).await?;
        answers.into_iter().next().ok_or(NetlinkError::Unexpected)
    }

    /// Asks for all objects of a kind, again if they changed in between.
    pub async fn dump(&self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let _alone = self.dumps.lock().await;
        for attempt in 0..DUMP_ATTEMPTS {
            if attempt > 0 {
                // A burst of changes is waited out.
                tokio::time::sleep(Duration::from_millis(u64::from(attempt.min(10)))).await;
            }
            let (answers, interrupted) = self.exchange(message.clone(), NLM_F_REQUEST | NLM_F_DUMP).await?;
            if !interrupted {
                return Ok(answers);
            }
        }
        Err(NetlinkError::Interrupted(DUMP_ATTEMPTS))
    }

    /// One request and everything that answers it, and whether the kernel says that it was interrupted.
    async fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(Vec<RouteNetlinkMessage>, bool), NetlinkError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let closed = || NetlinkError::Socket(io::Error::from(io::ErrorKind::BrokenPipe));
        let mut stream = self.handle.clone().request(request).map_err(|_| closed())?;
        let read = async {
            let mut answers = Vec::new();
            let mut interrupted = false;
            while let Some(answer) = stream.next().await {
                interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => {
                        answers.push(message);
                        if flags & (NLM_F_DUMP | NLM_F_ACK) == 0 {
                            break;
                        }
                    }
                    NetlinkPayload::Error(error) => match NetlinkError::of(&error, answer.header.flags) {
                        Some(error) => return Err(error),
                        None => break,
                    },
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(NetlinkError::Refused { errno: -done.code, words: None });
                    }
                    NetlinkPayload::Done(_) => break,
                    NetlinkPayload::Overrun(_) => return Err(NetlinkError::Overrun),
                    _ => {}
                }
            }
            Ok((answers, interrupted))
        };
        tokio::time::timeout(TIMEOUT, read).await.unwrap_or(Err(NetlinkError::Timeout(TIMEOUT)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn open_socket() -> io::Result<Socket> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    socket.set_netlink_get_strict_chk(true)?;
    // Beyond net.core.rmem_max this takes CAP_NET_ADMIN of the first user namespace, which a lab has not.
    let borrowed = BorrowedSocket(&socket);
    if setsockopt(&borrowed, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(&borrowed, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// netlink-sys offers only the raw descriptor of its socket.
struct BorrowedSocket<'a>(&'a Socket);

impl std::os::fd::AsFd for BorrowedSocket<'_> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor stays open as long as the socket is borrowed.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

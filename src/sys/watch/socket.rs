//! The two sockets that listen in one namespace.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, RawFd};

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::filters;
use crate::plan::ROUTE_PROTOCOL;

/// `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`.
const ROUTE_GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// `NFNLGRP_NFTABLES`.
const FILTER_GROUP: u32 = 7;

/// How many datagrams are read before others have their turn.
const AT_ONCE: usize = 64;
/// The kernel's datagrams of events are no longer than that (`NLMSG_GOODSIZE`, 8 KiB at most); one that is counts as lost.
const LONGEST: usize = 16 << 10;

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that concerns us.
    Nothing,
    /// A table of ours may have changed.
    Filter,
    /// Something else may have, or events were lost.
    Anything,
}

/// The sockets as the thread that was in the namespace leaves them behind.
pub(super) struct Opened {
    route: Socket,
    filter: Socket,
}

/// The sockets with the runtime.
#[derive(Debug)]
pub(super) struct Sockets {
    route: AsyncFd<Socket>,
    filter: AsyncFd<Socket>,
}

/// Opens both in the namespace of the calling thread.
pub(super) fn open() -> io::Result<Opened> {
    let mut route = Socket::new(NETLINK_ROUTE)?;
    // The filter comes first, so that not one of a table's million routes is queued before it.
    attach(route.as_raw_fd(), &own_routes())?;
    let filter = subscribe(Socket::new(NETLINK_NETFILTER)?, &[FILTER_GROUP])?;
    route = subscribe(route, &ROUTE_GROUPS)?;
    Ok(Opened { route, filter })
}

fn subscribe(mut socket: Socket, groups: &[u32]) -> io::Result<Socket> {
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    socket.set_non_blocking(true)?;
    Ok(socket)
}

impl Opened {
    /// Has the runtime wait for them.
    pub(super) fn register(self) -> io::Result<Sockets> {
        // SAFETY: a `Socket` always returns the same descriptor, which stays open as long as it lives.
        let register = |socket| unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Sockets { route: register(self.route)?, filter: register(self.filter)? })
    }
}

impl Sockets {
    /// Waits until something comes and reads it. `matters` judges what is no packet filter's.
    pub(super) async fn next(&self, matters: impl Fn(&[u8]) -> bool) -> io::Result<Heard> {
        // The filter's socket is asked first: what it tells is the most urgent.
        tokio::select! {
            biased;
            ready = self.filter.readable() => {
                let (heard, empty) = read(self.filter.get_ref(), |datagram| {
                    if filters::concern_us(datagram) { Heard::Filter } else { Heard::Nothing }
                }, Heard::Filter)?;
                let mut ready = ready?;
                if empty {
                    ready.clear_ready();
                }
                Ok(heard)
            }
            ready = self.route.readable() => {
                let (heard, empty) = read(self.route.get_ref(), |datagram| {
                    if matters(datagram) { Heard::Anything } else { Heard::Nothing }
                }, Heard::Anything)?;
                let mut ready = ready?;
                if empty {
                    ready.clear_ready();
                }
                Ok(heard)
            }
        }
    }
}

/// Reads what is there, and says whether that was all. Events that did not fit into the socket's buffer are `lost`.
fn read(socket: &Socket, judge: impl Fn(&[u8]) -> Heard, lost: Heard) -> io::Result<(Heard, bool)> {
    let mut heard = Heard::Nothing;
    // Not kept between events: with hundreds of namespaces it would be megabytes for nothing.
    let mut buffer = Vec::with_capacity(LONGEST);
    for _ in 0..AT_ONCE {
        buffer.clear();
        match socket.recv(&mut buffer, libc::MSG_TRUNC) {
            Ok(length) if length > LONGEST => heard = lost,
            Ok(_) if heard == Heard::Nothing => heard = judge(&buffer),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((heard, true)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => heard = lost,
            Err(error) => return Err(error),
        }
    }
    Ok((heard, false))
}

/// A program for the kernel (classic BPF) that lets of the messages about routes only those through that are about rdsup's own:
/// what BGP does to a table must not wake us. Everything else passes.
fn own_routes() -> [libc::sock_filter; 7] {
    // Words are loaded as if they were in network order, and the type is in the machine's.
    let new_route = u32::from(24_u16.to_be());
    let deleted_route = u32::from(25_u16.to_be());
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let jump = |k, jt, jf| libc::sock_filter { code: JUMP_IF_EQUAL, jt, jf, k };
    [
        statement(LOAD_HALF, TYPE_AT),
        jump(new_route, 1, 0),
        jump(deleted_route, 0, 2),
        statement(LOAD_BYTE, PROTOCOL_AT),
        jump(u32::from(ROUTE_PROTOCOL), 0, 1),
        statement(RETURN, WHOLE),
        statement(RETURN, 0),
    ]
}

/// `BPF_LD | BPF_H | BPF_ABS`, `BPF_LD | BPF_B | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_RET | BPF_K`.
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// `nlmsg_type`.
const TYPE_AT: u32 = 4;
/// `rtm_protocol`: behind the header of 16 bytes the sixth byte of `struct rtmsg`.
const PROTOCOL_AT: u32 = 16 + 5;
const WHOLE: u32 = u32::MAX;

fn attach(socket: RawFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let size = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    // SAFETY: the kernel copies the program, which lives until the call returns, and writes to none of it.
    let result = unsafe {
        libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const program).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// Which of these come through a real socket with the program on it.
    fn passed(messages: &[Vec<u8>]) -> Vec<usize> {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        attach(receiver.as_raw_fd(), &own_routes()).unwrap();
        receiver.set_nonblocking(true).unwrap();
        for message in messages {
            sender.send(message).unwrap();
        }
        let mut buffer = [0; 64];
        let mut passed = Vec::new();
        while let Ok(length) = receiver.recv(&mut buffer) {
            passed.extend(messages.iter().position(|message| message[..] == buffer[..length]));
        }
        passed
    }

    fn message(kind: u16, protocol: u8) -> Vec<u8> {
        let mut bytes = 28_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        // family, lengths, type of service, table, protocol, scope, type, flags
        bytes.extend([2, 24, 0, 0, 254, protocol, 0, 1, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn of_routes_only_those_of_our_protocol_come_through_and_all_else_does() {
        let [new_link, new_address, new_route, deleted_route] = [16, 20, 24, 25];
        let messages = [
            message(new_link, 0),
            message(new_address, 12),
            message(new_route, 12),
            message(new_route, ROUTE_PROTOCOL),
            message(deleted_route, 12),
            message(deleted_route, ROUTE_PROTOCOL),
            message(new_route, 2),
        ];
        assert_eq!(passed(&messages), [0, 1, 3, 5]);
    }

    #[test]
    fn a_message_too_short_for_its_type_does_not_come_through() {
        assert_eq!(passed(&[vec![0; 5], message(16, 0)[..16].to_vec()]), [1]);
    }

    #[tokio::test]
    async fn events_that_were_lost_count_as_a_change() {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        receiver.set_nonblocking(true).unwrap();
        sender.send(&vec![1; LONGEST + 1]).unwrap();
        let socket = {
            use std::os::fd::{FromRawFd, IntoRawFd};
            // SAFETY: the descriptor is open and given up by its owner.
            unsafe { Socket::from_raw_fd(receiver.into_raw_fd()) }
        };
        let heard = read(&socket, |_| Heard::Nothing, Heard::Filter).unwrap();
        assert_eq!(heard, (Heard::Filter, true));
    }
}

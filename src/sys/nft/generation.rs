//! Two numbers that say cheaply whether anything happened to a namespace's packet filter.

use std::io;
use std::os::fd::AsRawFd;

use netlink_sys::{Socket, SocketAddr};

pub(super) const NETLINK_NETFILTER: isize = 12;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN`.
const GET_GENERATION: u16 = 10 << 8 | 16;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN`.
const NEW_GENERATION: u16 = 10 << 8 | 15;
pub(super) const NLM_F_REQUEST: u16 = 1;
/// The netlink header and `struct nfgenmsg`.
const HEADERS: usize = 20;
/// `NFTA_GEN_ID`.
const ATTRIBUTE_ID: u16 = 1;

/// What identifies a namespace and the state of its packet filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// A number that no other namespace has until the next boot (`SO_NETNS_COOKIE`), unlike the inode.
    pub cookie: u64,
    /// A number that grows with every change to any nftables table of the namespace; `None` without the privilege to
    /// read it.
    pub generation: Option<u32>,
}

/// Asks for the namespace of the calling thread.
pub fn probe_here() -> io::Result<Probe> {
    let socket = Socket::new(NETLINK_NETFILTER)?;
    Ok(Probe { cookie: cookie(&socket)?, generation: generation(&socket).ok().flatten() })
}

fn cookie(socket: &Socket) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).unwrap_or_default();
    // SAFETY: both pointers are to live variables, and the length is that of the first.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

fn generation(socket: &Socket) -> io::Result<Option<u32>> {
    let mut request = Vec::with_capacity(HEADERS);
    request.extend(20_u32.to_ne_bytes());
    request.extend(GET_GENERATION.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 12]);
    socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
    // The kernel has put the answer into the socket before `send_to` returned.
    let (answer, _) = socket.recv_from_full()?;
    Ok(parse(&answer))
}

fn parse(answer: &[u8]) -> Option<u32> {
    if u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?) != NEW_GENERATION {
        return None;
    }
    let mut rest = answer.get(HEADERS..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
        let value = rest.get(4..length)?;
        if kind == ATTRIBUTE_ID {
            return Some(u32::from_be_bytes(value.try_into().ok()?));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

//! The names of a namespace's tables, without running a program: asked for whenever a domain is observed.

use std::io;

use netlink_sys::{Socket, SocketAddr};

use super::generation::{NETLINK_NETFILTER, NLM_F_REQUEST};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE`.
const GET_TABLE: u16 = 10 << 8 | 1;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE`.
const NEW_TABLE: u16 = 10 << 8;
/// `NLM_F_ROOT | NLM_F_MATCH`.
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// The netlink header, and `struct nfgenmsg` behind it.
const NETLINK_HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// `NFTA_TABLE_NAME` and `NFTA_TABLE_USERDATA`.
const NAME: u16 = 1;
const USER_DATA: u16 = 6;
/// `NFTNL_UDATA_TABLE_COMMENT`, the kind of an entry in the user data: a byte, its length as another, the text with a NUL.
const COMMENT: u8 = 0;

/// A table of the family `inet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its comment; empty if it has none.
    pub comment: String,
}

impl Table {
    /// Whether it has the name of a domain's filter; whose it is the comment says.
    pub fn is_filter(&self) -> bool {
        self.name == super::TABLE[1]
    }
}

/// Whether our table is among them.
pub fn has_ours(tables: &[Table]) -> bool {
    tables.iter().any(Table::is_filter)
}

/// Every table of the family `inet` in the namespace of the calling thread; none without the privilege to ask.
pub fn tables_here() -> io::Result<Vec<Table>> {
    let socket = Socket::new(NETLINK_NETFILTER)?;
    let mut request = Vec::with_capacity(NETLINK_HEADER + FAMILY_HEADER);
    request.extend(20_u32.to_ne_bytes());
    request.extend(GET_TABLE.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request.extend([0; 8]);
    request.extend([INET, 0, 0, 0]);
    socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
    let mut tables = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full()?;
        if !read_into(&mut tables, &answer) {
            return Ok(tables);
        }
    }
}

/// Reads the messages of one datagram; false when no more will come.
fn read_into(tables: &mut Vec<Table>, mut rest: &[u8]) -> bool {
    while let Some((message, kind)) = first_message(rest) {
        match kind {
            NEW_TABLE => tables.extend(table(message)),
            NLMSG_DONE | NLMSG_ERROR => return false,
            _ => {}
        }
        rest = rest.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

fn first_message(bytes: &[u8]) -> Option<(&[u8], u16)> {
    let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    Some((bytes.get(..length.max(NETLINK_HEADER))?, kind))
}

fn table(message: &[u8]) -> Option<Table> {
    let mut rest = message.get(NETLINK_HEADER + FAMILY_HEADER..)?;
    let (mut name, mut comment) = (None, String::new());
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff {
            NAME => name = Some(text(value)),
            USER_DATA => comment = comment_in(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Table { name: name?, comment })
}

fn comment_in(mut entries: &[u8]) -> String {
    while let [kind, length, rest @ ..] = entries {
        let length = usize::from(*length).min(rest.len());
        if *kind == COMMENT {
            return text(&rest[..length]);
        }
        entries = &rest[length..];
    }
    String::new()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

//! The kernel's answers, in its own words.

use std::io;
use std::time::Duration;

use netlink_packet_core::ErrorMessage;

/// Why a netlink request failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused it.
    #[error("{}{}", io::Error::from_raw_os_error(*.errno), .words.as_ref().map(|words| format!(": {words}")).unwrap_or_default())]
    Refused {
        /// The error number.
        errno: i32,
        /// The text of the extended acknowledgement.
        words: Option<String>,
    },
    /// No answer came.
    #[error("the kernel gave no answer within {0:?}")]
    Timeout(Duration),
    /// The tables kept changing while they were read.
    #[error("the tables changed each of the {0} times they were read")]
    Interrupted(u32),
    /// Something was lost because the receive buffer was full.
    #[error("the receive buffer was too small for the answer")]
    Overrun,
    /// The answer was not what the request asks for.
    #[error("the kernel's answer was not understood")]
    Unexpected,
    /// The socket failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] io::Error),
}

/// `NLM_F_CAPPED` of an error message: the request is not repeated in it beyond its header.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS` of an error message: attributes follow.
const HAS_ATTRIBUTES: u16 = 0x200;
const HEADER_LENGTH: usize = 16;
/// `NLMSGERR_ATTR_MSG`.
const ATTRIBUTE_TEXT: u16 = 1;

impl NetlinkError {
    /// The error of an `NLMSG_ERROR` with these header flags, or `None` if it acknowledges.
    pub(super) fn of(message: &ErrorMessage, flags: u16) -> Option<Self> {
        let errno = message.code?.get().abs();
        Some(Self::Refused { errno, words: words(&message.header, flags) })
    }

    /// The error number of the kernel, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Socket(error) => error.raw_os_error(),
            _ => None,
        }
    }
}

/// The text in the attributes after the request's header (and the rest of the request, unless that was capped).
fn words(payload: &[u8], flags: u16) -> Option<String> {
    if flags & HAS_ATTRIBUTES == 0 {
        return None;
    }
    let request_length = u32::from_ne_bytes(payload.get(..4)?.try_into().ok()?) as usize;
    let start = if flags & CAPPED == 0 { request_length.next_multiple_of(4) } else { HEADER_LENGTH };
    let mut rest = payload.get(start..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
        let value = rest.get(4..length)?;
        if kind == ATTRIBUTE_TEXT {
            let text = String::from_utf8_lossy(value);
            return Some(text.trim_end_matches('\0').to_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn the_text_is_found_behind_a_capped_header_and_other_attributes() {
        let mut payload = vec![0; HEADER_LENGTH];
        payload[..4].copy_from_slice(&120_u32.to_ne_bytes());
        payload.extend(attribute(2, &20_u32.to_ne_bytes()));
        payload.extend(attribute(ATTRIBUTE_TEXT, b"Nexthop has invalid gateway.\0"));
        assert_eq!(words(&payload, CAPPED | HAS_ATTRIBUTES).as_deref(), Some("Nexthop has invalid gateway."));
    }

    #[test]
    fn the_text_is_found_behind_a_request_that_is_repeated_whole() {
        let mut payload = vec![0; 22];
        payload[..4].copy_from_slice(&22_u32.to_ne_bytes());
        payload.resize(24, 0);
        payload.extend(attribute(ATTRIBUTE_TEXT, b"no\0"));
        assert_eq!(words(&payload, HAS_ATTRIBUTES).as_deref(), Some("no"));
    }

    #[test]
    fn truncated_attributes_are_no_text() {
        let mut payload = vec![0; HEADER_LENGTH];
        payload.extend([200, 0, 1, 0, b'x']);
        assert_eq!(words(&payload, CAPPED | HAS_ATTRIBUTES), None);
        assert_eq!(words(&[], HAS_ATTRIBUTES), None);
        assert_eq!(words(&payload, CAPPED), None);
    }
}

//! The form of the kernel's messages: headers and attributes.

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// The upper two bits of an attribute's type say how its value is written.
const TYPE_MASK: u16 = 0x3fff;

/// The messages of a datagram: the type of each, and what follows its header. One that is cut short ends them.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?)).ok()?;
        let message = rest.get(..length.max(HEADER))?;
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        rest = rest.get(message.len().next_multiple_of(4)..).unwrap_or_default();
        Some((kind, &message[HEADER..]))
    })
}

/// Attributes: the type and the value of each. One that is cut short ends them.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A text that a NUL ends.
pub(super) fn text(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One attribute, padded.
    pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// One message with this after its header.
    pub fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn messages_and_attributes_are_read_one_after_the_other() {
        let body = [attribute(1, b"a\0"), attribute(0x8002, &[7; 4])].concat();
        let datagram = [message(16, &body), message(17, &[])].concat();
        let all: Vec<_> =
            messages(&datagram).map(|(kind, body)| (kind, attributes(body).collect::<Vec<_>>())).collect();
        assert_eq!(all, [(16, vec![(1, &b"a\0"[..]), (2, &[7; 4][..])]), (17, Vec::new())]);
        assert_eq!(text(b"a\0b"), b"a");
    }

    #[test]
    fn what_is_cut_short_or_lies_about_its_length_ends_them() {
        let whole = message(16, &attribute(1, b"rdsup\0"));
        for length in 0..whole.len() {
            assert_eq!(messages(&whole[..length]).count(), 0, "{length} bytes");
        }
        for length in [0_u16, 3, 200] {
            let mut lying = attribute(1, b"rdsup\0");
            lying[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(attributes(&lying).count(), 0, "{length}");
        }
    }
}

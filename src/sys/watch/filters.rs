//! Which of the kernel's messages about packet filters concern rdsup's tables.

use super::message::{attributes, messages, text};
use crate::sys::nft::TABLE;

/// `NFNL_SUBSYS_NFTABLES`, the upper byte of a message's type.
const NFTABLES: u8 = 10;
/// `NFT_MSG_NEWGEN` ends a transaction and names no table.
const NEW_GENERATION: u8 = 15;
/// `NFPROTO_INET`, the first byte of `struct nfgenmsg`, which has four.
const INET: u8 = 1;
const FAMILY_HEADER: usize = 4;
/// `NFTA_TABLE_NAME`, `NFTA_CHAIN_TABLE`, `NFTA_RULE_TABLE`, `NFTA_SET_TABLE` …: in every message the same number.
const TABLE_NAME: u16 = 1;

/// Whether one of the messages in a datagram tells of `inet rdsup`, or of a table that is stacked on it.
pub(super) fn concern_us(datagram: &[u8]) -> bool {
    messages(datagram).any(|(kind, body)| {
        let [kind, subsystem] = kind.to_le_bytes();
        let of_a_table = subsystem == NFTABLES && kind != NEW_GENERATION && body.first() == Some(&INET);
        let mut names =
            attributes(body.get(FAMILY_HEADER..).unwrap_or_default()).filter(|(kind, _)| *kind == TABLE_NAME);
        of_a_table && names.any(|(_, name)| text(name).starts_with(TABLE[1].as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{attribute, message};
    use super::*;

    /// `NFT_MSG_DELTABLE` and `NFT_MSG_NEWRULE`.
    const DELETED_TABLE: u16 = 10 << 8 | 2;
    const NEW_RULE: u16 = 10 << 8 | 6;

    fn about(kind: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
        message(kind, &[&[family, 0, 0, 7], attributes].concat())
    }

    #[test]
    fn a_message_about_our_table_or_one_stacked_on_it_concerns_us() {
        assert!(concern_us(&about(DELETED_TABLE, INET, &attribute(1, b"rdsup\0"))));
        assert!(concern_us(&about(NEW_RULE, INET, &attribute(1, b"rdsup-next\0"))));
        let later = [attribute(2, &[0; 4]), attribute(1, b"rdsup\0")].concat();
        assert!(concern_us(&about(NEW_RULE, INET, &later)));
    }

    #[test]
    fn other_tables_families_subsystems_and_generations_do_not() {
        assert!(!concern_us(&about(DELETED_TABLE, INET, &attribute(1, b"filter\0"))));
        assert!(!concern_us(&about(DELETED_TABLE, 2, &attribute(1, b"rdsup\0"))));
        assert!(!concern_us(&about(1 << 8 | 2, INET, &attribute(1, b"rdsup\0"))));
        assert!(!concern_us(&about(10 << 8 | 15, INET, &attribute(1, b"rdsup\0"))));
        assert!(!concern_us(&about(NEW_RULE, INET, &attribute(2, b"rdsup\0"))));
    }

    #[test]
    fn it_is_found_behind_others_in_one_datagram() {
        let mut datagram = about(NEW_RULE, INET, &attribute(1, b"filter\0"));
        datagram.extend(about(DELETED_TABLE, INET, &attribute(1, b"rdsup\0")));
        datagram.extend(about(10 << 8 | 15, 0, &attribute(1, &[0, 0, 0, 9])));
        assert!(concern_us(&datagram));
    }
}

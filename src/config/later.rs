//! Keys and values that the design names and this version does not read.
//!
//! Someone who follows a newer description must be told so, not that a key is unknown, and nothing of this kind may be
//! ignored: a filter that the file asks for and that is not there would let packets through.

use toml::de::{DeTable, DeValue};

use super::problem::Report;

/// Raw type ("" is the top of the file) and the keys in it.
const KEYS: &[(&str, &[&str])] =
    &[("", &["switch"]), ("Domain", &["program", "rule"]), ("Interface", &["underlay"]), ("Route", &["table"])];

/// Enumeration and the values of it.
const VALUES: &[(&str, &[&str])] = &[("Kind", &["vxlan", "gre", "wireguard", "vlan", "bridge", "macvlan", "dummy"])];

pub(super) fn is_later_key(table: &str, key: &str) -> bool {
    KEYS.iter().any(|(name, keys)| *name == table && keys.contains(&key))
}

pub(super) fn is_later_value(enumeration: &str, value: &str) -> bool {
    VALUES.iter().any(|(name, values)| *name == enumeration && values.contains(&value))
}

/// Whether `table` is an interface of a kind that is not supported; reported once, without a word on the keys that only
/// such a kind has.
pub(super) fn refuse_kind(table: &str, content: &DeTable<'_>, report: &mut Report<'_>) -> bool {
    if table != "Interface" {
        return false;
    }
    let Some(value) = content.get("kind") else { return false };
    let DeValue::String(kind) = value.get_ref() else { return false };
    if !is_later_value("Kind", kind) {
        return false;
    }
    report
        .error(&value.span(), format!("an interface of kind {:?} is not supported by this version of rdsup", &**kind))
        .hint("only \"physical\" interfaces can be claimed");
    true
}

//! The lists that route maps name: of prefixes, paths and communities.
//!
//! A list's name ends in a digest of what it says. So one that several sessions use is there once, and changed content means
//! a new name: it can be put beside the old one while that is in use.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, BTreeSet};

use super::Dialect;
use crate::model::{Family, PrefixPattern};

/// About how many prefixes a list of FRR has. Up to 8.4 each new entry is compared with all others of its list.
const BUCKET: usize = 32;

/// With more entries than this, lists must be read as one transaction: FRR 8.4 copies and compares all that it has with each
/// command, and 4,000 entries take 43 s (2.5 s for 10,000 as one).
const BATCH: usize = 200;

/// What names begin with. The hyphen and the digest keep them from being anything that FRR knows as a word.
const PREFIX: &str = "rd-";

/// The 64-bit FNV-1a of a text, of which a name has 48 bits: a list is told only from those of its own domain that have the
/// same kind.
pub(super) fn digest(parts: &[&str]) -> String {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(FNV_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    format!("{:012x}", hash & 0xffff_ffff_ffff)
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// One entry of a prefix list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Whether what matches is refused.
    pub deny: bool,
    /// What matches.
    pub pattern: PrefixPattern,
}

/// The lists of a domain, each once.
#[derive(Default)]
pub(super) struct Lists {
    /// By what each line begins with and by name: the lines. So those that FRR keeps outside of its transactions come first
    /// (`bgp`), and do not break one up.
    texts: BTreeMap<(String, String), String>,
    entries: usize,
    /// Who will read them.
    pub(super) dialect: Dialect,
}

impl Lists {
    /// None yet.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    /// Every line of every list, without a final newline.
    pub(super) fn text(&self) -> String {
        self.texts.values().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Whether they must be read as one transaction.
    pub(super) fn need_batch(&self) -> bool {
        self.entries > BATCH
    }

    /// Puts a list there and returns its name. `command` is what each line begins with; an entry is the rest of the line.
    pub(super) fn put(&mut self, command: &str, kind: &str, entries: &[String]) -> String {
        // A list without entries would permit everything.
        debug_assert!(!entries.is_empty(), "{kind}");
        let name = format!("{PREFIX}{kind}-{}", digest(&[command, &entries.join("\n")]));
        if let MapEntry::Vacant(place) = self.texts.entry((command.to_owned(), name.clone())) {
            let lines = (1..).zip(entries).map(|(index, entry)| format!("{command} {name} seq {} {entry}", index * 5));
            place.insert(lines.collect::<Vec<_>>().join("\n"));
            self.entries += entries.len();
        }
        name
    }

    fn prefixes(&mut self, family: Family, kind: &str, entries: &[Entry]) -> String {
        let (command, digit) = match family {
            Family::Ipv4 => ("ip prefix-list", 4),
            Family::Ipv6 => ("ipv6 prefix-list", 6),
        };
        let lines: Vec<_> = entries.iter().map(Entry::text).collect();
        self.put(command, &format!("{kind}{digit}"), &lines)
    }

    /// Lists of which one permits each of `patterns`, and none anything else.
    pub(super) fn any_of(&mut self, family: Family, kind: &str, patterns: &[PrefixPattern]) -> Vec<String> {
        let permit = |pattern| Entry { deny: false, pattern };
        let entries: BTreeSet<_> = patterns.iter().copied().map(permit).collect();
        buckets(&entries).iter().map(|entries| self.prefixes(family, kind, entries)).collect()
    }

    /// Lists all of which permit what is under none of `patterns`, or is one of `unless`.
    pub(super) fn none_of(
        &mut self,
        family: Family,
        kind: &str,
        patterns: &[PrefixPattern],
        unless: &[PrefixPattern],
    ) -> Vec<String> {
        let deny: BTreeSet<_> = patterns.iter().map(|pattern| Entry { deny: true, pattern: *pattern }).collect();
        let unless: BTreeSet<_> = unless.iter().map(|pattern| Entry { deny: false, pattern: *pattern }).collect();
        let mut lists = Vec::new();
        for bucket in buckets(&deny) {
            let rest = Entry { deny: false, pattern: everything(family) };
            let entries: Vec<_> = unless.iter().copied().chain(bucket).chain([rest]).collect();
            lists.push(self.prefixes(family, kind, &entries));
        }
        lists
    }
}

/// Every prefix of a family.
pub(super) fn everything(family: Family) -> PrefixPattern {
    let prefix = match family {
        Family::Ipv4 => ipnet::IpNet::V4(ipnet::Ipv4Net::default()),
        Family::Ipv6 => ipnet::IpNet::V6(ipnet::Ipv6Net::default()),
    };
    PrefixPattern { prefix, ge: 0, le: prefix.max_prefix_len() }
}

/// Splits entries by what they are and not by their place, so that an entry more or less changes one bucket.
fn buckets(entries: &BTreeSet<Entry>) -> Vec<Vec<Entry>> {
    let count = entries.len().div_ceil(BUCKET).next_power_of_two();
    let mut buckets = vec![Vec::new(); count];
    for entry in entries {
        let hash = usize::from_str_radix(&digest(&[&entry.pattern.prefix.to_string()]), 16).unwrap_or_default();
        buckets[hash % count].push(*entry);
    }
    buckets.retain(|bucket| !bucket.is_empty());
    buckets
}

impl Entry {
    /// As FRR writes it, which refuses a `ge` that is the length itself, and a `le` that is.
    fn text(&self) -> String {
        let PrefixPattern { prefix, ge, le } = self.pattern;
        let length = prefix.prefix_len();
        let action = if self.deny { "deny" } else { "permit" };
        let ge_text = if ge > length { format!(" ge {ge}") } else { String::new() };
        let le_text = if le > length { format!(" le {le}") } else { String::new() };
        format!("{action} {prefix}{ge_text}{le_text}")
    }
}

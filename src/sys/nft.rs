//! The packet filter: rulesets as text through `nft`, and the kernel's number for the state they are in.

mod generation;
mod tables;

pub use generation::{Probe, probe_here};
pub use tables::{Table, has_ours, tables_here};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sched::CloneFlags;
use serde::Deserialize;

use super::SysError;
use super::netns::Namespace;
use super::process::{Captured, Spawn};

/// Our table.
pub const TABLE: [&str; 2] = ["inet", "rdsup"];

/// A ruleset of 20,000 lines takes under a second; the kernel may have to wait for others.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A named counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Loads a ruleset in one transaction: all of it or nothing.
pub async fn load(namespace: &Namespace, text: &str) -> Result<(), SysError> {
    let nft = Spawn::new("nft").args(["-f", "-"]).stdin(text).namespace(namespace);
    succeed(nft.run_captured(TIMEOUT).await?, "load the packet filter").map(|_| ())
}

/// Checks a ruleset without loading it, in a namespace that is thrown away: with privileges a network namespace, without
/// them one in a user namespace.
pub async fn check(text: &str) -> Result<(), SysError> {
    let nft = Spawn::new("nft").args(["-c", "-f", "-"]).stdin(text);
    let made = tokio::task::spawn_blocking(Namespace::create).await;
    let nft = match made {
        Ok(Ok(namespace)) => nft.namespace(&namespace),
        _ => nft.unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET),
    };
    succeed(nft.run_captured(TIMEOUT).await?, "check the packet filter").map(|_| ())
}

/// Our table as the kernel has it, without counters' values; `None` if there is no such table.
pub async fn list(namespace: &Namespace) -> Result<Option<String>, SysError> {
    let nft = Spawn::new("nft").args(["--stateless", "list", "table"]).args(TABLE).namespace(namespace);
    let listed = nft.run_captured(TIMEOUT).await?;
    if is_absent(&listed) { Ok(None) } else { succeed(listed, "list the packet filter").map(|said| Some(said.stdout)) }
}

/// Deletes our table; nothing where there is none.
pub async fn delete(namespace: &Namespace) -> Result<(), SysError> {
    let nft = Spawn::new("nft").args(["delete", "table"]).args(TABLE).namespace(namespace);
    let deleted = nft.run_captured(TIMEOUT).await?;
    if is_absent(&deleted) { Ok(()) } else { succeed(deleted, "delete the packet filter").map(|_| ()) }
}

/// Deletes tables of the family `inet` in one transaction; those that are not there are fine.
pub async fn delete_tables(namespace: &Namespace, names: &BTreeSet<String>) -> Result<(), SysError> {
    let nft = Spawn::new("nft").args(["-f", "-"]).stdin(deletion(names)).namespace(namespace);
    succeed(nft.run_captured(TIMEOUT).await?, "delete the packet filter that was stacked").map(|_| ())
}

/// The lines of a ruleset that delete tables, whether they are there or not.
pub fn deletion(names: &BTreeSet<String>) -> String {
    let lines: Vec<String> =
        names.iter().map(|name| format!("table inet {name}\ndelete table inet {name}\n")).collect();
    lines.concat()
}

/// The named counters of our table; empty if there is no table.
pub async fn counters(namespace: &Namespace) -> Result<BTreeMap<String, Counter>, SysError> {
    let nft = Spawn::new("nft").args(["-j", "list", "counters", "table"]).args(TABLE).namespace(namespace);
    let listed = nft.run_captured(TIMEOUT).await?;
    if is_absent(&listed) {
        return Ok(BTreeMap::new());
    }
    parse_counters(&succeed(listed, "read the packet filter's counters")?.stdout)
}

fn parse_counters(json: &str) -> Result<BTreeMap<String, Counter>, SysError> {
    #[derive(Deserialize)]
    struct Listing {
        nftables: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        counter: Option<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
        packets: u64,
        bytes: u64,
    }
    let listing: Listing = serde_json::from_str(json).map_err(|error| SysError::Program {
        program: "nft".to_owned(),
        what: "read the packet filter's counters".to_owned(),
        words: format!("something that is not understood ({error})"),
    })?;
    let counters = listing.nftables.into_iter().filter_map(|item| item.counter);
    Ok(counters.map(|named| (named.name, Counter { packets: named.packets, bytes: named.bytes })).collect())
}

/// `nft` has one exit code for every error, so the words decide; they are the C library's for `ENOENT`.
fn is_absent(said: &Captured) -> bool {
    !said.success() && said.stderr.contains("No such file or directory")
}

fn succeed(said: Captured, what: &str) -> Result<Captured, SysError> {
    if said.success() {
        Ok(said)
    } else {
        Err(SysError::Program { program: "nft".to_owned(), what: what.to_owned(), words: said.words() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_counters_are_read_from_the_listing_of_nft() {
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
            {"counter": {"family": "inet", "name": "drop_policy", "table": "rdsup", "handle": 2, "packets": 3, "bytes": 252}}]}"#;
        let counters = parse_counters(json).unwrap();
        assert_eq!(counters, BTreeMap::from([("drop_policy".to_owned(), Counter { packets: 3, bytes: 252 })]));
        assert!(parse_counters("[]").is_err());
    }
}

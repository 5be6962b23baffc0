//! The table of protections in `docs/policy.md` is written from the list of mutations.

use std::fmt::Write as _;
use std::path::Path;

use libtest_mimic::Trial;

use crate::mutations::{self, Change};

const BEGIN: &str = "<!-- Written by `UPDATE_GOLDEN=1 cargo test --test leaks docs::`. -->\n";

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("docs::every protection is listed with the case that proves it", || {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let (before, after) = text.split_once(BEGIN).ok_or("docs/policy.md has no place for the table")?;
        let rest = after.trim_start_matches('\n').split_once("\n\n").map_or("", |(_, rest)| rest);
        let wanted = format!("{before}{BEGIN}\n{}{}{rest}", table(), if rest.is_empty() { "" } else { "\n" });
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            return std::fs::write(&path, wanted).map_err(|error| error.to_string().into());
        }
        if text == wanted {
            Ok(())
        } else {
            Err("docs/policy.md lists other protections: UPDATE_GOLDEN=1 writes them".into())
        }
    })]
}

fn table() -> String {
    let mut table = String::from("| protection | where | case that fails without it |\n| --- | --- | --- |\n");
    for mutation in mutations::all() {
        let place = match mutation.change {
            Change::Text(edit) => format!("`{}`", edit.file),
            Change::Script(_) => "sysctl".to_owned(),
        };
        let cases = [&[mutation.case], mutation.more].concat().join("; ");
        let _ = writeln!(table, "| {} | {place} | {cases} |", mutation.protection);
    }
    table
}

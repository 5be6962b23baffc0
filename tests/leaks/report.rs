//! What was found, as JSON lines in `target/leaks/`, and the table of it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::setup::Tally;

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The network.
    pub world: String,
    /// The case, or the protection that was switched off.
    pub case: String,
    /// For a mutation, whether the case failed as it has to.
    pub caught: Option<bool>,
    pub families: String,
    pub forbidden: usize,
    pub leaked: usize,
    pub allowed: usize,
    pub arrived: usize,
    pub failure: Option<String>,
    pub seconds: f64,
}

impl Line {
    pub fn new(world: &str, case: &str, tally: Tally, failure: Option<String>, seconds: f64) -> Self {
        let families = match (tally.ipv4, tally.ipv6) {
            (true, true) => "4 6",
            (true, false) => "4",
            (false, true) => "6",
            (false, false) => "",
        };
        Self {
            world: world.to_owned(),
            case: case.to_owned(),
            caught: None,
            families: families.to_owned(),
            forbidden: tally.forbidden,
            leaked: tally.leaked,
            allowed: tally.allowed,
            arrived: tally.arrived,
            failure,
            seconds,
        }
    }
}

fn directory() -> PathBuf {
    let target = std::env::current_exe().expect("this program has a path");
    // target/debug/deps/leaks-… → target/leaks
    target.ancestors().nth(3).expect("three directories above").join("leaks")
}

/// Forgets what earlier runs have written.
pub fn forget() {
    let _ = fs::remove_dir_all(directory());
}

/// Replaces what an earlier run of the same test wrote.
pub fn write(test: &str, lines: &[Line]) {
    let directory = directory();
    fs::create_dir_all(&directory).expect("target is ours");
    let path = directory.join(format!("{}.jsonl", test.replace(|c: char| !c.is_ascii_alphanumeric(), "_")));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path).expect("target is ours");
    for line in lines {
        let json = serde_json::to_string(line).expect("a line is JSON");
        writeln!(file, "{json}").expect("the disk has room");
    }
}

/// Prints the table of everything that the last runs wrote.
pub fn print() {
    let mut lines: Vec<Line> = Vec::new();
    let Ok(files) = fs::read_dir(directory()) else {
        println!("no results: run the suite first");
        return;
    };
    for file in files {
        let text = fs::read_to_string(file.expect("a directory entry").path()).expect("a text file");
        lines.extend(text.lines().map(|line| serde_json::from_str::<Line>(line).expect("a line of ours")));
    }
    lines.sort_by(|a, b| (&a.world, &a.case).cmp(&(&b.world, &b.case)));
    let (cases, mutations): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.caught.is_none());
    let wide = cases.iter().chain(&mutations).map(|line| line.world.len()).max().unwrap_or(10);
    let width = cases.iter().chain(&mutations).map(|line| line.case.len()).max().unwrap_or(10);
    println!(
        "{:<wide$} {:<width$} {:>4} {:>9} {:>6} {:>7} {:>7}",
        "network", "case", "IPv", "forbidden", "leaked", "allowed", "arrived"
    );
    let mut totals = Tally::default();
    let mut worlds: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &cases {
        let mark = if line.failure.is_some() { "  FAILED" } else { "" };
        println!(
            "{:<wide$} {:<width$} {:>4} {:>9} {:>6} {:>7} {:>7}{mark}",
            line.world, line.case, line.families, line.forbidden, line.leaked, line.allowed, line.arrived
        );
        totals.forbidden += line.forbidden;
        totals.leaked += line.leaked;
        totals.allowed += line.allowed;
        totals.arrived += line.arrived;
        *worlds.entry(&line.world).or_default() += 1;
    }
    println!("\n{:<wide$} {:<width$} {:>6}", "network", "protection switched off", "caught");
    for line in &mutations {
        let caught = if line.caught == Some(true) { "yes" } else { "NO" };
        println!("{:<wide$} {:<width$} {caught:>6}", line.world, line.case);
    }
    let caught = mutations.iter().filter(|line| line.caught == Some(true)).count();
    let failed = cases.iter().filter(|line| line.failure.is_some()).count();
    println!(
        "\n{} cases in {} networks, {failed} failed. Forbidden: {} sent, {} came out. Allowed: {} sent, {} came out.\n\
         {caught} of {} protections were noticed when switched off.",
        cases.len(),
        worlds.len(),
        totals.forbidden,
        totals.leaked,
        totals.allowed,
        totals.arrived,
        mutations.len()
    );
}

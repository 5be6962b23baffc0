//! What was survived, as JSON lines in `target/faults/`, and the table of it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What was done to the network, or the protection that was switched off.
    pub fault: String,
    /// For a mutation, how its case failed, as it has to; empty if it did not.
    pub noticed: Option<String>,
    /// How often it was done.
    pub times: usize,
    /// How often everything was right afterwards.
    pub survived: usize,
    /// How long it took each time, in milliseconds.
    pub recovery: Vec<u64>,
    /// Why the case failed.
    pub failure: Option<String>,
    /// How long the whole case took.
    pub seconds: f64,
}

impl Line {
    fn median(&self) -> Option<u64> {
        let mut sorted = self.recovery.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    fn worst(&self) -> Option<u64> {
        self.recovery.iter().max().copied()
    }
}

fn directory() -> PathBuf {
    let target = std::env::current_exe().expect("this program has a path");
    // target/debug/deps/faults-… → target/faults
    target.ancestors().nth(3).expect("three directories above").join("faults")
}

/// Forgets what earlier runs have written.
pub fn forget() {
    let _ = fs::remove_dir_all(directory());
}

/// Replaces what an earlier run of the same test wrote.
pub fn write(test: &str, line: &Line) {
    let directory = directory();
    fs::create_dir_all(&directory).expect("target is ours");
    let path = directory.join(format!("{}.jsonl", test.replace(|c: char| !c.is_ascii_alphanumeric(), "_")));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path).expect("target is ours");
    let json = serde_json::to_string(line).expect("a line is JSON");
    writeln!(file, "{json}").expect("the disk has room");
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
    lines.sort_by(|a, b| a.fault.cmp(&b.fault));
    let (cases, mutations): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.noticed.is_none());
    let width = cases.iter().chain(&mutations).map(|line| line.fault.chars().count()).max().unwrap_or(10);
    let figure = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    println!("{:<width$} {:>6} {:>9} {:>10} {:>10}", "fault", "times", "survived", "median ms", "worst ms");
    for line in &cases {
        let mark = if line.failure.is_some() { "  FAILED" } else { "" };
        println!(
            "{:<width$} {:>6} {:>9} {:>10} {:>10}{mark}",
            line.fault,
            line.times,
            line.survived,
            figure(line.median()),
            figure(line.worst())
        );
    }
    println!("\n{:<width$} noticed by", "protection switched off");
    for line in &mutations {
        let how = line.noticed.as_deref().and_then(|words| words.lines().next()).unwrap_or("NOT AT ALL");
        println!("{:<width$} {how}", line.fault);
    }
    let times: usize = cases.iter().map(|line| line.times).sum();
    let survived: usize = cases.iter().map(|line| line.survived).sum();
    let noticed = mutations.iter().filter(|line| line.failure.is_none()).count();
    println!(
        "\n{} faults, done {times} times, survived {survived} times. {noticed} of {} protections were missed when switched off.",
        cases.len(),
        mutations.len()
    );
}

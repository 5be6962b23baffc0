//! The README shows what is so.

use crate::machine::{Machine, SOON, eventually};

/// The text of the README's first fenced block that starts with `opening`.
fn block(opening: &str) -> &'static str {
    const README: &str = include_str!("../../README.md");
    let (_, rest) = README.split_once(opening).unwrap_or_else(|| panic!("the README has no block {opening:?}"));
    rest.split_once("\n```").expect("the block ends").0
}

#[test]
fn the_readmes_file_has_the_plan_that_the_readme_shows_and_runs() {
    let machine = Machine::new(block("```toml\n"));
    assert_eq!(machine.plan().trim_end(), block("```console\n# rdsup plan\n"));
    let check = machine.rdsup("check");
    assert!(check.status.success() && !check.stderr.contains("warning"), "{check}");
    machine.start();
    eventually(SOON, "its ping arrives", || machine.pings("private", "198.51.100.1"));
    // Numbers and times differ; the first line, the tables and their columns do not.
    let first = |text: &str| {
        let line = text.lines().next().unwrap_or_default().replace("/srv/machine/", "/etc/rdsup/");
        squeezed(&line.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<String>())
    };
    assert_eq!(first(&machine.rdsup("status").ok()), first(block("```console\n# rdsup status\n")));
    let headings =
        |text: &str| text.lines().filter(|line| line.starts_with("DOMAIN")).take(2).map(squeezed).collect::<Vec<_>>();
    let shown = headings(block("```console\n# rdsup status\n"));
    assert_eq!(headings(&machine.rdsup("status").ok()), shown);
    assert_eq!(shown.len(), 2);
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! The architecture as a test: which layer may use which, and what each may touch.
//!
//! `model < config, policy, history < render < plan < supervise < sys < daemons < control < supervisor < cli`: a module uses only
//! what stands to its left. The first seven are pure. Every rule is a function of text, so that it is itself tested on
//! text that breaks it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers with their rank; layers of the same rank do not use each other.
const LAYERS: [(&str, u8); 12] = [
    ("model", 0),
    ("config", 1),
    ("policy", 1),
    ("history", 1),
    ("render", 2),
    ("plan", 3),
    ("supervise", 4),
    ("sys", 5),
    ("daemons", 6),
    ("control", 7),
    ("supervisor", 8),
    ("cli", 9),
];

/// The last rank of the pure core.
const PURE: u8 = 4;

/// What a pure layer may not name: files, clocks, processes, sockets, tasks. Addresses of `std::net` are plain values.
const EFFECTS: [&str; 22] = [
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::os::unix::net",
    "std::os::fd",
    "std::io::stdin",
    "std::io::stdout",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "Instant::now",
    "SystemTime",
    "jiff::Timestamp::now",
    "tokio::",
    "nix::",
    "rustix::",
    "libc::",
    "netlink_",
    "async fn",
];

/// Words that may stand in one file, or below one directory, only, and why.
const CONFINED: [(&str, &str, &str); 4] = [
    ("setns(", "sys/netns.rs", "a thread that enters a namespace must be a short-lived one"),
    ("unshare(", "sys/netns.rs", "a thread that enters a namespace must be a short-lived one"),
    ("Command::new(", "sys/process.rs", "every process is started in one place"),
    ("unsafe ", "sys/", "unsafe code lives where the machine is"),
];

/// A rule that a line breaks.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    line: usize,
    what: String,
}

/// The layer of a file, by the first part of its path below `src`; `lib.rs` and `main.rs` have none.
fn layer(path: &Path) -> Option<(&'static str, u8)> {
    let first = path.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    LAYERS.into_iter().find(|(layer, _)| *layer == name)
}

/// The lines that are code, numbered from 1: no comments, no blank lines.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())).filter_map(|(number, line)| {
        let code = line.split("// ").next().unwrap_or_default().trim_end();
        (!code.is_empty() && !line.starts_with("//")).then_some((number, code))
    })
}

/// The text without its unit tests, which may use what they like of the machine.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |start| &text[..start])
}

/// The modules that a line names after `crate::`, a group in braces included.
fn modules_named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `other_crate::` and `$crate::` end in the same letters.
        if code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            named.push(word(rest));
            continue;
        };
        let mut depth = 0_i32;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => named.push(word(std::mem::take(&mut item).trim())),
                c if depth == 0 => item.push(c),
                _ => {}
            }
        }
        named.push(word(item.trim()));
    }
    named.retain(|name| !name.is_empty());
    named
}

/// A `use` statement over several lines as one, so that its group is seen whole; other lines as they are.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in code(text) {
        match all.last_mut() {
            Some((_, last)) if open => last.push_str(line),
            _ => {
                open = line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use ");
                all.push((number, line.to_owned()));
            }
        }
        open = open && !line.ends_with(';');
    }
    all
}

/// Uses of a layer that stands to the right, or beside.
fn wrong_directions(path: &Path, text: &str) -> Vec<Breach> {
    let Some((own, rank)) = layer(path) else { return Vec::new() };
    let mut breaches = Vec::new();
    for (line, statement) in statements(text) {
        for named in modules_named(&statement) {
            if let Some((other, other_rank)) = LAYERS.into_iter().find(|(layer, _)| *layer == named)
                && other != own
                && other_rank >= rank
            {
                breaches.push(Breach { line, what: format!("{own} uses {other}, which is not below it") });
            }
        }
    }
    breaches
}

/// Effects named in a pure layer.
fn impurities(path: &Path, text: &str) -> Vec<Breach> {
    let Some((own, rank)) = layer(path) else { return Vec::new() };
    if rank > PURE || path.file_name().is_some_and(|name| name == "tests.rs") {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for (line, code) in statements(without_tests(text)) {
        // `use std::{fs, io}` names `std::fs` too.
        let grouped = |effect: &str| {
            effect.split_once("std::").is_some_and(|(_, module)| {
                code.starts_with("use std::{") && code.split(['{', '}', ',', ' ', ':']).any(|word| word == module)
            })
        };
        for effect in EFFECTS.into_iter().filter(|effect| code.contains(effect) || grouped(effect)) {
            breaches.push(Breach { line, what: format!("{own} is pure and names {effect}") });
        }
    }
    breaches
}

/// Words that stand where they may not.
fn strays(path: &Path, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (line, code) in code(text) {
        for (word, place, why) in CONFINED {
            let at_home =
                path.to_str().is_some_and(|path| path == place || place.ends_with('/') && path.starts_with(place));
            let named = code.match_indices(word).any(|(at, _)| {
                // The word itself: not the end of a longer one such as `is_unsafe `, nor a method that was given the
                // same name, which only passes the wish on.
                let before = &code[..at];
                !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.')
                    && !before.ends_with("fn ")
            });
            if named && !at_home {
                breaches.push(Breach { line, what: format!("{word:?} belongs into {place} only: {why}") });
            }
        }
    }
    breaches
}

/// Every source file with its path below `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut directories = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("src can be read") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                files.push((path.strip_prefix(&root).expect("below src").to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

/// Applies one rule to every file and fails with all breaches, each as `file:line`.
fn assert_everywhere(rule: fn(&Path, &str) -> Vec<Breach>) {
    let files = sources();
    assert!(files.len() > 10, "only {} source files were found: the test looks in the wrong place", files.len());
    let mut report = String::new();
    for (path, text) in &files {
        for breach in rule(path, text) {
            writeln!(report, "src/{}:{}: {}", path.display(), breach.line, breach.what).expect("a String takes all");
        }
    }
    assert!(report.is_empty(), "the architecture is broken:\n{report}");
}

#[test]
fn every_use_goes_down_the_layers() {
    assert_everywhere(wrong_directions);
}

#[test]
fn the_pure_core_names_no_file_clock_process_socket_or_task() {
    assert_everywhere(impurities);
}

#[test]
fn namespaces_processes_and_unsafe_code_stay_in_their_files() {
    assert_everywhere(strays);
}

#[test]
fn every_module_of_the_library_has_a_rank() {
    for (path, _) in sources() {
        let top = path.components().count() == 1 && (path.ends_with("lib.rs") || path.ends_with("main.rs"));
        assert!(top || layer(&path).is_some(), "src/{} belongs to no layer of tests/layers.rs", path.display());
    }
}

/// What a rule says of one piece of text.
fn complaints(rule: fn(&Path, &str) -> Vec<Breach>, path: &str, text: &str) -> Vec<String> {
    rule(Path::new(path), text).into_iter().map(|breach| format!("{}: {}", breach.line, breach.what)).collect()
}

#[test]
fn a_use_upwards_is_seen_in_every_form() {
    for text in [
        "use crate::sys::netns;",
        "use crate::{model::Link, sys::netns};",
        "use crate::{\n    model::{Link, Domain},\n    sys,\n};",
        "fn f() { crate::sys::netns::enter() }",
        "pub(crate) use crate::sys as machine;",
    ] {
        assert_eq!(
            complaints(wrong_directions, "plan/order.rs", text),
            ["1: plan uses sys, which is not below it"],
            "{text}"
        );
    }
    assert_eq!(
        complaints(wrong_directions, "config/read.rs", "\nuse crate::policy::Sets;"),
        ["2: config uses policy, which is not below it"]
    );
}

#[test]
fn a_use_downwards_or_in_a_comment_or_of_another_crate_is_allowed() {
    for text in [
        "use crate::model::{Link, Domain};",
        "use crate::plan::Step;",
        "//! See [`crate::supervisor`].",
        "fn f() {} // crate::cli prints it",
        "use other_crate::cli;",
        "use crate::model::{sys, cli};",
    ] {
        assert!(complaints(wrong_directions, "plan/order.rs", text).is_empty(), "{text}");
    }
}

#[test]
fn an_effect_in_a_pure_layer_is_seen_and_in_its_unit_tests_allowed() {
    assert_eq!(complaints(impurities, "render/mod.rs", "use std::fs;"), ["1: render is pure and names std::fs"]);
    assert_eq!(complaints(impurities, "render/mod.rs", "use std::{fmt, fs};"), ["1: render is pure and names std::fs"]);
    assert_eq!(
        complaints(impurities, "supervise.rs", "let now = Instant::now();"),
        ["1: supervise is pure and names Instant::now"]
    );
    assert!(complaints(impurities, "sys/files.rs", "use std::fs;").is_empty());
    assert!(complaints(impurities, "model/link.rs", "use std::net::{IpAddr, Ipv6Addr};").is_empty());
    assert!(complaints(impurities, "model/link.rs", "f();\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}").is_empty());
}

#[test]
fn a_word_outside_its_file_is_seen() {
    for (text, word) in [
        ("nix::sched::setns(fd, flags)?;", "setns("),
        ("unshare(flags)?;", "unshare("),
        ("let c = tokio::process::Command::new(\"ip\");", "Command::new("),
        ("let x = unsafe { y() };", "unsafe "),
    ] {
        let found = complaints(strays, "supervisor/launch.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(word), "{found:?}");
    }
    assert!(complaints(strays, "sys/netns.rs", "setns(fd, flags)?; let x = unsafe { y() };").is_empty());
    assert!(complaints(strays, "sys/process.rs", "Command::new(program)").is_empty());
    assert!(complaints(strays, "sys/nft.rs", "let nft = nft.unshare(kinds);").is_empty());
}

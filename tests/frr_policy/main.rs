//! A domain accepts and announces the same with either daemon.
//!
//! The domain `middle` runs once BIRD and once FRR, each with what rdsup renders for it, in a namespace of its own among
//! speakers that say good and bad things: BIRD on links, to several neighbors and several hops away, and ExaBGP, which
//! says whatever it is told. What `middle` has learned from each, what each has learned from it, and what is in the kernel
//! must be equal, and is written down in `expected.txt`.
#![expect(
    clippy::disallowed_methods,
    reason = "the test is the outside world: it starts daemons and waits for them with a deadline"
)]
#![expect(clippy::format_push_string, clippy::format_collect, reason = "the texts are short and made a few times")]

#[path = "../render_fixture/mod.rs"]
mod render_fixture;
mod run;
mod speakers;
mod tables;
mod world;

use std::collections::BTreeSet;
use std::path::Path;

use rdsup::model::DaemonKind;

/// What differs, for people.
fn difference(bird: &BTreeSet<String>, frr: &BTreeSet<String>) -> String {
    let only = |who: &str, one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.difference(other).map(|line| format!("{who} {line}\n")).collect::<String>()
    };
    only("only BIRD:", bird, frr) + &only("only FRR: ", frr, bird)
}

/// FRR adds `NO_EXPORT` to what has the community BLACKHOLE (RFC 7999), and so keeps it to itself. BIRD leaves that to filters.
fn is_blackhole(line: &str) -> bool {
    line.starts_with("announced ") && line.contains("(65535,666)")
}

#[test]
fn frr_accepts_and_announces_what_bird_does() {
    let bird = run::run(&world::network(), DaemonKind::Bird);
    let frr = run::run(&world::network(), DaemonKind::Frr);
    let common = |lines: &BTreeSet<String>| lines.iter().filter(|line| !is_blackhole(line.as_str())).cloned().collect();
    let different = difference(&common(&bird), &common(&frr));
    assert!(different.is_empty(), "{different}");
    let [all, some] = [&bird, &frr].map(|lines| lines.iter().filter(|line| is_blackhole(line.as_str())).count());
    assert!(some < all, "the exception is no longer one");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frr_policy/expected.txt");
    let text: String = bird.iter().map(|line| format!("{line}\n")).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

/// The prefixes that are accepted from, or announced to, each.
fn prefixes(lines: &BTreeSet<String>, what: &str) -> BTreeSet<String> {
    let lines = lines.iter().filter(|line| line.starts_with(what));
    lines.map(|line| line.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn without_a_list_frr_accepts_and_announces_less_and_never_more() {
    let all = run::run(&world::network(), DaemonKind::Frr);
    for kinds in
        [&["rd-never4"][..], &["rd-except4"], &["rd-paths"], &["rd-transit"], &["rd-only", "rd-outside"], &["rd-clean"]]
    {
        let less = run::run_without(&world::network(), kinds);
        let [accepted, announced] = ["accepted", "announced"].map(|what| {
            let (before, after) = (prefixes(&all, what), prefixes(&less, what));
            // What comes by another way now was refused to whom it comes from.
            let more: Vec<_> = after.difference(&before).collect();
            assert!(more.is_empty(), "{what} without {kinds:?}: {more:?}");
            before.len() - after.len()
        });
        assert!(accepted + announced > 0, "without {kinds:?} nothing changed");
    }
}

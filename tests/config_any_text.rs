//! Whatever text the reader is given, it answers.

use std::collections::HashSet;
use std::path::Path;

use proptest::prelude::*;
use rdsup::config::{self, Problems};
use rdsup::model::{DaemonKind, Family, Network, PrefixPattern, Routing};

const COMMENTED: &str = include_str!("../conf/rdsup.toml");

/// One file is there.
fn one_file(path: &Path) -> Result<String, String> {
    if path != Path::new("/y") {
        return Err("it is not there".to_owned());
    }
    Ok("10.1.0.0/16 # ours\n\n192.0.2.0/24 le 28\n\u{1F600}\n".to_owned())
}

/// Reads `text` and shows all that is said about it; shows must not panic either.
fn read_and_show(text: &str) {
    let source = Path::new("rdsup.toml");
    let problems = match config::read(source, text, &mut one_file) {
        Ok(loaded) => {
            assert_sound(&loaded.network);
            Problems::new(source, text, loaded.warnings)
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "an error without a problem");
            problems
        }
    };
    let _ = (problems.render(false), problems.render(true), problems.to_string(), config::run_dir(text));
    let json = serde_json::to_string(&problems).expect("problems as JSON");
    assert!(json.contains("problems"));
}

/// What later layers rely on, whatever the file was.
fn assert_sound(network: &Network) {
    for domain in &network.domains {
        let mut names: HashSet<&str> = domain.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        assert_eq!(names.len(), domain.interfaces.len(), "interfaces of {} collide", domain.name);
        let mut marks = HashSet::new();
        for (link, own, peer) in network.links_of(&domain.name) {
            assert!(names.insert(own.interface.as_str()), "interfaces of {} collide", domain.name);
            assert!(link.mark > 0 && link.mark < 1 << 30 && marks.insert(link.mark));
            assert!(network.domain(&peer.domain).is_some() && own.domain != peer.domain);
            assert!(link.routing == Routing::Static || domain.asn.is_some());
            assert!(link.routing == Routing::Bgp || own.accept.routes.iter().all(PrefixPattern::is_exact));
            for pattern in &own.accept.routes {
                assert_eq!(pattern.prefix, pattern.prefix.trunc());
                assert!(pattern.prefix.prefix_len() <= pattern.ge && pattern.ge <= pattern.le);
                assert!(pattern.le <= pattern.prefix.max_prefix_len());
                assert!(domain.families.contains(Family::of_net(&pattern.prefix)));
            }
        }
        assert!(domain.neighbors.is_empty() || domain.asn.is_some());
        assert!(domain.daemon == DaemonKind::None || domain.router_id.is_some());
        assert!(!domain.description.as_ref().is_some_and(|text| text.chars().any(char::is_control)));
    }
}

/// What tends to break readers: syntax of TOML and of our own values, cut into pieces.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[[link]]\nbetween = [\"a\", \"b\"]\n".to_owned()),
        Just("[link.into.a]\nroutes = [\"any\", \"@x\", \"10.0.0.0/8 le 24\"]\n".to_owned()),
        Just("[domain.a]\nasn = 65001\nloopback = [\"10.0.0.1/32\"]\n".to_owned()),
        Just("[domain.b]\nasn = 65002\nnetworks = [\"::/0\"]\n".to_owned()),
        Just("[[domain.a.route]]\nto = \"0.0.0.0/0\"\n".to_owned()),
        Just("[[domain.a.interface]]\nname = \"eth0\"\naddress = [\"10.0.0.1/24\"]\n".to_owned()),
        Just("[prefixes]\nx = [\"@y\", \"@x\"]\ny = [\"@x\"]\n".to_owned()),
        Just("[prefixes]\nx = { file = \"/y\" }\n".to_owned()),
        Just("\"\"\"".to_owned()),
        Just("é\u{1F600}\u{7f}\t\r\n".to_owned()),
        Just("a.b.c = { d = [[1], {}], 'e' = 1e9 }\n".to_owned()),
        "[a-z\\[\\]{}=.\"'#, 0-9\n]{0,40}",
    ]
}

/// One change to a text.
#[derive(Clone, Debug)]
enum Change {
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Replace(prop::sample::Index, char),
    Insert(prop::sample::Index, String),
    SwapLines(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Change::Cut),
        (at(), 1..80usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), any::<char>()).prop_map(|(at, with)| Change::Replace(at, with)),
        (at(), fragment()).prop_map(|(at, text)| Change::Insert(at, text)),
        (at(), at()).prop_map(|(a, b)| Change::SwapLines(a, b)),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    if characters.is_empty() {
        return String::new();
    }
    match change {
        Change::Cut(at) => characters.truncate(at.index(characters.len())),
        Change::Remove(at, count) => {
            let start = at.index(characters.len());
            let end = (start + count).min(characters.len());
            characters.drain(start..end);
        }
        Change::Replace(at, with) => {
            let at = at.index(characters.len());
            characters[at] = *with;
        }
        Change::Insert(at, text) => {
            let at = at.index(characters.len());
            characters.splice(at..at, text.chars());
        }
        Change::SwapLines(first, second) => {
            let mut lines: Vec<&str> = text.lines().collect();
            let (first, second) = (first.index(lines.len().max(1)), second.index(lines.len().max(1)));
            if first < lines.len() && second < lines.len() {
                lines.swap(first, second);
            }
            return lines.join("\n");
        }
    }
    characters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_answered(text in any::<String>()) {
        read_and_show(&text);
    }

    #[test]
    fn text_of_fragments_is_answered(parts in prop::collection::vec(fragment(), 0..24)) {
        read_and_show(&parts.concat());
    }

    #[test]
    fn the_commented_file_with_changes_is_answered(changes in prop::collection::vec(change(), 1..6)) {
        let text = changes.iter().fold(COMMENTED.to_owned(), |text, change| apply(&text, change));
        read_and_show(&text);
    }
}

#[test]
fn deep_nesting_is_answered() {
    read_and_show(&"[".repeat(100_000));
    read_and_show(&format!("a = {}", "{a=".repeat(10_000)));
    read_and_show(&format!("a = {}", "[".repeat(10_000)));
    let lists: Vec<String> = (0..5000).map(|n| format!("l{n} = [\"@l{}\", \"@l{}\"]", n + 1, n + 1)).collect();
    let chain = lists.join("\n");
    read_and_show(&format!("[prefixes]\n{chain}"));
}

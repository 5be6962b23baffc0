//! What is rendered, file by file, and what the daemons' own parsers say about it.

mod render_fixture;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rdsup::model::{Network, PasswordFile, Program};
use rdsup::render::{Rendered, Secret, Secrets, Templates, UNPRIVILEGED_CHECK, render};

/// The cases, each a folder under `tests/cases/render`.
fn cases() -> BTreeMap<&'static str, Network> {
    BTreeMap::from([
        ("three-domains", render_fixture::three_domains()),
        ("edge", render_fixture::edge()),
        ("host", render_fixture::host()),
        ("host-alone", render_fixture::host_alone()),
        ("ipv4-only", render_fixture::ipv4_only()),
        ("overlap", render_fixture::overlap()),
        ("chain", render_fixture::chain()),
    ])
}

fn rendered(network: &Network) -> Rendered {
    let key = PasswordFile(PathBuf::from("/etc/rdsup/keys/transit"));
    let secrets = Secrets::from_iter([(key, Secret::new("s3cret {;}"))]);
    render(network, &Templates::built_in(), &secrets).unwrap()
}

fn files(rendered: &Rendered) -> Vec<(String, &str)> {
    let mut files = Vec::new();
    for (domain, rendered) in &rendered.domains {
        files.push((format!("{domain}.nft"), rendered.filter.as_str()));
        let of = |program: &Program| format!("{domain}.{}.conf", program.as_str());
        files.extend(rendered.daemon.iter().map(|(program, text)| (of(program), text.as_str())));
    }
    files
}

#[test]
fn rendered_files_equal_the_golden_ones() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (case, network) in cases() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/render").join(case);
        for (name, text) in files(&rendered(&network)) {
            let path = folder.join(name);
            if update {
                write(&path, text);
            } else if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
                wrong.push(path);
            }
        }
    }
    assert!(wrong.is_empty(), "differ (look, then UPDATE_GOLDEN=1): {wrong:#?}");
}

#[expect(clippy::disallowed_methods, reason = "a test writes its own expectation")]
fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Runs a parser on a text and returns what it complains about.
#[expect(clippy::disallowed_methods, reason = "the parsers are run by hand here, as an admin would")]
fn complaints(command: &[&str], text: &str) -> Option<String> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn bird_parses_every_configuration() {
    for (case, network) in cases() {
        for (domain, rendered) in rendered(&network).domains {
            if let Some(text) = rendered.speaker() {
                assert_eq!(complaints(&["bird", "-p", "-c", "/dev/stdin"], text), None, "{case}/{domain}\n{text}");
            }
        }
    }
}

#[test]
fn nft_parses_all_filters_of_a_network_at_once() {
    for (case, network) in cases() {
        let check = rendered(&network).filter_check();
        let nft = ["unshare", "-rn", "nft", "-c", "-f", "-"];
        assert_eq!(complaints(&nft, &check.text), None, "{case}\n{}", check.text);
    }
}

#[test]
fn nft_loads_every_filter_and_loads_it_again() {
    for (case, network) in cases() {
        for (domain, rendered) in rendered(&network).domains {
            let twice =
                ["unshare", "-rn", "sh", "-c", "f=$(cat; echo); echo \"$f\" | nft -f - && echo \"$f\" | nft -f -"];
            assert_eq!(complaints(&twice, &rendered.filter), None, "{case}/{domain}");
        }
    }
}

#[test]
fn the_filters_of_many_domains_are_checked_without_root_in_pieces() {
    let network = render_fixture::hub(24);
    let rendered = rendered(&network);
    let checks = rendered.filter_checks(UNPRIVILEGED_CHECK, |_| true);
    let domains: usize = checks.iter().map(|check| check.sections.len()).sum();
    assert_eq!(domains, network.domains.len());
    assert!(checks.len() > 1 && checks.len() < domains, "{}", checks.len());
    // The hub itself is more than a piece; it comes alone.
    for check in checks.iter().filter(|check| check.text.len() <= UNPRIVILEGED_CHECK) {
        assert_eq!(complaints(&["unshare", "-rn", "nft", "-c", "-f", "-"], &check.text), None);
    }
}

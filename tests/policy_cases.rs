//! `rdsup policy` as it is typed, and what it prints.
//!
//! Each directory of `tests/cases/policy` has a file, questions, and the answers with their exit codes.
//! `UPDATE_GOLDEN=1` writes the answers, and the part of `docs/policy.md` that shows those of the demo.
#![expect(clippy::disallowed_methods, reason = "the tests are the outside world: they start the program")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the program prints for each question, with standard error and exit code.
fn answers(directory: &Path, config: &str, questions: &str) -> String {
    let mut text = String::new();
    for question in questions.lines() {
        let ran = Command::new(env!("CARGO_BIN_EXE_rdsup"))
            .args(["-c", config])
            .args(question.split(' '))
            .current_dir(directory)
            .env_remove("RDSUP_CONFIG")
            .output()
            .expect("the program can be started");
        let code = ran.status.code().expect("it ends by itself");
        let [out, error] = [&ran.stdout, &ran.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        writeln!(text, "$ rdsup {question}\n{out}{error}[{code}]\n").expect("a String takes all");
    }
    // Messages name the file by its whole path, which is another on each machine.
    text.replace(&format!("{}/", directory.display()), "")
}

fn golden(path: &Path, answers: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, answers).expect("the expected text can be written");
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    assert!(wanted == answers, "{} differs; UPDATE_GOLDEN=1 writes it:\n{answers}", path.display());
}

fn case(name: &str, config: &str) -> String {
    let directory: PathBuf = root().join("tests/cases/policy").join(name);
    let questions = fs::read_to_string(directory.join("questions.txt")).expect("there are questions");
    answers(&directory, config, &questions)
}

#[test]
fn the_matrix_of_the_demo_and_questions_about_it() {
    let answers = case("demo", "../../../../conf/demo.toml")
        .replace("../../../../", "")
        .replace(&format!("{}/", root().display()), "");
    golden(&root().join("tests/cases/policy/demo/expected.txt"), &answers);
}

#[test]
fn a_chain_with_transit_and_a_static_link() {
    golden(&root().join("tests/cases/policy/chain/expected.txt"), &case("chain", "input.toml"));
}

#[test]
fn an_overlap_with_alias_nat_and_services() {
    golden(&root().join("tests/cases/policy/overlap/expected.txt"), &case("overlap", "input.toml"));
}

#[test]
fn a_chain_whose_end_has_no_way_back() {
    golden(&root().join("tests/cases/policy/one-way/expected.txt"), &case("one-way", "input.toml"));
}

#[test]
fn the_documentation_shows_what_the_program_prints_for_the_demo() {
    let path = root().join("docs/policy.md");
    let docs = fs::read_to_string(&path).expect("the documentation can be read");
    let mut fresh = docs.clone();
    for question in ["policy", "policy hostile internet icmp"] {
        let said = answers(root(), "conf/demo.toml", question);
        let said = said.trim_end().rsplit_once('\n').map_or("", |(said, _code)| said);
        let said = said.replace("$ rdsup ", "$ rdsup -c conf/demo.toml ");
        let start = format!("```console\n$ rdsup -c conf/demo.toml {question}\n");
        let at = fresh.find(&start).unwrap_or_else(|| panic!("docs/policy.md does not show {question:?}"));
        let end = at + fresh[at..].find("\n```\n").expect("the block ends");
        fresh.replace_range(at..end, &format!("```console\n{said}"));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &fresh).expect("the documentation can be written");
    } else {
        assert!(docs == fresh, "docs/policy.md shows something else; UPDATE_GOLDEN=1 writes it");
    }
}

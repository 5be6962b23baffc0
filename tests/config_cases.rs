//! Every folder of `tests/cases/config` is a file that is read, and what is said about it.
//!
//! `UPDATE_GOLDEN=1 cargo test --test config_cases` writes what is said now; read the difference before it is committed.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use rdsup::config::{self, Problems};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/config");

/// What is shown to the user, under a name that does not depend on the machine.
fn said_about(folder: &Path, text: &str) -> String {
    let source = Path::new("rdsup.toml");
    match config::read(source, text, &mut |path| file_of(folder, path)) {
        Ok(loaded) if loaded.warnings.is_empty() => "no problems\n".to_owned(),
        Ok(loaded) => Problems::new(source, text, loaded.warnings).render(false),
        Err(problems) => problems.render(false),
    }
}

/// Files that a case names lie in its folder, whatever directory it says.
fn file_of(folder: &Path, path: &Path) -> Result<String, String> {
    fs::read_to_string(folder.join(path.file_name().unwrap_or_default())).map_err(|error| error.to_string())
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(CASES)
        .expect("the folder of cases")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_file_is_answered_as_its_case_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = String::new();
    for folder in folders() {
        let text = fs::read_to_string(folder.join("input.toml")).expect("an input.toml in every case");
        let said = said_about(&folder, &text);
        let golden = folder.join("expected.txt");
        if update {
            update_golden(&golden, &said);
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            let _ = writeln!(wrong, "=== {}\n{said}", folder.display());
        }
    }
    assert!(wrong.is_empty(), "these cases are answered otherwise:\n{wrong}");
}

#[expect(clippy::disallowed_methods, reason = "a golden file in the source tree has no reader to see it half-written")]
fn update_golden(golden: &Path, said: &str) {
    fs::write(golden, said).expect("a writable case");
}

#[test]
fn every_case_of_bad_input_is_refused_with_a_hint_for_each_problem() {
    let mut refused = 0;
    for folder in folders() {
        let text = fs::read_to_string(folder.join("input.toml")).expect("an input.toml in every case");
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("accepts-") || name.starts_with("warns-") {
            let loaded = config::read(Path::new("x"), &text, &mut |path| file_of(&folder, path)).expect(&name);
            assert_eq!(loaded.warnings.is_empty(), name.starts_with("accepts-"), "{name} is not what its name says");
            continue;
        }
        let problems = config::read(Path::new("x"), &text, &mut |path| file_of(&folder, path)).expect_err(&name);
        refused += 1;
        for problem in problems.iter().filter(|_| !name.starts_with("syntax-")) {
            assert!(problem.hint.is_some(), "{name}: no hint for {problem}");
            assert!(problem.line > 0, "{name}: no line for {problem}");
        }
    }
    assert!(refused >= 40, "only {refused} cases of bad input");
}

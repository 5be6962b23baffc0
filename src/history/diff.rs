//! What differs between two generations.

use std::collections::BTreeSet;
use std::path::Path;

use similar::TextDiff;

use super::Snapshot;

/// Lines of context around a change, as `diff -u` has them.
const CONTEXT: usize = 3;

/// The difference as a unified diff, of the configuration and of the files that it names; empty if there is none. `old` and
/// `new` are what the two are called in its headings.
pub fn difference(old: (&str, &Snapshot), new: (&str, &Snapshot)) -> String {
    let mut text = unified((old.0, &old.1.text), (new.0, &new.1.text), None);
    let paths: BTreeSet<&Path> = old.1.files.keys().chain(new.1.files.keys()).map(AsRef::as_ref).collect();
    for path in paths {
        let of = |snapshot: &Snapshot| snapshot.files.get(path).cloned().unwrap_or_default();
        text += &unified((old.0, &of(old.1)), (new.0, &of(new.1)), Some(path));
    }
    text
}

fn unified(old: (&str, &str), new: (&str, &str), path: Option<&Path>) -> String {
    if old.1 == new.1 {
        return String::new();
    }
    let heading = |name: &str| path.map_or_else(|| name.to_owned(), |path| format!("{}\t{name}", path.display()));
    TextDiff::from_lines(old.1, new.1)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&heading(old.0), &heading(new.0))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_both_and_shows_the_lines_of_every_file_that_changed() {
        let snapshot = |text: &str, list: &str| Snapshot {
            text: text.to_owned(),
            files: [("/etc/rdsup/irr.txt".into(), list.to_owned())].into(),
        };
        let old = snapshot("a\nb\n", "192.0.2.0/24\n");
        let new = snapshot("a\nc\n", "192.0.2.0/24\n198.51.100.0/24\n");
        assert_eq!(
            difference(("generation 1", &old), ("generation 2", &new)),
            "--- generation 1\n+++ generation 2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\
             --- /etc/rdsup/irr.txt\tgeneration 1\n+++ /etc/rdsup/irr.txt\tgeneration 2\n@@ -1 +1,2 @@\n 192.0.2.0/24\n+198.51.100.0/24\n"
        );
        assert_eq!(difference(("x", &old), ("y", &old)), "");
    }
}

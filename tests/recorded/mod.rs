//! Recorded answers of a daemon under `tests/cases/DAEMON`, and what is read from them.

use std::path::{Path, PathBuf};

/// A daemon's recordings.
pub struct Recorded(pub &'static str);

impl Recorded {
    fn path(&self, file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(self.0).join(file)
    }

    /// The answer of this name.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.txt"))).expect("the recording is there")
    }

    /// Compares with `NAME.json`; `UPDATE_GOLDEN=1` writes it instead.
    #[track_caller]
    pub fn assert_golden(&self, name: &str, found: &impl serde::Serialize) {
        let path = self.path(&format!("{name}.json"));
        let found = serde_json::to_string_pretty(found).expect("answers are serialisable") + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a test writes its own golden file")]
            std::fs::write(&path, &found).expect("the golden file is writable");
        }
        let wanted = std::fs::read_to_string(&path).expect("the golden file is there; UPDATE_GOLDEN=1 writes it");
        assert_eq!(found, wanted, "{name}; UPDATE_GOLDEN=1 rewrites it");
    }
}

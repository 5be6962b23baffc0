//! Text → [`Network`]: what the file says, checked, with every problem at once.
//!
//! ```text
//!  text ─ toml ─▶ tree ─ shape ─▶ pruned tree ─ serde ─▶ raw::File ─ resolve ─▶ model::Network
//!           │               │                                           │
//!           └── syntax ─────┴── unknown keys, types, missing keys ──────┴── values, references, contradictions
//!                                       all ─▶ Problems
//! ```
//!
//! Nothing here opens a file: `source` is only a name for messages, and whoever calls [`read`] gives it a function that reads
//! the files of prefixes.

mod at;
mod later;
mod problem;
mod raw;
mod reference;
mod resolve;
mod shape;

pub use problem::{Problem, Problems, Related, Severity};
pub use reference::reference;
pub use resolve::{protocol_name, protocol_number};
pub use shape::nearest;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;
use toml::de::DeTable;

use crate::model::Network;
use problem::Report;

/// Where sockets, rendered files and process records are kept unless the file says otherwise.
pub const DEFAULT_RUN_DIR: &str = "/run/rdsup";

/// Where state that must outlive a reboot is kept unless the file says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/rdsup";

/// A file that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub network: Network,
    /// What in it probably does not mean what was wanted, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// How the text of another file is had, or in words why it cannot be.
pub type ReadText<'r> = dyn FnMut(&Path) -> Result<String, String> + 'r;

/// Reads a file's text; `source` is its name, for messages, and `open` reads the files that it names.
///
/// The error holds every error of the file, in the order of the file. Warnings are given only for a file without errors.
pub fn read(source: &Path, text: &str, open: &mut ReadText<'_>) -> Result<Loaded, Problems> {
    let mut report = Report::new(text);
    let (mut tree, syntax) = DeTable::parse_recoverable(text);
    let lost_from = report_syntax(&syntax, &mut report);
    let syntax = report.count();
    shape::prune(&SCHEMA, &mut tree, &mut report);
    let network = match raw::File::deserialize(toml::de::Deserializer::from(tree)) {
        Ok(file) => Some(resolve::network(source, &file, open, &mut report)),
        Err(error) => {
            report.error(&error.span().unwrap_or(0..0), error.message());
            None
        }
    };
    report.drop_consequences(syntax, lost_from);
    let (errors, warnings) = report.finish();
    match network {
        Some(network) if errors.is_empty() => Ok(Loaded { network, warnings }),
        _ => Err(Problems::new(source, text, errors)),
    }
}

/// Reports what the parser found: the first error of each line, as the others of a line follow from it. To a list that is
/// never closed every further line is an element without a comma before it; of these the first is reported, and its line is
/// the answer.
fn report_syntax(errors: &[toml::de::Error], report: &mut Report<'_>) -> Option<u32> {
    const NO_COMMA: &str = "missing comma between array elements";
    let mut lines = HashSet::new();
    let mut open_list = None;
    let mut lost_from = None;
    let mut errors: Vec<_> = errors.iter().map(|error| (error, error.span().unwrap_or(0..0))).collect();
    // Those of lists are found after those of other values.
    errors.sort_by_key(|(_, span)| report.line(span.start));
    for (error, span) in errors {
        let line = report.line(span.start);
        if !lines.insert(line) {
            continue;
        }
        if error.message().starts_with(NO_COMMA) {
            if open_list.is_some() {
                lost_from = open_list;
                continue;
            }
            open_list = Some(line);
            report
                .error(&span, error.message())
                .hint("is the list before this closed by ]? and every element but the last is followed by a comma");
            continue;
        }
        if lost_from.is_some() {
            continue;
        }
        open_list = None;
        if error.message() == "duplicate key" {
            let key = report.text().get(span.clone()).unwrap_or_default();
            let message = format!("`{key}` is defined twice");
            report.error(&span, message).hint("put everything into one, or give one of them another name");
        } else {
            report
                .error(&span, error.message())
                .hint("texts stand in quotes, lists in [ ], tables in { }, and every key on a line of its own");
        }
    }
    lost_from
}

/// `[rdsup].run_dir` of a file that may be broken elsewhere, or the default.
///
/// Whoever asks a running supervisor needs only its socket, and must not be locked out by a slip in the file.
pub fn run_dir(text: &str) -> PathBuf {
    directory(text, "run_dir", DEFAULT_RUN_DIR)
}

/// The same for `[rdsup].state_dir`.
pub fn state_dir(text: &str) -> PathBuf {
    directory(text, "state_dir", DEFAULT_STATE_DIR)
}

fn directory(text: &str, key: &str, default: &str) -> PathBuf {
    let (tree, _) = DeTable::parse_recoverable(text);
    let table = tree.get_ref().get("rdsup").and_then(|table| table.get_ref().as_table());
    let given = table.and_then(|table| table.get(key)).and_then(|value| value.get_ref().as_str());
    PathBuf::from(given.filter(|path| path.starts_with('/')).unwrap_or(default))
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(raw::File).to_value();
    strip_null(&mut schema);
    schema
});

/// The JSON schema of the file, for editors.
pub fn schema() -> Value {
    SCHEMA.clone()
}

/// TOML has no null: an optional key is absent.
fn strip_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = object.get_mut("anyOf") {
                options.retain(|option| option.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = options.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            object.values_mut().for_each(strip_null);
        }
        Value::Array(values) => values.iter_mut().for_each(strip_null),
        _ => {}
    }
}

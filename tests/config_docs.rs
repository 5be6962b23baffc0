//! The commented file and the reference say what the reader reads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rdsup::config;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// No file is there.
fn no_files(_: &Path) -> Result<String, String> {
    Err("there is no such file".to_owned())
}

fn commented_file() -> String {
    fs::read_to_string(format!("{ROOT}/conf/rdsup.toml")).expect("conf/rdsup.toml")
}

#[test]
fn the_commented_file_reads_without_problems() {
    let text = commented_file();
    match config::read(Path::new("conf/rdsup.toml"), &text, &mut no_files) {
        Ok(loaded) => assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings),
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

#[test]
fn the_commented_file_uses_every_key() {
    let text = commented_file();
    let written: BTreeSet<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let schema = config::schema();
    let types = schema["$defs"].as_object().expect("definitions").values().chain([&schema]);
    for properties in types.filter_map(|definition| definition["properties"].as_object()) {
        for key in properties.keys() {
            assert!(written.contains(key.as_str()), "conf/rdsup.toml does not show `{key}`");
        }
    }
}

#[test]
fn the_reference_is_what_the_types_say() {
    let path = format!("{ROOT}/docs/configuration.md");
    let reference = config::reference();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update_golden(&path, &reference);
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == reference, "docs/configuration.md differs from the types; UPDATE_GOLDEN=1 rewrites it");
}

#[expect(clippy::disallowed_methods, reason = "a golden file in the source tree has no reader to see it half-written")]
fn update_golden(path: &str, text: &str) {
    fs::write(path, text).expect("a writable docs/configuration.md");
}

#[test]
fn every_key_of_the_schema_is_explained() {
    fn check(schema: &Value, at: &str) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{at}: `{key}` is not explained");
        }
    }
    let schema = config::schema();
    check(&schema, "the top of the file");
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        check(definition, name);
    }
}

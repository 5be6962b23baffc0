//! The reference of all keys, derived from the raw types through their schema.

use std::fmt::Write;

use serde_json::Value;

/// What cannot be said key by key.
const INTRODUCTION: &str = include_str!("reference.md");

/// The tables of the top in the order that one writes them; a schema sorts its keys.
const ORDER: &[&str] = &["rdsup", "prefixes.NAME", "domain.NAME", "link", "service", "rpki"];

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let schema = super::schema();
    let mut out = INTRODUCTION.to_owned();
    let mut tables = Tables { schema: &schema, out: &mut out };
    tables.keys_of(&schema, "");
    out
}

/// Writes the sections, a table before the tables in it.
struct Tables<'s> {
    schema: &'s Value,
    out: &'s mut String,
}

/// A table of the file that is described in a section of its own.
struct Section<'s> {
    heading: String,
    path: String,
    about: String,
    schema: &'s Value,
}

impl<'s> Tables<'s> {
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix("#/$defs/"))
            .and_then(|name| self.schema.get("$defs")?.get(name))
            .unwrap_or(schema)
    }

    fn keys_of(&mut self, schema: &'s Value, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut sections = Vec::new();
        let mut rows = String::new();
        for (key, property) in properties.into_iter().flatten() {
            match self.section(key, property, path) {
                Some(section) => sections.push(section),
                None => self.row(&mut rows, key, property, required.contains(&key.as_str())),
            }
        }
        if !rows.is_empty() {
            self.out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
            self.out.push_str(&rows);
        }
        sections.sort_by_key(|section| ORDER.iter().position(|path| *path == section.path));
        for section in sections {
            let _ = write!(self.out, "\n## `{}`\n\n{}\n\n", section.heading, section.about);
            self.keys_of(section.schema, &section.path);
        }
    }

    /// The section of a key whose value is a table, or a list or a set of tables.
    fn section(&self, key: &str, property: &'s Value, path: &str) -> Option<Section<'s>> {
        let inner = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let target = self.resolve(property);
        let (heading, path, schema) = if target.get("properties").is_some() {
            (format!("[{inner}]"), inner, target)
        } else if let Some(items) = items_of(target).map(|items| self.resolve(items)) {
            items.get("properties")?;
            (format!("[[{inner}]]"), inner, items)
        } else {
            let named = self.resolve(target.get("additionalProperties").filter(|schema| schema.is_object())?);
            let path = format!("{inner}.NAME");
            (if named.get("properties").is_some() { format!("[{path}]") } else { format!("[{inner}]") }, path, named)
        };
        let about = meaning(property).or_else(|| meaning(schema)).unwrap_or_default();
        Some(Section { heading, path, about, schema })
    }

    fn row(&self, rows: &mut String, key: &str, property: &Value, required: bool) {
        let default = match property.get("default") {
            _ if required => "required".to_owned(),
            Some(default) => format!("`{default}`"),
            None => String::new(),
        };
        let target = property.get("$ref").and_then(Value::as_str).map_or(property, |path| {
            let name = path.trim_start_matches("#/$defs/");
            self.schema.get("$defs").and_then(|defs| defs.get(name)).unwrap_or(property)
        });
        let mut about = meaning(property).or_else(|| meaning(target)).unwrap_or_default();
        for (word, means) in variants(target) {
            let _ = write!(about, " `{word}`: {means}");
        }
        let _ = writeln!(rows, "| `{key}` | {} | {default} | {about} |", self.value(property));
    }

    /// The type of a value, as a person would say it.
    fn value(&self, schema: &Value) -> String {
        let target = schema.get("$ref").and_then(Value::as_str).map_or(schema, |path| {
            let name = path.trim_start_matches("#/$defs/");
            self.schema.get("$defs").and_then(|defs| defs.get(name)).unwrap_or(schema)
        });
        let words: Vec<String> = target
            .get("enum")
            .and_then(Value::as_array)
            .map(|words| words.iter().filter_map(Value::as_str).map(|word| format!("`\"{word}\"`")).collect())
            .unwrap_or_default();
        if !words.is_empty() {
            return words.join(" or ");
        }
        let words: Vec<String> = variants(target).map(|(word, _)| format!("`\"{word}\"`")).collect();
        if !words.is_empty() {
            return words.join(" or ");
        }
        match target.get("type").and_then(Value::as_str) {
            Some("array") => match target.get("items") {
                Some(items) => match self.value(items).as_str() {
                    "string" => "list of strings".to_owned(),
                    words => format!("list of {words}"),
                },
                None => "list".to_owned(),
            },
            Some("integer") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("object") => "table".to_owned(),
            other => other.unwrap_or_default().to_owned(),
        }
    }
}

/// What a list holds, also of a value that may be a list or something else.
fn items_of(schema: &Value) -> Option<&Value> {
    let forms = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    forms.chain([schema]).find_map(|form| form.get("items"))
}

/// The words of an enumeration whose words are explained.
fn variants(schema: &Value) -> impl Iterator<Item = (&str, String)> {
    let variants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    variants.filter_map(|variant| {
        let word = variant.get("const")?.as_str()?;
        Some((word, meaning(variant).unwrap_or_default()))
    })
}

/// What the doc comment says, on one line.
fn meaning(schema: &Value) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|"))
}

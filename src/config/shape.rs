//! Compares the tables and keys of a file with the schema of the raw types, and takes out what does not fit.
//!
//! A deserializer stops at its first error; this finds every unknown key, wrong type and missing key in one pass, and
//! what is left deserializes, so that the rest of the file can be read as well. It knows exactly what the types say,
//! because the schema is derived from them.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::at::Span;
use super::later;
use super::problem::Report;

/// Reports everything in `table` that the schema forbids, and removes it.
pub(super) fn prune(schema: &Value, table: &mut Spanned<DeTable<'_>>, report: &mut Report<'_>) {
    let span = table.span();
    let root = Node { schema, root: schema };
    root.table(table.get_mut(), &span, &Place::root(), report);
}

/// How a node is called in messages.
struct Place<'p> {
    path: String,
    parent: Option<&'p Place<'p>>,
    /// Whether it is an entry of the list at `path`.
    entry: bool,
}

impl<'p> Place<'p> {
    fn root() -> Self {
        Self { path: String::new(), parent: None, entry: false }
    }

    fn key(&'p self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Place { path, parent: Some(self), entry: false }
    }

    fn entry(&'p self) -> Self {
        Self { path: self.path.clone(), parent: Some(self), entry: true }
    }

    fn name(&self) -> String {
        if self.entry { format!("an entry of `{}`", self.path) } else { format!("`{}`", self.path) }
    }

    /// Where a key is.
    fn inside(&self) -> String {
        if self.parent.is_none() { "at the top of the file".to_owned() } else { format!("in `{}`", self.path) }
    }
}

/// One node of the schema; `root` resolves references.
#[derive(Clone, Copy)]
struct Node<'s> {
    schema: &'s Value,
    root: &'s Value,
}

impl<'s> Node<'s> {
    fn at(self, schema: &'s Value) -> Self {
        Self { schema, root: self.root }
    }

    fn get(self, key: &str) -> Option<&'s Value> {
        self.schema.get(key)
    }

    /// The name of the raw type, if this node is a reference to one, and the node that it refers to.
    fn resolve(self) -> (&'s str, Self) {
        let Some(name) = self.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/")) else {
            return ("", self);
        };
        self.root.get("$defs").and_then(|defs| defs.get(name)).map_or(("", self), |schema| (name, self.at(schema)))
    }

    fn properties(self) -> Option<&'s Map<String, Value>> {
        self.get("properties").and_then(Value::as_object)
    }

    /// Whether the value may stay.
    fn value(self, value: &mut DeValue<'_>, span: &Span, place: &Place<'_>, report: &mut Report<'_>) -> bool {
        let (name, node) = self.resolve();
        if let Some(forms) = node.forms(value) {
            return match forms {
                Ok(form) => form.value(value, span, place, report),
                Err(words) => {
                    let found = with_article(called(value));
                    report
                        .error(span, format!("{} must be {words}, not {found}", place.name()))
                        .hint("docs/configuration.md shows how both are written");
                    false
                }
            };
        }
        if let Some(words) = node.words() {
            return is_one_of(name, &words, value, span, place, report);
        }
        let wanted = node.get("type").and_then(Value::as_str).unwrap_or_default();
        match (wanted, value) {
            ("object", DeValue::Table(table)) => {
                if later::refuse_kind(name, table, report) {
                    return false;
                }
                node.table_of(name, table, span, place, report)
            }
            ("array", DeValue::Array(array)) => {
                node.array(array, place, report);
                true
            }
            ("string", DeValue::String(_)) | ("boolean", DeValue::Boolean(_)) => true,
            ("integer", DeValue::Integer(number)) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let limits = node.limits();
                if parsed.is_some_and(|number| limits.contains(&number)) {
                    return true;
                }
                report.error(span, format!("{} is out of range: {number}", place.name())).hint(format!(
                    "give a number from {} to {}",
                    limits.start(),
                    limits.end()
                ));
                false
            }
            (_, value) => {
                let found = with_article(called(value));
                let problem =
                    report.error(span, format!("{} must be {}, not {found}", place.name(), named_type(wanted)));
                if let Some(hint) = type_hint(wanted, value) {
                    problem.hint(hint);
                }
                false
            }
        }
    }

    /// Of a value that may be written in several forms, the form that `value` has, or what the forms are called.
    fn forms(self, value: &DeValue<'_>) -> Option<Result<Self, String>> {
        let forms = self.get("anyOf").and_then(Value::as_array)?;
        let wanted = |form: &&'s Value| self.at(form).resolve().1.get("type").and_then(Value::as_str);
        let has_type = |wanted: Option<&str>| match value {
            DeValue::Table(_) => wanted == Some("object"),
            DeValue::Array(_) => wanted == Some("array"),
            _ => false,
        };
        let found = forms.iter().find(|form| has_type(wanted(form)));
        Some(found.map(|form| self.at(form)).ok_or_else(|| {
            let names: Vec<&str> = forms.iter().map(|form| named_type(wanted(&form).unwrap_or_default())).collect();
            names.join(" or ")
        }))
    }

    fn limits(self) -> std::ops::RangeInclusive<i128> {
        let most = match self.get("format").and_then(Value::as_str) {
            Some("uint8") => i128::from(u8::MAX),
            Some("uint16") => i128::from(u16::MAX),
            _ => i128::from(u32::MAX),
        };
        0..=most
    }

    /// The words of an enumeration, however the schema spells it.
    fn words(self) -> Option<Vec<&'s str>> {
        if let Some(words) = self.get("enum").and_then(Value::as_array) {
            return Some(words.iter().filter_map(Value::as_str).collect());
        }
        let variants = self.get("oneOf").and_then(Value::as_array)?;
        Some(variants.iter().filter_map(|variant| variant.get("const").and_then(Value::as_str)).collect())
    }

    fn array(self, array: &mut DeArray<'_>, place: &Place<'_>, report: &mut Report<'_>) {
        let Some(items) = self.get("items") else { return };
        let items = self.at(items);
        let kept = std::mem::replace(array, DeArray::new())
            .into_iter()
            .filter_map(|mut item| {
                let span = item.span();
                items.value(item.get_mut(), &span, &place.entry(), report).then_some(item)
            })
            .collect();
        *array = kept;
    }

    fn table(self, table: &mut DeTable<'_>, span: &Span, place: &Place<'_>, report: &mut Report<'_>) {
        self.table_of("", table, span, place, report);
    }

    fn table_of(
        self,
        name: &str,
        table: &mut DeTable<'_>,
        span: &Span,
        place: &Place<'_>,
        report: &mut Report<'_>,
    ) -> bool {
        let mut dropped: Vec<String> = Vec::new();
        let mut bad: Vec<String> = Vec::new();
        for (key, value) in table.iter_mut() {
            let word: &str = key.get_ref();
            let inner = place.key(word);
            let value_span = value.span();
            if let Some(schema) = self.properties().and_then(|properties| properties.get(word)) {
                let before = length(value.get_ref());
                let stays = self.at(schema).value(value.get_mut(), &value_span, &inner, report);
                if !stays {
                    bad.push(word.to_owned());
                }
                if !stays || before != length(value.get_ref()) {
                    report.lose(span, word);
                }
            } else if let Some(schema) = self.get("additionalProperties").filter(|schema| schema.is_object()) {
                if !self.at(schema).value(value.get_mut(), &value_span, &inner, report) {
                    dropped.push(word.to_owned());
                }
            } else {
                let legal: Vec<&str> =
                    self.properties().map(|keys| keys.keys().map(String::as_str).collect()).unwrap_or_default();
                unknown_key(name, word, &key.span(), &legal, place, report);
                dropped.push(word.to_owned());
            }
        }
        for key in dropped.iter().chain(&bad) {
            table.remove(key.as_str());
        }
        let required = self.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut complete = true;
        for key in required.iter().filter_map(Value::as_str).filter(|key| !table.contains_key(*key)) {
            complete = false;
            if !bad.iter().any(|reported| reported == key) {
                report
                    .error(span, format!("`{}` has no `{key}`", place.path))
                    .hint(format!("add `{key} = …` to it"))
                    .absent();
            }
        }
        complete
    }
}

/// How many entries a list has.
fn length(value: &DeValue<'_>) -> usize {
    value.as_array().map_or(0, |array| array.len())
}

fn is_one_of(
    name: &str,
    words: &[&str],
    value: &DeValue<'_>,
    span: &Span,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> bool {
    let Some(word) = value.as_str() else {
        let found = with_article(value.type_str());
        report
            .error(span, format!("{} must be a string, not {found}", place.name()))
            .hint(format!("give one of {}", quoted(words)));
        return false;
    };
    if words.contains(&word) {
        return true;
    }
    if later::is_later_value(name, word) {
        report
            .error(span, format!("`{} = {word:?}` is not supported by this version of rdsup", place.path))
            .hint(format!("give one of {}", quoted(words)));
        return false;
    }
    let problem = report.error(span, format!("{} cannot be {word:?}", place.name()));
    match nearest(word, words) {
        Some(near) => problem.hint(format!("did you mean {near:?}?")),
        None => problem.hint(format!("give one of {}", quoted(words))),
    };
    false
}

fn unknown_key(name: &str, key: &str, span: &Span, legal: &[&str], place: &Place<'_>, report: &mut Report<'_>) {
    if later::is_later_key(name, key) {
        report
            .error(span, format!("`{key}` {} is not supported by this version of rdsup", place.inside()))
            .hint("remove it; a later version reads it");
        return;
    }
    let problem = report.error(span, format!("unknown key `{key}` {}", place.inside()));
    if let Some(near) = nearest(key, legal) {
        problem.hint(format!("did you mean `{near}`?"));
    } else {
        let keys: Vec<String> = legal.iter().map(|key| format!("`{key}`")).collect();
        problem.hint(format!("the keys here are {}", keys.join(", ")));
    }
}

/// The legal word that looks most like what was written, if any looks much like it.
pub fn nearest<'w>(word: &str, legal: &[&'w str]) -> Option<&'w str> {
    legal
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `"a", "b" or "c"`.
pub(super) fn quoted(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("{only:?}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("{word:?}")).collect();
            format!("{} or {last:?}", first.join(", "))
        }
    }
}

/// The word for a value's type.
fn called(value: &DeValue<'_>) -> &'static str {
    match value.type_str() {
        "array" => "list",
        other => other,
    }
}

fn named_type(schema_type: &str) -> &str {
    match schema_type {
        "object" => "a table",
        "array" => "a list",
        "string" => "a string",
        "boolean" => "true or false",
        "integer" => "a whole number",
        other => other,
    }
}

fn with_article(found: &str) -> String {
    let article = if found.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {found}")
}

fn type_hint(wanted: &str, value: &DeValue<'_>) -> Option<String> {
    match (wanted, value) {
        ("array", DeValue::String(text)) => Some(format!("write [{:?}]", &**text)),
        ("array", DeValue::Table(_)) => Some("write the table's name in double brackets, [[…]]".to_owned()),
        ("string", DeValue::Integer(number)) => Some(format!("write \"{number}\"")),
        ("string", _) => Some("write one text in quotes".to_owned()),
        ("integer", DeValue::String(text)) if text.parse::<u32>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        ("boolean", DeValue::String(text)) if matches!(&**text, "true" | "false") => {
            Some(format!("write {text} without quotes"))
        }
        ("object", _) => Some("write it as a table: { … }".to_owned()),
        _ => None,
    }
}

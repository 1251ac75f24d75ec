//! Every key in Markdown, from the types that are read: their fields, documentation, defaults and ranges.
//!
//! The only place that walks what `schemars` derives. A key has one description, the documentation of its field, and
//! one default, that of its type. What a type cannot say stands in `#[schemars(…)]` beside the field: a `range`,
//! `extend("format" = "size")` for bytes that may be written as a text, `extend("reload" = true)` for what is taken
//! without a restart.

use std::fmt::Write;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::{Map, Value};

use super::{Config, output};

/// One key, as it may stand in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) kind: String,
    /// As it is written in TOML; none when the key is left out unless there is something to say.
    pub(super) default: Option<String>,
    pub(super) is_required: bool,
    pub(super) min: Option<Value>,
    pub(super) max: Option<Value>,
    /// The words that may be written, each with what it means.
    pub(super) words: Vec<(String, String)>,
    pub(super) meaning: String,
    /// Taken from a file that is read again, without a restart.
    pub(super) at_reload: bool,
}

/// A section, or the top of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Section {
    /// As it stands in a file, such as `[mqtt.limits]`; empty for the top.
    pub(super) name: String,
    pub(super) meaning: String,
    pub(super) rows: Vec<Row>,
}

const HEAD: &str = "\
# Configuration

Every key of `tidegate.toml`, as the gateway reads it; `tidegate config example` prints a file to start from. A key that
is left out has its default. Unknown keys are refused. `tidegate check` says what is wrong with a file, and where.

**Type**: a size is a number of bytes or a text such as `\"500MB\"` or `\"64MiB\"`, a span a text such as `\"12h\"`.
**Reload**: whether a change counts at once when the file is read again (SIGHUP), or at the next start.

This page is written from the code: `tidegate config reference` prints it.
";

/// The page.
pub(super) fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for section in sections() {
        let Section { name, meaning, rows } = section;
        let heading = if name.is_empty() { "At the top".to_owned() } else { format!("`{name}`") };
        let about = if meaning.is_empty() { String::new() } else { format!("{meaning}\n\n") };
        let _in_memory = write!(
            text,
            "\n## {heading}\n\n{about}| key | type | default | range | reload | meaning |\n|---|---|---|---|---|---|\n"
        );
        rows.iter().for_each(|row| text.push_str(&row.line()));
    }
    text
}

/// All sections: the top, then by name, `[[output]]` by its types last.
pub(super) fn sections() -> Vec<Section> {
    let mut sections = Vec::new();
    let root = Types::of::<Config>();
    root.walk("", &root.root, false, &mut sections);
    for (kind, types) in output::types() {
        let mut found = Vec::new();
        types.walk("output", &types.root, true, &mut found);
        for section in &mut found {
            if section.name == "[[output]]" {
                section.name = format!("[[output]] type = \"{kind}\"");
            }
        }
        sections.extend(found);
    }
    sections
}

/// What a type says of itself, and the types that it names.
pub(super) struct Types {
    root: Map<String, Value>,
    definitions: Map<String, Value>,
}

impl Types {
    pub(super) fn of<T: JsonSchema>() -> Self {
        let schema: Schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
        let root = schema.as_object().cloned().unwrap_or_default();
        let definitions = root.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        Self { root, definitions }
    }

    /// The section at `path` and those in it.
    fn walk(&self, path: &str, schema: &Map<String, Value>, is_many: bool, sections: &mut Vec<Section>) {
        let name = match (path, is_many) {
            ("", _) => String::new(),
            (_, true) => format!("[[{path}]]"),
            (_, false) => format!("[{path}]"),
        };
        let meaning = if path.is_empty() { String::new() } else { meaning(schema, &name) };
        let at = sections.len();
        sections.push(Section { name, meaning, rows: Vec::new() });
        let required: Vec<&str> =
            list(schema.get("required")).iter().filter_map(|name| name.as_str()).collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, said) in properties.into_iter().flatten() {
            let Some(said) = said.as_object() else { continue };
            let (inner, in_many) = self.inner(said);
            if inner.contains_key("properties") {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                self.walk(&path, inner, in_many, sections);
                continue;
            }
            let mut row = self.row(key, said, inner);
            row.is_required = required.contains(&key.as_str());
            // The rule of `Document::zeros`.
            if path.ends_with(".limits") && row.min == Some(Value::from(0)) {
                row.min = Some(Value::from(1));
            }
            if let Some(section) = sections.get_mut(at) {
                section.rows.push(row);
            }
        }
        // All of a section may be taken at a reload.
        let is_reloaded = schema.get("reload") == Some(&Value::Bool(true));
        for row in sections.get_mut(at).into_iter().flat_map(|section| &mut section.rows) {
            row.at_reload |= is_reloaded;
        }
    }

    /// The type of a value, behind "or nothing" and behind a name; and whether there is a list of it.
    fn inner<'s>(&'s self, said: &'s Map<String, Value>) -> (&'s Map<String, Value>, bool) {
        let named = said.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
        if let Some(named) = named.and_then(|name| self.definitions.get(name)?.as_object()) {
            return (self.inner(named).0, false);
        }
        let some = list(said.get("anyOf")).iter().filter_map(Value::as_object);
        if let Some(some) = some.into_iter().find(|one| one.get("type") != Some(&"null".into())) {
            return (self.inner(some).0, false);
        }
        match said.get("items").and_then(Value::as_object).map(|item| self.inner(item).0) {
            Some(item) if item.contains_key("properties") => (item, true),
            _ => (said, false),
        }
    }

    fn row(&self, key: &str, said: &Map<String, Value>, inner: &Map<String, Value>) -> Row {
        let bound = |name: &str| said.get(name).or_else(|| inner.get(name)).cloned();
        let words = words(said, inner);
        Row {
            key: key.to_owned(),
            kind: kind(said, inner, !words.is_empty()).to_owned(),
            default: said.get("default").filter(|value| !value.is_null()).map(|value| toml(value, said)),
            is_required: false,
            min: bound("minimum"),
            // Of a type this wide the greatest value goes without saying in `schemars`.
            max: bound("maximum").or_else(|| (bound("format")? == "uint32").then_some(u32::MAX.into())),
            words,
            meaning: meaning(said, key),
            at_reload: said.get("reload") == Some(&Value::Bool(true)),
        }
    }
}

impl Row {
    fn line(&self) -> String {
        let Self { key, kind, meaning, .. } = self;
        let default = match &self.default {
            Some(default) => format!("`{default}`"),
            None if self.is_required => "must be given".to_owned(),
            None => "left out".to_owned(),
        };
        let reload = if self.at_reload { "at once" } else { "next start" };
        let told = |(word, meaning): &(String, String)| format!(" `\"{word}\"`: {meaning}");
        let told: String = self.words.iter().filter(|(_, meaning)| !meaning.is_empty()).map(told).collect();
        let meaning = format!("{meaning}{told}").replace('|', "\\|");
        format!("| `{key}` | {kind} | {default} | {} | {reload} | {meaning} |\n", self.range())
    }

    fn range(&self) -> String {
        if !self.words.is_empty() {
            let words: Vec<_> = self.words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
            return words.join(", ");
        }
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => String::new(),
        }
    }
}

/// The documentation, in one line, without the name of what it is about in front.
fn meaning(said: &Map<String, Value>, name: &str) -> String {
    let text = said.get("description").and_then(Value::as_str).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let about =
        text.strip_prefix(&format!("`{name}`")).unwrap_or(&text).trim_start_matches([':', '.', ',', ' ']);
    let mut letters = about.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn words(said: &Map<String, Value>, inner: &Map<String, Value>) -> Vec<(String, String)> {
    let mut words = Vec::new();
    for one in list(inner.get("oneOf")).iter().filter_map(Value::as_object) {
        let meant = meaning(one, "");
        words.extend(one.get("const").and_then(Value::as_str).map(|word| (word.to_owned(), meant.clone())));
        words.extend(
            list(one.get("enum")).iter().filter_map(|w| w.as_str()).map(|w| (w.to_owned(), meant.clone())),
        );
    }
    let plain = list(said.get("enum").or_else(|| inner.get("enum"))).iter().filter_map(Value::as_str);
    words.extend(plain.map(|word| (word.to_owned(), String::new())));
    words
}

fn kind(said: &Map<String, Value>, inner: &Map<String, Value>, has_words: bool) -> &'static str {
    let format = said.get("format").or_else(|| inner.get("format")).and_then(Value::as_str);
    match format {
        Some("ip") => return "IP address",
        Some("size") => return "size",
        Some("span") => return "span",
        Some("labels") => return "names with texts",
        _ if has_words => return "word",
        _ => {}
    }
    let type_of = |said: &Map<String, Value>| match said.get("type") {
        Some(Value::Array(names)) => names.first().cloned(),
        other => other.cloned(),
    };
    match type_of(inner).as_ref().and_then(Value::as_str) {
        Some("integer") => "whole number",
        Some("number") => "number",
        Some("boolean") => "`true`, `false`",
        Some("array") if of_texts(inner) => "list of texts",
        Some("array") => "list of numbers",
        _ => "text",
    }
}

fn of_texts(list: &Map<String, Value>) -> bool {
    list.get("items").and_then(|item| item.get("type")).is_some_and(|of| *of == "string")
}

/// `value` as it is written in TOML. What is a value here is one there, but for the sizes.
fn toml(value: &Value, said: &Map<String, Value>) -> String {
    match value.as_u64() {
        Some(bytes) if said.get("format") == Some(&"size".into()) => size(bytes),
        _ => value.to_string(),
    }
}

/// As an owner would write so many bytes: the largest unit of which it is a whole number.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1_000, "kB"),
        (1 << 10, "KiB"),
    ];
    let unit = UNITS.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or(bytes.to_string(), |(unit, name)| format!("\"{}{name}\"", bytes / unit))
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;

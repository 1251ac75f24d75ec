//! The rules for one file. Each takes a file and says what is wrong on which line, and what to do.

use crate::{
    source::{Source, imports, item_end, line_of},
    tables,
};

/// What is wrong in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong; what to do.
    pub what: String,
}

/// A rule for one file.
pub type Rule = fn(&Source) -> Vec<Finding>;

/// Every rule for one file, by name.
pub const RULES: &[(&str, Rule)] = &[
    ("pure parts", pure),
    ("one reader of the clock", clock),
    ("dependencies", dependencies),
    ("file length", file_length),
    ("function length", function_length),
    ("names", names),
    ("channels", channels),
    ("names of limits", limits),
    ("nothing left open", open_ends),
    ("exceptions have reasons", exceptions),
    ("machine paths", machine_paths),
    ("story comments", stories),
    ("one path to the spool", one_path),
];

fn finding(line: usize, what: String) -> Finding {
    Finding { line, what }
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

/// Whether `word` stands in `line` as a whole path: `tokio` in `tokio::net`, not in `tokio_util` or `my::tokio`.
fn names_path(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + word.len()..];
        !before.is_some_and(|c| is_word(c) || c == ':' || c == '.') && after.starts_with("::")
    })
}

fn pure(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || !is_in(&source.path, tables::PURE) {
        return Vec::new();
    }
    let todo = "is not for a pure part; pass in what it gives, or move this to the part that does the input and output";
    let imported = imports(&source.code).into_iter().filter(|(line, _)| !source.is_test_line(*line));
    let mut found: Vec<Finding> = imported
        .filter(|(_, path)| !is_in(path, tables::PURE_NET))
        .filter(|(_, path)| {
            tables::IMPURE.iter().any(|word| path == word || path.starts_with(&format!("{word}::")))
        })
        .map(|(line, path)| finding(line, format!("`{path}` {todo}")))
        .collect();
    for (number, line) in source.code_lines(false).filter(|(_, line)| !line.trim_start().starts_with("use "))
    {
        let named = tables::IMPURE.iter().find(|word| names_path(line, word));
        if let Some(word) = named.filter(|_| !tables::PURE_NET.iter().any(|place| line.contains(place))) {
            found.push(finding(number, format!("`{word}` {todo}")));
        }
    }
    found
}

fn clock(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || !source.path.starts_with("gateway/src/") || source.path == tables::CLOCK {
        return Vec::new();
    }
    let readers = ["SystemTime::now", "Instant::now"];
    source
        .code_lines(false)
        .filter(|(_, line)| readers.iter().any(|reader| line.contains(reader)))
        .map(|(number, _)| {
            finding(
                number,
                format!("reads the clock; call {} or take the time as an argument", tables::CLOCK),
            )
        })
        .collect()
}

fn dependencies(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || !source.path.contains("/src/") {
        return Vec::new();
    }
    let imported = imports(&source.code);
    let mut found = Vec::new();
    for (name, places) in tables::DEPENDENCIES {
        if is_in(&source.path, places) {
            continue;
        }
        let by_use = imported
            .iter()
            .filter(|(_, path)| path == name || path.starts_with(&format!("{name}::")))
            .map(|(line, _)| *line);
        let by_path = source
            .code_lines(false)
            .filter(|(_, line)| !line.trim_start().starts_with("use ") && names_path(line, name))
            .map(|(number, _)| number);
        let mut lines: Vec<usize> =
            by_use.chain(by_path).filter(|line| !source.is_test_line(*line)).collect();
        lines.dedup();
        found.extend(lines.into_iter().map(|line| {
            finding(line, format!("`{name}` belongs in {places:?}; go through the types of that part, or change its row in tests/tidy/tables.rs"))
        }));
    }
    found
}

fn file_length(source: &Source) -> Vec<Finding> {
    let (lines, most) = (source.text.lines().count(), tables::FILE_LINES_MAX);
    if !source.is_rust() || lines <= most {
        return Vec::new();
    }
    vec![finding(most + 1, format!("{lines} lines, {most} are allowed; split it where its nouns part"))]
}

fn function_length(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let most = tables::FUNCTION_LINES_MAX;
    let starts = source.code.match_indices("fn ").filter(|(at, _)| {
        let before = source.code[..*at].chars().next_back();
        let named = source.code[at + 3..].starts_with(|c: char| c.is_alphabetic() || c == '_');
        named && before.is_none_or(|c| c.is_whitespace() || c == '(')
    });
    starts
        .filter_map(|(at, _)| {
            let first = line_of(&source.code, at);
            let lines = line_of(&source.code, item_end(&source.code, at)) + 1 - first;
            (lines > most).then(|| {
                finding(
                    first,
                    format!("a function of {lines} lines, {most} are allowed; give its steps names"),
                )
            })
        })
        .collect()
}

fn names(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let stem = source.path.rsplit_once('.').map_or(source.path.as_str(), |(stem, _)| stem);
    if let Some(part) = stem.split('/').find(|part| tables::EMPTY_NAMES.contains(part)) {
        found.push(finding(1, format!("`{part}` says nothing; name what is in it")));
    }
    if !source.is_rust() {
        return found;
    }
    let ends = ["Manager", "Handler", "Helper", "Util", "Utils"];
    for (number, line) in source.code_lines(true) {
        let mut words =
            line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        let Some(kind) = words.find(|word| ["mod", "struct", "enum", "trait"].contains(word)) else {
            continue;
        };
        let Some(name) = words.next() else { continue };
        let empty = if kind == "mod" {
            tables::EMPTY_NAMES.contains(&name)
        } else {
            ends.iter().any(|end| name.ends_with(end))
        };
        if empty {
            found.push(finding(number, format!("`{name}` says nothing; name the thing")));
        }
    }
    found
}

fn channels(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || !source.path.contains("/src/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.code_lines(false) {
        for (maker, bounded) in tables::CHANNELS {
            let Some((_, rest)) = line.split_once(&format!("{maker}(")).or_else(|| {
                let (_, rest) = line.split_once(&format!("{maker}::<"))?;
                rest.split_once('(')
            }) else {
                continue;
            };
            let argument = rest.split([')', ',']).next().unwrap_or("").trim();
            if !bounded || argument.is_empty() {
                found.push(finding(
                    number,
                    format!("`{maker}` has no limit; use a bounded channel with a limit named …_MAX"),
                ));
            } else if !argument.to_lowercase().contains("_max") {
                found.push(finding(number, format!("the size of a channel is `{argument}`; give the limit a name ending in _MAX, or _max in a configuration")));
            }
        }
    }
    found
}

fn limits(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || !source.path.contains("/src/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.code_lines(false) {
        let mut words =
            line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        let Some(name) = words.by_ref().find(|word| !["pub", "crate", "super", "in"].contains(word)) else {
            continue;
        };
        let name = if ["const", "static"].contains(&name) { words.next().unwrap_or("") } else { name };
        let lower = name.to_lowercase();
        let is_field = line.contains(&format!("{name}:"));
        if is_field && (lower.starts_with("max_") || lower.contains("_limit")) && lower != "max_disk" {
            found.push(finding(
                number,
                format!(
                    "`{name}` is a limit; its name says what, the unit, and ends in _max: `frame_bytes_max`"
                ),
            ));
        }
    }
    found
}

fn open_ends(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let marks = ["#[ignore", "todo!(", "unimplemented!("];
    let mut found = Vec::new();
    for (number, line) in source.code_lines(true) {
        if let Some(mark) = marks.iter().find(|mark| line.contains(*mark)) {
            found.push(finding(
                number,
                format!("`{mark}`: finish it, or take it out; what takes long belongs to tests/run full"),
            ));
        }
    }
    for (number, line) in source.comments.lines().enumerate() {
        if ["TODO", "FIXME", "XXX"].iter().any(|mark| line.contains(mark)) {
            found.push(finding(number + 1, "a note to oneself; do it, or write down why not".to_owned()));
        }
    }
    found
}

fn exceptions(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for opening in ["#[allow(", "#![allow("] {
        for (at, _) in source.code.match_indices(opening) {
            found.push(finding(
                line_of(&source.code, at),
                "`allow` is for ever; write #[expect(…, reason = \"…\")]".to_owned(),
            ));
        }
    }
    for opening in ["#[expect(", "#![expect("] {
        for (at, _) in source.code.match_indices(opening) {
            let whole = source.code[at..].split(']').next().unwrap_or("");
            if !whole.contains("reason") {
                found.push(finding(
                    line_of(&source.code, at),
                    "an exception from a lint without `reason = \"…\"`".to_owned(),
                ));
            }
        }
    }
    found
}

fn machine_paths(source: &Source) -> Vec<Finding> {
    // In pieces, so that this file is not its own finding.
    let paths = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["/home/", "ubuntu"].concat()];
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        if let Some(path) = paths.iter().find(|path| line.contains(path.as_str())) {
            found.push(finding(number + 1, format!("`{path}` is a folder of one machine; name it relative to the repository or take it from the environment")));
        }
    }
    found
}

fn stories(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in source.comments.lines().enumerate() {
        let line = line.to_lowercase();
        if let Some(words) = tables::STORY.iter().find(|words| line.contains(*words)) {
            found.push(finding(
                number + 1,
                format!("`{}` tells the story of a change; say how it is, and why", words.trim()),
            ));
        }
    }
    found
}

fn one_path(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || !source.path.starts_with("gateway/src/") || is_in(&source.path, tables::APPENDERS)
    {
        return Vec::new();
    }
    let appends = |line: &str| {
        // A vector's own `append` takes what it empties, a file's takes a word.
        let others = [".append(&mut ", ".append(true)"];
        let rest = others.iter().fold(line.to_owned(), |line, other| line.replace(other, ""));
        rest.contains("append_held(") || rest.contains(".append(")
    };
    source
        .code_lines(false)
        .filter(|(_, line)| appends(line))
        .map(|(number, _)| {
            let todo = "go through gateway/src/pipeline.rs, so that every protocol keeps the same promise";
            finding(number, format!("appends to the spool; {todo}"))
        })
        .collect()
}

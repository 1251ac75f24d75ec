//! A file as the rules see it: its lines, its code with comments and strings blanked, which lines are test code.

/// One text file of the repository.
pub struct Source {
    /// From the top of the repository, with `/`.
    pub path: String,
    /// As it is on disk.
    pub text: String,
    /// As `text`, the contents of comments and strings replaced by blanks. Line breaks stay where they are.
    pub code: String,
    /// As `text`, everything but comments blanked.
    pub comments: String,
    /// One entry a line: it is compiled for tests only.
    test_lines: Vec<bool>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) =
            if path.ends_with(".rs") { split(text) } else { (text.to_owned(), String::new()) };
        let all_test = path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.ends_with("/fuzz.rs")
            || path.ends_with("/invariants.rs");
        let test_lines =
            if all_test { vec![true; text.lines().count()] } else { lines_under_cfg_test(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, comments, test_lines }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Line number from 1 and code of every line; test code left out on demand.
    pub fn code_lines(&self, with_tests: bool) -> impl Iterator<Item = (usize, &str)> {
        let wanted = move |index: usize| with_tests || !self.test_lines.get(index).copied().unwrap_or(false);
        self.code.lines().enumerate().filter(move |(index, _)| wanted(*index)).map(|(i, line)| (i + 1, line))
    }

    pub fn is_test_line(&self, line: usize) -> bool {
        self.test_lines.get(line - 1).copied().unwrap_or(false)
    }
}

/// What stands between `start` and the brace, or the semicolon, that closes the item there; an offset behind it.
pub fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code.char_indices().skip_while(|(at, _)| *at < start) {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth -= 1;
                if depth == 0 && c == '}' {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Number, from 1, of the line that `offset` is on.
pub fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn lines_under_cfg_test(code: &str) -> Vec<bool> {
    let mut marks = vec![false; code.lines().count()];
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        let end = item_end(code, at + attribute.len());
        for mark in marks.iter_mut().take(line_of(code, end)).skip(line_of(code, at) - 1) {
            *mark = true;
        }
    }
    marks
}

/// `text` twice, as code and as comments, the rest blank.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_code, is_comment) = token(rest, code.chars().next_back());
        let length = length.max(first.len_utf8());
        let (piece, after) = rest.split_at(length);
        blank(piece, is_code, &mut code);
        blank(piece, is_comment, &mut comments);
        rest = after;
    }
    (code, comments)
}

fn blank(piece: &str, keep: bool, out: &mut String) {
    if keep {
        out.push_str(piece);
    } else {
        // Byte for byte, so that an offset means the same in text, code and comments.
        out.extend(piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
    }
}

/// Length of the token at the start of `rest`, whether it is code, whether it is a comment.
fn token(rest: &str, before: Option<char>) -> (usize, bool, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false, true);
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), false, true);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string(rest) {
        return (length, false, false);
    }
    if rest.starts_with('"') {
        return (plain_string(rest), false, false);
    }
    if rest.starts_with('\'') {
        let length = character(rest);
        return (length, length == 1, false);
    }
    (1, true, false)
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let open = rest.len() - body.len() + hashes;
    if !body[hashes..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    Some(rest[open + 1..].find(&close).map_or(rest.len(), |end| open + 1 + end + close.len()))
}

fn plain_string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a character literal; 1 for the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut inner = rest[1..].char_indices();
    match inner.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(1, |end| end + 4),
        Some((_, c)) if rest[1 + c.len_utf8()..].starts_with('\'') => 2 + c.len_utf8(),
        _ => 1,
    }
}

/// Every path that the `use` declarations of `code` name, with the line of the declaration: `use std::{fs, io::Read}`
/// is `std::fs` and `std::io::Read`.
pub fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, word) in code.match_indices("use ") {
        let line_start = code[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = code[line_start..at].trim();
        if !(before.is_empty() || before.starts_with("pub")) {
            continue;
        }
        let Some(length) = code[at..].find(';') else { continue };
        let tree: String =
            code[at + word.len()..at + length].split_whitespace().collect::<Vec<_>>().join(" ");
        let mut paths = Vec::new();
        expand("", &tree, &mut paths);
        found.extend(paths.into_iter().map(|path| (line_of(code, at), path)));
    }
    found
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        paths.push(format!("{prefix}{}", tree.trim()));
        return;
    };
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let inner = tree[open + 1..].trim();
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inner[start..].trim().is_empty() {
        expand(&prefix, &inner[start..], paths);
    }
}

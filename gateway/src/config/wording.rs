//! The parser's messages in an owner's words, each with what to write instead.

/// What is wrong, and what to write instead, for a message of the TOML parser or of serde.
///
/// The messages are those of serde's derive; one that is not known here is passed on whole.
pub(super) fn reword(message: &str) -> (String, String) {
    let message = message.trim();
    unknown_key(message)
        .or_else(|| unknown_word(message))
        .or_else(|| missing_key(message))
        .or_else(|| wrong_type(message))
        .or_else(|| twice(message))
        .or_else(|| address(message))
        .or_else(|| such_as(message))
        .or_else(|| neither(message))
        .unwrap_or_else(|| (one_line(message), "write `key = value`, texts in double quotes".to_owned()))
}

/// Keys that stand in no section. Met as unknown, they are in the wrong place.
const TOP_KEYS: [&str; 4] = ["data", "lan", "threads", "anonymous"];

fn unknown_key(message: &str) -> Option<(String, String)> {
    let (key, known) = message.strip_prefix("unknown field `")?.split_once('`')?;
    let known = quoted(known);
    let instead = match nearest(key, &known) {
        _ if TOP_KEYS.contains(&key) => {
            format!("`{key}` belongs at the top of the file, above the first section")
        }
        Some(near) => format!("write `{near}`"),
        None if known.is_empty() => "take it out: there are no keys here".to_owned(),
        None => format!("the keys here are {}", known.join(", ")),
    };
    Some((format!("unknown key `{key}`"), instead))
}

fn unknown_word(message: &str) -> Option<(String, String)> {
    let (word, known) = message.strip_prefix("unknown variant `")?.split_once('`')?;
    let known: Vec<_> = quoted(known).iter().map(|word| format!("\"{word}\"")).collect();
    Some((format!("\"{word}\" is not known here"), format!("write {}", known.join(" or "))))
}

fn missing_key(message: &str) -> Option<(String, String)> {
    let key = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    Some((format!("`{key}` is missing"), format!("add `{key} = …`")))
}

fn wrong_type(message: &str) -> Option<(String, String)> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let expected = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "u32" | "u64" | "usize" => "a whole number, not below 0",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "a text in double quotes",
        "IP address" => "an address in double quotes, such as \"127.0.0.1\"",
        "a sequence" => "a list in square brackets",
        other if other.starts_with("struct ") => {
            "a section, its keys under a line with its name in square brackets"
        }
        other => other,
    };
    Some((format!("{} does not fit here", one_line(found)), format!("write {expected}")))
}

fn twice(message: &str) -> Option<(String, String)> {
    let said_twice = message.starts_with("duplicate key") || message.starts_with("duplicate field");
    said_twice.then(|| ("this key is written twice".to_owned(), "keep one of the two".to_owned()))
}

fn address(message: &str) -> Option<(String, String)> {
    let instead = "write one such as \"127.0.0.1\"";
    message.contains("IP address syntax").then(|| ("this is no IP address".to_owned(), instead.to_owned()))
}

/// The parts' own messages: `"much" is no size such as "2GB"`.
fn such_as(message: &str) -> Option<(String, String)> {
    let (wrong, instead) = message.split_once(" such as ")?;
    Some((one_line(wrong), format!("write one such as {}", one_line(instead))))
}

/// A value that may be of two types and is of neither.
fn neither(message: &str) -> Option<(String, String)> {
    let untagged = message.starts_with("data did not match any variant");
    let instead = "write a whole number, or a text in double quotes";
    untagged.then(|| ("this value does not fit here".to_owned(), instead.to_owned()))
}

/// The words that stand between back quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The known word that is at most two edits from `word`, and fewer than the word is long.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    const EDITS_MAX: usize = 2;
    let near = known.iter().map(|known| (edits(word, known), *known)).min()?;
    (near.0 <= EDITS_MAX && near.0 < word.chars().count()).then_some(near.1)
}

/// Insertions, deletions and replacements that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for ((other, diagonal), up) in b.iter().zip(&above).zip(above.iter().skip(1)) {
            let left = row.last().copied().unwrap_or(0);
            let replaced = diagonal + usize::from(letter != *other);
            row.push(replaced.min(left + 1).min(up + 1));
        }
        above = row;
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_told_the_one_meant() {
        let said = reword("unknown field `prot`, expected `listen` or `port`");
        assert_eq!(said, ("unknown key `prot`".to_owned(), "write `port`".to_owned()));
    }

    #[test]
    fn a_key_far_from_all_is_told_them_all() {
        let said = reword("unknown field `colour`, expected one of `listen`, `port`");
        assert_eq!(said.1, "the keys here are listen, port");
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("prot", "port"), 2);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("listen", "listen"), 0);
    }
}

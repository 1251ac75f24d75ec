//! A filter's text in pieces, each with its place.

use super::{FilterError, Order};

/// Digits of the largest whole number that a double holds exactly, with all below it: 2^53.
const WHOLE_MAX: u64 = 1 << 53;

/// A piece of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A word of the language, in capitals.
    Keyword(&'static str),
    /// A property's name.
    Name(&'a str),
    /// A number without its sign.
    Number(f64),
    /// A text in its quotes, as it stands.
    Text(&'a str),
    Order(Order),
    Open,
    Close,
    Comma,
    Plus,
    Minus,
}

const KEYWORDS: [&str; 12] = [
    "AND",
    "BETWEEN",
    "CONTAINS",
    "ENDSWITH",
    "FALSE",
    "IN",
    "IS",
    "NOT",
    "NULL",
    "OR",
    "STARTSWITH",
    "TRUE",
];

const SYMBOLS: [(&str, Token<'static>); 11] = [
    ("<>", Token::Order(Order::NotEqual)),
    (">=", Token::Order(Order::GreaterOrEqual)),
    ("<=", Token::Order(Order::LessOrEqual)),
    ("=", Token::Order(Order::Equal)),
    (">", Token::Order(Order::Greater)),
    ("<", Token::Order(Order::Less)),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
    ("+", Token::Plus),
    ("-", Token::Minus),
];

/// What people write who know another language, and what it is called here.
const ELSEWHERE: [(&str, &str); 8] = [
    ("==", "equality is one `=`"),
    ("!=", "\"not equal\" is `<>`"),
    ("&&", "\"and\" is `AND`"),
    ("||", "\"or\" is `OR`"),
    ("!", "\"not\" is `NOT`"),
    ("\"", "texts stand in single quotes: 'open'"),
    ("--", "comments have no place here"),
    ("/*", "comments have no place here"),
];

/// All pieces of `text`, each with the number of characters in front of it.
///
/// # Errors
/// [`FilterError`] at the first character that begins none.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let place = |rest: &str| text.chars().count().saturating_sub(rest.chars().count());
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let at = place(rest);
        let wrong = |problem: String| FilterError { at, problem };
        let (token, len) = match first {
            '\'' => quoted(rest).map_err(wrong)?,
            '0'..='9' | '.' => number(rest).map_err(wrong)?,
            'A'..='Z' | 'a'..='z' | '_' => word(rest).map_err(wrong)?,
            _ => symbol(rest, first).map_err(wrong)?,
        };
        tokens.push((at, token));
        rest = rest.get(len..).unwrap_or_default();
    }
}

fn quoted(rest: &str) -> Result<(Token<'_>, usize), String> {
    let mut inside = rest.bytes().enumerate().skip(1);
    while let Some((at, byte)) = inside.next() {
        if byte != b'\'' {
            continue;
        }
        // Two quotes stand for one.
        if rest.as_bytes().get(at + 1) == Some(&b'\'') {
            inside.next();
            continue;
        }
        let len = at + 1;
        let text = rest.get(..len).unwrap_or_default();
        if text.chars().any(char::is_control) {
            return Err("no property holds a control character".to_owned());
        }
        return Ok((Token::Text(text), len));
    }
    Err("this text has no end: put a ' behind it".to_owned())
}

fn number(rest: &str) -> Result<(Token<'_>, usize), String> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let mut len = whole;
    if let Some(decimals) = rest.get(len..).and_then(|rest| rest.strip_prefix('.')) {
        len += 1 + digits(decimals);
    }
    let is_whole = len == whole;
    let exponent = rest.get(len..).unwrap_or_default();
    if let Some(power) = exponent.strip_prefix(['e', 'E']) {
        let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
        if digits(unsigned) > 0 {
            len += exponent.len() - unsigned.len() + digits(unsigned);
        }
    } else if is_whole && exponent.starts_with(['l', 'L']) {
        len += 1;
    }
    let follows = rest.get(len..).unwrap_or_default();
    if follows.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
        return Err("this is neither a number nor a name; names begin with a letter".to_owned());
    }
    let text = rest.get(..len).unwrap_or_default().trim_end_matches(['l', 'L']);
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if !value.is_finite() {
        return Err("this number is larger than any that can be compared".to_owned());
    }
    if is_whole && text.parse::<u64>().is_ok_and(|exact| exact > WHOLE_MAX) {
        return Err("a number of this size is not compared to the last digit".to_owned());
    }
    Ok((Token::Number(value), len))
}

fn word(rest: &str) -> Result<(Token<'_>, usize), String> {
    let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let word = rest.get(..len).unwrap_or_default();
    let mut follows = rest.get(len..).unwrap_or_default().chars();
    match follows.next() {
        Some(c) if matches!(c, '-' | '.' | '$') || (!c.is_ascii() && c.is_alphanumeric()) => {
            let name: String =
                rest.chars().take_while(|c| !c.is_whitespace() && !"=<>()',".contains(*c)).collect();
            let plain: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            return Err(format!(
                "{name:?} is no name that a filter can ask for; names are made of A-Z, a-z, 0-9 and _, such as {plain}"
            ));
        }
        _ => {}
    }
    let keyword = KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word));
    if keyword.is_none() && word.eq_ignore_ascii_case("LIKE") {
        return Err("the broker knows no LIKE; write CONTAINS, STARTSWITH or ENDSWITH".to_owned());
    }
    Ok((keyword.map_or(Token::Name(word), Token::Keyword), len))
}

fn symbol(rest: &str, first: char) -> Result<(Token<'_>, usize), String> {
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
        return Err((*hint).to_owned());
    }
    let found = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
    found.map(|(symbol, token)| (token.clone(), symbol.len())).ok_or_else(|| {
        let hint = if first.is_alphanumeric() { "; names are made of A-Z, a-z, 0-9 and _" } else { "" };
        format!("{first:?} has no meaning here{hint}")
    })
}

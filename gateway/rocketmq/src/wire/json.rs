//! JSON as servers before 4.9.4 write it: keys that are numbers stand without quotes, `{0:"10.0.0.1:10911"}`.

use std::borrow::Cow;

/// `text` with its bare numeric keys in quotes. What is JSON already is not changed.
#[must_use]
pub fn standard(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Vec<u8> = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    let mut in_string = false;
    while let Some(byte) = text.get(at) {
        match (in_string, byte) {
            (true, b'\\') => at += 1,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b',') => {
                if let Some((from, to)) = bare_key(text, at + 1) {
                    out.extend_from_slice(text.get(copied..from).unwrap_or_default());
                    out.push(b'"');
                    out.extend_from_slice(text.get(from..to).unwrap_or_default());
                    out.push(b'"');
                    copied = to;
                    at = to;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// From where to where a number stands that a colon follows, if one begins at `at`.
fn bare_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let skip = |from: usize, wanted: fn(u8) -> bool| {
        from + text.get(from..).unwrap_or_default().iter().take_while(|byte| wanted(**byte)).count()
    };
    let is_space = |byte: u8| byte.is_ascii_whitespace();
    let from = skip(at, is_space);
    let sign = usize::from(text.get(from) == Some(&b'-'));
    let to = skip(from + sign, |byte| byte.is_ascii_digit());
    (to > from + sign && text.get(skip(to, is_space)) == Some(&b':')).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standard_text(text: &str) -> String {
        String::from_utf8(standard(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn bare_keys_get_quotes_and_nothing_else_changes() {
        assert_eq!(standard_text(r#"{0:"a:1", 12 :{-3:[4,5]}}"#), r#"{"0":"a:1", "12" :{"-3":[4,5]}}"#);
        for same in [r#"{"a":[1,2],"b":"{0:1,2:3}","c":"\\\",7:"}"#, "[1,2,3]", "", "{", "\"\\"] {
            assert_eq!(standard_text(same), same);
        }
    }

    proptest! {
        #[test]
        fn what_is_json_stays(text in r#"(\{"[a-z0-9:,{]{0,5}":-?[0-9]{1,3},"x":\[[0-9]{1,3},[0-9]{1,3}\]\})"#) {
            prop_assert_eq!(standard_text(&text), text);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(standard(&bytes).len() >= bytes.len());
        }
    }
}

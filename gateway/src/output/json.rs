use std::fmt::Write as _;

/// Appends `text` as a JSON string, quotes included (RFC 8259 §7).
pub(crate) fn push_string(line: &mut String, text: &str) {
    line.push('"');
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    // Without a branch for each byte this is a few instructions for a name.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        line.push_str(text);
        line.push('"');
        return;
    }
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        line.push_str(text.get(plain_from..at).unwrap_or_default());
        plain_from = at + 1;
        if escape.is_empty() {
            push_display(line, format_args!("\\u{byte:04x}"));
        } else {
            line.push_str(escape);
        }
    }
    line.push_str(text.get(plain_from..).unwrap_or_default());
    line.push('"');
}

/// Appends `,"name":` (no comma after an opening brace).
pub(crate) fn push_name(line: &mut String, name: &str) {
    if !line.ends_with('{') {
        line.push(',');
    }
    push_string(line, name);
    line.push(':');
}

/// Appends `"name":"text"`.
pub(crate) fn push_text(line: &mut String, name: &str, text: &str) {
    push_name(line, name);
    push_string(line, text);
}

/// Appends `"name":number`.
pub(crate) fn push_number(line: &mut String, name: &str, number: impl Into<u64>) {
    push_name(line, name);
    push_digits(line, number);
}

/// Appends the number alone.
pub(crate) fn push_digits(line: &mut String, number: impl Into<u64>) {
    line.push_str(itoa::Buffer::new().format(number.into()));
}

fn push_display(line: &mut String, value: std::fmt::Arguments<'_>) {
    // Writing into a String does not fail.
    let _infallible = line.write_fmt(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_read_back_as_written(text in any::<String>()) {
            let mut line = String::from("{");
            push_text(&mut line, "a", &text);
            push_number(&mut line, "b", 7_u32);
            line.push('}');
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["a"].as_str(), Some(text.as_str()));
            prop_assert_eq!(read["b"].as_u64(), Some(7));
        }
    }
}

//! Output topics and tags with `{device}` and `{measurement}` in them.

use tidegate_protocol::{DEVICE_ID_LEN_MAX, DeviceId, NAME_LEN_MAX};

use super::Word;

/// Bytes in the longest output topic or tag, placeholders filled: what RocketMQ takes as a topic.
pub const OUTPUT_TOPIC_LEN_MAX: usize = 127;

/// A text with placeholders, taken apart once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(Box<str>),
    Device,
    Measurement,
}

impl Template {
    /// Takes `text` apart. `others` are the characters it may hold beside letters, digits, `_` and `-`.
    pub(super) fn compile(text: &str, others: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".into());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = if let Some(after) = rest.strip_prefix("{device}") {
                (Piece::Device, after)
            } else if let Some(after) = rest.strip_prefix("{measurement}") {
                (Piece::Measurement, after)
            } else {
                let end =
                    rest.char_indices().skip(1).find(|(_, c)| *c == '{').map_or(rest.len(), |(at, _)| at);
                let (plain, after) = rest.split_at(end);
                check_plain(plain, others)?;
                (Piece::Text(plain.into()), after)
            };
            pieces.push(piece);
            rest = after;
        }
        let template = Self(pieces);
        let longest = template.longest();
        if longest > OUTPUT_TOPIC_LEN_MAX {
            return Err(format!("it may become {longest} bytes long, {OUTPUT_TOPIC_LEN_MAX} are allowed"));
        }
        Ok(template)
    }

    fn longest(&self) -> usize {
        let size = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Device => DEVICE_ID_LEN_MAX,
            Piece::Measurement => NAME_LEN_MAX,
        };
        self.0.iter().map(size).sum()
    }

    pub(super) fn names_measurement(&self) -> bool {
        self.0.contains(&Piece::Measurement)
    }

    /// The text with its placeholders filled.
    pub(super) fn fill<'a>(&'a self, device: &DeviceId, measurement: &str) -> Word<'a> {
        if let [Piece::Text(text)] = &*self.0 {
            return Word::Borrowed(text);
        }
        let mut filled = String::new();
        for piece in &self.0 {
            filled.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Device => device.as_str(),
                Piece::Measurement => measurement,
            });
        }
        Word::Made(filled.into())
    }
}

fn check_plain(text: &str, others: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || others.contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(wrong) => Err(format!("{wrong:?} has no place in it")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let device = DeviceId::new("sensor_1").unwrap();
        let fill =
            |text: &str| Template::compile(text, "/.%").unwrap().fill(&device, "temperature").to_string();
        assert_eq!(fill("plain"), "plain");
        assert_eq!(fill("{device}"), "sensor_1");
        assert_eq!(fill("a-{device}/{measurement}.b"), "a-sensor_1/temperature.b");
    }

    #[test]
    fn what_no_bus_takes_is_refused() {
        for text in ["", "a b", "a|b", "{name}", "{device", "a}", "a\u{1}", "温度", "{"] {
            assert!(Template::compile(text, "/.%").is_err(), "{text:?}");
        }
    }

    #[test]
    fn output_topic_len_max_is_reached() {
        let rest = OUTPUT_TOPIC_LEN_MAX - DEVICE_ID_LEN_MAX - NAME_LEN_MAX;
        let text = |n: usize| format!("{{device}}{{measurement}}{}", "x".repeat(n));
        assert!(Template::compile(&text(rest), "").is_ok());
        assert!(Template::compile(&text(rest + 1), "").is_err());
    }
}

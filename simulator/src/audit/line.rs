use std::borrow::Cow;

use serde::Deserialize;

/// One line of the output.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// A reading that the device has numbered.
    Numbered(Numbered<'a>),
    /// In place of readings that are gone, by the owner's choice or the disk's.
    Gap,
    /// Something else: a reading without numbers, or raw bytes.
    Other,
    /// No JSON.
    Unreadable,
}

#[derive(Debug, PartialEq)]
pub(super) struct Numbered<'a> {
    pub(super) device: Cow<'a, str>,
    pub(super) uid: Option<Cow<'a, str>>,
    pub(super) boot: u32,
    pub(super) sequence: u64,
    /// The temperature, when it is a number.
    pub(super) celsius: Option<f64>,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    device: Option<Text<'a>>,
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    boot: Option<u32>,
    seq: Option<u64>,
    values: Option<Values>,
}

/// Borrows where the JSON string has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Values {
    temperature: Option<serde_json::Value>,
}

pub(super) fn parse(line: &[u8]) -> Line<'_> {
    let Ok(members) = serde_json::from_slice::<Members<'_>>(line) else { return Line::Unreadable };
    if members.kind.is_some_and(|kind| matches!(&*kind.0, "gap" | "lost")) {
        return Line::Gap;
    }
    let (Some(device), Some(boot), Some(sequence)) = (members.device, members.boot, members.seq) else {
        return Line::Other;
    };
    let celsius = members.values.and_then(|values| values.temperature?.as_f64());
    Line::Numbered(Numbered { device: device.0, uid: members.uid.map(|uid| uid.0), boot, sequence, celsius })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_gateway_is_read() {
        let text = br#"{"lane":"telemetry","offset":7,"uid":"a/7/42","device":"a","topic":"telemetry/a","boot":7,"seq":42,"ts":1,"ts_gw":2,"values":{"temperature":23.41}}"#;
        let Line::Numbered(line) = parse(text) else { panic!("{:?}", parse(text)) };
        assert_eq!((&*line.device, line.boot, line.sequence, line.celsius), ("a", 7, 42, Some(23.41)));
        assert!(matches!(line.device, Cow::Borrowed("a")) && line.uid.as_deref() == Some("a/7/42"));
    }

    #[test]
    fn other_lines_are_told_apart() {
        assert_eq!(parse(br#"{"kind":"gap","device":"a","gap":{"from":1}}"#), Line::Gap);
        assert_eq!(parse(br#"{"kind":"lost","from":1,"to":2,"reason":"expired"}"#), Line::Gap);
        assert_eq!(parse(br#"{"device":"a","payload":"x"}"#), Line::Other);
        assert_eq!(parse(br#"{"device":"a","boot":1,"values":{"temperature":"hot"}}"#), Line::Other);
        for torn in [&b"{\"device\":"[..], b"", b"nonsense", b"\xff\xfe", b"[1]"] {
            assert_eq!(parse(torn), Line::Unreadable);
        }
    }
}

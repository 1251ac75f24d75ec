//! One record of a pack: its labels, and its fields as they were sent (RFC 8428 sections 4.3 and 5).

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A field's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    BaseVersion,
    Name,
    Unit,
    Value,
    StringValue,
    BooleanValue,
    DataValue,
    Sum,
    Time,
    UpdateTime,
}

/// Labels in JSON and their numbers in CBOR (RFC 8428 section 4.3, table 1).
const LABELS: [(&str, i8, Label); 15] = [
    ("bn", -2, Label::BaseName),
    ("bt", -3, Label::BaseTime),
    ("bu", -4, Label::BaseUnit),
    ("bv", -5, Label::BaseValue),
    ("bs", -6, Label::BaseSum),
    ("bver", -1, Label::BaseVersion),
    ("n", 0, Label::Name),
    ("u", 1, Label::Unit),
    ("v", 2, Label::Value),
    ("vs", 3, Label::StringValue),
    ("vb", 4, Label::BooleanValue),
    ("vd", 8, Label::DataValue),
    ("s", 5, Label::Sum),
    ("t", 6, Label::Time),
    ("ut", 7, Label::UpdateTime),
];

/// The label in JSON of a number in CBOR.
pub(super) fn label_of(number: i128) -> Option<&'static str> {
    LABELS.iter().find(|(_, known, _)| i128::from(*known) == number).map(|(word, ..)| *word)
}

/// Whether `word` is a label in JSON.
pub(super) fn is_label(word: &[u8]) -> bool {
    LABELS.iter().any(|(known, ..)| known.as_bytes() == word)
}

/// The fields of a record.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Record {
    pub(super) base_name: Option<String>,
    pub(super) base_time: Option<f64>,
    pub(super) base_unit: Option<String>,
    pub(super) base_value: Option<f64>,
    pub(super) base_sum: Option<f64>,
    pub(super) base_version: Option<f64>,
    pub(super) name: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) string_value: Option<String>,
    pub(super) boolean_value: Option<bool>,
    pub(super) data_value: Option<String>,
    pub(super) sum: Option<f64>,
    pub(super) time: Option<f64>,
    pub(super) update_time: Option<f64>,
    /// There is a field that RFC 8428 does not have.
    pub(super) extended: bool,
    /// There is a field that must be understood and is not.
    pub(super) must_understand: bool,
}

impl Record {
    /// Whether it only says what holds for those that follow.
    pub(super) fn is_base(&self) -> bool {
        let named = self.name.is_some() || self.unit.is_some();
        let valued = self.value.is_some() || self.string_value.is_some() || self.boolean_value.is_some();
        let timed = self.time.is_some() || self.update_time.is_some();
        !(named || valued || timed || self.data_value.is_some() || self.sum.is_some())
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, label: Label, map: &mut A) -> Result<(), A::Error> {
        match label {
            Label::BaseName => once(&mut self.base_name, map),
            Label::BaseTime => once(&mut self.base_time, map),
            Label::BaseUnit => once(&mut self.base_unit, map),
            Label::BaseValue => once(&mut self.base_value, map),
            Label::BaseSum => once(&mut self.base_sum, map),
            Label::BaseVersion => once(&mut self.base_version, map),
            Label::Name => once(&mut self.name, map),
            Label::Unit => once(&mut self.unit, map),
            Label::Value => once(&mut self.value, map),
            Label::StringValue => once(&mut self.string_value, map),
            Label::BooleanValue => once(&mut self.boolean_value, map),
            Label::DataValue => once(&mut self.data_value, map),
            Label::Sum => once(&mut self.sum, map),
            Label::Time => once(&mut self.time, map),
            Label::UpdateTime => once(&mut self.update_time, map),
        }
    }
}

/// Which of two equal labels counts is not ours to choose (RFC 8259 section 4 leaves it open).
fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    match field.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(de::Error::custom("a label twice")),
    }
}

/// A key of a record.
enum Key {
    Known(Label),
    MustUnderstand,
    Ignored,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Word;

        impl Visitor<'_> for Word {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a label")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                let known = LABELS.iter().find(|(word, ..)| *word == text);
                Ok(match known {
                    Some((_, _, label)) => Key::Known(*label),
                    None if text.ends_with('_') => Key::MustUnderstand,
                    None => Key::Ignored,
                })
            }
        }
        source.deserialize_str(Word)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SenML record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut record = Record::default();
                while let Some(key) = map.next_key()? {
                    if let Key::Known(label) = key {
                        record.read(label, &mut map)?;
                        continue;
                    }
                    record.extended = true;
                    record.must_understand |= matches!(key, Key::MustUnderstand);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(record)
            }
        }
        source.deserialize_map(Fields)
    }
}

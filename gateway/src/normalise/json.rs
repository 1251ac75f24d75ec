//! The JSON shapes, read straight into readings without a tree of values between.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tidegate_protocol::{InvalidName, Name, Reading, Unit, Value};

use super::{Known, READINGS_MAX, Readings, plain};

/// Why a payload gave no readings.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It has no known shape.
    UnknownShape,
    /// It has a known shape, and in it a name that is reserved.
    ReservedName,
}

/// Reads `{"temperature":23.4}`, `{"ts":…,"values":{…}}`, `{"boot":7,"seq":42,"ts":…,"values":{…}}` or an array of
/// these. `boot`, `seq`, `ts` and `units` may stand beside plain measurements too.
///
/// A key that stands twice makes the shape unknown: which of the two is meant is not ours to choose (RFC 8259
/// section 4 leaves it open).
pub(super) fn parse(payload: &[u8]) -> Result<Readings<'_>, Unfit> {
    plain::check(payload).map_or_else(|| parse_general(payload), |plain| Ok(Readings::of_plain(plain)))
}

/// As [`parse`], of a payload of which something may be known.
pub(super) fn parse_known(payload: &[u8], known: Known) -> Result<Readings<'_>, Unfit> {
    plain::recall(payload, known).map_or_else(|| parse(payload), |plain| Ok(Readings::of_plain(plain)))
}

/// As [`parse`], whatever the payload looks like.
pub(super) fn parse_general(payload: &[u8]) -> Result<Readings<'static>, Unfit> {
    let mut readings = Readings::new();
    let mut reserved = false;
    let mut source = serde_json::Deserializer::from_slice(payload);
    let shape = Shape { readings: readings.all(), reserved: &mut reserved };
    let read = shape.deserialize(&mut source).and_then(|()| source.end());
    match read {
        Ok(()) if reserved => Err(Unfit::ReservedName),
        Ok(()) => Ok(readings),
        Err(_) if holds_separator(payload) => Err(Unfit::ReservedName),
        Err(_) => Err(Unfit::UnknownShape),
    }
}

/// Reads a number, a boolean or a string that stands alone.
pub(super) fn parse_value(payload: &[u8]) -> Result<Value, Unfit> {
    let mut source = serde_json::Deserializer::from_slice(payload);
    let value = ValueSeed.deserialize(&mut source).map_err(|_| Unfit::UnknownShape)?;
    source.end().map_err(|_| Unfit::UnknownShape)?;
    Ok(value)
}

/// Whether a text in braces holds byte 1 or 2, with which the bus separates properties. JSON has no place for them
/// unescaped, so somebody has built a forged name by hand.
fn holds_separator(payload: &[u8]) -> bool {
    payload.iter().any(|b| matches!(b, 1 | 2))
        && payload.trim_ascii_end().last().is_some_and(|b| matches!(b, b'}' | b']'))
        && std::str::from_utf8(payload).is_ok()
}

/// The whole payload.
struct Shape<'r> {
    readings: &'r mut Vec<Reading>,
    reserved: &'r mut bool,
}

/// One element of an array: an object, but no further array.
struct Element<'s, 'r>(&'s mut Shape<'r>);

/// The object under `values`.
struct Values<'r> {
    reading: &'r mut Reading,
    reserved: &'r mut bool,
}

/// The object under `units`.
struct Units;

/// A key; in an envelope the words of [`tidegate_protocol::ENVELOPE_WORDS`] have their meaning.
struct KeySeed {
    envelope: bool,
}

enum Key {
    Boot,
    Sequence,
    Ts,
    Values,
    Units,
    Name(Name),
    Reserved,
}

struct ValueSeed;

struct UnitSeed;

impl Shape<'_> {
    fn object<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error> {
        self.readings.push(Reading::new());
        let reading = self.readings.last_mut().ok_or_else(|| de::Error::custom("no room"))?;
        read_object(map, reading, self.reserved)
    }
}

fn read_object<'de, A: MapAccess<'de>>(
    mut map: A,
    reading: &mut Reading,
    reserved: &mut bool,
) -> Result<(), A::Error> {
    let (mut flat, mut nested, mut units) = (false, false, None);
    while let Some(key) = map.next_key_seed(KeySeed { envelope: true })? {
        match key {
            Key::Boot if reading.boot.is_none() => reading.boot = Some(map.next_value()?),
            Key::Sequence if reading.sequence.is_none() => reading.sequence = Some(map.next_value()?),
            Key::Ts if reading.ts.is_none() => reading.ts = Some(map.next_value()?),
            Key::Units if units.is_none() => units = Some(map.next_value_seed(Units)?),
            Key::Values if !flat && !nested => {
                nested = true;
                map.next_value_seed(Values { reading: &mut *reading, reserved: &mut *reserved })?;
            }
            Key::Name(name) if !nested => {
                flat = true;
                let value = map.next_value_seed(ValueSeed)?;
                reading.push(name, value).map_err(de::Error::custom)?;
            }
            Key::Reserved if !nested => {
                (flat, *reserved) = (true, true);
                map.next_value_seed(ValueSeed)?;
            }
            _ => return Err(de::Error::custom("a key twice, or measurements beside values")),
        }
    }
    if reading.measurements.is_empty() && !*reserved {
        return Err(de::Error::custom("no measurement"));
    }
    apply_units(reading, units.unwrap_or_default())
}

fn apply_units<E: de::Error>(reading: &mut Reading, units: Vec<(Name, Unit)>) -> Result<(), E> {
    for (name, unit) in units {
        match reading.measurements.iter_mut().find(|m| m.name == name) {
            Some(measurement) if measurement.unit.is_none() => measurement.unit = Some(unit),
            _ => return Err(E::custom("a unit of no measurement, or two of one")),
        }
    }
    Ok(())
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading or an array of readings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        self.object(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Element(&mut self))?.is_some() {}
        if self.readings.is_empty() { Err(de::Error::custom("no reading")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        if self.0.readings.len() == READINGS_MAX {
            return Err(de::Error::custom("too many readings"));
        }
        source.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.object(map)
    }
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of measurements")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed { envelope: false })? {
            let value = map.next_value_seed(ValueSeed)?;
            if let Key::Name(name) = key {
                self.reading.push(name, value).map_err(de::Error::custom)?;
            } else {
                *self.reserved = true;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Units {
    type Value = Vec<(Name, Unit)>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Units {
    type Value = Vec<(Name, Unit)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of units")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut units = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed { envelope: false })? {
            match key {
                Key::Name(name) if units.len() < tidegate_protocol::MEASUREMENTS_MAX => {
                    units.push((name, map.next_value_seed(UnitSeed)?));
                }
                _ => return Err(de::Error::custom("a unit of no measurement")),
            }
        }
        Ok(units)
    }
}

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Key, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a measurement's name")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
        if self.envelope {
            match text {
                "boot" => return Ok(Key::Boot),
                "seq" => return Ok(Key::Sequence),
                "ts" => return Ok(Key::Ts),
                "values" => return Ok(Key::Values),
                "units" => return Ok(Key::Units),
                _ => {}
            }
        }
        match Name::new(text) {
            Ok(name) => Ok(Key::Name(name)),
            Err(InvalidName::Reserved) => Ok(Key::Reserved),
            Err(problem) => Err(E::custom(problem)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl Visitor<'_> for ValueSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a boolean or a short string")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "a JSON number is a double (RFC 7493 section 2.2)")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "a JSON number is a double (RFC 7493 section 2.2)")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Value::text(text).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for UnitSeed {
    type Value = Unit;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Unit, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for UnitSeed {
    type Value = Unit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a unit")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Unit, E> {
        unit(text).ok_or_else(|| E::custom("a unit that is too long or holds a control character"))
    }
}

/// A unit: not empty, no longer than [`tidegate_protocol::UNIT_LEN_MAX`], without control characters.
pub(super) fn unit(text: &str) -> Option<Unit> {
    let fits = !text.is_empty() && !text.chars().any(char::is_control);
    fits.then(|| Unit::try_from(text).ok()).flatten()
}

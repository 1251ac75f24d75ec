//! A pack's records to readings: base fields applied, times resolved, records of one time together.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use tidegate_protocol::{DeviceId, Name, Reading, Unit, Value};

use super::{
    Fault, Naming, Pack, RECORDS_MAX, RELATIVE_SECONDS_MAX, Unfit, VERSION_MAX,
    name::{self, Subject},
    record::Record,
};
use crate::normalise::{READINGS_MAX, json};

/// Milliseconds of the latest time that a double counts exactly: the year 287396.
const TIME_MS_MAX: f64 = 9_007_199_254_740_991.0;

/// How much a payload must be to be a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// As RFC 8428 has it: fields that nobody knows are passed over.
    Declared,
    /// Beyond doubt: no such field, and every value has a name.
    Undeclared,
}

pub(super) fn read(payload: &[u8], naming: &Naming<'_>, now_ms: u64, rules: Rules) -> Result<Pack, Unfit> {
    let mut state =
        State { naming, now_ms, rules, base: Base::default(), records: 0, of: None, readings: Vec::new() };
    let mut unfit = None;
    let mut source = serde_json::Deserializer::from_slice(payload);
    let seed = Records { state: &mut state, unfit: &mut unfit };
    let read = seed.deserialize(&mut source).and_then(|()| source.end());
    match (read, unfit) {
        (_, Some(unfit)) => Err(unfit),
        (Err(_), None) => Err(Fault::Pack.into()),
        (Ok(()), None) if state.readings.is_empty() => Err(Fault::Empty.into()),
        (Ok(()), None) => Ok(Pack { readings: state.readings, device: state.of.and_then(Of::device) }),
    }
}

/// What holds for a record and those behind it until another says otherwise (RFC 8428 section 4.1).
#[derive(Default)]
struct Base {
    name: String,
    time: f64,
    unit: Option<String>,
    value: Option<f64>,
    sum: Option<f64>,
}

/// Of whom the pack speaks, by its first record.
enum Of {
    Own,
    Urn(String),
    Named(DeviceId),
}

impl Of {
    fn device(self) -> Option<DeviceId> {
        match self {
            Self::Named(device) => Some(device),
            Self::Own | Self::Urn(_) => None,
        }
    }
}

struct State<'n> {
    naming: &'n Naming<'n>,
    now_ms: u64,
    rules: Rules,
    base: Base,
    records: usize,
    of: Option<Of>,
    readings: Vec<Reading>,
}

impl State<'_> {
    fn take(&mut self, record: Record) -> Result<(), Unfit> {
        self.records += 1;
        if self.records > RECORDS_MAX {
            return Err(Fault::TooMany.into());
        }
        self.check(&record)?;
        let is_base = record.is_base();
        let Record { base_name, base_time, base_unit, base_value, base_sum, .. } = &record;
        if let Some(name) = base_name {
            self.base.name.clone_from(name);
        }
        self.base.time = base_time.unwrap_or(self.base.time);
        if base_unit.is_some() {
            self.base.unit.clone_from(base_unit);
        }
        self.base.value = base_value.or(self.base.value);
        self.base.sum = base_sum.or(self.base.sum);
        if is_base { Ok(()) } else { self.measure(record) }
    }

    fn check(&self, record: &Record) -> Result<(), Unfit> {
        if record.must_understand {
            return Err(Fault::MustUnderstand.into());
        }
        if record.base_version.is_some_and(|version| version > VERSION_MAX) {
            return Err(Fault::Version.into());
        }
        if record.extended && self.rules == Rules::Undeclared { Err(Fault::Pack.into()) } else { Ok(()) }
    }

    fn measure(&mut self, record: Record) -> Result<(), Unfit> {
        let value = self.value(&record)?;
        let sum = match (self.base.sum, record.sum) {
            (None, None) => None,
            (base, own) => Some(Value::Number(base.unwrap_or(0.0) + own.unwrap_or(0.0))),
        };
        if value.is_none() && sum.is_none() {
            return Err(Fault::Value.into());
        }
        let ts = self.ts(record.time.unwrap_or(0.0))?;
        let unit = record.unit.or_else(|| self.base.unit.clone()).filter(|unit| !unit.is_empty());
        let full = format!("{}{}", self.base.name, record.name.unwrap_or_default());
        if full.is_empty() && self.rules == Rules::Undeclared {
            return Err(Fault::Name.into());
        }
        let split = name::split(&full, self.base.name.len(), self.naming.device.as_str());
        self.speaks_of(split.subject)?;
        if let Some(value) = value {
            let name = self.name(split.measurement, unit.as_deref(), "")?;
            let unit = unit.as_deref().map(|unit| json::unit(unit).ok_or(Fault::Unit)).transpose()?;
            self.push(ts, name, value, unit)?;
        }
        if let Some(sum) = sum {
            // Its unit is the record's times seconds, for which the registry has no word.
            let name = self.name(split.measurement, unit.as_deref(), "_sum")?;
            self.push(ts, name, sum, None)?;
        }
        Ok(())
    }

    /// The value; none where the record has only a sum. A base value alone is a value too (RFC 8428 section 4.5.4).
    fn value(&self, record: &Record) -> Result<Option<Value>, Unfit> {
        let number = match (record.value, self.base.value) {
            (Some(own), base) => Some(own + base.unwrap_or(0.0)),
            (None, _) => None,
        };
        let text = |text: &str| Value::text(text).map_err(|_| Fault::Value);
        let data = record.data_value.as_deref().map(|data| {
            let base64 = data.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if base64 { text(data) } else { Err(Fault::Value) }
        });
        let string = record.string_value.as_deref().map(text);
        let boolean = record.boolean_value.map(|value| Ok(Value::Boolean(value)));
        let mut values =
            [number.map(|number| Ok(Value::Number(number))), string, boolean, data].into_iter().flatten();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Fault::Value.into()),
            (Some(value), None) => Ok(Some(value?)),
            (None, None) if record.sum.is_none() => Ok(self.base.value.map(Value::Number)),
            (None, None) => Ok(None),
        }
    }

    /// Unix milliseconds; none where the record says "now", which is what the gateway's own time says.
    fn ts(&self, time: f64) -> Result<Option<u64>, Unfit> {
        let seconds = self.base.time + time;
        if seconds == 0.0 {
            return Ok(None);
        }
        let relative = seconds < RELATIVE_SECONDS_MAX;
        #[expect(clippy::cast_precision_loss, reason = "times until the year 287396 are exact")]
        let now_ms = if relative { self.now_ms as f64 } else { 0.0 };
        let ms = (now_ms + seconds * 1000.0).round();
        if !(0.0..=TIME_MS_MAX).contains(&ms) {
            return Err(Fault::Time.into());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range, as just checked"
        )]
        Ok(Some(ms as u64))
    }

    fn name(&self, measurement: &str, unit: Option<&str>, suffix: &str) -> Result<Name, Unfit> {
        if !measurement.is_empty() {
            return name::fit(measurement, suffix);
        }
        match (self.naming.route, name::quantity(unit)) {
            (Some(name), _) => name::fit(name.as_str(), suffix),
            (None, Some(quantity)) => name::fit(quantity, suffix),
            (None, None) => name::fit(self.naming.other.as_str(), suffix),
        }
    }

    /// A pack is one record of the spool, which has one device.
    fn speaks_of(&mut self, subject: Subject<'_>) -> Result<(), Unfit> {
        let same = match (&self.of, subject) {
            (None, Subject::Own) => return self.set(Of::Own),
            (None, Subject::Urn(urn)) => return self.set(Of::Urn(urn.to_owned())),
            (None, Subject::Named(named)) => {
                return self.set(Of::Named(DeviceId::new(named).map_err(|_| Fault::Name)?));
            }
            (Some(Of::Own), subject) => subject == Subject::Own,
            (Some(Of::Urn(urn)), subject) => subject == Subject::Urn(urn),
            (Some(Of::Named(device)), subject) => subject == Subject::Named(device.as_str()),
        };
        if same { Ok(()) } else { Err(Fault::Devices.into()) }
    }

    fn set(&mut self, of: Of) -> Result<(), Unfit> {
        self.of = Some(of);
        Ok(())
    }

    /// Into the latest reading of this time that has room and no such name, else into one of its own.
    fn push(&mut self, ts: Option<u64>, name: Name, value: Value, unit: Option<Unit>) -> Result<(), Unfit> {
        let takes = |reading: &Reading| {
            reading.ts == ts && !reading.measurements.is_full() && reading.get(name.as_str()).is_none()
        };
        let at = match self.readings.iter().rposition(takes) {
            Some(at) => at,
            None if self.readings.len() == READINGS_MAX => return Err(Fault::TooMany.into()),
            None => {
                self.readings.push(Reading { ts, ..Reading::new() });
                self.readings.len() - 1
            }
        };
        let reading = self.readings.get_mut(at).ok_or(Fault::TooMany)?;
        reading.push(name, value).map_err(|_| Fault::Value)?;
        if let Some(measurement) = reading.measurements.last_mut() {
            measurement.unit = unit;
        }
        Ok(())
    }
}

/// The array of records; what one of them breaks stands in `unfit`.
struct Records<'s, 'n> {
    state: &'s mut State<'n>,
    unfit: &'s mut Option<Unfit>,
}

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of SenML records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(record) = elements.next_element::<Record>()? {
            if let Err(unfit) = self.state.take(record) {
                *self.unfit = Some(unfit);
                return Err(de::Error::custom("unfit"));
            }
        }
        Ok(())
    }
}

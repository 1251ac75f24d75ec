//! The JSON that nearly all devices send, read in one pass: plain names, plain numbers, no escapes.
//!
//! [`read`] takes `{"temperature":23.4}` and `{"boot":7,"seq":42,"ts":…,"values":{…}}` with numbers of fifteen digits
//! at most, and leaves everything else, faults among it, to the general reader. What it takes, it reads as that one
//! does; a property test holds the two together.

use std::ops::Range;

use tidegate_protocol::{ENVELOPE_WORDS, Measurement, Name, Reading, Value};

/// Digits of which a double holds every combination.
const DIGITS_MAX: usize = 15;

/// Powers of ten that a double holds exactly, as far as [`DIGITS_MAX`] digits need them.
const POWERS: [f64; DIGITS_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Puts what `payload` says into `reading`, which is empty, and returns where the object of the measurements stands, an
/// empty range where other words stand among them. `None` when the general reader is to look at it, and then `reading`
/// holds nothing of use.
pub(super) fn read(payload: &[u8], reading: &mut Reading) -> Option<Range<usize>> {
    let mut text = Text { whole: str::from_utf8(payload).ok()?, rest: payload, seen: 0 };
    text.expect(b'{')?;
    let mut from = text.at() - 1;
    loop {
        let key = text.key()?;
        match key {
            "boot" if reading.boot.is_none() => reading.boot = Some(u32::try_from(text.whole()?).ok()?),
            "seq" if reading.sequence.is_none() => reading.sequence = Some(text.whole()?),
            "ts" if reading.ts.is_none() => reading.ts = Some(text.whole()?),
            "values" if reading.measurements.is_empty() => {
                text.expect(b'{')?;
                from = text.at() - 1;
                text.measurements(reading)?;
                let values = from..text.at();
                // A measurement beside it is for the general reader to refuse.
                return text.end_after_values(reading).map(|()| values);
            }
            _ if ENVELOPE_WORDS.contains(&key) => return None,
            _ => text.measurement(key, reading)?,
        }
        if text.is_last()? {
            let is_alone = reading.boot.is_none() && reading.sequence.is_none() && reading.ts.is_none();
            let values = if is_alone { from..text.at() } else { 0..0 };
            text.end()?;
            return (!reading.measurements.is_empty()).then_some(values);
        }
    }
}

/// What is left to read.
struct Text<'a> {
    /// The payload.
    whole: &'a str,
    rest: &'a [u8],
    /// A bit for each kind of name that was read: what is of a new kind need not be looked for among the others.
    seen: u128,
}

impl<'a> Text<'a> {
    fn skip_blanks(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// How much was read.
    fn at(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == byte).then_some(())
    }

    /// `"name":`. What is no name, an escape in it among that, is found out when one is made of it.
    fn key(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let len = self.rest.iter().position(|byte| *byte == b'"')?;
        let from = self.at();
        let key = self.whole.get(from..from + len)?;
        self.rest = self.rest.get(len + 1..)?;
        self.expect(b':')?;
        Some(key)
    }

    /// Whether an object ends here; else a comma has been read.
    fn is_last(&mut self) -> Option<bool> {
        self.skip_blanks();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        match first {
            b',' => Some(false),
            b'}' => Some(true),
            _ => None,
        }
    }

    fn end(&mut self) -> Option<()> {
        self.skip_blanks();
        self.rest.is_empty().then_some(())
    }

    /// The members of `values`, its brace included.
    fn measurements(&mut self, reading: &mut Reading) -> Option<()> {
        loop {
            let key = self.key()?;
            self.measurement(key, reading)?;
            if self.is_last()? {
                return Some(());
            }
        }
    }

    fn measurement(&mut self, key: &str, reading: &mut Reading) -> Option<()> {
        let name = Name::new(key).ok()?;
        let value = Value::Number(self.number()?);
        let bit = kind(key.as_bytes());
        if self.seen & bit != 0 {
            return reading.push(name, value).ok();
        }
        self.seen |= bit;
        reading.measurements.push(Measurement { name, value, unit: None }).ok()
    }

    /// What may stand behind `values`: numbers of the reading.
    fn end_after_values(&mut self, reading: &mut Reading) -> Option<()> {
        while !self.is_last()? {
            match self.key()? {
                "boot" if reading.boot.is_none() => reading.boot = Some(u32::try_from(self.whole()?).ok()?),
                "seq" if reading.sequence.is_none() => reading.sequence = Some(self.whole()?),
                "ts" if reading.ts.is_none() => reading.ts = Some(self.whole()?),
                _ => return None,
            }
        }
        self.end()
    }

    /// Digits, of which the first is no 0 unless it stands alone (RFC 8259 section 6), and their number.
    fn digits(&mut self) -> Option<(u64, usize)> {
        let (mut value, mut count) = (0_u64, 0);
        while let [byte @ b'0'..=b'9', rest @ ..] = self.rest {
            value = value * 10 + u64::from(byte - b'0');
            count += 1;
            self.rest = rest;
            if count > DIGITS_MAX {
                return None;
            }
        }
        (count > 0).then_some((value, count))
    }

    fn whole(&mut self) -> Option<u64> {
        self.skip_blanks();
        let zero = self.rest.starts_with(b"0");
        let (value, count) = self.digits()?;
        let ends = !matches!(self.rest.first(), Some(b'.' | b'e' | b'E'));
        (ends && (!zero || count == 1)).then_some(value)
    }

    fn number(&mut self) -> Option<f64> {
        self.skip_blanks();
        let negative = self.rest.starts_with(b"-");
        if negative {
            self.rest = self.rest.get(1..)?;
        }
        let zero = self.rest.starts_with(b"0");
        let (mut digits, count) = self.digits()?;
        if zero && count > 1 {
            return None;
        }
        let mut scale = 1.0;
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            let (fraction, decimals) = self.digits()?;
            if count + decimals > DIGITS_MAX {
                return None;
            }
            scale = *POWERS.get(decimals)?;
            digits = digits * 10_u64.pow(u32::try_from(decimals).ok()?) + fraction;
        }
        if matches!(self.rest.first(), Some(b'e' | b'E')) {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "fifteen digits are below 2^53")]
        let size = digits as f64 / scale;
        Some(if negative { -size } else { size })
    }
}

/// One of 128 bits, by the last two letters: names of one device often begin alike, and two digits are a number.
fn kind(name: &[u8]) -> u128 {
    let [.., before, last] = name else { return 1 };
    1 << ((u32::from(*before) * 10 + u32::from(*last)) % 128)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Readings, json},
        *,
    };

    fn both(payload: &str) -> (Option<Reading>, Option<Readings>) {
        let mut reading = Reading::new();
        let plain = read(payload.as_bytes(), &mut reading).map(|_| reading);
        (plain, json::parse_general(payload.as_bytes()).ok())
    }

    #[test]
    fn what_devices_send_is_taken() {
        for payload in [
            r#"{"temperature":23.4}"#,
            " { \"a\" : -0.5 , \"b\" : 0 , \"c\" : 100000000000000 } \n",
            r#"{"boot":7,"seq":42,"ts":1700000000000,"values":{"temperature":23.4,"humidity":40}}"#,
            r#"{"values":{"temperature":23.4},"ts":5}"#,
            r#"{"seq":1,"temperature":23.4}"#,
        ] {
            let (plain, general) = both(payload);
            assert_eq!(plain.map(|reading| Readings::from(vec![reading])), general, "{payload}");
            assert!(general.is_some());
        }
    }

    /// What the object says that `payload` is said to hold.
    fn object(payload: &str) -> Option<(&str, Readings)> {
        let readings = json::parse(payload.as_bytes()).ok()?;
        Some((readings.object(payload.as_bytes())?, readings))
    }

    #[test]
    fn the_object_of_the_measurements_is_found_where_it_stands_alone_in_one_line() {
        let found = |payload| object(payload).map(|(object, _)| object);
        assert_eq!(found(r#"{"boot":7,"values":{"a": 1.50},"seq":1}"#), Some(r#"{"a": 1.50}"#));
        assert_eq!(found(" {\"a\":1,\"b\":2} \n"), Some(r#"{"a":1,"b":2}"#));
        for payload in
            ["{\"seq\":1,\"a\":2}", "{\"values\":{\"a\":\n1}}", "{\"a\":\t1}", "{\"a\":true}", "[{\"a\":1}]"]
        {
            assert_eq!(found(payload), None, "{payload}");
        }
    }

    #[test]
    fn everything_else_is_left_to_the_general_reader() {
        for payload in [
            "",
            "{",
            "{}",
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e3}"#,
            r#"{"a":-}"#,
            r#"{"a":1234567890123456}"#,
            r#"{"a":0.1234567890123456}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":true}"#,
            r#"{"uid":1}"#,
            r#"{"in":1}"#,
            r#"{"a b":1}"#,
            r#"{"boot":4294967296,"a":1}"#,
            r#"{"seq":1.5,"a":1}"#,
            r#"{"boot":1,"boot":2,"a":1}"#,
            r#"{"a":1,"values":{"b":2}}"#,
            r#"{"values":{"b":2},"a":1}"#,
            r#"{"values":{"b":2},"values":{"c":2}}"#,
            r#"{"values":{}}"#,
            r#"{"ts":5}"#,
            r#"{"a":1,"units":{"a":"C"}}"#,
            r#"[{"a":1}]"#,
        ] {
            assert_eq!(both(payload).0, None, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn both_readers_read_the_same(
            payload in "[ ]?\\{([ ]?\"(boot|seq|ts|values|a|b_1|uid|in)\"[ ]?:[ ]?(-?[0-9]{1,17}(\\.[0-9]{1,4})?|true|\\{\"c\":1(,\"a\":-2.5)?\\})[ ]?,?){0,4}\\}[ ]?"
        ) {
            let (plain, general) = both(&payload);
            if let Some(plain) = plain {
                prop_assert_eq!(Some(Readings::from(vec![plain])), general);
            }
            if let Some((object, readings)) = object(&payload) {
                let again = json::parse_general(object.as_bytes()).unwrap();
                prop_assert_eq!(&again[0].measurements, &readings[0].measurements);
                prop_assert!(!object.contains('\n'));
            }
        }

        #[test]
        fn both_readers_read_the_same_number(whole in -999_999_999_i64..999_999_999, fraction in "[0-9]{1,6}") {
            let payload = format!("{{\"a\":{whole}.{fraction}}}");
            let (plain, general) = both(&payload);
            prop_assert!(plain.is_some());
            prop_assert_eq!(plain.map(|reading| Readings::from(vec![reading])), general);
        }
    }
}

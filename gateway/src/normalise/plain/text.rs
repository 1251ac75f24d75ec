use tidegate_protocol::{ENVELOPE_WORDS, Measurement, Name, Reading, Value};

use super::DIGITS_MAX;

/// Powers of ten that a double holds exactly, as far as [`DIGITS_MAX`] digits need them.
const POWERS: [f64; DIGITS_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A payload that was checked, on its way into a reading.
pub(super) struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    pub(super) const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// Puts what it says into `reading`, which is empty.
    pub(super) fn read(mut self, reading: &mut Reading) -> Option<()> {
        self.expect(b'{')?;
        loop {
            let key = self.key()?;
            match key {
                "values" => self.measurements(reading)?,
                _ if ENVELOPE_WORDS.contains(&key) => self.word(key, reading)?,
                _ => self.measurement(key, reading)?,
            }
            if self.is_last()? {
                return Some(());
            }
        }
    }

    fn word(&mut self, key: &str, reading: &mut Reading) -> Option<()> {
        let number = self.whole()?;
        match key {
            "boot" => reading.boot = Some(u32::try_from(number).ok()?),
            "seq" => reading.sequence = Some(number),
            "ts" => reading.ts = Some(number),
            _ => return None,
        }
        Some(())
    }

    fn skip_blanks(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == byte).then_some(())
    }

    /// `"name":`.
    fn key(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let len = self.rest.iter().position(|byte| *byte == b'"')?;
        let key = str::from_utf8(self.rest.get(..len)?).ok()?;
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

    /// The object under `values`.
    fn measurements(&mut self, reading: &mut Reading) -> Option<()> {
        self.expect(b'{')?;
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
        reading.measurements.push(Measurement { name, value, unit: None }).ok()
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

//! Writing of readings as JSON. Reading JSON is the gateway's work: devices only write it.

use core::fmt::{self, Write};

use crate::{Measurement, Reading, Value};

/// Keys of a reading's JSON that are no measurement: where one of them names a measurement, the measurements are
/// written under `values`, so that nobody takes it for the other thing.
pub const ENVELOPE_WORDS: [&str; 5] = ["boot", "seq", "ts", "values", "units"];

impl<const N: usize> Reading<N> {
    /// Writes the shortest JSON that says it all: `{"temperature":23.4}` when there is neither number, time nor unit,
    /// else `{"boot":7,"seq":42,"ts":1700000000000,"values":{"temperature":23.4},"units":{"temperature":"°C"}}` with
    /// the keys it needs.
    ///
    /// # Errors
    /// What `out` answers: it is full.
    pub fn write_json(&self, out: &mut impl Write) -> fmt::Result {
        let plain = self.boot.is_none() && self.sequence.is_none() && self.ts.is_none();
        let flat =
            self.measurements.iter().all(|m| m.unit.is_none() && !ENVELOPE_WORDS.contains(&m.name.as_str()));
        if plain && flat {
            return self.write_values(out);
        }
        out.write_char('{')?;
        self.write_members(out)?;
        out.write_char('}')
    }

    /// Writes the members of the longer form without the braces, for those who put members of their own in front.
    ///
    /// # Errors
    /// What `out` answers: it is full.
    pub fn write_members(&self, out: &mut impl Write) -> fmt::Result {
        if let Some(boot) = self.boot {
            write!(out, "\"boot\":{boot},")?;
        }
        if let Some(sequence) = self.sequence {
            write!(out, "\"seq\":{sequence},")?;
        }
        if let Some(ts) = self.ts {
            write!(out, "\"ts\":{ts},")?;
        }
        out.write_str("\"values\":")?;
        self.write_values(out)?;
        self.write_units(out)
    }

    fn write_values(&self, out: &mut impl Write) -> fmt::Result {
        out.write_char('{')?;
        for (i, Measurement { name, value, .. }) in self.measurements.iter().enumerate() {
            if i > 0 {
                out.write_char(',')?;
            }
            // A name has nothing to escape.
            out.write_char('"')?;
            out.write_str(name.as_str())?;
            out.write_str("\":")?;
            value.write_json(out)?;
        }
        out.write_char('}')
    }

    fn write_units(&self, out: &mut impl Write) -> fmt::Result {
        let mut before = ",\"units\":{";
        for Measurement { name, unit, .. } in &self.measurements {
            if let Some(unit) = unit {
                write!(out, "{before}\"{name}\":")?;
                write_json_string(unit, out)?;
                before = ",";
            }
        }
        if before == "," { out.write_char('}') } else { Ok(()) }
    }
}

impl Value {
    /// Writes the value as JSON; a number in the fewest digits that read back as the same number, `null` when it is
    /// not finite (RFC 8259 section 6 has no such numbers).
    ///
    /// # Errors
    /// What `out` answers: it is full.
    pub fn write_json(&self, out: &mut impl Write) -> fmt::Result {
        match self {
            Self::Number(number) => write_json_number(*number, out),
            Self::Boolean(true) => out.write_str("true"),
            Self::Boolean(false) => out.write_str("false"),
            Self::Text(text) => write_json_string(text, out),
        }
    }
}

/// As `Display` writes it while that is short, with an exponent where `Display` would write hundreds of zeros.
pub(crate) fn write_json_number(number: f64, out: &mut impl Write) -> fmt::Result {
    let size = number.abs();
    if let Some((digits, decimals)) = few_decimals(size) {
        if number < 0.0 {
            out.write_char('-')?;
        }
        write_decimal(digits, decimals, out)
    } else if !number.is_finite() {
        out.write_str("null")
    } else if size == 0.0 || (1e-7..1e17).contains(&size) {
        write!(out, "{number}")
    } else {
        write!(out, "{number:e}")
    }
}

/// `23.45` as `(2345, 2)`, where at most three decimals say it all and fifteen digits hold it: what sensors send, much
/// faster than the general way. The quotient of two numbers that a double holds exactly is rounded like the decimal
/// that they stand for, so whoever reads it gets the same number; and fewer decimals would not do.
fn few_decimals(size: f64) -> Option<(u64, usize)> {
    const DIGITS_15: f64 = 1e15;
    if !(1e-3..DIGITS_15).contains(&size) {
        return None;
    }
    [1.0, 10.0, 100.0, 1000.0].into_iter().enumerate().find_map(|(decimals, scale)| {
        let scaled = size * scale + 0.5;
        if scaled >= DIGITS_15 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, below 1e15, and meant to lose what stands behind the point"
        )]
        let digits = scaled as u64;
        #[expect(clippy::cast_precision_loss, reason = "a double holds every whole number up to 2^53")]
        let read_back = digits as f64 / scale;
        (read_back == size).then_some((digits, decimals))
    })
}

/// Writes `digits` with a point in front of the last `decimals` of them.
fn write_decimal(mut digits: u64, decimals: usize, out: &mut impl Write) -> fmt::Result {
    let mut text = [b'0'; 20];
    let mut begin = text.len();
    for (at, byte) in text.iter_mut().enumerate().rev() {
        let place = 19 - at;
        if decimals > 0 && place == decimals {
            *byte = b'.';
        } else {
            *byte = b'0' + u8::try_from(digits % 10).unwrap_or_default();
            digits /= 10;
        }
        begin = at;
        if digits == 0 && place >= decimals + usize::from(decimals > 0) {
            break;
        }
    }
    let text = text.get(begin..).and_then(|text| core::str::from_utf8(text).ok());
    out.write_str(text.unwrap_or_default())
}

/// Writes `text` as a JSON string with its quotes (RFC 8259 section 7).
///
/// # Errors
/// What `out` answers: it is full.
pub fn write_json_string(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    let mut plain = text;
    while let Some(at) = plain.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        let (before, rest) = plain.split_at(at);
        out.write_str(before)?;
        let mut chars = rest.chars();
        match chars.next() {
            Some('"') => out.write_str("\\\"")?,
            Some('\\') => out.write_str("\\\\")?,
            Some(control) => write!(out, "\\u{:04x}", u32::from(control))?,
            None => {}
        }
        plain = chars.as_str();
    }
    out.write_str(plain)?;
    out.write_char('"')
}

impl fmt::Display for Value {
    /// As it stands in a text body: `36.12`, `true`, `open`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write_json_number(*number, f),
            Self::Boolean(value) => fmt::Display::fmt(value, f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

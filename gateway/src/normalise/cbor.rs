//! CBOR (RFC 8949) to the JSON text that says the same, so that each shape is read in one place. The only place that
//! names `minicbor`.

use std::fmt::Write;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use minicbor::{Decoder, data::Type};
use tidegate_protocol::write_json_string;

/// Arrays and maps that may stand in one another. No shape needs more than four.
pub(super) const DEPTH_MAX: usize = 8;

/// A decimal fraction: an array of exponent and mantissa (RFC 8949 section 3.4.4).
const TAG_DECIMAL_FRACTION: u64 = 4;

/// "This is CBOR", in front of the whole (RFC 8949 section 3.4.6).
const TAG_SELF_DESCRIBED: u64 = 55799;

/// Writes one CBOR item, and nothing behind it, as JSON. Whole numbers that stand for keys become `label`'s words;
/// byte strings become base64url without padding, as SenML has them (RFC 8428 section 6). `None` for what JSON cannot
/// say (a number that is not finite, another tag, an undefined value), texts in pieces, and what is nested deeper than
/// [`DEPTH_MAX`].
pub(super) fn to_json(payload: &[u8], label: fn(i128) -> Option<&'static str>) -> Option<String> {
    let mut source = Decoder::new(payload);
    if source.datatype().ok()? == Type::Tag && source.probe().tag().ok()?.as_u64() == TAG_SELF_DESCRIBED {
        source.tag().ok()?;
    }
    let mut writer = Writer { source, label, json: String::with_capacity(payload.len().saturating_mul(2)) };
    writer.item(DEPTH_MAX)?;
    (writer.source.position() == payload.len()).then_some(writer.json)
}

struct Writer<'p> {
    source: Decoder<'p>,
    label: fn(i128) -> Option<&'static str>,
    json: String,
}

impl Writer<'_> {
    fn item(&mut self, depth: usize) -> Option<()> {
        match self.source.datatype().ok()? {
            Type::Bool => self.json.push_str(if self.source.bool().ok()? { "true" } else { "false" }),
            Type::Null => {
                self.source.null().ok()?;
                self.json.push_str("null");
            }
            Type::F16 => {
                let number = self.half()?;
                self.number(number)?;
            }
            Type::F32 => {
                let number = self.source.f32().ok()?;
                self.number(f64::from(number))?;
            }
            Type::F64 => {
                let number = self.source.f64().ok()?;
                self.number(number)?;
            }
            Type::String => write_json_string(self.source.str().ok()?, &mut self.json).ok()?,
            Type::Bytes => {
                self.json.push('"');
                URL_SAFE_NO_PAD.encode_string(self.source.bytes().ok()?, &mut self.json);
                self.json.push('"');
            }
            Type::Array | Type::ArrayIndef => self.array(depth.checked_sub(1)?)?,
            Type::Map | Type::MapIndef => self.map(depth.checked_sub(1)?)?,
            Type::Tag => self.decimal_fraction()?,
            Type::BytesIndef | Type::StringIndef | Type::Undefined | Type::Simple | Type::Break => {
                return None;
            }
            _ => self.integer()?,
        }
        Some(())
    }

    /// A half-precision number (RFC 8949 appendix D): sign, 5 bits of exponent, 10 of fraction.
    fn half(&mut self) -> Option<f64> {
        let at = self.source.position();
        let (_, rest) = self.source.input().split_at_checked(at + 1)?;
        let bits = u16::from_be_bytes(*rest.first_chunk()?);
        self.source.set_position(at + 3);
        let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
        let size = match exponent {
            0 => fraction * 2_f64.powi(-24),
            31 => return None,
            _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
        };
        Some(if bits >> 15 == 0 { size } else { -size })
    }

    /// The shortest digits that read back as the same double.
    fn number(&mut self, number: f64) -> Option<()> {
        number.is_finite().then_some(())?;
        write!(self.json, "{number:e}").ok()
    }

    fn integer(&mut self) -> Option<()> {
        let integer = i128::from(self.source.int().ok()?);
        write!(self.json, "{integer}").ok()
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let len = self.source.array().ok()?;
        self.json.push('[');
        let mut done = 0;
        while self.goes_on(len, done)? {
            self.comma(done);
            self.item(depth)?;
            done += 1;
        }
        self.json.push(']');
        Some(())
    }

    fn map(&mut self, depth: usize) -> Option<()> {
        let len = self.source.map().ok()?;
        self.json.push('{');
        let mut done = 0;
        while self.goes_on(len, done)? {
            self.comma(done);
            self.key()?;
            self.json.push(':');
            self.item(depth)?;
            done += 1;
        }
        self.json.push('}');
        Some(())
    }

    fn key(&mut self) -> Option<()> {
        if self.source.datatype().ok()? == Type::String {
            return write_json_string(self.source.str().ok()?, &mut self.json).ok();
        }
        let word = (self.label)(i128::from(self.source.int().ok()?))?;
        write!(self.json, "\"{word}\"").ok()
    }

    /// Mantissa and exponent are what a JSON number is made of: no digit is lost.
    fn decimal_fraction(&mut self) -> Option<()> {
        let decimal = self.source.tag().ok()?.as_u64() == TAG_DECIMAL_FRACTION;
        (decimal && self.source.array().ok()? == Some(2)).then_some(())?;
        let exponent = i128::from(self.source.int().ok()?);
        let mantissa = i128::from(self.source.int().ok()?);
        write!(self.json, "{mantissa}e{exponent}").ok()
    }

    /// Whether another element follows; takes the end mark of what has no length.
    fn goes_on(&mut self, len: Option<u64>, done: u64) -> Option<bool> {
        if let Some(len) = len {
            return Some(done < len);
        }
        if self.source.datatype().ok()? != Type::Break {
            return Some(true);
        }
        self.source.set_position(self.source.position() + 1);
        Some(false)
    }

    fn comma(&mut self, done: u64) {
        if done > 0 {
            self.json.push(',');
        }
    }
}

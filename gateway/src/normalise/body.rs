//! What stands in the body of a message at an output.

use std::fmt::{self, Write};

use tidegate_protocol::{Measurement, Reading, write_json_string};

use super::{BodyForm, Message, Part};

impl Message<'_> {
    /// Appends the body of `part` to `out`, in the form that the part asks for. `payload` is the payload as sent.
    pub fn write_body(&self, part: &Part<'_>, record_uid: &str, payload: &[u8], out: &mut Vec<u8>) {
        let written = match part.body {
            BodyForm::Text if !self.readings().is_empty() => self.body_text(part, &mut Utf8(out)),
            BodyForm::Json => self.body_json(part, record_uid, payload, &mut Utf8(out)),
            BodyForm::Raw | BodyForm::Text => {
                out.extend_from_slice(payload);
                Ok(())
            }
        };
        debug_assert!(written.is_ok(), "a Vec takes everything");
    }

    /// Writes `device,value`, or a line `device,name,value` for each of several measurements. Nothing where the
    /// payload could not be read.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn body_text(&self, part: &Part<'_>, out: &mut impl Write) -> fmt::Result {
        let device = &self.device;
        if let Some(Measurement { value, .. }) = self.single(part) {
            return write!(out, "{device},{value}");
        }
        let mut before = "";
        for Measurement { name, value, .. } in self.readings().iter().flat_map(|r| &r.measurements) {
            write!(out, "{before}{device},{name},{value}")?;
            before = "\n";
        }
        Ok(())
    }

    /// Writes `{"uid":"sensor_1/7/42","device":"sensor_1","boot":7,"seq":42,"ts":…,"values":{…}}`; for several
    /// readings `{"uid":…,"device":…,"readings":[{"uid":…,"values":{…}},…]}`; for a payload that could not be read
    /// `{"uid":…,"device":…,"text":"…"}`, or `"hex"` in place of `"text"` when it is no UTF-8.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn body_json(
        &self,
        part: &Part<'_>,
        record_uid: &str,
        payload: &[u8],
        out: &mut impl Write,
    ) -> fmt::Result {
        out.write_str("{\"uid\":\"")?;
        self.write_uid(part, record_uid, out)?;
        write!(out, "\",\"device\":\"{}\",", self.device)?;
        match (part.only, self.readings()) {
            (None, []) => write_payload(payload, out)?,
            (None, [reading]) => reading.write_members(out)?,
            (None, readings) => self.write_readings(readings, record_uid, out)?,
            (Some((reading, measurement)), readings) => {
                if let Some(reading) = readings.get(reading) {
                    alone(reading, measurement).write_members(out)?;
                }
            }
        }
        out.write_char('}')
    }

    fn write_readings(&self, readings: &[Reading], record_uid: &str, out: &mut impl Write) -> fmt::Result {
        out.write_str("\"readings\":[")?;
        for (index, reading) in readings.iter().enumerate() {
            out.write_str(if index == 0 { "{\"uid\":\"" } else { ",{\"uid\":\"" })?;
            self.write_reading_uid(record_uid, index, out)?;
            out.write_str("\",")?;
            reading.write_members(out)?;
            out.write_char('}')?;
        }
        out.write_char(']')
    }

    /// The measurement of a part that has only one.
    fn single(&self, part: &Part<'_>) -> Option<&Measurement> {
        match (part.only, self.readings()) {
            (Some((reading, measurement)), readings) => readings.get(reading)?.measurements.get(measurement),
            (None, [reading]) if reading.measurements.len() == 1 => reading.measurements.first(),
            (None, _) => None,
        }
    }
}

/// The reading with one of its measurements only.
fn alone(reading: &Reading, measurement: usize) -> Reading<1> {
    let measurements = reading.measurements.iter().skip(measurement).take(1).cloned().collect();
    Reading { boot: reading.boot, sequence: reading.sequence, ts: reading.ts, measurements }
}

fn write_payload(payload: &[u8], out: &mut impl Write) -> fmt::Result {
    if let Ok(text) = std::str::from_utf8(payload) {
        out.write_str("\"text\":")?;
        return write_json_string(text, out);
    }
    out.write_str("\"hex\":\"")?;
    for byte in payload {
        write!(out, "{byte:02x}")?;
    }
    out.write_char('"')
}

/// Text into bytes.
struct Utf8<'v>(&'v mut Vec<u8>);

impl Write for Utf8<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

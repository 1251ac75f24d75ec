//! A record's name (RFC 8428 section 4.5.1): whom it speaks of, and what it calls the measurement.

use tidegate_protocol::{DeviceId, Name};

use super::{Fault, Unfit, checked};

/// In front of a device's name in the scheme of RFC 9039.
const DEVICE_URN: &str = "urn:dev:";

/// What is known about names before a pack is read.
#[derive(Clone, Debug)]
pub(in crate::normalise) struct Naming<'n> {
    /// Of whom login, topic and route say the payload speaks.
    pub(in crate::normalise) device: &'n DeviceId,
    /// What the route calls a measurement that has no name.
    pub(in crate::normalise) route: Option<&'n Name>,
    /// What it is called where neither route nor unit says it.
    pub(in crate::normalise) other: Name,
}

/// Of whom a record speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'r> {
    /// Of the device that sends.
    Own,
    /// Of a thing with a name of RFC 9039, which stands for the device that sends.
    Urn(&'r str),
    /// Of the device that the base name names.
    Named(&'r str),
}

/// A record's name in its two parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split<'r> {
    pub(super) subject: Subject<'r>,
    /// What is measured; empty where the name is only that of a device.
    pub(super) measurement: &'r str,
}

/// Parts `full`, of which the first `base_len` bytes are the base name.
pub(super) fn split<'r>(full: &'r str, base_len: usize, device: &str) -> Split<'r> {
    let own = |measurement| Split { subject: Subject::Own, measurement: start(measurement) };
    let (base, name) = full.split_at_checked(base_len).unwrap_or(("", full));
    if base == device {
        return own(name);
    }
    if let Some(rest) = full.strip_prefix(device)
        && (rest.is_empty() || rest.starts_with([':', '/', '.', '_', '-']))
    {
        return own(rest);
    }
    if let Some(split) = urn(full, base, name) {
        return split;
    }
    match base.strip_suffix([':', '/']) {
        Some(named) if DeviceId::new(named).is_ok() => {
            Split { subject: Subject::Named(named), measurement: start(name) }
        }
        _ => own(full),
    }
}

/// `urn:dev:ow:10e2073a01080063:voltage`: a scheme, an id, and a measurement behind `:`, `/` or `_`. A base name that
/// holds a whole id ends where the name begins, with a separator or without.
fn urn<'r>(full: &'r str, base: &'r str, name: &'r str) -> Option<Split<'r>> {
    let (scheme, rest) = full.strip_prefix(DEVICE_URN)?.split_once(':')?;
    let id_at = DEVICE_URN.len() + scheme.len() + 1;
    let id = rest.split([':', '/', '_']).next().filter(|id| !id.is_empty())?;
    if base.len() > id_at && !name.is_empty() {
        let urn = base.trim_end_matches([':', '/', '_']);
        return Some(Split { subject: Subject::Urn(urn), measurement: start(name) });
    }
    let (urn, measurement) = full.split_at_checked(id_at + id.len())?;
    Some(Split { subject: Subject::Urn(urn), measurement: start(measurement) })
}

fn start(measurement: &str) -> &str {
    measurement.trim_start_matches([':', '/', '.', '_', '-'])
}

/// Makes a name of `[A-Za-z_][A-Za-z0-9_]{0,31}`: `-`, `:`, `.` and `/` become `_`, and a digit in front gets one.
pub(super) fn fit(measurement: &str, suffix: &str) -> Result<Name, Unfit> {
    if measurement.len() > tidegate_protocol::NAME_LEN_MAX {
        return Err(Fault::Name.into());
    }
    let first_is_digit = measurement.starts_with(|first: char| first.is_ascii_digit());
    let mut text = String::from(if first_is_digit { "_" } else { "" });
    text.extend(measurement.chars().map(|c| if matches!(c, '-' | ':' | '.' | '/') { '_' } else { c }));
    text.push_str(suffix);
    checked(&text)
}

/// What a unit of the SenML registry (RFC 8428 section 12.1) stands for where nothing else says what is measured.
pub(super) fn quantity(unit: Option<&str>) -> Option<&'static str> {
    Some(match unit? {
        "Cel" => "temperature",
        "%RH" => "humidity",
        "Pa" | "hPa" => "pressure",
        "V" => "voltage",
        "A" => "current",
        "W" => "power",
        "J" | "kWh" => "energy",
        "lx" => "illuminance",
        "lat" => "latitude",
        "lon" => "longitude",
        "m/s" => "velocity",
        "%EL" | "EL" => "battery",
        "Hz" => "frequency",
        "pH" => "acidity",
        _ => return None,
    })
}

//! SenML packs (RFC 8428) to readings: JSON as it is, CBOR through the JSON that says the same.

mod name;
mod pack;
mod record;

use tidegate_protocol::{DeviceId, Name, Reading};

pub(super) use name::Naming;

use super::{cbor, media::Media};

/// Records in the longest pack.
pub const RECORDS_MAX: usize = 1024;

/// The version of the data model that is read here (RFC 8428 section 4.4).
const VERSION_MAX: f64 = 10.0;

/// Times below this many seconds count from now (RFC 8428 section 4.5.3): 2 to the power of 28.
const RELATIVE_SECONDS_MAX: f64 = 268_435_456.0;

/// Why a pack gives no readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no array of records whose fields have the types of RFC 8428, or a field stands twice.
    #[error("it is no array of SenML records")]
    Pack,
    /// No record of it has a value.
    #[error("the pack has no value")]
    Empty,
    /// More than [`RECORDS_MAX`] records, or more than [`super::READINGS_MAX`] readings.
    #[error("the pack has more records than the gateway takes")]
    TooMany,
    /// `bver` is above 10.
    #[error("the pack has a version that the gateway does not know")]
    Version,
    /// A field that the reader must understand, since its label ends with `_`.
    #[error("a field whose label ends with _ is not understood")]
    MustUnderstand,
    /// Two values, or none, or one that is not finite, too long or no base64url.
    #[error("a record has two values, none, or one that does not fit")]
    Value,
    /// A unit that is too long, or holds a control character.
    #[error("a record has a unit that does not fit")]
    Unit,
    /// The name cannot be made to fit, or is a word of the filter language.
    #[error("a record has a name that does not fit")]
    Name,
    /// A time before 1970 or too far away.
    #[error("a record has a time that does not fit")]
    Time,
    /// Base names of more than one device.
    #[error("the pack speaks of more than one device")]
    Devices,
}

/// Why a payload is refused, or not taken for a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It breaks a rule.
    Fault(Fault),
    /// A name that belongs to the bus or to the gateway.
    ReservedName,
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a pack says.
#[derive(Debug, PartialEq)]
pub(super) struct Pack {
    /// One for each time, in the order in which the times first appear.
    pub(super) readings: Vec<Reading>,
    /// The device that the base name names, where that is another than the one that sends.
    pub(super) device: Option<DeviceId>,
}

/// Reads a pack that is declared as one: by its media type, or by a route. `now_ms` is the Unix time in milliseconds
/// from which times without a date count. A media type that does not say JSON or CBOR leaves that to the first byte:
/// no pack in CBOR begins like one in JSON.
pub(super) fn parse(payload: &[u8], media: Media, naming: &Naming<'_>, now_ms: u64) -> Result<Pack, Unfit> {
    let json = match media {
        Media::SenmlJson => true,
        Media::SenmlCbor => false,
        _ => payload.trim_ascii_start().first() == Some(&b'['),
    };
    if json {
        return pack::read(payload, naming, now_ms, pack::Rules::Declared);
    }
    let text = cbor::to_json(payload, record::label_of).ok_or(Fault::Pack)?;
    pack::read(text.as_bytes(), naming, now_ms, pack::Rules::Declared)
}

/// Reads a pack that nobody has declared. It must be one beyond doubt: no field that RFC 8428 does not have, and each
/// value with a name. `None` for anything else.
pub(super) fn recognise(payload: &[u8], naming: &Naming<'_>, now_ms: u64) -> Option<Pack> {
    if !begins_like_a_pack(payload) {
        return None;
    }
    pack::read(payload, naming, now_ms, pack::Rules::Undeclared).ok()
}

/// Whether the first key of the first object is a SenML label: most arrays of readings need no second look.
fn begins_like_a_pack(payload: &[u8]) -> bool {
    let inner = payload.trim_ascii_start().strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    let inner = inner.and_then(|rest| rest.strip_prefix(b"{")).map(<[u8]>::trim_ascii_start);
    let Some(key) = inner.and_then(|rest| rest.strip_prefix(b"\"")) else { return false };
    key.split(|byte| *byte == b'"').next().is_some_and(record::is_label)
}

/// A measurement's name, as far as it is one.
fn checked(text: &str) -> Result<Name, Unfit> {
    Name::new(text).map_err(|problem| match problem {
        tidegate_protocol::InvalidName::Reserved => Unfit::ReservedName,
        _ => Unfit::Fault(Fault::Name),
    })
}

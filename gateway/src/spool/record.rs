//! One record: kind, envelope, payload as sent, format id; and its bytes in a commit. Pure.
//!
//! A record on disk, little endian: length of the whole (u32), kind, protocol, flags, device length (u8 each),
//! format, topic length, content type length, number of user properties (u16 each), `ts_gw`, `mono_gw` (u64),
//! `boot_gw` (u32), then, as the flags say, boot (u32) and sequence (u64) of the device, `ts_dev`, `uptime_dev`
//! (u64), then device, topic, content type, the properties (two u16 lengths, key, value) and the payload. There
//! is no checksum a record: the commit around it has one.

use std::borrow::Cow;

use tidegate_protocol::{DEVICE_ID_LEN_MAX, Lane};

/// Number of a record in its lane, from 0, never reused.
pub type Offset = u64;

/// The largest offset that is believed to be one: a thousand million records a second for a century do not get there,
/// and what is counted from it does not overflow.
pub(super) const OFFSET_MAX: Offset = 1 << 62;

/// User properties in one record.
pub const USER_PROPERTIES_MAX: usize = 64;

/// Bytes of a record before its optional parts.
const FIXED_BYTES: usize = 36;

/// Bytes behind the device in the longest uid: `/g`, a number of 32 bits, `/t` and one of 64.
const UID_NUMBERS_LEN_MAX: usize = 2 + 10 + 2 + 20;

const FLAG_UID: u8 = 1;
const FLAG_CONTENT_TYPE: u8 = 1 << 1;
const FLAG_TS_DEV: u8 = 1 << 2;
const FLAG_UPTIME_DEV: u8 = 1 << 3;
const CLOCK_SHIFT: u8 = 4;
const QOS_SHIFT: u8 = 6;

/// Where a record is: its lane and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Position {
    /// The log the record is in.
    pub lane: Lane,
    /// Its number there, from 0.
    pub offset: Offset,
}

macro_rules! byte_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $byte:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant = $byte,)* }

        impl $name {
            /// The word for people, files and messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value that `byte` stands for on disk.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

byte_enum! {
    /// What a record is.
    Kind {
        /// A payload from a device.
        Message = 1 "message",
        /// Stands in place of records that were dropped by the owner's choice.
        Gap = 2 "gap",
        /// A payload that can never be accepted, kept so that it is not lost without a word.
        Reject = 3 "reject",
        /// A change of a persistent session.
        Session = 4 "session",
        /// A command for a device.
        Command = 5 "command",
        /// A device or the gateway came, went or changed.
        Lifecycle = 6 "lifecycle",
    }
}

byte_enum! {
    /// How a payload came in.
    Protocol {
        /// MQTT 3.1.1.
        Mqtt311 = 1 "mqtt311",
        /// MQTT 5.
        Mqtt5 = 2 "mqtt5",
        /// CoAP.
        Coap = 3 "coap",
        /// HTTP.
        Http = 4 "http",
        /// A serial line.
        Serial = 5 "serial",
        /// Made by the gateway itself.
        Gateway = 6 "gateway",
    }
}

byte_enum! {
    /// How far the gateway's wall clock could be trusted when it stamped a record.
    ClockQuality {
        /// Nothing is known.
        Unknown = 0 "unknown",
        /// Not synchronised with a time source.
        Unsynchronised = 1 "unsynchronised",
        /// Synchronised.
        Synchronised = 2 "synchronised",
    }
}

/// What makes a duplicate recognisable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Uid {
    /// The device numbers what it sends.
    Device {
        /// The device's count of its own starts.
        boot: u32,
        /// The number within that start.
        sequence: u64,
    },
    /// The gateway's boot, the lane and the offset name the record.
    Gateway,
}

/// Everything about a payload but the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What the record is.
    pub kind: Kind,
    /// Whose it is; at most 64 bytes.
    pub device: &'a str,
    /// What makes a duplicate recognisable.
    pub uid: Uid,
    /// The topic as the device named it; at most 65,535 bytes.
    pub topic: &'a str,
    /// How it came in.
    pub protocol: Protocol,
    /// The quality of service it was sent with, 0 to 2.
    pub qos: u8,
    /// The payload's media type, if the device said it; at most 65,535 bytes.
    pub content_type: Option<&'a str>,
    /// Properties the device added; at most [`USER_PROPERTIES_MAX`], each word at most 65,535 bytes.
    pub user_properties: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The device's own time, Unix milliseconds.
    pub ts_dev: Option<u64>,
    /// Milliseconds since the device started.
    pub uptime_dev: Option<u64>,
    /// The gateway's time on arrival, Unix milliseconds.
    pub ts_gw: u64,
    /// Milliseconds since the gateway started.
    pub mono_gw: u64,
    /// The gateway's count of its own starts.
    pub boot_gw: u32,
    /// How far `ts_gw` can be trusted.
    pub clock: ClockQuality,
}

/// One record as a reader gives it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it is.
    pub position: Position,
    /// Everything about the payload.
    pub envelope: Envelope<'a>,
    /// Which shape the payload is in; the spool keeps it and does not look.
    pub format: u16,
    /// The bytes as sent.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// The id by which a duplicate is known: `device/boot/sequence` when the device numbers its payloads, else
    /// `device/g<boot_gw>/<e|t><offset>`.
    #[must_use]
    pub fn uid_text(&self) -> String {
        let device = self.envelope.device;
        let (boot, sequence) = match self.envelope.uid {
            Uid::Device { boot, sequence } => (("/", boot), ("/", sequence)),
            Uid::Gateway => {
                let lane = match self.position.lane {
                    Lane::Event => "/e",
                    Lane::Telemetry => "/t",
                };
                (("/g", self.envelope.boot_gw), (lane, self.position.offset))
            }
        };
        let mut text = String::with_capacity(device.len() + UID_NUMBERS_LEN_MAX);
        text.push_str(device);
        text.push_str(boot.0);
        text.push_str(itoa::Buffer::new().format(boot.1));
        text.push_str(sequence.0);
        text.push_str(itoa::Buffer::new().format(sequence.1));
        text
    }
}

impl<'a> Record<'a> {
    /// Appends the record's bytes, which do not say its position, to `out`.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        // What a reader has given out was encoded before and fits.
        if let Some(len) = encoded_len(&self.envelope, self.payload) {
            encode(&self.envelope, self.format, self.payload, len, out);
        }
    }

    /// Takes the first record off `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no record, whole or in part.
    pub(crate) fn decode_from(position: Position, bytes: &mut &'a [u8]) -> Result<Self, Malformed> {
        decode(position, bytes)
    }
}

/// The bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no record")]
pub struct Malformed;

/// Bytes that the record takes in a commit; none when one of its parts is longer than the format can say.
#[must_use]
pub(super) fn encoded_len(envelope: &Envelope<'_>, payload: &[u8]) -> Option<usize> {
    let word = usize::from(u16::MAX);
    let content_type = envelope.content_type.unwrap_or_default();
    let fits = envelope.device.len() <= DEVICE_ID_LEN_MAX
        && envelope.topic.len() <= word
        && content_type.len() <= word
        && envelope.user_properties.len() <= USER_PROPERTIES_MAX
        && envelope.qos <= 2;
    if !fits {
        return None;
    }
    let mut len =
        FIXED_BYTES + envelope.device.len() + envelope.topic.len() + content_type.len() + payload.len();
    if matches!(envelope.uid, Uid::Device { .. }) {
        len += 12;
    }
    len += 8 * (usize::from(envelope.ts_dev.is_some()) + usize::from(envelope.uptime_dev.is_some()));
    for (key, value) in &envelope.user_properties {
        if key.len() > word || value.len() > word {
            return None;
        }
        len += 4 + key.len() + value.len();
    }
    u32::try_from(len).is_ok().then_some(len)
}

/// Appends the record's bytes to `out`. `len` is what [`encoded_len`] said of the same parts.
pub(super) fn encode(envelope: &Envelope<'_>, format: u16, payload: &[u8], len: usize, out: &mut Vec<u8>) {
    let content_type = envelope.content_type.unwrap_or_default();
    let mut flags = ((envelope.clock as u8) << CLOCK_SHIFT) | (envelope.qos << QOS_SHIFT);
    for (flag, set) in [
        (FLAG_UID, matches!(envelope.uid, Uid::Device { .. })),
        (FLAG_CONTENT_TYPE, envelope.content_type.is_some()),
        (FLAG_TS_DEV, envelope.ts_dev.is_some()),
        (FLAG_UPTIME_DEV, envelope.uptime_dev.is_some()),
    ] {
        flags |= if set { flag } else { 0 };
    }
    let device_len = u8::try_from(envelope.device.len()).unwrap_or(u8::MAX);
    let mut fixed = [0; FIXED_BYTES];
    let mut rest = fixed.as_mut_slice();
    put(&mut rest, &u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    put(&mut rest, &[envelope.kind as u8, envelope.protocol as u8, flags, device_len]);
    put(&mut rest, &format.to_le_bytes());
    put(&mut rest, &length(envelope.topic.len()));
    put(&mut rest, &length(content_type.len()));
    put(&mut rest, &length(envelope.user_properties.len()));
    put(&mut rest, &envelope.ts_gw.to_le_bytes());
    put(&mut rest, &envelope.mono_gw.to_le_bytes());
    put(&mut rest, &envelope.boot_gw.to_le_bytes());
    out.extend_from_slice(&fixed);
    if let Uid::Device { boot, sequence } = envelope.uid {
        out.extend_from_slice(&boot.to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
    }
    for time in [envelope.ts_dev, envelope.uptime_dev].into_iter().flatten() {
        out.extend_from_slice(&time.to_le_bytes());
    }
    out.extend_from_slice(envelope.device.as_bytes());
    out.extend_from_slice(envelope.topic.as_bytes());
    out.extend_from_slice(content_type.as_bytes());
    for (key, value) in &envelope.user_properties {
        out.extend_from_slice(&length(key.len()));
        out.extend_from_slice(&length(value.len()));
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
}

/// Takes the first record off `bytes`.
///
/// # Errors
/// [`Malformed`] when the bytes are no record, whole or in part.
pub(super) fn decode<'a>(position: Position, bytes: &mut &'a [u8]) -> Result<Record<'a>, Malformed> {
    let len = usize::try_from(peek_len(bytes).ok_or(Malformed)?).map_err(|_| Malformed)?;
    let (record, rest) = bytes.split_at_checked(len).ok_or(Malformed)?;
    let mut take = Take(record.get(4..).ok_or(Malformed)?);
    let [kind, protocol, flags, device_len] = take.array()?;
    let format = u16::from_le_bytes(take.array()?);
    let topic_len = u16::from_le_bytes(take.array()?);
    let content_type_len = u16::from_le_bytes(take.array()?);
    let properties = usize::from(u16::from_le_bytes(take.array()?));
    let (ts_gw, mono_gw) = (take.u64()?, take.u64()?);
    let boot_gw = u32::from_le_bytes(take.array()?);
    let is_writable = properties <= USER_PROPERTIES_MAX
        && usize::from(device_len) <= DEVICE_ID_LEN_MAX
        && (content_type_len == 0 || flags & FLAG_CONTENT_TYPE != 0)
        && flags >> QOS_SHIFT <= 2;
    if !is_writable {
        return Err(Malformed);
    }
    let uid = if flags & FLAG_UID == 0 {
        Uid::Gateway
    } else {
        Uid::Device { boot: u32::from_le_bytes(take.array()?), sequence: take.u64()? }
    };
    let ts_dev = if flags & FLAG_TS_DEV == 0 { None } else { Some(take.u64()?) };
    let uptime_dev = if flags & FLAG_UPTIME_DEV == 0 { None } else { Some(take.u64()?) };
    let device = take.text(device_len.into())?;
    let topic = take.text(topic_len.into())?;
    let content_type = take.text(content_type_len.into())?;
    let mut user_properties = Vec::with_capacity(properties);
    for _ in 0..properties {
        let (key_len, value_len) = (u16::from_le_bytes(take.array()?), u16::from_le_bytes(take.array()?));
        let key = take.text(key_len.into())?;
        user_properties.push((Cow::Borrowed(key), Cow::Borrowed(take.text(value_len.into())?)));
    }
    let envelope = Envelope {
        kind: Kind::from_byte(kind).ok_or(Malformed)?,
        device,
        uid,
        topic,
        protocol: Protocol::from_byte(protocol).ok_or(Malformed)?,
        qos: flags >> QOS_SHIFT,
        content_type: (flags & FLAG_CONTENT_TYPE != 0).then_some(content_type),
        user_properties,
        ts_dev,
        uptime_dev,
        ts_gw,
        mono_gw,
        boot_gw,
        clock: ClockQuality::from_byte((flags >> CLOCK_SHIFT) & 3).ok_or(Malformed)?,
    };
    *bytes = rest;
    Ok(Record { position, envelope, format, payload: take.0 })
}

/// The length that the first record in `bytes` claims to have.
pub(super) fn peek_len(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|len| u32::from_le_bytes(*len))
}

fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes()
}

/// Writes `bytes` at the front of `rest` and moves `rest` behind them. Both are ours and fit.
pub(super) fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    if let Some((front, back)) = std::mem::take(rest).split_at_mut_checked(bytes.len()) {
        front.copy_from_slice(bytes);
        *rest = back;
    }
}

/// Takes values off the front of bytes that nobody vouches for.
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (front, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self, len: usize) -> Result<&'a str, Malformed> {
        let (front, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        str::from_utf8(front).map_err(|_| Malformed)
    }
}

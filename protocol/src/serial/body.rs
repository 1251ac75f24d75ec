use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    decimal::{DECIMAL_PLACES_MAX, Decimal},
    key::{Nonce, SALT_BYTES, SECRET_LEN_MAX},
};
use crate::DEVICE_ID_LEN_MAX;

/// Bytes in the longest name that a board has from its maker.
pub const HARDWARE_LEN_MAX: usize = 32;
/// Bytes in the longest name of a model or of a firmware's version.
pub const MODEL_LEN_MAX: usize = 24;
/// Channels of one body with readings.
pub const CHANNELS_MAX: usize = 8;
/// Readings of one body.
pub const READINGS_MAX: usize = 16;
/// Bytes in the longest value that is a text.
pub const VALUE_TEXT_LEN_MAX: usize = 32;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $byte:literal,)*) => {
        /// What a body is: the byte in the header. Numbers never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $kind = $byte,)* }

        impl Kind {
            /// The kind that `byte` stands for, of those that this version knows.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

kinds! {
    /// Device: who I am; begins a link.
    Hello = 1,
    /// Gateway: prove it.
    Challenge = 2,
    /// Device: sealed, hence proven.
    Ready = 3,
    /// Gateway: come in.
    Welcome = 4,
    /// Device: readings.
    Readings = 5,
    /// Gateway: all up to here is on disk.
    Acknowledge = 6,
    /// Device: readings that are gone.
    Gap = 7,
    /// Either: no.
    Refuse = 8,
    /// Gateway: do this.
    Command = 9,
    /// Device: done, or why not.
    Answer = 10,
    /// Gateway: what time it is.
    Time = 11,
    /// Gateway: your name and secret.
    Adopt = 12,
}

/// Who is there. Never sealed, since there is no key yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The device's id; empty on a board that has none yet.
    pub device: &'a str,
    /// What the maker calls this very board: 1 to [`HARDWARE_LEN_MAX`] of `[A-Za-z0-9_-]`.
    pub hardware: &'a str,
    /// Which kind of board it is.
    pub model: &'a str,
    /// Version of its firmware.
    pub firmware: &'a str,
    /// Never the same twice from one device.
    pub nonce: Nonce,
}

/// The gateway's half of a link's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The nonce of the hello that this answers.
    pub echo: Nonce,
    /// Drawn anew for each link.
    pub nonce: Nonce,
    /// What the gateway keeps the device's secret under.
    pub salt: [u8; SALT_BYTES],
}

/// The device's proof: that this frame is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// How often it has started.
    pub boot: u32,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
}

/// The gateway takes readings from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Unix milliseconds; 0 when the gateway does not know.
    pub wall_ms: u64,
    /// The highest boot that the gateway has readings of from this device; 0 when none.
    pub boot_seen: u32,
}

/// Readings of one boot, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings<'a> {
    /// In which boot they were taken.
    pub boot: u32,
    /// What the entries speak of.
    #[serde(borrow)]
    pub channels: heapless::Vec<Channel<'a>, CHANNELS_MAX>,
    /// One a reading, sequence numbers rising.
    #[serde(borrow)]
    pub entries: heapless::Vec<Entry<'a>, READINGS_MAX>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel<'a> {
    /// A measurement's name, see [`crate::Name`].
    pub name: &'a str,
    /// Its unit; empty when there is none.
    pub unit: &'a str,
}

/// One reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Its number in this boot, from 1.
    pub sequence: u64,
    /// When it was taken, Unix milliseconds; 0 when the device did not know.
    pub wall_ms: u64,
    /// For each channel in order, what it was.
    #[serde(borrow)]
    pub samples: heapless::Vec<Sample<'a>, CHANNELS_MAX>,
}

/// What one channel was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sample<'a> {
    /// The sensor did not answer.
    Absent,
    /// A number.
    Number(Decimal),
    /// A switch.
    Boolean(bool),
    /// A state, [`VALUE_TEXT_LEN_MAX`] bytes at most.
    Text(&'a str),
}

/// Readings that the device had to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// In which boot they were taken.
    pub boot: u32,
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub to: u64,
}

/// Everything up to here is on the gateway's disk, or was refused for ever: the device may forget it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The boot.
    pub boot: u32,
    /// The number in it.
    pub sequence: u64,
}

/// Why not. Numbers never change their meaning; one that is not known is [`Reason::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A reason that this version does not know.
    Other = 0,
    /// No such device, or not its key.
    BadCredentials = 1,
    /// Not allowed for this device.
    NotAuthorized = 2,
    /// For ever: this reading cannot be taken. What follows can.
    NotAcceptable = 3,
    /// Passing: no room.
    NoRoom = 4,
    /// Passing: too much to do.
    Busy = 5,
    /// Passing: cannot serve.
    Unavailable = 6,
    /// There is no link: begin with a hello.
    NoLink = 7,
    /// A kind of body that the other side does not know.
    UnknownKind = 8,
    /// A body that is none of its kind.
    Malformed = 9,
    /// Nobody has agreed to take this board in yet.
    NotAdopted = 10,
    /// Passing: too many tries.
    TooMany = 11,
}

/// No.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// Why, see [`Reason`].
    pub reason: u8,
    /// The number of the frame that is refused.
    pub frame: u32,
    /// The boot of the reading that is refused; 0 when it is no reading.
    pub boot: u32,
    /// Its number; 0 when it is no reading.
    pub sequence: u64,
    /// When to try again; 0 when whoever is refused may choose.
    pub wait_ms: u32,
}

/// What the gateway wants done. Numbered by the order here; new ones come at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Take a reading this often.
    SetPeriod {
        /// Milliseconds.
        period_ms: u32,
    },
    /// Show a person which board it is.
    Identify {
        /// For how long.
        seconds: u16,
    },
    /// Start again.
    Reboot,
    /// Say how it goes.
    Report,
}

/// A command with a number to answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandBody {
    /// The gateway's number for it.
    pub id: u32,
    /// What is wanted; none when it is of a kind that this version does not know.
    #[serde(deserialize_with = "known_command", serialize_with = "some_command")]
    pub command: Option<Command>,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done, or begun.
    Done,
    /// Not a command of this device.
    Unknown,
    /// A value that it does not take.
    OutOfRange,
}

/// How a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How often it has started.
    pub boot: u32,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// Milliseconds between two readings.
    pub period_ms: u32,
    /// Readings that wait for their acknowledgement.
    pub stored: u32,
    /// Readings given up for want of room.
    pub dropped: u64,
    /// Readings that the gateway will never take.
    pub refused: u64,
    /// Frames that came in broken.
    pub noise: u32,
    /// Links since its start.
    pub links: u32,
}

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The command's number.
    pub id: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// To [`Command::Report`].
    pub report: Option<Report>,
}

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Unix milliseconds.
    pub wall_ms: u64,
}

/// A board's id and secret, for it to keep. Not sealed: there is no key yet, and the owner watches the line.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt<'a> {
    /// The board that is meant.
    pub hardware: &'a str,
    /// Its id from here on.
    pub device: &'a str,
    /// Its secret, [`SECRET_LEN_MAX`] bytes at most.
    pub secret: &'a str,
    /// Its boots are counted from here on, so that no id comes twice.
    pub boot_seen: u32,
}

impl Hello<'_> {
    pub(super) fn is_sound(&self) -> bool {
        self.device.len() <= DEVICE_ID_LEN_MAX
            && is_word(self.hardware)
            && [self.model, self.firmware].iter().all(|text| is_label(text))
    }
}

impl Gap {
    pub(super) fn is_sound(self) -> bool {
        0 < self.from && self.from <= self.to
    }
}

impl Adopt<'_> {
    pub(super) fn is_sound(&self) -> bool {
        is_word(self.hardware)
            && (1..=DEVICE_ID_LEN_MAX).contains(&self.device.len())
            && (1..=SECRET_LEN_MAX).contains(&self.secret.len())
    }
}

impl Readings<'_> {
    pub(super) fn is_sound(&self) -> bool {
        let channels = self.channels.len();
        let rising = self
            .entries
            .iter()
            .try_fold(0, |last, entry| (entry.sequence > last).then_some(entry.sequence))
            .is_some();
        rising && self.entries.iter().all(|entry| entry.samples.len() == channels && entry.is_sound())
    }
}

impl Entry<'_> {
    fn is_sound(&self) -> bool {
        self.samples.iter().all(|sample| match sample {
            Sample::Number(number) => number.places <= DECIMAL_PLACES_MAX,
            Sample::Text(text) => text.len() <= VALUE_TEXT_LEN_MAX,
            Sample::Absent | Sample::Boolean(_) => true,
        })
    }
}

impl Reason {
    const ALL: [Self; 12] = [
        Self::Other,
        Self::BadCredentials,
        Self::NotAuthorized,
        Self::NotAcceptable,
        Self::NoRoom,
        Self::Busy,
        Self::Unavailable,
        Self::NoLink,
        Self::UnknownKind,
        Self::Malformed,
        Self::NotAdopted,
        Self::TooMany,
    ];

    /// The byte on the line.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What `code` stands for; [`Reason::Other`] when this version does not know.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Other)
    }
}

/// Something that can stand in a list on a terminal, and be typed.
fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !text.is_empty() && text.len() <= HARDWARE_LEN_MAX && text.bytes().all(allowed)
}

fn is_label(text: &str) -> bool {
    text.len() <= MODEL_LEN_MAX && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

/// A command of a later version has bytes that this one cannot tell: the body has its number all the same.
fn known_command<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Command>, D::Error> {
    // The number of the command is the last thing that is read, so nothing is lost by giving up here.
    Ok(Command::deserialize(source).ok())
}

fn some_command<S: serde::Serializer>(command: &Option<Command>, out: S) -> Result<S::Ok, S::Error> {
    match command {
        Some(command) => command.serialize(out),
        None => Err(serde::ser::Error::custom("no command")),
    }
}

impl fmt::Debug for Adopt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopt")
            .field("hardware", &self.hardware)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

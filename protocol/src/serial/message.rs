use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    body::{
        Acknowledge, Adopt, Answer, Challenge, Channel, CommandBody, Gap, Hello, Kind, Readings, Ready,
        Refuse, Sample, Time, Welcome,
    },
    frame::BODY_BYTES_MAX,
};

/// A body that can be sent.
pub trait Message: Serialize {
    /// Its kind.
    const KIND: Kind;

    /// Writes it.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] when it does not fit into a frame.
    fn encode<'o>(&self, out: &'o mut [u8; BODY_BYTES_MAX]) -> Result<&'o [u8], BodyError> {
        postcard::to_slice(self, out).map(|written| &*written).map_err(|_| BodyError::TooLong)
    }
}

macro_rules! messages {
    ($($kind:ident $body:ty,)*) => { $(impl Message for $body { const KIND: Kind = Kind::$kind; })* };
}

messages! {
    Hello Hello<'_>,
    Challenge Challenge,
    Ready Ready,
    Welcome Welcome,
    Readings Readings<'_>,
    Acknowledge Acknowledge,
    Gap Gap,
    Refuse Refuse,
    Command CommandBody,
    Answer Answer,
    Time Time,
    Adopt Adopt<'_>,
}

/// What a device says.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to put the large ones on")]
pub enum FromDevice<'a> {
    /// See [`Hello`].
    Hello(Hello<'a>),
    /// See [`Ready`].
    Ready(Ready),
    /// See [`Readings`].
    Readings(Readings<'a>),
    /// See [`Gap`].
    Gap(Gap),
    /// See [`Refuse`].
    Refuse(Refuse),
    /// See [`Answer`].
    Answer(Answer),
}

/// What the gateway says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromGateway<'a> {
    /// See [`Challenge`].
    Challenge(Challenge),
    /// See [`Welcome`].
    Welcome(Welcome),
    /// See [`Acknowledge`].
    Acknowledge(Acknowledge),
    /// See [`Refuse`].
    Refuse(Refuse),
    /// See [`CommandBody`].
    Command(CommandBody),
    /// See [`Time`].
    Time(Time),
    /// See [`Adopt`].
    Adopt(Adopt<'a>),
}

/// A body that cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A kind that this version does not know, or that the other side does not send: to be refused politely, and no
    /// reason to end the link.
    UnknownKind(u8),
    /// It is none of its kind.
    Malformed,
    /// It does not fit into a frame.
    TooLong,
}

impl<'a> FromDevice<'a> {
    /// Reads a body of `kind`. What stands behind what this version knows is a later version's, and is left alone.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn decode(kind: u8, bytes: &'a [u8]) -> Result<Self, BodyError> {
        match Kind::from_byte(kind) {
            Some(Kind::Hello) => take(bytes, Hello::is_sound).map(Self::Hello),
            Some(Kind::Ready) => take(bytes, |_| true).map(Self::Ready),
            Some(Kind::Readings) => take(bytes, Readings::is_sound).map(Self::Readings),
            Some(Kind::Gap) => take(bytes, |gap: &Gap| gap.is_sound()).map(Self::Gap),
            Some(Kind::Refuse) => take(bytes, |_| true).map(Self::Refuse),
            Some(Kind::Answer) => take(bytes, |_| true).map(Self::Answer),
            _ => Err(BodyError::UnknownKind(kind)),
        }
    }
}

impl<'a> FromGateway<'a> {
    /// As [`FromDevice::decode`].
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn decode(kind: u8, bytes: &'a [u8]) -> Result<Self, BodyError> {
        match Kind::from_byte(kind) {
            Some(Kind::Challenge) => take(bytes, |_| true).map(Self::Challenge),
            Some(Kind::Welcome) => take(bytes, |_| true).map(Self::Welcome),
            Some(Kind::Acknowledge) => take(bytes, |_| true).map(Self::Acknowledge),
            Some(Kind::Refuse) => take(bytes, |_| true).map(Self::Refuse),
            Some(Kind::Command) => take(bytes, |_| true).map(Self::Command),
            Some(Kind::Time) => take(bytes, |_| true).map(Self::Time),
            Some(Kind::Adopt) => take(bytes, Adopt::is_sound).map(Self::Adopt),
            _ => Err(BodyError::UnknownKind(kind)),
        }
    }
}

fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8], is_sound: impl Fn(&T) -> bool) -> Result<T, BodyError> {
    match postcard::take_from_bytes(bytes) {
        Ok((body, _later)) if is_sound(&body) => Ok(body),
        _ => Err(BodyError::Malformed),
    }
}

/// Writes [`Readings`] piece by piece: a board has no room for all of them at once.
#[derive(Debug)]
pub struct ReadingsWriter<'o> {
    out: &'o mut [u8; BODY_BYTES_MAX],
    len: usize,
}

impl<'o> ReadingsWriter<'o> {
    /// Begins with what goes for all of the `entries` entries that follow.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] when the body is full.
    pub fn begin<'c>(
        out: &'o mut [u8; BODY_BYTES_MAX],
        boot: u32,
        channels: impl ExactSizeIterator<Item = Channel<'c>>,
        entries: u8,
    ) -> Result<Self, BodyError> {
        let mut writer = Self { out, len: 0 };
        writer.put(&boot)?;
        // Counts of less than 128 are one byte in postcard.
        writer.put(&u8::try_from(channels.len()).map_err(|_| BodyError::TooLong)?)?;
        for channel in channels {
            writer.put(&channel)?;
        }
        writer.put(&entries)?;
        Ok(writer)
    }

    /// Adds one entry.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] when the body is full.
    pub fn entry<'c>(
        &mut self,
        sequence: u64,
        wall_ms: u64,
        samples: impl ExactSizeIterator<Item = Sample<'c>>,
    ) -> Result<(), BodyError> {
        self.put(&(sequence, wall_ms))?;
        self.put(&u8::try_from(samples.len()).map_err(|_| BodyError::TooLong)?)?;
        for sample in samples {
            self.put(&sample)?;
        }
        Ok(())
    }

    /// The body.
    #[must_use]
    pub fn finish(self) -> &'o [u8] {
        self.out.get(..self.len).unwrap_or_default()
    }

    fn put(&mut self, part: &impl Serialize) -> Result<(), BodyError> {
        let room = self.out.get_mut(self.len..).ok_or(BodyError::TooLong)?;
        let written = postcard::to_slice(part, room).map_err(|_| BodyError::TooLong)?;
        self.len = self.len.saturating_add(written.len());
        Ok(())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind(kind) => write!(f, "a body of the unknown kind {kind}"),
            Self::Malformed => f.write_str("a body that is none of its kind"),
            Self::TooLong => f.write_str("a body that does not fit into a frame"),
        }
    }
}

impl core::error::Error for BodyError {}

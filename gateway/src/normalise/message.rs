use std::{fmt, ops::Deref};

use tidegate_protocol::{DeviceId, Lane, Name, topic::LaneTopic};

use super::{BodyForm, IdForm, Readings, table::Route};

/// What a payload has become: whose it is, where it goes, and what it says.
///
/// It borrows from the input and the routes, so that the common message costs one allocation: its readings.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Of whom it speaks. It differs from [`Input::device`](super::Input::device) only where a route says so; the
    /// caller asks whether that login may speak for this device.
    pub device: DeviceId,
    /// The topic as subscribers see it: `telemetry` of device D is `telemetry/D`.
    pub topic: Word<'a>,
    /// Topic at the output, of the first part.
    pub output_topic: Word<'a>,
    /// Tag at the output, of the first part.
    pub tag: Word<'a>,
    /// Which way it takes.
    pub lane: Lane,
    /// What stands in the body at the output, of the first part.
    pub body: BodyForm,
    /// What it says.
    pub content: Content<'a>,
    /// Index of the route that applied.
    pub route: Option<usize>,
    /// What makes a duplicate recognisable.
    pub id: IdForm,
    /// The route itself, for the mapping of single parts.
    pub(super) applied: Option<&'a Route>,
    /// What the route calls the measurement, for its output topic and tag.
    pub(super) name: Word<'a>,
}

/// What a payload says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// At least one reading, each with at least one measurement.
    Readings(Readings<'a>),
    /// In no known shape: the bytes are passed on as sent.
    Raw,
}

/// A short text that needs no allocation in the common cases.
#[derive(Clone)]
pub enum Word<'a> {
    /// Somebody else's text, as it is.
    Borrowed(&'a str),
    /// A measurement's name.
    Name(Name),
    /// `telemetry/{device}`, `event/{device}`.
    Lane(LaneTopic),
    /// Anything made up of parts.
    Made(Box<str>),
}

impl Word<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Name(name) => name.as_str(),
            Self::Lane(topic) => topic.as_str(),
            Self::Made(text) => text,
        }
    }
}

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Word<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Word<'_> {}

impl PartialEq<str> for Word<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Word<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

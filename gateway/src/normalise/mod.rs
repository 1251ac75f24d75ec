//! Payload to [`Message`] with readings, or a [`Reject`]: pure, and always the same for the same input, so that those
//! who read the spool run it again on the payload as it was sent.

mod route;
mod table;

mod cbor;
mod clean;
mod json;
mod media;
mod pattern;
mod plain;
mod read;
mod readings;
pub mod senml;
mod template;
mod text;

mod body;
mod message;
mod part;

#[doc(hidden)]
pub mod invariants;
#[cfg(test)]
mod tests;

use tidegate_protocol::{
    DeviceId, InvalidTopic, Name, Topic,
    topic::{CommandTopic, LaneTopic},
};

use crate::spool::{Record, Uid};
use part::{Holds, map};
use pattern::Captures;
use read::Reader;
use table::{DeviceSource, NameSource, Route};

pub use message::{Content, Message, Word};
pub use part::{DEVICE_TOPIC, Part, RAW_TAG, SINGLE_TOPIC};
pub use plain::{Known, Shape};
pub use readings::{Numbers, Readings};
pub use route::{BodyForm, Format, IdForm, RouteConfig, RouteError};
pub use table::{ROUTES_MAX, Routes};
pub use template::OUTPUT_TOPIC_LEN_MAX;

/// Readings in the longest array that a payload may hold.
pub const READINGS_MAX: usize = 256;

/// Tag of a command and of the answer to one.
pub const COMMAND_TAG: &str = "command";

/// Name of the measurement in `23.4`, where neither route nor topic has one.
pub const VALUE_NAME: &str = "value";

/// Name of the measurement in `sensor_1,23.4`, where neither route nor topic has one: a line of this form is what the
/// gateway itself hands on for a temperature.
pub const LINE_NAME: &str = "temperature";

/// What a device sent, and who it is.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Who logged in, or on whose behalf that login may speak and does.
    pub device: &'a DeviceId,
    /// The topic as sent. Who runs this again on a stored payload stores that topic, since routes may tell
    /// `telemetry` from `telemetry/{device}`; as device either this one or [`Message::device`] will do.
    pub topic: &'a str,
    /// The payload as sent.
    pub payload: &'a [u8],
    /// What the sender says the payload is, as a media type.
    pub content_type: Option<&'a str>,
    /// When the gateway took it, in Unix milliseconds, as the record says: times relative to "now" count from there.
    pub ts_gw: u64,
    /// What was found when it was accepted; nothing, when nobody knows.
    pub known: Known,
}

impl<'a> Input<'a> {
    /// A stored payload of `device`, with what was found when it was accepted.
    #[must_use]
    pub fn of_record(record: &Record<'a>, device: &'a DeviceId) -> Self {
        let envelope = &record.envelope;
        let (boot, sequence) = match envelope.uid {
            Uid::Device { boot, sequence } => (Some(boot), Some(sequence)),
            Uid::Gateway => (None, None),
        };
        let numbers = Numbers { boot, sequence, ts: envelope.ts_dev };
        Self {
            device,
            topic: envelope.topic,
            payload: record.payload,
            content_type: envelope.content_type,
            ts_gw: envelope.ts_gw,
            known: Known { shape: Shape::of_code(record.format), numbers },
        }
    }
}

/// A payload that can never be accepted: the device is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Nobody may publish to this topic.
    #[error("{0}")]
    Topic(InvalidTopic),
    /// The payload or the topic names a device that it may not speak for, or none where the route demands one.
    #[error("it speaks of another device than the one that sends")]
    Device,
    /// A measurement's name that belongs to the bus or to the gateway, or none where the route demands one.
    #[error("a measurement's name is reserved or no name")]
    Name,
    /// The payload is not in the format that the route demands.
    #[error("the payload is not in the format that the route demands")]
    Format,
    /// A number outside the route's range.
    #[error("a value is outside the route's range")]
    Range,
    /// The payload is declared as SenML and is no pack that can be read.
    #[error("SenML: {0}")]
    Senml(senml::Fault),
}

impl Reject {
    /// A short word that never changes, for counters and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Topic(_) => "topic",
            Self::Device => "device",
            Self::Name => "name",
            Self::Format => "format",
            Self::Range => "range",
            Self::Senml(_) => "senml",
        }
    }
}

impl Routes {
    /// Turns what a device sent into a message. Without routes, whatever is in no known shape is [`Content::Raw`].
    ///
    /// # Errors
    /// [`Reject`] when it can never be accepted.
    pub fn normalise<'a>(&'a self, input: &Input<'a>) -> Result<Message<'a>, Reject> {
        let topic = Topic::parse(input.topic).map_err(Reject::Topic)?;
        if let Topic::Command { .. } = topic {
            return Ok(command(&topic, input));
        }
        let own;
        let key = match &topic {
            Topic::Own(lane) => lane.as_str(),
            Topic::Named { lane, device, path: "" } => {
                own = LaneTopic::new(*lane, device);
                own.as_str()
            }
            _ => input.topic,
        };
        let (index, route, captures) = match self.find(key) {
            Some((index, route, captures)) => (Some(index), Some(route), captures),
            None => (None, None, Captures::default()),
        };
        let device = device(route, &captures, &topic, input)?;
        let name = route_name(route, &captures)?;
        let reader = Reader { input, topic: &topic, route, name: name.as_ref(), device };
        let (content, device) = reader.read()?;
        let lane = route.and_then(|route| route.lane).unwrap_or(topic.lane());
        let name = name.map_or(Word::Borrowed(RAW_TAG), Word::Name);
        let part = map(route, &device, lane, Holds::of(&content), &name);
        Ok(Message {
            topic: seen(&topic, input.topic, &device),
            device,
            output_topic: part.output_topic,
            tag: part.tag,
            lane,
            body: part.body,
            content,
            route: index,
            id: route.map(|route| route.id).unwrap_or_default(),
            applied: route,
            name,
        })
    }
}

/// A command is handed on as it is: what it says is between its sender and the device.
fn command<'a>(topic: &Topic<'_>, input: &Input<'a>) -> Message<'a> {
    Message {
        device: input.device.clone(),
        topic: seen(topic, input.topic, input.device),
        output_topic: Word::Borrowed(DEVICE_TOPIC),
        tag: Word::Borrowed(COMMAND_TAG),
        lane: topic.lane(),
        body: BodyForm::Raw,
        content: Content::Raw,
        route: None,
        id: IdForm::Record,
        applied: None,
        name: Word::Borrowed(RAW_TAG),
    }
}

/// Of whom the message speaks, before the payload has its say.
fn device(
    route: Option<&Route>,
    captures: &Captures<'_>,
    topic: &Topic<'_>,
    input: &Input<'_>,
) -> Result<DeviceId, Reject> {
    match route.map_or(&DeviceSource::Login, |route| &route.device) {
        DeviceSource::Fixed(device) => Ok(device.clone()),
        DeviceSource::Topic => captures.device.and_then(|id| DeviceId::new(id).ok()).ok_or(Reject::Device),
        DeviceSource::Payload => Ok(topic.device().unwrap_or(input.device).clone()),
        DeviceSource::Login => match topic.device() {
            Some(named) if named != input.device => Err(Reject::Device),
            _ => Ok(input.device.clone()),
        },
    }
}

/// What the route calls the measurement that the payload does not name.
fn route_name(route: Option<&Route>, captures: &Captures<'_>) -> Result<Option<Name>, Reject> {
    match route.map_or(&NameSource::Default, |route| &route.measurement) {
        NameSource::Default => Ok(None),
        NameSource::Fixed(name) => Ok(Some(name.clone())),
        NameSource::Topic => match captures.measurement.map(Name::new) {
            Some(Ok(name)) => Ok(Some(name)),
            Some(Err(_)) | None => Err(Reject::Name),
        },
    }
}

/// The topic as subscribers see it.
fn seen<'a>(topic: &Topic<'_>, sent: &'a str, device: &DeviceId) -> Word<'a> {
    match topic {
        Topic::Own(lane) => Word::Lane(LaneTopic::new(*lane, device)),
        Topic::Named { lane, path: "", .. } => Word::Lane(LaneTopic::new(*lane, device)),
        Topic::Named { lane, device: named, path } if named != device => {
            Word::Made(format!("{lane}/{device}/{path}").into())
        }
        Topic::Command { device: None, path } => Word::Made(CommandTopic { device, path }.to_string().into()),
        Topic::Named { .. } | Topic::Command { .. } | Topic::Other => Word::Borrowed(sent),
    }
}

//! Payload to [`Message`] with readings, or a [`Reject`]: pure, and always the same for the same input, so that those
//! who read the spool run it again on the payload as it was sent.

mod message;
mod route;

use tidegate_protocol::{DeviceId, InvalidTopic, Topic, topic::LaneTopic};

pub use message::{Content, Message, Word};
pub use route::{BodyForm, Format, IdForm, RouteConfig, RouteError};

/// Readings in the longest array that a payload may hold.
pub const READINGS_MAX: usize = 256;

/// Routes in the longest configuration.
pub const ROUTES_MAX: usize = 1024;

/// What a device sent, and who it is.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Who logged in, or on whose behalf that login may speak and does.
    pub device: &'a DeviceId,
    /// The topic as sent.
    pub topic: &'a str,
    /// The payload as sent.
    pub payload: &'a [u8],
    /// What the sender says the payload is, as a media type.
    pub content_type: Option<&'a str>,
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
        }
    }
}

/// All routes of a configuration, ready for use.
#[derive(Clone, Debug, Default)]
pub struct Routes;

impl Routes {
    /// Checks and compiles the routes. The first route that fits a topic applies.
    ///
    /// # Errors
    /// [`RouteError`] for the first route that cannot be used.
    pub fn compile(routes: &[RouteConfig]) -> Result<Self, RouteError> {
        if routes.len() > ROUTES_MAX {
            let problem = format!("more than {ROUTES_MAX} routes");
            return Err(RouteError { route: ROUTES_MAX, key: "topic", problem });
        }
        Ok(Self)
    }

    /// Turns what a device sent into a message.
    ///
    /// # Errors
    /// [`Reject`] when it can never be accepted.
    pub fn normalise<'a>(&'a self, input: &Input<'a>) -> Result<Message<'a>, Reject> {
        let topic = Topic::parse(input.topic).map_err(Reject::Topic)?;
        let seen = match &topic {
            Topic::Own(lane) => Word::Lane(LaneTopic::new(*lane, input.device)),
            _ => Word::Borrowed(input.topic),
        };
        Ok(Message {
            device: input.device.clone(),
            topic: seen,
            output_topic: Word::Borrowed("iot-device-topic"),
            tag: Word::Borrowed("raw"),
            lane: topic.lane(),
            body: BodyForm::Raw,
            content: Content::Raw,
            route: None,
            id: IdForm::Record,
        })
    }
}

//! The topics that mean something to the gateway, on every protocol alike.
//!
//! | a device publishes to | it says |
//! |---|---|
//! | `telemetry` or `t`, `event` or `e` | a reading of its own |
//! | `telemetry//{device}`, `t//{device}`, `event//…`, `e//…` | a reading of another device, on its behalf |
//! | `telemetry/{device}`, `event/{device}`, and levels below | the same, as subscribers see it |
//! | `cmd/{device}/…` | part of a command's way |
//! | `command///req/…`, `command///res/{id}/{status}` | the same for the device itself, in Eclipse Hono's words |
//! | anything else | what the device wants; the topic is kept |
//!
//! `t/1` and `e/1` are other topics: only the long words have devices below them.

use core::fmt;

use crate::{DEVICE_ID_LEN_MAX, DeviceId, Lane};

/// Bytes in the longest topic that the gateway takes.
pub const TOPIC_LEN_MAX: usize = 1024;

/// Bytes in the longest [`LaneTopic`]: `telemetry/` and a device.
pub const LANE_TOPIC_LEN_MAX: usize = 10 + DEVICE_ID_LEN_MAX;

/// First level of a command's topic.
pub const COMMAND_WORD: &str = "cmd";

/// What stands in front of a command's path in Eclipse Hono's words: tenant and device are empty, the login says them.
pub const HONO_COMMAND_PREFIX: &str = "command///";

/// What a topic means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic<'a> {
    /// `telemetry`, `t`, `event`, `e`: from the device that publishes.
    Own(Lane),
    /// `telemetry//{device}`, `telemetry/{device}`, `telemetry/{device}/…` and the same for events.
    Named {
        /// Which way it takes.
        lane: Lane,
        /// Of whom it speaks: the publisher itself or somebody it may speak for.
        device: DeviceId,
        /// The levels below the device, without the slash in front; empty for most.
        path: &'a str,
    },
    /// `cmd/{device}/…` and its aliases.
    Command {
        /// To or from whom; `None` is the device that publishes or subscribes.
        device: Option<DeviceId>,
        /// What follows: `req/{id}/{command}` or `res/{id}/{status}`.
        path: &'a str,
    },
    /// A topic without a meaning to the gateway.
    Other,
}

/// A topic that nobody may publish to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidTopic {
    /// It has no byte \[MQTT-4.7.3-1\].
    Empty,
    /// It is longer than [`TOPIC_LEN_MAX`].
    TooLong,
    /// It holds `+` or `#` \[MQTT-3.3.2-2\].
    Wildcard,
    /// It holds a control character \[MQTT-1.5.4-2\] \[MQTT-4.7.3-2\].
    Control,
    /// It begins with `$`: those are the gateway's own \[MQTT-4.7.2-1\].
    Dollar,
    /// What follows `telemetry//`, `event//` or `cmd/` is no device id.
    Device,
}

/// The topic under which subscribers see a device's own readings: `telemetry/{device}` or `event/{device}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LaneTopic(heapless::String<LANE_TOPIC_LEN_MAX, u8>);

/// The topic of a command as everybody else sees it: `cmd/{device}/{path}`.
#[derive(Clone, Copy, Debug)]
pub struct CommandTopic<'a> {
    /// To or from whom.
    pub device: &'a DeviceId,
    /// What follows, without the slash in front.
    pub path: &'a str,
}

impl<'a> Topic<'a> {
    /// Says what a topic means.
    ///
    /// # Errors
    /// [`InvalidTopic`] when nobody may publish to it.
    pub fn parse(topic: &'a str) -> Result<Self, InvalidTopic> {
        check(topic)?;
        let (word, rest) = match topic.split_once('/') {
            None => return Ok(lane_word(topic).map_or(Self::Other, Self::Own)),
            Some(parts) => parts,
        };
        match word {
            "telemetry" | "event" | "t" | "e" => Self::below_lane(word, rest),
            COMMAND_WORD => Self::command(rest),
            "command" => {
                Ok(hono_command_path(topic).map_or(Self::Other, |path| Self::Command { device: None, path }))
            }
            _ => Ok(Self::Other),
        }
    }

    fn below_lane(word: &str, rest: &'a str) -> Result<Self, InvalidTopic> {
        let Some(lane) = lane_word(word) else { return Ok(Self::Other) };
        if let Some(device) = rest.strip_prefix('/') {
            let device = DeviceId::new(device).map_err(|_| InvalidTopic::Device)?;
            return Ok(Self::Named { lane, device, path: "" });
        }
        if word.len() == 1 {
            return Ok(Self::Other);
        }
        let (device, path) = rest.split_once('/').unwrap_or((rest, ""));
        // What is no device id can be taken for nobody's reading, so it is as good a topic as any.
        Ok(DeviceId::new(device).map_or(Self::Other, |device| Self::Named { lane, device, path }))
    }

    fn command(rest: &'a str) -> Result<Self, InvalidTopic> {
        let (device, path) = rest.split_once('/').unwrap_or((rest, ""));
        let device = DeviceId::new(device).map_err(|_| InvalidTopic::Device)?;
        Ok(Self::Command { device: Some(device), path })
    }

    /// The lane that the topic chooses. Commands and their answers do not wait behind readings.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Own(lane) | Self::Named { lane, .. } => *lane,
            Self::Command { .. } => Lane::Event,
            Self::Other => Lane::Telemetry,
        }
    }

    /// The device that the topic itself names.
    #[must_use]
    pub const fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Named { device, .. } => Some(device),
            Self::Command { device, .. } => device.as_ref(),
            Self::Own(_) | Self::Other => None,
        }
    }
}

/// The lane of `telemetry`, `t`, `event` and `e`.
#[must_use]
pub fn lane_word(word: &str) -> Option<Lane> {
    match word {
        "telemetry" | "t" => Some(Lane::Telemetry),
        "event" | "e" => Some(Lane::Event),
        _ => None,
    }
}

/// What follows `command///` in Eclipse Hono's words, in a topic or a filter: `req/#`, `res/{id}/{status}`.
/// `None` when it is not one of the two.
#[must_use]
pub fn hono_command_path(topic: &str) -> Option<&str> {
    let path = topic.strip_prefix(HONO_COMMAND_PREFIX)?;
    (path.starts_with("req/") || path.starts_with("res/")).then_some(path)
}

fn check(topic: &str) -> Result<(), InvalidTopic> {
    if topic.is_empty() {
        return Err(InvalidTopic::Empty);
    }
    if topic.len() > TOPIC_LEN_MAX {
        return Err(InvalidTopic::TooLong);
    }
    if topic.starts_with('$') {
        return Err(InvalidTopic::Dollar);
    }
    for byte in topic.bytes() {
        match byte {
            b'+' | b'#' => return Err(InvalidTopic::Wildcard),
            // 0xC2 leads the characters U+0080 to U+00BF, of which the first half are controls.
            0xC2 if topic.chars().any(char::is_control) => return Err(InvalidTopic::Control),
            _ if byte.is_ascii_control() => return Err(InvalidTopic::Control),
            _ => {}
        }
    }
    Ok(())
}

impl LaneTopic {
    /// `telemetry/{device}` or `event/{device}`.
    #[must_use]
    pub fn new(lane: Lane, device: &DeviceId) -> Self {
        let mut text = heapless::String::new();
        let fits = [lane.as_str(), "/", device.as_str()].iter().all(|part| text.push_str(part).is_ok());
        debug_assert!(fits, "LANE_TOPIC_LEN_MAX has room for every lane and device");
        Self(text)
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LaneTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LaneTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for CommandTopic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COMMAND_WORD}/{}", self.device)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the topic is empty"),
            Self::TooLong => write!(f, "the topic is longer than {TOPIC_LEN_MAX} bytes"),
            Self::Wildcard => f.write_str("a topic to publish to holds no + or #"),
            Self::Control => f.write_str("the topic holds a control character"),
            Self::Dollar => f.write_str("topics that begin with $ belong to the gateway"),
            Self::Device => f.write_str("the topic names no valid device where one belongs"),
        }
    }
}

impl core::error::Error for InvalidTopic {}

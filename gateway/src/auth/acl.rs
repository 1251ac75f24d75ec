//! Rights: which topics a login may publish to, as whom, and which filters it may subscribe to. Pure.

use tidegate_protocol::DeviceId;

use super::{
    filter::{self, Filter},
    login::Role,
};

/// The filters a login was given. Empty for the role `device`, whose rights follow from its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Topics it may publish to (role `client`).
    pub publish: Vec<Filter>,
    /// Filters it may subscribe to, or to any part of them (roles `application` and `client`).
    pub subscribe: Vec<Filter>,
}

/// A publish that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The device the message is from: the login's own, or the one it acts for.
    pub device: DeviceId,
    /// The topic as the device itself would have sent it: `telemetry//D` and `telemetry/D` become `telemetry`,
    /// `event//D` and `event/D` become `event`; every other topic stays as sent.
    pub topic: &'a str,
}

/// Why a publish is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Empty, or with a wildcard or a control character in it.
    #[error("not a topic name")]
    Malformed,
    /// Begins with `$`.
    #[error("topics that begin with $ are the gateway's own")]
    System,
    /// Another device's topic.
    #[error("the topic belongs to another device")]
    Foreign,
    /// No granted filter matches.
    #[error("no granted filter covers the topic")]
    NotGranted,
}

impl Denied {
    /// A short stable word for counters and records.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "topic",
            Self::System => "system-topic",
            Self::Foreign => "foreign-topic",
            Self::NotGranted => "not-granted",
        }
    }
}

/// Whether `id` is one of the first levels that topics of all devices share. A device of that name would own the
/// tree `{id}/#` and with it everybody's messages, so no such device can exist.
#[must_use]
pub(super) fn is_reserved(id: &str) -> bool {
    matches!(id, "telemetry" | "t" | "event" | "e" | "cmd" | "command")
}

/// Decides on a publish of `device`, logged in as `role` with `rights`.
pub(super) fn may_publish<'a>(
    role: Role,
    device: &DeviceId,
    rights: &Rights,
    topic: &'a str,
) -> Result<Publish<'a>, Denied> {
    if topic.starts_with('$') {
        return Err(Denied::System);
    }
    if !filter::is_topic(topic) {
        return Err(Denied::Malformed);
    }
    match role {
        Role::Device => publish_as_device(device, topic),
        Role::Application => Err(Denied::NotGranted),
        Role::Client if !rights.publish.iter().any(|f| f.matches(topic)) => Err(Denied::NotGranted),
        Role::Client => publish_as_client(device, topic),
    }
}

/// Decides on a subscription of `device`, logged in as `role` with `rights`.
pub(super) fn may_subscribe(role: Role, device: &DeviceId, rights: &Rights, requested: &str) -> bool {
    match role {
        Role::Device => own_tree(device).iter().any(|f| filter::is_covered(f, requested)),
        Role::Application | Role::Client => rights.subscribe.iter().any(|f| f.covers(requested)),
    }
}

/// What a device reads: its commands under both names, what it sent itself, and the tree of its name.
fn own_tree(device: &DeviceId) -> [String; 5] {
    [
        format!("cmd/{device}/#"),
        "command///req/#".to_owned(),
        format!("telemetry/{device}"),
        format!("event/{device}"),
        format!("{device}/#"),
    ]
}

fn publish_as_device<'a>(device: &DeviceId, topic: &'a str) -> Result<Publish<'a>, Denied> {
    let kept = || Publish { device: device.clone(), topic };
    match Native::of(topic) {
        Native::Other => Ok(kept()),
        Native::Data { word, device: named, deeper } if named == device.as_str() => {
            Ok(if deeper { kept() } else { Publish { device: device.clone(), topic: word } })
        }
        Native::Commands { device: named } if named == device.as_str() => Ok(kept()),
        Native::Response => Ok(kept()),
        Native::Data { .. } | Native::Commands { .. } | Native::ForeignAlias => Err(Denied::Foreign),
    }
}

fn publish_as_client<'a>(device: &DeviceId, topic: &'a str) -> Result<Publish<'a>, Denied> {
    match Native::of(topic) {
        Native::Data { word, device: named, deeper: false } => {
            let named = DeviceId::new(named).map_err(|_| Denied::Foreign)?;
            Ok(Publish { device: named, topic: word })
        }
        Native::Data { .. } => Err(Denied::Foreign),
        _ => Ok(Publish { device: device.clone(), topic }),
    }
}

/// What a topic is among the gateway's own words.
#[derive(Debug, PartialEq, Eq)]
enum Native<'a> {
    /// `telemetry//D`, `telemetry/D`, `t//D`, `event/D` …: data of the device named; `deeper` if levels follow it.
    Data { word: &'static str, device: &'a str, deeper: bool },
    /// `cmd/D/…`.
    Commands { device: &'a str },
    /// `command///res/…`, the alias for the answer to one's own command.
    Response,
    /// Any other `command/…`: requests, and answers in another device's name.
    ForeignAlias,
    /// None of these, the bare `telemetry` and `event` included.
    Other,
}

impl<'a> Native<'a> {
    fn of(topic: &'a str) -> Self {
        let Some((first, rest)) = topic.split_once('/') else {
            return if topic == "cmd" || topic == "command" { Self::ForeignAlias } else { Self::Other };
        };
        match first {
            "telemetry" | "t" => Self::data("telemetry", rest),
            "event" | "e" => Self::data("event", rest),
            "cmd" => Self::Commands { device: rest.split('/').next().unwrap_or_default() },
            "command" if rest.starts_with("//res/") => Self::Response,
            "command" => Self::ForeignAlias,
            _ => Self::Other,
        }
    }

    fn data(word: &'static str, rest: &'a str) -> Self {
        let named = rest.strip_prefix('/').unwrap_or(rest);
        match named.split_once('/') {
            Some((device, _)) => Self::Data { word, device, deeper: true },
            None => Self::Data { word, device: named, deeper: false },
        }
    }
}

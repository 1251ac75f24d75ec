//! The keys of a scenario, as they stand in the file.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use toml::Spanned;

use crate::{Plan, Profile, Qos, Target, Version};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScenarioKeys {
    pub(super) duration: Option<Spanned<Time>>,
    pub(super) seed: Option<u64>,
    pub(super) connect_rate: Option<u32>,
    pub(super) settle: Option<Time>,
    #[serde(default)]
    pub(super) defaults: Keys,
    pub(super) group: Vec<Spanned<GroupKeys>>,
}

/// `[defaults]`: what a group has that does not say otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keys {
    target: Option<Targets>,
    pub(super) credentials: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    client_id: Option<String>,
    topic: Option<String>,
    interval: Option<Time>,
    profile: Option<Text<Profile>>,
    qos: Option<Level>,
    size: Option<usize>,
    inflight: Option<u16>,
    protocol_version: Option<Mqtt>,
    keep_alive: Option<Time>,
    backlog: Option<u64>,
    ack_timeout: Option<Time>,
    retransmit_wait: Option<Time>,
}

/// `[[group]]`. The keys of [`Keys`] stand here once more, since what serde flattens has no line and column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupKeys {
    pub(super) name: String,
    pub(super) devices: Spanned<u32>,
    pub(super) start_number: Option<u32>,
    pub(super) start: Option<Spanned<Time>>,
    pub(super) end: Option<Spanned<Time>>,
    target: Option<Targets>,
    pub(super) credentials: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    client_id: Option<String>,
    topic: Option<String>,
    interval: Option<Time>,
    profile: Option<Text<Profile>>,
    qos: Option<Level>,
    size: Option<usize>,
    inflight: Option<u16>,
    protocol_version: Option<Mqtt>,
    keep_alive: Option<Time>,
    backlog: Option<u64>,
    ack_timeout: Option<Time>,
    retransmit_wait: Option<Time>,
}

/// Both kinds of tables say the same words of a sensor.
macro_rules! apply {
    ($keys:expr, $plan:expr) => {{
        let (keys, plan) = ($keys, $plan);
        set(&mut plan.targets, keys.target.as_ref().map(|targets| targets.0.clone()));
        plan.user = keys.user.clone().or_else(|| plan.user.take());
        plan.password = keys.password.clone().or_else(|| plan.password.take());
        plan.client_id = keys.client_id.clone().or_else(|| plan.client_id.take());
        set(&mut plan.topic, keys.topic.clone());
        set(&mut plan.interval, keys.interval.map(|time| time.0));
        set(&mut plan.profile, keys.profile.as_ref().map(|profile| profile.0));
        set(&mut plan.qos, keys.qos.map(|qos| qos.0));
        set(&mut plan.payload_bytes, keys.size);
        set(&mut plan.inflight, keys.inflight);
        set(&mut plan.version, keys.protocol_version.map(|version| version.0));
        set(&mut plan.keep_alive, keys.keep_alive.map(|time| time.0));
        set(&mut plan.backlog, keys.backlog);
        set(&mut plan.acknowledge_max, keys.ack_timeout.map(|time| time.0));
        set(&mut plan.retransmit_wait, keys.retransmit_wait.map(|time| time.0));
    }};
}

impl Keys {
    pub(super) fn apply_to(&self, plan: &mut Plan) {
        apply!(self, plan);
    }
}

impl GroupKeys {
    pub(super) fn apply_to(&self, plan: &mut Plan) {
        apply!(self, plan);
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// A time such as `"2s"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            |_| D::Error::custom(format!("{text:?} is no time; write one such as \"2s\" or \"500ms\""));
        humantime::parse_duration(&text).map(Self).map_err(wrong)
    }
}

/// What is written as the command line has it.
#[derive(Debug)]
struct Text<T>(T);

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// 0 or 1.
#[derive(Clone, Copy, Debug)]
struct Level(Qos);

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self(Qos::AtMostOnce)),
            1 => Ok(Self(Qos::AtLeastOnce)),
            other => Err(D::Error::custom(format!("`qos` is 0 or 1, not {other}"))),
        }
    }
}

/// 4 or 5.
#[derive(Clone, Copy, Debug)]
struct Mqtt(Version);

impl<'de> Deserialize<'de> for Mqtt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            4 => Ok(Self(Version::V4)),
            5 => Ok(Self(Version::V5)),
            other => Err(D::Error::custom(format!("`protocol_version` is 4 (MQTT 3.1.1) or 5, not {other}"))),
        }
    }
}

/// One target, or a list.
#[derive(Debug)]
struct Targets(Vec<Target>);

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetsVisitor)
    }
}

struct TargetsVisitor;

impl<'de> Visitor<'de> for TargetsVisitor {
    type Value = Targets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"mqtt://HOST:PORT\" or \"coap://HOST:PORT\", or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Targets, E> {
        text.parse().map(|target| Targets(vec![target])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Targets, A::Error> {
        let targets = Vec::<Text<Target>>::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(Targets(targets.into_iter().map(|target| target.0).collect()))
    }
}

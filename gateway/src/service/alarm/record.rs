//! An alarm as a record of the `event` lane: what it says, and how others know it.

use serde::{Deserialize, Serialize};

use super::rules::{Change, State};
use crate::spool::{Kind, Lane, Position, Protocol, Record};

/// The topic of an alarm, which subscribers see as `event/{device}`.
pub const TOPIC: &str = "event";

/// The user property that names the reading behind an alarm.
pub const CAUSE: &str = "cause";

/// The payload of an alarm, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name in the configuration.
    pub alarm: String,
    /// `raised` or `cleared`.
    pub state: String,
    /// The measurement it is about.
    pub measurement: String,
    /// The value that raised or cleared it.
    pub value: f64,
    /// What the value was compared with.
    pub limit: f64,
}

impl Alarm {
    pub(super) fn of(change: &Change) -> Self {
        Self {
            alarm: change.alarm.clone(),
            state: change.state.as_str().to_owned(),
            measurement: change.measurement.clone(),
            value: change.value,
            limit: change.limit,
        }
    }

    /// The alarm that a record holds, if it is one that the gateway has made.
    #[must_use]
    pub fn read(record: &Record<'_>) -> Option<Self> {
        let envelope = &record.envelope;
        let is_own = envelope.protocol == Protocol::Gateway && envelope.kind == Kind::Message;
        if !is_own || envelope.topic != TOPIC {
            return None;
        }
        serde_json::from_slice(record.payload).ok()
    }

    /// What has become of it.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == self.state)
    }
}

/// Names the reading number `index` of a record: `t17.0` is the first of the record 17 of `telemetry`.
pub(super) fn cause(position: Position, index: usize) -> String {
    let lane = match position.lane {
        Lane::Event => 'e',
        Lane::Telemetry => 't',
    };
    format!("{lane}{}.{index}", position.offset)
}

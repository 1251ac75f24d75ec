//! When an alarm is raised and when it is cleared. Pure.

use std::collections::BTreeMap;

use memchr::{memchr, memmem::Finder};
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_protocol::{DeviceId, Name, Reading, Value};

/// Rules of one configuration: one bit each in what is kept of a device.
pub const RULES_MAX: usize = 32;

/// Devices with a raised alarm that are kept. A device beyond them is told of when there is room again.
pub const RAISED_DEVICES_MAX: usize = 10_000;

/// `[[alarm]]`: a rule that tells when a number is too high or too low, and when it is good again.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmConfig {
    /// Names the alarm: `[A-Za-z0-9_-]{1,64}`.
    pub name: String,
    /// The measurement it is about.
    pub measurement: String,
    /// Raised by a number above this.
    pub above: Option<f64>,
    /// Raised by a number below this.
    pub below: Option<f64>,
    /// Cleared by a number that is this or further on the good side; left out: by the first that does not raise it.
    pub clear: Option<f64>,
}

/// What is wrong with an [`AlarmConfig`], and in which key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {wrong}")]
pub struct AlarmError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub wrong: String,
    /// What to write instead.
    pub instead: &'static str,
}

impl AlarmConfig {
    /// What an owner gets who says nothing of alarms: a temperature above 35 °C, cleared at 33 °C or below, so that a
    /// sensor whose noise is a degree does not raise it over and over.
    #[must_use]
    pub fn temperature_high() -> Self {
        Self {
            name: "temperature_high".to_owned(),
            measurement: "temperature".to_owned(),
            above: Some(35.0),
            below: None,
            clear: Some(33.0),
        }
    }

    /// Checks the values against each other.
    ///
    /// # Errors
    /// [`AlarmError`], the first there is.
    pub fn check(&self) -> Result<(), AlarmError> {
        self.rule().map(drop)
    }

    fn rule(&self) -> Result<Rule, AlarmError> {
        let fail = |key, wrong: &str, instead| Err(AlarmError { key, wrong: wrong.to_owned(), instead });
        if DeviceId::new(&self.name).is_err() {
            return fail("name", "this cannot name an alarm", "write 1 to 64 of A-Z, a-z, 0-9, _ and -");
        }
        let Ok(measurement) = Name::new(&self.measurement) else {
            return fail("measurement", "no measurement has this name", "write one such as \"temperature\"");
        };
        let (limit, side) = match (self.above, self.below) {
            (Some(limit), None) => (limit, Side::Above),
            (None, Some(limit)) => (limit, Side::Below),
            (Some(_), Some(_)) => {
                return fail("below", "`above` is there too", "write one of them; two rules make a range");
            }
            (None, None) => {
                return fail("name", "nothing raises this alarm", "add `above = …` or `below = …`");
            }
        };
        let key = if side == Side::Above { "above" } else { "below" };
        if !limit.is_finite() {
            return fail(key, "this is no number to compare with", "write one such as 35.0");
        }
        let clear = self.clear.unwrap_or(limit);
        if side.is_raised_by(clear, limit) || !clear.is_finite() {
            return fail("clear", "the value that clears the alarm raises it", "write one on the good side");
        }
        Ok(Rule { name: self.name.clone(), measurement, limit, clear, side })
    }
}

/// A checked [`AlarmConfig`].
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    name: String,
    measurement: Name,
    limit: f64,
    clear: f64,
    side: Side,
}

/// Which side of the limit is the bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

impl Side {
    fn is_raised_by(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }

    fn is_cleared_by(self, value: f64, clear: f64) -> bool {
        match self {
            Self::Above => value <= clear,
            Self::Below => value >= clear,
        }
    }
}

/// What has become of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It was raised.
    Raised,
    /// It was cleared.
    Cleared,
}

impl State {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Raised, Self::Cleared];

    /// The word in an alarm's payload.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Cleared => "cleared",
        }
    }
}

/// An alarm that was raised or cleared by a reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The alarm's name.
    pub alarm: String,
    /// What has become of it.
    pub state: State,
    /// The measurement.
    pub measurement: String,
    /// Its value.
    pub value: f64,
    /// What it was compared with: the limit, or the value that clears.
    pub limit: f64,
}

/// All rules, and for which devices each is raised.
#[derive(Debug, Default)]
pub struct Watch {
    rules: Vec<Rule>,
    /// For the name of each rule's measurement, made once: they look at every payload.
    finders: Vec<Finder<'static>>,
    /// A bit a rule. A device without a raised alarm is not in it.
    raised: BTreeMap<DeviceId, u32>,
    devices_max: usize,
    /// Readings that should have raised an alarm of a device for which there was no room.
    passed_over: u64,
}

impl Watch {
    /// Nothing raised.
    ///
    /// # Errors
    /// The index of the first configuration that cannot be, and why.
    pub fn new(configs: &[AlarmConfig], devices_max: usize) -> Result<Self, (usize, AlarmError)> {
        let rules = configs.iter().enumerate().map(|(i, config)| config.rule().map_err(|error| (i, error)));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let finder = |rule: &Rule| Finder::new(rule.measurement.as_str()).into_owned();
        let finders = rules.iter().map(finder).collect();
        Ok(Self { rules, finders, raised: BTreeMap::new(), devices_max, passed_over: 0 })
    }

    /// Whether a JSON object may hold a measurement that a rule is about: its names stand in its text, unless it has
    /// escapes. Much cheaper than to read it.
    #[must_use]
    pub fn may_concern(&self, object: &[u8]) -> bool {
        self.finders.iter().any(|finder| finder.find(object).is_some()) || memchr(b'\\', object).is_some()
    }

    /// Looks at a reading of `device`; what it raises and clears goes to `changes`.
    pub fn look(&mut self, device: &DeviceId, reading: &Reading, changes: &mut Vec<Change>) {
        let before = self.raised.get(device).copied().unwrap_or(0);
        let mut raised = before;
        let has_room = before != 0 || self.raised.len() < self.devices_max;
        for (rule, bit) in self.rules.iter().zip(bits()) {
            let Some(measurement) = reading.get(rule.measurement.as_str()) else { continue };
            let Value::Number(value) = measurement.value else { continue };
            let state = if raised & bit == 0 && rule.side.is_raised_by(value, rule.limit) {
                State::Raised
            } else if raised & bit != 0 && rule.side.is_cleared_by(value, rule.clear) {
                State::Cleared
            } else {
                continue;
            };
            if !has_room {
                self.passed_over += 1;
                continue;
            }
            raised ^= bit;
            let limit = if state == State::Raised { rule.limit } else { rule.clear };
            let (alarm, measurement) = (rule.name.clone(), rule.measurement.as_str().to_owned());
            changes.push(Change { alarm, state, measurement, value, limit });
        }
        if raised != before {
            self.keep(device, raised);
        }
    }

    fn keep(&mut self, device: &DeviceId, raised: u32) {
        if raised == 0 {
            self.raised.remove(device);
        } else {
            self.raised.insert(device.clone(), raised);
        }
    }

    /// Takes up an alarm that was raised before; false when there is no such rule, or no room.
    pub fn restore(&mut self, device: &DeviceId, alarm: &str) -> bool {
        let found = self.rules.iter().zip(bits()).find(|(rule, _)| rule.name == alarm);
        let before = self.raised.get(device).copied().unwrap_or(0);
        match found {
            Some((_, bit)) if before != 0 || self.raised.len() < self.devices_max => {
                self.keep(device, before | bit);
                true
            }
            _ => false,
        }
    }

    /// Takes back an alarm that somebody else has cleared.
    pub fn take_back(&mut self, device: &DeviceId, alarm: &str) {
        let found = self.rules.iter().zip(bits()).find(|(rule, _)| rule.name == alarm);
        if let (Some((_, bit)), Some(raised)) = (found, self.raised.get(device).copied()) {
            self.keep(device, raised & !bit);
        }
    }

    /// What is raised: device and alarm, by the name of the device.
    pub fn raised(&self) -> impl Iterator<Item = (&DeviceId, &str)> {
        self.raised.iter().flat_map(|(device, raised)| {
            let of_device = self.rules.iter().zip(bits()).filter(move |(_, bit)| raised & bit != 0);
            of_device.map(move |(rule, _)| (device, rule.name.as_str()))
        })
    }

    /// Readings that should have raised an alarm of a device for which there was no room.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }
}

fn bits() -> impl Iterator<Item = u32> {
    (0..).map_while(|shift| 1_u32.checked_shl(shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    fn reading(name: &str, value: f64) -> Reading {
        let mut reading = Reading::new();
        reading.push(Name::new(name).unwrap(), Value::Number(value)).unwrap();
        reading
    }

    fn watch(configs: &[AlarmConfig]) -> Watch {
        Watch::new(configs, RAISED_DEVICES_MAX).unwrap()
    }

    #[test]
    fn an_object_that_cannot_concern_a_rule_need_not_be_read() {
        let watch = watch(&[AlarmConfig::temperature_high()]);
        assert!(watch.may_concern(br#"{"a":1,"temperature":40}"#));
        assert!(watch.may_concern(br#"{"temper\u0061ture":40}"#), "an escape may stand for any letter");
        assert!(!watch.may_concern(br#"{"humidity":40,"temperatur":40}"#));
    }

    #[test]
    fn what_others_have_raised_and_cleared_is_taken_up() {
        let mut watch = watch(&[AlarmConfig::temperature_high()]);
        assert!(watch.restore(&device("a"), "temperature_high"));
        assert_eq!(course(&mut watch, "temperature", &[40.0, 30.0, 40.0]), ".-+");
        watch.take_back(&device("a"), "another");
        watch.take_back(&device("b"), "temperature_high");
        assert_eq!(watch.raised().count(), 1);
        watch.take_back(&device("a"), "temperature_high");
        assert_eq!(watch.raised().count(), 0);
        assert_eq!(course(&mut watch, "temperature", &[30.0, 40.0]), ".+");
    }

    /// What each value in turn does: `+`, `-`, or nothing.
    fn course(watch: &mut Watch, name: &str, values: &[f64]) -> String {
        let mut course = String::new();
        for value in values {
            let mut changes = Vec::new();
            watch.look(&device("a"), &reading(name, *value), &mut changes);
            assert!(changes.len() <= 1 && changes.iter().all(|change| change.value == *value));
            course.push(match changes.first().map(|change| change.state) {
                Some(State::Raised) => '+',
                Some(State::Cleared) => '-',
                None => '.',
            });
        }
        course
    }

    #[test]
    fn the_default_is_raised_above_35_and_cleared_at_33() {
        let mut watch = watch(&[AlarmConfig::temperature_high()]);
        let values = [35.0, 35.01, 36.12, 35.0, 33.01, 35.5, 33.0, 20.0, 35.0, 99.0, -5.0];
        assert_eq!(course(&mut watch, "temperature", &values), ".+....-..+-");
        assert_eq!(course(&mut watch, "humidity", &[99.0]), ".");
    }

    #[test]
    fn a_rule_may_look_below_and_have_no_hysteresis() {
        let mut config = AlarmConfig { above: None, below: Some(4.0), ..AlarmConfig::temperature_high() };
        config.clear = Some(6.0);
        assert_eq!(course(&mut watch(&[config.clone()]), "temperature", &[4.0, 3.9, 5.9, 6.0]), ".+.-");
        config.clear = None;
        assert_eq!(course(&mut watch(&[config]), "temperature", &[4.0, 3.9, 4.0, 3.0, 5.0]), ".+-+-");
    }

    #[test]
    fn two_rules_on_one_measurement_are_two_alarms_and_devices_have_their_own() {
        let hot = AlarmConfig {
            name: "hot".into(),
            above: Some(50.0),
            clear: None,
            ..AlarmConfig::temperature_high()
        };
        let mut watch = watch(&[AlarmConfig::temperature_high(), hot]);
        let mut changes = Vec::new();
        watch.look(&device("a"), &reading("temperature", 60.0), &mut changes);
        watch.look(&device("b"), &reading("temperature", 40.0), &mut changes);
        watch.look(&device("a"), &reading("temperature", 40.0), &mut changes);
        let said: Vec<_> = changes.iter().map(|change| (change.alarm.as_str(), change.state)).collect();
        use State::{Cleared, Raised};
        let high = "temperature_high";
        assert_eq!(said, [(high, Raised), ("hot", Raised), (high, Raised), ("hot", Cleared)]);
        let raised: Vec<_> = watch.raised().map(|(device, alarm)| (device.as_str(), alarm)).collect();
        assert_eq!(raised, [("a", high), ("b", high)]);
    }

    #[test]
    fn words_and_flags_raise_nothing() {
        let mut watch = watch(&[AlarmConfig::temperature_high()]);
        let mut reading = Reading::new();
        reading.push(Name::new("temperature").unwrap(), Value::text("hot").unwrap()).unwrap();
        let mut changes = Vec::new();
        watch.look(&device("a"), &reading, &mut changes);
        assert_eq!(changes, []);
    }

    #[test]
    fn a_device_beyond_the_limit_is_told_of_when_there_is_room() {
        let mut watch = Watch::new(&[AlarmConfig::temperature_high()], 1).unwrap();
        let mut changes = Vec::new();
        watch.look(&device("a"), &reading("temperature", 40.0), &mut changes);
        watch.look(&device("b"), &reading("temperature", 40.0), &mut changes);
        assert_eq!((changes.len(), watch.passed_over()), (1, 1));
        assert!(!watch.restore(&device("b"), "temperature_high"), "there is no room");
        watch.look(&device("a"), &reading("temperature", 20.0), &mut changes);
        watch.look(&device("b"), &reading("temperature", 40.0), &mut changes);
        assert_eq!(changes.len(), 3);
    }

    #[test]
    fn what_was_raised_before_is_taken_up_and_cleared() {
        let mut watch = watch(&[AlarmConfig::temperature_high()]);
        assert!(watch.restore(&device("a"), "temperature_high"));
        assert!(!watch.restore(&device("a"), "of another configuration"));
        assert_eq!(course(&mut watch, "temperature", &[40.0, 30.0]), ".-");
    }

    #[test]
    fn as_many_rules_as_there_may_be_have_each_a_bit() {
        let rule = |index| AlarmConfig { name: format!("rule_{index}"), ..AlarmConfig::temperature_high() };
        let mut watch = watch(&(0..RULES_MAX).map(rule).collect::<Vec<_>>());
        let mut changes = Vec::new();
        watch.look(&device("a"), &reading("temperature", 40.0), &mut changes);
        assert_eq!((changes.len(), watch.raised().count()), (RULES_MAX, RULES_MAX));
        watch.look(&device("a"), &reading("temperature", 30.0), &mut changes);
        assert_eq!((changes.len(), watch.raised().count()), (2 * RULES_MAX, 0));
    }

    #[test]
    fn rules_that_cannot_be_are_refused() {
        let wrong = |change: fn(&mut AlarmConfig)| {
            let mut config = AlarmConfig::temperature_high();
            change(&mut config);
            config.check().unwrap_err().key
        };
        assert_eq!(wrong(|c| c.name = "too hot".into()), "name");
        assert_eq!(wrong(|c| c.measurement = "not".into()), "measurement");
        assert_eq!(wrong(|c| c.below = Some(3.0)), "below");
        assert_eq!(wrong(|c| c.above = None), "name");
        assert_eq!(wrong(|c| c.above = Some(f64::NAN)), "above");
        assert_eq!(wrong(|c| c.clear = Some(35.1)), "clear");
        assert_eq!(wrong(|c| c.clear = Some(f64::NEG_INFINITY)), "clear");
    }
}

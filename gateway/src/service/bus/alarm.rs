//! Alarms from the bus: each reading on the wrong side of the limit is told at once, and to the bus go raise and clear.
//!
//! The topic of the alarms is the service's memory: before the first message of a queue that has come to it, at the
//! start too, it reads what was raised and cleared since it last looked, so that nothing is raised twice and no clear is
//! missed.

use std::time::Duration;

use serde_json::json;
use tidegate_protocol::{DeviceId, Reading, Value};
use tidegate_rocketmq::{
    Client, Encoded, NameServers, Producer, View,
    consumer::past::Past,
    producer::To,
    wire::{hash, message::MESSAGE_BYTES_DEFAULT, stored::Stored},
};

use super::{BusError, Counts, Plan, Received, Said, Service};
use crate::{
    clock::wall_ms,
    output::rocketmq::mapping::{property, unique_key},
    service::alarm::{AlarmConfig, AlarmError, Change, RAISED_DEVICES_MAX, State, Watch},
};

/// The topic that alarms go to, unless told otherwise.
pub const ALARM_TOPIC: &str = "iot-alarm";

/// Properties of an alarm on the bus: its name, and `raised` or `cleared`.
const ALARM: &str = "alarm";
const STATE: &str = "state";

/// The wait between two tries to send an alarm.
const AGAIN: Duration = Duration::from_secs(1);

/// Tells of each reading that breaks `rule`, and sends raise and clear to `topic`, until `stop` or `count_max`
/// messages.
///
/// # Errors
/// [`BusError`].
pub async fn run(
    plan: &Plan,
    alarms: Alarms,
    count_max: Option<u64>,
    stop: impl Future<Output = ()>,
    mut show: impl FnMut(Said) -> std::io::Result<()>,
) -> Result<Counts, BusError> {
    let client = Client::new(plan.options.clone());
    let name_servers = NameServers::new(client.clone(), &plan.url.name_servers);
    let producer = Producer::new(client.clone(), &plan.settings.group);
    let past = Past::default();
    let mut service =
        AlarmService { alarms, client, producer, name_servers, past, over: 0, raised: 0, cleared: 0 };
    super::run(plan, &mut service, count_max, stop, &mut show).await
}

/// The rule, and what it has found.
#[derive(Debug)]
pub struct Alarms {
    rule: AlarmConfig,
    watch: Watch,
    topic: String,
    json: bool,
}

impl Alarms {
    /// Nothing raised yet.
    ///
    /// # Errors
    /// The rule cannot be.
    pub fn new(rule: AlarmConfig, topic: &str, json: bool) -> Result<Self, AlarmError> {
        let watch =
            Watch::new(std::slice::from_ref(&rule), RAISED_DEVICES_MAX).map_err(|(_, error)| error)?;
        Ok(Self { rule, watch, topic: topic.to_owned(), json })
    }

    /// The value of a reading that is on the wrong side of the limit.
    fn over(&self, reading: &Reading) -> Option<f64> {
        let Value::Number(value) = reading.get(&self.rule.measurement)?.value else { return None };
        let is_over = self.rule.above.is_some_and(|limit| value > limit)
            || self.rule.below.is_some_and(|limit| value < limit);
        is_over.then_some(value)
    }
}

struct AlarmService {
    alarms: Alarms,
    client: Client,
    producer: Producer,
    name_servers: NameServers,
    /// How far the topic of the alarms was read.
    past: Past,
    over: u64,
    raised: u64,
    cleared: u64,
}

impl Service for AlarmService {
    async fn handle(&mut self, received: &Received) -> Result<Vec<Said>, String> {
        let Some(device) = &received.device else { return Ok(Vec::new()) };
        let mut said = Vec::new();
        for (index, reading) in received.readings.iter().enumerate() {
            let mut changes = Vec::new();
            self.alarms.watch.look(device, reading, &mut changes);
            let raised = changes.iter().any(|change| change.state == State::Raised);
            if let Some(value) = self.alarms.over(reading) {
                self.over += 1;
                said.push(Said::Line(self.line(
                    if raised { "raised" } else { "over" },
                    device,
                    value,
                    received,
                )));
            }
            for change in changes {
                // The rule has seen the reading: to fail here would lose the change.
                said.extend(self.send(device, &change, received, index).await);
                match change.state {
                    State::Raised => self.raised += 1,
                    State::Cleared => {
                        self.cleared += 1;
                        said.push(Said::Line(self.line("cleared", device, change.value, received)));
                    }
                }
            }
        }
        Ok(said)
    }

    async fn recall(&mut self) -> Result<(), String> {
        let Self { alarms: Alarms { watch, topic, .. }, client, name_servers, past, .. } = self;
        let read = past.read(client, name_servers, topic, |message| take_up(watch, message)).await;
        read.map_err(|error| {
            format!("what was raised before is not known, so it may be raised again: {topic}: {error}")
        })
    }

    fn summary(&self) -> String {
        let Self { over, raised, cleared, .. } = self;
        format!("{over} readings over the limit, {raised} alarms raised, {cleared} cleared")
    }

    fn lag(&self, messages: u64, queues: usize) -> Said {
        if self.alarms.json {
            return Said::Line(json!({"lag": messages, "queues": queues}).to_string());
        }
        Said::Note(format!("lag {messages} messages in {queues} queues"))
    }
}

/// Takes up what an alarm on the bus says.
fn take_up(watch: &mut Watch, message: &Stored) {
    let device = message.property(property::DEVICE).and_then(|device| DeviceId::new(device).ok());
    let (Some(device), Some(alarm)) = (device, message.property(ALARM)) else { return };
    match message.property(STATE) {
        // One for which there is no room is raised again with its next reading.
        Some(state) if state == State::Raised.as_str() => drop(watch.restore(&device, alarm)),
        Some(state) if state == State::Cleared.as_str() => watch.take_back(&device, alarm),
        _ => {}
    }
}

impl AlarmService {
    /// `ALARM    sensor_1  temperature 36.12`: at the first one it says `RAISED`, and `CLEARED` when it is over.
    fn line(&self, state: &str, device: &DeviceId, value: f64, received: &Received) -> String {
        let Alarms { rule: AlarmConfig { name, measurement, .. }, json, .. } = &self.alarms;
        if *json {
            let uid = received.uid.as_deref();
            return json!({
                "state": state, "alarm": name, "device": device.as_str(), "measurement": measurement,
                "value": value, "uid": uid, "ts": received.ts.or(received.ts_gw),
            })
            .to_string();
        }
        let word = match state {
            "raised" => "RAISED",
            "cleared" => "CLEARED",
            _ => "ALARM",
        };
        format!("{word:<8} {device:<16} {measurement} {value}", device = device.as_str())
    }

    /// Sends an alarm, however often it takes; what stood in the way.
    async fn send(
        &self,
        device: &DeviceId,
        change: &Change,
        received: &Received,
        index: usize,
    ) -> Option<Said> {
        let Change { alarm, state, measurement, value, limit } = change;
        let state = state.as_str();
        let cause = received.uid.clone().unwrap_or_else(|| format!("{}/{}", received.queue, received.offset));
        let uid = format!("{cause}/{index}/{alarm}/{state}");
        let body = json!({
            "uid": uid, "device": device.as_str(), "alarm": alarm, "state": state, "measurement": measurement,
            "value": value, "limit": limit, "cause": cause, "ts": received.ts.or(received.ts_gw),
        })
        .to_string();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let properties = [
            own(property::UID, &uid),
            own(property::DEVICE, device.as_str()),
            own(ALARM, alarm),
            own(STATE, state),
            own("value", &Value::Number(*value).to_string()),
        ];
        let (topic, device) = (self.alarms.topic.as_str(), device.as_str());
        let id = unique_key(&uid);
        let view = View {
            topic,
            key: device,
            tag: state,
            id: &id,
            sharding_key: device,
            properties: &properties,
            body: body.as_bytes(),
        };
        let message = match Encoded::new(&view, MESSAGE_BYTES_DEFAULT) {
            Ok(message) => message,
            Err(error) => return Some(Said::Note(format!("an alarm cannot be sent: {error}"))),
        };
        let mut first = None;
        while let Err(why) = self.try_send(device, &message).await {
            first.get_or_insert(why);
            tokio::time::sleep(AGAIN).await;
        }
        first.map(|why| Said::Note(format!("an alarm had to wait: {why}")))
    }

    async fn try_send(&self, device: &str, message: &Encoded) -> Result<(), String> {
        let topic = &self.alarms.topic;
        let (route, _) = self.name_servers.route_to_send(topic).await.map_err(|error| error.to_string())?;
        let queues = route.write_queues();
        let place = hash::place(hash::java_hash(device), queues.len());
        let missing = || format!("no broker takes messages of topic {topic}");
        let queue = queues.get(place).ok_or_else(missing)?;
        let address = route.master(&queue.broker).ok_or_else(missing)?;
        let to = To { address, topic, queue_id: queue.id, born_ms: wall_ms() };
        self.producer.send(&to, message).await.map(drop).map_err(|error| error.to_string())
    }
}

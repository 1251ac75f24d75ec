//! The live view: each reading once, as it comes.

use std::fmt::Write as _;

use serde_json::json;
use tidegate_protocol::Value;

use super::{BusError, Counts, Plan, Received, Said, Service};
use crate::clock::wall_ms;

/// Shows each reading as one line, and how far the group is behind, until `stop` or `count_max` messages.
///
/// # Errors
/// [`BusError`].
pub async fn run(
    plan: &Plan,
    json: bool,
    count_max: Option<u64>,
    stop: impl Future<Output = ()>,
    mut show: impl FnMut(Said) -> std::io::Result<()>,
) -> Result<Counts, BusError> {
    let mut monitor = Monitor { json, shown: 0 };
    super::run(plan, &mut monitor, count_max, stop, &mut show).await
}

struct Monitor {
    json: bool,
    shown: u64,
}

impl Service for Monitor {
    async fn handle(&mut self, received: &Received) -> Result<Vec<Said>, String> {
        self.shown += 1;
        let line = if self.json { json_line(received, wall_ms()) } else { line(received, wall_ms()) };
        Ok(vec![Said::Line(line)])
    }

    fn summary(&self) -> String {
        format!("{} messages shown", self.shown)
    }

    fn lag(&self, messages: u64, queues: usize) -> Said {
        if self.json {
            return Said::Line(json!({"lag": messages, "queues": queues}).to_string());
        }
        Said::Note(format!("lag {messages} messages in {queues} queues"))
    }
}

/// `sensor_1  temperature 36.12  (iot-topic, 12 ms)`: the time is that since the device, or else the gateway, had it.
fn line(received: &Received, now_ms: u64) -> String {
    let device = received.device.as_ref().map_or("-", |device| device.as_str());
    let mut line = format!("{device:<16}");
    for (index, reading) in received.readings.iter().enumerate() {
        if index > 0 {
            line.push(';');
        }
        for (number, measurement) in reading.measurements.iter().enumerate() {
            let before = if number == 0 { " " } else { ", " };
            // Writing into a String does not fail.
            let _infallible = write!(line, "{before}{} {}", measurement.name, measurement.value);
        }
    }
    if received.readings.is_empty() {
        let start: String = received.body.chars().take(80).filter(|c| !c.is_control()).collect();
        let _infallible = write!(line, " {start}");
    }
    let since = received.ts.or(received.ts_gw).unwrap_or(received.born_ms);
    let _infallible =
        write!(line, "   ({}, {} ms)", received.tag.as_deref().unwrap_or("-"), now_ms.saturating_sub(since));
    line
}

fn json_line(received: &Received, now_ms: u64) -> String {
    let value = |value: &Value| match value {
        Value::Number(number) => json!(number),
        Value::Boolean(boolean) => json!(boolean),
        Value::Text(text) => json!(text.as_str()),
    };
    let readings: Vec<_> = received
        .readings
        .iter()
        .map(|reading| {
            let values = reading.measurements.iter().map(|m| (m.name.as_str().to_owned(), value(&m.value)));
            serde_json::Value::Object(values.collect())
        })
        .collect();
    let properties = received.properties.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "topic": received.topic,
        "tag": received.tag,
        "uid": received.uid,
        "device": received.device.as_ref().map(|device| device.as_str()),
        "readings": readings,
        "ts": received.ts,
        "ts_gw": received.ts_gw,
        "born_ms": received.born_ms,
        "stored_ms": received.stored_ms,
        "received_ms": now_ms,
        "queue": received.queue,
        "offset": received.offset,
        "properties": serde_json::Value::Object(properties),
        "body": received.body,
    })
    .to_string()
}

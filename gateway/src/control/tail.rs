use std::{fmt::Write as _, io, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tidegate_protocol::{DeviceId, Measurement, Reading, Value};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::unix::OwnedWriteHalf,
};

use super::{Answer, Services, Shown, TailRequest, server::send};
use crate::{
    normalise::{Content, Input, Routes},
    spool::{Kind, Lane, ReadError, Reader, Record, Spool},
};

/// Bytes of records that one look takes.
const TURN_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a payload in no known shape that are shown.
const SHOWN_BYTES_MAX: usize = 48;
/// How often a tail that is caught up looks again: often enough for eyes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Durable records as people see them, in order by lane.
pub struct Tail {
    routes: Arc<ArcSwap<Routes>>,
    request: TailRequest,
    readers: [Reader; 2],
}

impl Tail {
    /// Begins where `request` says.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn new(
        spool: &Spool,
        routes: &Arc<ArcSwap<Routes>>,
        request: TailRequest,
    ) -> Result<Self, ReadError> {
        let durable = spool.watermark().durable();
        let begin = |lane| {
            let offset = match request.from_ms {
                Some(from_ms) => spool.offset_at(lane, from_ms)?,
                None => durable.end(lane),
            };
            Ok(spool.reader(lane, offset))
        };
        let [event, telemetry] = Lane::ALL;
        Ok(Self { readers: [begin(event)?, begin(telemetry)?], routes: Arc::clone(routes), request })
    }

    /// What has become durable since the last look; `None` when there was nothing at all.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn look(&mut self) -> Result<Option<Vec<Shown>>, ReadError> {
        let (mut shown, mut any) = (Vec::new(), false);
        for reader in &mut self.readers {
            let batch = reader.next_batch(TURN_BYTES_MAX)?;
            any |= !batch.is_empty();
            let routes = self.routes.load();
            let wanted = batch.records().filter(|record| self.request.wants(record));
            shown.extend(wanted.flat_map(|record| show(&routes, &record)));
        }
        Ok(any.then_some(shown))
    }
}

impl TailRequest {
    fn wants(&self, record: &Record<'_>) -> bool {
        let device = self.device.as_ref().is_none_or(|device| device == record.envelope.device);
        let lane = self.lane.as_ref().is_none_or(|lane| lane == record.position.lane.as_str());
        device && lane
    }
}

/// Answers a tail until the asker hangs up.
pub(super) async fn stream(
    request: TailRequest,
    services: &Services,
    asker: &mut (impl AsyncRead + Unpin),
    write: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let spool = services.shared.pipeline.spool();
    let mut tail = match Tail::new(spool, &services.routes, request) {
        Ok(tail) => tail,
        Err(error) => return send(write, &Answer::Error(error.to_string())).await,
    };
    loop {
        match tail.look() {
            Ok(Some(shown)) => {
                for shown in shown {
                    send(write, &Answer::Reading(Box::new(shown))).await?;
                }
                // Whoever looks for little in much does not keep the others waiting.
                tokio::task::yield_now().await;
            }
            Ok(None) => {
                let mut byte = [0];
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    _hung_up = asker.read(&mut byte) => return Ok(()),
                }
            }
            Err(error) => return send(write, &Answer::Error(error.to_string())).await,
        }
    }
}

/// One line a reading; one for what has no readings.
fn show(routes: &Routes, record: &Record<'_>) -> Vec<Shown> {
    let envelope = &record.envelope;
    let line = |device: &str, topic: &str, values: String, number| Shown {
        lane: record.position.lane.to_string(),
        offset: record.position.offset,
        device: device.to_owned(),
        protocol: envelope.protocol.as_str().to_owned(),
        topic: topic.to_owned(),
        ts_gw: envelope.ts_gw,
        values,
        number,
    };
    let plain = |values| vec![line(envelope.device, envelope.topic, values, None)];
    match envelope.kind {
        Kind::Message => {}
        Kind::Reject => return plain(format!("rejected {}", excerpt(record.payload))),
        Kind::Gap => return plain("gap: records were dropped here".to_owned()),
        Kind::Session | Kind::Command | Kind::Lifecycle => return Vec::new(),
    }
    let Ok(device) = DeviceId::new(envelope.device) else { return plain(excerpt(record.payload)) };
    let input = Input {
        device: &device,
        topic: envelope.topic,
        payload: record.payload,
        content_type: envelope.content_type,
        ts_gw: envelope.ts_gw,
    };
    match routes.normalise(&input) {
        Ok(message) => match &message.content {
            Content::Readings(readings) => readings
                .iter()
                .map(|reading| {
                    line(message.device.as_str(), &message.topic, values(reading), first_number(reading))
                })
                .collect(),
            Content::Raw => {
                vec![line(message.device.as_str(), &message.topic, excerpt(record.payload), None)]
            }
        },
        Err(_) => plain(excerpt(record.payload)),
    }
}

/// `temperature 36.12, door open`.
fn values(reading: &Reading) -> String {
    let mut text = String::new();
    for measurement in &reading.measurements {
        if !text.is_empty() {
            text.push_str(", ");
        }
        push_measurement(&mut text, measurement);
    }
    text
}

fn push_measurement(text: &mut String, measurement: &Measurement) {
    text.push_str(measurement.name.as_str());
    text.push(' ');
    // Writing into a String does not fail.
    let _infallible = match &measurement.value {
        Value::Number(number) => write!(text, "{number}"),
        Value::Boolean(flag) => write!(text, "{flag}"),
        Value::Text(word) => write!(text, "{}", word.escape_debug()),
    };
    if let Some(unit) = &measurement.unit {
        text.push(' ');
        text.push_str(unit);
    }
}

fn first_number(reading: &Reading) -> Option<f64> {
    reading.measurements.iter().find_map(|measurement| measurement.value.as_number())
}

/// The beginning of a payload, safe for a terminal.
fn excerpt(payload: &[u8]) -> String {
    let kept = payload.get(..SHOWN_BYTES_MAX).unwrap_or(payload);
    let dots = if kept.len() < payload.len() { "…" } else { "" };
    let text = String::from_utf8_lossy(kept).escape_debug().to_string();
    format!("{text}{dots} ({} bytes)", payload.len())
}

use std::{fmt::Write as _, io, sync::Arc, thread, time::Duration};

use arc_swap::ArcSwap;
use tidegate_protocol::{DeviceId, Measurement, Reading, Value};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::unix::OwnedWriteHalf,
    sync::mpsc,
};

use super::{Answer, Services, Shown, TailRequest, server::send};
use crate::{
    core::{self, Follower},
    normalise::{Content, Input, Routes},
    service::alarm::Alarm,
    spool::{Kind, PerLane, Record},
};

/// Batches that wait for who looks; the thread waits while there is no room.
const BATCHES_MAX: usize = 16;
/// Bytes of a payload in no known shape that are shown.
const SHOWN_BYTES_MAX: usize = 48;
/// How long a tail without anything to show takes to notice that nobody looks any more.
const LOOK: Duration = Duration::from_millis(200);

/// Durable records as people see them, in order by lane, as they come through the core.
pub struct Tail {
    shown: mpsc::Receiver<Result<Vec<Shown>, String>>,
}

impl Tail {
    /// Begins where `request` says. A thread follows until this is dropped.
    ///
    /// # Errors
    /// The spool cannot be read, or no thread be started.
    pub fn start(
        core: &core::Handle,
        routes: &Arc<ArcSwap<Routes>>,
        request: TailRequest,
    ) -> io::Result<Self> {
        let spool = core.spool();
        let durable = spool.watermark().durable();
        let mut from = PerLane::new(|lane| durable.end(lane));
        if let Some(from_ms) = request.from_ms {
            for lane in tidegate_protocol::Lane::ALL {
                *from.of_mut(lane) = spool.offset_at(lane, from_ms).map_err(io::Error::other)?;
            }
        }
        let follower = core.follow(from);
        let (sender, shown) = mpsc::channel(BATCHES_MAX);
        let routes = Arc::clone(routes);
        let run = move || follow(follower, &routes, &request, &sender);
        thread::Builder::new().name("tail".to_owned()).spawn(run)?;
        Ok(Self { shown })
    }

    /// What has become durable; `None` when there is nothing new.
    pub fn look(&mut self) -> Option<Vec<Shown>> {
        self.shown.try_recv().ok()?.ok()
    }

    /// What becomes durable next.
    async fn next(&mut self) -> Result<Vec<Shown>, String> {
        self.shown.recv().await.unwrap_or_else(|| Err("the tail has ended".to_owned()))
    }
}

fn follow(
    mut follower: Follower,
    routes: &ArcSwap<Routes>,
    request: &TailRequest,
    sender: &mpsc::Sender<Result<Vec<Shown>, String>>,
) {
    while !sender.is_closed() {
        let routes = routes.load();
        let mut shown = Vec::new();
        let looked = follower.look(LOOK, &mut |record| {
            if request.wants(record) {
                shown.extend(show(&routes, record));
            }
        });
        let answer = match looked {
            Ok(_) if shown.is_empty() => continue,
            Ok(_) => Ok(shown),
            Err(error) => Err(error.to_string()),
        };
        let is_over = answer.is_err();
        if sender.blocking_send(answer).is_err() || is_over {
            return;
        }
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
    let mut tail = match Tail::start(&services.core, &services.routes, request) {
        Ok(tail) => tail,
        Err(error) => return send(write, &Answer::Error(error.to_string())).await,
    };
    let mut byte = [0];
    loop {
        let shown = tokio::select! {
            shown = tail.next() => shown,
            _hung_up = asker.read(&mut byte) => return Ok(()),
        };
        match shown {
            Ok(shown) => {
                for shown in shown {
                    send(write, &Answer::Reading(Box::new(shown))).await?;
                }
                // Whoever looks for little in much does not keep the others waiting.
                tokio::task::yield_now().await;
            }
            Err(error) => return send(write, &Answer::Error(error)).await,
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
        alarm: None,
    };
    let plain = |values| vec![line(envelope.device, envelope.topic, values, None)];
    if let Some(alarm) = Alarm::read(record) {
        let Alarm { alarm: name, state, measurement, value, .. } = &alarm;
        let values = format!("ALARM {name} {state}: {measurement} {value}");
        let line = line(envelope.device, envelope.topic, values, None);
        return vec![Shown { alarm: Some(alarm), ..line }];
    }
    match envelope.kind {
        Kind::Message => {}
        Kind::Reject => return plain(format!("rejected {}", excerpt(record.payload))),
        Kind::Gap => return plain("gap: records were dropped here".to_owned()),
        Kind::Session | Kind::Command | Kind::Lifecycle => return Vec::new(),
    }
    let Ok(device) = DeviceId::new(envelope.device) else { return plain(excerpt(record.payload)) };
    match routes.normalise(&Input::of_record(record, &device)) {
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

#[cfg(test)]
mod tests {
    use tidegate_protocol::Lane;

    use super::*;
    use crate::core::tests::Fixture;

    #[test]
    fn one_who_does_not_look_gets_all_of_it_later_and_in_order() {
        let fixture = Fixture::new(core::Config::default());
        let routes = Arc::new(ArcSwap::from_pointee(Routes::default()));
        let mut tail = Tail::start(&fixture.core.handle(), &routes, TailRequest::default()).unwrap();
        let count = u64::try_from(3 * BATCHES_MAX).unwrap();
        for number in 0..count {
            fixture.append(Lane::Telemetry, "a", "telemetry", &number.to_string());
            fixture.spool.drain().unwrap();
            thread::sleep(Duration::from_millis(25));
        }
        assert_eq!(tail.shown.len(), BATCHES_MAX, "the thread waits for room");
        let mut offsets = Vec::new();
        for _ in 0..1_000 {
            if let Some(shown) = tail.look() {
                offsets.extend(shown.iter().map(|shown| shown.offset));
            } else if offsets.len() < 3 * BATCHES_MAX {
                thread::sleep(Duration::from_millis(10));
            }
        }
        assert_eq!(offsets, (0..count).collect::<Vec<_>>());
    }
}

//! What the gateway's output sends to a RocketMQ, read as nobody's member.

use std::{fs, io, time::SystemTime};

use tidegate_rocketmq::{
    Client, Credentials, NameServers, Options,
    consumer::{Start, reader::Reader},
    tls::{Files, Tls},
    wire::stored::Stored,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Begin, arrivals::Arrivals, line::Numbered};
use crate::{
    BusSource,
    latency::{Latencies, LatencyMs},
    value,
};

/// Messages that wait for the next look: more than a second's, at 50,000 a second.
const MESSAGES_MAX: usize = 65_536;

/// Messages from a bus, with the time at which each arrived.
#[derive(Debug)]
pub(super) struct Bus {
    arrived: mpsc::Receiver<(Stored, u64)>,
    reading: JoinHandle<()>,
    end_to_end: Latencies,
    since_due: Latencies,
}

impl Bus {
    pub(super) async fn open(source: &BusSource, begin: Begin) -> io::Result<Self> {
        let client = Client::new(options(source)?);
        let name_servers = NameServers::new(client.clone(), &source.name_servers);
        let start = if begin == Begin::Newest { Start::Last } else { Start::First };
        let opened = Reader::open(&client, &name_servers, &source.topics, start, MESSAGES_MAX).await;
        let mut reader = opened.map_err(io::Error::other)?;
        let (sender, arrived) = mpsc::channel(MESSAGES_MAX);
        let reading = tokio::spawn(async move {
            while let Some(message) = reader.next().await {
                if sender.send((message, now_us())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { arrived, reading, end_to_end: Latencies::new(), since_due: Latencies::new() })
    }

    /// Takes what has come since the last time.
    pub(super) fn poll(&mut self, arrivals: &mut Arrivals) {
        while let Ok((message, at_us)) = self.arrived.try_recv() {
            match numbered(&message) {
                Some(reading) if arrivals.handle_reading(&reading) => {
                    self.note_latency(&message, at_us, arrivals.elapsed_us(&reading, at_us));
                }
                None if matches!(message.tag(), Some("gap" | "lost")) => arrivals.note_gap(),
                _ => {}
            }
        }
    }

    fn note_latency(&mut self, message: &Stored, at_us: u64, elapsed_us: Option<u64>) {
        let ts: Option<u64> = message.property("tg_ts").and_then(|ts| ts.parse().ok());
        let since_due_us = ts.map(|ts| at_us.saturating_sub(ts.saturating_mul(1_000)));
        if let Some(us) = since_due_us {
            self.since_due.record(us);
        }
        if let Some(us) = elapsed_us.or(since_due_us) {
            self.end_to_end.record(us);
        }
    }

    pub(super) fn end_to_end(&self) -> Option<LatencyMs> {
        (!self.end_to_end.is_empty()).then(|| self.end_to_end.summary())
    }

    pub(super) fn since_due(&self) -> Option<LatencyMs> {
        (!self.since_due.is_empty()).then(|| self.since_due.summary())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn options(source: &BusSource) -> io::Result<Options> {
    let credentials = match (&source.access_key, &source.secret_file) {
        (None, None) => None,
        (Some(access_key), Some(file)) => Some(Credentials {
            access_key: access_key.clone(),
            secret_key: fs::read_to_string(file)?.trim().to_owned(),
            security_token: None,
        }),
        (Some(_), None) => {
            return Err(io::Error::other("the user's secret is missing: --audit-secret-file FILE"));
        }
        (None, Some(_)) => {
            return Err(io::Error::other("whose secret it is is missing: rocketmq://ACCESS_KEY@HOST:PORT"));
        }
    };
    let files = source.ca_file.clone().map(|ca| Files { ca, own: None, server_name: None });
    let tls = files.map(|files| Tls::load(&files)).transpose().map_err(io::Error::other)?;
    Ok(Options { credentials, tls, ..Options::default() })
}

/// A reading that its device has numbered.
fn numbered(message: &Stored) -> Option<Numbered<'_>> {
    let number = |name: &str| message.property(name);
    Some(Numbered {
        device: message.property("tg_dev")?.into(),
        uid: message.property("uid").map(Into::into),
        boot: number("tg_boot")?.parse().ok()?,
        sequence: number("tg_seq")?.parse().ok()?,
        celsius: message.property(value::MEASUREMENT).and_then(|text| text.parse().ok()),
    })
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_micros().try_into().unwrap_or(u64::MAX)
}

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    Error, Target,
    mqtt::{Heard, Subscriber},
    payload::PAYLOAD_BYTES_MAX,
};

/// Takes what arrives at an MQTT server and writes it as the gateway's file output would, so that one audit does for
/// both.
#[derive(Debug)]
pub(super) struct Collector(JoinHandle<Result<(), Error>>);

impl Collector {
    /// Subscribes to `telemetry/DEVICE`; lines go to the folder `out`. Nothing is missed from the return on.
    pub(super) async fn start(server: &Target, out: &Path) -> Result<Self, Error> {
        let path = out.join("readings-00000001.jsonl");
        let file = File::create(&path).map_err(|error| wrong(&path, &error))?;
        let subscriber = Subscriber::new(server, "collector", "telemetry/+", PAYLOAD_BYTES_MAX);
        let (tell, told) = oneshot::channel();
        let mut collector = Self(tokio::spawn(collect(subscriber, file, path, tell)));
        // Without a word, the task has an error to tell.
        match told.await {
            Ok(()) => Ok(collector),
            Err(_) => Err(collector.failure().await),
        }
    }

    /// It is still there.
    pub(super) async fn check(&mut self) -> Result<(), Error> {
        if self.0.is_finished() { Err(self.failure().await) } else { Ok(()) }
    }

    async fn failure(&mut self) -> Error {
        match (&mut self.0).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => Error::Internal("the collector ended".into()),
            Err(error) => Error::Internal(error.to_string()),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn collect(
    mut subscriber: Subscriber,
    mut file: File,
    path: PathBuf,
    subscribed: oneshot::Sender<()>,
) -> Result<(), Error> {
    let mut subscribed = Some(subscribed);
    loop {
        let heard = subscriber.next().await;
        match heard.map_err(|failure| Error::Baseline(format!("the destination is gone: {failure}")))? {
            Heard::Subscribed => {
                // Nobody waits for a second time.
                let _unheard = subscribed.take().is_some_and(|tell| tell.send(()).is_err());
            }
            Heard::Message { topic, payload } => {
                let line = line(&topic, &payload);
                file.write_all(line.as_bytes()).map_err(|error| wrong(&path, &error))?;
            }
        }
    }
}

fn wrong(path: &Path, error: &io::Error) -> Error {
    Error::File { path: path.to_owned(), why: error.to_string() }
}

#[derive(Deserialize)]
struct Numbers {
    boot: u32,
    seq: u64,
}

/// A line of the gateway's file output for what came under `telemetry/DEVICE`. What is no reading stays what it is:
/// the audit counts it as unreadable.
fn line(topic: &str, payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let device = topic.strip_prefix("telemetry/").unwrap_or(topic);
    let members = text.trim_end().strip_prefix('{');
    match (serde_json::from_str::<Numbers>(&text), members) {
        (Ok(Numbers { boot, seq }), Some(members)) => {
            format!("{{\"uid\":\"{device}/{boot}/{seq}\",\"device\":\"{device}\",{members}\n")
        }
        _ => format!("{}\n", text.replace('\n', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_line_of_the_file_output() {
        let payload = br#"{"boot":7,"seq":42,"ts":1,"values":{"temperature":23.41}}   "#;
        let line = line("telemetry/virtual_3", payload);
        assert!(line.ends_with("}}\n"), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (value["uid"].as_str(), value["device"].as_str()),
            (Some("virtual_3/7/42"), Some("virtual_3"))
        );
        assert_eq!((value["seq"].as_u64(), value["values"]["temperature"].as_f64()), (Some(42), Some(23.41)));
    }

    #[test]
    fn what_is_no_reading_is_one_unreadable_line() {
        assert_eq!(line("telemetry/a", b"torn\n{"), "torn {\n");
    }
}

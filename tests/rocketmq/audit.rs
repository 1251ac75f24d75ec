//! What has arrived on the bus, against what the gateway acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tidegate_tests::{Delivered, Gateway, RocketMq, delivered, out_of_order, within};

/// What a comparison found.
#[derive(Debug, PartialEq, Eq)]
pub struct Audit {
    /// Acknowledged readings that are not on the bus.
    pub lost: usize,
    /// Readings that came behind a later one of the same device for the first time.
    pub out_of_order: usize,
    /// Messages beyond the first of a reading.
    pub duplicates: usize,
    /// Readings, each counted once.
    pub readings: usize,
}

/// A gateway that delivers to `bus`, beside its files; `words` are further lines of the output's configuration.
pub fn gateway_to(bus: &RocketMq, words: &str) -> Gateway {
    let mut gateway = Gateway::make();
    let output = format!(
        "[[output]]\ntype = \"rocketmq\"\nname_servers = [\"{}\"]\n{words}\n\n[[output]]\n",
        bus.name_server()
    );
    gateway.configure("[[output]]\n", &output);
    gateway
}

/// One field of the status of the output to the bus.
pub fn output_status(gateway: &Gateway, field: &str) -> Value {
    let status = gateway.status();
    let outputs = status["outputs"].as_array().expect("a list of outputs");
    let bus = outputs.iter().find(|output| output["name"] == "rocketmq").expect("the output to the bus");
    bus[field].clone()
}

/// Waits until the bus has confirmed all that the gateway holds; how long that took, and how many were waiting.
pub fn drained(gateway: &Gateway, time_max: Duration) -> (u64, Duration) {
    let start = Instant::now();
    let unsent = || output_status(gateway, "unsent").as_u64().expect("a count");
    let waiting = unsent();
    let done = within(time_max, || {
        // Each look starts a program.
        thread::sleep(Duration::from_millis(200));
        (unsent() == 0).then_some(())
    });
    let trouble = output_status(gateway, "trouble");
    assert!(done.is_some(), "{} records unsent after {time_max:?}: {trouble}", unsent());
    (waiting, start.elapsed())
}

/// Compares messages of the bus, in the order of their arrival, with what the gateway's file output holds, which is
/// all that it acknowledged.
pub fn audit(gateway: &Gateway, messages: &[Value]) -> Audit {
    let acknowledged = delivered(&gateway.out());
    let arrived = arrivals(messages);
    let set = |sequences: &Vec<u64>| sequences.iter().copied().collect::<BTreeSet<u64>>();
    let lost_of = |(device, sequences): (&String, &Vec<u64>)| {
        let have = arrived.get(device).map(set).unwrap_or_default();
        set(sequences).difference(&have).count()
    };
    let readings: usize = arrived.values().map(|sequences| set(sequences).len()).sum();
    let messages: usize = arrived.values().map(Vec::len).sum();
    Audit {
        lost: acknowledged.iter().map(lost_of).sum(),
        out_of_order: out_of_order(&arrived),
        duplicates: messages - readings,
        readings,
    }
}

/// Numbers of the readings by device. Messages without a number are the gateway's own.
fn arrivals(messages: &[Value]) -> Delivered {
    let mut arrived = Delivered::new();
    for message in messages {
        let properties = &message["properties"];
        if let (Some(device), Some(sequence)) = (properties["tg_dev"].as_str(), properties["tg_seq"].as_str())
        {
            let sequence = sequence.parse().expect("a number");
            arrived.entry(device.to_owned()).or_default().push(sequence);
        }
    }
    arrived
}

/// Every message of one `uid` has the same id, and no id has two of them.
pub fn assert_ids(messages: &[Value]) {
    let mut ids = BTreeMap::new();
    let mut uids = BTreeMap::new();
    for message in messages {
        let uid = message["properties"]["uid"].as_str().unwrap_or_else(|| panic!("no uid in {message}"));
        let id = message["id"].as_str().unwrap_or_else(|| panic!("no id in {message}"));
        assert_eq!(*ids.entry(uid).or_insert(id), id, "{message}");
        assert_eq!(*uids.entry(id).or_insert(uid), uid, "{message}");
    }
}

//! Answers that a real server cannot be made to give, from a scripted one.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::{Buf, Bytes};
use tempfile::TempDir;
use tidegate_protocol::DeviceId;
use tidegate_rocketmq::wire::{
    Command,
    code::{answer, request},
    property,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    normalise::Routes,
    spool::{ClockQuality, Envelope, Kind, Position, Protocol, Record, Uid},
};

/// What the broker does with a message request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Stores it.
    Store,
    /// Stores it and answers with this code all the same.
    StoreBut(i32),
    /// Does not store it and answers with this code.
    Refuse(i32, &'static str),
    /// Says nothing.
    Silence,
}

/// A name server and a broker in one.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What is done with the next requests; then everything is stored.
    script: VecDeque<Act>,
    /// Ids with this in them are illegal.
    illegal: Option<&'static str>,
    queues: u32,
    /// A topic that nobody knows.
    missing: Option<&'static str>,
    is_mute: bool,
    /// Queue and ids of each message, in the order they were stored.
    stored: Vec<(u32, String)>,
    requests: usize,
    batches: usize,
    greetings: usize,
}

impl Server {
    async fn start(queues: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { queues, ..State::default() }));
        let server = Self { address, state };
        let accepting = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(accepting.clone().serve(stream));
            }
        });
        server
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn script(&self, acts: &[Act]) {
        self.state().script.extend(acts);
    }

    fn stored(&self) -> Vec<(u32, String)> {
        self.state().stored.clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = BytesMut::new();
        loop {
            while let Some(command) = Command::decode_from(&mut bytes).unwrap() {
                if let Some(answer) = self.answer(&command) {
                    let mut out = BytesMut::new();
                    answer.encode_into(&mut out).unwrap();
                    stream.write_all(&out).await.unwrap();
                }
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }

    fn answer(&self, command: &Command) -> Option<Command> {
        let mut state = self.state();
        match command.code {
            request::GET_ROUTEINFO_BY_TOPIC
                if state.missing == command.field("topic") || command.field("topic") == Some("TBW102") =>
            {
                Some(command.answer(answer::TOPIC_NOT_EXIST))
            }
            request::GET_ROUTEINFO_BY_TOPIC => {
                let route = format!(
                    r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"{}"}},"brokerName":"b","cluster":"c"}}],"queueDatas":[{{"brokerName":"b","perm":6,"readQueueNums":{1},"writeQueueNums":{1}}}]}}"#,
                    self.address, state.queues
                );
                Some(command.answer(0).with_body(route))
            }
            request::HEART_BEAT => {
                state.greetings += 1;
                (!state.is_mute).then(|| command.answer(0))
            }
            _ => state.take(command),
        }
    }
}

impl State {
    fn take(&mut self, command: &Command) -> Option<Command> {
        self.requests += 1;
        let queue = command.number("e").unwrap();
        let is_batch = command.code == request::SEND_BATCH_MESSAGE;
        self.batches += usize::from(is_batch);
        let ids =
            if is_batch { batch_ids(command.body.clone()) } else { vec![id(command.field("i").unwrap())] };
        if self.is_mute {
            return None;
        }
        if let Some(illegal) = self.illegal
            && ids.iter().any(|id| id.contains(illegal))
        {
            return Some(command.answer(answer::MESSAGE_ILLEGAL));
        }
        let act = self.script.pop_front().unwrap_or(Act::Store);
        if matches!(act, Act::Store | Act::StoreBut(_)) {
            self.stored.extend(ids.into_iter().map(|id| (queue, id)));
        }
        match act {
            Act::Store => Some(command.answer(0).with("queueOffset", 0)),
            Act::StoreBut(code) => Some(command.answer(code)),
            Act::Refuse(code, remark) => {
                Some(Command { remark: Some(remark.to_owned()), ..command.answer(code) })
            }
            Act::Silence => None,
        }
    }
}

fn batch_ids(mut body: Bytes) -> Vec<String> {
    let mut ids = Vec::new();
    while !body.is_empty() {
        body.advance(16);
        let len = body.get_u32();
        body.advance(usize::try_from(len).unwrap());
        let len = body.get_u16();
        ids.push(id(str::from_utf8(&body.split_to(len.into())).unwrap()));
    }
    ids
}

/// The `uid`, which these tests know a message by.
fn id(properties: &str) -> String {
    property::parse(properties).find(|(name, _)| *name == "uid").unwrap().1.to_owned()
}

fn open(server: &Server, data: &TempDir, change: impl FnOnce(&mut RocketMqConfig)) -> RocketMqOutput {
    let mut config = RocketMqConfig {
        name_servers: vec![server.address.to_string()],
        timeout_ms: 300,
        ..RocketMqConfig::default()
    };
    change(&mut config);
    RocketMqOutput::open(&config, data.path(), Clock::start()).unwrap()
}

struct Batch(Vec<(DeviceId, String)>);

impl Batch {
    /// Numbers `from..to` of each device.
    fn of(devices: &[&str], from: u64, to: u64) -> Self {
        let reading = |number| format!(r#"{{"boot":1,"seq":{number},"values":{{"t":{number}.5}}}}"#);
        let of_number =
            |number| devices.iter().map(move |device| (DeviceId::new(device).unwrap(), reading(number)));
        Self((from..to).flat_map(of_number).collect())
    }

    /// As [`Batch::of`], for the topic of several values.
    fn of_two_values(devices: &[&str], from: u64, to: u64) -> Self {
        let mut batch = Self::of(devices, from, to);
        for (_, payload) in &mut batch.0 {
            *payload = payload.replace("}}", r#","u":1}}"#);
        }
        batch
    }

    async fn deliver(&self, output: &mut RocketMqOutput) -> Result<(), OutputError> {
        let envelope = |device| Envelope {
            kind: Kind::Message,
            device,
            uid: Uid::Gateway,
            topic: "telemetry",
            protocol: Protocol::Mqtt5,
            qos: 1,
            content_type: None,
            user_properties: Vec::new(),
            ts_dev: None,
            uptime_dev: None,
            ts_gw: 1,
            mono_gw: 1,
            boot_gw: 1,
            clock: ClockQuality::Unknown,
        };
        let position = Position { lane: Lane::Telemetry, offset: 0 };
        let records: Vec<_> = self
            .0
            .iter()
            .map(|(device, payload)| {
                let envelope = envelope(device.as_str());
                (Record { position, envelope, format: 0, payload: payload.as_bytes() }, device.clone())
            })
            .collect();
        let routes = Routes::default();
        output.deliver(Items { lane: Lane::Telemetry, routes: &routes, records: &records }, None).await
    }
}

/// Ids of `device` in the order they were stored, repetitions left out.
fn of_device(stored: &[(u32, String)], device: &str) -> Vec<u64> {
    let prefix = format!("{device}/1/");
    let mut seen = Vec::new();
    for number in stored.iter().filter_map(|(_, id)| id.strip_prefix(&prefix)?.parse::<u64>().ok()) {
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    seen
}

fn why(result: Result<(), OutputError>) -> String {
    match result {
        Err(OutputError::Holding { why, .. } | OutputError::Partly(why)) => why,
        other => panic!("{other:?}"),
    }
}

const DEVICES: &[&str] = &["a", "b", "c", "d", "e"];

#[tokio::test]
async fn all_of_a_device_goes_to_one_queue_in_order_and_in_batches() {
    let (server, data) = (Server::start(4).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |_| {});
    for round in 0..10 {
        Batch::of(DEVICES, round * 40, (round + 1) * 40).deliver(&mut output).await.unwrap();
    }
    output.confirm().await.unwrap();
    let stored = server.stored();
    assert_eq!(stored.len(), 2_000);
    for device in DEVICES {
        assert_eq!(of_device(&stored, device), (0..400).collect::<Vec<_>>());
        let queue = u32::try_from(hash::place(hash::java_hash(device), 4)).unwrap();
        let prefix = format!("{device}/");
        assert!(stored.iter().all(|(at, id)| !id.starts_with(&prefix) || *at == queue));
    }
    assert!(server.state().batches < 100, "{} requests for 2,000 messages", server.state().requests);
}

#[tokio::test]
async fn every_passing_answer_is_tried_again_and_nothing_is_lost_or_out_of_order() {
    let passing = [
        Act::StoreBut(answer::FLUSH_DISK_TIMEOUT),
        Act::StoreBut(answer::FLUSH_SLAVE_TIMEOUT),
        Act::StoreBut(answer::SLAVE_NOT_AVAILABLE),
        Act::Refuse(answer::SYSTEM_BUSY, "[PC_SYNCHRONIZED]broker busy"),
        Act::Refuse(answer::SYSTEM_ERROR, "in-sync replicas not enough"),
        Act::Refuse(answer::SERVICE_NOT_AVAILABLE, "the broker's disk is full"),
        Act::Refuse(answer::NO_PERMISSION, "no"),
        Act::Refuse(answer::TOPIC_NOT_EXIST, ""),
        Act::Refuse(answer::REQUEST_CODE_NOT_SUPPORTED, "batch"),
        Act::Refuse(-77, "what no server answers"),
        Act::Silence,
    ];
    for act in passing {
        let (server, data) = (Server::start(2).await, tempfile::tempdir().unwrap());
        let mut output = open(&server, &data, |_| {});
        server.script(&[Act::Store, act]);
        Batch::of(DEVICES, 0, 20).deliver(&mut output).await.unwrap();
        let why = why(output.confirm().await);
        let expected = match act {
            Act::StoreBut(code) => tidegate_rocketmq::wire::code::word(code),
            Act::Refuse(answer::TOPIC_NOT_EXIST, _) => "tidegate output check",
            Act::Refuse(answer::REQUEST_CODE_NOT_SUPPORTED, _) => "batch = false",
            Act::Refuse(_, remark) => remark,
            _ => "did not answer",
        };
        let is_of_topic = matches!(act, Act::Refuse(answer::NO_PERMISSION | answer::TOPIC_NOT_EXIST, _));
        assert!(why.contains(expected) && output.is_troubled() != is_of_topic, "{act:?}: {why}");
        // What comes in the meantime waits behind.
        let more = Batch::of(DEVICES, 20, 30);
        more.deliver(&mut output).await.unwrap();
        output.confirm().await.unwrap();
        assert!(!output.is_troubled());
        let stored = server.stored();
        for device in DEVICES {
            assert_eq!(of_device(&stored, device), (0..30).collect::<Vec<_>>(), "{act:?}");
        }
        let repeated = stored.len() > 150;
        assert_eq!(repeated, matches!(act, Act::StoreBut(_)), "{act:?}: {}", stored.len());
        assert_eq!(output.dead_letters(), 0);
    }
}

#[tokio::test]
async fn one_illegal_message_goes_to_the_dead_letters_and_the_rest_arrives() {
    for batch in [true, false] {
        let (server, data) = (Server::start(2).await, tempfile::tempdir().unwrap());
        server.state().illegal = Some("c/1/7");
        let mut output = open(&server, &data, |config| config.batch = batch);
        Batch::of(DEVICES, 0, 20).deliver(&mut output).await.unwrap();
        output.confirm().await.unwrap();
        let stored = server.stored();
        assert_eq!((stored.len(), output.dead_letters(), output.held), (99, 1, 0));
        let expected: Vec<u64> = (0..20).filter(|number| *number != 7).collect();
        assert_eq!(of_device(&stored, "c"), expected);
        let letters =
            std::fs::read_to_string(data.path().join("dead-letters/rocketmq-00000001.jsonl")).unwrap();
        let letter: serde_json::Value = serde_json::from_str(letters.trim()).unwrap();
        assert_eq!((&letter["key"], &letter["properties"]["uid"]), (&"c".into(), &"c/1/7".into()));
        assert!(letter["reason"].as_str().unwrap().contains("message illegal"), "{letter}");
        assert_eq!(server.state().batches == 0, !batch);
    }
}

#[tokio::test]
async fn what_is_too_large_for_the_cluster_is_not_even_sent() {
    let (server, data) = (Server::start(2).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |config| config.message_bytes_max = 1_024);
    let mut batch = Batch::of(&["a"], 0, 3);
    batch.0[1].1 = format!(r#"{{"boot":1,"seq":1,"values":{{"text":"{}"}}}}"#, "x".repeat(1_100));
    batch.deliver(&mut output).await.unwrap();
    output.confirm().await.unwrap();
    assert_eq!(of_device(&server.stored(), "a"), [0, 2]);
    assert_eq!(output.dead_letters(), 1);
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_stops_the_flow_until_it_can() {
    let (server, data) = (Server::start(1).await, tempfile::tempdir().unwrap());
    server.state().illegal = Some("a/1/3");
    let folder = data.path().join("dead-letters");
    std::fs::write(&folder, "in the way").unwrap();
    let mut output = open(&server, &data, |_| {});
    Batch::of(&["a"], 0, 6).deliver(&mut output).await.unwrap();
    assert!(why(output.confirm().await).contains("dead letter"));
    assert_eq!(of_device(&server.stored(), "a"), [0, 1, 2]);
    std::fs::remove_file(&folder).unwrap();
    output.confirm().await.unwrap();
    assert_eq!(of_device(&server.stored(), "a"), [0, 1, 2, 4, 5]);
    assert_eq!(output.dead_letters(), 1);
}

#[tokio::test]
async fn a_missing_topic_is_waited_for_and_the_others_go_on_until_too_much_waits() {
    let (server, data) = (Server::start(2).await, tempfile::tempdir().unwrap());
    server.state().missing = Some("iot-topic");
    let mut output = open(&server, &data, |config| config.in_flight_max = 40);
    let made = format!("mqadmin updateTopic -n {} -c DefaultCluster -t iot-topic", server.address);
    Batch::of(&["a"], 0, 5).deliver(&mut output).await.unwrap();
    let partly = output.confirm().await.unwrap_err();
    assert!(matches!(&partly, OutputError::Partly(why) if why.contains(&made)), "{partly}");
    // Those of another topic are confirmed, behind the ones that wait and in front of others that do.
    Batch::of_two_values(&["a", "b"], 100, 130).deliver(&mut output).await.unwrap();
    Batch::of(&["a"], 5, 40).deliver(&mut output).await.unwrap();
    assert!(matches!(output.confirm().await, Err(OutputError::Partly(_))));
    assert_eq!(of_device(&server.stored(), "b"), (100..130).collect::<Vec<_>>());
    assert_eq!((server.stored().len(), output.held), (60, 40));
    let full = Batch::of_two_values(&["b"], 130, 140).deliver(&mut output).await.unwrap_err();
    assert!(full.is_away() && full.to_string().contains("40 messages wait"), "{full}");
    assert_eq!(output.held, 40, "a refused delivery leaves nothing behind");
    server.state().missing = None;
    Batch::of_two_values(&["b"], 130, 140).deliver(&mut output).await.unwrap();
    output.confirm().await.unwrap();
    let of_topic: Vec<u64> = of_device(&server.stored(), "a").into_iter().filter(|n| *n < 100).collect();
    assert_eq!(of_topic, (0..40).collect::<Vec<_>>());
    assert_eq!(of_device(&server.stored(), "b"), (100..140).collect::<Vec<_>>());
    assert_eq!(server.stored().len(), 110, "nothing came twice");
}

#[tokio::test]
async fn a_broker_that_stands_still_is_greeted_and_not_filled_with_repetitions() {
    let (server, data) = (Server::start(2).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |_| {});
    Batch::of(DEVICES, 0, 5).deliver(&mut output).await.unwrap();
    output.confirm().await.unwrap();
    server.state().is_mute = true;
    Batch::of(DEVICES, 5, 10).deliver(&mut output).await.unwrap();
    for _ in 0..4 {
        assert!(why(output.confirm().await).contains("did not answer"));
    }
    let requests = server.state().requests;
    let greetings = server.state().greetings;
    assert!(greetings >= 3, "{greetings}");
    server.state().is_mute = false;
    output.confirm().await.unwrap();
    assert!(requests <= 4, "two queues were tried once, and no more: {requests}");
    for device in DEVICES {
        assert_eq!(of_device(&server.stored(), device), (0..10).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn more_queues_move_a_device_only_when_nothing_of_it_is_on_its_way() {
    let (server, data) = (Server::start(1).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |_| {});
    for round in 0..20 {
        if round == 10 {
            server.state().queues = 3;
            output.topics.values_mut().for_each(|way| way.route_due_ms = 0);
        }
        Batch::of(DEVICES, round * 30, (round + 1) * 30).deliver(&mut output).await.unwrap();
    }
    output.confirm().await.unwrap();
    let stored = server.stored();
    assert_eq!(stored.len(), 3_000);
    for device in DEVICES {
        assert_eq!(of_device(&stored, device), (0..600).collect::<Vec<_>>());
    }
    let queues: BTreeSet<u32> = stored.iter().map(|(queue, _)| *queue).collect();
    assert!(queues.len() > 1, "{queues:?}");
}

#[tokio::test]
async fn no_more_is_held_than_the_limit_and_one_batch() {
    let (server, data) = (Server::start(2).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |config| config.in_flight_max = 60);
    for round in 0..10 {
        Batch::of(DEVICES, round * 20, (round + 1) * 20).deliver(&mut output).await.unwrap();
        assert!(output.held <= 60 + 100, "{}", output.held);
    }
    output.confirm().await.unwrap();
    assert_eq!(server.stored().len(), 1_000);
}

#[tokio::test]
async fn begun_anew_it_holds_nothing_and_takes_all_again() {
    let (server, data) = (Server::start(2).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |_| {});
    server.script(&[Act::Refuse(answer::SYSTEM_BUSY, "")]);
    Batch::of(DEVICES, 0, 5).deliver(&mut output).await.unwrap();
    assert!(output.confirm().await.is_err());
    output.begin_anew();
    assert_eq!((output.held, output.is_troubled()), (0, false));
    Batch::of(DEVICES, 0, 5).deliver(&mut output).await.unwrap();
    output.confirm().await.unwrap();
    assert_eq!(of_device(&server.stored(), "a"), (0..5).collect::<Vec<_>>());
}

#[tokio::test]
async fn topics_that_nothing_waits_for_are_forgotten_beyond_the_limit() {
    let (server, data) = (Server::start(1).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |_| {});
    for topic in 0..TOPICS_MAX + 10 {
        output.way(&format!("t{topic}"));
    }
    assert!(output.topics.len() <= TOPICS_MAX);
}

#[tokio::test]
async fn only_telemetry_waits_for_the_rate() {
    let (server, data) = (Server::start(1).await, tempfile::tempdir().unwrap());
    let mut output = open(&server, &data, |config| config.rate_max = std::num::NonZeroU32::new(10));
    assert_eq!(output.pause(Lane::Telemetry), Duration::ZERO);
    Batch::of(DEVICES, 0, 10).deliver(&mut output).await.unwrap();
    assert!(output.pause(Lane::Telemetry) > Duration::from_secs(4));
    assert_eq!(output.pause(Lane::Event), Duration::ZERO);
}

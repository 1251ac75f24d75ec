//! Services on the bus, each a member of a group: sharing, broadcasting, filters, members that die, messages that
//! cannot be handled, alarms.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_rocketmq::{
    Client, Consumer, Encoded, NameServers, Options, Producer, View,
    consumer::{Delivery, Event, Expression, Order, Outcome, Settings, Start, Subscription, group_lag},
    producer::To,
    wire::{self, code::request, hash, message::MESSAGE_BYTES_DEFAULT},
};
use tidegate_tests::{BusService, Gateway, Part, RocketMq, eventually, simulator, within};

pub(crate) const TOPIC: &str = "iot-topic";
pub(crate) const ARRIVE_MAX: Duration = Duration::from_secs(30);
/// A broker keeps the locks of a member that died for a minute.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(100);

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_millis().try_into().expect("fits")
}

/// Sends readings as a gateway does: `(device, seq, temperature)`, one after the other.
fn send(bus: &RocketMq, readings: &[(String, u64, f64)]) {
    send_with(bus, Options::default(), readings);
}

/// As [`send`], over connections of another kind.
pub(crate) fn send_with(bus: &RocketMq, options: Options, readings: &[(String, u64, f64)]) {
    block_on(send_from(bus, options, readings));
}

async fn send_from(bus: &RocketMq, options: Options, readings: &[(String, u64, f64)]) {
    let client = Client::new(options);
    let route = NameServers::new(client.clone(), &[bus.name_server()]).route(TOPIC).await.expect("a route");
    let queues = route.write_queues();
    let producer = Producer::new(client, "test-producer");
    for (device, seq, value) in readings {
        let queue = &queues[hash::place(hash::java_hash(device), queues.len())];
        let uid = format!("{device}/1/{seq}");
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let properties = [
            own("uid", &uid),
            own("tg_dev", device),
            own("tg_lane", "telemetry"),
            own("temperature", &value.to_string()),
        ];
        let body = format!("{device},{value}");
        let view = View {
            topic: TOPIC,
            key: device,
            tag: "temperature",
            id: &uid,
            sharding_key: device,
            properties: &properties,
            body: body.as_bytes(),
        };
        let message = Encoded::new(&view, MESSAGE_BYTES_DEFAULT).expect("it can be sent");
        let address = route.master(&queue.broker).expect("the broker is there");
        let to = To { address, topic: TOPIC, queue_id: queue.id, born_ms: now_ms() };
        producer.send(&to, &message).await.expect("the broker takes it");
    }
}

/// `count` readings of each of `devices` devices, from `from` on.
pub(crate) fn readings(devices: usize, from: u64, count: u64) -> Vec<(String, u64, f64)> {
    let of = |seq: u64| (0..devices).map(move |device| (format!("sensor_{device}"), seq, 20.0));
    (from..from + count).flat_map(of).collect()
}

pub(crate) fn uid(message: &Value) -> &str {
    message["uid"].as_str().expect("a uid")
}

/// The numbers of each device, in the order in which they came.
fn by_device(messages: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for message in messages {
        let (device, number) = uid(message).split_once("/1/").expect("a uid with numbers");
        found.entry(device.to_owned()).or_default().push(number.parse().expect("a number"));
    }
    found
}

pub(crate) fn assert_in_order(messages: &[Value]) {
    for (device, numbers) in by_device(messages) {
        assert!(numbers.is_sorted(), "{device}: {numbers:?}");
    }
}

fn lag(bus: &RocketMq, group: &str) -> u64 {
    block_on(async {
        let client = Client::new(Options::default());
        let names = NameServers::new(client.clone(), &[bus.name_server()]);
        group_lag(&client, &names, group, &[TOPIC.to_owned()]).await.expect("the lag").messages
    })
}

/// How many members the group had by the last word of one of them: `of 2 members`.
pub(crate) fn last_members(notes: &str) -> &str {
    let last = notes.lines().rev().find(|line| line.contains(" members")).unwrap_or("");
    let from = last.rfind("of ").unwrap_or(0);
    last[from..].split_inclusive("members").next().unwrap_or("")
}

#[test]
fn members_share_and_with_broadcast_each_gets_all() {
    let bus = RocketMq::lend();
    bus.admin(&["group", "sharing", "all"]);
    let monitor = |words: &[&str]| {
        BusService::start(&bus, "monitor", &[&["--json", "--topic", TOPIC, "--from-first"], words].concat())
    };
    let mut first = monitor(&["--group", "sharing"]);
    let second = monitor(&["--group", "sharing"]);
    first.wait_for_note("of 2 members");
    let everything =
        [monitor(&["--group", "all", "--broadcast"]), monitor(&["--group", "all", "--broadcast"])];
    let mut other = BusService::spawn(
        &bus,
        "monitor",
        &["--group", "sharing", "--topic", TOPIC, "--filter", "temperature > 35"],
    );
    assert_eq!(other.wait().code(), Some(1));
    assert!(
        other.notes().contains("group sharing does something else already: the group reads all of iot-topic"),
        "{}",
        other.notes()
    );

    // A queue that changes hands while messages come may show some of them to both.
    eventually("both know of two members and no more", || {
        [&first, &second].iter().all(|service| last_members(&service.notes()) == "of 2 members").then_some(())
    });
    send(&bus, &readings(40, 0, 10));
    let both = within(ARRIVE_MAX, || {
        let (one, two) = (first.messages(), second.messages());
        (one.len() + two.len() >= 400).then_some([one, two])
    });
    let [one, two] = both.expect("the two have got all");
    let uids: BTreeSet<&str> = one.iter().chain(&two).map(uid).collect();
    assert_eq!((uids.len(), one.len() + two.len()), (400, 400), "each came to one of the two");
    assert!(!one.is_empty() && !two.is_empty());
    assert_in_order(&one);
    assert_in_order(&two);
    for service in &everything {
        let messages = service.wait_for(400, ARRIVE_MAX);
        assert_eq!(messages.iter().map(uid).collect::<BTreeSet<_>>().len(), 400);
        assert_in_order(&messages);
    }
    // Who leaves with Ctrl-C gives its queues back at once, and what it has seen does not come again.
    assert!(first.interrupt().success());
    second.wait_for_note("of 1 members");
    send(&bus, &readings(40, 10, 5));
    let shown = second.wait_for(two.len() + 200, ARRIVE_MAX);
    assert_eq!(shown.len(), two.len() + 200);
    assert_in_order(&shown);
    eventually("the group has confirmed all", || (lag(&bus, "sharing") == 0).then_some(()));
}

#[test]
fn who_is_killed_is_followed_by_the_others() {
    let bus = RocketMq::lend();
    // The broker keeps the lock of who is killed for a minute: nobody else is to meet it.
    bus.admin(&["group", "bereft"]);
    let words = ["--json", "--topic", TOPIC, "--from-first", "--group", "bereft"];
    let mut killed = BusService::start(&bus, "monitor", &words);
    let left = BusService::start(&bus, "monitor", &words);
    killed.wait_for_note("of 2 members");
    send(&bus, &readings(40, 0, 5));
    let both = || left.messages().len() + killed.messages().len();
    within(ARRIVE_MAX, || (both() >= 200).then_some(())).expect("the two have got all");
    killed.kill();
    let before = killed.messages();
    send(&bus, &readings(40, 5, 5));
    let all = within(TAKEN_OVER_MAX, || {
        let all: Vec<Value> = before.iter().cloned().chain(left.messages()).collect();
        let uids: BTreeSet<String> = all.iter().map(|message| uid(message).to_owned()).collect();
        (uids.len() == 400).then_some(())
    });
    assert!(all.is_some(), "{} came to who is left; {}", left.messages().len(), left.notes());
    assert_in_order(&left.messages());
}

#[test]
fn the_broker_filters_and_the_alarm_tells_exactly_what_is_over() {
    let bus = RocketMq::lend();
    bus.admin(&["group", "hot", "zero", "text", "all"]);
    let monitor = |group: &str, filter: &str| {
        let words = ["--json", "--topic", TOPIC, "--from-first", "--group", group, "--filter", filter];
        BusService::start(&bus, "monitor", &words)
    };
    let hot = monitor("hot", "temperature > 35");
    let above_zero = monitor("zero", "temperature > 0 AND NOT temperature > 35");
    let text = monitor("text", "TAGS = 'temperature' AND tg_dev IN ('a', 'b') AND temperature IS NOT NULL");
    let mut alarm = BusService::start(&bus, "alarm", &["--json", "--topic", TOPIC, "--from-first"]);
    let alarms = BusService::start(
        &bus,
        "monitor",
        &["--json", "--topic", "iot-alarm", "--group", "all", "--broadcast"],
    );
    assert!(hot.notes().contains("temperature > 35.0"), "{}", hot.notes());

    let of = |device: &str, values: &[f64]| -> Vec<(String, u64, f64)> {
        (0..).zip(values).map(|(seq, value)| (device.to_owned(), seq, *value)).collect()
    };
    let a = of("a", &[36.5, 36.0, 35.01, 35.0, -1.5, 0.0, 0.25, 40.0, 33.0]);
    let b = of("b", &[34.9, 35.0, 20.0]);
    let c = of("c", &[99.0]);
    send(&bus, &[a, b, c].concat());

    let uids = |messages: &[Value]| messages.iter().map(|one| uid(one).to_owned()).collect::<BTreeSet<_>>();
    let set = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<BTreeSet<_>>();
    let over = set(&["a/1/0", "a/1/1", "a/1/2", "a/1/7", "c/1/0"]);
    assert_eq!(uids(&hot.wait_for(5, ARRIVE_MAX)), over);
    let mild = set(&["a/1/3", "a/1/6", "a/1/8", "b/1/0", "b/1/1", "b/1/2"]);
    assert_eq!(uids(&above_zero.wait_for(6, ARRIVE_MAX)), mild);
    assert_eq!(text.wait_for(12, ARRIVE_MAX).len(), 12);

    let told = alarm.wait_for(7, ARRIVE_MAX);
    let with = |states: &[&str]| {
        let of = told.iter().filter(|one| states.contains(&one["state"].as_str().expect("a state")));
        of.map(|one| uid(one).to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(with(&["raised", "over"]), over);
    assert_eq!(with(&["raised"]), set(&["a/1/0", "a/1/7", "c/1/0"]));
    assert_eq!(with(&["cleared"]), set(&["a/1/4", "a/1/8"]));
    let sent = alarms.wait_for(5, ARRIVE_MAX);
    let states: BTreeSet<(String, String)> =
        sent.iter().map(|one| (one["device"].to_string(), one["properties"]["state"].to_string())).collect();
    assert_eq!(states.len(), 3, "a raised and cleared, c raised: {sent:?}");
    assert_eq!(sent.len(), 5);
    // All was looked at, so nothing more will come.
    for group in ["hot", "zero", "text", "alert-consumer-group"] {
        eventually(group, || (lag(&bus, group) == 0).then_some(()));
    }
    assert_eq!((hot.messages().len(), above_zero.messages().len()), (5, 6));
    assert!(alarm.interrupt().success());
    assert!(
        alarm.notes().contains("5 readings over the limit, 3 alarms raised, 2 cleared"),
        "{}",
        alarm.notes()
    );

    one_that_starts_later_knows_what_is_raised(&bus, &alarms);
}

/// That is c, and neither a nor b.
fn one_that_starts_later_knows_what_is_raised(bus: &RocketMq, alarms: &BusService) {
    let again = BusService::start(bus, "alarm", &["--json", "--topic", TOPIC]);
    let further = [("c", 1, 98.0), ("b", 3, 30.0), ("c", 2, 20.0), ("a", 9, 30.0)];
    send(bus, &further.map(|(device, seq, value)| (device.to_owned(), seq, value)));
    let told = again.wait_for(2, ARRIVE_MAX);
    let words = told.iter().map(|one| (uid(one), one["state"].as_str().expect("a state")));
    assert_eq!(words.collect::<Vec<_>>(), [("c/1/1", "over"), ("c/1/2", "cleared")]);
    let sent = alarms.wait_for(6, ARRIVE_MAX);
    assert_eq!((sent.len(), uid(&sent[5])), (6, "c/1/2/0/temperature_high/cleared"));
    eventually("all was looked at", || (lag(bus, "alert-consumer-group") == 0).then_some(()));
    assert_eq!((again.messages().len(), alarms.messages().len()), (2, 6));
}

fn settings(group: &str, order: Order) -> Settings {
    let subscription = Subscription { topic: TOPIC.to_owned(), expression: Expression::All };
    Settings {
        order,
        start: Start::First,
        retry_max: 2,
        retry_wait: Duration::from_millis(50),
        version_ms: now_ms(),
        ..Settings::new(&format!("test@{group}"), group, vec![subscription])
    }
}

/// Fails `sick` each time and everything else never, until `done` says so; the uids as they were handed on.
async fn consume(
    bus: &RocketMq,
    settings: Settings,
    sick: &str,
    done: impl Fn(&[String], usize) -> bool,
) -> (Vec<String>, usize) {
    let mut consumer =
        Consumer::start(Options::default(), &[bus.name_server()], settings).await.expect("it joins");
    let (mut handed, mut given_up) = (Vec::new(), 0);
    let work = async {
        while !done(&handed, given_up) {
            match consumer.next().await.expect("it goes on") {
                Event::Message(delivery) => handed.push(settle(delivery, sick)),
                Event::GivenUp(_) => given_up += 1,
                Event::Taken | Event::Assigned { .. } | Event::Trouble(_) => {}
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), work).await.is_ok();
    assert!(in_time, "{handed:?}");
    consumer.stop().await;
    (handed, given_up)
}

fn settle(delivery: Delivery, sick: &str) -> String {
    let uid = delivery.message.property("uid").expect("a uid").to_owned();
    assert_eq!(delivery.origin_topic(), TOPIC);
    let outcome = if uid == sick { Outcome::Failed } else { Outcome::Done };
    delivery.settle(outcome);
    uid
}

#[test]
fn what_cannot_be_handled_comes_again_and_then_goes_to_the_dead_letters() {
    let bus = RocketMq::lend();
    bus.admin(&["group", "in-order", "later"]);
    send(&bus, &readings(1, 0, 4));
    let sick = "sensor_0/1/1";
    // In place: what is behind it waits.
    let (handed, given_up) =
        block_on(consume(&bus, settings("in-order", Order::Queue), sick, |handed, _| handed.len() >= 6));
    let expected = [0, 1, 1, 1, 2, 3].map(|seq| format!("sensor_0/1/{seq}"));
    assert_eq!((handed.as_slice(), given_up), (&expected[..], 1));
    assert_eq!((bus.count("%DLQ%in-order"), lag(&bus, "in-order")), (1, 0));

    // By the broker: what is behind it goes on; it comes again after ten seconds, and after thirty.
    let mut later = settings("later", Order::None);
    later.retry_max = 1;
    let (handed, _) = block_on(consume(&bus, later, sick, |handed, _| handed.len() >= 5));
    let expected = [0, 1, 2, 3, 1].map(|seq| format!("sensor_0/1/{seq}"));
    assert_eq!(handed.as_slice(), &expected[..]);
    eventually("it is with the dead letters", || (bus.count("%DLQ%later") == 1).then_some(()));
}

/// A member that slept for too long: the broker gave its queue to another, who handled what was there and gave it back.
#[test]
fn a_queue_that_was_anothers_meanwhile_is_begun_anew() {
    /// A lock is asked for again after 20 s.
    const LOCK_IS_OLD: Duration = Duration::from_millis(20_500);
    let bus = RocketMq::lend();
    bus.admin(&["topic", "--type", "FIFO", "--queues", "1", TOPIC]);
    bus.admin(&["group", "slept"]);
    send(&bus, &readings(1, 0, 1));
    block_on(async {
        let settings = settings("slept", Order::Queue);
        let member = settings.client_id.clone();
        let mut consumer =
            Consumer::start(Options::default(), &[bus.name_server()], settings).await.expect("it joins");
        let (mut taken, mut handed) = (0, Vec::new());
        assert!(take(&mut consumer, (&mut taken, &mut handed), 1, ARRIVE_MAX).await);
        assert_eq!((taken, handed.len()), (1, 1));

        let client = Client::new(Options::default());
        let route =
            NameServers::new(client.clone(), &[bus.name_server()]).route(TOPIC).await.expect("a route");
        let address = route.master("broker-a").expect("the broker is there");
        let queue_of = |code: i32, who: &str| {
            let queue = json!({"topic": TOPIC, "brokerName": "broker-a", "queueId": 0});
            let body = json!({"consumerGroup": "slept", "clientId": who, "mqSet": [queue]});
            client.request(address, wire::Command::request(code).with_body(body.to_string()))
        };
        queue_of(request::UNLOCK_BATCH_MQ, &member).await.expect("it is free");
        queue_of(request::LOCK_BATCH_MQ, "another").await.expect("it is another's");
        tokio::time::sleep(LOCK_IS_OLD).await;
        send_from(&bus, Options::default(), &readings(1, 1, 1)).await;
        let is_had = take(&mut consumer, (&mut taken, &mut handed), 2, Duration::from_secs(2)).await;
        assert!(!is_had, "it is not ours: {handed:?}");

        let commit = wire::Command::request(request::UPDATE_CONSUMER_OFFSET)
            .with("consumerGroup", "slept")
            .with("topic", TOPIC)
            .with("queueId", 0)
            .with("commitOffset", 2);
        client.request(address, commit).await.expect("another has handled it");
        queue_of(request::UNLOCK_BATCH_MQ, "another").await.expect("it is free again");
        send_from(&bus, Options::default(), &readings(1, 2, 1)).await;
        assert!(take(&mut consumer, (&mut taken, &mut handed), 2, ARRIVE_MAX).await, "{handed:?}");
        assert_eq!((taken, &handed[..]), (2, &["sensor_0/1/0".to_owned(), "sensor_0/1/2".to_owned()][..]));
        consumer.stop().await;
    });
    assert_eq!(lag(&bus, "slept"), 0);
}

/// Takes events until so many messages were handed on in all, for `time_max`; whether they were.
async fn take(
    consumer: &mut Consumer,
    (taken, handed): (&mut usize, &mut Vec<String>),
    count: usize,
    time_max: Duration,
) -> bool {
    let all = async {
        while handed.len() < count {
            match consumer.next().await.expect("it goes on") {
                Event::Message(delivery) => handed.push(settle(delivery, "nobody")),
                Event::Taken => *taken += 1,
                event => assert!(matches!(event, Event::Assigned { .. }), "{event:?}"),
            }
        }
    };
    tokio::time::timeout(time_max, all).await.is_ok()
}

#[test]
fn a_group_that_is_not_there_is_waited_for_and_said() {
    let bus = RocketMq::lend();
    let monitor = BusService::spawn(
        &bus,
        "monitor",
        &["--json", "--group", "nobody", "--topic", TOPIC, "--from-first"],
    );
    monitor.wait_for_note("group nobody does not exist; make it: mqadmin updateSubGroup");
    bus.admin(&["group", "nobody"]);
    monitor.wait_for_note("queues are this member's");
    send(&bus, &readings(2, 0, 2));
    assert_eq!(monitor.wait_for(4, ARRIVE_MAX).len(), 4);
}

#[test]
fn the_simulator_finds_on_the_bus_what_was_acknowledged() {
    let bus = RocketMq::lend();
    let mut gateway = Gateway::make();
    let path = gateway.config_path();
    let text = fs::read_to_string(&path).expect("quickstart wrote it");
    let output = format!("\n[[output]]\ntype = \"rocketmq\"\nname_servers = [\"{}\"]\n", bus.name_server());
    fs::write(&path, text + &output).expect("a file");
    gateway.run();
    let credentials = gateway.add_devices(50, "virtual_");
    let report = gateway.dir.join("report.json");
    let audit = format!("rocketmq://{}", bus.name_server());
    let target = format!("mqtt://127.0.0.1:{}", gateway.port);
    let words = ["--devices", "50", "--interval", "200ms", "--duration", "12s"];
    let mut child = Command::new(simulator())
        .args(["run", "--target", &target, "--audit", &audit])
        .args(words)
        .arg("--credentials")
        .arg(credentials)
        .arg("--report")
        .arg(&report)
        .stdout(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .expect("the simulator starts");
    // The bus stands still in the middle: what comes twice then has the same uid.
    std::thread::sleep(Duration::from_secs(5));
    bus.signal(Part::Broker, Signal::STOP);
    std::thread::sleep(Duration::from_secs(4));
    bus.signal(Part::Broker, Signal::CONT);
    let status = child.wait().expect("a child");
    let report: Value =
        serde_json::from_slice(&fs::read(&report).expect("it reports")).expect("the report is JSON");
    let audit = &report["audit"];
    assert!(status.success(), "{status}: {audit}");
    let number = |name: &str| audit[name].as_u64().unwrap_or_else(|| panic!("no {name} in {audit}"));
    assert!(number("acknowledged") > 1_000, "{audit}");
    let faults = ["lost", "out_of_order", "duplicated_unlike", "altered"].map(number);
    assert_eq!(faults, [0, 0, 0, 0], "{audit}");
    let end_to_end = &audit["end_to_end_ms"];
    assert!(end_to_end["p50"].as_f64().is_some_and(|p50| p50 > 0.0), "{audit}");
    let p50 = |name: &str| audit[name]["p50"].as_f64().unwrap_or_else(|| panic!("no {name} in {audit}"));
    assert!(p50("since_due_ms") >= p50("end_to_end_ms"), "a reading is due before it is sent: {audit}");
    // What waited for the broker is in it.
    assert!(end_to_end["max"].as_f64().is_some_and(|max| max >= 3_000.0), "{audit}");
    println!(
        "{} acknowledged, {} twice, end to end {end_to_end}",
        number("acknowledged"),
        number("duplicated")
    );
}

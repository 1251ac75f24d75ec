//! The output by itself: what its check says, what it does with a message that the bus never takes, and a gateway that
//! is killed in every phase of a batch.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tidegate_tests::{
    Acknowledged, BusClient, BusConsumer, BusLogin, Client, Gateway, Hurt, Load, Login, RocketMq, Version,
    count_from, missing_at_last, read_credentials,
};

use crate::{
    SECURE,
    audit::{assert_ids, audit, drained, gateway_to, output_status},
};

const DRAINED_MAX: Duration = Duration::from_secs(180);

fn check(gateway: &Gateway, words: &[&str]) -> (Option<i32>, String) {
    let checked = gateway.try_command(&[&["output", "check"], words].concat());
    let printed =
        format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    (checked.status.code(), printed)
}

#[test]
fn a_check_says_what_is_missing_and_sends_when_told_to() {
    let bus = RocketMq::lend();
    let mut gateway = gateway_to(&bus, "");
    let (code, printed) = check(&gateway, &[]);
    assert_eq!(code, Some(0), "{printed}");
    for said in [
        "name server 127.0.0.1:",
        "topic iot-topic: 8 queues on",
        "topic iot-device-topic: 8 queues on",
        "filters by SQL-92",
        "consumer group monitor-consumer-group",
    ] {
        assert!(printed.contains(&format!("good     {said}")) || printed.contains(said), "{said}: {printed}");
    }
    assert_eq!(bus.count("iot-device-topic") + bus.count("iot-topic"), 0, "looking stores nothing");

    let (code, printed) = check(&gateway, &["--send"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("a test message is stored in topic iot-device-topic"), "{printed}");
    assert_eq!(bus.count("iot-device-topic"), 1);

    gateway.configure("type = \"rocketmq\"", "type = \"rocketmq\"\ntopic = \"plant-new\"");
    bus.admin(&["config", "enablePropertyFilter=false"]);
    let (code, printed) = check(&gateway, &[]);
    assert_eq!(code, Some(1), "{printed}");
    let line = format!("mqadmin updateTopic -n {} -c DefaultCluster -t plant-new", bus.name_server());
    assert!(
        printed.contains("MISSING  topic plant-new does not exist") && printed.contains(&line),
        "{printed}"
    );
    assert!(printed.contains("-k enablePropertyFilter -v true"), "{printed}");
    // What it says is what helps.
    let words: Vec<&str> = line.split_whitespace().collect();
    bus.admin(&[&words[..], &["-r", "8", "-w", "8"]].concat());
    let (code, printed) = check(&gateway, &[]);
    assert_eq!(code, Some(0), "{printed}");

    gateway.configure(
        &format!("name_servers = [\"{}\"]", bus.name_server()),
        "name_servers = [\"127.0.0.1:1\"]",
    );
    let (code, printed) = check(&gateway, &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("MISSING  name server 127.0.0.1:1"), "{printed}");
}

#[test]
fn a_check_tells_a_user_without_the_right_to_write() {
    let bus = RocketMq::lend_with(&SECURE);
    let secret = |user: &str| {
        let [secret, ca] = [bus.secret_file(user), bus.ca()].map(|path| path.display().to_string());
        format!("secret_key_file = \"{secret}\"\ntls = true\nca_file = \"{ca}\"")
    };
    let gateway = gateway_to(&bus, &format!("access_key = \"tidegate\"\n{}", secret("tidegate")));
    let (code, printed) = check(&gateway, &["--send"]);
    assert_eq!(code, Some(0), "{printed}");
    let gateway = gateway_to(&bus, &format!("access_key = \"tidegate\"\n{}", secret("admin")));
    let (code, printed) = check(&gateway, &[]);
    assert_eq!(code, Some(1), "{printed}");
    let topic = format!("topic = \"other\"\naccess_key = \"tidegate\"\n{}", secret("tidegate"));
    bus.create_topic("other", 2);
    let gateway = gateway_to(&bus, &topic);
    let (code, printed) = check(&gateway, &[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("no right to write"), "{printed}");
    assert!(
        printed.contains("mqadmin createAcl -n") && printed.contains("-r Topic:other -a Pub"),
        "{printed}"
    );
}

/// Sends `payloads` of `login` in order, each acknowledged.
fn publish_all(gateway: &Gateway, login: &Login, payloads: &[String]) {
    let mut client = Client::login(gateway.port, Version::V5, login);
    for (id, payload) in (1..).zip(payloads) {
        assert_eq!(client.publish_and_wait("telemetry", payload.as_bytes(), id), 0, "{payload}");
    }
}

fn dead_letters(gateway: &Gateway) -> Vec<Value> {
    let path: PathBuf = gateway.dir.join("dead-letters/rocketmq-00000001.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a letter is JSON")).collect()
}

#[test]
fn a_message_that_is_too_large_for_the_broker_is_kept_aside_and_the_rest_arrives() {
    let bus = RocketMq::lend();
    bus.admin(&["config", "maxMessageSize=8192"]);
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let mut payloads: Vec<String> =
        (0..60).map(|n| format!("{{\"boot\":1,\"seq\":{n},\"values\":{{\"temperature\":20.5}}}}")).collect();
    let large = format!("{{\"boot\":1,\"seq\":30,\"values\":{{\"text\":\"{}\"}}}}", "x".repeat(20_000));
    payloads[30] = large;
    let device = gateway.device.clone();
    publish_all(&gateway, &device, &payloads);
    drained(&gateway, DRAINED_MAX);
    assert_eq!(bus.count("iot-topic"), 59);
    assert_eq!(bus.count("iot-device-topic"), 0);
    assert_eq!(output_status(&gateway, "dead_letters").as_u64(), Some(1));
    let letters = dead_letters(&gateway);
    let [letter] = &letters[..] else { panic!("{} letters", letters.len()) };
    assert_eq!(
        (letter["topic"].as_str(), letter["key"].as_str()),
        (Some("iot-device-topic"), Some("sensor_1"))
    );
    assert!(letter["reason"].as_str().is_some_and(|why| why.contains("message illegal")), "{letter}");
    assert!(gateway.command(&["status"]).contains("1 for good"));

    // The owner may tell the output what the broker takes; then it is not even sent.
    gateway.stop();
    gateway.configure("type = \"rocketmq\"", "type = \"rocketmq\"\nmessage_bytes_max = 8192");
    gateway.run();
    publish_all(&gateway, &device, &payloads[30..31]);
    drained(&gateway, DRAINED_MAX);
    assert_eq!(dead_letters(&gateway).len(), 2);
    assert!(dead_letters(&gateway)[1]["reason"].as_str().is_some_and(|why| why.contains("8192 at most")));
}

/// What befalls the thread of the output, and so where in a batch the gateway ends. A call that a signal of KILL meets
/// at its beginning is not made.
const PHASES: [(&str, &str); 4] = [
    ("before a batch is sent", "sendto:signal=KILL:when=12"),
    ("after it is sent and before the answer is read", "recvfrom:signal=KILL:when=12"),
    ("after the answer and before the cursor's write", "pwrite64:signal=KILL:when=2"),
    // The thread stands behind its write for longer than the test waits.
    ("after the cursor's write", "pwrite64:delay_exit=60000000:when=2"),
];

#[test]
fn a_gateway_killed_in_every_phase_of_a_batch_loses_nothing_and_keeps_the_order() {
    let bus = RocketMq::lend();
    let mut gateway = gateway_to(&bus, "");
    let logins = read_credentials(&gateway.add_devices(12, "dev_"));
    gateway.run();
    let mut acknowledged = Acknowledged::new();
    let rounds = count_from("TIDEGATE_BUS_KILLS", 2);
    for (phase, fault) in (0..rounds).flat_map(|_| PHASES) {
        let load = Load::start_paced(gateway.port, &logins, &acknowledged, Duration::from_millis(2));
        thread::sleep(Duration::from_millis(400));
        let hurt = Hurt::thread(&gateway, "bridge-rocketmq", fault);
        if fault.contains("delay") {
            // A cursor is written twice a second.
            thread::sleep(Duration::from_millis(2_500));
            gateway.signal(Signal::KILL);
            // The thread is not gone before strace lets go of it.
            drop(hurt);
            gateway.wait(Duration::from_secs(30));
        } else {
            let ended = gateway.wait(Duration::from_secs(30));
            assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "{phase}: {ended}");
            drop(hurt);
        }
        acknowledged = load.stop();
        gateway.run();
    }
    assert_eq!(missing_at_last(&acknowledged, &gateway.out()), 0);
    drained(&gateway, DRAINED_MAX);
    let count = usize::try_from(bus.count("iot-topic")).expect("it fits");
    let consumer = BusConsumer::start_as(
        &bus,
        BusLogin::default(),
        BusClient::Java,
        &["-group", "alert-consumer-group"],
    );
    let messages = consumer.wait_for(count, DRAINED_MAX);
    let found = audit(&gateway, &messages);
    println!("{} kills, {count} messages: {found:?}", usize::try_from(rounds).expect("few") * PHASES.len());
    assert_eq!((found.lost, found.out_of_order), (0, 0), "{found:?}");
    assert!(found.readings > 1_000 && found.duplicates > 0, "{found:?}");
    assert_ids(&messages);
}

#[test]
fn a_replay_sends_the_same_ids_again_and_keeps_to_the_rate() {
    let bus = RocketMq::lend();
    // The index by keys knows the messages of a topic that was deleted.
    bus.create_topic("iot-replayed", 8);
    let mut gateway = gateway_to(&bus, "rate_max = 100\ntopic = \"iot-replayed\"");
    gateway.run();
    let reading = |n| format!("{{\"boot\":1,\"seq\":{n},\"values\":{{\"temperature\":20.5}}}}");
    let start = Instant::now();
    publish_all(&gateway, &gateway.device, &(0..300).map(reading).collect::<Vec<_>>());
    drained(&gateway, DRAINED_MAX);
    assert_eq!(bus.count("iot-replayed"), 300);
    gateway.command(&["replay", "--from", "-1h", "--output", "rocketmq"]);
    // 600 messages, of which the last batch waits for nobody: at 100 a second the first 300 take three seconds.
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert_eq!(bus.count("iot-replayed"), 600);
    let messages = bus.find("iot-replayed", "sensor_1");
    assert_ids(&messages);
    let id = messages.first().and_then(|message| message["id"].as_str()).expect("a message with an id");
    assert_eq!(bus.find_id("iot-replayed", id).len(), 2);
}

#[test]
fn a_certificate_is_shown_to_servers_that_ask_for_one() {
    let bus = RocketMq::lend_with(&["--tls", "--client-certificates"]);
    let tls = format!("tls = true\nca_file = \"{}\"", bus.ca().display());
    let (code, printed) = check(&gateway_to(&bus, &tls), &[]);
    assert_eq!(code, Some(1), "without a certificate: {printed}");
    let file = |name: &str| bus.ca().with_file_name(name).display().to_string();
    let own = format!("{tls}\ncert_file = \"{}\"\nkey_file = \"{}\"", file("client.crt"), file("client.key"));
    let (code, printed) = check(&gateway_to(&bus, &own), &["--send"]);
    assert_eq!(code, Some(0), "{printed}");
}

#[test]
fn a_topic_is_made_by_the_first_message_where_brokers_do_so() {
    let bus = RocketMq::lend_with(&["--auto-create"]);
    let mut gateway = gateway_to(&bus, "topic = \"made-by-itself\"");
    let (code, printed) = check(&gateway, &[]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains("note     topic made-by-itself is not there; the brokers make it with 4"),
        "{printed}"
    );
    gateway.run();
    let payloads: Vec<String> = (0..20).map(|n| format!("{n}.5")).collect();
    publish_all(&gateway, &gateway.device, &payloads);
    drained(&gateway, DRAINED_MAX);
    assert_eq!(bus.count("made-by-itself"), 20);
}

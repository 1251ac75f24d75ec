//! `deploy/rocketmq` by itself, without a gateway: what runs, and what the clients of others say to each other there.

use std::{collections::BTreeSet, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use tidegate_tests::{
    BusClient, BusConsumer, BusLogin, Part, RocketMq, check_recipes, eventually, send_by_java, send_by_python,
};

use crate::SECURE;

/// A consumer's start, its first look for queues, and a busy machine.
const CONSUMED_MAX: Duration = Duration::from_secs(60);
const NOBODY: BusLogin<'_> = BusLogin { user: None, tls: false };

fn readings(device: &str, count: u32) -> Vec<String> {
    (0..count)
        .map(|seq| format!("{device} temperature 2{seq} tg_boot=1 tg_seq={seq} uid={device}/1/{seq}"))
        .collect()
}

fn text<'a>(message: &'a Value, field: &str) -> &'a str {
    message[field].as_str().unwrap_or_else(|| panic!("no text {field} in {message}"))
}

fn bodies(messages: &[Value]) -> BTreeSet<&str> {
    messages.iter().map(|message| text(message, "body")).collect()
}

#[test]
fn up_status_down_on_fresh_data() {
    let bus = RocketMq::start();
    let status = bus.status();
    let printed = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success(), "{printed}");
    for word in
        ["iot-topic", "iot-device-topic", "iot-alarm", "monitor-consumer-group", "alert-consumer-group"]
    {
        assert!(printed.contains(word), "{word} is not in {printed}");
    }
    let pids = [Part::NameServer, Part::Broker].map(|part| bus.pid(part).expect("it runs"));
    // A second one of the same folder leaves what runs as it is; one on the same ports is refused, with what to do.
    assert!(bus.up(&[]).contains("runs already"));
    assert_eq!(pids, [Part::NameServer, Part::Broker].map(|part| bus.pid(part).expect("it runs")));
    let other = bus.data.with_file_name("other");
    let refused =
        bus.try_up(&["--data", other.to_str().expect("a plain path"), "--port-base", port_of(&bus)]);
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && complaint.contains("is taken by another program"), "{complaint}");
    assert!(complaint.contains("--port-base"), "{complaint}");

    assert!(bus.down(None).contains("broker stopped"));
    assert_eq!([Part::NameServer, Part::Broker].map(|part| bus.pid(part)), [None, None]);
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists(), "process {pid} is still there");
    }
    assert_eq!(bus.status().status.code(), Some(3));
}

fn port_of(bus: &RocketMq) -> &'static str {
    let name_server = bus.name_server();
    let port = name_server.rsplit(':').next().expect("a port");
    String::leak(port.to_owned())
}

#[test]
fn what_one_client_sends_arrives_at_the_others() {
    let bus = RocketMq::lend();
    bus.create_groups_from_first(&["java-group", "python-group"]);
    bus.admin(&["group", "--ordered", "--from-first", "iot-topic", "grpc-group"]);
    let listen = |client, group: &str| BusConsumer::start(&bus, client, &[option(client), group]);
    let java = listen(BusClient::Java, "java-group");
    let python = listen(BusClient::Python, "python-group");
    let grpc = listen(BusClient::Grpc, "grpc-group");
    let mut sent = readings("by_java", 40);
    let answers = send_by_java(&bus, NOBODY, &[], &sent);
    assert!(answers.iter().all(|line| line.starts_with("SEND_OK")), "{answers:?}");
    let answers = send_by_python(&bus, NOBODY, &[], &readings("by_python", 40));
    assert!(answers.iter().all(|line| line.starts_with("OK")), "{answers:?}");
    sent.extend(readings("by_python", 40));
    assert_eq!(bus.count("iot-topic"), 80);

    for consumer in [&java, &python, &grpc] {
        let messages = consumer.wait_for(80, CONSUMED_MAX);
        for device in ["by_java", "by_python"] {
            let of_device = messages.iter().filter(|message| text(message, "keys") == device);
            let bodies: Vec<&str> = of_device.map(|message| text(message, "body")).collect();
            let expected: Vec<String> = (0..40).map(|seq| format!("{device},2{seq}")).collect();
            assert_eq!(bodies, expected, "in the order in which {device} sent");
        }
        assert!(messages.iter().all(|message| text(message, "tags") == "temperature"), "{messages:?}");
        assert!(messages.iter().all(|message| message["duplicate"] == false), "{messages:?}");
        let ids: BTreeSet<&str> = messages.iter().map(|message| text(message, "id")).collect();
        assert_eq!(ids.len(), 80);
        assert!(messages.iter().all(|message| text(&message["properties"], "uid").starts_with("by_")));
    }
    // The same reading twice, as after a lost answer.
    send_by_java(&bus, NOBODY, &[], &sent[..1]);
    for consumer in [&java, &python, &grpc] {
        let messages = consumer.wait_for(81, CONSUMED_MAX);
        assert_eq!(messages[80]["duplicate"], true, "{}", messages[80]);
    }
    for group in ["java-group", "python-group"] {
        eventually_long(&format!("{group} has confirmed all"), || (bus.lag(group) == 0).then_some(()));
    }
    let found = bus.find("iot-topic", "by_python");
    assert_eq!(bodies(&found).len(), 40, "{found:?}");
}

/// The word for the group: Java's has one dash.
fn option(client: BusClient) -> &'static str {
    if client == BusClient::Java { "-group" } else { "--group" }
}

#[test]
fn a_filter_needs_a_decimal_point_and_the_broker_counts_it_so() {
    let bus = RocketMq::lend();
    bus.admin(&["group", "whole", "decimal"]);
    let values = ["36.5", "36", "35.01", "35.0", "34.9"];
    let sent: Vec<String> = values.iter().map(|value| format!("sensor_1 temperature {value}")).collect();
    send_by_java(&bus, NOBODY, &[], &sent);
    let listen =
        |group, filter| BusConsumer::start(&bus, BusClient::Java, &["-group", group, "-sql", filter]);
    let decimal = listen("decimal", "temperature > 35.0");
    let whole = listen("whole", "temperature > 35");
    let messages = decimal.wait_for(3, CONSUMED_MAX);
    assert_eq!(bodies(&messages), BTreeSet::from(["sensor_1,36.5", "sensor_1,36", "sensor_1,35.01"]));
    // An integer literal makes the broker read the property as an integer: a decimal one fails and counts as false.
    let messages = whole.wait_for(1, CONSUMED_MAX);
    assert_eq!(bodies(&messages), BTreeSet::from(["sensor_1,36"]));
    for group in ["decimal", "whole"] {
        eventually_long(&format!("{group} has seen all"), || (bus.lag(group) == 0).then_some(()));
    }
    assert_eq!((decimal.count(), whole.count()), (3, 1));
}

#[test]
fn the_classic_python_consumer_alarms_above_35() {
    let bus = RocketMq::lend();
    bus.create_groups_from_first(&["alert-consumer-group"]);
    let alarms = BusConsumer::alarms(&bus, &[]);
    let sent = [
        "sensor_1 temperature 36.12",
        "sensor_2 temperature 35.0",
        "sensor_3 humidity 80",
        "sensor_4 temperature 35.01",
    ];
    send_by_java(&bus, NOBODY, &[], &sent.map(str::to_owned));
    eventually_long("two alarms", || (alarms.count() >= 2).then_some(()));
    eventually_long("all was looked at", || (bus.lag("alert-consumer-group") == 0).then_some(()));
    let lines: BTreeSet<String> = alarms.stop().into_iter().collect();
    assert_eq!(lines, BTreeSet::from(["ALARM sensor_1 36.12", "ALARM sensor_4 35.01"].map(str::to_owned)));
}

#[test]
fn a_group_begins_at_the_first_message_and_goes_on_where_it_was() {
    for words in [&["--proxy"][..], &["--server-version", "4.9.7"]] {
        let bus = RocketMq::lend_with(words);
        bus.create_groups_from_first(&["python-group"]);
        send_by_java(&bus, NOBODY, &[], &readings("sensor_1", 10));
        // Before it ever had a member: the broker knows where the group begins.
        assert!(bus.admin(&["lag", "python-group"]).contains("behind 10"));
        let consumer = BusConsumer::start(&bus, BusClient::Python, &["--group", "python-group"]);
        assert_eq!(bodies(&consumer.wait_for(10, CONSUMED_MAX)).len(), 10);
        eventually_long("all is confirmed", || (bus.lag("python-group") == 0).then_some(()));
        consumer.stop();
        bus.create_groups_from_first(&["python-group"]);
        assert_eq!(bus.lag("python-group"), 0, "what it has read stays read");
        let refused = bus.try_admin(&["group", "--from-first", "no-topic", "python-group"]);
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && complaint.contains("no-topic"), "{complaint}");
    }
}

/// A classic client confirms every five seconds, and what a filter hides only when a look of fifteen seconds is over.
fn eventually_long(what: &str, look: impl FnMut() -> Option<()>) {
    assert!(tidegate_tests::within(CONSUMED_MAX, look).is_some(), "not within {CONSUMED_MAX:?}: {what}");
}

#[test]
fn tls_and_users_are_demanded() {
    let bus = RocketMq::lend_with(&SECURE);
    let login = BusLogin { user: Some("tidegate"), tls: true };
    let sent = send_by_java(&bus, login, &[], &readings("sensor_1", 10));
    assert!(sent.iter().all(|line| line.starts_with("SEND_OK")), "{sent:?}");
    let consumer = BusConsumer::start_as(&bus, login, BusClient::Java, &[]);
    assert_eq!(bodies(&consumer.wait_for(10, CONSUMED_MAX)).len(), 10);
    assert!(bus.admin(&["config", "flushDiskType"]).contains("flushDiskType=SYNC_FLUSH"));
    assert!(bus.admin(&["users"]).contains("tidegate (Normal)"));
    // Without TLS nobody is heard; with it, nobody unknown.
    let admin = |words: &[&str]| {
        let name_server = bus.name_server();
        let address = ["--name-server", &name_server];
        let output = tidegate_tests::bus_admin_elsewhere(&[&address, words].concat());
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let ca = bus.ca();
    let ca = ["--ca", ca.to_str().expect("a plain path")];
    let secret = bus.secret_file("admin");
    let secret = secret.to_str().expect("a plain path");
    let (done, complaint) = admin(&["show"]);
    assert!(!done, "{complaint}");
    let (done, complaint) = admin(&[&ca[..], &["group", "g"]].concat());
    assert!(!done && complaint.contains("code"), "{complaint}");
    let (done, complaint) =
        admin(&[&ca[..], &["--user", "tidegate", "--secret-file", secret, "group", "g"]].concat());
    assert!(!done && complaint.contains("code"), "{complaint}");
    let (done, complaint) =
        admin(&[&ca[..], &["--user", "admin", "--secret-file", secret, "group", "g"]].concat());
    assert!(done, "{complaint}");
}

#[test]
fn a_part_that_is_held_killed_or_stopped_comes_back_with_its_messages() {
    let bus = RocketMq::start();
    send_by_java(&bus, NOBODY, &[], &readings("sensor_1", 10));
    bus.signal(Part::Broker, Signal::STOP);
    assert!(String::from_utf8_lossy(&bus.status().stdout).contains("STOPPED"));
    bus.signal(Part::Broker, Signal::CONT);
    eventually("the broker answers", || (bus.count("iot-topic") == 10).then_some(()));
    // What was confirmed in memory is on its way to disk within half a second.
    std::thread::sleep(Duration::from_secs(1));
    bus.kill(Part::Broker);
    assert_eq!(bus.status().status.code(), Some(3));
    bus.up(&[]);
    assert_eq!(bus.count("iot-topic"), 10);
    bus.down(Some(Part::NameServer));
    assert!(bus.pid(Part::Broker).is_some());
    bus.up(&[]);
    assert_eq!(send_by_java(&bus, NOBODY, &[], &readings("sensor_1", 1)).len(), 1);
    assert_eq!(bus.count("iot-topic"), 11);
}

#[test]
fn the_recipes_against_duplicates_agree() {
    let [java, python] = check_recipes();
    assert!(java.contains("checked") && !java.starts_with("0 "), "{java}");
    assert_eq!(java, python);
}

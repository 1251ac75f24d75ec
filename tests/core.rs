//! The live bus and the alarms on it: told once, in time, through crashes and without the core.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tidegate_tests::{
    Client, Gateway, SOON_MAX, Subscriber, Version, eventually, tidegate, tidegate_without_sync,
};

/// Has the router's thread panic, in the build for fault injection.
const KILL_TOPIC: &str = "test/kill-core";

/// How long an alarm may take.
const ALARM_MAX: Duration = Duration::from_secs(1);

/// A running `tidegate tail --json`.
struct Tail {
    child: Child,
    lines: Receiver<(Instant, Value)>,
}

impl Tail {
    fn start(gateway: &Gateway, words: &[&str]) -> Self {
        let mut child = Command::new(tidegate())
            .args(["tail", "--json"])
            .args(words)
            .arg("-c")
            .arg(gateway.config_path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tail starts");
        let printed = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("tail prints JSON");
                if send.send((Instant::now(), value)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line about an alarm, as `device alarm state value`, and when it came.
    fn alarm(&self) -> (Instant, String) {
        let end = Instant::now() + SOON_MAX;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (at, line) = self.lines.recv_timeout(left).expect("tail shows an alarm");
            if let Some(alarm) = line.get("alarm") {
                return (at, words(&line["device"], alarm));
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn words(device: &Value, alarm: &Value) -> String {
    let word = |value: &Value| match value.as_f64() {
        Some(number) => number.to_string(),
        None => value.as_str().expect("a text or a number").to_owned(),
    };
    [device, &alarm["alarm"], &alarm["state"], &alarm["value"]].map(word).join(" ")
}

/// The alarms in the files of the output, as `device alarm state value`, with the cause of each.
fn delivered_alarms(out: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(out).map_or_else(|_| Vec::new(), |files| files.flatten().collect());
    files.sort_by_key(fs::DirEntry::path);
    let mut alarms = Vec::new();
    for file in files {
        let text = fs::read_to_string(file.path()).expect("the output is text");
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).expect("the output is JSON");
            if line["protocol"] == "gateway" {
                assert_eq!((&line["lane"], &line["output_topic"].is_string()), (&"event".into(), &true));
                let cause = line["user_properties"][0][1].as_str().expect("a cause").to_owned();
                alarms.push((words(&line["device"], &line["values"]), cause));
            }
        }
    }
    alarms
}

fn temperature(client: &mut Client, id: u16, celsius: f64) -> Instant {
    let payload = format!(r#"{{"temperature":{celsius}}}"#);
    assert_eq!(client.publish_and_wait("telemetry", payload.as_bytes(), id), 0);
    Instant::now()
}

fn wait_for_core(gateway: &Gateway, rebuilt: u64) {
    eventually("the core lives", || {
        let core = gateway.status()["core"].take();
        (core["alive"] == true && core["rebuilt"].as_u64() >= Some(rebuilt)).then_some(())
    });
}

#[test]
fn an_alarm_is_raised_and_cleared_within_a_second_everywhere() {
    let gateway = Gateway::start();
    let subscriber =
        Subscriber::start(&gateway, &["-V", "mqttv5", "-q", "1", "-t", "event/#", "-i", "app_1"]);
    let tail = Tail::start(&gateway, &[]);
    wait_for_core(&gateway, 0);
    let mut sensor = Client::login(gateway.port, Version::V5, &gateway.device);
    temperature(&mut sensor, 1, 35.0);
    for (id, celsius, state) in [(2, 36.12, "raised"), (3, 33.0, "cleared"), (4, 40.5, "raised")] {
        let sent = temperature(&mut sensor, id, celsius);
        let (shown, words) = tail.alarm();
        assert_eq!(words, format!("sensor_1 temperature_high {state} {celsius}"));
        let took = shown.saturating_duration_since(sent);
        println!("{state}: shown {took:?} after the acknowledgement");
        assert!(took < ALARM_MAX, "{took:?}");
        let message = subscriber.next();
        let (topic, payload) = message.split_once(' ').expect("a topic and a payload");
        assert_eq!(topic, "event/sensor_1");
        let payload: Value = serde_json::from_str(payload).expect("an alarm is JSON");
        assert_eq!((&payload["state"], payload["value"].as_f64()), (&state.into(), Some(celsius)));
        eventually("the output has the alarm", || {
            let alarms = delivered_alarms(&gateway.out());
            (alarms.last()?.0 == words).then_some(())
        });
        assert!(sent.elapsed() < 2 * ALARM_MAX);
    }
    // Between 33 and 35 °C, and further above, nothing happens.
    temperature(&mut sensor, 5, 34.0);
    temperature(&mut sensor, 6, 50.0);
    let status = gateway.status();
    let alarms = &status["alarms"];
    assert_eq!(
        (&alarms["raised"], &alarms["told_raised"], &alarms["told_cleared"]),
        (&1.into(), &2.into(), &1.into())
    );
    assert_eq!(alarms["named"][0][0], "sensor_1");
    assert!(gateway.command(&["status"]).contains("sensor_1 temperature_high"));
    assert_eq!(delivered_alarms(&gateway.out()).len(), 3);
    assert!(gateway.log().contains("alarm raised"), "{}", gateway.log());
}

#[test]
fn rules_of_the_owner_take_the_place_of_the_default_and_an_empty_list_turns_them_off() {
    let mut gateway = Gateway::make();
    gateway.configure("name = \"temperature_high\"", "name = \"wet\"");
    gateway
        .configure("measurement = \"temperature\"\nabove = 35.0", "measurement = \"humidity\"\nabove = 80");
    gateway.configure("clear = 33.0", "clear = 70");
    gateway.run();
    let tail = Tail::start(&gateway, &["--lane", "event"]);
    let mut sensor = Client::login(gateway.port, Version::V5, &gateway.device);
    // One message may hold several readings; what the gateway says itself raises nothing.
    let readings = br#"[{"humidity":81,"temperature":90},{"humidity":75},{"humidity":70},{"humidity":99}]"#;
    assert_eq!(sensor.publish_and_wait("telemetry", readings, 1), 0);
    for expected in ["raised 81", "cleared 70", "raised 99"] {
        assert_eq!(tail.alarm().1, format!("sensor_1 wet {expected}"));
    }
    drop((tail, sensor));
    assert!(gateway.stop().success());
    let text = fs::read_to_string(gateway.config_path()).expect("the configuration");
    let (before, rest) = text.split_once("[[alarm]]").expect("an alarm in the example");
    let (_, after) = rest.split_once("\n\n").expect("the alarm ends");
    fs::write(gateway.config_path(), format!("alarm = []\n{before}\n{after}")).expect("it can be written");
    gateway.run();
    let mut sensor = Client::login(gateway.port, Version::V5, &gateway.device);
    assert_eq!(sensor.publish_and_wait("telemetry", br#"{"humidity":10}"#, 1), 0);
    assert_eq!(sensor.publish_and_wait("telemetry", br#"{"humidity":99,"temperature":99}"#, 2), 0);
    thread::sleep(ALARM_MAX);
    let status = gateway.status();
    assert_eq!((&status["alarms"]["told_raised"], &status["core"]["followers"]), (&0.into(), &0.into()));
    // Nobody follows, so there is no router.
    assert_eq!(status["core"]["alive"], false);
}

#[test]
fn services_outlive_the_router_and_lose_nothing() {
    let mut gateway = Gateway::make();
    gateway.with_program(tidegate_without_sync()).run();
    let tail = Tail::start(&gateway, &["--device", "sensor_1"]);
    wait_for_core(&gateway, 0);
    let mut sensor = Client::login(gateway.port, Version::V5, &gateway.device);
    let mut id = 0;
    let mut next = || {
        id += 1;
        id
    };
    for death in 1..=3 {
        assert_eq!(sensor.publish_and_wait(KILL_TOPIC, b"now", next()), 0, "the device is acknowledged");
        let sent = temperature(&mut sensor, next(), 40.0);
        let (shown, words) = tail.alarm();
        assert_eq!(words, "sensor_1 temperature_high raised 40");
        assert!(shown.saturating_duration_since(sent) < ALARM_MAX, "death {death}");
        temperature(&mut sensor, next(), 20.0);
        assert_eq!(tail.alarm().1, "sensor_1 temperature_high cleared 20");
        wait_for_core(&gateway, death);
        temperature(&mut sensor, next(), 41.0);
        assert_eq!(tail.alarm().1, "sensor_1 temperature_high raised 41");
        temperature(&mut sensor, next(), 21.0);
        assert_eq!(tail.alarm().1, "sensor_1 temperature_high cleared 21");
    }
    assert!(gateway.stop().success());
    assert_eq!(delivered_alarms(&gateway.out()).len(), 12);
}

#[test]
fn without_a_core_devices_are_acknowledged_and_services_work() {
    let mut gateway = Gateway::make();
    gateway.with_program(tidegate_without_sync()).with_environment("TIDEGATE_TEST_NO_CORE", "1").run();
    let tail = Tail::start(&gateway, &[]);
    let mut sensor = Client::login(gateway.port, Version::V5, &gateway.device);
    for id in 1..=200 {
        temperature(&mut sensor, id, 20.0);
    }
    let sent = temperature(&mut sensor, 201, 36.0);
    let (shown, words) = tail.alarm();
    assert_eq!(words, "sensor_1 temperature_high raised 36");
    assert!(shown.saturating_duration_since(sent) < ALARM_MAX);
    let core = gateway.status()["core"].take();
    assert_eq!((&core["alive"], core["rebuilt"].as_u64() > Some(0)), (&false.into(), true), "{core}");
    assert!(gateway.command(&["status"]).contains("DOWN, services read the spool"));
    assert!(gateway.stop().success());
}

#[test]
fn each_crossing_is_told_once_though_the_gateway_is_killed() {
    let mut gateway = Gateway::start();
    let mut expected = Vec::new();
    for kill in 0..6 {
        let mut sensor = Client::login(gateway.port, Version::V5, &gateway.device);
        // The alarm stays raised through the kill in every second round; in the others the gateway is killed at
        // once, so that the alarm may or may not be told before.
        let values: &[f64] =
            if kill % 2 == 0 { &[20.0, 36.0, 20.5, 37.5] } else { &[38.0, 21.0, 39.0, 20.0] };
        for (id, celsius) in (1..).zip(values) {
            temperature(&mut sensor, id, *celsius);
        }
        let crossings: &[&str] = if kill % 2 == 0 {
            &["raised 36", "cleared 20.5", "raised 37.5"]
        } else {
            &["cleared 21", "raised 39", "cleared 20"]
        };
        expected.extend(crossings.iter().map(|crossing| format!("sensor_1 temperature_high {crossing}")));
        if kill % 3 == 0 {
            let count = expected.len();
            eventually("the alarms are delivered", || {
                (delivered_alarms(&gateway.out()).len() >= count).then_some(())
            });
        }
        gateway.kill();
        gateway.run();
    }
    eventually("all alarms are told", || {
        let shown = gateway.command(&[
            "tail",
            "--from",
            "oldest",
            "--lane",
            "event",
            "-n",
            &expected.len().to_string(),
            "--json",
        ]);
        (shown.lines().count() == expected.len()).then_some(())
    });
    // What would be told twice has the time to be.
    thread::sleep(ALARM_MAX);
    assert_eq!(gateway.status()["spool"]["lanes"][0]["end"], expected.len(), "records in the event lane");
    assert!(gateway.stop().success());
    let mut delivered = delivered_alarms(&gateway.out());
    // The output may get a record twice after a kill; the cause tells that it is the same.
    let mut seen = BTreeSet::new();
    delivered.retain(|alarm| seen.insert(alarm.clone()));
    let words: Vec<_> = delivered.iter().map(|(words, _)| words.clone()).collect();
    assert_eq!(words, expected);
    let causes: BTreeSet<_> = delivered.iter().map(|(_, cause)| cause).collect();
    assert_eq!(causes.len(), expected.len(), "two alarms of one reading: {delivered:?}");
}

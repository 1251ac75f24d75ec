use std::fs;

use super::*;
use crate::{Profile, Qos, plan::GROUPS_MAX, profile::Values};

fn read_text(text: &str, beside: &Beside) -> Result<Plan, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    fs::write(&path, text).unwrap();
    let logins: String = (1..=9).map(|number| format!("d{number},s\n")).collect();
    fs::write(dir.path().join("creds.csv"), logins).unwrap();
    read(&path, beside)
}

fn parsed(text: &str) -> Plan {
    read_text(text, &Beside::default()).unwrap()
}

/// Place and words of all faults.
fn faults(text: &str) -> Vec<String> {
    match read_text(text, &Beside::default()) {
        Err(Error::Scenario { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn groups_have_what_the_defaults_say_and_what_they_say_themselves() {
    let plan = parsed(
        r#"
        duration = "60s"
        seed = 5
        [defaults]
        target = "coap://h"
        interval = "500ms"
        size = 100
        [[group]]
        name = "a"
        devices = 3
        [[group]]
        name = "b"
        devices = 2
        target = ["mqtt://m=3", "coap://c"]
        profile = "jitter:5%+spikes"
        qos = 0
        start = "10s"
        end = "30s"
        "#,
    );
    assert_eq!((plan.seed, plan.devices, plan.duration), (5, 5, Some(Duration::from_secs(60))));
    let [a, b] = &plan.groups[..] else { panic!("{plan:?}") };
    assert_eq!((&*a.name, a.start, a.sensors.first), ("a", Duration::ZERO, 1));
    assert_eq!(a.sensors.targets, [Target::coap("h", 5683)]);
    assert_eq!((a.sensors.interval, a.sensors.payload_bytes), (Duration::from_millis(500), 100));
    assert_eq!((a.sensors.duration, a.sensors.qos), (Some(Duration::from_secs(60)), Qos::AtLeastOnce));
    assert_eq!((b.start, b.sensors.first, b.sensors.devices), (Duration::from_secs(10), 4, 2));
    assert_eq!(b.sensors.duration, Some(Duration::from_secs(20)));
    assert_eq!(b.sensors.targets, [Target { weight: 3, ..Target::mqtt("m", 1883) }, Target::coap("c", 5683)]);
    assert_eq!((b.sensors.qos, b.sensors.payload_bytes), (Qos::AtMostOnce, 100));
    assert_eq!(b.sensors.profile, "jitter:5%+spikes".parse::<Profile>().unwrap());
    assert!(matches!(b.sensors.profile.values, Values::Spikes { .. }));
}

#[test]
fn logins_are_dealt_to_the_groups_in_order() {
    let text = r#"
        [defaults]
        credentials = "creds.csv"
        [[group]]
        name = "a"
        devices = 4
        [[group]]
        name = "b"
        devices = 5
        "#;
    let plan = parsed(text);
    let names = |group: usize| -> Vec<String> {
        let logins = plan.groups[group].sensors.credentials.as_ref().unwrap();
        logins.iter().map(|login| login.device.clone()).collect()
    };
    assert_eq!((names(0).first().unwrap().as_str(), names(0).len()), ("d1", 4));
    assert_eq!(names(1), ["d5", "d6", "d7", "d8", "d9"]);
    let all: Vec<_> =
        plan.into_groups().unwrap().into_iter().flat_map(|(_, identities)| identities).collect();
    assert_eq!(all.len(), 9);
    let few = faults(&text.replace("devices = 5", "devices = 6"));
    assert!(few[0].starts_with("7:9: group \"b\": 6 devices but only 5 logins"), "{few:?}");
}

#[test]
fn the_command_line_moves_targets_and_brings_logins_and_the_seed() {
    let text = r#"
        seed = 3
        [[group]]
        name = "a"
        devices = 1
        target = ["mqtt://m=7", "coap://c"]
        "#;
    let dir = tempfile::tempdir().unwrap();
    let credentials = dir.path().join("mine.csv");
    fs::write(&credentials, "mine,s\n").unwrap();
    let targets = vec![Target::mqtt("other", 5)];
    let beside = Beside { targets, credentials: Some(credentials), seed: Some(9) };
    let plan = read_text(text, &beside).unwrap();
    let sensors = &plan.groups[0].sensors;
    assert_eq!(sensors.targets, [Target { weight: 7, ..Target::mqtt("other", 5) }, Target::coap("c", 5683)]);
    assert_eq!(sensors.credentials.as_ref().unwrap()[0].device, "mine");
    assert_eq!(plan.seed, 9);
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    let group = "[[group]]\nname = \"a\"\ndevices = 1\n";
    for (line, place, part) in [
        ("intervall = \"2s\"", "4:1", "unknown field `intervall`"),
        ("interval = \"soon\"", "4:12", "\"soon\" is no time; write one such as \"2s\""),
        ("interval = 2", "4:12", "invalid type"),
        ("target = \"http://h\"", "4:10", "http:// is not supported"),
        ("target = [\"mqtt://h\", \"x:y\"]", "4:10", "the port is no number"),
        ("target = 5", "4:10", "or a list of them"),
        ("profile = \"storms\"", "4:11", "\"storms\" is no profile"),
        ("qos = 2", "4:7", "`qos` is 0 or 1"),
        ("protocol_version = 3", "4:20", "4 (MQTT 3.1.1) or 5"),
        ("start = \"9s", "4:12", "invalid basic string"),
        ("inflight = 0", "1:1", "--inflight 0"),
        ("profile = \"bursts:gap=9s\"", "1:1", "the gap in a burst"),
    ] {
        let told = faults(&format!("{group}{line}\n"));
        assert!(told[0].starts_with(place) && told[0].contains(part), "{line}: {told:?}");
    }
    let told = faults("duration = \"10s\"\nsead = 3\n");
    assert!(told[0].starts_with("2:1: unknown field `sead`"), "{told:?}");
    let told = faults("[defaults]\nqos = 7\n[[group]]\nname = \"a\"\ndevices = 1\n");
    assert!(told[0].starts_with("2:7: "), "{told:?}");
}

#[test]
fn all_times_that_cannot_be_are_told_at_once() {
    let told = faults(
        "duration = \"10s\"\n[[group]]\nname = \"a\"\ndevices = 1\nstart = \"10s\"\n[[group]]\nname = \"b\"\n\
         devices = 1\nstart = \"5s\"\nend = \"5s\"\n[[group]]\nname = \"c\"\ndevices = 1\nend = \"11s\"\n",
    );
    assert_eq!(
        told,
        [
            "5:9: `start` lies before the run's `duration`",
            "10:7: `end` lies between `start` and the run's `duration`",
            "14:7: `end` lies between `start` and the run's `duration`",
        ]
    );
}

#[test]
fn two_sensors_of_one_name_are_refused() {
    let text =
        "[[group]]\nname = \"a\"\ndevices = 2\n[[group]]\nname = \"b\"\ndevices = 1\nstart_number = 2\n";
    let error = parsed(text).into_groups().unwrap_err().to_string();
    assert!(error.contains("two sensors are called sensor_2"), "{error}");
}

#[test]
fn groups_max_and_scenario_bytes_max_are_reached() {
    let groups = |count: usize| "[[group]]\nname = \"a\"\ndevices = 1\n".repeat(count);
    assert_eq!(parsed(&groups(GROUPS_MAX)).groups.len(), GROUPS_MAX);
    assert!(faults(&groups(GROUPS_MAX + 1))[0].contains("257 groups"));
    let many = "[[group]]\nname = \"a\"\ndevices = 60000\n".repeat(2);
    assert!(faults(&many)[0].contains("120000 devices in all groups"));
    let long = format!("# {}\n{}", "x".repeat(1024 * 1024), groups(1));
    let error = read_text(&long, &Beside::default()).unwrap_err();
    assert!(error.to_string().contains("is it a scenario"), "{error}");
}

#[test]
fn the_examples_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let plan = read(&path, &Beside::default()).unwrap();
        assert!(plan.into_groups().unwrap().len() > 1, "{}", path.display());
        count += 1;
    }
    assert!(count >= 2);
}

//! Services on buses of other kinds, one that asks who comes in and one of the last generation; and what a member knows
//! whose queues were another's.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use tidegate_rocketmq::{
    Credentials, Options,
    tls::{Files, Tls},
};
use tidegate_tests::{BusService, RocketMq, eventually};

use crate::{
    SECURE,
    consumer::{ARRIVE_MAX, TOPIC, assert_in_order, last_members, readings, send_with, uid},
};

#[test]
fn services_come_in_with_tls_and_a_secret_and_not_without() {
    let bus = RocketMq::lend_with(&SECURE);
    let (ca, secret) = (bus.ca(), bus.secret_file("tidegate"));
    let words = ["--json", "--topic", TOPIC, "--from-first", "--tls", "--ca", ca.to_str().expect("a path")];
    let user = ["--access-key", "tidegate", "--secret-key-file", secret.to_str().expect("a path")];

    let nobody = BusService::spawn(&bus, "monitor", &words);
    nobody.wait_for_note("trying again until it is there");
    let monitor = BusService::start(&bus, "monitor", &[&words[..], &user].concat());
    let credentials = Credentials {
        access_key: "tidegate".to_owned(),
        secret_key: fs::read_to_string(&secret).expect("the secret").trim().to_owned(),
        security_token: None,
    };
    let tls = Tls::load(&Files { ca: ca.clone(), own: None, server_name: None }).expect("the authority");
    let options = Options { tls: Some(tls), credentials: Some(credentials), ..Options::default() };
    send_with(&bus, options, &readings(4, 0, 5));
    let messages = monitor.wait_for(20, ARRIVE_MAX);
    assert_eq!(messages.iter().map(uid).collect::<BTreeSet<_>>().len(), 20);
    assert_in_order(&messages);
    assert!(nobody.messages().is_empty());
}

#[test]
fn services_work_with_a_server_of_the_last_generation() {
    let bus = RocketMq::lend_with(&["--server-version", "4.9.7"]);
    bus.admin(&["group", "hot", "sharing"]);
    let words = ["--json", "--topic", TOPIC, "--from-first", "--group"];
    let start = |group: &[&str]| BusService::start(&bus, "monitor", &[&words[..], group].concat());
    let hot = start(&["hot", "--filter", "temperature > 35"]);
    let sharing = [start(&["sharing"]), start(&["sharing"])];
    sharing[0].wait_for_note("of 2 members");
    let mut sent = readings(20, 0, 5);
    sent.extend(
        [36.5, 36.0, 35.01, 35.0].into_iter().zip(0..).map(|(value, seq)| ("hot".to_owned(), seq, value)),
    );
    send_with(&bus, Options::default(), &sent);
    let over = hot.wait_for(3, ARRIVE_MAX);
    assert_eq!(over.iter().map(uid).collect::<Vec<_>>(), ["hot/1/0", "hot/1/1", "hot/1/2"]);
    let both = tidegate_tests::within(ARRIVE_MAX, || {
        let [one, two] = sharing.each_ref().map(BusService::messages);
        (one.len() + two.len() >= sent.len()).then_some([one, two])
    });
    let both = both.expect("the two have got all");
    both.iter().for_each(|messages| assert_in_order(messages));
    let uids: BTreeSet<&str> = both.iter().flatten().map(uid).collect();
    assert_eq!(uids.len(), sent.len());
    assert!(both.iter().all(|messages| !messages.is_empty()));
}

/// Devices whose queues go to both members of two.
const DEVICES: usize = 16;

fn of_all(seq: u64, value: f64) -> Vec<(String, u64, f64)> {
    (0..DEVICES).map(|device| (format!("sensor_{device}"), seq, value)).collect()
}

/// The devices of which one of them told `state`.
fn told(messages: &[Value], state: &str) -> Vec<String> {
    let of = messages.iter().filter(|message| message["state"] == state);
    let mut devices: Vec<String> =
        of.map(|message| message["device"].as_str().expect("a device").to_owned()).collect();
    devices.sort();
    devices
}

#[test]
fn what_is_raised_is_known_to_whoever_gets_the_queue() {
    let bus = RocketMq::lend();
    let words = ["--json", "--topic", TOPIC, "--from-first"];
    let mut first = BusService::start(&bus, "alarm", &words);
    send_with(&bus, Options::default(), &of_all(0, 40.0));
    let every = told(&first.wait_for(DEVICES, ARRIVE_MAX), "raised");
    assert_eq!(every.iter().collect::<BTreeSet<_>>().len(), DEVICES);

    // Another takes over half of the queues, and raises nothing again.
    let second = BusService::start(&bus, "alarm", &words);
    eventually("both know of two members", || {
        [&first, &second].iter().all(|service| last_members(&service.notes()) == "of 2 members").then_some(())
    });
    send_with(&bus, Options::default(), &of_all(1, 41.0));
    let both = || [first.messages(), second.messages()].concat();
    eventually("all are told as over", || (told(&both(), "over").len() >= DEVICES).then_some(()));
    assert_eq!(
        (told(&both(), "over"), told(&both(), "raised")),
        (every.clone(), every.clone()),
        "{}\n{}\n{}",
        second.lines().join("\n"),
        first.notes(),
        second.notes()
    );
    assert!(!second.messages().is_empty(), "it has queues");

    // The first leaves, and who gets the rest of the queues clears what it has raised.
    assert!(first.interrupt().success());
    eventually("it is alone", || (last_members(&second.notes()) == "of 1 members").then_some(()));
    send_with(&bus, Options::default(), &of_all(2, 20.0));
    eventually("all are cleared", || (told(&second.messages(), "cleared").len() >= DEVICES).then_some(()));
    assert_eq!((told(&second.messages(), "cleared"), told(&second.messages(), "raised")), (every, vec![]));
}

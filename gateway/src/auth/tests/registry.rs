use std::{
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use proptest::prelude::*;
use tidegate_protocol::DeviceId;

use super::*;

#[test]
fn a_device_logs_in_with_its_secret_and_is_itself_whatever_its_client_id() {
    let fixture = Fixture::new();
    let secret = fixture.add("sensor_1");
    let login = fixture.login_as("sensor_1", &secret, "").unwrap();
    assert_eq!((&*login.user, login.device.as_str(), login.role), ("sensor_1", "sensor_1", Role::Device));
    assert_eq!(login.may_publish("telemetry").unwrap().device.as_str(), "sensor_1");
    assert_eq!(login.may_publish("telemetry//sensor_2"), Err(Denied::Foreign));
    assert!(login.may_subscribe("cmd/sensor_1/#") && !login.may_subscribe("#"));
    let fixture = fixture.reopened();
    assert!(fixture.login("sensor_1", &secret).is_some());
}

#[test]
fn every_wrong_attempt_gets_the_one_answer() {
    let fixture = Fixture::new();
    let secret = fixture.add("sensor_1");
    let disabled = fixture.add("sensor_2");
    fixture.registry.disable(&ids(&["sensor_2"]), WALL_MS).unwrap();
    let long = "x".repeat(70_000);
    for (user, password) in [
        ("sensor_1", ""),
        ("sensor_1", "wrong"),
        ("sensor_1", &disabled),
        ("sensor_1", &secret[1..]),
        ("sensor_1", &secret.to_uppercase().replace('0', "O")),
        ("sensor_1", &long),
        ("sensor_2", &disabled),
        ("nobody", &secret),
        ("", &secret),
        ("SENSOR_1", &secret),
        ("sensor_1\0", &secret),
        ("sensor_1 ", &secret),
        ("a/+/#", &secret),
        ("温度", &secret),
        (&long, &secret),
    ] {
        assert!(matches!(
            fixture.registry.authenticate(user, password.as_bytes(), "sensor_1", NOW_MS),
            Attempt::Refused
        ));
    }
    assert!(fixture.login("sensor_1", &secret).is_some());
}

#[test]
fn an_unknown_user_takes_as_long_as_a_known_one() {
    let fixture = Fixture::new();
    fixture.add("known");
    let wrong = [b'f'; 32];
    // The least of several rounds, since anything else on the machine only adds.
    let nanoseconds_of = |user: &str| {
        let round = |_| {
            let start = Instant::now();
            for _ in 0..200 {
                assert!(matches!(fixture.registry.authenticate(user, &wrong, "c", NOW_MS), Attempt::Refused));
            }
            start.elapsed().as_nanos()
        };
        (0..30).map(round).min().unwrap()
    };
    let (known, unknown) = (nanoseconds_of("known"), nanoseconds_of("other"));
    assert!(known < unknown * 2 && unknown < known * 2, "known {known}, unknown {unknown}");
}

#[test]
fn a_group_login_names_its_device_by_the_client_id() {
    let fixture = Fixture::new();
    let secret = fixture.registry.add(group("line3", "line3_"), WALL_MS).unwrap().secret.unwrap();
    let own = fixture.add("line3_7");
    let login = fixture.login_as("line3", &secret, "line3_12").unwrap();
    assert_eq!((&*login.user, login.device.as_str()), ("line3", "line3_12"));
    assert_eq!(login.may_publish("telemetry//line3_13"), Err(Denied::Foreign));
    for client_id in ["", "line3", "line4_1", "line3_a b", "line3_/#", "line3_7", &"line3_".repeat(20)] {
        assert!(fixture.login_as("line3", &secret, client_id).is_none(), "{client_id}");
    }
    assert_eq!(fixture.login("line3_7", &own).unwrap().device.as_str(), "line3_7");
}

#[test]
fn a_group_never_speaks_as_a_word_that_all_share() {
    let fixture = Fixture::new();
    let secret = fixture.registry.add(group("all", "c"), WALL_MS).unwrap().secret.unwrap();
    assert!(fixture.login_as("all", &secret, "cmd").is_none());
    assert!(fixture.login_as("all", &secret, "command").is_none());
    assert!(fixture.login_as("all", &secret, "cmd1").is_some());
}

#[test]
fn an_application_and_a_client_have_the_filters_they_were_given() {
    let fixture = Fixture::new();
    let app = NewDevice { role: Role::Application, subscribe: filters(&["telemetry/+"]), ..device("app") };
    let app = fixture.registry.add(app, WALL_MS).unwrap().secret.unwrap();
    let client =
        NewDevice { role: Role::Client, publish: filters(&["telemetry//+", "x"]), ..device("field_gateway") };
    let client = fixture.registry.add(client, WALL_MS).unwrap().secret.unwrap();
    let fixture = fixture.reopened();
    let app = fixture.login("app", &app).unwrap();
    assert!(app.may_subscribe("telemetry/d1") && !app.may_subscribe("event/+"));
    assert_eq!(app.may_publish("x"), Err(Denied::NotGranted));
    let client = fixture.login("field_gateway", &client).unwrap();
    let publish = client.may_publish("telemetry//d1").unwrap();
    assert_eq!((publish.device.as_str(), publish.topic), ("d1", "telemetry"));
    assert_eq!(client.may_publish("x").unwrap().device.as_str(), "field_gateway");
    assert!(!client.may_subscribe("telemetry/d1"));
}

#[test]
fn anonymous_is_for_loopback_and_for_names_nobody_has() {
    let fixture = Fixture::new();
    fixture.add("sensor_1");
    fixture.registry.add(group("line3", "line3_"), WALL_MS).unwrap();
    let enter = |peer: &str, user: Option<&str>, client_id: &str| match fixture
        .registry
        .authenticate_anonymous(peer.parse().unwrap(), user, client_id)
    {
        Attempt::Accepted(login) => Some(login),
        _ => None,
    };
    for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(enter(peer, None, "d1").unwrap().device.as_str(), "d1");
        assert_eq!(enter(peer, Some("d2"), "d1").unwrap().device.as_str(), "d2");
    }
    for peer in ["192.0.2.1", "0.0.0.0", "::", "2001:db8::1", "::ffff:192.0.2.1"] {
        assert!(enter(peer, Some("d2"), "d1").is_none());
    }
    for name in ["", "a b", "sensor_1", "line3", "line3_4", "telemetry", "cmd", "d\0"] {
        assert!(enter("::1", Some(name), "d1").is_none(), "{name}");
        assert!(enter("::1", None, name).is_none(), "{name}");
    }
    let login = enter("::1", None, "d1").unwrap();
    assert_eq!(login.role, Role::Device);
    assert!(fixture.registry.is_current(&login));
    fixture.add("d1");
    assert!(!fixture.registry.is_current(&login));
}

#[test]
fn ten_thousand_devices_are_added_in_seconds_and_all_get_in() {
    let fixture = Fixture::new();
    let start = Instant::now();
    let added = fixture.registry.add_many("sensor_", 10_000, WALL_MS).unwrap();
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    assert_eq!((added[0].id.as_str(), added[9_999].id.as_str()), ("sensor_1", "sensor_10000"));
    let fixture = fixture.reopened();
    assert_eq!(fixture.registry.login_count(), 10_000);
    for added in added.iter().step_by(97) {
        assert!(fixture.login(&added.id, added.secret.as_deref().unwrap()).is_some());
    }
    let mut secrets: Vec<_> = added.iter().map(|added| &added.secret).collect();
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 10_000);
}

#[test]
fn no_secret_is_in_the_files() {
    let fixture = Fixture::new();
    let secrets: Vec<_> = (0..20).map(|i| fixture.add(&format!("d{i}"))).collect();
    for file in std::fs::read_dir(fixture.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = std::fs::read(file.path()).unwrap();
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
    let shown = format!("{:?} {:?}", fixture.registry, fixture.registry.list(None, 100));
    assert!(secrets.iter().all(|secret| !shown.contains(secret.as_str())));
}

#[test]
fn a_disabled_device_is_told_from_an_unknown_one() {
    let fixture = Fixture::new();
    fixture.add("sensor_1");
    let disabled = |id: &str| fixture.registry.is_disabled(&DeviceId::new(id).unwrap());
    assert!(!disabled("sensor_1") && !disabled("sensor_2"));
    fixture.registry.disable(&ids(&["sensor_1"]), WALL_MS).unwrap();
    assert!(disabled("sensor_1"));
}

#[test]
fn every_login_holds_its_name_until_it_is_removed() {
    let fixture = Fixture::new();
    fixture.add("sensor_1");
    let reader = NewDevice { role: Role::Application, subscribe: filters(&["#"]), ..device("reader") };
    fixture.registry.add(reader, WALL_MS).unwrap();
    fixture.registry.add(group("fleet", "fleet_"), WALL_MS).unwrap();
    fixture.registry.disable(&["sensor_1".to_owned()], WALL_MS).unwrap();
    assert!(["sensor_1", "reader", "fleet"].iter().all(|name| fixture.registry.is_login(name)));
    let others = ["", "sensor_2", "fleet_1", "SENSOR_1", &"x".repeat(70_000)];
    assert!(!others.iter().any(|name| fixture.registry.is_login(name)));
    fixture.registry.remove(&["sensor_1".to_owned()]).unwrap();
    assert!(!fixture.registry.is_login("sensor_1"));
}

#[test]
fn boots_are_counted() {
    let fixture = Fixture::new();
    assert_eq!(fixture.registry.begin_boot(), Ok(1));
    assert_eq!(fixture.registry.begin_boot(), Ok(2));
    assert_eq!(fixture.reopened().registry.begin_boot(), Ok(3));
}

#[test]
fn logins_go_on_while_others_are_added_and_removed() {
    let fixture = Fixture::new();
    let secret = fixture.add("steady");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut logins = 0;
                while !done.load(Ordering::Relaxed) || logins < 100 {
                    let login = fixture.login("steady", &secret).unwrap();
                    assert!(fixture.registry.is_current(&login));
                    assert!(fixture.login("steady", "wrong").is_none());
                    fixture.registry.note_seen(&login.device, WALL_MS);
                    logins += 1;
                }
            });
        }
        for i in 0..60 {
            let id = format!("passing_{i}");
            let passing = fixture.add(&id);
            let login = fixture.login(&id, &passing).unwrap();
            fixture.registry.remove(std::slice::from_ref(&id)).unwrap();
            assert!(fixture.login(&id, &passing).is_none() && !fixture.registry.is_current(&login));
            fixture.registry.flush().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn notes_are_kept_by_a_flush() {
    let fixture = Fixture::new();
    fixture.add("sensor_1");
    let (sensor, other) = (DeviceId::new("sensor_1").unwrap(), DeviceId::new("other").unwrap());
    fixture.registry.note_seen(&sensor, WALL_MS + 1);
    fixture.registry.note_refused("sensor_1", "wrong password", WALL_MS + 2);
    fixture.registry.note_refused("nobody", "wrong password", WALL_MS + 2);
    fixture.registry.note_reject(&sensor, "31.5 is outside the range", WALL_MS + 1);
    fixture.registry.note_reject(&other, "31.5 is outside the range", WALL_MS + 3);
    fixture.registry.note_qos(&other, 0, WALL_MS + 4);
    fixture.registry.flush().unwrap();
    fixture.registry.flush().unwrap();
    let fixture = fixture.reopened();
    let shown = fixture.registry.show("sensor_1").unwrap();
    assert_eq!(shown.seen_ms, Some(WALL_MS + 1));
    assert_eq!(
        shown.last_refused,
        Some(LastReject { reason: "wrong password".to_owned(), at_ms: WALL_MS + 2 })
    );
    assert_eq!(
        shown.last_reject,
        Some(LastReject { reason: "31.5 is outside the range".to_owned(), at_ms: WALL_MS + 1 })
    );
    assert!(shown.login.is_some() && !shown.qos0_only);
    let shown = fixture.registry.show("other").unwrap();
    assert!(shown.login.is_none() && shown.qos0_only);
    assert_eq!(shown.last_reject.unwrap().reason, "31.5 is outside the range");
    assert_eq!(fixture.registry.qos0_only(10), std::slice::from_ref(&other));
    assert!(fixture.registry.qos0_only(0).is_empty());
    assert_eq!(fixture.registry.show("nobody"), Err(DeviceError::Unknown("nobody".to_owned())));
    fixture.registry.note_qos(&other, 1, WALL_MS + 5);
    assert!(fixture.registry.qos0_only(10).is_empty());
}

#[test]
fn the_owner_is_told_why_a_login_was_refused() {
    let fixture = Fixture::new();
    for id in ["sensor_1", "sensor_2", "fleet_own"] {
        fixture.add(id);
    }
    fixture.registry.add(group("fleet", "fleet_"), WALL_MS).unwrap();
    fixture.registry.disable(&["sensor_2".to_owned()], WALL_MS).unwrap();
    let cases = [
        ("sensor_1", "anything", "wrong password"),
        ("sensor_2", "anything", "disabled"),
        ("fleet", "fleet_1", "wrong password"),
        ("fleet", "truck_1", "client id outside the group"),
        ("fleet", "fleet_own", "client id outside the group"),
        ("fleet", "", "client id outside the group"),
        ("nobody", "", "wrong password"),
    ];
    for (user, client_id, cause) in cases {
        let attempt = fixture.registry.authenticate(user, b"wrong", client_id, NOW_MS);
        assert!(matches!(attempt, Attempt::Refused), "{user} {client_id}");
        assert_eq!(fixture.registry.refusal_cause(user, client_id), cause, "{user} {client_id}");
    }
}

#[test]
fn no_more_notes_than_the_limit() {
    let fixture = Fixture::with(Limits { notes_max: 16, ..Limits::default() });
    for i in 0..100 {
        let device = DeviceId::new(&format!("d{i}")).unwrap();
        fixture.registry.note_reject(&device, "range", WALL_MS + i);
        fixture.registry.flush().unwrap();
    }
    let known = |registry: &Registry| (0..100).filter(|i| registry.show(&format!("d{i}")).is_ok()).count();
    assert!((1..=16).contains(&known(&fixture.registry)));
    assert!((1..=16).contains(&known(&fixture.reopened().registry)));
}

proptest! {
    #[test]
    fn nothing_sent_at_login_panics_or_gets_in(
        user in any::<String>(), password in any::<Vec<u8>>(), client_id in any::<String>(), v6 in any::<u128>(),
    ) {
        thread_local! {
            static FIXTURE: Fixture = {
                let fixture = Fixture::new();
                fixture.registry.add(group("g", "x"), WALL_MS).unwrap();
                fixture
            };
        }
        FIXTURE.with(|fixture| {
            for user in [user.as_str(), "g"] {
                let attempt = fixture.registry.authenticate(user, &password, &client_id, NOW_MS);
                assert!(matches!(attempt, Attempt::Refused));
            }
            let peer = core::net::Ipv6Addr::from(v6).into();
            let _any = fixture.registry.authenticate_anonymous(peer, Some(&user), &client_id);
            let _any = fixture.registry.authenticate_anonymous([127, 0, 0, 1].into(), None, &client_id);
            let _any = fixture.registry.show(&user);
            fixture.registry.note_refused(&user, &client_id, 0);
        });
    }
}

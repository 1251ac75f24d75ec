//! Few, since argon2id takes long without optimisation.

use super::*;

const PASSWORD: &str = "Grünkohl und Pinkel";

fn person(id: &str) -> NewDevice {
    NewDevice {
        role: Role::Application,
        subscribe: filters(&["telemetry/+"]),
        password: Some(PasswordText(PASSWORD.to_owned())),
        ..device(id)
    }
}

fn check(registry: &Registry, user: &str, password: &str, now_ms: u64) -> PersonCheck {
    match registry.authenticate(user, password.as_bytes(), "browser", now_ms) {
        Attempt::Person(check) => check,
        other => panic!("{other:?}"),
    }
}

fn is_accepted(registry: &Registry, user: &str, password: &str, now_ms: u64) -> bool {
    matches!(registry.authenticate(user, password.as_bytes(), "browser", now_ms), Attempt::Accepted(_))
}

#[test]
fn a_person_is_checked_once_and_then_remembered_for_a_while() {
    let limits = Limits { verified_ms_max: 1_000, ..Limits::default() };
    let fixture = Fixture::with(limits);
    let registry = &fixture.registry;
    assert_eq!(registry.add(person("anna"), WALL_MS).unwrap().secret, None);

    let login = check(registry, "anna", PASSWORD, 0).verify().unwrap();
    assert_eq!((&*login.user, login.role), ("anna", Role::Application));
    assert!(registry.is_current(&login));
    registry.add(device("sensor_1"), WALL_MS).unwrap();
    let has_secret = ["anna", "sensor_1", "nobody"].map(|user| registry.has_secret(user));
    assert_eq!(has_secret, [false, true, false]);
    assert!(is_accepted(registry, "anna", PASSWORD, 999));
    assert!(check(registry, "anna", "Grünkohl ohne Pinkel", 999).verify().is_none());
    drop(check(registry, "anna", PASSWORD, 1_000));

    // A change of the login forgets the person too, and a disabled one is refused after the same work.
    registry.disable(&ids(&["anna"]), WALL_MS).unwrap();
    assert!(check(registry, "anna", PASSWORD, 1).verify().is_none());
    assert!(!is_accepted(registry, "anna", PASSWORD, 2));
}

#[test]
fn no_more_checks_are_handed_out_than_the_limit() {
    let fixture = Fixture::with(Limits { person_checks_max: 3, ..Limits::default() });
    fixture.registry.add(person("anna"), WALL_MS).unwrap();
    let mut checks: Vec<_> = (0..3).map(|_| check(&fixture.registry, "anna", "wrong password", 0)).collect();
    let attempt = || fixture.registry.authenticate("anna", b"wrong password", "browser", 0);
    assert!(matches!(attempt(), Attempt::Busy));
    checks.pop();
    assert!(matches!(attempt(), Attempt::Person(_)));
    let shown = format!("{:?}", check(&fixture.registry, "anna", "wrong password", 0));
    assert!(shown.contains("anna") && !shown.contains("wrong"), "{shown}");
}

#[test]
fn no_more_persons_are_remembered_than_the_limit() {
    let fixture = Fixture::with(Limits { verified_persons_max: 1, ..Limits::default() });
    let registry = &fixture.registry;
    for (user, now_ms) in [("anna", 0), ("berta", 1)] {
        registry.add(person(user), WALL_MS).unwrap();
        assert!(check(registry, user, PASSWORD, now_ms).verify().is_some());
    }
    assert!(is_accepted(registry, "berta", PASSWORD, 2));
    assert!(!is_accepted(registry, "anna", PASSWORD, 2));
}

#[test]
fn a_password_has_a_least_and_a_greatest_length() {
    let fixture = Fixture::new();
    for password in ["", "1234567", "üüüüüüü", &"x".repeat(PASSWORD_LEN_MAX + 1)] {
        let new = NewDevice { password: Some(PasswordText(password.to_owned())), ..person("anna") };
        assert!(matches!(fixture.registry.add(new, WALL_MS), Err(DeviceError::Invalid(_))));
    }
    assert_eq!(fixture.registry.login_count(), 0);
    assert!(!format!("{:?}", person("anna")).contains(PASSWORD));
}

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;

#[test]
fn disable_enable_rotate_and_remove_each_end_the_logins_before() {
    let fixture = Fixture::new();
    let registry = &fixture.registry;
    let secret = fixture.add("sensor_1");
    let neighbour_secret = fixture.add("sensor_2");
    let neighbour = fixture.login("sensor_2", &neighbour_secret).unwrap();
    let first = fixture.login("sensor_1", &secret).unwrap();
    assert!(registry.is_current(&first));

    assert_eq!(registry.disable(&ids(&["sensor_1"]), WALL_MS), Ok(1));
    assert!(!registry.is_current(&first) && fixture.login("sensor_1", &secret).is_none());

    assert_eq!(registry.enable(&ids(&["sensor_1"])), Ok(1));
    assert!(!registry.is_current(&first));
    let second = fixture.login("sensor_1", &secret).unwrap();
    assert!(registry.is_current(&second));

    let rotated = registry.rotate("sensor_1").unwrap().secret.unwrap();
    assert!(!registry.is_current(&second) && fixture.login("sensor_1", &secret).is_none());
    let third = fixture.login("sensor_1", &rotated).unwrap();
    assert!(registry.is_current(&third));

    assert_eq!(registry.remove(&ids(&["sensor_1"])), Ok(1));
    assert!(!registry.is_current(&third) && fixture.login("sensor_1", &rotated).is_none());

    let again = fixture.add("sensor_1");
    for old in [&first, &second, &third] {
        assert!(!registry.is_current(old));
    }
    assert!(fixture.login("sensor_1", &again).is_some());
    assert!(registry.is_current(&neighbour));
}

#[test]
fn a_generation_is_not_used_twice_even_after_a_restart() {
    let fixture = Fixture::new();
    let secret = fixture.add("sensor_1");
    let before = fixture.login("sensor_1", &secret).unwrap();
    fixture.registry.remove(&ids(&["sensor_1"])).unwrap();
    let fixture = fixture.reopened();
    fixture.add("sensor_1");
    assert!(!fixture.registry.is_current(&before));
}

#[test]
fn a_group_ends_as_one_and_a_device_of_it_when_it_gets_its_own_login() {
    let fixture = Fixture::new();
    let secret = fixture.registry.add(group("line3", "line3_"), WALL_MS).unwrap().secret.unwrap();
    let one = fixture.login_as("line3", &secret, "line3_1").unwrap();
    let two = fixture.login_as("line3", &secret, "line3_2").unwrap();
    let seen = fixture.registry.changes();
    fixture.add("line3_1");
    assert!(!fixture.registry.is_current(&one) && fixture.registry.is_current(&two));
    let changed = fixture.registry.changed_since(seen).users.unwrap();
    assert_eq!(changed, [Arc::<str>::from("line3_1")]);
    fixture.registry.disable(&ids(&["line3"]), WALL_MS).unwrap();
    assert!(!fixture.registry.is_current(&two));
}

#[test]
fn whoever_is_woken_sees_the_change_done() {
    let fixture = Fixture::new();
    let secret = fixture.add("sensor_1");
    let login = fixture.login("sensor_1", &secret).unwrap();
    let stale_seen = Arc::new(AtomicU64::new(0));
    let (registry, counter, held) = (fixture.registry.clone(), stale_seen.clone(), login.clone());
    fixture.registry.on_change(Box::new(move || {
        if !registry.is_current(&held) && registry.changes() > 1 {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }));
    fixture.registry.disable(&ids(&["sensor_1"]), WALL_MS).unwrap();
    assert_eq!(stale_seen.load(Ordering::SeqCst), 1);
}

#[test]
fn a_change_of_nothing_moves_nothing() {
    let fixture = Fixture::new();
    fixture.add("a");
    let before = fixture.registry.changes();
    assert_eq!(fixture.registry.enable(&ids(&["a", "a"])), Ok(0));
    assert_eq!(fixture.registry.remove(&[]), Ok(0));
    assert_eq!(fixture.registry.add_many("x_", 0, WALL_MS), Ok(Vec::new()));
    assert_eq!(fixture.registry.changes(), before);
    assert_eq!(fixture.registry.disable(&ids(&["a", "a"]), WALL_MS), Ok(1));
    assert_eq!(fixture.registry.remove(&ids(&["a", "a"])), Ok(1));
}

#[test]
fn more_changes_than_are_remembered_ask_for_a_look_at_everybody() {
    let fixture = Fixture::with(Limits { changes_max: 8, ..Limits::default() });
    let seen = fixture.registry.changes();
    fixture.registry.add_many("a_", 8, WALL_MS).unwrap();
    let changes = fixture.registry.changed_since(seen);
    assert_eq!(changes.users.unwrap().len(), 8);
    fixture.add("b");
    assert_eq!(fixture.registry.changed_since(seen), Changes { upto: 9, users: None });
}

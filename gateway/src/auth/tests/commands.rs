use super::*;

fn apply_to(fixture: &Fixture, command: DeviceCommand) -> Result<DeviceAnswer, DeviceError> {
    // Through JSON and back, as over the control socket.
    let command = serde_json::from_str(&serde_json::to_string(&command).unwrap()).unwrap();
    let answer = apply(&fixture.registry, command, WALL_MS)?;
    Ok(serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap())
}

#[test]
fn every_command_is_carried_out() {
    let fixture = Fixture::new();
    let Ok(DeviceAnswer::Added(added)) = apply_to(&fixture, DeviceCommand::Add(Box::new(device("a")))) else {
        panic!()
    };
    assert!(fixture.login("a", added[0].secret.as_ref().unwrap()).is_some());
    let many = DeviceCommand::AddMany { count: 3, prefix: "b_".to_owned() };
    assert!(matches!(apply_to(&fixture, many), Ok(DeviceAnswer::Added(added)) if added.len() == 3));

    let Ok(DeviceAnswer::Shown(shown)) = apply_to(&fixture, DeviceCommand::Show { id: "a".to_owned() })
    else {
        panic!()
    };
    let login = shown.login.unwrap();
    assert_eq!((login.created_ms, login.credential, login.enabled), (WALL_MS, CredentialKind::Secret, true));

    let Ok(DeviceAnswer::Added(rotated)) = apply_to(&fixture, DeviceCommand::Rotate { id: "a".to_owned() })
    else {
        panic!()
    };
    assert_ne!(rotated, added);
    let ids = ids(&["b_1", "b_3"]);
    let changed = |count| Ok(DeviceAnswer::Changed(count));
    assert_eq!(apply_to(&fixture, DeviceCommand::Disable { ids: ids.clone() }), changed(2));
    assert_eq!(apply_to(&fixture, DeviceCommand::Enable { ids: ids.clone() }), changed(2));
    assert_eq!(apply_to(&fixture, DeviceCommand::Remove { ids }), changed(2));
    let Ok(DeviceAnswer::Page { logins, more: false }) =
        apply_to(&fixture, DeviceCommand::List { after: None, count_max: 10 })
    else {
        panic!()
    };
    assert_eq!(logins.iter().map(|login| login.id.as_str()).collect::<Vec<_>>(), ["a", "b_2"]);
}

#[test]
fn a_list_comes_in_pages() {
    let fixture = Fixture::new();
    fixture.registry.add_many("d", LIST_PAGE_MAX + 5, WALL_MS).unwrap();
    let (first, more) = fixture.registry.list(None, u32::MAX);
    assert!(more && first.len() == usize::try_from(LIST_PAGE_MAX).unwrap());
    let (second, more) = fixture.registry.list(Some(&first.last().unwrap().id), u32::MAX);
    assert!(!more && second.len() == 5);
    assert!(first.iter().chain(&second).is_sorted_by_key(|login| &login.id));
    let (least, more) = fixture.registry.list(None, 0);
    assert!(more && least.len() == 1);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let fixture = Fixture::new();
    fixture.add("b_2");
    fixture.registry.add(group("line", "line_"), WALL_MS).unwrap();
    let app = |id: &str| NewDevice { role: Role::Application, subscribe: filters(&["a"]), ..device(id) };
    let client = |id: &str| NewDevice { role: Role::Client, ..device(id) };
    for new in [
        device(""),
        device("a b"),
        device("a/b"),
        device("a\0"),
        device("温度"),
        device(&"x".repeat(65)),
        device("telemetry"),
        device("cmd"),
        NewDevice { publish: filters(&["a"]), ..device("a") },
        NewDevice { subscribe: filters(&["a"]), ..device("a") },
        NewDevice { publish: filters(&["a"]), ..app("a") },
        NewDevice { subscribe: Vec::new(), ..app("a") },
        NewDevice { group: Some("x".to_owned()), ..app("a") },
        client("a"),
        group("a", ""),
        group("a", "x/"),
        group("a", "line_"),
        group("a", "line_1"),
        group("a", "li"),
    ] {
        let error = fixture.registry.add(new.clone(), WALL_MS).unwrap_err();
        assert!(matches!(error, DeviceError::Invalid(_)), "{new:?} {error:?}");
    }
    let exists = Err(DeviceError::Exists("b_2".to_owned()));
    assert_eq!(fixture.registry.add(device("b_2"), WALL_MS).map(|_| ()), exists);
    assert_eq!(fixture.registry.add_many("b_", 3, WALL_MS).map(|_| ()), exists);
    assert!(matches!(fixture.registry.add_many("b/", 3, WALL_MS), Err(DeviceError::Invalid(_))));
    let unknown = DeviceError::Unknown("b_9".to_owned());
    let names = ids(&["b_2", "b_9"]);
    assert_eq!(fixture.registry.disable(&names, WALL_MS), Err(unknown.clone()));
    assert_eq!(fixture.registry.remove(&names), Err(unknown.clone()));
    assert_eq!(fixture.registry.rotate("b_9").map(|_| ()), Err(unknown.clone()));
    assert_eq!(fixture.registry.show("b_9").map(|_| ()), Err(unknown));
    let (logins, _) = fixture.registry.list(None, 100);
    assert_eq!(logins.iter().map(|login| login.id.as_str()).collect::<Vec<_>>(), ["b_2", "line"]);
    assert!(logins.iter().all(|login| login.enabled));
}

#[test]
fn every_limit_of_logins_is_reached_and_kept() {
    let limits = Limits { logins_max: 5, groups_max: 1, filters_max: 2, ..Limits::default() };
    let fixture = Fixture::with(limits);
    let too_many = |result: Result<_, DeviceError>, what: &str| match result {
        Err(DeviceError::TooMany { what: found, .. }) => assert_eq!(found, what),
        other => panic!("{:?}", other.map(|_: Vec<AddedDevice>| ())),
    };
    too_many(fixture.registry.add_many("d", 6, WALL_MS), "logins");
    too_many(fixture.registry.add_many("d", u32::MAX, WALL_MS), "logins");
    let wide = NewDevice { role: Role::Client, publish: filters(&["a", "b", "c"]), ..device("c") };
    too_many(fixture.registry.add(wide, WALL_MS).map(|added| vec![added]), "filters of one login");
    fixture.registry.add(group("g", "g_"), WALL_MS).unwrap();
    too_many(fixture.registry.add(group("h", "h_"), WALL_MS).map(|added| vec![added]), "group logins");
    fixture.registry.add_many("d", 4, WALL_MS).unwrap();
    too_many(fixture.registry.add(device("late"), WALL_MS).map(|added| vec![added]), "logins");
    assert_eq!(fixture.registry.login_count(), 5);
}

#[test]
fn a_filter_that_cannot_be_is_no_command() {
    for text in [
        r#"{"add":{"id":"a","role":"client","publish":["a/#/b"]}}"#,
        r#"{"add":{"id":"a","role":"client","publish":["$SYS/#"]}}"#,
        r#"{"add":{"id":"a","role":"root"}}"#,
        r#"{"add":{"id":"a","role":"device","admin":true}}"#,
    ] {
        assert!(serde_json::from_str::<DeviceCommand>(text).is_err(), "{text}");
    }
    let plain = r#"{"add":{"id":"a","role":"device"}}"#;
    assert!(serde_json::from_str::<DeviceCommand>(plain).is_ok());
}

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::*;
use crate::auth::{
    acl::Rights, command::LastReject, credentials::Credential, filter::Filter, login::Role, notes::Note,
};

fn entry(user: &str, generation: u64) -> Entry {
    let filters = |texts: &[&str]| texts.iter().map(|text| Filter::new(text).unwrap()).collect();
    let rights = Rights { publish: filters(&["a/+", "温/#"]), subscribe: filters(&["b"]) };
    Entry {
        user: user.into(),
        device: DeviceId::new(user).unwrap(),
        role: Role::Client,
        rights: Arc::new(rights),
        credential: Credential::make_secret().unwrap().0,
        enabled: generation.is_multiple_of(2),
        created_ms: 1_700_000_000_000,
        group: Some("x_".into()),
        generation,
    }
}

fn users(store: &Store) -> Vec<String> {
    store.read(100).unwrap().logins.iter().map(|entry| entry.user.to_string()).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_was_written_reads_back_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (one, two) = (entry("one", 3), entry("two", 4));
    let note = Note {
        seen_ms: Some(5),
        reject: Some(LastReject { reason: "ütz\0\n".to_owned(), at_ms: 6 }),
        refused: Some(LastReject { reason: "disabled".to_owned(), at_ms: 8 }),
        qos0: true,
        acknowledged: false,
        touched_ms: 7,
    };
    let device = DeviceId::new("two").unwrap();
    {
        let mut store = Store::open(&path).unwrap();
        store.change(&[one.clone(), two.clone(), entry("gone", 4)], &[], 4).unwrap();
        store.change(&[], &["gone".into()], 5).unwrap();
        store.write_notes(&[(device.clone(), note.clone())], 10).unwrap();
    }
    let stored = Store::open(&path).unwrap().read(10).unwrap();
    assert_eq!(stored.generation, 5);
    assert_eq!(stored.notes, [(device, note)]);
    for (read, written) in stored.logins.iter().zip([one, two]) {
        assert_eq!(read.detail(), written.detail());
        assert_eq!(read.credential.stored(), written.credential.stored());
        assert_eq!(read.generation, written.generation);
    }
    assert_eq!(stored.logins.len(), 2);
}

#[test]
fn a_file_of_the_first_schema_keeps_its_notes_and_learns_of_refused_logins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.execute_batch("INSERT INTO note VALUES ('d', 1, 'range', 2, 0, 1, 3)").unwrap();
    old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    set_mode(&path, 0o600);
    let mut store = Store::open(&path).unwrap();
    let (device, mut note) = store.read(10).unwrap().notes.pop().unwrap();
    assert_eq!(note.reject, Some(LastReject { reason: "range".to_owned(), at_ms: 2 }));
    assert_eq!((note.refused.clone(), note.seen_ms, note.touched_ms), (None, Some(1), 3));
    note.refused = Some(LastReject { reason: "wrong password".to_owned(), at_ms: 4 });
    store.write_notes(&[(device.clone(), note.clone())], 10).unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().read(10).unwrap().notes, [(device, note)]);
}

#[test]
fn boots_count_from_one_across_openings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    for boot in 1..=3 {
        assert_eq!(Store::open(&path).unwrap().begin_boot(), Ok(boot));
    }
}

#[test]
fn a_boot_count_that_is_used_up_is_an_error_and_not_a_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("state.db")).unwrap();
    let last = i64::from(u32::MAX);
    store.connection.execute("UPDATE meta SET value = ?1 WHERE name = 'boot'", [last - 1]).unwrap();
    assert_eq!(store.begin_boot(), Ok(u32::MAX));
    assert!(matches!(store.begin_boot(), Err(StoreError::Failed(_))));
}

#[test]
fn every_file_is_for_the_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path).unwrap();
    store.change(&[entry("one", 1)], &[], 1).unwrap();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.iter().any(|file| file.file_name() == "state.db-wal"));
    for file in &files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    assert!(!folder.path().join("state.db-shm").exists());
}

#[test]
fn readable_secrets_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(Store::open(&path).unwrap());
    for mode in [0o640, 0o604, 0o660, 0o601, 0o777] {
        set_mode(&path, mode);
        let error = Store::open(&path).err().unwrap();
        assert!(matches!(error, OpenError::Readable { mode: found, .. } if found == mode));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    set_mode(&path, 0o600);
    drop(Store::open(&path).unwrap());
    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = folder.path().join(format!("state.db{suffix}"));
        fs::write(&beside, b"").unwrap();
        set_mode(&beside, 0o644);
        assert!(matches!(Store::open(&path), Err(OpenError::Readable { path, .. }) if path == beside));
        fs::remove_file(&beside).unwrap();
    }
}

#[test]
fn one_opener_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let first = Store::open(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::InUse { .. })));
    drop(first);
    drop(Store::open(&path).unwrap());
}

#[test]
fn what_is_no_state_db_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "not a database, but long enough to have a header; ".repeat(20)).unwrap();
    let other = folder.path().join("other");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    for path in [&text, &other] {
        set_mode(path, 0o600);
        let before = fs::read(path).unwrap();
        assert!(matches!(Store::open(path), Err(OpenError::Damaged { .. })), "{path:?}");
        assert_eq!(fs::read(path).unwrap(), before);
    }
    assert!(matches!(Store::open(&folder.path().join("none/state.db")), Err(OpenError::Io { .. })));
    assert!(matches!(Store::open(folder.path()), Err(OpenError::Readable { .. } | OpenError::Io { .. })));
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    Store::open(&path).unwrap().connection.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::Newer { found: 99, .. })));
}

#[test]
fn a_row_that_makes_no_sense_is_damage_and_never_a_login() {
    let folder = tempfile::tempdir().unwrap();
    for (column, value) in [
        ("user", "'a/b'"),
        ("role", "'root'"),
        ("credential", "'none'"),
        ("salt", "x'00'"),
        ("hash", "x''"),
        ("publish", "'a' || char(10) || '#/b'"),
        ("subscribe", "'$SYS/#'"),
        ("credential", "'password'"),
    ] {
        let path = folder.path().join(format!("{column}{}.db", value.len()));
        let mut store = Store::open(&path).unwrap();
        store.change(&[entry("one", 1)], &[], 1).unwrap();
        store.connection.execute(&format!("UPDATE login SET {column} = {value}"), []).unwrap();
        let error = store.read(10).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{column} {error}");
    }
}

/// A power cut leaves some beginning of the log. Whatever it is, a change is there whole or not at all.
#[test]
fn a_change_survives_a_cut_of_the_log_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let wal = folder.path().join("state.db-wal");
    let mut store = Store::open(&path).unwrap();
    store.change(&[entry("first", 1)], &[], 1).unwrap();
    let before = fs::metadata(&wal).unwrap().len();
    let many: Vec<_> = (0..60).map(|i| entry(&format!("d{i}"), 2)).collect();
    store.change(&many, &["first".into()], 2).unwrap();
    let (database, log) = (fs::read(&path).unwrap(), fs::read(&wal).unwrap());
    assert!(log.len() > usize::try_from(before).unwrap() + 4 * 4096);
    let mut outcomes = std::collections::BTreeSet::new();
    for cut in (usize::try_from(before).unwrap()..log.len()).step_by(700).chain([log.len()]) {
        let copy = folder.path().join(format!("copy{cut}.db"));
        fs::write(&copy, &database).unwrap();
        fs::write(folder.path().join(format!("copy{cut}.db-wal")), &log[..cut]).unwrap();
        set_mode(&copy, 0o600);
        set_mode(&folder.path().join(format!("copy{cut}.db-wal")), 0o600);
        let store = Store::open(&copy).unwrap();
        let (users, generation) = (users(&store), store.read(0).unwrap().generation);
        match generation {
            1 => assert_eq!(users, ["first"]),
            2 => assert!(users.len() == 60 && !users.contains(&"first".to_owned())),
            _ => panic!("generation {generation}"),
        }
        outcomes.insert(generation);
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_full_disk_undoes_the_change_and_is_no_poison() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("state.db")).unwrap();
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.connection.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).unwrap();
    let many: Vec<_> = (0..500).map(|i| entry(&format!("d{i}"), 1)).collect();
    assert_eq!(store.change(&many, &[], 1), Err(StoreError::Full));
    assert_eq!(store.failure(), None);
    assert!(users(&store).is_empty());
    store.change(&many[..1], &[], 1).unwrap();
    assert_eq!(users(&store), ["d0"]);
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut store = Store::open(&path).unwrap();
    store.change(&[entry("one", 1)], &[], 1).unwrap();
    let trigger = "CREATE TEMP TRIGGER broken BEFORE INSERT ON login WHEN new.user = 'two'
                   BEGIN SELECT raise(ABORT, 'disk I/O error'); END";
    store.connection.execute_batch(trigger).unwrap();
    let failed = store.change(&[entry("zero", 2), entry("two", 2)], &[], 2).unwrap_err();
    assert_eq!(failed, StoreError::Failed("disk I/O error".to_owned()));
    assert_eq!(store.change(&[entry("three", 3)], &[], 3), Err(failed.clone()));
    assert_eq!(store.begin_boot(), Err(failed.clone()));
    assert_eq!(store.failure(), Some(&failed));
    assert_eq!(users(&store), ["one"]);
    drop(store);
    assert_eq!(users(&Store::open(&path).unwrap()), ["one"]);
}

#[test]
fn notes_beyond_the_limit_are_forgotten_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("state.db")).unwrap();
    for i in 0..50_u64 {
        let note = Note { touched_ms: i, ..Note::default() };
        store.write_notes(&[(DeviceId::new(&format!("d{i}")).unwrap(), note)], 20).unwrap();
    }
    let notes = store.read(1_000).unwrap().notes;
    assert_eq!(notes.len(), 20);
    assert!(notes.iter().all(|(_, note)| note.touched_ms >= 30));
    assert_eq!(store.read(5).unwrap().notes.iter().map(|(_, n)| n.touched_ms).min(), Some(45));
}

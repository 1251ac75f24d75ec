use std::{convert::Infallible, fs, os::unix::fs::PermissionsExt as _, path::Path};

use clap::Parser as _;
use tidegate_protocol::DeviceId;

use super::*;
use crate::auth::{Attempt, DeviceError, Registry, apply};

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(subcommand)]
    args: DeviceArgs,
}

const WALL_MS: u64 = 1_700_000_000_000;

struct Fixture {
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().join("state.db")).unwrap();
        Self { registry, folder }
    }

    fn run(&self, words: &[&str]) -> Result<String, DeviceCliError<DeviceError>> {
        let args = Cli::try_parse_from([&["device"], words].concat()).unwrap().args;
        let mut out = Vec::new();
        let executor = |command| apply(&self.registry, command, WALL_MS);
        Run { executor, out: &mut out, ask_password: || Ok("correct horse".to_owned()) }.run(&args)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn gets_in(&self, user: &str, secret: &str) -> bool {
        matches!(self.registry.authenticate(user, secret.as_bytes(), "c", 0), Attempt::Accepted(_))
    }

    fn leftovers(&self) -> usize {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().contains("partial")).count()
    }
}

fn refused(words: &[&str]) -> bool {
    Cli::try_parse_from([&["device"], words].concat()).is_err()
}

#[test]
fn a_device_is_added_and_its_secret_printed() {
    let fixture = Fixture::new();
    let text = fixture.run(&["add", "sensor_1"]).unwrap();
    let secret = text.lines().find_map(|line| line.trim().strip_prefix("secret  ")).unwrap();
    assert!(fixture.gets_in("sensor_1", secret), "{text}");
    assert!(matches!(
        fixture.run(&["add", "sensor_1"]),
        Err(DeviceCliError::Registry(DeviceError::Exists(_)))
    ));
    let text = fixture.run(&["rotate", "sensor_1"]).unwrap();
    assert!(!fixture.gets_in("sensor_1", secret) && text.contains("new secret for sensor_1"));
}

#[test]
fn many_are_added_with_their_secrets_in_a_private_file() {
    let fixture = Fixture::new();
    let path = fixture.file("creds.csv");
    let text = fixture.run(&["add", "--count", "10000", "--prefix", "sensor_", "--out", &path]).unwrap();
    assert!(text.starts_with("added 10000 logins in "), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = fs::read_to_string(&path).unwrap();
    for (number, line) in lines.lines().enumerate() {
        let (device, secret) = line.split_once(',').unwrap();
        assert_eq!(device, format!("sensor_{}", number + 1));
        assert!(number % 997 != 0 || fixture.gets_in(device, secret));
    }
    assert_eq!((lines.lines().count(), fixture.leftovers()), (10_000, 0));

    let before = fixture.registry.login_count();
    let again = fixture.run(&["add", "--count", "2", "--prefix", "other_", "--out", &path]);
    assert!(
        matches!(again, Err(DeviceCliError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists)
    );
    assert_eq!((fixture.registry.login_count(), fs::read_to_string(&path).unwrap()), (before, lines));
}

#[test]
fn a_refused_add_leaves_no_file_and_a_wrong_folder_adds_nothing() {
    let fixture = Fixture::new();
    fixture.run(&["add", "sensor_2"]).unwrap();
    let path = fixture.file("creds.csv");
    fixture.run(&["add", "--count", "3", "--prefix", "sensor_", "--out", &path]).unwrap_err();
    assert!(!Path::new(&path).exists() && fixture.leftovers() == 0);
    for path in [fixture.file("none/creds.csv"), "/".to_owned(), fixture.file("..")] {
        fixture.run(&["add", "--count", "3", "--prefix", "a_", "--out", &path]).unwrap_err();
    }
    assert_eq!(fixture.registry.login_count(), 1);
}

#[test]
fn logins_are_taken_back_when_their_secrets_cannot_be_written() {
    let fixture = Fixture::new();
    let path = fixture.file("creds.csv");
    let args = Cli::try_parse_from(["device", "add", "--count", "3", "--prefix", "a_", "--out", &path])
        .unwrap()
        .args;
    let executor = |command| {
        let answer = apply(&fixture.registry, command, WALL_MS);
        // Somebody else takes the name in between.
        fs::write(&path, "theirs").unwrap();
        answer
    };
    let mut out = Vec::new();
    let error = Run { executor, out: &mut out, ask_password: || Ok(String::new()) }.run(&args).unwrap_err();
    assert!(error.to_string().contains("nothing was added"), "{error}");
    assert_eq!((fixture.registry.login_count(), fixture.leftovers(), out.len()), (0, 0, 0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
}

#[test]
fn many_without_a_file_are_lines_to_read_on() {
    let fixture = Fixture::new();
    let text = fixture.run(&["add", "--count", "2", "--prefix", "d"]).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once(',').unwrap()).collect();
    assert!(lines.len() == 2 && lines.iter().all(|(device, secret)| fixture.gets_in(device, secret)));
}

#[test]
fn list_and_show_say_what_is_known() {
    let fixture = Fixture::new();
    fixture.run(&["add", "sensor_1"]).unwrap();
    fixture.run(&["add", "line3", "--group", "line3_"]).unwrap();
    let client = [
        "add",
        "field",
        "--role",
        "client",
        "--publish",
        "telemetry//+",
        "--publish",
        "x/#",
        "--subscribe",
        "a",
    ];
    fixture.run(&client).unwrap();
    fixture.run(&["disable", "line3"]).unwrap();
    let text = fixture.run(&["list"]).unwrap();
    assert!(text.contains("each of group line3_* as itself") && text.contains("disabled"), "{text}");
    assert!(
        text.contains("publishes telemetry//+ x/#, subscribes a") && text.ends_with("3 logins\n"),
        "{text}"
    );
    assert!(text.contains("2023-11-14T22:13:20Z"), "{text}");
    let json = fixture.run(&["list", "--json"]).unwrap();
    let names: Vec<_> =
        json.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["id"].clone()).collect();
    assert_eq!(names, ["field", "line3", "sensor_1"]);

    let sensor = DeviceId::new("sensor_1").unwrap();
    fixture.registry.note_reject(&sensor, "topic \x1b[2J of another device", WALL_MS);
    fixture.registry.note_refused("sensor_1", "wrong password", WALL_MS + 1_000);
    fixture.registry.note_qos(&sensor, 0, WALL_MS);
    let text = fixture.run(&["show", "sensor_1"]).unwrap();
    assert!(text.contains("refused login 2023-11-14T22:13:21Z  wrong password"), "{text}");
    assert!(
        text.contains("last reject   2023-11-14T22:13:20Z  topic \u{fffd}[2J of another device"),
        "{text}"
    );
    assert!(text.contains("QoS 0 only") && text.contains("last heard    2023-"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&fixture.run(&["show", "sensor_1", "--json"]).unwrap()).unwrap();
    assert_eq!(json["last_reject"]["at_ms"], WALL_MS);
    assert!(fixture.run(&["show", "line3"]).unwrap().contains("last reject   none"));
    fixture.run(&["show", "nobody"]).unwrap_err();
}

#[test]
fn changes_say_what_they_did() {
    let fixture = Fixture::new();
    fixture.run(&["add", "--count", "3", "--prefix", "d"]).unwrap();
    assert_eq!(fixture.run(&["disable", "d1", "d2"]).unwrap(), "disabled 2 logins\n");
    assert_eq!(fixture.run(&["disable", "d1"]).unwrap(), "already disabled\n");
    assert_eq!(fixture.run(&["enable", "d1"]).unwrap(), "enabled 1 login\n");
    assert_eq!(fixture.run(&["remove", "d1", "d3"]).unwrap(), "removed 2 logins\n");
    assert_eq!(fixture.registry.login_count(), 1);
}

#[test]
fn a_person_has_a_password_and_no_secret_is_printed() {
    let fixture = Fixture::new();
    let words = ["add", "anna", "--role", "application", "--subscribe", "#", "--password"];
    assert_eq!(fixture.run(&words).unwrap(), "added anna\n");
    let attempt = fixture.registry.authenticate("anna", b"correct horse", "c", 0);
    assert!(matches!(attempt, Attempt::Person(_)));
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    for words in [
        &["add"][..],
        &["add", "--count", "3"],
        &["add", "--prefix", "a"],
        &["add", "--count", "0", "--prefix", "a"],
        &["add", "x", "--count", "3", "--prefix", "a"],
        &["add", "--count", "3", "--prefix", "a", "--role", "client"],
        &["add", "--count", "3", "--prefix", "a", "--password"],
        &["add", "x", "--password", "secret"],
        &["add", "x", "--role", "root"],
        &["add", "x", "--role", "client", "--publish", "a/#/b"],
        &["add", "x", "--role", "client", "--subscribe", "$SYS/#"],
        &["disable"],
        &["remove"],
        &["show"],
    ] {
        assert!(refused(words), "{words:?}");
    }
    assert!(!refused(&["add", "x", "--out", "f"]));
}

#[test]
fn a_list_of_many_comes_whole_and_a_wrong_answer_is_said() {
    let fixture = Fixture::new();
    fixture.run(&["add", "--count", "2500", "--prefix", "d"]).unwrap();
    assert_eq!(fixture.run(&["list", "--json"]).unwrap().lines().count(), 2_500);
    let wrong = |_| Ok::<_, Infallible>(DeviceAnswer::Changed(1));
    for words in [&["device", "list"][..], &["device", "show", "x"], &["device", "add", "x"]] {
        let args = Cli::try_parse_from(words).unwrap().args;
        assert!(matches!(run(&args, wrong, &mut Vec::new()), Err(DeviceCliError::Answer)));
    }
}

#[test]
fn a_reader_that_has_seen_enough_of_a_list_is_no_error_but_a_lost_secret_is() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let fixture = Fixture::new();
    fixture.run(&["add", "x"]).unwrap();
    for (words, fine) in [
        (&["device", "list"][..], true),
        (&["device", "list", "--json"], true),
        (&["device", "show", "x", "--json"], true),
        (&["device", "add", "y"], false),
    ] {
        let args = Cli::try_parse_from(words).unwrap().args;
        let done = run(&args, |command| apply(&fixture.registry, command, WALL_MS), &mut Closed);
        assert_eq!(done.is_ok(), fine, "{words:?}");
    }
}

#[test]
fn the_help_teaches() {
    let help = Cli::try_parse_from(["device", "add", "--help"]).unwrap_err().to_string();
    for word in ["--count 1000 --prefix sensor_", "telemetry//+", "--group", "printed once"] {
        assert!(help.contains(word), "{help}");
    }
}

#[test]
fn what_one_registry_wrote_another_imports() {
    let (one, other) = (Fixture::new(), Fixture::new());
    let path = one.file("creds.csv");
    one.run(&["add", "--count", "2500", "--prefix", "d", "--out", &path]).unwrap();
    assert_eq!(other.run(&["import", &path]).unwrap(), format!("imported 2500 logins from {path}\n"));
    for line in fs::read_to_string(&path).unwrap().lines().step_by(499) {
        let (device, secret) = line.split_once(',').unwrap();
        assert!(other.gets_in(device, secret) && !other.gets_in(device, "wrong"));
    }
    let again = other.run(&["import", &path]).unwrap_err().to_string();
    assert!(again.contains("line 1: d1 exists already") && again.ends_with("and 2480 more"), "{again}");
    assert_eq!(other.registry.login_count(), 2_500);
}

#[test]
fn passwords_in_clear_are_imported_as_persons() {
    let fixture = Fixture::new();
    let path = fixture.file("boards.csv");
    fs::write(&path, "board,correct horse,application\nfield,battery staple,client\n").unwrap();
    let refused = fixture.run(&["import", &path]).unwrap_err().to_string();
    assert!(refused.contains("an application needs at least one filter"), "{refused}");
    assert_eq!(fixture.registry.login_count(), 0);
    let words = ["import", &path, "--subscribe", "telemetry/+", "--publish", "telemetry//+"];
    assert!(fixture.run(&words).unwrap().starts_with("imported 2 logins"));
    let check = |user, password: &str| match fixture.registry.authenticate(user, password.as_bytes(), "c", 0)
    {
        Attempt::Person(check) => check.verify(),
        other => panic!("{other:?}"),
    };
    assert!(check("board", "correct horse").is_some() && check("board", "battery staple").is_none());
    let field = check("field", "battery staple").unwrap();
    assert!(field.may_publish("telemetry//d1").is_ok() && field.may_subscribe("telemetry/d1"));
}

#[test]
fn a_password_file_of_mosquitto_keeps_its_passwords() {
    let fixture = Fixture::new();
    let path = fixture.file("passwd");
    let lines = [
        "new:$7$101$sx87XZi33oxTJr1w$iWK9J0k4BEuFLOZbnB2Xnj6/aIMS7WM+YPyM9N9rzupD+vMcWvY9pFgUFlgAeffnl2qxBc5bxZwhi7slVETREg==",
        "old:$6$0xQvpKmZ3nIINazO$U9PKupI6qlEmOVcc3GxJjB0ieExBn7mHepiasiL4DRBah8p+6Qvqy0s+zyM0FTOOtr65He2wFMQM9NWdJBXCXQ==",
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let text = fixture.run(&["import", &path]).unwrap();
    assert!(
        text.starts_with("imported 2 logins from ") && text.contains("1 password hashed in one round"),
        "{text}"
    );
    for user in ["new", "old"] {
        for (password, right) in [("correct horse", true), ("correct cow", false)] {
            let attempt = fixture.registry.authenticate(user, password.as_bytes(), "c", 0);
            let Attempt::Person(check) = attempt else { panic!("{attempt:?}") };
            assert_eq!(check.verify().is_some(), right, "{user} {password}");
        }
    }
}

#[test]
fn a_single_device_of_a_group_is_kept_out_and_let_in_again() {
    let fixture = Fixture::new();
    let text = fixture.run(&["add", "line3", "--group", "line3_"]).unwrap();
    let secret = text.lines().find_map(|line| line.trim().strip_prefix("secret  ")).unwrap().to_owned();
    let login = |device: &str| match fixture.registry.authenticate("line3", secret.as_bytes(), device, 0) {
        Attempt::Accepted(login) => Some(login),
        _ => None,
    };
    let (seven, eight) = (login("line3_7").unwrap(), login("line3_8").unwrap());
    assert_eq!(fixture.run(&["disable", "line3_7"]).unwrap(), "disabled 1 login\n");
    assert!(login("line3_7").is_none() && !fixture.registry.is_current(&seven));
    assert!(fixture.registry.is_disabled(&DeviceId::new("line3_7").unwrap()));
    assert!(login("line3_8").is_some() && fixture.registry.is_current(&eight));
    assert!(!fixture.gets_in("line3_7", "") && !fixture.gets_in("line3_7", &secret));
    assert_eq!(fixture.run(&["disable", "line3_7"]).unwrap(), "already disabled\n");
    assert_eq!(fixture.run(&["enable", "line3_7"]).unwrap(), "enabled 1 login\n");
    assert!(login("line3_7").is_some());
    assert_eq!(fixture.run(&["enable", "line3_7"]).unwrap(), "already enabled\n");
    assert_eq!(fixture.registry.login_count(), 1);
    fixture.run(&["disable", "line4_7"]).unwrap_err();
    fixture.run(&["disable", "line3_ 7"]).unwrap_err();
}

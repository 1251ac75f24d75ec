//! Logins as their owner handles them while a gateway runs: imported, given a new secret, kept out, let in again.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use tidegate_tests::{Gateway, Login, publish_as};

const READING: [&str; 6] = ["-q", "1", "-t", "telemetry", "-m", r#"{"temperature":23.4}"#];

fn gets_in(gateway: &Gateway, user: &str, password: &str) -> bool {
    gets_in_as(gateway, user, password, user)
}

fn gets_in_as(gateway: &Gateway, user: &str, password: &str, client_id: &str) -> bool {
    let login = Login { user: user.to_owned(), password: password.to_owned() };
    publish_as(gateway, &login, &[&READING[..], &["-i", client_id]].concat()).status.success()
}

/// `mosquitto_passwd WORDS… FILE USER PASSWORD`
fn hash(file: &Path, words: &[&str], user: &str, password: &str) {
    let mut command = Command::new("mosquitto_passwd");
    command.args(words).arg("-b").arg(file).args([user, password]);
    let output = command.output().expect("mosquitto_passwd is installed");
    assert!(output.status.success(), "{output:?}");
}

fn file(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.dir.join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_password_file_of_mosquitto_is_imported_and_its_passwords_let_in() {
    let gateway = Gateway::start();
    let path = file(&gateway, "passwd");
    fs::write(&path, "").expect("the folder is there");
    hash(&path, &[], "kitchen", "correct horse");
    hash(&path, &["-H", "sha512"], "cellar", "battery staple");
    assert!(!gets_in(&gateway, "kitchen", "correct horse"), "it is not there yet");
    let said = gateway.command(&["device", "import", text(&path)]);
    assert!(said.contains("imported 2 logins"), "{said}");
    for (user, right) in [("kitchen", "correct horse"), ("cellar", "battery staple")] {
        assert!(gets_in(&gateway, user, right), "{user}");
        for wrong in ["", "correct horse battery staple", "wrong"] {
            assert!(!gets_in(&gateway, user, wrong), "{user} with {wrong:?}");
        }
    }
    let shown = gateway.command(&["tail", "--from", "oldest", "-n", "2"]);
    assert!(shown.contains("kitchen") && shown.contains("cellar"), "{shown}");
}

#[test]
fn a_file_with_one_wrong_line_imports_nothing() {
    let gateway = Gateway::start();
    let path = file(&gateway, "creds.csv");
    let secret = "0123456789abcdef0123456789abcdef";
    fs::write(&path, format!("one,{secret}\nsensor_1,{secret}\ntwo words,{secret}\n"))
        .expect("the folder is there");
    let output = gateway.try_command(&["device", "import", text(&path)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("line 2: sensor_1 exists already") && said.contains("line 3: \"two words\""),
        "{said}"
    );
    assert!(!gets_in(&gateway, "one", secret));
    fs::write(&path, format!("one,{secret}\ntwo,{secret}\n")).expect("the folder is there");
    gateway.command(&["device", "import", text(&path)]);
    assert!(gets_in(&gateway, "one", secret) && gets_in(&gateway, "two", secret));
}

#[test]
fn twenty_thousand_logins_of_another_gateway_are_imported_at_once() {
    let (one, other) = (Gateway::make(), Gateway::start());
    let path = file(&one, "creds.csv");
    one.command(&["device", "add", "--count", "20000", "--prefix", "d", "--out", text(&path)]);
    let said = other.command(&["device", "import", text(&path)]);
    assert!(said.contains("imported 20000 logins"), "{said}");
    let lines = fs::read_to_string(&path).expect("it was written");
    let (device, secret) = lines.lines().last().and_then(|line| line.split_once(',')).expect("a line");
    assert!(gets_in(&other, device, secret) && !gets_in(&other, device, "wrong"));
}

#[test]
fn a_login_is_rotated_disabled_and_enabled_while_the_gateway_runs() {
    let gateway = Gateway::start();
    let Login { user, password } = gateway.device.clone();
    let said = gateway.command(&["device", "rotate", &user]);
    let secret = said.lines().find_map(|line| line.trim().strip_prefix("secret  ")).expect("a new secret");
    assert!(!gets_in(&gateway, &user, &password) && gets_in(&gateway, &user, secret));
    gateway.command(&["device", "disable", &user]);
    assert!(!gets_in(&gateway, &user, secret));
    gateway.command(&["device", "enable", &user]);
    assert!(gets_in(&gateway, &user, secret));
}

#[test]
fn one_device_of_a_group_is_kept_out_and_let_in_again() {
    let gateway = Gateway::start();
    let said = gateway.command(&["device", "add", "line3", "--group", "line3_"]);
    let secret = said.lines().find_map(|line| line.trim().strip_prefix("secret  ")).expect("a secret");
    let gets_in = |device: &str| gets_in_as(&gateway, "line3", secret, device);
    assert!(gets_in("line3_7") && gets_in("line3_8"));
    gateway.command(&["device", "disable", "line3_7"]);
    assert!(!gets_in("line3_7") && gets_in("line3_8"));
    gateway.command(&["device", "enable", "line3_7"]);
    assert!(gets_in("line3_7"));
}

/// Bytes that no request has.
const REQUEST_BYTES: usize = 100 * 1024 * 1024;

#[test]
fn requests_longer_than_the_limit_are_told_and_cost_little_memory() {
    let gateway = Gateway::start();
    let socket = gateway.dir.join("control.sock");
    let (before, _) = gateway.memory_kib();
    let ask = || {
        let mut stream = UnixStream::connect(&socket).expect("the socket is there");
        let part = vec![b'x'; 1024 * 1024];
        (0..REQUEST_BYTES / part.len()).try_for_each(|_| stream.write_all(&part))?;
        stream.write_all(b"\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().expect("no panic")).collect()
    });
    let told = answers.iter().flatten().filter(|answer| answer.contains("a request has at most")).count();
    assert!(told > 0, "{answers:?}");
    assert!(answers.iter().flatten().all(|answer| answer.contains("error")), "{answers:?}");
    let (_, most) = gateway.memory_kib();
    assert!(most - before < 2 * 40 * 1024, "{before} KiB, then up to {most} KiB");
    assert!(gateway.command(&["status"]).starts_with("lost 0, "));
    assert!(publish_as(&gateway, &gateway.device, &READING).status.success());
}

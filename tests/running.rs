//! What makes the gateway pleasant to run: pages, the log, figures for the disk; and the tests' own script.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tidegate_tests::{
    Acknowledged, Client, Gateway, Hurt, Load, Metrics, PlainDisk, SmallDisk, Version, eventually, http,
    http_get, missing_at_last, ran, read_credentials, run, tidegate, within,
};

const READING: &[u8] = br#"{"temperature":23.4}"#;

fn metrics(gateway: &Gateway) -> Metrics {
    let page = http_get(gateway.http_port, "/metrics");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{}", page.head);
    Metrics::read(&page.body)
}

/// Another device's publish is acknowledged.
fn assert_serves(gateway: &Gateway) {
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    assert_eq!(client.publish_and_wait("telemetry", READING, 1), 0);
}

#[test]
fn metrics_are_prometheus_text_with_the_numbers_of_status() {
    let gateway = Gateway::start();
    let before = metrics(&gateway);
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    for id in 1..=20 {
        assert_eq!(client.publish_and_wait("telemetry", READING, id), 0);
    }
    assert!(client.publish_and_wait("telemetry//other", READING, 21) >= 0x80, "not its own");
    eventually("all is delivered", || (gateway.status()["oldest_unsent_ms"].is_null()).then_some(()));
    let (after, status) = (metrics(&gateway), gateway.status());
    assert_eq!(after.get("tidegate_messages_accepted_total"), 20.0);
    assert_eq!(after.get("tidegate_messages_denied_total"), 1.0);
    assert_eq!(after.get("tidegate_connections"), 1.0);
    assert_eq!(after.get(r#"tidegate_spool_records{lane="telemetry"}"#), 20.0);
    assert_eq!(after.get(r#"tidegate_output_delivered_records_total{output="file"}"#), 20.0);
    assert_eq!(after.get(r#"tidegate_output_oldest_unsent_seconds{output="file"}"#), 0.0);
    assert_eq!(
        after.get("tidegate_spool_disk_bytes"),
        status["spool"]["disk_bytes"].as_f64().expect("a number")
    );
    assert_eq!(after.get("tidegate_spool_commit_seconds_count"), status["spool"]["writes"]["commits"]);
    assert_eq!(after.get("tidegate_still_threads"), 0.0);
    // Each was acknowledged before the next was sent: 20 commits of a block.
    let blocks =
        after.get("tidegate_spool_written_bytes_total") - before.get("tidegate_spool_written_bytes_total");
    assert!(blocks >= 20.0 * 4096.0, "{blocks}");
    assert!(after.get("tidegate_spool_commit_seconds_sum") > 0.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(after.get(&format!("tidegate_build_info{{version=\"{version}\"}}")), 1.0);
}

#[test]
fn a_full_spool_is_alive_and_not_ready() {
    let disk = SmallDisk::make(1);
    let mut gateway = Gateway::make();
    gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "8MB""#);
    symlink(disk.path(), gateway.out()).expect("the output is not there yet");
    gateway.run();
    assert_eq!(http_get(gateway.http_port, "/readyz").status, 200);
    assert_eq!(http_get(gateway.http_port, "/livez").body, "alive\n");
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    let payload = vec![b'x'; 60_000];
    assert!((1..2_000).any(|id| client.publish_and_wait("blob", &payload, id) >= 0x80), "it fills up");
    let page = http_get(gateway.http_port, "/readyz");
    assert_eq!(page.status, 503);
    assert!(page.body.contains("no room on the disk"), "{}", page.body);
    assert_eq!(http_get(gateway.http_port, "/livez").status, 200, "to start again would not make room");
    let metrics = metrics(&gateway);
    assert_eq!(metrics.get("tidegate_spool_full"), 1.0);
    assert!(metrics.get("tidegate_messages_shed_total") >= 1.0);
}

#[test]
fn requests_that_are_none_of_the_pages_business() {
    let gateway = Gateway::start();
    let ask = |request: &str| {
        let answer = http(gateway.http_port, request.as_bytes());
        answer.unwrap_or_else(|error| panic!("no answer to {request:?}: {error}")).status
    };
    for path in
        ["/", "/metrics/", "/..%2f..%2fetc%2fpasswd", "/../../etc/passwd", "/metrics/../../state.db", "/%00"]
    {
        assert_eq!(http_get(gateway.http_port, path).status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(ask(&format!("{method} /metrics HTTP/1.1\r\nHost: a\r\n\r\n")), 405, "{method}");
    }
    for head in ["Content-Length: 1073741824", "Transfer-Encoding: chunked"] {
        assert_eq!(ask(&format!("POST /metrics HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")), 413, "{head}");
        assert_eq!(ask(&format!("GET /livez HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")), 413, "{head}");
    }
    let long = "x".repeat(9_000);
    assert_eq!(ask(&format!("GET /livez HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")), 431, "header_bytes_max");
    assert!([414, 431].contains(&ask(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"))));
    let many: String = (0..100).map(|n| format!("X{n}: 1\r\n")).collect();
    assert_eq!(ask(&format!("GET /livez HTTP/1.1\r\nHost: a\r\n{many}\r\n")), 431, "lines of a header");
    for wrong in [
        "\u{16}\u{3}\u{1}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = http(gateway.http_port, wrong.as_bytes());
        assert!(!matches!(&answer, Ok(answer) if answer.status < 400), "{wrong:?}: {answer:?}");
    }
    assert_eq!(http_get(gateway.http_port, "/livez").status, 200);
    assert_serves(&gateway);
}

#[test]
fn who_sends_slowly_is_hung_up_on() {
    let mut gateway = Gateway::make();
    gateway.configure("# [http.limits]", "[http.limits]\nheader_ms_max = 700\nrequest_ms_max = 1500");
    gateway.run();
    let begin = Instant::now();
    let mut slow = TcpStream::connect(("127.0.0.1", gateway.http_port)).expect("it listens");
    slow.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    let mut dribble = slow.try_clone().expect("a socket");
    let writer = thread::spawn(move || {
        for byte in
            b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: 1234567890123456789012345678901234567890"
        {
            if dribble.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    let mut answer = Vec::new();
    let _ended = slow.read_to_end(&mut answer);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(6), "{took:?}");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    drop(slow);
    writer.join().expect("it only writes");
    assert_serves(&gateway);
}

#[test]
fn silent_connections_give_way_to_new_ones() {
    let mut gateway = Gateway::make();
    gateway.configure("connections_max = 64 ", "connections_max = 5 ");
    gateway.run();
    let connect = || TcpStream::connect(("127.0.0.1", gateway.http_port)).expect("it listens");
    let mut silent: Vec<TcpStream> = (0..40).map(|_| connect()).collect();
    assert_eq!(http_get(gateway.http_port, "/livez").status, 200);
    for stream in &mut silent[..30] {
        stream.set_read_timeout(Some(Duration::from_secs(3))).expect("a socket");
        let hung_up = match stream.read(&mut [0; 16]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(hung_up, "all but the last are hung up on");
    }
    let turned_away = metrics(&gateway).get("tidegate_http_turned_away_total");
    assert!((35.0..=37.0).contains(&turned_away), "{turned_away}");
    assert_serves(&gateway);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let mut gateway = Gateway::make();
    let _other = TcpListener::bind(("127.0.0.1", gateway.http_port)).expect("it was free");
    let failure = gateway.try_run().expect_err("it does not start");
    let place = format!("cannot listen on 127.0.0.1:{}", gateway.http_port);
    assert!(failure.log.contains(&place) && failure.log.contains("[http]"), "{}", failure.log);
    gateway.configure("[http]\nenabled = true", "[http]\nenabled = false");
    gateway.run();
    assert_serves(&gateway);
}

#[test]
fn the_pages_stay_on_loopback() {
    let mut gateway = Gateway::make();
    gateway.configure("lan = false", "lan = true");
    gateway.run();
    let sockets = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let listening = |port: u16| -> Vec<&str> {
        let port = format!(":{port:04X} ");
        sockets.lines().filter(|line| line.contains(&port) && line.contains(" 0A ")).collect()
    };
    assert!(listening(gateway.port).iter().all(|line| line.contains(" 00000000:")), "MQTT is let out");
    let pages = listening(gateway.http_port);
    assert!(!pages.is_empty() && pages.iter().all(|line| line.contains(" 0100007F:")), "{pages:?}");
}

#[test]
fn the_log_says_more_for_a_while() {
    let mut gateway = Gateway::start();
    let refused = |gateway: &Gateway| {
        let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
        client.publish_and_wait("telemetry//other", READING, 1);
        drop(client);
        gateway.log().matches("DEBUG tidegate::pipeline: refused").count()
    };
    assert_eq!(refused(&gateway), 0, "info");
    let said = gateway.command(&["log", "tidegate::pipeline=debug", "--for", "3s"]);
    assert!(
        said.starts_with("info,tidegate::pipeline=debug until ") && said.ends_with(", then info\n"),
        "{said}"
    );
    assert_eq!(refused(&gateway), 1);
    assert_eq!(gateway.status()["log"]["filter"], "info,tidegate::pipeline=debug");

    gateway.configure(r#"level = "info""#, r#"level = "warn""#);
    gateway.signal(Signal::HUP);
    eventually("SIGHUP is for afterwards", || (gateway.status()["log"]["lasting"] == "warn").then_some(()));
    assert_eq!(refused(&gateway), 2, "it stays for its time");
    eventually("it ends by itself", || (gateway.command(&["log"]) == "warn\n").then_some(()));
    assert_eq!(refused(&gateway), 2);

    gateway.command(&["log", "debug", "--for", "1h"]);
    assert_eq!(refused(&gateway), 3);
    assert_eq!(gateway.command(&["log", "--reset"]), "warn\n");
    assert_eq!(refused(&gateway), 3);
    for wrong in [["dbug", "1s"], ["tidegate=loud", "1s"], ["debug", "8d"]] {
        let mut command = Command::new(tidegate());
        command.args(["log", wrong[0], "--for", wrong[1], "-c"]).arg(gateway.config_path());
        let refused = run(&mut command);
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}: {refused:?}");
    }
    assert_eq!(gateway.command(&["log"]), "warn\n", "a wrong wish changes nothing");
}

/// What the spool writes in `time`, and the readings it takes.
fn written(gateway: &Gateway, time: Duration) -> (f64, f64) {
    let read = || {
        let page = metrics(gateway);
        (page.get("tidegate_spool_written_bytes_total"), page.get("tidegate_messages_accepted_total"))
    };
    let (bytes, readings) = read();
    thread::sleep(time);
    let (bytes_after, readings_after) = read();
    (bytes_after - bytes, readings_after - readings)
}

/// `column` of what `tidegate size` says of so many readings in `time`, scaled to that time.
fn reckoned(readings: f64, time: Duration, column: &str) -> f64 {
    let rate = format!("{readings:.0}/{}s", time.as_secs());
    let printed = ran(Command::new(tidegate()).args([
        "size",
        "--devices",
        "1",
        "--payload",
        "52",
        "--json",
        "--rate",
        &rate,
    ]));
    let answer: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    answer[column]["written_bytes_per_day"].as_f64().expect("a number") * time.as_secs_f64() / 86_400.0
}

/// The prediction is for readings that come evenly: what a run writes is at most a tenth more and no less than two
/// thirds.
fn assert_near(found: f64, reckoned: f64) {
    println!("{found:.0} bytes written, {reckoned:.0} reckoned: {:.2}", found / reckoned);
    assert!(found <= reckoned * 1.1 && found >= reckoned * 0.66, "{found} written, {reckoned} reckoned");
}

#[test]
fn size_reckons_what_a_run_writes() {
    const TIME: Duration = Duration::from_secs(8);
    let mut gateway = Gateway::make();
    gateway.configure("sd_card = false", "sd_card = true ");
    gateway.run();
    let logins = read_credentials(&gateway.add_devices(4, "virtual_"));
    let load = Load::start(gateway.port, &logins, &Acknowledged::new());
    thread::sleep(Duration::from_secs(2));
    let (bytes, readings) = written(&gateway, TIME);
    load.stop();
    assert_near(bytes, reckoned(readings, TIME, "sd_card_true"));
    assert!(gateway.stop().success());

    // One by one: each is a commit.
    gateway.configure("sd_card = true ", "sd_card = false");
    gateway.run();
    let device = gateway.device.clone();
    let port = gateway.port;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = thread::spawn(move || {
        let mut client = Client::login(port, Version::V5, &device);
        let mut id = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            thread::sleep(Duration::from_millis(5));
            id = id % 60_000 + 1;
            assert_eq!(client.publish_and_wait("telemetry", READING, id), 0);
        }
    });
    thread::sleep(Duration::from_secs(2));
    let (bytes, readings) = written(&gateway, TIME);
    drop(stop);
    sender.join().expect("every reading is acknowledged");
    assert!(readings > 50.0, "{readings}");
    assert_near(bytes, reckoned(readings, TIME, "sd_card_false"));
    let per_day =
        gateway.status()["spool"]["writes"]["bytes_per_day"].as_f64().expect("some seconds are over");
    let told = bytes / TIME.as_secs_f64() * 86_400.0;
    assert!(
        per_day > told / 4.0 && per_day < told * 4.0,
        "{per_day} a day in status, {told} while it was loaded"
    );
}

/// A ramfs refuses O_DIRECT, so the spool has to sync each commit by a call of its own; failing that call shows that
/// it is made and that the acknowledgement waits for it.
#[test]
fn where_direct_writes_are_refused_each_commit_is_synced() {
    let disk = PlainDisk::make();
    let mut gateway = Gateway::make_at(&disk.path().join("try"));
    // A ramfs says of itself that nothing is free.
    gateway.configure(r#"reserve_free = "100MB""#, r#"reserve_free = "0MB""#);
    gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "20MB""#);
    // With an interval the spool's own thread writes, which is the one that is hurt.
    gateway.configure("sd_card = false", "commit_interval_ms = 1\nsd_card = false");
    gateway.run();
    let logins = read_credentials(&gateway.add_devices(2, "virtual_"));
    let before = Load::start(gateway.port, &logins, &Acknowledged::new());
    thread::sleep(Duration::from_secs(1));
    let acknowledged = before.stop();
    assert!(acknowledged.values().all(|last| *last > 10), "{acknowledged:?}");

    let _hurt = Hurt::thread(&gateway, "spool-writer", "fdatasync:error=EIO:when=5");
    let load = Load::start(gateway.port, &logins, &acknowledged);
    assert_eq!(gateway.wait(Duration::from_secs(30)).code(), Some(74), "{}", gateway.log());
    let acknowledged = load.stop();
    gateway.run();
    assert_eq!(missing_at_last(&acknowledged, &gateway.out()), 0);
    assert_serves(&gateway);
}

/// Stands for a test that mounts something and leaves a process of its own behind.
const FAKE_CARGO: &str = "#!/bin/sh
mkdir \"$TMPDIR/mount\"
mount -t tmpfs tidegate-test \"$TMPDIR/mount\"
sleep 300 &
echo $$ $! \"$TMPDIR\" >\"$TOLD\"
sleep 300
";

#[test]
fn a_test_run_that_is_terminated_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cargo = folder.path().join("cargo");
    fs::write(&cargo, FAKE_CARGO).expect("a file in a folder of our own");
    ran(Command::new("chmod").arg("+x").arg(&cargo));
    let told = folder.path().join("told");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").expect("a PATH"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("run");
    let mut script = Command::new(script)
        .arg("tidy")
        .env("PATH", path)
        .env("TOLD", &told)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("tests/run is there");
    let line = within(Duration::from_secs(60), || {
        fs::read_to_string(&told).ok().filter(|line| line.ends_with('\n'))
    });
    let line = line.expect("the part runs");
    let words: Vec<&str> = line.split_whitespace().collect();
    let [part, child, scratch] = words[..] else { panic!("{line}") };
    rustix::process::kill_process(rustix::process::Pid::from_child(&script), Signal::TERM).expect("it runs");
    let status = within(Duration::from_secs(10), || script.try_wait().expect("a child of this process"));
    assert_eq!(status.and_then(|status| status.code()), Some(143), "at once, not at the end of the part");
    for process in [part, child] {
        eventually("its processes are gone", || (!Path::new("/proc").join(process).exists()).then_some(()));
    }
    assert!(!Path::new(scratch).exists(), "{scratch}");
    let mounts = fs::read_to_string("/proc/mounts").expect("Linux");
    assert!(!mounts.contains(scratch), "{mounts}");
}

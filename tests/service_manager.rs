//! What a service manager is told, and when the watchdog starves: a thread that hangs, and not a slow disk.

use std::{path::Path, process::Command, time::Duration};

use rustix::process::Signal;
use tidegate_tests::{
    Acknowledged, Gateway, Hurt, Load, Metrics, NotifySocket, SmallDisk, http_get, read_credentials, run,
    within,
};

/// What the service manager asks for.
const WATCHDOG: Duration = Duration::from_secs(2);

fn watched(notify: &NotifySocket) -> Gateway {
    let mut gateway = Gateway::make();
    watch(&mut gateway, notify);
    gateway
}

/// Has it started as a service manager would.
fn watch(gateway: &mut Gateway, notify: &NotifySocket) {
    gateway.with_environment("NOTIFY_SOCKET", notify.path());
    gateway.with_environment("WATCHDOG_USEC", &WATCHDOG.as_micros().to_string());
}

/// By systemd's own measure: below 2 of 10.
#[test]
fn the_unit_lets_it_do_what_it_needs_and_little_more() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/tidegate.service");
    let mut analyze = Command::new("systemd-analyze");
    let analyzed = run(analyze.args(["security", "--offline=true", "--threshold=20"]).arg(unit));
    let said = String::from_utf8_lossy(&analyzed.stdout);
    assert!(analyzed.status.success() && said.contains("Overall exposure level"), "{said}");
}

#[test]
fn the_service_manager_is_told() {
    let notify = NotifySocket::bind();
    let mut gateway = watched(&notify);
    gateway.run();
    let ready = notify.wait_for("READY=1", Duration::from_secs(10));
    assert!(ready.iter().any(|line| line.starts_with("STATUS=MQTT on 127.0.0.1:")), "{ready:?}");
    let fed = notify.count("WATCHDOG=1", Duration::from_secs(5));
    assert!((3..=7).contains(&fed), "fed {fed} times in 5 s, asked for every 2 s");

    gateway.signal(Signal::HUP);
    let reloading = notify.wait_for("RELOADING=1", Duration::from_secs(10));
    let at = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
    assert!(at.is_some_and(|at| at > 0), "{reloading:?}");
    notify.wait_for("READY=1", Duration::from_secs(10));

    gateway.signal(Signal::TERM);
    notify.wait_for("STOPPING=1", Duration::from_secs(10));
    assert!(gateway.wait(Duration::from_secs(30)).success());
}

#[test]
fn a_worker_that_hangs_starves_the_watchdog() {
    let notify = NotifySocket::bind();
    let mut gateway = watched(&notify);
    gateway.run();
    notify.wait_for("WATCHDOG=1", Duration::from_secs(10));
    let hurt = Hurt::thread(&gateway, "worker-0", "epoll_wait:delay_enter=60000000:when=1");
    let status = notify.wait_for("STATUS=worker-0 stands still", Duration::from_secs(30));
    assert_eq!(notify.count("WATCHDOG=1", 3 * WATCHDOG), 0, "after {status:?}");
    let page = http_get(gateway.http_port, "/livez");
    assert_eq!(page.status, 503);
    assert!(page.body.contains("worker-0 stands still"), "{}", page.body);
    assert_eq!(
        Metrics::read(&http_get(gateway.http_port, "/metrics").body).get("tidegate_still_threads"),
        1.0
    );
    drop(hurt);
    notify.wait_for("WATCHDOG=1", Duration::from_secs(90));
    assert_eq!(http_get(gateway.http_port, "/livez").status, 200);
}

/// Has the disk stand still for 16 s under the thread `name` of a gateway on which devices publish: the watchdog is fed
/// all the while, and the pages say what is wrong.
fn assert_fed_while_the_disk_stands_still(gateway: &mut Gateway, notify: &NotifySocket, name: &str) {
    gateway.run();
    notify.wait_for("WATCHDOG=1", Duration::from_secs(10));
    let logins = read_credentials(&gateway.add_devices(2, "virtual_"));
    let load = Load::start(gateway.port, &logins, &Acknowledged::new());
    within(Duration::from_secs(10), || (load.acknowledged().len() == 2).then_some(())).expect("both begin");
    let hurt = Hurt::thread(gateway, name, "pwrite64:delay_exit=16000000:when=1");
    let not_ready = within(Duration::from_secs(20), || {
        let page = http_get(gateway.http_port, "/readyz");
        assert_eq!(http_get(gateway.http_port, "/livez").status, 200);
        page.body.contains("the disk has not answered for").then_some(())
    });
    assert!(not_ready.is_some(), "{}", gateway.log());
    let fed = notify.count("WATCHDOG=1", Duration::from_millis(500));
    assert!(fed >= 8, "fed {fed} times in more than 10 s");
    let before = load.acknowledged();
    let ready = || (http_get(gateway.http_port, "/readyz").status == 200).then_some(());
    assert!(within(Duration::from_secs(30), ready).is_some(), "the disk has answered: {}", gateway.log());
    drop(hurt);
    let go_on = || load.acknowledged().iter().all(|(device, last)| *last > before[device]).then_some(());
    assert!(within(Duration::from_secs(10), go_on).is_some(), "{:?} after {before:?}", load.acknowledged());
    load.stop();
    assert!(gateway.is_running());
}

#[test]
fn a_disk_that_stands_still_does_not_starve_the_watchdog() {
    let notify = NotifySocket::bind();
    let mut gateway = watched(&notify);
    // With an interval the spool's own thread writes.
    gateway.configure("sd_card = false", "commit_interval_ms = 1\nsd_card = false");
    assert_fed_while_the_disk_stands_still(&mut gateway, &notify, "spool-writer");
}

#[test]
fn a_disk_that_stands_still_under_a_worker_does_not_starve_the_watchdog() {
    let notify = NotifySocket::bind();
    // In memory, where a commit is always quick, so that the worker writes by itself.
    let disk = SmallDisk::make(120);
    let mut gateway = Gateway::make_at(&disk.path().join("try"));
    watch(&mut gateway, &notify);
    gateway.configure(r#"max_disk = "2GB""#, r#"max_disk = "20MB""#);
    gateway.configure(r#"reserve_free = "100MB""#, r#"reserve_free = "1MB""#);
    gateway.configure("# threads = 2", "threads = 1");
    assert_fed_while_the_disk_stands_still(&mut gateway, &notify, "worker-0");
}

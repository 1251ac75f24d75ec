//! A bus that fails in every way we could think of, under load: nothing acknowledged is lost, order is kept, and what
//! comes twice has the same id.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tidegate_tests::{
    BusClient, BusConsumer, BusLogin, Client, Gate, Gateway, Part, RocketMq, Simulator, SmallDisk, Version,
    count_from, run, simulator, within,
};

use crate::{
    SECURE,
    audit::{assert_ids, audit, drained, gateway_to, output_status},
};

const DRAINED_MAX: Duration = Duration::from_secs(180);
/// From the return of a broker to a backlog of a few seconds that is gone.
const RECOVERED_MAX: Duration = Duration::from_secs(20);
const DEVICES: usize = 50;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Waits until the output says that it is in trouble, and what it says.
fn trouble(gateway: &Gateway) -> String {
    let told = within(seconds(120), || {
        thread::sleep(Duration::from_millis(200));
        output_status(gateway, "trouble").as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    });
    told.expect("the output says that it is in trouble")
}

/// Reads all of `iot-topic` with the Java client and compares.
fn assert_whole(bus: &RocketMq, gateway: &Gateway, login: BusLogin<'_>) -> Vec<Value> {
    let consumer = BusConsumer::start_as(bus, login, BusClient::Java, &["-group", "alert-consumer-group"]);
    let count = usize::try_from(bus.count("iot-topic")).expect("it fits");
    let messages = consumer.wait_for(count, DRAINED_MAX);
    let found = audit(gateway, &messages);
    println!("{count} messages on the bus: {found:?}");
    assert_eq!((found.lost, found.out_of_order), (0, 0), "{found:?}");
    assert_ids(&messages);
    messages
}

#[test]
fn a_broker_that_hangs_dies_and_stays_away_loses_nothing_under_load() {
    let away = count_from("TIDEGATE_BUS_AWAY_SECONDS", 60);
    let bus = RocketMq::start();
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let duration = format!("{}s", 75 + away);
    let words = ["--interval", "200ms", "--duration", &duration, "--audit-wait", "120s"];
    // Its consumer meets each fault too.
    let load = Simulator::start_on_bus(&gateway, &bus, DEVICES, &words);
    thread::sleep(seconds(5));

    bus.signal(Part::Broker, Signal::STOP);
    thread::sleep(seconds(12));
    bus.signal(Part::Broker, Signal::CONT);
    println!("after a hang of 12 s: {:?}", drained_under_load(&gateway));

    bus.kill(Part::Broker);
    assert!(!trouble(&gateway).is_empty());
    bus.up(&[]);
    let (waiting, time) = drained_under_load(&gateway);
    println!("after a kill and restart: {waiting} records in {time:?}");
    // The wait between two tries is 5 s at most, and a try that meets a broker in its start may take three.
    assert!(time < RECOVERED_MAX, "{time:?} with a load average of {}", load_average());

    // The name server tells where the broker is; that is known already.
    bus.kill(Part::NameServer);
    thread::sleep(seconds(5));
    bus.up(&[]);
    println!("after a name server's absence: {:?}", drained_under_load(&gateway));

    bus.kill(Part::Broker);
    assert!(!trouble(&gateway).is_empty());
    thread::sleep(seconds(away));
    bus.up(&[]);
    let (waiting, time) = drained_under_load(&gateway);
    println!(
        "after {away} s away: {waiting} records in {time:?}, {:.0} a second",
        waiting as f64 / time.as_secs_f64()
    );

    let report = load.finish(seconds(300));
    report.assert_nothing_lost();
    assert_eq!(report.number("acknowledged"), report.number("planned"), "{}", report.json);
    drained(&gateway, DRAINED_MAX);
    assert_eq!(output_status(&gateway, "dead_letters"), 0);
    let messages = assert_whole(&bus, &gateway, BusLogin::default());
    let duplicates = audit(&gateway, &messages).duplicates as u64;
    // A repetition is one window for each fault at the most.
    assert!(duplicates <= 4 * 8_192, "{duplicates} duplicates");
}

fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default()
}

/// Waits until no more than a moment's records are unsent; how many there were, and how long it took.
fn drained_under_load(gateway: &Gateway) -> (u64, Duration) {
    let start = Instant::now();
    let unsent = || output_status(gateway, "unsent").as_u64().expect("a count");
    let waiting = unsent();
    let calm = within(DRAINED_MAX, || {
        thread::sleep(Duration::from_millis(100));
        (unsent() < 100 && output_status(gateway, "trouble") == "").then_some(())
    });
    assert!(calm.is_some(), "{} unsent: {}", unsent(), output_status(gateway, "trouble"));
    (waiting, start.elapsed())
}

#[test]
fn a_gateway_that_is_killed_sends_the_rest_again_with_the_same_ids() {
    let bus = RocketMq::lend();
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let words = ["--interval", "100ms", "--duration", "25s", "--retransmit-wait", "500ms"];
    let load = Simulator::start(&gateway, DEVICES, &words);
    for round in 0..4 {
        // At odd moments: before, within and behind a batch.
        thread::sleep(Duration::from_millis(3_000 + 370 * round));
        gateway.kill();
        thread::sleep(Duration::from_millis(500));
        gateway.run();
    }
    load.finish(seconds(180)).assert_nothing_lost();
    drained(&gateway, DRAINED_MAX);
    assert_whole(&bus, &gateway, BusLogin::default());
}

#[test]
fn a_missing_topic_is_told_and_waited_for() {
    let bus = RocketMq::lend();
    bus.admin(&["delete-topic", "iot-topic"]);
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    let payload = |seq: u16| format!("{{\"boot\":1,\"seq\":{seq},\"values\":{{\"temperature\":{seq}}}}}");
    for seq in 1..=20 {
        client.publish_and_wait("telemetry", payload(seq).as_bytes(), seq);
    }
    let told = trouble(&gateway);
    let line =
        format!("mqadmin updateTopic -n {} -c DefaultCluster -t iot-topic -r 8 -w 8", bus.name_server());
    assert!(told.contains(&line), "{told}");
    // What is for another topic does not wait for it.
    let two_values = |seq: u16| format!("{{\"boot\":1,\"seq\":{seq},\"values\":{{\"a\":1,\"b\":2}}}}");
    for seq in 21..=40 {
        client.publish_and_wait("telemetry", two_values(seq).as_bytes(), seq);
    }
    let others = within(seconds(20), || (bus.count("iot-device-topic") == 20).then_some(()));
    assert!(others.is_some(), "{} of another topic: {}", bus.count("iot-device-topic"), trouble(&gateway));
    // Killed meanwhile, it sends those again, with the same ids, and still has those that wait.
    gateway.kill();
    gateway.run();
    let again = within(seconds(20), || (bus.count("iot-device-topic") == 40).then_some(()));
    assert!(again.is_some(), "{} of another topic", bus.count("iot-device-topic"));
    bus.admin(&line.split_whitespace().collect::<Vec<_>>());
    drained(&gateway, DRAINED_MAX);
    assert_eq!((bus.count("iot-topic"), bus.count("iot-device-topic")), (20, 40));
    assert_eq!(output_status(&gateway, "dead_letters"), 0);
    assert_eq!(output_status(&gateway, "trouble"), "");
}

/// So much may go ahead of what waits, `AHEAD_BYTES_MAX` of the bridge, and a batch.
const AHEAD_BYTES_MAX: u64 = 32 << 20;

#[test]
fn no_more_goes_ahead_of_a_missing_topic_than_may_come_again() {
    let bus = RocketMq::lend();
    bus.admin(&["delete-topic", "iot-topic"]);
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    client.publish_and_wait("telemetry", b"21.5", 1);
    let large = vec![0xFF; 250_000];
    for id in 2..160 {
        client.publish_and_wait("plant/blob", &large, id);
    }
    let told = within(seconds(60), || {
        thread::sleep(Duration::from_millis(200));
        trouble(&gateway).contains("bytes of records have gone ahead").then_some(())
    });
    assert!(told.is_some(), "{}", trouble(&gateway));
    let (ahead, large) = (bus.count("iot-device-topic"), large.len() as u64);
    assert!(((AHEAD_BYTES_MAX / large)..=(AHEAD_BYTES_MAX / large) + 4).contains(&ahead), "{ahead}");
    bus.create_topic("iot-topic", 8);
    drained(&gateway, DRAINED_MAX);
    assert_eq!((bus.count("iot-topic"), bus.count("iot-device-topic")), (1, 158));
}

/// Messages of a quarter of a megabyte: more than 64 MB, a file of the broker's log.
const LARGE: u16 = 300;

#[test]
fn a_broker_without_room_is_waited_for() {
    let disk = SmallDisk::make(512);
    let bus = RocketMq::start_on(disk.path(), &[]);
    let mut gateway = gateway_to(&bus, "");
    // Nothing but what is large goes to the topic of devices.
    gateway.configure("above = 35.0 ", "above = 99.0 ");
    gateway.run();
    // More than one file of the broker's log: without room it would give up the first, read or not.
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    let large = vec![0xFF; 250_000];
    for id in 1..=LARGE {
        client.publish_and_wait("plant/blob", &large, id);
    }
    drained(&gateway, DRAINED_MAX);
    let load = Simulator::start(&gateway, 10, &["--interval", "200ms", "--duration", "100s"]);
    // Beyond this share of the disk the broker takes nothing more; it looks after a minute, then every ten seconds.
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![1; 300 << 20]).expect("room for it");
    bus.admin(&["config", "diskSpaceWarningLevelRatio=40"]);
    println!("no room: {}", trouble(&gateway));
    let before = bus.count("iot-topic");
    thread::sleep(seconds(5));
    assert_eq!(bus.count("iot-topic"), before, "the broker takes nothing");
    fs::remove_file(filler).expect("it is there");
    println!("room again: {:?}", drained_under_load(&gateway));

    load.finish(seconds(240)).assert_nothing_lost();
    drained(&gateway, DRAINED_MAX);
    assert_eq!(output_status(&gateway, "dead_letters"), 0);
    assert_eq!(bus.count("iot-device-topic"), u64::from(LARGE), "the broker still has what nobody has read");
    assert_whole(&bus, &gateway, BusLogin::default());
}

#[test]
fn a_connection_that_is_dead_on_one_side_is_given_up() {
    let bus = RocketMq::start();
    let gate = Gate::start(Ipv4Addr::new(127, 0, 0, 2), bus.broker().parse().expect("an address"));
    // The name server tells everybody to come through the gate.
    bus.kill(Part::Broker);
    bus.up(&["--advertise", "127.0.0.2"]);
    let mut gateway = gateway_to(&bus, "");
    gateway.run();
    let load = Simulator::start(&gateway, 20, &["--interval", "200ms", "--duration", "30s"]);
    let is_used = within(seconds(60), || (gate.connections() > 0).then_some(()));
    assert!(is_used.is_some(), "the gateway comes through the gate");
    for _ in 0..3 {
        thread::sleep(seconds(4));
        let before = gate.connections();
        gate.hang();
        let anew = within(seconds(60), || (gate.connections() > before).then_some(()));
        assert!(anew.is_some(), "the gateway gives up a connection that hangs");
        println!("after a connection that hung: {:?}", drained_under_load(&gateway));
    }
    load.finish(seconds(180)).assert_nothing_lost();
    drained(&gateway, DRAINED_MAX);
    assert!(gate.connections() >= 4, "{}", gate.connections());
    assert_whole(&bus, &gateway, BusLogin::default());
}

#[test]
fn wrong_credentials_are_told_and_right_ones_deliver() {
    let bus = RocketMq::lend_with(&SECURE);
    let wrong = bus.data.with_file_name("secret");
    fs::write(&wrong, "0123456789abcdef0123456789abcdef\n").expect("a temporary file");
    let words = format!(
        "tls = true\nca_file = \"{}\"\naccess_key = \"tidegate\"\nsecret_key_file = \"{}\"",
        bus.ca().display(),
        wrong.display()
    );
    let mut gateway = gateway_to(&bus, &words);
    gateway.run();
    let state = gateway.dir.join("state.json");
    let state = state.to_str().expect("a plain path");
    let words = ["--interval", "200ms", "--duration", "10s", "--state", state];
    let load = Simulator::start(&gateway, 10, &words);
    let told = trouble(&gateway);
    println!("wrong credentials: {told}");
    load.finish(seconds(120)).assert_nothing_lost();
    assert_eq!(bus.count("iot-topic"), 0);
    // The user gets the secret that the gateway has; nobody restarts the gateway.
    bus.admin(&["user", "tidegate", "--password-file", wrong.to_str().expect("a plain path")]);
    drained(&gateway, DRAINED_MAX);
    let audit = format!("rocketmq://tidegate@{}?topic=iot-topic", bus.name_server());
    let (secret, ca) = (bus.secret_file("tidegate"), bus.ca());
    let audited = |secret: &Path| {
        let mut simulator = Command::new(simulator());
        simulator.args(["audit", "--state", state, "--audit", &audit, "--audit-wait", "5s"]);
        run(simulator.arg("--audit-secret-file").arg(secret).arg("--audit-ca").arg(&ca))
    };
    let [right, old] = [audited(&wrong), audited(&secret)];
    assert!(right.status.success(), "{right:?}");
    assert!(!old.status.success() && String::from_utf8_lossy(&old.stderr).contains("16"), "{old:?}");
    fs::copy(&wrong, secret).expect("the secret of the consumer");
    assert_whole(&bus, &gateway, BusLogin { user: Some("tidegate"), tls: true });
}

#[test]
fn a_certificate_of_a_stranger_is_refused() {
    let bus = RocketMq::lend_with(&SECURE);
    let stranger = stranger_ca(&bus);
    let words = format!(
        "access_key = \"tidegate\"\nsecret_key_file = \"{}\"\ntls = true\nca_file = \"{}\"",
        bus.secret_file("tidegate").display(),
        stranger.display()
    );
    let mut gateway = gateway_to(&bus, &words);
    gateway.run();
    let mut client = Client::login(gateway.port, Version::V5, &gateway.device);
    client.publish_and_wait("telemetry", br#"{"boot":1,"seq":1,"values":{"temperature":20.5}}"#, 1);
    let told = trouble(&gateway).to_lowercase();
    println!("a stranger's certificate: {told}");
    assert!(told.contains("certificate"), "{told}");
    assert_eq!(bus.count("iot-topic"), 0);
    assert!(gateway.stop().success());
    gateway.configure(stranger.to_str().expect("a plain path"), bus.ca().to_str().expect("a plain path"));
    gateway.run();
    drained(&gateway, DRAINED_MAX);
    assert_whole(&bus, &gateway, BusLogin { user: Some("tidegate"), tls: true });
}

/// The certificate of an authority that has signed nothing here.
fn stranger_ca(bus: &RocketMq) -> std::path::PathBuf {
    let path = bus.data.with_file_name("stranger.crt");
    let key = bus.data.with_file_name("stranger.key");
    let words =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let mut command = std::process::Command::new("openssl");
    command.args(words).args(["-subj", "/CN=stranger", "-keyout"]).arg(&key).arg("-out").arg(&path);
    tidegate_tests::ran(&mut command);
    path
}

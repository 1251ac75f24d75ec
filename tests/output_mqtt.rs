//! The output `mqtt` against a real mosquitto: what arrives, and in which order, whatever happens to the broker.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tidegate_tests::{Gateway, Load, eventually, free_ports, publish, ran, read_credentials, within};

const ARRIVE_MAX: Duration = Duration::from_secs(60);

/// A mosquitto with a folder of its own.
struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Broker {
    /// Started with these lines in its configuration. `{dir}` stands for its folder.
    fn start(lines: &str) -> Self {
        let mut broker = Self::make(lines);
        broker.run();
        broker
    }

    /// As [`Broker::start`], not running.
    fn make(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [port] = free_ports();
        let broker = Self { folder, port, child: None };
        broker.configure(lines);
        broker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, lines: &str) {
        let dir = self.folder.path().display().to_string();
        let own = format!(
            "listener {} 127.0.0.1\nuser root\npersistence true\npersistence_location {dir}/\nmax_inflight_messages 0\n\
             max_queued_messages 0\nqueue_qos0_messages false\n",
            self.port
        );
        fs::write(self.path("mosquitto.conf"), own + &lines.replace("{dir}", &dir)).expect("a file");
    }

    fn run(&mut self) {
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(self.path("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed");
        self.child = Some(child);
        eventually("mosquitto listens", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("it runs")), signal)
            .expect("it takes signals");
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _status = self.child.take().expect("it runs").wait();
    }

    /// Stops it in order, and starts it again.
    fn restart(&mut self) {
        self.signal(Signal::TERM);
        let _status = self.child.take().expect("it runs").wait();
        self.run();
    }

    /// A password file with one user.
    fn set_password(&self, user: &str, password: &str) {
        let file = self.path("passwords");
        ran(Command::new("mosquitto_passwd").args(["-c", "-b"]).arg(&file).args([user, password]));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended = child.kill();
            let _status = child.wait();
        }
    }
}

/// `mosquitto_sub` of a session that the broker keeps, and every line it has printed.
struct Listener {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    fn start(broker: &Broker, words: &[&str]) -> Self {
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
            .args(["-d", "-q", "1", "-c", "-i", "listener"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub is installed");
        let printed = BufReader::new(child.stdout.take().expect("a pipe"));
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let keep = Arc::clone(&lines);
        thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let listener = Self { child, lines };
        eventually("the listener is subscribed", || {
            listener.all().iter().any(|line| line.starts_with("Subscribed")).then_some(())
        });
        listener
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The messages, without what `-d` says beside.
    fn messages(&self) -> Vec<String> {
        let is_message = |line: &String| {
            !line.starts_with("Client ") && !line.starts_with("Subscribed") && !line.is_empty()
        };
        self.all().into_iter().filter(is_message).collect()
    }

    fn wait_for(&self, count: usize) -> Vec<String> {
        let found = within(ARRIVE_MAX, || Some(self.messages()).filter(|messages| messages.len() >= count));
        found.unwrap_or_else(|| panic!("{} of {count} messages", self.messages().len()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A gateway, not running, with an output to `broker`.
fn gateway(broker: &Broker, lines: &str) -> Gateway {
    let gateway = Gateway::make();
    let path = gateway.config_path();
    let text = fs::read_to_string(&path).expect("quickstart wrote it");
    let output = format!("\n[[output]]\ntype = \"mqtt\"\nport = {}\n{lines}\n", broker.port);
    fs::write(path, text + &output).expect("a file");
    gateway
}

fn trouble(gateway: &Gateway) -> String {
    let status = gateway.status();
    let outputs = status["outputs"].as_array().expect("outputs").clone();
    let of = outputs.iter().find(|output| output["name"] == "mqtt").expect("the output");
    of["trouble"].as_str().unwrap_or_default().to_owned()
}

fn wait_for_trouble(gateway: &Gateway, part: &str) {
    let said = within(Duration::from_secs(20), || trouble(gateway).contains(part).then_some(()));
    assert!(said.is_some(), "no word of {part:?}: {:?}", trouble(gateway));
}

fn send(gateway: &Gateway, words: &[&str]) {
    let sent = publish(gateway, &[&["-q", "1"], words].concat());
    assert!(sent.status.success(), "{sent:?}");
}

#[test]
fn everything_arrives_as_subscribers_of_the_gateway_see_it() {
    let broker = Broker::start("allow_anonymous true\n");
    let listener = Listener::start(&broker, &["-V", "mqttv5", "-t", "#", "-F", "%t|%C|%P|%p"]);
    let mut gateway = gateway(&broker, "topic_prefix = \"site_1/\"");
    gateway.run();
    send(&gateway, &["-t", "telemetry", "-m", r#"{"boot":7,"seq":1,"values":{"temperature":36.5}}"#]);
    send(
        &gateway,
        &[
            "-t",
            "plant/7/door",
            "-m",
            "open",
            "-V",
            "mqttv5",
            "-D",
            "publish",
            "content-type",
            "text/plain",
            "-D",
            "publish",
            "user-property",
            "room",
            "12",
            "-D",
            "publish",
            "user-property",
            "uid",
            "forged",
        ],
    );
    let messages = listener.wait_for(2);
    assert_eq!(
        messages[0],
        r#"site_1/telemetry/sensor_1||uid:sensor_1/7/1|{"boot":7,"seq":1,"values":{"temperature":36.5}}"#
    );
    let (topic, rest) = messages[1].split_once('|').expect("a topic");
    assert_eq!(topic, "site_1/plant/7/door");
    assert!(rest.starts_with("text/plain|") && rest.ends_with("|open"), "{rest}");
    assert!(
        rest.contains("uid:sensor_1/g") && rest.contains("room:12") && !rest.contains("forged"),
        "{rest}"
    );
}

#[test]
fn a_broker_that_is_killed_under_load_gets_everything_in_order() {
    let mut broker = Broker::start("allow_anonymous true\n");
    let listener = Listener::start(&broker, &["-t", "telemetry/#", "-F", "%t %p"]);
    let mut gateway = gateway(&broker, "in_flight_max = 50");
    let logins = read_credentials(&gateway.add_devices(4, "virtual_"));
    gateway.run();
    let load = Load::start(gateway.port, &logins, &BTreeMap::new());
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(1_500));
        // The session of the listener is on its disk, and nothing else needs to be.
        broker.signal(Signal::USR1);
        thread::sleep(Duration::from_millis(300));
        broker.kill();
        thread::sleep(Duration::from_millis(500));
        broker.run();
    }
    thread::sleep(Duration::from_millis(500));
    let acknowledged = load.stop();
    let total: u64 = acknowledged.values().sum();
    assert!(total > 1_000, "{total} are no load");
    let arrived = within(ARRIVE_MAX, || {
        let arrived = by_device(&listener.messages());
        let is_all = acknowledged
            .iter()
            .all(|(device, last)| arrived.get(device).is_some_and(|all| all.contains(last)));
        is_all.then_some(arrived)
    });
    let arrived = arrived.expect("the last readings arrive");
    let mut duplicates = 0;
    for (device, last) in &acknowledged {
        let mut highest = 0;
        for number in &arrived[device] {
            assert!(
                *number <= highest + 1,
                "{device}: {number} behind {highest}: something is missing in between"
            );
            duplicates += u64::from(*number <= highest);
            highest = highest.max(*number);
        }
        assert!(highest >= *last, "{device}: {highest} of {last}");
    }
    println!("{total} acknowledged, {duplicates} arrived twice");
    assert_eq!(trouble(&gateway), "");
}

/// The numbers of each device in the order in which they arrived.
fn by_device(messages: &[String]) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for message in messages {
        let (topic, payload) = message.split_once(' ').expect("a topic and a payload");
        let device = topic.strip_prefix("telemetry/").expect("a reading").to_owned();
        let value: serde_json::Value = serde_json::from_str(payload).expect("JSON");
        found.entry(device).or_default().push(value["seq"].as_u64().expect("a number"));
    }
    found
}

#[test]
fn a_wrong_password_is_said_and_the_right_one_is_taken() {
    let mut broker = Broker::start("allow_anonymous true\n");
    let listener_lines = "allow_anonymous false\npassword_file {dir}/passwords\n";
    broker.set_password("gateway", "another");
    broker.configure(listener_lines);
    broker.restart();
    for version in ["5", "3.1.1"] {
        broker.set_password("gateway", "another");
        broker.restart();
        let lines = format!("version = \"{version}\"\nuser = \"gateway\"\npassword_file = \"secret\"");
        let mut gateway = gateway(&broker, &lines);
        fs::write(gateway.dir.join("secret"), "right\n").expect("a file");
        gateway.run();
        send(&gateway, &["-t", "telemetry", "-m", "36.5"]);
        wait_for_trouble(&gateway, "the server refuses: CONNACK");
        broker.set_password("gateway", "right");
        broker.restart();
        let words = ["-u", "gateway", "-P", "right", "-t", "telemetry/#", "-F", "%t %p"];
        let listener = Listener::start(&broker, &words);
        assert_eq!(listener.wait_for(1)[0], "telemetry/sensor_1 36.5", "{version}");
        eventually("the trouble is over", || trouble(&gateway).is_empty().then_some(()));
    }
}

#[test]
fn what_the_broker_refuses_waits_until_it_is_allowed() {
    let mut broker = Broker::make("allow_anonymous true\nacl_file {dir}/rights\n");
    fs::write(broker.path("rights"), "topic read #\n").expect("a file");
    broker.run();
    let listener = Listener::start(&broker, &["-t", "telemetry/#", "-F", "%t %p"]);
    let mut gateway = gateway(&broker, "");
    gateway.run();
    send(&gateway, &["-t", "telemetry", "-m", "36.5"]);
    wait_for_trouble(
        &gateway,
        "the server refuses a publish to telemetry/sensor_1: PUBACK 0x87 not authorized",
    );
    fs::write(broker.path("rights"), "topic readwrite #\n").expect("a file");
    broker.signal(Signal::HUP);
    assert_eq!(listener.wait_for(1)[0], "telemetry/sensor_1 36.5");
    eventually("the trouble is over", || trouble(&gateway).is_empty().then_some(()));
}

#[test]
fn what_the_broker_never_takes_is_set_aside_and_the_rest_arrives() {
    // The one limit is of payloads and said when one comes, the other of packets and said at the login.
    let limits = [
        ("message_size_limit 1000", "PUBACK 0x95 packet too large"),
        ("max_packet_size 1500", "1500 at most"),
    ];
    for (limit, reason) in limits {
        let broker = Broker::start(&format!("allow_anonymous true\n{limit}\n"));
        let listener = Listener::start(&broker, &["-t", "telemetry/#", "-F", "%p"]);
        let mut gateway = gateway(&broker, "");
        gateway.run();
        let large = format!(r#"{{"boot":1,"seq":5,"values":{{"text":"{}"}}}}"#, "x".repeat(2_000));
        for seq in 0..10 {
            let small = format!(r#"{{"boot":1,"seq":{seq},"values":{{"temperature":20.5}}}}"#);
            send(&gateway, &["-t", "telemetry", "-m", if seq == 5 { &large } else { &small }]);
        }
        let mut numbers = sequences(&listener.wait_for(9));
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 6, 7, 8, 9], "{limit}");
        eventually("it is counted", || gateway.command(&["status"]).contains("1 for good").then_some(()));
        let letters =
            fs::read_to_string(gateway.dir.join("dead-letters/mqtt-00000001.jsonl")).expect("a file");
        let letter: serde_json::Value = serde_json::from_str(letters.trim()).expect("one letter of JSON");
        assert!(letter["reason"].as_str().is_some_and(|why| why.contains(reason)), "{limit}: {letter}");
        assert_eq!(
            (&letter["topic"], &letter["body"]),
            (&"telemetry/sensor_1".into(), &large.as_str().into())
        );
        assert_eq!(trouble(&gateway), "");
    }
}

fn sequences(payloads: &[String]) -> Vec<u64> {
    let sequence = |payload: &String| {
        let payload: serde_json::Value = serde_json::from_str(payload).expect("JSON");
        payload["seq"].as_u64().expect("a number")
    };
    payloads.iter().map(sequence).collect()
}

/// `openssl WORDS…` in the broker's folder.
fn openssl(broker: &Broker, words: &[&str]) {
    ran(Command::new("openssl").args(words).current_dir(broker.folder.path()));
}

/// An authority NAME.crt, with NAME.key.
fn make_authority(broker: &Broker, name: &str) {
    let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
    let basic = "basicConstraints=critical,CA:TRUE";
    openssl(
        broker,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
            "-addext",
            basic,
        ],
    );
}

/// NAME.crt for 127.0.0.1, vouched for by the authority `ca`.
fn make_certificate(broker: &Broker, name: &str) {
    let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
    let subject = format!("/CN={name}");
    openssl(
        broker,
        &[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &request,
        ],
    );
    fs::write(broker.path("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("a file");
    openssl(
        broker,
        &[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            &certificate,
        ],
    );
}

#[test]
fn tls_trusts_the_right_authority_only_and_shows_its_own_certificate() {
    let mut broker = Broker::start("allow_anonymous true\n");
    make_authority(&broker, "ca");
    make_authority(&broker, "stranger");
    make_certificate(&broker, "server");
    make_certificate(&broker, "client");
    broker.configure("allow_anonymous true\ncafile {dir}/ca.crt\ncertfile {dir}/server.crt\nkeyfile {dir}/server.key\nrequire_certificate true\n");
    broker.restart();
    let path = |name: &str| broker.path(name).display().to_string();
    let (ca, certificate, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let words = ["--cafile", &ca, "--cert", &certificate, "--key", &key, "-t", "telemetry/#", "-F", "%t %p"];
    let listener = Listener::start(&broker, &words);
    let lines = |ca: &str| {
        format!("tls = true\nca_file = \"{ca}\"\ncert_file = \"{certificate}\"\nkey_file = \"{key}\"")
    };

    let mut wrong = gateway(&broker, &lines(&path("stranger.crt")));
    wrong.run();
    send(&wrong, &["-t", "telemetry", "-m", "1"]);
    wait_for_trouble(&wrong, "UnknownIssuer");
    let mut right = gateway(&broker, &lines(&ca));
    right.run();
    send(&right, &["-t", "telemetry", "-m", "36.5"]);
    assert_eq!(listener.wait_for(1), ["telemetry/sensor_1 36.5"]);
}

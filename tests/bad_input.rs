//! What a broken or hostile MQTT client gets, and that nobody else notices.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_tests::{
    Client, Connect, Gateway, Login, Publish, SOON_MAX, Version, eventually, frame, remaining_length, text,
    within,
};

const READING: &[u8] = br#"{"temperature":23.4}"#;
/// Memory that the gateway may have used when a test is over.
const MEMORY_KIB_MAX: u64 = 200 * 1024;
/// Connections that say nothing, where the system lets a process have so many.
const IDLE: u64 = 10_000;

/// A gateway with a second device that has to stay undisturbed.
struct Rig {
    gateway: Gateway,
    other: Login,
    counted_before: u64,
}

impl Rig {
    fn start() -> Self {
        let gateway = Gateway::start();
        let other = gateway.add_device("sensor_2");
        let counted_before = counted(&gateway);
        Self { gateway, other, counted_before }
    }

    fn open(&self) -> Client {
        Client::open(self.gateway.port)
    }

    fn login(&self, version: Version) -> Client {
        Client::login(self.gateway.port, version, &self.gateway.device)
    }

    /// The process lives, its memory is within its cap, another device's publish is acknowledged within a second.
    fn assert_well(&mut self) {
        assert!(self.gateway.is_running());
        let (_, most_kib) = self.gateway.memory_kib();
        assert!(most_kib < MEMORY_KIB_MAX, "{most_kib} KiB");
        let begin = Instant::now();
        let mut client = Client::login(self.gateway.port, Version::V5, &self.other);
        assert_eq!(client.publish_and_wait("telemetry", READING, 1), 0);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }

    /// As [`Rig::assert_well`], and something in the status has counted what happened.
    fn assert_well_and_counted(&mut self) {
        self.assert_well();
        let before = self.counted_before;
        eventually("a counter has moved", || (counted(&self.gateway) > before).then_some(()));
    }
}

/// Everything in the status that counts what went wrong with connections.
fn counted(gateway: &Gateway) -> u64 {
    let status = gateway.status();
    let connections = status["connections"].as_object().expect("a section");
    let fine = ["open", "accepted"];
    let numbers = connections.iter().filter(|(name, _)| !fine.contains(&name.as_str()));
    numbers.filter_map(|(_, value)| value.as_u64()).sum::<u64>()
        + status["spool"]["rejects"].as_u64().unwrap_or(0)
}

/// Sends `bytes` on a fresh connection, which has to end at once; what it was told.
fn closed_after(rig: &Rig, bytes: &[u8]) -> usize {
    let mut client = rig.open();
    client.send(bytes);
    let words = client.last_words(SOON_MAX).unwrap_or_else(|| panic!("still open after {bytes:02x?}"));
    words.len()
}

#[test]
fn the_first_packet_is_no_connect() {
    let mut rig = Rig::start();
    for bytes in [&[0xc0, 0][..], &[0x30, 3, 0, 1, b'a'], &[0x00, 0], b"GET / HTTP/1.1\r\n\r\n", &[0xe0, 0]] {
        assert_eq!(closed_after(&rig, bytes), 0, "{bytes:02x?}");
    }
    rig.assert_well_and_counted();
}

#[test]
fn a_length_of_256_mib_is_refused_on_the_header() {
    let mut rig = Rig::start();
    let (before_kib, _) = rig.gateway.memory_kib();
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut client = rig.open();
        client.send(&[0x10, 0xff, 0xff, 0xff, 0x7f]);
        assert!(client.last_words(Duration::from_secs(2)).is_some(), "closed on the header");
        held.push(client);
        let mut client = rig.login(Version::V5);
        client.send(&[0x32, 0xff, 0xff, 0xff, 0x7f]);
        assert!(client.last_words(Duration::from_secs(2)).is_some(), "closed on the header");
    }
    let (after_kib, _) = rig.gateway.memory_kib();
    assert!(after_kib < before_kib + 20 * 1024, "{before_kib} KiB, then {after_kib} KiB");
    rig.assert_well_and_counted();
}

#[test]
fn lengths_that_are_no_lengths() {
    let mut rig = Rig::start();
    closed_after(&rig, &[0x10, 0xff, 0xff, 0xff, 0xff, 0x01]);
    // A CONNECT whose length is written in two bytes where one would do [MQTT 5 1.5.5-1].
    let connect = Connect {
        version: Version::V5,
        client_id: "sensor_1",
        login: Some(&rig.gateway.device.clone()),
        keep_alive_s: 60,
    };
    let bytes = connect.bytes();
    let body = &bytes[1 + remaining_length(bytes.len() - 2).len()..];
    let low = u8::try_from(body.len()).expect("a short CONNECT") | 0x80;
    closed_after(&rig, &[&[0x10, low, 0x00], body].concat());
    rig.assert_well_and_counted();
}

#[test]
fn a_connect_byte_by_byte_has_five_seconds() {
    let mut rig = Rig::start();
    let connect = Connect {
        version: Version::V311,
        client_id: "x",
        login: Some(&rig.gateway.device.clone()),
        keep_alive_s: 60,
    };
    let mut client = rig.open();
    let begin = Instant::now();
    for byte in connect.bytes() {
        if client.try_send(&[byte]).is_err()
            || !matches!(client.answer_within(Duration::from_secs(1)), Ok(None))
        {
            break;
        }
    }
    let lived = begin.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&lived), "{lived:?}");
    rig.assert_well();
}

#[test]
fn thousands_of_idle_connections_disturb_nobody() {
    let mut rig = Rig::start();
    let count = IDLE.min(descriptors().saturating_sub(500));
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(rig.open());
    }
    rig.assert_well();
    let closed = within(Duration::from_secs(15), || {
        held.retain_mut(|client| client.answer_within(Duration::from_millis(1)).is_ok());
        held.is_empty().then_some(())
    });
    assert!(closed.is_some(), "who does not say who it is, is closed: {} of {count} are left", held.len());
    let connections = rig.gateway.status()["connections"].clone();
    let ended = ["turned_away", "timed_out"].map(|name| connections[name].as_u64().unwrap_or(0));
    assert_eq!(ended.iter().sum::<u64>(), count, "{connections}");
    assert!(ended[0] > 0, "no cap on those that have not logged in: {connections}");
    rig.assert_well();
}

/// How many files and sockets this process may have open; as many as the system lets it have.
fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[test]
fn topics_that_are_none() {
    let mut rig = Rig::start();
    let topics: [&[u8]; 7] = [b"", b"a/+", b"a/#", b"#", b"a\0b", b"a\xff", b"\xed\xa0\x80"];
    for version in [Version::V311, Version::V5] {
        for topic in topics {
            let mut client = rig.login(version);
            let mut body = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
            body.extend_from_slice(topic);
            body.extend_from_slice(&[0, 1]);
            if version == Version::V5 {
                body.push(0);
            }
            body.extend_from_slice(READING);
            client.send(&frame(0x32, &body));
            let words =
                client.last_words(SOON_MAX).unwrap_or_else(|| panic!("{version:?} {topic:02x?}: still open"));
            assert!(words.iter().all(|answer| answer.kind() == 14), "{version:?} {topic:02x?}: {words:?}");
        }
    }
    let status = rig.gateway.status();
    assert_eq!(status["connections"]["accepted"], 0, "nothing was stored");
    rig.assert_well_and_counted();
}

#[test]
fn a_publish_for_another_device_is_denied() {
    let mut rig = Rig::start();
    let mut client = rig.login(Version::V5);
    assert_eq!(
        client.publish_and_wait("telemetry//sensor_2", READING, 1),
        0x87,
        "not authorised (MQTT 5 3.4.2.1)"
    );
    rig.assert_well_and_counted();
}

#[test]
fn client_ids_with_wildcards_do_no_harm() {
    let mut rig = Rig::start();
    let login = rig.gateway.device.clone();
    for client_id in ["a/b", "+", "#", "a/b", "$SYS"] {
        let connect = Connect { version: Version::V5, client_id, login: Some(&login), keep_alive_s: 60 };
        let (mut client, code) = Client::connect(rig.gateway.port, &connect);
        if code == 0 {
            assert_eq!(client.publish_and_wait("telemetry", READING, 1), 0);
        } else {
            assert!([0x85, 0x87].contains(&code), "{client_id}: {code:#x}");
        }
    }
    rig.assert_well();
}

#[test]
fn a_takeover_needs_the_same_login() {
    let mut rig = Rig::start();
    let mut mine = rig.login(Version::V5);
    let thief = Connect {
        version: Version::V5,
        client_id: "sensor_1",
        login: Some(&rig.other.clone()),
        keep_alive_s: 60,
    };
    let (_, code) = Client::connect(rig.gateway.port, &thief);
    // Refused, or let in as somebody else; in no case is the session taken.
    assert!(code == 0 || code >= 0x80, "{code:#x}");
    assert_eq!(mine.publish_and_wait("telemetry", READING, 1), 0, "the session is still its owner's");
    rig.assert_well();
}

#[test]
fn qos_2_is_refused_as_announced() {
    let mut rig = Rig::start();
    let mut client = rig.login(Version::V5);
    let publish = Publish { topic: "telemetry", payload: READING, qos: 2, id: 1 };
    for _ in 0..1_000 {
        if client.try_send(&publish.bytes(Version::V5)).is_err() {
            break;
        }
    }
    let words =
        client.last_words(SOON_MAX).expect("a QoS that was not offered ends the connection [MQTT-3.2.2-11]");
    let last = words.last().expect("it is told why");
    assert_eq!((last.kind(), last.body.first()), (14, Some(&0x9b)), "QoS not supported (MQTT 5 3.14.2.1)");
    rig.assert_well();
}

#[test]
fn a_slow_subscriber_is_cut_off() {
    let mut rig = Rig::start();
    let mut slow = Client::login(rig.gateway.port, Version::V5, &rig.gateway.application);
    assert!(slow.subscribe("#", 1) < 0x80);
    let mut device = rig.login(Version::V5);
    let payload = vec![b'x'; 8 * 1024];
    for round in 0..4_000_u16 {
        assert_eq!(
            device.publish_and_wait("blob", &payload, round + 1),
            0,
            "publishers are not slowed to a stop"
        );
    }
    let (_, most_kib) = rig.gateway.memory_kib();
    assert!(most_kib < MEMORY_KIB_MAX, "{most_kib} KiB");
    let ended = within(SOON_MAX, || match slow.answer_within(Duration::from_millis(100)) {
        Err(_) => Some(()),
        Ok(_) => None,
    });
    assert!(ended.is_some(), "the subscriber that reads nothing is disconnected");
    rig.assert_well_and_counted();
}

#[test]
fn guessing_passwords_gets_slower_and_learns_nothing() {
    let mut rig = Rig::start();
    let mut codes = Vec::new();
    for attempt in 0..300 {
        let user = if attempt % 2 == 0 { "sensor_1" } else { "nobody" };
        let login = Login { user: user.to_owned(), password: format!("guess{attempt}") };
        let mut client = rig.open();
        let connect =
            Connect { version: Version::V5, client_id: "probe", login: Some(&login), keep_alive_s: 60 };
        client.send(&connect.bytes());
        if let Ok(Some(answer)) = client.answer_within(Duration::from_secs(5)) {
            codes.push(answer.body[1]);
        }
    }
    assert!(codes.iter().all(|code| *code >= 0x80), "{codes:02x?}");
    let by_cause: std::collections::BTreeSet<u8> = codes.iter().copied().collect();
    assert!(by_cause.len() <= 2, "one answer for all causes, and one for too many: {by_cause:02x?}");
    rig.assert_well_and_counted();
}

#[test]
fn payloads_that_can_never_be_accepted() {
    let mut gateway = Gateway::make();
    gateway.configure(
        "# [[route]]",
        "[[route]]\ntopic = \"hall/+\"\nmeasurement = \"temperature\"\nformat = \"text\"\nrange = [-40.0, 85.0]\n\n# [[route]]",
    );
    gateway.run();
    let mut new = Client::login(gateway.port, Version::V5, &gateway.device);
    assert_eq!(new.publish_and_wait("hall/1", b"21.5", 1), 0);
    assert_eq!(new.publish_and_wait("hall/1", b"900", 2), 0x99, "payload format invalid (MQTT 5 3.4.2.1)");
    drop(new);
    // MQTT 3.1.1 cannot be told, and would send it for ever: it is acknowledged, and stored as a reject.
    let mut old = Client::login(gateway.port, Version::V311, &gateway.device);
    assert_eq!(old.publish_and_wait("hall/1", b"900", 3), 0);
    let shown = gateway.command(&["device", "show", "sensor_1"]);
    assert!(shown.contains("range"), "device show names the last reject: {shown}");
    assert!(gateway.status()["spool"]["rejects"].as_u64().is_some_and(|count| count >= 1));
}

#[test]
fn noise_after_login() {
    let mut rig = Rig::start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 {
        let mut client = rig.login(Version::V5);
        let mut noise = Vec::new();
        for _ in 0..40 {
            // xorshift64*: any spread of bytes will do, the same each time.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            noise.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes());
        }
        let _gone = client.try_send(&noise);
    }
    // Half a frame, then silence, on many connections.
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut client = rig.login(Version::V5);
        client.send(&[&[0x32, 0xff, 0x01][..], &text("telemetry")].concat());
        held.push(client);
        thread::sleep(Duration::from_millis(1));
    }
    rig.assert_well();
}

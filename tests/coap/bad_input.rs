//! Broken and hostile datagrams, and that nobody else notices.

use std::{collections::BTreeSet, time::Duration};

use tidegate_tests::{
    CoapClient, Dice, Login, SOON_MAX,
    coap::{CONTENT_FORMAT, Code, Datagram, JSON, Kind, MAX_AGE, URI_PATH},
    within,
};

use crate::{CHANGED, READING, Rig, stored};

/// How long something that must not come may take.
const SILENCE: Duration = Duration::from_millis(100);
/// Numbers of further options (RFC 7252, section 12.2; RFC 7959).
const ETAG: u16 = 4;
const URI_HOST: u16 = 3;
const BLOCK1: u16 = 27;
const PROXY_URI: u16 = 35;
const SIZE1: u16 = 60;
/// 4.13 (RFC 7252, section 5.9.2.9).
const TOO_LARGE: Code = Code(0x8d);

/// What comes back to `bytes`: nothing, or a reset.
fn is_dropped_or_reset(client: &CoapClient, bytes: &[u8]) -> bool {
    client.send(bytes);
    let answer = client.receive(SILENCE);
    answer.is_none_or(|answer| answer.kind == Kind::Rst && answer.code == Code::EMPTY)
}

/// A POST with the bytes `behind` the token.
fn with_tail(kind: Kind, behind: &[u8]) -> Vec<u8> {
    [&Datagram::bare(kind, Code::POST, 0x1234).bytes()[..], behind].concat()
}

#[test]
fn datagrams_that_are_no_messages() {
    let mut rig = Rig::start();
    let client = rig.client();
    let whole = rig.post("telemetry").bytes();
    let mut bad: Vec<Vec<u8>> = (0..4).map(|length| whole[..length].to_vec()).collect();
    for version in [0, 2, 3] {
        let mut bytes = whole.clone();
        bytes[0] = bytes[0] & 0x3f | version << 6;
        bad.push(bytes);
    }
    for kind in [Kind::Con, Kind::Non, Kind::Ack, Kind::Rst] {
        for token_bytes in 9..=15 {
            let mut bytes = with_tail(kind, &[0; 20]);
            bytes[0] |= token_bytes;
            bad.push(bytes);
        }
        // A delta and a length of 15, a value that is cut off, a marker with nothing behind it, numbers beyond 65,535.
        for behind in [&[0xf0][..], &[0x0f], &[0xb5, b'a'], &[0xff], &[0xe0, 0xff], &[0xe0, 0xff, 0xff]] {
            bad.push(with_tail(kind, behind));
        }
        // An empty message with a token, with a payload (RFC 7252, section 4.1).
        let empty = Datagram::bare(kind, Code::EMPTY, 1).bytes();
        bad.push([&[empty[0] | 1, 0, 0, 1, 7][..]].concat());
        bad.push([&empty[..], &[0xff, 1]].concat());
        // Reserved classes, and a response to nothing.
        for code in [0x21, 0xc4, 0xe1, 0x45] {
            bad.push(Datagram::bare(kind, Code(code), 2).bytes());
        }
    }
    for bytes in &bad {
        assert!(is_dropped_or_reset(&client, bytes), "{bytes:02x?}");
    }
    assert_eq!(stored(&rig.gateway), 0, "nothing was stored");
    rig.assert_well_and_counted();
}

#[test]
fn an_acknowledgement_or_reset_is_never_answered() {
    let mut rig = Rig::start();
    let client = rig.client();
    for kind in [Kind::Ack, Kind::Rst] {
        for bytes in [Datagram::bare(kind, Code::EMPTY, 9).bytes(), with_tail(kind, &[0xb1, b't'])] {
            client.send(&bytes);
            assert_eq!(client.receive_bytes(SILENCE), None, "{bytes:02x?}");
        }
    }
    rig.assert_well();
}

#[test]
fn the_same_request_again_is_one_record() {
    let mut rig = Rig::start();
    let mut client = rig.client();
    let login = rig.gateway.device.clone();
    let request = client.post("telemetry", &login, READING);
    let first = client.exchange(&request).response;
    assert_eq!((first.code, first.kind), (CHANGED, Kind::Ack));
    for _ in 0..5 {
        assert_eq!(client.exchange(&request).response, first, "the answer is the same");
    }
    assert_eq!(stored(&rig.gateway), 1);
    // A burst: the repetitions wait for the same answer.
    let burst = client.post("telemetry", &login, READING);
    (0..10).for_each(|_| client.send(&burst.bytes()));
    let answer = client.receive(SOON_MAX).expect("an answer");
    assert_eq!((answer.code, answer.id), (CHANGED, burst.id));
    while let Some(again) = client.receive(SILENCE) {
        assert_eq!(again, answer);
    }
    assert_eq!(stored(&rig.gateway), 2);
    // The same id with another token is another request (RFC 7252, section 4.4), as a fast client makes them.
    let mut other = request.clone();
    other.token = b"other".to_vec();
    let answer = client.exchange(&other).response;
    assert_eq!((answer.code, answer.token), (CHANGED, other.token));
    assert_eq!(stored(&rig.gateway), 3);
    // From another port it is another client.
    assert_eq!(rig.client().exchange(&request).response.code, CHANGED);
    assert_eq!(stored(&rig.gateway), 4);
    rig.assert_well_and_counted();
}

#[test]
fn a_non_confirmable_request_again_is_one_record() {
    let mut rig = Rig::start();
    let client = rig.client();
    let mut request = rig.post("telemetry");
    request.kind = Kind::Non;
    for _ in 0..4 {
        assert_eq!(client.exchange(&request).response.code, CHANGED);
    }
    assert_eq!(stored(&rig.gateway), 1);
    rig.assert_well_and_counted();
}

#[test]
fn wrong_and_foreign_credentials() {
    let mut rig = Rig::start();
    let mine = rig.gateway.device.clone();
    let with = |user: &str, password: &str| Login { user: user.to_owned(), password: password.to_owned() };
    let mut answers = BTreeSet::new();
    for login in [
        with("sensor_1", "wrong"),
        with("nobody", "wrong"),
        with("nobody", &mine.password),
        // The device of another, with one's own secret.
        with("sensor_2", &mine.password),
        with("", ""),
        with("a/b", "+"),
    ] {
        let mut client = rig.client();
        let request = client.post("telemetry", &login, READING);
        let answer = client.exchange(&request).response;
        answers.insert((answer.code, answer.options.clone(), answer.payload.clone()));
    }
    let bare = rig.client().request(Kind::Con, Code::POST).to("telemetry", None);
    answers.insert({
        let answer = rig.ask(&bare);
        (answer.code, answer.options, answer.payload)
    });
    assert_eq!(answers.len(), 1, "one answer for all causes: {answers:?}");
    assert_eq!(answers.first().map(|answer| answer.0), Some(Code(0x81)), "4.01");
    assert_eq!(rig.ask(&rig.post("telemetry//sensor_2")).code, Code(0x83), "4.03 for another's readings");
    let claim = br#"[{"device":"sensor_2","temperature":20}]"#;
    let mut client = rig.client();
    let code = client.post_and_wait("telemetry", &mine, claim);
    assert!(code == Code(0x83) || !delivered_as_other(&rig), "{code}");
    rig.assert_well_and_counted();
}

fn delivered_as_other(rig: &Rig) -> bool {
    let shown = rig.gateway.command(&["tail", "--from", "oldest", "-n", "1", "--json"]);
    shown.contains("\"device\":\"sensor_2\"")
}

#[test]
fn paths_and_methods_that_are_none() {
    let mut rig = Rig::start();
    let login = rig.gateway.device.clone();
    for path in
        ["", "no/such/path", "telemetry/and/more", "$SYS/broker", "+", "#", "a\0b", ".well-known/other"]
    {
        let code = rig.ask(&rig.post(path)).code;
        assert!([0x80, 0x83, 0x84].map(Code).contains(&code), "{path:?}: {code}");
    }
    for method in [Code::GET, Code::PUT, Code::DELETE, Code(5), Code(6), Code(7), Code(31)] {
        let request = rig.client().request(Kind::Con, method).to("telemetry", Some(&login));
        assert_eq!(rig.ask(&request).code, Code(0x85), "{method}: 4.05");
    }
    let request = rig.post(".well-known/core");
    assert_eq!(rig.ask(&request).code, Code(0x85), "4.05: it can only be read");
    let slash = rig.client().request(Kind::Con, Code::POST).with(URI_PATH, b"telemetry//sensor_2");
    assert!(rig.ask(&slash.to("x", Some(&login))).code.class() == 4);
    assert_eq!(stored(&rig.gateway), 0);
    rig.assert_well_and_counted();
}

#[test]
fn options_that_are_unknown_or_not_for_a_gateway() {
    let mut rig = Rig::start();
    let bad_option = Code(0x82);
    for number in [9, 2_049, 65_001, 65_535] {
        let request = rig.post("telemetry").with(number, b"x");
        assert_eq!(rig.ask(&request).code, bad_option, "{number} is critical (RFC 7252, section 5.4.1)");
        let mut non = request;
        non.kind = Kind::Non;
        let client = rig.client();
        assert!(is_dropped_or_reset(&client, &non.bytes()), "{number}, non-confirmable, is rejected");
    }
    assert_eq!(rig.ask(&rig.post("telemetry").with(PROXY_URI, b"coap://x/")).code, Code(0xa5), "5.05");
    assert_eq!(stored(&rig.gateway), 0);
    // What is elective may be passed over; names of hosts do not matter.
    for (number, value) in [(2_048, &b"x"[..]), (65_000, b"x"), (URI_HOST, b"gateway"), (ETAG, b"e")] {
        assert_eq!(rig.ask(&rig.post("telemetry").with(number, value)).code, CHANGED, "{number}");
    }
    let mut many = rig.post("telemetry");
    for _ in 0..200 {
        many = many.with(2_048, b"x");
    }
    let client = rig.client();
    client.send(&many.bytes());
    let answer = client.receive(SILENCE);
    assert!(answer.is_none_or(|answer| answer.code != CHANGED), "200 options are more than anyone needs");
    assert_eq!(stored(&rig.gateway), 4);
    rig.assert_well_and_counted();
}

#[test]
fn payloads_that_are_too_large_or_in_parts() {
    let mut rig = Rig::start();
    let login = rig.gateway.device.clone();
    for bytes in [1_025, 5_000, 60_000] {
        let mut client = rig.client();
        let request = client.post("telemetry", &login, &vec![b'x'; bytes]);
        let answer = client.exchange(&request).response;
        assert_eq!((answer.code, answer.uint(SIZE1)), (TOO_LARGE, Some(1_024)), "{bytes}: {answer:?}");
    }
    // Blocks of 16 bytes: number, whether more follow, size exponent 0 (RFC 7959, section 2.2). Out of order, without
    // an end, a size that is reserved, a number beyond all: none becomes a reading, and no block is made up.
    let blocks = [0x18, 0x08, 0x38, 0x10, 0x0f, 0x07, 0xff_ff_f8];
    for round in 0..50 {
        for block in blocks {
            let mut client = rig.client();
            let value = u32::to_be_bytes(block + (round << 4));
            let value = &value[value.iter().take_while(|byte| **byte == 0).count()..];
            let request = client.post("telemetry", &login, &[b'1'; 16]).with(BLOCK1, value);
            let answer = client.exchange(&request).response;
            let is_first_and_last = block + (round << 4) == 0x07;
            assert!(answer.code.class() == 4 || is_first_and_last, "block {value:02x?}: {answer:?}");
        }
    }
    assert!(stored(&rig.gateway) <= 1, "no part is a reading");
    rig.assert_well_and_counted();
}

/// The address may be forged: whoever has it must not get much more than was sent in its name.
#[test]
fn an_answer_is_at_most_three_times_its_request() {
    let mut rig = Rig::start();
    let guess = Login { user: "sensor_1".to_owned(), password: "x".to_owned() };
    let mut client = rig.client();
    let mut requests = vec![Datagram::bare(Kind::Con, Code::EMPTY, 1)];
    for kind in [Kind::Con, Kind::Non] {
        for method in [Code::GET, Code::POST, Code::PUT, Code(31)] {
            for path in ["telemetry", "no/such/path", ".well-known/core", "x"] {
                requests.push(Datagram::bare(kind, method, client.fresh_id()).to(path, None));
                requests.push(Datagram::bare(kind, method, client.fresh_id()).to(path, Some(&guess)));
            }
            requests.push(Datagram::bare(kind, method, client.fresh_id()));
            requests.push(Datagram::bare(kind, method, client.fresh_id()).with(9, b""));
            requests.push(Datagram::bare(kind, method, client.fresh_id()).with(PROXY_URI, b""));
            requests.push(Datagram::bare(kind, method, client.fresh_id()).with(BLOCK1, &[0x18]));
        }
    }
    let mut most = 0.0_f64;
    for request in &requests {
        let bytes = request.bytes();
        client.send(&bytes);
        let mut came = 0;
        // All that comes counts, until nothing more does.
        while let Some(answer) = client.receive_bytes(SILENCE / 2) {
            came += answer.len();
        }
        assert!(came <= 3 * bytes.len(), "{came} bytes for {}: {request:?}", bytes.len());
        most = most.max(came as f64 / bytes.len() as f64);
    }
    println!("at most {most:.2} times its request");
    assert!(most > 0.0, "something was answered");
    rig.assert_well_and_counted();
}

#[test]
fn guessing_secrets_gets_slower_and_learns_nothing() {
    let mut rig = Rig::start();
    let mut codes = BTreeSet::new();
    let mut client = rig.client();
    for attempt in 0..300 {
        let user = if attempt % 2 == 0 { "sensor_1" } else { "nobody" };
        let login = Login { user: user.to_owned(), password: format!("guess{attempt}") };
        let request = client.post("telemetry", &login, READING);
        client.send(&request.bytes());
        if let Some(answer) = client.receive(Duration::from_millis(200)) {
            codes.insert(answer.code);
            let is_throttled = answer.code == Code(0x9d);
            assert_eq!(
                is_throttled,
                answer.uint(MAX_AGE).is_some(),
                "4.29 says when to try again: {answer:?}"
            );
        }
    }
    assert!(codes.is_subset(&[0x81, 0x9d].map(Code).into()), "one answer, and one for too many: {codes:?}");
    // A neighbour behind the same address is not shut out, nor is the device that was tried.
    let device = rig.gateway.device.clone();
    assert_eq!(rig.client().post_and_wait("telemetry", &device, READING), CHANGED);
    rig.assert_well_and_counted();
}

#[test]
fn noise() {
    let mut rig = Rig::start();
    let mut dice = Dice::new(11);
    let client = rig.client();
    let whole = rig.post("telemetry").bytes();
    for round in 0..20_000_u32 {
        let bytes: Vec<u8> = if round % 2 == 0 {
            (0..dice.below(200)).map(|_| dice.roll() as u8).collect()
        } else {
            let mut bytes = whole.clone();
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << dice.below(8);
            }
            bytes.truncate(4 + dice.below(bytes.len() as u64) as usize);
            bytes
        };
        client.send(&bytes);
        if round % 64 == 0 {
            while client.receive_bytes(Duration::from_millis(1)).is_some() {}
        }
    }
    rig.assert_well_and_counted();
    let request = rig.post("telemetry").with(CONTENT_FORMAT, &JSON.to_be_bytes()[1..]);
    assert!(within(SOON_MAX, || (rig.ask(&request).code.class() > 0).then_some(())).is_some());
}

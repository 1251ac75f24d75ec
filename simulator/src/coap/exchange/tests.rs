use super::*;

const WAIT_US: Micros = 2_000_000;

fn manner(confirmable: bool, outstanding_max: usize) -> Manner {
    Manner {
        resource: Resource::new("telemetry", None),
        confirmable,
        outstanding_max,
        retransmit_wait: Duration::from_micros(WAIT_US),
        acknowledge_max: Duration::from_secs(30),
    }
}

/// Has sent one reading under the id 7.
fn sent(confirmable: bool) -> (Exchanges, Vec<u8>) {
    let mut exchanges = Exchanges::new(manner(confirmable, 1), 5);
    exchanges.post(7, b"{}", 0).unwrap();
    let request = transmitted(&mut exchanges);
    assert_eq!(request.len(), 1);
    assert!(events(&mut exchanges).contains(&Event::Written(7)));
    (exchanges, request.into_iter().next().unwrap())
}

fn transmitted(exchanges: &mut Exchanges) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(datagram) = exchanges.poll_transmit() {
        all.push(datagram.to_vec());
        exchanges.handle_transmitted();
    }
    all
}

fn events(exchanges: &mut Exchanges) -> Vec<Event> {
    std::iter::from_fn(|| exchanges.poll_event()).collect()
}

/// An answer with the token of `request`: first byte, code, id, options and payload.
fn answer(request: &[u8], first: u8, code: u8, id: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first | 4, code];
    bytes.extend(id.to_be_bytes());
    bytes.extend(&request[4..8]);
    bytes.extend(rest);
    bytes
}

const ACK: u8 = 0x60;
const CON: u8 = 0x40;
const NON: u8 = 0x50;

#[test]
fn a_piggybacked_response_settles() {
    let (mut exchanges, request) = sent(true);
    assert!(!exchanges.has_room());
    exchanges.handle_datagram(&answer(&request, ACK, 0x44, 7, b""), 1).unwrap();
    assert_eq!(events(&mut exchanges), [Event::Connected, Event::Acknowledged(7)]);
    assert!(exchanges.is_idle() && exchanges.poll_timeout().is_none());
    // The same once more belongs to nothing.
    exchanges.handle_datagram(&answer(&request, ACK, 0x44, 7, b""), 2).unwrap();
    assert!(events(&mut exchanges).is_empty() && transmitted(&mut exchanges).is_empty());
}

#[test]
fn an_answer_to_something_else_settles_nothing() {
    let (mut exchanges, request) = sent(true);
    let mut other_token = request.clone();
    other_token[4] ^= 1;
    for datagram in [
        answer(&request, ACK, 0x44, 8, b""),
        answer(&other_token, ACK, 0x44, 7, b""),
        answer(&other_token, NON, 0x44, 9, b""),
        b"\x70\0\0\x08".to_vec(),
        b"\x60\0\0\x08".to_vec(),
        b"nonsense".to_vec(),
    ] {
        exchanges.handle_datagram(&datagram, 1).unwrap();
    }
    assert!(events(&mut exchanges).is_empty() && transmitted(&mut exchanges).is_empty());
    assert!(!exchanges.is_idle());
}

#[test]
fn a_request_without_an_answer_is_repeated_with_doubled_waits_and_then_given_up() {
    let (mut exchanges, request) = sent(true);
    let first_us = exchanges.poll_timeout().unwrap();
    assert!((WAIT_US..=WAIT_US * 3 / 2).contains(&first_us), "{first_us}");
    let (mut now_us, mut wait_us) = (0, first_us);
    for _ in 0..RETRANSMIT_MAX {
        exchanges.handle_timeout(now_us + wait_us - 1).unwrap();
        assert!(transmitted(&mut exchanges).is_empty(), "not before its time");
        now_us += wait_us;
        exchanges.handle_timeout(now_us).unwrap();
        assert_eq!(transmitted(&mut exchanges), std::slice::from_ref(&request), "the same bytes");
        assert_eq!(events(&mut exchanges), [Event::Retransmitted]);
        wait_us *= 2;
        assert_eq!(exchanges.poll_timeout(), Some(now_us + wait_us));
    }
    assert_eq!(
        exchanges.handle_timeout(now_us + wait_us),
        Err(Failure::Timeout),
        "RETRANSMIT_MAX is reached"
    );
}

#[test]
fn the_first_wait_is_of_the_seed() {
    let wait = |seed| {
        let mut exchanges = Exchanges::new(manner(true, 1), seed);
        exchanges.post(1, b"", 0).unwrap();
        exchanges.poll_timeout().unwrap()
    };
    assert_eq!(wait(1), wait(1));
    assert!((2..10).any(|seed| wait(seed) != wait(1)));
}

#[test]
fn a_separate_response_is_acknowledged_each_time_it_comes() {
    let (mut exchanges, request) = sent(true);
    exchanges.handle_datagram(b"\x60\0\0\x07", 1000).unwrap();
    assert_eq!(exchanges.poll_timeout(), Some(1000 + 30_000_000), "no repetition any more");
    let response = answer(&request, CON, 0x44, 99, b"");
    exchanges.handle_datagram(&response, 2000).unwrap();
    assert_eq!(events(&mut exchanges), [Event::Connected, Event::Acknowledged(7)]);
    exchanges.handle_datagram(&response, 3000).unwrap();
    assert!(events(&mut exchanges).is_empty());
    assert_eq!(transmitted(&mut exchanges), [b"\x60\0\0\x63", b"\x60\0\0\x63"]);
}

#[test]
fn a_response_that_overtakes_the_acknowledgement_settles() {
    let (mut exchanges, request) = sent(true);
    exchanges.handle_datagram(&answer(&request, CON, 0x44, 99, b""), 1).unwrap();
    assert_eq!(events(&mut exchanges), [Event::Connected, Event::Acknowledged(7)]);
    exchanges.handle_datagram(b"\x60\0\0\x07", 2).unwrap();
    assert_eq!(transmitted(&mut exchanges), [b"\x60\0\0\x63"]);
    assert!(exchanges.is_idle());
}

#[test]
fn no_response_after_an_acknowledgement_ends_the_patience() {
    let (mut exchanges, _) = sent(true);
    exchanges.handle_datagram(b"\x60\0\0\x07", 1000).unwrap();
    exchanges.handle_datagram(b"\x60\0\0\x07", 9_000_000).unwrap();
    exchanges.handle_timeout(30_000_999).unwrap();
    assert_eq!(exchanges.handle_timeout(30_001_000), Err(Failure::Timeout));
}

#[test]
fn what_nobody_asked_for_and_a_ping_are_reset() {
    let (mut exchanges, request) = sent(true);
    let mut other = request.clone();
    other[4] ^= 1;
    exchanges.handle_datagram(&answer(&other, CON, 0x44, 99, b""), 1).unwrap();
    exchanges.handle_datagram(b"\x40\0\0\x05", 1).unwrap();
    assert_eq!(transmitted(&mut exchanges), [b"\x70\0\0\x63", b"\x70\0\0\x05"]);
}

#[test]
fn a_reset_ends_the_link() {
    let (mut exchanges, _) = sent(true);
    assert!(matches!(exchanges.handle_datagram(b"\x70\0\0\x07", 1), Err(Failure::Protocol(_))));
}

#[test]
fn refusals_say_what_to_do() {
    let refused = |code: u8, options: &[u8]| {
        let (mut exchanges, request) = sent(true);
        exchanges.handle_datagram(&answer(&request, ACK, code, 7, options), 1)?;
        match &events(&mut exchanges)[..] {
            [Event::Connected, Event::Refused(7, refusal)] => Ok(refusal.clone()),
            other => panic!("{other:?}"),
        }
    };
    let full = refused(0xA3, b"\xD1\x01\x05").unwrap();
    assert_eq!(full.meaning, Meaning::Passing(Some(Duration::from_secs(5))));
    assert_eq!(full.to_string(), "5.03 Service Unavailable");
    let unsaid = refused(0xA3, b"").unwrap().meaning;
    assert_eq!(unsaid, Meaning::Passing(Some(UNSAID_WAIT)));
    assert_eq!(refused(0xA0, b"").unwrap().meaning, Meaning::Passing(None));
    assert_eq!(refused(0x80, b"").unwrap().meaning, Meaning::Lasting);
    match refused(0x81, b"") {
        Err(Failure::Refused(refusal)) => assert_eq!(refusal.meaning, Meaning::Login),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_non_is_sent_once_and_a_refusal_of_it_is_told() {
    let (mut exchanges, request) = sent(false);
    assert_eq!(request[0] >> 4 & 3, 1, "NON");
    assert!(exchanges.has_room() && exchanges.poll_timeout().is_none());
    exchanges.handle_datagram(&answer(&request, NON, 0x80, 3, b""), 1).unwrap();
    assert!(matches!(&events(&mut exchanges)[..], [Event::Connected, Event::Refused(7, _)]));
    for id in 0..200 {
        exchanges.post(id, b"", 2).unwrap();
    }
    assert_eq!(exchanges.unconfirmed.len(), UNCONFIRMED_MAX, "UNCONFIRMED_MAX is reached");
}

#[test]
fn opening_a_link_of_non_lets_the_device_in() {
    let mut exchanges = Exchanges::new(manner(false, 1), 5);
    exchanges.handle_open();
    assert_eq!(events(&mut exchanges), [Event::Open, Event::Connected]);
    let mut exchanges = Exchanges::new(manner(true, 1), 5);
    exchanges.handle_open();
    assert_eq!(events(&mut exchanges), [Event::Open]);
}

#[test]
fn several_exchanges_go_on_at_once() {
    let mut exchanges = Exchanges::new(manner(true, 3), 5);
    for id in 1..=3 {
        assert!(exchanges.has_room());
        exchanges.post(id, b"", 0).unwrap();
    }
    assert!(!exchanges.has_room());
    let requests = transmitted(&mut exchanges);
    exchanges.handle_datagram(&answer(&requests[1], ACK, 0x44, 2, b""), 1).unwrap();
    exchanges.handle_datagram(&answer(&requests[0], NON, 0x44, 500, b""), 1).unwrap();
    let settled: Vec<_> = events(&mut exchanges).into_iter().skip(4).collect();
    assert_eq!(settled, [Event::Acknowledged(2), Event::Acknowledged(1)]);
    assert!(exchanges.has_room() && !exchanges.is_idle());
}

#[test]
fn answered_max_is_reached() {
    let mut exchanges = Exchanges::new(manner(true, 1), 5);
    for id in 0..40 {
        exchanges.post(id, b"", 0).unwrap();
        let request = transmitted(&mut exchanges).remove(0);
        exchanges.handle_datagram(&answer(&request, CON, 0x44, 1000 + id, b""), 1).unwrap();
        transmitted(&mut exchanges);
    }
    assert_eq!(exchanges.answered.len(), ANSWERED_MAX);
}

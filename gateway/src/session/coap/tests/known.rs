//! Options of senders that have proved who they are.

use super::{
    super::known::{KNOWN_BYTES_MAX, KNOWN_MAX},
    *,
};

/// The request that `asking` gives, stored and answered.
fn ask(gateway: &mut Gateway, asking: &Asking) -> Request {
    assert_eq!(gateway.send(&asking.bytes()), []);
    gateway.settle();
    gateway.seen.pop().unwrap()
}

/// Whether the second of two requests with the same options shares what was read of the first.
fn is_known(gateway: &mut Gateway, asking: &Asking, proves: bool) -> bool {
    let first = ask(gateway, asking);
    if proves {
        gateway.endpoint.handle_proved(&first.options);
    }
    let second = ask(gateway, &Asking { message_id: asking.message_id + 1, ..asking.clone() });
    assert_eq!(first.payload, second.payload);
    let same = Options { number: first.options.number, ..(*second.options).clone() };
    assert_eq!(same, *first.options);
    assert_eq!(Rc::ptr_eq(&first.options, &second.options), first.options.number == second.options.number);
    Rc::ptr_eq(&first.options, &second.options)
}

#[test]
fn options_are_known_of_who_has_proved_who_it_is() {
    let mut gateway = Gateway::new();
    assert!(!is_known(&mut gateway, &post("t", 1).option(12, &[50]), false));
    assert_eq!(gateway.endpoint.known(), 0, "nothing is kept for strangers");
    assert!(is_known(&mut gateway, &post("t", 3).option(12, &[50]), true));
    let first = ask(&mut gateway, &post("t", 5).option(12, &[50]));
    for other in [
        post("t", 6),
        post("e", 7).option(12, &[50]),
        post("t", 8).option(12, &[60]),
        post("t", 9).option(12, &[50]).option(258, &[2]),
    ] {
        assert_ne!(ask(&mut gateway, &other).options.number, first.options.number);
    }
    let others_payload = ask(&mut gateway, &post("t", 10).option(12, &[50]).payload(b"{}"));
    assert!(Rc::ptr_eq(&first.options, &others_payload.options));
    assert_eq!(others_payload.payload, b"{}");
    let nothing = ask(&mut gateway, &post("t", 11).option(12, &[50]).payload(b""));
    assert_eq!((Rc::ptr_eq(&first.options, &nothing.options), nothing.payload.len()), (true, 0));
}

#[test]
fn a_method_belongs_to_the_options() {
    let mut gateway = Gateway::new();
    let first = ask(&mut gateway, &post("t", 1));
    gateway.endpoint.handle_proved(&first.options);
    let get = Asking { code: 1, ..post("t", 2) };
    assert_eq!(gateway.answer(&get.bytes()).code, "4.05");
}

#[test]
fn what_known_options_ask_for_is_kept_to() {
    let mut gateway = Gateway::with(Limits { payload_bytes_max: 100, ..Limits::default() });
    // No 2.xx is wanted (RFC 7967).
    let quiet = post("t", 1).option(258, &[2]);
    assert!(is_known(&mut gateway, &quiet, true));
    gateway.send(&Asking { message_id: 3, ..quiet.clone() }.bytes());
    let got = gateway.settle().remove(0);
    assert_eq!((got.kind, got.code.as_str()), (Kind::Acknowledgement, "0.00"));
    let long = Asking { message_id: 4, ..quiet.clone() }.payload(&[b'x'; 101]);
    assert_eq!(gateway.answer(&long.bytes()).code, "4.13");
    gateway.endpoint.handle_shutdown();
    assert_eq!(gateway.answer(&Asking { message_id: 5, ..quiet }.bytes()).code, "5.03");
}

#[test]
fn as_many_options_are_known_as_may_be_and_none_that_are_long() {
    let mut gateway = Gateway::new();
    let long = "x".repeat(KNOWN_BYTES_MAX);
    assert!(!is_known(&mut gateway, &post(&long, 1), true));
    for number in 0..=KNOWN_MAX {
        let id = short(number % 60_000);
        let request = ask(&mut gateway, &post(&format!("topic/{number}"), id));
        gateway.endpoint.handle_proved(&request.options);
        assert!(gateway.endpoint.known() <= KNOWN_MAX);
    }
    assert!(gateway.endpoint.known() > KNOWN_MAX / 2);
    for _ in 0..2 {
        gateway.pass(crate::recent::GENERATION_MS_MAX);
    }
    assert_eq!(gateway.endpoint.known(), 0, "who is silent is forgotten");
}

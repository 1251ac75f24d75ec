//! What a well-formed request is answered with.

use super::*;

#[test]
fn a_confirmable_post_is_answered_when_the_disk_has_it() {
    let mut gateway = Gateway::new();
    assert_eq!(gateway.send(&post("telemetry", 5).option(12, &[50]).bytes()), []);
    let request = gateway.seen.pop().unwrap();
    assert_eq!((request.options.topic.as_str(), request.is_confirmable), ("telemetry", true));
    assert_eq!(request.options.device.as_deref(), Some("sensor_1"));
    assert_eq!(request.options.user, request.options.device);
    assert_eq!(request.options.token.as_deref(), Some("00112233445566778899aabbccddeeff"));
    assert_eq!(request.options.content_type.as_deref(), Some("application/json"));
    assert_eq!(request.payload, b"{\"temperature\":23.4}");
    assert!(!format!("{request:?}").contains("00112233"), "the secret is not for the log");
    let got = gateway.settle().remove(0);
    assert_eq!((got.kind, got.code.as_str(), got.message_id), (Kind::Acknowledgement, "2.04", 5));
    assert_eq!((got.token.as_slice(), got.peer), (&[7, 8][..], peer(1)));
    assert_eq!((gateway.settle(), gateway.endpoint.pending()), (vec![], 0));
}

#[test]
fn a_non_confirmable_post_is_answered_with_another_one_when_the_disk_has_it() {
    let mut gateway = Gateway::new();
    assert_eq!(gateway.send(&post("t", 5).kind(NON).bytes()), []);
    assert!(!gateway.seen[0].is_confirmable);
    assert_eq!(gateway.pass(10_000), [], "nobody waits, so nobody is told");
    let got = gateway.settle().remove(0);
    assert_eq!(
        (got.kind, got.code.as_str(), got.token.as_slice()),
        (Kind::NonConfirmable, "2.04", &[7, 8][..])
    );
}

#[test]
fn answers_leave_in_the_order_of_the_disk_and_not_before() {
    let mut gateway = Gateway::new();
    for id in 0..10 {
        gateway.send(&post("t", id).bytes());
    }
    gateway.endpoint.settle(Lane::Event, 10, 0);
    assert_eq!(gateway.sent(), [], "the other lane");
    gateway.endpoint.settle(Lane::Telemetry, 4, 0);
    let ids: Vec<u16> = gateway.sent().iter().map(|got| got.message_id).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    assert_eq!(gateway.settle().len(), 6);
}

#[test]
fn a_path_is_a_topic() {
    let mut gateway = Gateway::new();
    for (path, topic) in [
        ("telemetry", "telemetry"),
        ("plant/7/temperature", "plant/7/temperature"),
        ("telemetry//other", "telemetry//other"),
        ("telemetry/", "telemetry/"),
        ("温度", "温度"),
    ] {
        gateway.send(&post(path, short(topic.len() + 100 * path.len())).bytes());
        assert_eq!(gateway.seen.last().unwrap().options.topic, topic);
    }
    let hidden = post("t", 1).option(11, b"a/b");
    assert_eq!(gateway.answer(&hidden.bytes()).code, "4.00");
    assert_eq!(gateway.answer(&post("", 2).bytes()).code, "4.04");
}

#[test]
fn put_is_for_those_who_speak_for_others() {
    let mut gateway = Gateway::new();
    for (number, path) in ["telemetry//d", "t//d", "event//d", "e//d"].into_iter().enumerate() {
        assert_eq!(gateway.send(&post(path, short(number)).code(3).bytes()), []);
    }
    assert_eq!(gateway.seen.len(), 4);
    for (number, code) in [(10, 3), (11, 1), (12, 4), (13, 5), (14, 31)] {
        assert_eq!(gateway.answer(&post("t", number).code(code).bytes()).code, "4.05", "method {code}");
    }
}

#[test]
fn a_group_logs_in_with_a_user_and_a_device() {
    let mut gateway = Gateway::new();
    gateway
        .send(&post("t", 1).option(15, b"user=plant").option(15, b"device=second").option(15, b"x").bytes());
    let request = &gateway.seen[0];
    assert_eq!(
        (request.options.user.as_deref(), request.options.device.as_deref()),
        (Some("plant"), Some("sensor_1"))
    );
}

#[test]
fn each_content_format_has_its_media_type() {
    let mut gateway = Gateway::new();
    for (format, name) in [
        (&[][..], "text/plain"),
        (&[42], "application/octet-stream"),
        (&[50], "application/json"),
        (&[60], "application/cbor"),
        (&[110], "application/senml+json"),
        (&[112], "application/senml+cbor"),
        (&[1, 2], "coap/258"),
    ] {
        let id = short(gateway.seen.len());
        gateway.send(&post("t", id).option(12, format).bytes());
        assert_eq!(gateway.seen.last().unwrap().options.content_type.as_deref(), Some(name));
    }
    gateway.send(&post("t", 99).bytes());
    assert_eq!(gateway.seen.last().unwrap().options.content_type, None);
}

#[test]
fn the_list_of_paths_fits_whoever_asks() {
    let mut gateway = Gateway::new();
    let core = || {
        let mut asking = post(".well-known/core", 1).code(1).payload(b"");
        asking.options.retain(|(number, _)| *number == 11);
        asking.token.clear();
        asking
    };
    let got = gateway.answer(&core().bytes());
    assert_eq!((got.code.as_str(), got.kind, got.option(12)), ("2.05", Kind::Acknowledgement, Some(40)));
    assert_eq!(got.text(), "</telemetry>;ct=50,</event>;ct=50,</t>,</e>");
    assert_eq!(gateway.answer(&core().option(17, &[40]).bytes()).code, "2.05");
    assert_eq!(gateway.answer(&core().option(17, &[50]).bytes()).code, "4.06");
    assert_eq!(gateway.answer(&core().code(2).bytes()).code, "4.05");
    let got = gateway.answer(&core().kind(NON).bytes());
    assert_eq!((got.code.as_str(), got.kind), ("2.05", Kind::NonConfirmable));
    assert!(gateway.seen.is_empty());
}

#[test]
fn each_refusal_has_its_code_and_what_passes_its_age() {
    for refusal in Refusal::ALL {
        let mut gateway = Gateway::new();
        gateway.refusal = Some(refusal);
        let got = gateway.answer(&post("t", 1).bytes());
        assert_eq!(
            (got.kind, got.code.as_str()),
            (Kind::Acknowledgement, code_text(refusal.coap_code()).as_str())
        );
        assert_eq!(got.option(14).is_some(), refusal.is_passing(), "{refusal}");
        assert_eq!(got.text(), refusal.words());
        let got = gateway.answer(&post("t", 2).kind(NON).bytes());
        assert_eq!(
            (got.kind, got.code.as_str()),
            (Kind::NonConfirmable, code_text(refusal.coap_code()).as_str())
        );
    }
}

#[test]
fn who_wants_no_answer_gets_none() {
    let no_2xx = |id: u16| post("t", id).option(258, &[2]);
    let mut gateway = Gateway::new();
    gateway.send(&no_2xx(1).kind(NON).bytes());
    assert_eq!(gateway.settle(), []);
    // The empty acknowledgement is all that says that the disk has it, so it waits for the disk however long.
    gateway.send(&no_2xx(2).bytes());
    assert_eq!(gateway.pass(5_000), []);
    assert_eq!(gateway.send(&no_2xx(2).bytes()), []);
    let got = gateway.settle().remove(0);
    assert_eq!((got.kind, got.code.as_str(), got.message_id), (Kind::Acknowledgement, "0.00", 2));
    let again = gateway.answer(&no_2xx(2).bytes());
    assert_eq!((again.kind, again.code.as_str()), (Kind::Acknowledgement, "0.00"));
    gateway.refusal = Some(Refusal::NotAuthorized);
    assert_eq!(gateway.answer(&no_2xx(3).bytes()).code, "4.03");
    assert_eq!(gateway.answer(&post("t", 4).option(258, &[8]).bytes()).code, "0.00");
    gateway.refusal = Some(Refusal::Busy);
    assert_eq!(gateway.send(&post("t", 5).option(258, &[16]).kind(NON).bytes()), []);
}

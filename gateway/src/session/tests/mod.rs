//! REFUSALS.md: one row a cause, one column a protocol, written from the code.

use std::{fmt::Write, fs, path::Path};

use super::{Refusal, coap::code_text, mqtt::Reason};

/// What can be wrong with a publish.
const PUBLISH: [Refusal; 8] = [
    Refusal::NotAuthorized,
    Refusal::TopicInvalid,
    Refusal::PathUnknown,
    Refusal::PayloadFormatInvalid,
    Refusal::BeyondLimit,
    Refusal::QuotaExceeded,
    Refusal::Busy,
    Refusal::Unavailable,
];

/// What can be wrong with a login.
const LOGIN: [Refusal; 8] = [
    Refusal::BadCredentials,
    Refusal::NotAuthorized,
    Refusal::ClientIdInvalid,
    Refusal::Banned,
    Refusal::RateExceeded,
    Refusal::QuotaExceeded,
    Refusal::Busy,
    Refusal::Unavailable,
];

/// What can be wrong with a subscription.
const SUBSCRIPTION: [Refusal; 3] = [Refusal::NotAuthorized, Refusal::FilterInvalid, Refusal::QuotaExceeded];

/// How an MQTT 3.1.1 client learns of a refused publish, for which it has no word.
fn mqtt_311(refusal: Refusal) -> &'static str {
    match refusal {
        // Stored as a reject record, so that the device does not repeat it for ever.
        Refusal::PayloadFormatInvalid => "PUBACK, and a reject record",
        refusal if refusal.is_passing() => "no PUBACK: held back, then the connection ends",
        _ => "the connection ends",
    }
}

fn code(reason: Reason) -> String {
    format!("0x{:02X}", reason.code())
}

fn coap(refusal: Refusal) -> String {
    let code = code_text(refusal.coap_code());
    refusal.coap_max_age_s().map_or(code.clone(), |age_s| format!("{code}, Max-Age {age_s}"))
}

fn serial(refusal: Refusal) -> String {
    let reason = refusal.serial_reason();
    let wait = match refusal.serial_wait_ms() {
        0 => String::new(),
        wait_ms => format!(", in {} s", wait_ms / 1000),
    };
    format!("{} {reason:?}{wait}", reason.code())
}

fn table() -> String {
    let mut text = String::from(
        "# Refusals\n\n\
         Each cause for which the gateway says no, and what each protocol answers. Written from the code: after a change,\n\
         `UPDATE=1 cargo test -p tidegate --lib session::tests` writes it again.\n\n\
         A publish:\n\n\
         | cause | passes | MQTT 3.1.1 | MQTT 5 PUBACK | CoAP | serial |\n|---|---|---|---|---|---|\n",
    );
    for refusal in PUBLISH {
        let passes = if refusal.is_passing() { "yes" } else { "" };
        let (old, new) = match refusal {
            // Any topic is welcome.
            Refusal::PathUnknown => ("never", "never".to_owned()),
            _ => (mqtt_311(refusal), code(refusal.publish_reason())),
        };
        let (coap, serial) = (coap(refusal), serial(refusal));
        writeln!(text, "| {refusal} | {passes} | {old} | {new} | {coap} | {serial} |").unwrap();
    }
    text.push_str(
        "\nA login, for MQTT with its connection, for CoAP with each request, on a serial line with its link:\n\n\
         | cause | MQTT 3.1.1 CONNACK | MQTT 5 CONNACK | CoAP | serial |\n|---|---|---|---|---|\n",
    );
    for refusal in LOGIN {
        let reason = refusal.connect_reason();
        let old =
            reason.return_code().map_or("none: the connection ends".to_owned(), |code| code.to_string());
        let (new, coap, serial) = (code(reason), coap(refusal), serial(refusal));
        writeln!(text, "| {refusal} | {old} | {new} | {coap} | {serial} |").unwrap();
    }
    text.push_str(
        "\nA subscription, which CoAP and serial lines do not have:\n\n\
         | cause | MQTT 3.1.1 SUBACK | MQTT 5 SUBACK |\n|---|---|---|\n",
    );
    for refusal in SUBSCRIPTION {
        writeln!(text, "| {refusal} | 0x80 | {} |", code(refusal.subscribe_reason())).unwrap();
    }
    text
}

#[test]
fn the_table_of_refusals_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("REFUSALS.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, table()).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == table(), "{} is old; run this test with UPDATE=1", path.display());
}

#[test]
fn every_cause_is_in_it_and_in_its_place() {
    for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
        assert_eq!(refusal as usize, place);
        assert!(
            [&PUBLISH[..], &LOGIN, &SUBSCRIPTION].iter().any(|some| some.contains(&refusal)),
            "{refusal}"
        );
    }
}

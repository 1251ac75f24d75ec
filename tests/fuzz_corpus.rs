//! The corpus of the fuzz targets, and inputs that once broke something, as plain tests.

use std::{fs, path::Path};

type Target = fn(&[u8]);

const TARGETS: &[(&str, Target)] = &[
    ("board_frames", tidegate_firmware::fuzz::exercise),
    ("coap_session", tidegate::session::coap::fuzz::exercise),
    ("configuration", configuration),
    ("mqtt_session", tidegate::session::mqtt::fuzz::exercise),
    ("payloads", payloads),
    ("rocketmq_answers", tidegate_rocketmq::wire::fuzz::exercise),
    ("routes", routes),
    ("senml", senml),
    ("serial_frames", tidegate::session::serial::fuzz::exercise),
    ("spool_commit", tidegate::spool::fuzz::exercise),
];

fn configuration(input: &[u8]) {
    if let Ok(text) = str::from_utf8(input) {
        tidegate::config::fuzz::exercise(text);
    }
}

fn payloads(input: &[u8]) {
    if let Err(broken) = tidegate::normalise::invariants::check_bytes(input) {
        panic!("{broken}");
    }
}

fn routes(input: &[u8]) {
    if let Err(broken) = tidegate::normalise::invariants::check_routes(input) {
        panic!("{broken}");
    }
}

fn senml(input: &[u8]) {
    if let Err(broken) = tidegate::normalise::invariants::check_senml(input) {
        panic!("{broken}");
    }
}

#[test]
fn every_input_of_the_corpus_keeps_the_promises() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in TARGETS {
        assert!(fuzz.join("targets").join(format!("{name}.rs")).is_file(), "{name} has no fuzz target");
        let mut played = 0;
        for entry in fs::read_dir(fuzz.join("corpus").join(name)).expect("each target has a corpus") {
            let path = entry.expect("it can be read").path();
            println!("{}", path.display());
            target(&fs::read(&path).expect("an input"));
            played += 1;
        }
        assert!(played > 0, "the corpus of {name} is empty");
    }
}

#[test]
fn every_target_is_replayed() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
    for entry in fs::read_dir(targets).expect("the targets are there") {
        let path = entry.expect("it can be read").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name");
        assert!(TARGETS.iter().any(|(known, _)| *known == name), "{name} is not replayed here");
    }
}

//! What a CoAP client is promised, seen through the clients of libcoap and aiocoap and through bytes.

mod bad_input;
mod clients;
mod faults;
mod network;
mod proved;
mod spoofed;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use tidegate_tests::{
    CoapClient, Gateway, Login,
    coap::{Code, Datagram},
    eventually,
};

const READING: &[u8] = br#"{"temperature":23.4}"#;
/// 2.04 Changed: it is on disk (RFC 7252, section 5.9.1.4).
const CHANGED: Code = Code(0x44);
/// Memory that the gateway may have used when a test is over.
const MEMORY_KIB_MAX: u64 = 200 * 1024;

/// A gateway with a second device that has to stay undisturbed.
struct Rig {
    gateway: Gateway,
    other: Login,
    counted_before: u64,
}

impl Rig {
    fn start() -> Self {
        Self::with(Gateway::make())
    }

    /// Starts `gateway`, and waits until CoAP is answered.
    fn with(mut gateway: Gateway) -> Self {
        gateway.run();
        await_coap(&gateway);
        let other = gateway.add_device("sensor_2");
        let counted_before = counted(&gateway);
        Self { gateway, other, counted_before }
    }

    fn client(&self) -> CoapClient {
        CoapClient::open(self.gateway.coap_address())
    }

    /// What the device of quickstart is answered.
    fn ask(&self, request: &Datagram) -> Datagram {
        self.client().exchange(request).response
    }

    /// A reading of the device of quickstart.
    fn post(&self, path: &str) -> Datagram {
        self.client().post(path, &self.gateway.device, READING)
    }

    /// The process lives, its memory is within its cap, another device's reading is acknowledged within a second.
    fn assert_well(&mut self) {
        assert!(self.gateway.is_running());
        let (_, most_kib) = self.gateway.memory_kib();
        assert!(most_kib < MEMORY_KIB_MAX, "{most_kib} KiB");
        let begin = Instant::now();
        assert_eq!(self.client().post_and_wait("telemetry", &self.other, READING), CHANGED);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }

    /// As [`Rig::assert_well`], and something in the status has counted what happened.
    fn assert_well_and_counted(&mut self) {
        let before = self.counted_before;
        eventually("a counter has moved", || (counted(&self.gateway) > before).then_some(()));
        self.assert_well();
    }
}

/// Everything in the status that counts what went wrong.
fn counted(gateway: &Gateway) -> u64 {
    let status = gateway.status();
    let sum = |section: &str, fine: &[&str]| -> u64 {
        let section = status[section].as_object().unwrap_or_else(|| panic!("no section {section}: {status}"));
        let numbers = section.iter().filter(|(name, _)| !fine.contains(&name.as_str()));
        numbers.filter_map(|(_, value)| value.as_u64()).sum()
    };
    sum("connections", &["open", "accepted"]) + sum("coap", &["requests", "remembered", "pending"])
}

fn await_coap(gateway: &Gateway) {
    let mut client = CoapClient::open(gateway.coap_address());
    eventually("CoAP is answered", || client.ping().then_some(()));
}

/// Records that the spool has, of both lanes.
fn stored(gateway: &Gateway) -> u64 {
    let status = gateway.status();
    let lanes = status["spool"]["lanes"].as_array().expect("a list");
    lanes.iter().map(|lane| lane["end"].as_u64().expect("an offset")).sum()
}

/// Every line that the output has.
fn delivered_lines(out: &Path) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(out).into_iter().flatten() {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            let text = fs::read_to_string(&path).expect("the output is text");
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.extend(whole.map(|line| serde_json::from_str(line).expect("a line is JSON")));
        }
    }
    lines
}

//! The Pico's real image in the emulator, on a serial port of the real gateway.

#[path = "firmware/images.rs"]
mod images;
#[path = "firmware/usb.rs"]
mod usb;

use std::{path::PathBuf, thread, time::Duration};

use serde_json::Value;
use tidegate_tests::{Gateway, Line, Pico, assert_whole, count_from, eventually, readings, within};

/// How long a board takes to be heard and to get its name, on a busy machine.
const NAMED_MAX: Duration = Duration::from_secs(90);
/// The emulated chips have no name from their maker.
const HARDWARE: &str = "0000000000000000";

fn gateway() -> Gateway {
    let mut gateway = Gateway::make();
    let section = format!("[[serial.port]]\npath = \"{}/tty*\"\n\n[http]", gateway.dir.display());
    gateway.configure("[http]", &section);
    gateway.run();
    gateway
}

fn flash(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.dir.join(format!("{name}.flash"))
}

fn plug(gateway: &Gateway, name: &str) -> Line {
    Line::plug(&gateway.dir.join(name))
}

/// Has the gateway take in the board that asks for a name.
fn adopt(gateway: &Gateway, device: &str) {
    let heard = || gateway.command(&["adopt"]).contains(HARDWARE).then_some(());
    within(NAMED_MAX, heard).expect("the board asks for a name");
    gateway.command(&["adopt", HARDWARE, "--as", device]);
}

fn wait_for(gateway: &Gateway, device: &str, is_it: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    within(NAMED_MAX, || Some(readings(gateway, device)).filter(|found| is_it(found)))
        .unwrap_or_else(|| panic!("{:?}", readings(gateway, device)))
}

fn temperature(reading: &Value) -> f64 {
    reading["values"]["temperature"].as_f64().expect("a temperature")
}

fn boots(found: &[Value]) -> u64 {
    let of =
        |reading: Option<&Value>| reading.and_then(|reading| reading["boot"].as_u64()).unwrap_or_default();
    of(found.last()).saturating_sub(of(found.first()))
}

#[test]
fn the_temperature_of_a_pico_arrives_and_raises_the_alarm() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let mut pico = Pico::start(&line, &flash(&gateway, "one"), 20.0);
    adopt(&gateway, "greenhouse-1");
    let cool = wait_for(&gateway, "greenhouse-1", |found| found.len() >= 3);
    assert!(cool.iter().all(|reading| (temperature(reading) - 20.0).abs() < 0.5), "{cool:?}");
    pico.warm(36.6);
    let warm = wait_for(&gateway, "greenhouse-1", |found| {
        found.last().is_some_and(|reading| (temperature(reading) - 36.6).abs() < 0.5)
    });
    assert_whole(&warm);
    let last = warm.last().expect("some");
    println!("{last}");
    assert_eq!(last["uid"], format!("greenhouse-1/{}/{}", last["boot"], last["seq"]));
    assert_eq!(last["units"]["temperature"], "°C");
    let alarm = || gateway.command(&["status"]).contains("temperature_high").then_some(());
    eventually("the alarm", alarm);
    println!("{}", gateway.command(&["tail", "--from", "oldest", "-n", "6"]));
    assert_eq!(pico.broken(), Vec::<String>::new());
}

#[test]
fn a_gateway_that_is_away_misses_no_reading_of_a_pico() {
    let mut gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let pico = Pico::start(&line, &flash(&gateway, "one"), 20.0);
    adopt(&gateway, "greenhouse-1");
    let before = wait_for(&gateway, "greenhouse-1", |found| found.len() >= 3).len();
    gateway.kill();
    let away = Duration::from_secs(count_from("TIDEGATE_AWAY_SECONDS", 10));
    thread::sleep(away);
    gateway.run();
    // One a second, some of them late on a busy machine.
    let missed = usize::try_from(away.as_secs() / 2).expect("few");
    let found = wait_for(&gateway, "greenhouse-1", |found| found.len() >= before + missed + 3);
    assert_whole(&found);
    assert_eq!(boots(&found), 0, "the board went on");
    assert_eq!(pico.broken(), Vec::<String>::new());
}

#[test]
fn a_pico_that_loses_its_power_in_the_middle_keeps_its_name_and_its_readings() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let flash = flash(&gateway, "one");
    let first = Pico::start(&line, &flash, 20.0);
    adopt(&gateway, "greenhouse-1");
    wait_for(&gateway, "greenhouse-1", |found| found.len() >= 3);
    drop(first);
    // The flash is written by pages of 256 bytes, blank but for a slot: in the middle of the one that counts the start,
    // then of the first, the second and the third reading's, somewhere in the page.
    for (round, bytes) in (1..).zip([100, 256 + 130, 2 * 256 + 200, 3 * 256 + 70]) {
        let mut pico = Pico::start(&line, &flash, 21.0);
        pico.cut_after(bytes);
        within(NAMED_MAX, || pico.is_off().then_some(())).expect("its power goes");
        assert_eq!(pico.broken(), Vec::<String>::new(), "round {round}");
    }
    let _pico = Pico::start(&line, &flash, 22.0);
    let found = wait_for(&gateway, "greenhouse-1", |found| {
        found.last().is_some_and(|reading| (temperature(reading) - 22.0).abs() < 0.5)
    });
    assert_whole(&found);
    assert!(boots(&found) >= 2, "{found:?}");
}

#[test]
fn two_picos_and_a_device_over_mqtt_share_a_gateway() {
    let gateway = gateway();
    let mut picos = Vec::new();
    for (port, device, celsius) in [("ttyACM0", "greenhouse-1", 18.0), ("ttyACM1", "greenhouse-2", 24.0)] {
        let line = plug(&gateway, port);
        picos.push((Pico::start(&line, &flash(&gateway, device), celsius), line));
        adopt(&gateway, device);
        wait_for(&gateway, device, |found| !found.is_empty());
    }
    let sent =
        tidegate_tests::publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", "{\"temperature\":1}"]);
    assert!(sent.status.success(), "{sent:?}");
    for (device, celsius) in [("greenhouse-1", 18.0), ("greenhouse-2", 24.0)] {
        let found = wait_for(&gateway, device, |found| found.len() >= 4);
        assert_whole(&found);
        assert!(found.iter().all(|reading| (temperature(reading) - celsius).abs() < 0.5), "{found:?}");
    }
}

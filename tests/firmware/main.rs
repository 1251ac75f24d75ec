//! Boards: the Pico's real image in the emulator, on a serial port of the real gateway.

mod bus;
mod images;
mod network;
mod pico;
mod riscv;
mod several;
mod usb;

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tidegate_tests::{Gateway, Line, Pico, readings, within};

/// How long a board takes to be heard and to get its name, on a busy machine.
const NAMED_MAX: Duration = Duration::from_secs(90);

fn gateway() -> Gateway {
    let mut gateway = Gateway::make();
    take_serial(&mut gateway);
    gateway.run();
    gateway
}

/// Has it listen on the serial ports in its folder.
fn take_serial(gateway: &mut Gateway) {
    let section = format!("[[serial.port]]\npath = \"{}/tty*\"\n\n[http]", gateway.dir.display());
    gateway.configure("[http]", &section);
}

fn flash(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.dir.join(format!("{name}.flash"))
}

fn plug(gateway: &Gateway, name: &str) -> Line {
    Line::plug(&gateway.dir.join(name))
}

/// Has the gateway take in the board, which asks for a name.
fn adopt(gateway: &Gateway, pico: &Pico, device: &str) {
    let heard = || gateway.command(&["adopt"]).contains(&pico.hardware).then_some(());
    within(NAMED_MAX, heard).expect("the board asks for a name");
    gateway.command(&["adopt", &pico.hardware, "--as", device]);
}

fn wait_for(gateway: &Gateway, device: &str, is_it: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    within(NAMED_MAX, || Some(readings(gateway, device)).filter(|found| is_it(found)))
        .unwrap_or_else(|| panic!("{:?}", readings(gateway, device)))
}

fn temperature(reading: &Value) -> f64 {
    reading["values"]["temperature"].as_f64().expect("a temperature")
}

/// How often a board has started between the first and the last of its readings.
fn boots(found: &[Value]) -> u64 {
    let of =
        |reading: Option<&Value>| reading.and_then(|reading| reading["boot"].as_u64()).unwrap_or_default();
    of(found.last()).saturating_sub(of(found.first()))
}

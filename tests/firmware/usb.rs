//! A Pico on nothing but its USB cable.

use super::{adopt, assert_whole, flash, gateway, plug, temperature, wait_for};
use tidegate_tests::Pico;

#[test]
fn the_temperature_of_a_pico_arrives_over_its_usb_cable() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let flash = flash(&gateway, "one");
    let pico = Pico::start_on_usb(&line, &flash, 36.6);
    adopt(&gateway, "greenhouse-1");
    let found = wait_for(&gateway, "greenhouse-1", |found| found.len() >= 3);
    assert!(found.iter().all(|reading| (temperature(reading) - 36.6).abs() < 0.5), "{found:?}");
    assert_eq!(pico.broken(), Vec::<String>::new());
    // The cable comes out, and with it the power; the board has its name when it is back.
    drop(pico);
    let pico = Pico::start_on_usb(&line, &flash, 21.0);
    let found = wait_for(&gateway, "greenhouse-1", |found| {
        found.last().is_some_and(|reading| (temperature(reading) - 21.0).abs() < 0.5)
    });
    assert_whole(&found);
    assert_eq!(pico.broken(), Vec::<String>::new());
}

//! A Pico on nothing but its USB cable.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tidegate_tests::{Login, Pico, assert_whole};

use super::{adopt, flash, gateway, plug, temperature, wait_for};

#[test]
fn the_temperature_of_a_pico_arrives_over_its_usb_cable() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let flash = flash(&gateway, "one");
    let pico = Pico::start_on_usb(&line, &flash, 36.6);
    adopt(&gateway, &pico, "greenhouse-1");
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

#[test]
fn a_bme280_on_a_pico_measures_what_its_datasheet_says() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let pico = Pico::start_with_bme280(&line, &flash(&gateway, "one"));
    adopt(&gateway, &pico, "weather");
    let found = wait_for(&gateway, "weather", |found| found.len() >= 2);
    assert_whole(&found);
    // 25.08 °C and 1006.53 hPa by the datasheet's example; the humidity by its formula, with floating point.
    for (name, unit, value) in
        [("temperature", "°C", 25.08), ("pressure", "hPa", 1006.53), ("humidity", "%", 56.21)]
    {
        let last = found.last().expect("some");
        let measured = last["values"][name].as_f64().expect("a number");
        assert!((measured - value).abs() < 0.02, "{name}: {last}");
        assert_eq!(last["units"][name], unit);
    }
    assert_eq!(pico.broken(), Vec::<String>::new());
}

/// Builds an image whose board is `login`'s.
fn image_of(login: &Login, folder: &Path) -> PathBuf {
    let mut build = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/build"));
    build.args(["rp2040", "--features", "usb", "--out"]).arg(folder);
    build.env("TIDEGATE_DEVICE", &login.user).env("TIDEGATE_SECRET", &login.password);
    let built = build.output().expect("bash is there");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    folder.join("tidegate-rp2040-usb.elf")
}

#[test]
fn a_name_from_the_build_needs_no_adoption_and_takes_the_place_of_another() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let flash = flash(&gateway, "one");
    for (device, celsius) in [("kitchen", 18.0), ("cellar", 12.0)] {
        let image = image_of(&gateway.add_device(device), &gateway.dir.join(device));
        let pico = Pico::start_image_on_usb(&line, &flash, celsius, &image);
        let found = wait_for(&gateway, device, |found| {
            found.last().is_some_and(|reading| (temperature(reading) - celsius).abs() < 0.5)
        });
        // None of those that waited under the other name.
        assert!(found.iter().all(|reading| (temperature(reading) - celsius).abs() < 0.5), "{found:?}");
        assert_whole(&found);
        assert_eq!(pico.broken(), Vec::<String>::new());
    }
}

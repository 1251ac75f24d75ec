//! One board: what it measures, what it keeps without power, on a bad line, with a wrong secret.

use std::{thread, time::Duration};

use tidegate_tests::{Pico, assert_whole, eventually, readings, within};

use crate::{NAMED_MAX, adopt, boots, flash, gateway, plug, temperature, wait_for};

#[test]
fn the_temperature_of_a_pico_arrives_and_raises_the_alarm() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let mut pico = Pico::start(&line, &flash(&gateway, "one"), 20.0);
    adopt(&gateway, &pico, "greenhouse-1");
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
fn noise_costs_a_pico_no_reading_and_a_wrong_secret_gets_it_nowhere() {
    const ONE_OF: u32 = 150;
    const SPOILED_MIN: u64 = 10;
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let mut pico = Pico::start(&line, &flash(&gateway, "one"), 20.0);
    adopt(&gateway, &pico, "greenhouse-1");
    let before = wait_for(&gateway, "greenhouse-1", |found| found.len() >= 2).len();
    pico.noise(ONE_OF);
    within(NAMED_MAX, || (pico.status("spoiled") >= SPOILED_MIN).then_some(())).expect("noise");
    pico.noise(0);
    let found = wait_for(&gateway, "greenhouse-1", |found| found.len() >= before + 10);
    assert_whole(&found);
    assert_eq!((boots(&found), pico.broken()), (0, Vec::new()), "the board went on");

    // Its secret is no longer the one that the gateway knows.
    gateway.command(&["device", "rotate", "greenhouse-1"]);
    let told = || gateway.command(&["device", "show", "greenhouse-1"]).contains("wrong secret").then_some(());
    within(NAMED_MAX, told).expect("the owner is told");
    let found = readings(&gateway, "greenhouse-1");
    thread::sleep(Duration::from_secs(4));
    assert_eq!(readings(&gateway, "greenhouse-1").len(), found.len(), "nothing more of it is taken");
}

#[test]
fn a_pico_that_loses_its_power_in_the_middle_keeps_its_name_and_its_readings() {
    let gateway = gateway();
    let line = plug(&gateway, "ttyACM0");
    let flash = flash(&gateway, "one");
    let first = Pico::start(&line, &flash, 20.0);
    adopt(&gateway, &first, "greenhouse-1");
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

//! Several boards on one gateway, which is away for a while.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use tidegate_tests::{Line, Pico, Simulator, assert_whole, count_from};

use crate::{NAMED_MAX, adopt, boots, flash, gateway, plug, temperature, wait_for};

struct Board {
    device: String,
    celsius: f64,
    pico: Pico,
    _line: Line,
}

#[test]
fn picos_and_a_simulated_device_lose_nothing_while_their_gateway_is_away() {
    let mut gateway = gateway();
    // All are new, and ask for a name at the same time.
    let boards: Vec<Board> = (1..=count_from("TIDEGATE_BOARDS", 2))
        .map(|number| {
            let (device, celsius) =
                (format!("greenhouse-{number}"), 17.0 + f64::from(u32::try_from(number).expect("few")));
            let line = plug(&gateway, &format!("ttyACM{number}"));
            let pico = Pico::start(&line, &flash(&gateway, &device), celsius);
            Board { device, celsius, pico, _line: line }
        })
        .collect();
    let names: HashSet<&str> = boards.iter().map(|board| board.pico.hardware.as_str()).collect();
    assert_eq!(names.len(), boards.len(), "the maker's name of each is its own");
    boards.iter().for_each(|board| adopt(&gateway, &board.pico, &board.device));

    let (up, away) = (count_from("TIDEGATE_UP_SECONDS", 5), count_from("TIDEGATE_AWAY_SECONDS", 30));
    let duration = format!("{}s", up + away + 10);
    let simulator = Simulator::start(&gateway, 1, &["--interval", "500ms", "--duration", &duration]);
    let before: Vec<usize> = boards
        .iter()
        .map(|board| wait_for(&gateway, &board.device, |found| found.len() >= 3).len())
        .collect();
    let (start, used) = (Instant::now(), gateway.processor_time());
    let emulated =
        |boards: &[Board]| boards.iter().map(|board| board.pico.processor_time()).sum::<Duration>();
    let emulators = emulated(&boards);
    thread::sleep(Duration::from_secs(up));
    let percent = |used: Duration| 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
    println!(
        "of one processor the gateway took {:.1} %, {} emulators {:.1} %",
        percent(gateway.processor_time() - used),
        boards.len(),
        percent(emulated(&boards) - emulators),
    );
    gateway.kill();
    thread::sleep(Duration::from_secs(away));
    gateway.run();

    let report = simulator.finish(Duration::from_secs(up + away) + NAMED_MAX);
    report.assert_nothing_lost();
    // One a second, some of them late on a busy machine.
    let more = usize::try_from((up + away) / 2).expect("few");
    for (board, before) in boards.iter().zip(before) {
        let found = wait_for(&gateway, &board.device, |found| found.len() >= before + more + 3);
        assert_whole(&found);
        assert_eq!((boots(&found), board.pico.broken()), (0, Vec::new()), "{} went on", board.device);
        let is_its_own = |reading| (temperature(reading) - board.celsius).abs() < 0.5;
        assert!(found.iter().all(is_its_own), "{found:?}");
        println!("{}: {} readings, none missing, none twice", board.device, found.len());
    }
    println!("simulator: {} acknowledged, none lost", report.number("acknowledged"));
}

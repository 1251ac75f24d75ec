//! Boards on serial ports: the firmware's own core against the real gateway, over pseudo-terminals.

use std::{collections::HashSet, fs, path::PathBuf, thread, time::Duration};

use tidegate_firmware::Signal;
use tidegate_tests::{
    Board, Flash, Gateway, Line, Login, assert_whole, at_least, eventually, readings, within, written,
};

const BOARD: &str = "e6614103e7452c2f";
const PERIOD_MS: u32 = 100;

/// A gateway with a pattern of ports, in a folder of its own.
fn gateway_with(port: &str) -> Gateway {
    let mut gateway = Gateway::make();
    let path = gateway.dir.join("tty*");
    let section = format!("[[serial.port]]\npath = \"{}\"\n{port}\n[http]", path.display());
    gateway.configure("[http]", &section);
    gateway.run();
    gateway
}

fn tty(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.dir.join(name)
}

/// Waits until everything that was measured is acknowledged.
fn settle(board: &Board) {
    let still = || (board.signal() == Some(Signal::Linked)).then_some(());
    within(Duration::from_secs(40), still).unwrap_or_else(|| panic!("{:?}", board.signal()));
}

#[test]
fn readings_arrive_with_boot_and_number_and_are_acknowledged() {
    let gateway = gateway_with("");
    let login = gateway.add_device("greenhouse-1");
    let line = Line::plug(&tty(&gateway, "ttyACM0"));
    let board = Board::start(BOARD, &Flash::of(&login), &line, PERIOD_MS);
    board.warm(366);
    let found = at_least(&gateway, "greenhouse-1", 5);
    assert_whole(&found);
    let last = found.last().expect("some");
    assert_eq!(last["values"]["temperature"], 36.6, "{last}");
    assert_eq!(last["units"]["temperature"], "°C", "{last}");
    assert_eq!(last["uid"], format!("greenhouse-1/{}/{}", last["boot"], last["seq"]));
    let status = gateway.command(&["status"]);
    assert!(status.contains("ttyACM0 greenhouse-1"), "{status}");
    let tail = gateway.command(&["tail", "--from", "oldest", "--lane", "telemetry", "-n", "1"]);
    assert!(tail.contains("serial") && tail.contains("temperature"), "{tail}");
    // 36.6 is above the alarm's 35.
    eventually("the alarm", || gateway.command(&["status"]).contains("temperature_high").then_some(()));
}

#[test]
fn a_gateway_that_is_killed_misses_nothing_and_stores_nothing_twice() {
    let mut gateway = gateway_with("");
    let login = gateway.add_device("greenhouse-1");
    let line = Line::plug(&tty(&gateway, "ttyACM0"));
    let board = Board::start(BOARD, &Flash::of(&login), &line, PERIOD_MS);
    for round in 1..=3 {
        at_least(&gateway, "greenhouse-1", 5 * round);
        gateway.kill();
        let measured = board.measured();
        eventually("it measures on", || (board.measured() > measured + 5).then_some(()));
        gateway.run();
    }
    let count = usize::try_from(board.measured()).expect("some");
    settle(&board);
    let found = within(Duration::from_secs(40), || {
        Some(readings(&gateway, "greenhouse-1")).filter(|found| found.len() >= count)
    });
    assert_whole(&found.expect("all that was measured"));
    // Once more without a file that says how far the devices have come: the spool says it.
    gateway.stop();
    fs::remove_file(gateway.dir.join("serial.json"))
        .or_else(|_| fs::remove_file(gateway.dir.join("data/serial.json")))
        .expect("it was written");
    gateway.run();
    let before = readings(&gateway, "greenhouse-1").len();
    at_least(&gateway, "greenhouse-1", before + 5);
    assert_whole(&readings(&gateway, "greenhouse-1"));
}

#[test]
fn a_board_that_loses_its_power_keeps_what_was_not_acknowledged() {
    let mut gateway = gateway_with("");
    let login = gateway.add_device("greenhouse-1");
    let flash = Flash::of(&login);
    let line = Line::plug(&tty(&gateway, "ttyACM0"));
    let first = Board::start(BOARD, &flash, &line, PERIOD_MS);
    at_least(&gateway, "greenhouse-1", 3);
    gateway.kill();
    let measured = first.measured();
    eventually("it measures on", || (first.measured() > measured + 5).then_some(()));
    drop(first);
    let second = Board::start(BOARD, &flash, &line, PERIOD_MS);
    gateway.run();
    eventually("it measures on", || (second.measured() > 5).then_some(()));
    let boots = || {
        let found = readings(&gateway, "greenhouse-1");
        let boots: HashSet<_> = found.iter().filter_map(|reading| reading["boot"].as_u64()).collect();
        (boots.len() == 2).then_some(found)
    };
    let found = within(Duration::from_secs(40), boots).expect("readings of both boots");
    assert_whole(&found);
    let of_first = found.iter().filter(|reading| reading["boot"] == found[0]["boot"]).count();
    assert!(of_first > usize::try_from(measured).expect("some"), "what it measured while nobody listened");
}

#[test]
fn a_board_with_a_wrong_secret_gets_nowhere_and_its_owner_is_told() {
    let gateway = gateway_with("");
    let login = gateway.add_device("greenhouse-1");
    let wrong = Login { password: "ffffffffffffffffffffffffffffffff".to_owned(), ..login };
    let line = Line::plug(&tty(&gateway, "ttyACM0"));
    let board = Board::start(BOARD, &Flash::of(&wrong), &line, PERIOD_MS);
    eventually("it shows that it is refused", || (board.signal() == Some(Signal::Refused)).then_some(()));
    let told = || gateway.command(&["device", "show", "greenhouse-1"]).contains("wrong secret").then_some(());
    within(Duration::from_secs(30), told).expect("the owner is told");
    assert!(readings(&gateway, "greenhouse-1").is_empty());
}

#[test]
fn a_new_board_is_taken_in_when_its_owner_agrees() {
    let gateway = gateway_with("");
    let line = Line::plug(&tty(&gateway, "ttyUSB7"));
    let flash = Flash::blank();
    let board = Board::start(BOARD, &flash, &line, PERIOD_MS);
    eventually("it is listed", || gateway.command(&["adopt"]).contains(BOARD).then_some(()));
    assert_eq!(board.signal(), Some(Signal::Unclaimed));
    assert!(!gateway.try_command(&["adopt", "unheard", "--as", "porch"]).status.success());
    let said = gateway.command(&["adopt", BOARD, "--as", "porch"]);
    assert!(said.contains("porch"), "{said}");
    let found = within(Duration::from_secs(30), || {
        Some(readings(&gateway, "porch")).filter(|found| found.len() >= 5)
    });
    assert_whole(&found.expect("readings"));
    assert!(gateway.command(&["adopt"]).contains("no board"), "it has its name");
    // The name survives the power.
    drop(board);
    let board = Board::start(BOARD, &flash, &line, PERIOD_MS);
    settle_any(&board);
    assert!(gateway.try_command(&["adopt", BOARD, "--as", "porch"]).stderr.len() > 10, "it is not new");
}

fn settle_any(board: &Board) {
    let linked = || matches!(board.signal(), Some(Signal::Linked | Signal::Waiting)).then_some(());
    within(Duration::from_secs(40), linked).unwrap_or_else(|| panic!("{:?}", board.signal()));
}

#[test]
fn a_board_may_be_pulled_out_and_plugged_in_elsewhere() {
    let gateway = gateway_with("");
    let login = gateway.add_device("greenhouse-1");
    let flash = Flash::of(&login);
    let line = Line::plug(&tty(&gateway, "ttyACM0"));
    let board = Board::start(BOARD, &flash, &line, PERIOD_MS);
    at_least(&gateway, "greenhouse-1", 3);
    drop((board, line));
    eventually("it is gone", || (!gateway.command(&["status"]).contains("ttyACM0")).then_some(()));
    let line = Line::plug(&tty(&gateway, "ttyACM1"));
    let _board = Board::start(BOARD, &flash, &line, PERIOD_MS);
    let before = readings(&gateway, "greenhouse-1").len();
    let found = within(Duration::from_secs(40), || {
        Some(readings(&gateway, "greenhouse-1")).filter(|found| found.len() >= before + 5)
    });
    assert_whole(&found.expect("it goes on"));
}

#[test]
fn noise_on_the_line_costs_time_and_no_reading() {
    let gateway = gateway_with("");
    let login = gateway.add_device("greenhouse-1");
    let line = Line::plug(&tty(&gateway, "ttyACM0"));
    let board = Board::start(BOARD, &Flash::of(&login), &line, PERIOD_MS);
    at_least(&gateway, "greenhouse-1", 3);
    for round in 0..20_u8 {
        line.say(&[round, 0, 0xff, round.wrapping_mul(31), 0x55]);
        thread::sleep(Duration::from_millis(37));
    }
    let count = usize::try_from(board.measured()).expect("some");
    let found = within(Duration::from_secs(60), || {
        Some(readings(&gateway, "greenhouse-1")).filter(|found| found.len() > count)
    });
    assert_whole(&found.expect("it goes on"));
    assert!(gateway.status()["serial"]["noise"].as_u64() > Some(0), "and it is counted");
}

#[test]
fn two_boards_on_two_ports_and_a_device_over_mqtt() {
    let gateway = gateway_with("");
    let names = ["greenhouse-1", "greenhouse-2"];
    let boards: Vec<_> = (0..)
        .zip(names)
        .map(|(number, name)| {
            let line = Line::plug(&tty(&gateway, &format!("ttyACM{number}")));
            let login = gateway.add_device(name);
            (Board::start(&format!("board-{number}"), &Flash::of(&login), &line, PERIOD_MS), line)
        })
        .collect();
    let published =
        tidegate_tests::publish(&gateway, &["-q", "1", "-t", "telemetry", "-m", "{\"temperature\":1}"]);
    assert!(published.status.success(), "{published:?}");
    for name in names {
        assert_whole(&at_least(&gateway, name, 5));
    }
    drop(boards);
}

#[test]
fn a_board_does_what_its_owner_wants() {
    let gateway = gateway_with("");
    let login = gateway.add_device("greenhouse-1");
    let line = Line::plug(&tty(&gateway, "ttyACM0"));
    let board = Board::start(BOARD, &Flash::of(&login), &line, PERIOD_MS);
    let first = at_least(&gateway, "greenhouse-1", 2)[0]["boot"].as_u64().expect("a boot");
    let report = gateway.command(&["board", "greenhouse-1"]);
    assert!(report.contains("a reading every 100 ms") && report.contains("1 links"), "{report}");
    assert!(!board.is_identified());
    gateway.command(&["board", "greenhouse-1", "--identify"]);
    eventually("its LED says so", || board.is_identified().then_some(()));
    gateway.command(&["board", "greenhouse-1", "--period", "150"]);
    assert!(gateway.command(&["board", "greenhouse-1"]).contains("a reading every 150 ms"));
    let refused = gateway.try_command(&["board", "greenhouse-1", "--period", "1"]);
    assert!(!refused.status.success() && board.measured() > 0, "{refused:?}");
    let away = gateway.try_command(&["board", "greenhouse-2"]);
    assert!(
        String::from_utf8_lossy(&away.stderr).contains("none of this gateway's serial ports"),
        "{away:?}"
    );
    gateway.command(&["board", "greenhouse-1", "--reboot"]);
    let started = || {
        let found = readings(&gateway, "greenhouse-1");
        found.last().is_some_and(|last| last["boot"].as_u64() == Some(first + 1)).then_some(found)
    };
    assert_whole(&within(Duration::from_secs(40), started).expect("it starts again"));
}

#[test]
fn what_an_arduino_prints_is_taken_as_it_comes_and_said_to_be_best_effort() {
    let gateway = gateway_with("mode = \"lines\"\nbaud = 9600\n");
    let line = Line::plug(&tty(&gateway, "ttyUSB0"));
    eventually("it is open", || gateway.command(&["status"]).contains("best effort").then_some(()));
    line.say(b"23.4\r\nsensor_9,36.6\r\n{\"temperature\":20.5,\"door\":true}\r\ngreenhouse-9,abc\r\n");
    let found = eventually("the lines", || Some(written(&gateway)).filter(|lines| lines.len() >= 4));
    let of = |device: &str| found.iter().filter(|line| line["device"] == device).collect::<Vec<_>>();
    assert_eq!(of("ttyUSB0").len(), 2, "{found:?}");
    assert_eq!(of("ttyUSB0")[0]["values"]["value"], 23.4);
    assert_eq!(of("ttyUSB0")[1]["values"]["door"], true);
    assert_eq!(of("sensor_9")[0]["values"]["temperature"], 36.6);
    let status = gateway.command(&["status"]);
    assert!(status.contains("no promise") && status.contains("ttyUSB0"), "{status}");
    // Nobody speaks for a device that has a login.
    line.say(format!("{},99\n", tidegate_tests::DEVICE).as_bytes());
    let dropped = || gateway.status()["serial"]["lines_dropped"].as_u64().filter(|dropped| *dropped > 0);
    eventually("it is dropped", dropped);
    assert!(written(&gateway).iter().all(|line| line["device"] != tidegate_tests::DEVICE));
}

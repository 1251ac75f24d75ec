//! What a disk gives back is not what was written: the gateway says so, starts anyway, and delivers the rest.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tidegate_tests::{
    Acknowledged, Client, DEVICE, Delivered, Gateway, Load, Login, Version, delivered, eventually, missing,
    missing_at_last, out_of_order, ran, read_credentials, run, tidegate,
};

const READING: &[u8] = br#"{"temperature":23.4}"#;
/// Exit of `spool verify` for a damaged spool.
const EXIT_DAMAGED: i32 = 65;
const BLOCK_BYTES: usize = 4096;
/// With what a commit begins.
const COMMIT_MAGIC: &[u8] = b"TIDE";
const DEVICES: usize = 2;
/// Readings that one commit can hold: what the devices of a load have in flight.
const COMMIT_READINGS_MAX: u64 = 16 * DEVICES as u64;
/// Bytes of the last commit that are flipped, one by one.
const FLIPS: usize = 16;

/// A gateway that does not run, with what it acknowledged in its spool.
struct Stopped {
    gateway: Gateway,
    logins: Vec<Login>,
    acknowledged: Acknowledged,
}

impl Stopped {
    fn make() -> Self {
        let gateway = Gateway::make();
        let logins = read_credentials(&gateway.add_devices(DEVICES, "virtual_"));
        let mut stopped = Self { gateway, logins, acknowledged: Acknowledged::new() };
        stopped.load();
        stopped
    }

    /// Runs it and kills it in the middle of load.
    fn load(&mut self) {
        self.gateway.run();
        let load = Load::start(self.gateway.port, &self.logins, &self.acknowledged);
        thread::sleep(Duration::from_millis(400));
        self.gateway.kill();
        self.acknowledged = load.stop();
    }

    fn spool(&self) -> PathBuf {
        self.gateway.dir.join("spool")
    }

    fn cursors(&self) -> Vec<PathBuf> {
        files(&self.spool().join("cursors"))
    }

    /// Forgets what was delivered, so that everything is delivered again.
    fn forget(&self) {
        self.cursors().iter().for_each(|file| fs::remove_file(file).expect("our own file"));
        fs::remove_dir_all(self.gateway.out()).expect("our own folder");
    }

    /// Starts it, which takes no longer than usual, and publishes: that reading is stored and delivered.
    fn assert_starts_and_goes_on(&mut self) {
        let begin = Instant::now();
        self.gateway.run();
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        let mut client = Client::login(self.gateway.port, Version::V5, &self.gateway.device);
        let payload = br#"{"boot":9,"seq":1,"values":{"temperature":23.4}}"#;
        assert_eq!(client.publish_and_wait("telemetry", payload, 1), 0);
        let out = self.gateway.out();
        eventually("what is published is delivered", || delivered(&out).contains_key(DEVICE).then_some(()));
    }

    /// `spool verify --json`, and whether it found the spool sound.
    fn verify(&self) -> (Value, bool) {
        let words = ["spool", "verify", "--json"];
        let verified = run(Command::new(tidegate()).args(words).arg(self.spool()));
        let printed = String::from_utf8_lossy(&verified.stdout);
        let found = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {verified:?}"));
        assert!([Some(0), Some(EXIT_DAMAGED)].contains(&verified.status.code()), "{verified:?}");
        (found, verified.status.success())
    }

    /// The segment that telemetry is written to, and where its commits end.
    fn tail(&self) -> (PathBuf, usize) {
        let (found, _) = self.verify();
        let segments = found["segments"].as_array().expect("a list");
        let open =
            segments.iter().find(|segment| segment["lane"] == "telemetry" && segment["sealed"] == false);
        let open = open.unwrap_or_else(|| panic!("no open segment: {found}"));
        let bytes = open["bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok()).expect("a number");
        (self.spool().join(open["name"].as_str().expect("a name")), BLOCK_BYTES + bytes)
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.is_file())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    ran(Command::new("rm").arg("-rf").arg(to));
    ran(Command::new("cp").args(["-a", "--sparse=always"]).arg(from).arg(to));
}

#[test]
fn a_flipped_byte_in_the_last_commit_costs_that_commit_at_most() {
    let mut stopped = Stopped::make();
    stopped.forget();
    let kept = tempfile::tempdir().expect("a temporary folder");
    let whole = kept.path().join("spool");
    copy(&stopped.spool(), &whole);
    let (segment, end) = stopped.tail();
    let bytes = fs::read(&segment).expect("the segment");
    let mut blocks = (1..end / BLOCK_BYTES).rev().map(|block| block * BLOCK_BYTES);
    let begin = blocks.find(|at| bytes[*at..].starts_with(COMMIT_MAGIC)).expect("a commit");
    // What follows the last record up to the block's end is zero, and nobody reads it.
    let length = bytes[begin..end].iter().rposition(|byte| *byte != 0).expect("a commit is not empty");
    let mut readings = None;
    for flip in 0..=FLIPS {
        copy(&whole, &stopped.spool());
        if let Some(number) = flip.checked_sub(1) {
            let mut flipped = bytes.clone();
            flipped[begin + length * number / (FLIPS - 1)] ^= 0x40;
            fs::write(&segment, flipped).expect("our own file");
        }
        stopped.assert_starts_and_goes_on();
        let delivered = delivered(&stopped.gateway.out());
        assert_eq!(out_of_order(&delivered), 0, "flip {flip}");
        // The first time nothing is flipped.
        let readings = *readings.get_or_insert(distinct(&delivered));
        let lost = readings - distinct(&delivered);
        println!("flip {flip} in a commit of {length} bytes: {lost} of {readings} readings lost");
        assert!(lost <= COMMIT_READINGS_MAX, "flip {flip}: {lost} lost:\n{}", stopped.gateway.log());
        assert_eq!(lost > 0, flip > 0, "flip {flip}: what is damaged is not delivered");
        stopped.gateway.kill();
        let (found, sound) = stopped.verify();
        assert!(sound, "{found}");
        stopped.forget();
    }
}

fn distinct(delivered: &Delivered) -> u64 {
    delivered.values().map(|numbers| numbers.iter().collect::<BTreeSet<_>>().len() as u64).sum()
}

#[test]
fn damage_in_the_middle_is_set_aside_and_said() {
    let mut stopped = Stopped::make();
    stopped.forget();
    let (segment, end) = stopped.tail();
    let mut bytes = fs::read(&segment).expect("the segment");
    assert!(end > 16 * BLOCK_BYTES, "commits follow the damaged one: {end} bytes");
    let middle = end / 2 / BLOCK_BYTES * BLOCK_BYTES;
    bytes[middle..middle + 64].fill(0xa5);
    fs::write(&segment, bytes).expect("our own file");
    let (found, sound) = stopped.verify();
    assert!(!sound && !found["damage"].as_array().expect("a list").is_empty(), "{found}");
    stopped.assert_starts_and_goes_on();
    let damage = missing(&stopped.acknowledged, &delivered(&stopped.gateway.out()));
    assert!((1..=COMMIT_READINGS_MAX).contains(&damage), "{damage} readings lost");
    assert!(stopped.gateway.log().contains("damage"), "it says so:\n{}", stopped.gateway.log());
    assert_eq!(stopped.gateway.status()["spool"]["damaged"], damage);
    stopped.gateway.kill();
    let (found, _) = stopped.verify();
    assert!(found["quarantined"].as_u64().is_some_and(|count| count > 0), "{found}");
}

#[test]
fn a_deleted_cursor_delivers_again() {
    let mut stopped = Stopped::make();
    stopped.forget();
    stopped.assert_starts_and_goes_on();
    assert_eq!(missing_at_last(&stopped.acknowledged, &stopped.gateway.out()), 0, "rather twice than never");
}

#[test]
fn a_damaged_cursor_begins_with_the_oldest() {
    let mut stopped = Stopped::make();
    fs::remove_dir_all(stopped.gateway.out()).expect("our own folder");
    for cursor in stopped.cursors() {
        let length = fs::metadata(&cursor).expect("our own file").len();
        fs::write(&cursor, vec![0xa5; usize::try_from(length).expect("a small file")]).expect("our own file");
    }
    let (found, sound) = stopped.verify();
    assert!(!sound, "{found}");
    stopped.assert_starts_and_goes_on();
    assert!(stopped.gateway.log().contains("cursor"), "it says so:\n{}", stopped.gateway.log());
    assert_eq!(missing_at_last(&stopped.acknowledged, &stopped.gateway.out()), 0, "rather twice than never");
}

#[test]
fn a_cursor_beyond_the_end_holds_nothing_back() {
    let mut stopped = Stopped::make();
    let kept = tempfile::tempdir().expect("a temporary folder");
    let (older, newer) = (kept.path().join("spool"), kept.path().join("cursors"));
    copy(&stopped.spool(), &older);
    stopped.load();
    // The cursor lags; when all is delivered, it is soon where the copy does not reach.
    stopped.gateway.run();
    assert_eq!(missing_at_last(&stopped.acknowledged, &stopped.gateway.out()), 0);
    assert!(stopped.gateway.stop().success());
    let cursors = stopped.spool().join("cursors");
    copy(&cursors, &newer);
    // A spool brought back from a copy, with the cursors of later.
    copy(&older, &stopped.spool());
    copy(&newer, &cursors);
    stopped.assert_starts_and_goes_on();
    assert!(stopped.gateway.log().contains("past the end"), "it says so:\n{}", stopped.gateway.log());
}

#[test]
fn a_missing_segment_is_said_and_the_rest_delivered() {
    let mut stopped = Stopped::make();
    stopped.forget();
    let (segment, _) = stopped.tail();
    fs::remove_file(segment).expect("our own file");
    stopped.assert_starts_and_goes_on();
    let mut client = Client::login(stopped.gateway.port, Version::V5, &stopped.gateway.device);
    assert_eq!(client.publish_and_wait("telemetry", READING, 2), 0);
}

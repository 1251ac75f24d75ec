//! The readings of boards, as the `file` output has written them.

use std::{collections::HashSet, fs};

use serde_json::Value;

use crate::{Gateway, eventually};

/// All lines that the file output has written, whole ones.
pub fn written(gateway: &Gateway) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(gateway.out())
        .map(|entries| entries.map(|entry| entry.expect("readable").path()).collect())
        .unwrap_or_default();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).expect("readable")).collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The readings of `device` in the spool. An output that was killed is given some of them again.
pub fn readings(gateway: &Gateway, device: &str) -> Vec<Value> {
    let mut offsets = HashSet::new();
    let of_device = |line: &Value| line["device"] == device && line["seq"].is_u64();
    let mut is_new = |line: &Value| offsets.insert(line["offset"].as_u64());
    written(gateway).into_iter().filter(|line| of_device(line) && is_new(line)).collect()
}

/// Waits for so many of them.
pub fn at_least(gateway: &Gateway, device: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} readings of {device}");
    eventually(&what, || Some(readings(gateway, device)).filter(|found| found.len() >= count))
}

/// Each uid once, and in each boot every number from 1 on, in order.
pub fn assert_whole(readings: &[Value]) {
    let mut uids = HashSet::new();
    let mut expected = (0, 0);
    for reading in readings {
        assert!(uids.insert(reading["uid"].to_string()), "twice: {reading}");
        let place = (reading["boot"].as_u64().expect("a boot"), reading["seq"].as_u64().expect("a number"));
        if place.0 > expected.0 {
            expected = (place.0, 0);
        }
        expected.1 += 1;
        assert_eq!(place, expected, "{reading}");
    }
}

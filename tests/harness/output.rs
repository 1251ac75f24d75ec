//! What the `file` output has delivered.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// Readings by device, each as the sequence number the device gave it, in the order of the files.
pub type Delivered = BTreeMap<String, Vec<u64>>;

/// Reads every whole line of every file in `out`. A last line without its end is one that is being written.
pub fn delivered(out: &Path) -> Delivered {
    let mut files: Vec<_> = match fs::read_dir(out) {
        Ok(entries) => entries.map(|entry| entry.expect("the folder can be read").path()).collect(),
        Err(_) => Vec::new(),
    };
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    let mut delivered = Delivered::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("the output is text");
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let value: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: no JSON ({error}): {line}", file.display()));
            if let (Some(device), Some(sequence)) = (value["device"].as_str(), value["seq"].as_u64()) {
                delivered.entry(device.to_owned()).or_default().push(sequence);
            }
        }
    }
    delivered
}

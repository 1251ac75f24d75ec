use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    Ledger, Source, Verdict,
    line::{self, Line, Numbered},
    verdict::{Examples, Sums},
};
use crate::{departures, profile::Values, ranges::Ranges};

/// Ids that are not `device/boot/sequence` and are remembered, so that a duplicate can be compared with them. A
/// duplicate of one beyond counts as unlike.
pub const ODD_UIDS_MAX: usize = 100_000;

/// What was seen of the readings of one run.
#[derive(Debug)]
pub(super) struct Arrivals {
    seed: u64,
    boot: u32,
    compare_values: bool,
    devices: HashMap<Box<str>, Arrived>,
    pub(super) departures: departures::Fleet,
    odd_uids: HashMap<u64, u64>,
    faults: Faults,
    examples: Examples,
}

/// What arrived of one device.
#[derive(Debug, Default)]
struct Arrived {
    values: Values,
    numbers: Ranges,
    highest: u64,
}

/// Counts of what should not be, and of what should be looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) lines: u64,
    pub(super) duplicated: u64,
    pub(super) duplicated_unlike: u64,
    pub(super) out_of_order: u64,
    pub(super) altered: u64,
    pub(super) gaps: u64,
    pub(super) unreadable: u64,
    pub(super) unaudited: u64,
}

impl Arrived {
    fn new(ledger: &Ledger, device: &str) -> Self {
        Self { values: ledger.values.get(device).copied().unwrap_or_default(), ..Self::default() }
    }
}

impl Arrivals {
    pub(super) fn new(ledger: &Ledger, compare_values: bool) -> Self {
        Self {
            seed: ledger.seed,
            boot: ledger.boot,
            compare_values,
            devices: ledger
                .devices
                .keys()
                .map(|name| (name.as_str().into(), Arrived::new(ledger, name)))
                .collect(),
            departures: HashMap::new(),
            odd_uids: HashMap::new(),
            faults: Faults::default(),
            examples: Examples::default(),
        }
    }

    /// Lines of ours so far.
    pub(super) const fn lines(&self) -> u64 {
        self.faults.lines
    }

    pub(super) fn handle_line(&mut self, bytes: &[u8]) {
        match line::parse(bytes) {
            Line::Numbered(line) => {
                self.handle_reading(&line);
            }
            Line::Gap => self.note_gap(),
            Line::Other => {}
            Line::Unreadable => {
                self.faults.unreadable += 1;
                let start: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
                self.examples.add("unreadable line", || format!("{start:?}"));
            }
        }
    }

    /// Something stands for readings that are gone.
    pub(super) fn note_gap(&mut self) {
        self.faults.gaps += 1;
    }

    /// Whether it is one of ours.
    pub(super) fn handle_reading(&mut self, line: &Numbered<'_>) -> bool {
        if line.boot != self.boot {
            return false;
        }
        let Some(arrived) = self.devices.get_mut(&*line.device) else { return false };
        self.faults.lines += 1;
        let name = || format!("{}/{}/{}", line.device, line.boot, line.sequence);
        let first = arrived.numbers.insert(line.sequence);
        let highest = arrived.highest;
        arrived.highest = highest.max(line.sequence);
        let sent = arrived.values.celsius(self.seed, &line.device, line.sequence);
        match first {
            Ok(true) if line.sequence < highest => {
                self.faults.out_of_order += 1;
                self.examples.add("out of order", || format!("{} after {highest}", name()));
            }
            Ok(true) => {}
            Ok(false) => self.faults.duplicated += 1,
            Err(_) => self.faults.unaudited += 1,
        }
        if !self.is_known_by_its_uid(line, first.unwrap_or(true)) {
            self.faults.duplicated_unlike += 1;
            self.examples.add("came again under another id", || format!("{} as {:?}", name(), line.uid));
        }
        if self.compare_values && !line.celsius.is_some_and(|celsius| (celsius - sent).abs() < 1e-6) {
            self.faults.altered += 1;
            let found = line.celsius;
            self.examples.add("altered", || format!("{} says {found:?}, sent was {sent}", name()));
        }
        true
    }

    /// Microseconds from its departure to `wall_us`, if that is remembered.
    pub(super) fn elapsed_us(&self, line: &Numbered<'_>, wall_us: u64) -> Option<u64> {
        self.departures.get(&*line.device)?.elapsed_us(line.sequence, wall_us)
    }

    /// Can the line be told for the same reading as those before it, if it is not the first of its reading? Most ids
    /// say the numbers of the reading, so only others need to be remembered.
    fn is_known_by_its_uid(&mut self, line: &Numbered<'_>, first: bool) -> bool {
        let plain = line.uid.as_deref().is_some_and(|uid| is_plain_uid(uid, line));
        if first && plain {
            return true;
        }
        let key = hash(&(&line.device, line.sequence));
        let uid = hash(&line.uid);
        if first {
            if self.odd_uids.len() < ODD_UIDS_MAX {
                self.odd_uids.insert(key, uid);
            }
            return true;
        }
        match self.odd_uids.get(&key) {
            None => plain,
            Some(before) => line.uid.is_some() && *before == uid,
        }
    }

    pub(super) fn missing(&self, ledger: &Ledger) -> u64 {
        ledger.devices.iter().map(|(name, acknowledged)| count(&self.missing_of(name, acknowledged))).sum()
    }

    fn missing_of(&self, device: &str, acknowledged: &Ranges) -> Vec<(u64, u64)> {
        match self.devices.get(device) {
            Some(arrived) => acknowledged.minus(&arrived.numbers),
            None => acknowledged.minus(&Ranges::default()),
        }
    }

    pub(super) fn verdict(&self, ledger: &Ledger, source: &Source) -> Verdict {
        let mut examples = self.examples.clone();
        let mut sums = Sums {
            acknowledged: ledger.acknowledged(),
            unaudited: self.faults.unaudited + ledger.unaudited,
            files_read_again: source.read_again(),
            end_to_end_ms: source.end_to_end(),
            since_due_ms: source.since_due(),
            ..Sums::default()
        };
        for (name, acknowledged) in &ledger.devices {
            let missing = self.missing_of(name, acknowledged);
            sums.lost += count(&missing);
            for (from, to) in missing {
                examples.add("lost", || format!("{name}/{}/{}", self.boot, numbers(from, to)));
            }
            if let Some(device) = self.devices.get(name.as_str()) {
                sums.arrived += device.numbers.len();
                sums.arrived_unacknowledged += count(&device.numbers.minus(acknowledged));
            }
        }
        Verdict::new(&self.faults, &sums, examples)
    }
}

fn numbers(from: u64, to: u64) -> String {
    if from == to { from.to_string() } else { format!("{from}..={to}") }
}

fn count(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(from, to)| to.saturating_sub(*from).saturating_add(1)).sum()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Is `uid` `device/boot/sequence`?
fn is_plain_uid(uid: &str, line: &Numbered<'_>) -> bool {
    let numbers = uid.strip_prefix(&*line.device).and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
    numbers.is_some_and(|(boot, sequence)| {
        boot.parse() == Ok(line.boot) && sequence.parse() == Ok(line.sequence)
    })
}

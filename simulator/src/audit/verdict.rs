use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::Serialize;

use super::arrivals::Faults;
use crate::latency::LatencyMs;

/// Readings named for each kind of fault.
pub const EXAMPLES_MAX: usize = 5;

/// The outcome of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Did every acknowledged reading arrive, in order, unaltered, and come again only under the same id? Shows
    /// nothing where `acknowledged` is 0.
    pub pass: bool,
    /// Readings acknowledged.
    pub acknowledged: u64,
    /// Different readings that arrived.
    pub arrived: u64,
    /// Those of them that were not acknowledged: stored, but the acknowledgement was lost on its way.
    pub arrived_unacknowledged: u64,
    /// Acknowledged and not arrived.
    pub lost: u64,
    /// Arrivals of a reading that had arrived before. At least once allows them under an equal id.
    pub duplicated: u64,
    /// Those of them under another id.
    pub duplicated_unlike: u64,
    /// First arrivals behind a later reading of the same device.
    pub out_of_order: u64,
    /// Arrivals with another value than was sent.
    pub altered: u64,
    /// Lines that stand for readings dropped or damaged.
    pub gaps: u64,
    /// Lines that are no JSON.
    pub unreadable: u64,
    /// Lines of this run.
    pub lines: u64,
    /// Files that were cut and read again from their beginning, so that duplicates may be of our own making.
    pub files_read_again: u64,
    /// Readings that could not be kept count of: with any of them nothing is certain.
    pub unaudited: u64,
    /// From the device's first sending of a reading to its arrival at a consumer of the bus; for one that came behind eight
    /// later ones, or was sent by another process, from the time that it says. `null` where only files were read.
    pub end_to_end_ms: Option<LatencyMs>,
    /// The same from the time that the reading says, at which it was due: whole milliseconds, cut off, before the device's
    /// timer woke it and before it waited for room to send.
    pub since_due_ms: Option<LatencyMs>,
    /// A few readings of each kind of fault, as `device/boot/sequence`.
    pub examples: Examples,
}

/// What an audit adds up at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) acknowledged: u64,
    pub(super) arrived: u64,
    pub(super) arrived_unacknowledged: u64,
    pub(super) lost: u64,
    pub(super) unaudited: u64,
    pub(super) files_read_again: u64,
    pub(super) end_to_end_ms: Option<LatencyMs>,
    pub(super) since_due_ms: Option<LatencyMs>,
}

/// The first few of each kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Examples(BTreeMap<&'static str, Vec<String>>);

impl Examples {
    pub(super) fn add(&mut self, kind: &'static str, text: impl FnOnce() -> String) {
        let texts = self.0.entry(kind).or_default();
        if texts.len() < EXAMPLES_MAX {
            texts.push(text());
        }
    }
}

impl Verdict {
    pub(super) fn new(faults: &Faults, sums: &Sums, examples: Examples) -> Self {
        let wrong =
            [sums.lost, faults.duplicated_unlike, faults.out_of_order, faults.altered, sums.unaudited];
        Self {
            pass: wrong.iter().all(|count| *count == 0),
            acknowledged: sums.acknowledged,
            arrived: sums.arrived,
            arrived_unacknowledged: sums.arrived_unacknowledged,
            lost: sums.lost,
            duplicated: faults.duplicated,
            duplicated_unlike: faults.duplicated_unlike,
            out_of_order: faults.out_of_order,
            altered: faults.altered,
            gaps: faults.gaps,
            unreadable: faults.unreadable,
            lines: faults.lines,
            files_read_again: sums.files_read_again,
            unaudited: sums.unaudited,
            end_to_end_ms: sums.end_to_end_ms,
            since_due_ms: sums.since_due_ms,
            examples,
        }
    }

    /// `lost 0, duplicated 0, out of order 0`
    #[must_use]
    pub fn line(&self) -> String {
        format!("lost {}, duplicated {}, out of order {}", self.lost, self.duplicated, self.out_of_order)
    }
}

impl fmt::Display for Verdict {
    /// Several lines: what was found, and [`Verdict::line`] last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.pass {
            true if self.acknowledged == 0 => "EMPTY, for nothing was acknowledged",
            true => "PASS",
            false => "FAIL",
        };
        writeln!(
            f,
            "audit {word}: {} acknowledged, {} arrived{}",
            self.acknowledged,
            self.arrived,
            self.remarks()
        )?;
        if !self.pass {
            for (kind, texts) in &self.examples.0 {
                writeln!(f, "  {kind}: {}", texts.join(", "))?;
            }
        }
        if let Some(end_to_end) = &self.end_to_end_ms {
            writeln!(f, "end to end    {end_to_end}, from the sensor's sending to a consumer of the bus")?;
        }
        if let Some(since_due) = &self.since_due_ms {
            writeln!(f, "since due     {since_due}, from the time that the reading says")?;
        }
        f.write_str(&self.line())
    }
}

impl Verdict {
    fn remarks(&self) -> String {
        let mut text = String::new();
        let alike = self.duplicated.saturating_sub(self.duplicated_unlike);
        let remarks = [
            (self.arrived_unacknowledged, "of them without an acknowledgement"),
            (alike, "came again under the same id"),
            (self.duplicated_unlike, "came again under another id"),
            (self.altered, "with another value than sent"),
            (self.gaps, "gap lines: the gateway says that it dropped readings"),
            (self.unreadable, "unreadable lines"),
            (self.files_read_again, "files were cut and read again"),
            (self.unaudited, "could not be kept count of"),
        ];
        for (count, what) in remarks {
            if count > 0 {
                // Writing into a String does not fail.
                let _infallible = write!(text, "; {count} {what}");
            }
        }
        text
    }
}

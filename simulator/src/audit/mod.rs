//! Did everything arrive? Reads the gateway's file output, or the bus it sends to, and compares it with what was
//! acknowledged.
//!
//! [`Audit`] reads what is new whenever it is asked to, so it can follow a run while it goes on, and files that are
//! removed later have been read by then. It keeps a compact set of numbers per device, however many lines there are.
//! [`wait`] goes on reading until everything has arrived or nothing more comes.

mod arrivals;
mod bus;
mod ledger;
mod line;
mod source;
mod tail;
mod verdict;

use std::{
    io, thread,
    time::{Duration, Instant},
};

use arrivals::Arrivals;
pub use arrivals::ODD_UIDS_MAX;
pub use ledger::Ledger;
pub use source::{Begin, Source};
pub use tail::{FILES_MAX, LINE_BYTES_MAX};
pub use verdict::{EXAMPLES_MAX, Verdict};

use crate::{Error, departures, plan::AuditPlan};

/// Between two looks at the output, while it is waited for.
const POLL_WAIT: Duration = Duration::from_millis(250);

/// What is read from the output, and what was seen there so far.
#[derive(Debug)]
pub struct Audit {
    source: Source,
    arrivals: Arrivals,
}

impl Audit {
    /// An audit of what `source` has, for the readings that `ledger` is about: its devices and its boot. What belongs to
    /// others is passed over. `ledger` need not know yet what is acknowledged.
    #[must_use]
    pub fn new(source: Source, ledger: &Ledger, compare_values: bool) -> Self {
        Self { source, arrivals: Arrivals::new(ledger, compare_values) }
    }

    /// With the times at which the devices send.
    #[must_use]
    pub(crate) fn with_departures(mut self, departures: departures::Fleet) -> Self {
        self.arrivals.departures = departures;
        self
    }

    /// Reads what has come since the last time; answers with the number of lines of ours.
    ///
    /// # Errors
    /// The folder or a file cannot be read.
    pub fn poll(&mut self) -> io::Result<u64> {
        let before = self.arrivals.lines();
        let Self { source, arrivals } = self;
        source.poll(arrivals)?;
        Ok(arrivals.lines().saturating_sub(before))
    }

    /// Between two looks while the devices run: what has come meanwhile keeps a core from them.
    #[must_use]
    pub(crate) fn look_every(&self) -> Duration {
        self.source.look_every()
    }

    /// Acknowledged readings that have not arrived so far.
    #[must_use]
    pub fn missing(&self, ledger: &Ledger) -> u64 {
        self.arrivals.missing(ledger)
    }

    /// Judges what has arrived so far.
    #[must_use]
    pub fn verdict(&self, ledger: &Ledger) -> Verdict {
        self.arrivals.verdict(ledger, &self.source)
    }
}

/// Waits until everything acknowledged has arrived, or none of what is missing has come for as long as the plan says.
/// Blocks the thread. `progress` is told how many are missing.
///
/// # Errors
/// The output cannot be read, or there is none.
pub fn wait(
    audit: &mut Audit,
    plan: &AuditPlan,
    ledger: &Ledger,
    mut progress: impl FnMut(u64),
) -> Result<Verdict, Error> {
    let wrong = |source| Error::Audit { what: plan.source.clone(), source };
    let mut fewest = u64::MAX;
    let mut moved = Instant::now();
    loop {
        audit.poll().map_err(wrong)?;
        let missing = audit.missing(ledger);
        if missing < fewest {
            fewest = missing;
            moved = Instant::now();
        }
        progress(missing);
        if missing == 0 || moved.elapsed() >= plan.wait_max {
            break;
        }
        thread::sleep(POLL_WAIT.min(plan.wait_max));
    }
    audit.source.check().map_err(wrong)?;
    Ok(audit.verdict(ledger))
}

#[cfg(test)]
mod tests;

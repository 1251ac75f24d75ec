//! How a run is getting on.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{Target, count::Counts, latency::LatencyMs};

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Readings are planned and sent.
    Running,
    /// No more are planned; those owed are sent and acknowledged.
    Settling,
    /// All is settled; the output is read.
    Auditing {
        /// Acknowledged readings that have not arrived so far.
        missing: u64,
    },
}

/// How a run is getting on; what it counts is explained at [`Report`](crate::Report).
#[derive(Clone, Debug)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Since its beginning.
    pub elapsed: Duration,
    /// From the beginning to the end of planning, if there is one.
    pub planned_duration: Option<Duration>,
    /// Virtual devices.
    pub devices: u32,
    /// Open connections.
    pub connected: u64,
    /// Readings sent.
    pub sent: u64,
    /// Sent in the last second or so, per second.
    pub sent_per_s: f64,
    /// Readings acknowledged.
    pub acknowledged: u64,
    /// Acknowledged in the last second or so, per second.
    pub rate_per_s: f64,
    /// Acknowledged readings above [`HOT_CELSIUS`](crate::value::HOT_CELSIUS).
    pub hot: u64,
    /// Readings owed.
    pub unacknowledged: u64,
    /// Readings skipped.
    pub skipped: u64,
    /// Refusals of readings.
    pub refused: u64,
    /// Connections opened again.
    pub reconnects: u64,
    /// Connections lost or not come about, and refused readings.
    pub errors: u64,
    /// Their causes.
    pub causes: BTreeMap<String, u64>,
    /// From the planned time of a reading to its acknowledgement, so far.
    pub latency_ms: LatencyMs,
    /// The same of what was acknowledged in the last whole second; `None` when nothing was.
    pub recent_ms: Option<LatencyMs>,
    /// From the last sending of a reading to its acknowledgement, so far.
    pub round_trip_ms: LatencyMs,
    /// The same apart for each target, in the order of the plan.
    pub targets: Vec<TargetProgress>,
}

/// How the devices of one target are getting on.
#[derive(Clone, Debug)]
pub struct TargetProgress {
    /// Which.
    pub target: Target,
    /// Virtual devices that speak to it.
    pub devices: u32,
    /// What they count.
    pub counts: Counts,
    /// Acknowledged in the last second or so, per second.
    pub rate_per_s: f64,
    /// From the planned time of a reading to its acknowledgement, so far.
    pub latency_ms: LatencyMs,
    /// From the last sending of a reading to its acknowledgement, so far.
    pub round_trip_ms: LatencyMs,
}

impl fmt::Display for Progress {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Phase::Auditing { missing } = self.phase {
            return write!(f, "{} acknowledged, waiting for {missing} in the output", self.acknowledged);
        }
        let word = if self.phase == Phase::Settling { "settling, " } else { "" };
        write!(
            f,
            "{word}connected {}/{}, sent {}, acknowledged {} ({:.0}/s), p50 {:.1} ms, p99 {:.1} ms",
            self.connected,
            self.devices,
            self.sent,
            self.acknowledged,
            self.rate_per_s,
            self.latency_ms.p50,
            self.latency_ms.p99
        )?;
        for (count, what) in [
            (self.unacknowledged, "owed"),
            (self.skipped, "skipped"),
            (self.refused, "refused"),
            (self.reconnects, "reconnects"),
            (self.errors, "errors"),
        ] {
            if count > 0 {
                write!(f, ", {what} {count}")?;
            }
        }
        Ok(())
    }
}

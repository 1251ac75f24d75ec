//! What a run ends with.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use serde::Serialize;

pub use crate::latency::LatencyMs;
use crate::{
    Error,
    audit::{Ledger, Verdict},
    count::Counts,
};

/// What a run ends with. Readings: `planned = acknowledged + skipped + given_up + unacknowledged` at QoS 1.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Virtual devices.
    pub devices: u32,
    /// Those of them that were let in at least once.
    pub devices_accepted: u64,
    /// QoS of all publishes.
    pub qos: u8,
    /// From what the values were made.
    pub seed: u64,
    /// Boot of all readings.
    pub boot: u32,
    /// From the first connection to the last acknowledgement, without the audit.
    pub duration_s: f64,
    /// Readings that came due.
    pub planned: u64,
    /// Different readings that were sent.
    pub sent: u64,
    /// Further times that they were sent, after a lost connection or a passing refusal.
    pub resent: u64,
    /// Datagrams that CoAP repeated for want of an answer (RFC 7252 section 4.2).
    pub retransmitted: u64,
    /// Readings acknowledged.
    pub acknowledged: u64,
    /// Acknowledged per second of `duration_s`.
    pub rate_per_s: f64,
    /// Readings that the device still owes: sent or not, nobody knows whether they were stored.
    pub unacknowledged: u64,
    /// Readings never sent, because the device's backlog was full.
    pub skipped: u64,
    /// Readings that the server refused for good, or refused before it took a later one.
    pub given_up: u64,
    /// Refusals of readings, each time counted.
    pub refused: u64,
    /// Connections that were lost or did not come about, and refused readings.
    pub errors: u64,
    /// Reason codes and other causes of `errors`, with their counts.
    pub causes: BTreeMap<String, u64>,
    /// Connections opened again.
    pub reconnects: u64,
    /// Publishes acknowledged before one that was sent earlier on the same MQTT connection \[MQTT-4.6.0-2\].
    pub acknowledged_out_of_order: u64,
    /// From the planned time of a reading to its acknowledgement: what waited behind a stall counts in full. Timers
    /// wake up to two milliseconds late, which is in it.
    pub latency_ms: LatencyMs,
    /// From the last time that a reading was sent to its acknowledgement: the server's and the network's share.
    pub round_trip_ms: LatencyMs,
    /// The same apart for each target, in the order of the plan.
    pub targets: Vec<TargetReport>,
    /// Acknowledged readings that did not arrive; `null` without an audit.
    pub lost: Option<u64>,
    /// Further arrivals of a reading; `null` without an audit.
    pub duplicated: Option<u64>,
    /// First arrivals behind a later reading; `null` without an audit.
    pub out_of_order: Option<u64>,
    /// All that the audit found.
    pub audit: Option<Verdict>,
    /// What was acknowledged, for a later audit.
    #[serde(skip)]
    pub ledger: Ledger,
}

/// What the devices of one target end with.
#[derive(Clone, Debug, Serialize)]
pub struct TargetReport {
    /// Which: `mqtt://HOST:PORT`.
    pub target: String,
    /// Virtual devices that spoke to it.
    pub devices: u32,
    /// What they counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Acknowledged per second of the run.
    pub rate_per_s: f64,
    /// Reason codes and other causes of errors, with their counts.
    pub causes: BTreeMap<String, u64>,
    /// From the planned time of a reading to its acknowledgement.
    pub latency_ms: LatencyMs,
    /// From the last sending of a reading to its acknowledgement.
    pub round_trip_ms: LatencyMs,
}

impl Report {
    /// Takes the audit's counts over.
    pub(crate) fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.lost = Some(verdict.lost);
        self.duplicated = Some(verdict.duplicated);
        self.out_of_order = Some(verdict.out_of_order);
        self.audit = Some(verdict);
        self
    }

    /// 0: as it should be. 1: the audit failed. 3: QoS 1 and nothing was acknowledged, so that nothing was shown.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match &self.audit {
            Some(verdict) if !verdict.pass => 1,
            _ if self.qos > 0 && self.acknowledged == 0 => 3,
            _ => 0,
        }
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let wrong = |why: String| Error::File { path: path.to_owned(), why };
        let mut text = serde_json::to_string_pretty(self).map_err(|error| wrong(error.to_string()))?;
        text.push('\n');
        fs::write(path, text).map_err(|error| wrong(error.to_string()))
    }
}

impl fmt::Display for Report {
    /// Several lines; the verdict of the audit last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} devices for {:.1} s, seed {}, boot {}",
            self.devices, self.duration_s, self.seed, self.boot
        )?;
        writeln!(
            f,
            "readings      planned {}, sent {}, acknowledged {} ({:.1}/s)",
            self.planned, self.sent, self.acknowledged, self.rate_per_s
        )?;
        writeln!(
            f,
            "              unacknowledged {}, skipped {}, refused {}, given up {}, sent again {}",
            self.unacknowledged, self.skipped, self.refused, self.given_up, self.resent
        )?;
        writeln!(f, "latency       {}, from the planned time on", self.latency_ms)?;
        writeln!(f, "round trip    {}, from the sending on", self.round_trip_ms)?;
        write!(
            f,
            "connections   {} of {} devices let in, reconnects {}, errors {}",
            self.devices_accepted, self.devices, self.reconnects, self.errors
        )?;
        for (cause, count) in &self.causes {
            write!(f, "\n              {count} x {cause}")?;
        }
        if self.retransmitted > 0 {
            write!(f, "\n              {} CoAP datagrams repeated", self.retransmitted)?;
        }
        if self.acknowledged_out_of_order > 0 {
            write!(f, "\nMQTT publishes were acknowledged out of order: {}", self.acknowledged_out_of_order)?;
        }
        if self.targets.len() > 1 {
            for target in &self.targets {
                write!(f, "\n{target}")?;
            }
        }
        self.audit.as_ref().map_or(Ok(()), |verdict| write!(f, "\n{verdict}"))
    }
}

impl fmt::Display for TargetReport {
    /// Two lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { acknowledged, unacknowledged, refused, resent, errors, .. } = self.counts;
        writeln!(
            f,
            "{}: {} devices, acknowledged {acknowledged} ({:.1}/s), unacknowledged {unacknowledged}, \
             refused {refused}, sent again {resent}, errors {errors}",
            self.target, self.devices, self.rate_per_s
        )?;
        write!(f, "              latency {}", self.latency_ms)
    }
}

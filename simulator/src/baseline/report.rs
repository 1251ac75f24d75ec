use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::schedule::{Fault, Planned};
use crate::{Error, Report};

/// Columns of the names of the rows, and of one arm.
const NAME_COLUMNS: usize = 22;
const ARM_COLUMNS: usize = 19;

/// What an experiment ends with: the same load and the same faults, once for each arm. The first is Tidegate.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Virtual devices.
    pub devices: u32,
    /// Between two readings of a device.
    pub interval_ms: u64,
    /// For how long devices measured.
    pub duration_s: f64,
    /// From what the values were made.
    pub seed: u64,
    /// What each arm had to go through.
    pub faults: Vec<Planned>,
    /// The outcome of each.
    pub arms: Vec<ArmReport>,
}

/// The outcome of one arm.
#[derive(Clone, Debug, Serialize)]
pub struct ArmReport {
    /// `tidegate`, or how mosquitto was set.
    pub name: &'static str,
    /// What ran.
    pub program: PathBuf,
    /// As it names itself.
    pub version: String,
    /// How it was set.
    pub configuration: Vec<String>,
    /// What was acknowledged and what arrived.
    pub report: Report,
}

impl ArmReport {
    /// Readings that came again under the id that they had, which at least once allows, and under another.
    fn duplicated(&self) -> (u64, u64) {
        let audit = self.report.audit.as_ref();
        let (all, unlike) = audit.map_or((0, 0), |audit| (audit.duplicated, audit.duplicated_unlike));
        (all.saturating_sub(unlike), unlike)
    }

    /// Did all that was acknowledged arrive?
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self.report.exit_code() {
            0 => "PASS",
            3 => "EMPTY",
            _ => "FAIL",
        }
    }
}

impl Comparison {
    /// That of Tidegate's report: 0 when it passes, whatever the others do.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.arms.first().map_or(3, |arm| arm.report.exit_code())
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let wrong = |why: String| Error::File { path: path.to_owned(), why };
        let text = serde_json::to_string_pretty(self).map_err(|error| wrong(error.to_string()))?;
        fs::write(path, text + "\n").map_err(|error| wrong(error.to_string()))
    }

    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        cell: impl Fn(&ArmReport) -> String,
    ) -> fmt::Result {
        write!(f, "\n{name:<NAME_COLUMNS$}")?;
        self.arms.iter().try_for_each(|arm| write!(f, "{:>ARM_COLUMNS$}", cell(arm)))
    }

    fn count(&self, f: &mut fmt::Formatter<'_>, name: &str, of: impl Fn(&Report) -> u64) -> fmt::Result {
        self.row(f, name, |arm| of(&arm.report).to_string())
    }

    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |fault| {
            let times = self.faults.iter().filter(move |planned| planned.fault == fault);
            times.map(|planned| seconds(planned.at_ms)).collect::<Vec<_>>().join(", ")
        };
        let kills = at(Fault::Kill);
        if !kills.is_empty() {
            write!(f, "\nFaults: kill -9 at {kills} s, started again at once")?;
        }
        let down = at(Fault::UplinkDown);
        if !down.is_empty() {
            write!(f, "\n        mosquitto's uplink down from {down} to {} s;", at(Fault::UplinkUp))?;
            write!(f, " Tidegate's destination is a file beside it, which is always there")?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    /// The experiment, a table with a column for each arm, and how each was set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Load:   {} sensors, a reading each {} ms for {:.0} s, MQTT QoS 1, seed {}",
            self.devices, self.interval_ms, self.duration_s, self.seed
        )?;
        self.write_faults(f)?;
        f.write_str("\n")?;
        self.row(f, "", |arm| arm.name.to_owned())?;
        self.row(f, "verdict", |arm| arm.verdict().to_owned())?;
        self.count(f, "acknowledged", |report| report.acknowledged)?;
        self.count(f, "arrived", |report| report.audit.as_ref().map_or(0, |verdict| verdict.arrived))?;
        self.count(f, "lost", |report| report.lost.unwrap_or(0))?;
        self.row(f, "duplicated, same id", |arm| arm.duplicated().0.to_string())?;
        self.row(f, "duplicated, other id", |arm| arm.duplicated().1.to_string())?;
        self.count(f, "out of order", |report| report.out_of_order.unwrap_or(0))?;
        self.row(f, "round trip p50, ms", |arm| format!("{:.2}", arm.report.round_trip_ms.p50))?;
        self.row(f, "round trip p99, ms", |arm| format!("{:.2}", arm.report.round_trip_ms.p99))?;
        f.write_str("\n")?;
        for arm in &self.arms {
            write!(f, "\n{}: {}, {}", arm.name, arm.version, arm.program.display())?;
            arm.configuration.iter().try_for_each(|line| write!(f, "\n    {line}"))?;
        }
        Ok(())
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

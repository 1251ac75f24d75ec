//! The same loss audit twice, side by side: against Tidegate and against a bridge of mosquitto.
//!
//! [`compare`] starts each in a fresh folder and on free ports of loopback, gives it the same sensors, the same values
//! and the same [`Fault`]s at the same times, and counts what was acknowledged and what arrived. Whatever it has
//! started ends with it, also when its future is dropped.

mod arm;
mod collector;
mod gateway;
mod mosquitto;
mod process;
mod report;
mod schedule;
mod uplink;

use std::{path::PathBuf, time::Duration};

pub use mosquitto::Mosquitto;
pub use report::{ArmReport, Comparison};
use schedule::schedule;
pub use schedule::{Fault, KILLS_MAX, Planned};
use tempfile::TempDir;

use crate::{Error, Plan, Progress};

/// Names of the devices, so that they measure the same in each arm.
const PREFIX: &str = "virtual_";

/// After the last reading that was still missing has come, the audit waits this long for another: a bridge that was
/// cut off tries again every second.
const AUDIT_WAIT: Duration = Duration::from_secs(8);

/// What to compare, and under which faults.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The sensors. Where they send, their names and the audit are set for each arm.
    pub load: Plan,
    /// For how long the sensors measure.
    pub duration: Duration,
    /// How often what the sensors speak to is killed.
    pub kills: u32,
    /// For how long the bridge is cut off; zero: not at all.
    pub outage: Duration,
    /// The gateway; `None`: beside this program, else in PATH.
    pub gateway: Option<PathBuf>,
    /// What to compare it with.
    pub baselines: Vec<Mosquitto>,
}

/// Runs one arm after another, Tidegate first. `progress` is told which one it is about.
///
/// # Errors
/// [`Error`]: a program is missing or has failed by itself. What an arm loses is no error but in the [`Comparison`].
pub async fn compare(
    experiment: &Experiment,
    mut progress: impl FnMut(&str, &Progress),
) -> Result<Comparison, Error> {
    if experiment.kills > KILLS_MAX {
        return Err(Error::Plan(format!("--kills {}: {KILLS_MAX} at most", experiment.kills)));
    }
    let load = Plan { duration: Some(experiment.duration), ..experiment.load.clone() };
    let faults = schedule(experiment.duration, experiment.kills, experiment.outage);
    // What is missing is told before anything runs.
    let gateway = gateway::program(experiment.gateway.as_deref())?;
    let bridge = mosquitto::program()?;
    let mut arms = Vec::new();
    for baseline in [None].into_iter().chain(experiment.baselines.iter().copied().map(Some)) {
        let folder = TempDir::with_prefix("tidegate-baseline-");
        let folder = folder.map_err(|error| Error::Baseline(format!("cannot make a folder: {error}")))?;
        let arm = match baseline {
            None => gateway::start(&gateway, folder.path(), &load).await?,
            Some(how) => mosquitto::start(how, &bridge, folder.path(), &load).await?,
        };
        let name = arm.name;
        arms.push(arm.live(&faults, &mut |told: &Progress| progress(name, told)).await?);
    }
    Ok(Comparison {
        devices: load.devices,
        interval_ms: load.interval.as_millis().try_into().unwrap_or(u64::MAX),
        duration_s: experiment.duration.as_secs_f64(),
        seed: load.seed,
        faults,
        arms,
    })
}

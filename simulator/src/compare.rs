//! `simulator run --baseline`: arguments, and one screen for each arm.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use tokio::sync::Notify;

use crate::{
    args,
    screen::Screen,
    simulator::{
        Error, Plan,
        baseline::{self, Comparison, Experiment, Mosquitto},
    },
};

/// For how long the sensors of an arm measure.
const DURATION: Duration = Duration::from_secs(20);

/// Sensors of an arm.
pub(crate) const DEVICES: u32 = 50;

#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    /// Run the same load and the same faults against a Tidegate and a bridge of mosquitto, both started for it, and
    /// show both verdicts: mosquitto (persistence on), mosquitto-memory (as it comes), mosquitto-careful (its database
    /// written after every change). May be given several times.
    #[arg(
        long,
        value_name = "WHAT",
        conflicts_with_all = [
            "target", "host", "port", "credentials", "user", "password", "topic", "client_id", "start_number", "qos",
            "audit", "state", "scenario",
        ]
    )]
    pub(crate) baseline: Vec<Mosquitto>,

    /// The gateway for --baseline [default: beside the simulator, else in PATH].
    #[arg(long, value_name = "PATH", requires = "baseline")]
    gateway: Option<PathBuf>,

    /// With --baseline: how often the process that the sensors speak to is killed and started again.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "baseline")]
    kills: u32,

    /// With --baseline: for how long mosquitto's uplink is down; 0s: not at all [default: 40 % of --duration].
    #[arg(long, value_name = "TIME", requires = "baseline", value_parser = humantime::parse_duration)]
    outage: Option<Duration>,
}

impl BaselineArgs {
    pub(crate) fn experiment(&self, load: Plan) -> Experiment {
        let duration = load.duration.unwrap_or(DURATION);
        Experiment {
            load,
            duration,
            kills: self.kills,
            outage: self.outage.unwrap_or(duration * 2 / 5),
            gateway: self.gateway.clone(),
            baselines: self.baseline.clone(),
        }
    }
}

/// Runs the arms one after another, each with a screen of its own. `wish` is told when the user asks for the end by a
/// key.
pub(crate) async fn play(
    experiment: &Experiment,
    show: args::Show,
    wish: &Arc<Notify>,
) -> Result<Comparison, Error> {
    let mut shown: Option<(String, Screen)> = None;
    let comparison = baseline::compare(experiment, |name, progress| {
        if !matches!(&shown, Some((before, _)) if before == name) {
            // The terminal is given back before it is taken anew.
            drop(shown.take());
            if show != args::Show::None {
                // As with all progress, nobody need read along.
                let _unread = writeln!(io::stderr(), "{name}:").is_err();
            }
            shown = Some((name.to_owned(), Screen::new(show, name.to_owned(), wish)));
        }
        if let Some((_, screen)) = &mut shown {
            screen.show(progress);
        }
    });
    comparison.await
}

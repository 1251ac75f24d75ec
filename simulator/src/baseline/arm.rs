use std::{convert::Infallible, future::pending, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    collector::Collector,
    process::Process,
    report::ArmReport,
    schedule::{Fault, Planned},
    uplink::Uplink,
};
use crate::{Error, Plan, Progress};

/// Between two looks whether all that should run does.
const LOOK_WAIT: Duration = Duration::from_millis(500);

/// One side of an experiment, running.
pub(super) struct Arm {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) version: String,
    pub(super) configuration: Vec<String>,
    /// What the sensors speak to, and what is killed.
    pub(super) edge: Process,
    pub(super) plan: Plan,
    pub(super) behind: Option<Behind>,
}

/// Where readings go on to, when that is not a file of the edge's own.
pub(super) struct Behind {
    pub(super) uplink: Uplink,
    pub(super) upstream: Process,
    pub(super) collector: Collector,
}

impl Arm {
    /// The sensors live, the faults come, the audit looks what has arrived.
    pub(super) async fn live(
        mut self,
        faults: &[Planned],
        progress: &mut impl FnMut(&Progress),
    ) -> Result<ArmReport, Error> {
        let run = crate::run(self.plan.clone(), progress, pending());
        let report = tokio::select! {
            report = run => report?,
            failed = self.suffer(faults) => match failed? {},
        };
        self.check().await?;
        let Self { name, program, version, configuration, .. } = self;
        Ok(ArmReport { name, program, version, configuration, report })
    }

    /// Brings the faults when they are due, then only looks whether all is well: nothing else may have failed.
    async fn suffer(&mut self, faults: &[Planned]) -> Result<Infallible, Error> {
        let start = Instant::now();
        for planned in faults {
            sleep_until(start + Duration::from_millis(planned.at_ms)).await;
            match planned.fault {
                Fault::Kill => self.edge.kill_and_start().await?,
                Fault::UplinkDown => self.set_uplink(false),
                Fault::UplinkUp => self.set_uplink(true),
            }
        }
        loop {
            self.check().await?;
            sleep(LOOK_WAIT).await;
        }
    }

    fn set_uplink(&self, is_up: bool) {
        if let Some(behind) = &self.behind {
            behind.uplink.set(is_up);
        }
    }

    async fn check(&mut self) -> Result<(), Error> {
        self.edge.check()?;
        if let Some(behind) = &mut self.behind {
            behind.upstream.check()?;
            behind.collector.check().await?;
        }
        Ok(())
    }
}

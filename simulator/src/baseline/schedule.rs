use std::time::Duration;

use serde::Serialize;

/// Kills in the longest experiment.
pub const KILLS_MAX: u32 = 100;

/// When the uplink breaks, in hundredths of the experiment.
const OUTAGE_FROM: u32 = 30;

/// What happens to an arm while its sensors measure. No fault is kinder to one arm than to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// SIGKILL to what the sensors speak to; it is started again at once, as a service manager does.
    Kill,
    /// The way on to the destination breaks.
    UplinkDown,
    /// It is there again.
    UplinkUp,
}

/// A fault and when it comes, counted from the first reading on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Milliseconds from the start.
    pub at_ms: u64,
    /// What.
    pub fault: Fault,
}

/// `kills` evenly over the time that sensors measure, and one outage from 30 % of it on. The outage ends with that
/// time at the latest, so that whoever has kept the readings can deliver them.
pub(super) fn schedule(duration: Duration, kills: u32, outage: Duration) -> Vec<Planned> {
    let planned =
        |at: Duration, fault| Planned { at_ms: at.as_millis().try_into().unwrap_or(u64::MAX), fault };
    let kill = |index: u32| planned(duration * (2 * index + 1) / (2 * kills.max(1)), Fault::Kill);
    let mut faults: Vec<_> = (0..kills).map(kill).collect();
    if !outage.is_zero() {
        let from = duration * OUTAGE_FROM / 100;
        faults.push(planned(from, Fault::UplinkDown));
        faults.push(planned((from + outage).min(duration), Fault::UplinkUp));
    }
    faults.sort_by_key(|planned| planned.at_ms);
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64, kills: u32, outage_s: u64) -> Vec<(u64, Fault)> {
        let faults = schedule(Duration::from_secs(s), kills, Duration::from_secs(outage_s));
        faults.into_iter().map(|planned| (planned.at_ms, planned.fault)).collect()
    }

    #[test]
    fn kills_are_spread_and_the_outage_is_among_them() {
        use Fault::{Kill, UplinkDown, UplinkUp};
        let expected = [
            (2500, Kill),
            (6000, UplinkDown),
            (7500, Kill),
            (12_500, Kill),
            (14_000, UplinkUp),
            (17_500, Kill),
        ];
        assert_eq!(at(20, 4, 8), expected);
        assert_eq!(at(10, 0, 0), []);
        assert_eq!(at(10, 1, 60), [(3000, UplinkDown), (5000, Kill), (10_000, UplinkUp)]);
    }
}

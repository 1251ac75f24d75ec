//! A plan becomes a fleet: each device gets its target, its time and its share of what is common.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};

use crate::{
    Plan, Qos, Target,
    audit::Ledger,
    clock::{Clock, micros},
    departures::{self, Departures},
    device::{Device, DeviceCounts, DevicePlan, Micros, Schedule},
    part::Part,
    payload::PayloadWriter,
    plan::{AuditSource, Deal, Group, Identity},
    profile::Values,
    ranges::Ranges,
    sensor::{Sensor, Shared, Stop},
    value::{mix, name_hash},
};

/// Devices on their way.
pub(crate) struct Launched {
    pub(crate) parts: Vec<Part>,
    pub(crate) sensors: JoinSet<(Box<str>, Ranges)>,
    pub(crate) ledger: Ledger,
    /// When they send, if somebody asks for it.
    pub(crate) departures: Option<departures::Fleet>,
    pub(crate) devices: u32,
    /// The most that is promised to any of them.
    pub(crate) qos: Qos,
    /// When the last of them plans no more.
    pub(crate) end_us: Micros,
}

/// Starts all devices of all groups as tasks, each of which waits for its time.
pub(crate) fn launch(
    plan: &Plan,
    mut groups: Vec<(Group, Vec<Identity>)>,
    clock: Clock,
    stop: &watch::Receiver<Stop>,
) -> Launched {
    let mut launched = Launched {
        parts: Vec::new(),
        sensors: JoinSet::new(),
        ledger: Ledger { seed: plan.seed, boot: plan.boot, ..Ledger::default() },
        departures: is_bus(plan).then(HashMap::new),
        devices: 0,
        qos: Qos::AtMostOnce,
        end_us: 0,
    };
    // The rate of connections is that of the whole run, whatever groups begin together.
    groups.sort_by_key(|(group, _)| group.start);
    let step_us = 1_000_000 / u64::from(plan.connect_rate.max(1));
    let mut free_us = 0;
    for (group, identities) in groups {
        free_us = micros(group.start).max(free_us);
        free_us = launched.add(&group.sensors, identities, clock, stop, (free_us, step_us));
    }
    launched
}

impl Launched {
    /// `times`: when the first device connects, and after how long the next. Answers when a further one may.
    fn add(
        &mut self,
        sensors: &Plan,
        identities: Vec<Identity>,
        clock: Clock,
        stop: &watch::Receiver<Stop>,
        (mut connect_us, step_us): (Micros, Micros),
    ) -> Micros {
        let places: Vec<_> = sensors.targets.iter().map(|target| self.place(target)).collect();
        let shared: Vec<_> = places
            .iter()
            .map(|place| self.parts.get(*place).map(|part| shared(sensors, part, clock)))
            .collect();
        let mut deal = Deal::new(&sensors.targets);
        if sensors.qos == Qos::AtLeastOnce {
            self.qos = Qos::AtLeastOnce;
        }
        for identity in identities {
            let dealt = deal.next();
            let part = places.get(dealt).and_then(|place| self.parts.get_mut(*place));
            let (Some(part), Some(Some(shared))) = (part, shared.get(dealt)) else { continue };
            part.take_device(connect_us);
            self.devices = self.devices.saturating_add(1);
            self.ledger.devices.insert(identity.device.to_string(), Ranges::default());
            if sensors.profile.values != Values::default() {
                self.ledger.values.insert(identity.device.to_string(), sensors.profile.values);
            }
            let departures = self.departures.as_mut().map(|fleet| {
                let departures = Arc::<Departures>::default();
                fleet.insert(identity.device.clone(), Arc::clone(&departures));
                departures
            });
            let mut sensor = sensor(sensors, Arc::clone(shared), stop.clone(), identity, connect_us);
            sensor.departures = departures;
            self.end_us = self.end_us.max(sensor.end_us);
            self.sensors.spawn(sensor.run());
            connect_us = connect_us.saturating_add(step_us);
        }
        connect_us
    }

    /// Where the part of `target` is.
    fn place(&mut self, target: &Target) -> usize {
        let known = self.parts.iter().position(|part| part.target.is_same_server(target));
        known.unwrap_or_else(|| {
            self.parts.push(Part::new(target.clone()));
            self.parts.len().saturating_sub(1)
        })
    }

    /// From the beginning of the run to the end of planning, if there is one.
    pub(crate) fn planned_duration(&self) -> Option<Duration> {
        (self.end_us < Micros::MAX).then(|| Duration::from_micros(self.end_us))
    }
}

/// Whether somebody asks how long readings take to a consumer.
fn is_bus(plan: &Plan) -> bool {
    plan.audit.as_ref().is_some_and(|audit| matches!(audit.source, AuditSource::Bus(_)))
}

fn shared(plan: &Plan, part: &Part, clock: Clock) -> Arc<Shared> {
    Arc::new(Shared {
        target: part.target.clone(),
        version: plan.version,
        qos: plan.qos,
        inflight: plan.inflight,
        keep_alive: plan.keep_alive,
        acknowledge_max: plan.acknowledge_max,
        retransmit_wait: plan.retransmit_wait,
        seed: plan.seed,
        settle_max: plan.settle_max,
        payload: PayloadWriter {
            seed: plan.seed,
            values: plan.profile.values,
            boot: plan.boot,
            bytes_min: plan.payload_bytes,
        },
        clock,
        counters: Arc::clone(&part.counters),
    })
}

fn sensor(
    plan: &Plan,
    shared: Arc<Shared>,
    stop: watch::Receiver<Stop>,
    identity: Identity,
    connect_us: Micros,
) -> Sensor {
    let random = mix(plan.seed ^ mix(name_hash(&identity.device)));
    let schedule = Schedule { interval_us: micros(plan.interval), timing: plan.profile.timing, key: random };
    let end_us = plan.duration.map_or(Micros::MAX, |duration| connect_us.saturating_add(micros(duration)));
    let device = Device::new(DevicePlan {
        schedule,
        // Spread over the interval, so that a fleet does not speak all at once.
        phase_us: random.checked_rem(schedule.period_us()).unwrap_or(0),
        end_us,
        inflight_max: usize::from(plan.inflight),
        backlog_max: plan.backlog,
        acknowledged: plan.qos == Qos::AtLeastOnce,
    });
    let told = (0, DeviceCounts::default());
    Sensor {
        identity,
        device,
        shared,
        stop,
        connect_us,
        end_us,
        told,
        accepted: false,
        acknowledged: 0,
        kept: None,
        departures: None,
    }
}

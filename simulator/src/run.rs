use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    Error, Plan, Qos, Report,
    audit::{self, Audit, Begin, Ledger, Source, Verdict},
    clock::{Clock, micros},
    departures,
    latency::LatencyMs,
    launch::launch,
    link::Failure,
    part::{self, Part, Rate, per_second},
    plan::{AuditPlan, AuditSource, Group, Identity, Protocol},
    progress::{Phase, Progress},
    ranges::Ranges,
    sensor::Stop,
};

const PROGRESS_WAIT: Duration = Duration::from_millis(250);

/// Refused logins, with nobody let in, after which a run is given up.
const LOGIN_REFUSALS_MAX: u64 = 3;

/// Simulates what `plan` says. `progress` is told four times a second how it is getting on. When `stop` is ready, no
/// more readings are planned and those owed are sent and acknowledged, for at most [`Plan::settle_max`]; then the
/// report follows as it does at the end of [`Plan::duration`]. Dropping the future ends everything at once.
///
/// Needs a tokio runtime with timers and I/O enabled; devices are tasks on it.
///
/// # Errors
/// [`Error`]: the plan cannot be carried out, nobody is let in, or the output cannot be read. What the audit finds
/// is no error but in the [`Report`].
pub async fn run(
    plan: Plan,
    mut progress: impl FnMut(&Progress),
    stop: impl Future<Output = ()>,
) -> Result<Report, Error> {
    let groups = plan.clone().into_groups()?;
    // Before the first reading is sent: a bus is read from here on.
    let source = match &plan.audit {
        Some(audit) => Some(Source::open(&audit.source, Begin::Newest).await?),
        None => None,
    };
    let mut fleet = Fleet::start(&plan, groups);
    let auditor = plan.audit.as_ref().zip(source).map(|(audit_plan, source)| {
        let departures = fleet.departures.take().unwrap_or_default();
        let audit = Audit::new(source, &fleet.ledger, audit_plan.compare_values).with_departures(departures);
        follow(audit, audit_plan.source.clone(), fleet.stop.subscribe())
    });
    fleet.live(&mut progress, stop).await?;
    let report = fleet.report();
    match plan.audit.clone().zip(auditor) {
        None => Ok(report),
        Some((audit_plan, auditor)) => {
            fleet.stop.send_replace(Stop::Abort);
            let audit = auditor.await.map_err(internal)??;
            let verdict = fleet.judge(audit, audit_plan, &mut progress).await?;
            Ok(report.with_verdict(verdict))
        }
    }
}

struct Fleet<'a> {
    plan: &'a Plan,
    clock: Clock,
    parts: Vec<Part>,
    stop: watch::Sender<Stop>,
    sensors: JoinSet<(Box<str>, Ranges)>,
    ledger: Ledger,
    departures: Option<departures::Fleet>,
    devices: u32,
    qos: Qos,
    planned_duration: Option<Duration>,
    rate: Rate,
    /// Sendings, the first and all further ones.
    send_rate: Rate,
    /// The last whole second, and how long acknowledgements took in it.
    recent: (u64, Option<LatencyMs>),
    started: Instant,
    ended: Duration,
}

impl<'a> Fleet<'a> {
    fn start(plan: &'a Plan, groups: Vec<(Group, Vec<Identity>)>) -> Self {
        let clock = Clock::start();
        let (stop, stopped) = watch::channel(Stop::Running);
        let launched = launch(plan, groups, clock, &stopped);
        Self {
            plan,
            clock,
            planned_duration: launched.planned_duration(),
            parts: launched.parts,
            stop,
            sensors: launched.sensors,
            ledger: launched.ledger,
            departures: launched.departures,
            devices: launched.devices,
            qos: launched.qos,
            rate: Rate::default(),
            send_rate: Rate::default(),
            recent: (0, None),
            started: Instant::now(),
            ended: Duration::ZERO,
        }
    }

    /// Until the last device has ended.
    async fn live(
        &mut self,
        progress: &mut impl FnMut(&Progress),
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let mut stop = pin!(stop);
        let mut stopping = false;
        let mut ticks = interval(PROGRESS_WAIT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = self.sensors.join_next() => match ended {
                    None => break,
                    Some(Err(error)) => return Err(internal(error)),
                    Some(Ok((device, acknowledged))) => {
                        self.ledger.devices.insert(device.into(), acknowledged);
                    }
                },
                _ = ticks.tick() => {
                    self.check_let_in(false)?;
                    let phase = if stopping || self.is_past_planning() { Phase::Settling } else { Phase::Running };
                    progress(&self.progress(phase));
                }
                () = &mut stop, if !stopping => {
                    stopping = true;
                    let now_us = self.clock.now_us();
                    let until_us = now_us.saturating_add(micros(self.plan.settle_max));
                    self.stop.send_replace(Stop::Settle { until_us });
                }
            }
        }
        self.ended = self.started.elapsed();
        if stopping { Ok(()) } else { self.check_let_in(true) }
    }

    fn is_past_planning(&self) -> bool {
        self.planned_duration.is_some_and(|duration| self.started.elapsed() > duration)
    }

    /// Gives the run up when some target lets nobody in.
    fn check_let_in(&self, at_end: bool) -> Result<(), Error> {
        self.parts.iter().try_for_each(|part| self.check_let_in_at(part, at_end))
    }

    fn check_let_in_at(&self, part: &Part, at_end: bool) -> Result<(), Error> {
        let counters = &part.counters;
        if part.devices == 0 || counters.accepted.get() > 0 {
            return Ok(());
        }
        // CoAP has no connection: the server has its time from the first reading on.
        let waited_us = match part.target.protocol {
            Protocol::Mqtt => self.clock.now_us().saturating_sub(part.first_connect_us),
            Protocol::Coap => self.clock.now_us().saturating_sub(counters.first_written_us()),
        };
        let late = at_end || waited_us >= micros(self.plan.first_connect_max);
        let refused = counters.login_refusals.get() >= LOGIN_REFUSALS_MAX.min(u64::from(part.devices));
        match counters.last_failure() {
            Some(failure) if late || refused => Err(Error::nobody_let_in(&part.target, failure)),
            None if late && !at_end => {
                Err(Error::nobody_let_in(&part.target, (String::new(), Failure::Timeout)))
            }
            _ => Ok(()),
        }
    }

    fn progress(&mut self, phase: Phase) -> Progress {
        let elapsed = self.started.elapsed();
        let counts = part::sum(&self.parts);
        let (latency_ms, round_trip_ms) = part::latencies(&self.parts);
        if elapsed.as_secs() > self.recent.0 {
            self.recent = (elapsed.as_secs(), part::take_recent(&self.parts));
        }
        Progress {
            phase,
            elapsed,
            planned_duration: self.planned_duration,
            devices: self.devices,
            connected: counts.connected,
            sent: counts.sent,
            sent_per_s: self.send_rate.look(elapsed, counts.sent.saturating_add(counts.resent)),
            acknowledged: counts.acknowledged,
            rate_per_s: self.rate.look(elapsed, counts.acknowledged),
            hot: counts.hot,
            unacknowledged: counts.unacknowledged,
            skipped: counts.skipped,
            refused: counts.refused,
            reconnects: counts.reconnects,
            errors: counts.errors,
            causes: part::causes(&self.parts),
            latency_ms,
            recent_ms: self.recent.1,
            round_trip_ms,
            targets: self.parts.iter_mut().map(|part| part.progress(elapsed)).collect(),
        }
    }

    fn report(&mut self) -> Report {
        self.ledger.unaudited = self.parts.iter().map(|part| part.counters.unaudited.get()).sum();
        let counts = part::sum(&self.parts);
        let (latency_ms, round_trip_ms) = part::latencies(&self.parts);
        let targets: Vec<_> = self.parts.iter().map(|part| part.report(self.ended)).collect();
        Report {
            devices: self.devices,
            devices_accepted: counts.devices_accepted,
            qos: u8::from(self.qos == Qos::AtLeastOnce),
            seed: self.plan.seed,
            boot: self.plan.boot,
            duration_s: self.ended.as_secs_f64(),
            planned: counts.planned,
            sent: counts.sent,
            resent: counts.resent,
            retransmitted: counts.retransmitted,
            acknowledged: counts.acknowledged,
            rate_per_s: per_second(counts.acknowledged, self.ended),
            unacknowledged: counts.unacknowledged,
            skipped: counts.skipped,
            given_up: counts.given_up,
            refused: counts.refused,
            errors: counts.errors,
            causes: part::causes(&self.parts),
            reconnects: counts.reconnects,
            acknowledged_out_of_order: counts.acknowledged_out_of_order,
            latency_ms,
            round_trip_ms,
            targets,
            lost: None,
            duplicated: None,
            out_of_order: None,
            audit: None,
            ledger: self.ledger.clone(),
        }
    }

    async fn judge(
        &mut self,
        mut audit: Audit,
        plan: AuditPlan,
        progress: &mut impl FnMut(&Progress),
    ) -> Result<Verdict, Error> {
        let (tell, mut told) = watch::channel(0);
        let ledger = self.ledger.clone();
        let waiting = spawn_blocking(move || {
            audit::wait(&mut audit, &plan, &ledger, |missing| {
                tell.send_replace(missing);
            })
        });
        while told.changed().await.is_ok() {
            let missing = *told.borrow_and_update();
            progress(&self.progress(Phase::Auditing { missing }));
        }
        waiting.await.map_err(internal)?
    }
}

/// Reads the output while the run goes on, so that a file that rotation removes has been read by then. Ends when the
/// run is over.
fn follow(
    mut audit: Audit,
    what: AuditSource,
    mut stop: watch::Receiver<Stop>,
) -> JoinHandle<Result<Audit, Error>> {
    tokio::spawn(async move {
        loop {
            let polled = spawn_blocking(move || audit.poll().map(|_| audit)).await.map_err(internal)?;
            audit = polled.map_err(|source| Error::Audit { what: what.clone(), source })?;
            tokio::select! {
                () = sleep(audit.look_every()) => {}
                over = stop.wait_for(|stop| *stop == Stop::Abort) => {
                    drop(over);
                    return Ok(audit);
                }
            }
        }
    })
}

fn internal(error: JoinError) -> Error {
    Error::Internal(error.to_string())
}

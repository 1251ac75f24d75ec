use std::{ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep_until, timeout},
};

use crate::{
    clock::{Clock, micros},
    count::Counters,
    departures::Departures,
    device::{Device, DeviceCounts, Micros, Settled},
    link::{self, Connection, Event, Failure, Kept, Meaning, Publisher, Qos},
    mqtt::Version,
    payload::PayloadWriter,
    plan::{Identity, Protocol, Target},
    ranges::Ranges,
    value::{self, mix, name_hash},
};

/// First wait before a device connects again; doubled with each failure up to the longest.
const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 5000;

/// Wait before a reading goes again that the server refused for a passing reason, where it does not say how long.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

/// CONNECT to CONNACK. Long, for a thousand logins at once take a small gateway a while.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Time for DISCONNECT to be written and the server to close.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// How far a run is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Not at all.
    Running,
    /// No more readings are planned; those owed are sent until this time.
    Settle { until_us: Micros },
    /// At once.
    Abort,
}

/// What all devices of a target share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) version: Version,
    pub(crate) qos: Qos,
    pub(crate) inflight: u16,
    pub(crate) keep_alive: Duration,
    pub(crate) acknowledge_max: Duration,
    pub(crate) retransmit_wait: Duration,
    pub(crate) seed: u64,
    pub(crate) settle_max: Duration,
    pub(crate) payload: PayloadWriter,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
}

/// A virtual device with its connection.
pub(crate) struct Sensor {
    pub(crate) identity: Identity,
    pub(crate) device: Device,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: watch::Receiver<Stop>,
    /// When it connects for the first time.
    pub(crate) connect_us: Micros,
    /// When it plans no more.
    pub(crate) end_us: Micros,
    /// What was told to the counters of the target so far.
    pub(crate) told: (u64, DeviceCounts),
    pub(crate) accepted: bool,
    /// Readings of this device that were acknowledged.
    pub(crate) acknowledged: u64,
    /// What one link leaves to the next.
    pub(crate) kept: Kept,
    /// Where it says when its readings leave.
    pub(crate) departures: Option<Arc<Departures>>,
}

/// How far a link has come.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// Readings may be sent.
    open: bool,
    /// The server has let the device in.
    connected: bool,
}

/// Why a link is left.
enum Left {
    Done,
    Failed(Failure),
}

impl Sensor {
    /// Lives until all is settled or the time is up; answers with its name and what was acknowledged.
    pub(crate) async fn run(mut self) -> (Box<str>, Ranges) {
        let mut attempt = 0;
        let mut wake_us = self.connect_us;
        while self.wait_until(wake_us).await.is_continue() {
            let before = self.acknowledged;
            match Box::pin(self.live()).await {
                Left::Done => break,
                Left::Failed(failure) => self.shared.counters.note_failure(&self.identity.device, failure),
            }
            self.device.handle_disconnected();
            self.tell();
            attempt = if self.acknowledged > before { 0 } else { attempt + 1 };
            wake_us = self.shared.clock.now_us().saturating_add(self.backoff_us(attempt));
        }
        self.device.plan_until(self.shared.clock.now_us());
        self.tell();
        (self.identity.device, self.device.into_acknowledged())
    }

    /// Between half and all of what the attempt's number allows, so that a fleet does not come back as one.
    fn backoff_us(&self, attempt: u32) -> Micros {
        let ms = BACKOFF_MS_MIN.saturating_mul(1 << attempt.min(10)).min(BACKOFF_MS_MAX);
        let us = ms * 1000;
        let random = mix(name_hash(&self.identity.device) ^ self.shared.clock.now_us());
        us / 2 + random % (us / 2)
    }

    async fn wait_until(&mut self, wake_us: Micros) -> ControlFlow<()> {
        loop {
            let now_us = self.shared.clock.now_us();
            if self.is_over(now_us) {
                return ControlFlow::Break(());
            }
            if now_us >= wake_us {
                return ControlFlow::Continue(());
            }
            let until = self.shared.clock.instant(wake_us.min(self.deadline_us()));
            tokio::select! {
                () = sleep_until(until) => {}
                changed = self.stop.changed() => self.handle_stop(changed.is_err()),
            }
        }
    }

    /// The run wishes to end, or is gone.
    fn handle_stop(&mut self, gone: bool) {
        let now_us = self.shared.clock.now_us();
        if gone {
            self.device.handle_stop(0);
        } else if *self.stop.borrow() != Stop::Running {
            self.device.handle_stop(now_us);
            self.end_us = self.end_us.min(now_us);
        }
    }

    /// After this time nothing more is waited for.
    fn deadline_us(&self) -> Micros {
        let own = self.end_us.saturating_add(micros(self.shared.settle_max));
        match *self.stop.borrow() {
            Stop::Running => own,
            Stop::Settle { until_us } => own.min(until_us),
            Stop::Abort => 0,
        }
    }

    fn is_over(&mut self, now_us: Micros) -> bool {
        let gone = self.stop.has_changed().is_err();
        gone || now_us >= self.deadline_us() || (now_us >= self.end_us && self.device.is_done(now_us))
    }

    /// One link from its beginning to its end.
    async fn live(&mut self) -> Left {
        let (publisher, mut connection) = self.connect();
        let mut standing = Standing::default();
        let left = loop {
            match self.next_event(&publisher, &mut connection, standing.open).await {
                Ok(Some(Event::Open)) => {
                    standing.open = true;
                    self.device.handle_connected(self.shared.clock.now_us());
                }
                Ok(Some(Event::Connected)) => {
                    standing = Standing { open: true, connected: true };
                    self.handle_connected();
                }
                Ok(Some(event)) => self.handle_event(event),
                Ok(None) => break Left::Done,
                Err(failure) => break Left::Failed(failure),
            }
        };
        connection.leftovers().into_iter().for_each(|event| self.handle_event(event));
        if standing.connected {
            self.shared.counters.connected.subtract(1);
        }
        if matches!(left, Left::Done) && standing.connected {
            // So that the server does not take the device for lost.
            let _slow = timeout(LEAVE_MAX, connection.leave(&publisher)).await.is_err();
        }
        self.kept = connection.into_kept();
        left
    }

    fn connect(&mut self) -> (Publisher, Connection) {
        let options = link::Options {
            target: &self.shared.target,
            version: self.shared.version,
            qos: self.shared.qos,
            client_id: &self.identity.client_id,
            login: self.identity.login(),
            topic: &self.identity.topic,
            keep_alive: self.shared.keep_alive,
            connect_max: CONNECT_MAX,
            inflight_max: self.shared.inflight,
            payload_bytes_max: self.shared.payload.bytes_min,
            retransmit_wait: self.shared.retransmit_wait,
            acknowledge_max: self.shared.acknowledge_max,
            clock: self.shared.clock,
            key: mix(self.shared.seed ^ name_hash(&self.identity.device))
                ^ u64::from(self.shared.payload.boot),
        };
        link::connect(&options, self.kept.take())
    }

    /// Waits for the link to say something; meanwhile sends what comes due. `None`: the device's life is over.
    ///
    /// The link's future is kept through all the waking up in between: dropped half way it might leave a publish
    /// unwritten.
    async fn next_event(
        &mut self,
        publisher: &Publisher,
        connection: &mut Connection,
        open: bool,
    ) -> Result<Option<Event>, Failure> {
        let mut event = pin!(connection.next());
        loop {
            // One look at the clock for both: between two, the end could pass unseen, and the next wake would be the
            // deadline.
            let now_us = self.shared.clock.now_us();
            if self.is_over(now_us) {
                return Ok(None);
            }
            if open {
                self.send_due(publisher);
                self.check_silence()?;
            }
            let wake = self.shared.clock.instant(self.wake_us(open, now_us));
            tokio::select! {
                biased;
                event = &mut event => return event.map(Some),
                changed = self.stop.changed() => self.handle_stop(changed.is_err()),
                () = sleep_until(wake) => {}
            }
        }
    }

    fn wake_us(&self, open: bool, now_us: Micros) -> Micros {
        let deadline_us = self.deadline_us();
        let end_us = if self.end_us > now_us { self.end_us } else { deadline_us };
        let mut wake_us = deadline_us.min(end_us);
        if open {
            let due_us = self.device.poll_timeout().unwrap_or(Micros::MAX);
            wake_us = wake_us.min(due_us).min(self.silence_us());
        }
        // A far future that the timer can still represent.
        wake_us.min(now_us.saturating_add(3_600_000_000))
    }

    /// When the server has been silent for too long. A CoAP link knows better than this, for it repeats.
    fn silence_us(&self) -> Micros {
        if self.shared.target.protocol == Protocol::Coap {
            return Micros::MAX;
        }
        let oldest_us = self.device.oldest_sent_us().unwrap_or(Micros::MAX);
        oldest_us.saturating_add(micros(self.shared.acknowledge_max))
    }

    fn check_silence(&self) -> Result<(), Failure> {
        if self.shared.clock.now_us() >= self.silence_us() { Err(Failure::Timeout) } else { Ok(()) }
    }

    fn send_due(&mut self, publisher: &Publisher) {
        loop {
            let now_us = self.shared.clock.now_us();
            let Some(sending) = self.device.poll_send(now_us) else { break };
            if let Some(departures) = &self.departures {
                departures.note(sending.sequence, self.shared.clock.wall_us(now_us));
            }
            let ts = self.shared.clock.wall_us(sending.planned_us) / 1000;
            let payload = self.shared.payload.write(&self.identity.device, sending.sequence, ts);
            let taken = publisher.publish(&self.identity.topic, self.shared.qos, payload);
            debug_assert!(taken, "the window of the device is the room of the publisher");
        }
        self.tell();
    }

    fn handle_connected(&mut self) {
        let counters = &self.shared.counters;
        counters.connected.add(1);
        if self.accepted {
            counters.reconnects.add(1)
        } else {
            counters.accepted.add(1)
        }
        self.accepted = true;
        self.device.handle_connected(self.shared.clock.now_us());
    }

    fn handle_event(&mut self, event: Event) {
        let now_us = self.shared.clock.now_us();
        let counters = &self.shared.counters;
        match event {
            Event::Open | Event::Connected => {}
            Event::Written(packet) => {
                counters.note_written(now_us);
                if self.device.handle_written(packet, now_us).is_some() {
                    counters.written.add(1);
                }
            }
            Event::Retransmitted => counters.retransmitted.add(1),
            Event::Acknowledged(packet) => {
                if let Some(settled) = self.device.handle_acknowledged(packet, now_us) {
                    self.note_acknowledged(&settled);
                }
            }
            Event::Refused(packet, refusal) => {
                counters.refused.add(1);
                counters.note_cause(&refusal.to_string());
                let again_us = match refusal.meaning {
                    Meaning::Passing(wait) => {
                        Some(now_us.saturating_add(micros(wait.unwrap_or(REFUSED_WAIT))))
                    }
                    _ => None,
                };
                self.device.handle_refused(packet, again_us);
            }
        }
    }

    fn note_acknowledged(&mut self, settled: &Settled) {
        self.acknowledged += 1;
        self.shared.counters.acknowledged.add(1);
        let PayloadWriter { values, seed, .. } = &self.shared.payload;
        let celsius = values.celsius(*seed, &self.identity.device, settled.sequence);
        if celsius > value::HOT_CELSIUS {
            self.shared.counters.hot.add(1);
        }
        self.shared.counters.note_latency(settled.latency_us, settled.round_trip_us);
        // Of CoAP no order is asked: what is repeated comes later.
        if !settled.in_order && self.shared.target.protocol == Protocol::Mqtt {
            self.shared.counters.acknowledged_out_of_order.add(1);
        }
    }

    /// Adds to the target's counters what is new in the device's.
    fn tell(&mut self) {
        let (planned, counts) = (self.device.planned(), self.device.counts());
        let (told_planned, told) = self.told;
        let counters = &self.shared.counters;
        counters.planned.add(planned.saturating_sub(told_planned));
        counters.sent.add(counts.sent.saturating_sub(told.sent));
        counters.resent.add(counts.resent.saturating_sub(told.resent));
        counters.skipped.add(counts.skipped.saturating_sub(told.skipped));
        counters.given_up.add(counts.given_up.saturating_sub(told.given_up));
        counters.unaudited.add(counts.unaudited.saturating_sub(told.unaudited));
        self.told = (planned, counts);
    }
}

//! The thread that gives the router what has become durable, and a new router when the old one is gone.

use std::{collections::HashMap, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use tidegate_protocol::{DeviceId, Lane};

use super::{
    Config,
    broker::{self, Dead, Publisher},
    hub::Hub,
    message::{Round, passed_over, topic},
};
use crate::{
    clock::deadline,
    spool::{Batch, Offset, ReadError, Reader, Spool},
};

/// Bytes of records in a round.
const ROUND_BYTES_MAX: usize = 64 * 1024;
/// Records that have become durable in one wait and are still handed over. More are passed over: whoever follows reads
/// them in the spool, which costs less than a copy of each for the router and another for every service.
const ROUND_RECORDS_MAX: u64 = 512;
/// How long commits are gathered into a round: little for eyes and alarms, and many commits under load.
const GATHER: Duration = Duration::from_millis(20);
/// Time between two heartbeats when there is nothing to hand over.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How long a heartbeat may take.
const BEAT_MS_MAX: u64 = 2_000;
/// Wait before the first new router; doubled with each that does not live.
const REBUILD_AFTER: Duration = Duration::from_millis(50);
/// The longest wait before a new router.
const REBUILD_AFTER_MAX: Duration = Duration::from_secs(10);
/// Wait after a spool that cannot be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Feeder {
    hub: Arc<Hub>,
    spool: Spool,
    config: Config,
    topics: Topics,
}

/// The topics that the router knows, which it never forgets.
struct Topics {
    known: HashMap<(Lane, DeviceId), Bytes>,
    topics_max: usize,
}

impl Feeder {
    pub(super) fn new(hub: Arc<Hub>, spool: Spool, config: Config) -> Self {
        let topics = Topics { known: HashMap::new(), topics_max: config.topics_max };
        Self { hub, spool, config, topics }
    }

    pub(super) fn run(mut self) {
        let mut wait = REBUILD_AFTER;
        while self.is_followed() {
            let lived = match broker::build(&self.config) {
                Ok((publisher, links)) => {
                    self.topics.known.clear();
                    self.hub.open(links);
                    let ended = self.feed(publisher);
                    self.hub.close();
                    ended
                }
                Err(error) => Err((error, false)),
            };
            let Err((error, has_lived)) = lived else { return };
            self.hub.note_rebuilt();
            wait = if has_lived { REBUILD_AFTER } else { (wait * 2).min(REBUILD_AFTER_MAX) };
            tracing::warn!(%error, again_ms = wait.as_millis(), "the core is rebuilt; services read the spool meanwhile");
            self.rest(wait);
        }
    }

    /// Waits until somebody follows; false when the core stops instead.
    fn is_followed(&self) -> bool {
        while !self.hub.is_stopping() {
            if self.hub.is_followed() {
                return true;
            }
            thread::park();
        }
        false
    }

    /// Waits, unless the core stops.
    fn rest(&self, wait: Duration) {
        let until = deadline(wait);
        while !self.hub.is_stopping() && !crate::clock::is_over(until) {
            thread::park_timeout(wait);
        }
    }

    /// Hands over what becomes durable until the core stops, or the router is gone; then whether it has ever taken
    /// anything.
    fn feed(&mut self, mut publisher: Publisher) -> Result<(), (Dead, bool)> {
        let mut has_lived = false;
        while self.is_followed() {
            // Whoever followed before this is here reads the spool up to here.
            let durable = self.spool.watermark().durable();
            let mut readers = Lane::ALL.map(|lane| self.spool.reader(lane, durable.end(lane)));
            while self.hub.is_followed() && !self.hub.is_stopping() {
                self.turn(&mut publisher, &mut readers).map_err(|error| (error, has_lived))?;
                has_lived = true;
            }
        }
        Ok(())
    }

    /// One round of each lane, or a wait and a heartbeat.
    fn turn(&mut self, publisher: &mut Publisher, readers: &mut [Reader; 2]) -> Result<(), Dead> {
        self.hub.await_commit();
        let mut has_fed = false;
        for reader in readers.iter_mut() {
            match self.feed_lane(publisher, reader) {
                Ok(fed) => has_fed |= fed?,
                Err(error) => {
                    // Those who follow find the hole, and the error.
                    tracing::error!(%error, "the core cannot read the spool");
                    *reader = self.newest(reader.lane());
                    self.rest(READ_AGAIN);
                }
            }
        }
        if !has_fed {
            thread::park_timeout(BEAT_EVERY);
            return publisher.publish([], deadline(Duration::from_millis(BEAT_MS_MAX)));
        }
        let durable = self.spool.watermark().durable();
        if readers.iter().all(|reader| reader.offset() >= durable.end(reader.lane())) {
            thread::sleep(GATHER);
        }
        Ok(())
    }

    fn newest(&self, lane: Lane) -> Reader {
        self.spool.reader(lane, self.spool.watermark().durable().end(lane))
    }

    /// Hands over a round of the reader's lane; whether there was anything.
    fn feed_lane(
        &mut self,
        publisher: &mut Publisher,
        reader: &mut Reader,
    ) -> Result<Result<bool, Dead>, ReadError> {
        let (lane, from) = (reader.lane(), reader.offset());
        let end = self.spool.watermark().durable().end(lane);
        let until = deadline(Duration::from_millis(BEAT_MS_MAX));
        if end.saturating_sub(from) > ROUND_RECORDS_MAX {
            *reader = self.spool.reader(lane, end);
            self.hub.note_passed_over();
            let message = (topic(lane, None).into(), passed_over(lane, from, end).into());
            return Ok(publisher.publish([message], until).map(|()| true));
        }
        let batch = reader.next_batch(ROUND_BYTES_MAX)?;
        if batch.is_empty() {
            return Ok(Ok(false));
        }
        #[cfg(any(test, feature = "fault-injection"))]
        if batch.records().any(|record| record.envelope.topic == super::KILL_TOPIC) {
            publisher.kill();
        }
        // What is lost before the batch is not part of the round: whoever follows asks the spool about it.
        let from = batch.lost().map_or(from, |lost| lost.to);
        let round = self.round(&batch, (lane, from));
        Ok(publisher.publish(round, until).map(|()| true))
    }

    fn round(&mut self, batch: &Batch, (lane, from): (Lane, Offset)) -> Vec<(Bytes, Bytes)> {
        let mut round = Round::new(lane, from);
        batch.records().for_each(|record| round.push(&record));
        let messages = round.finish(batch.end()).into_iter();
        messages.map(|(device, message)| (self.topics.of(lane, device), message.into())).collect()
    }
}

impl Topics {
    /// The device's topic, or the lane's when there are too many, or the name is none that a device can have.
    fn of(&mut self, lane: Lane, device: &str) -> Bytes {
        let Ok(device) = DeviceId::new(device) else { return topic(lane, None).into() };
        let key = (lane, device);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        if self.known.len() >= self.topics_max {
            return topic(lane, None).into();
        }
        let made = Bytes::from(topic(lane, Some(&key.1)));
        self.known.insert(key, made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_beyond_the_limit_share_a_topic() {
        let mut topics = Topics { known: HashMap::new(), topics_max: 2 };
        assert_eq!(topics.of(Lane::Telemetry, "a"), "iot/telemetry/a");
        assert_eq!(topics.of(Lane::Event, "a"), "iot/event/a");
        assert_eq!(topics.of(Lane::Telemetry, "b"), "iot/telemetry");
        assert_eq!(topics.of(Lane::Telemetry, "a"), "iot/telemetry/a");
        assert_eq!(topics.of(Lane::Telemetry, "no device"), "iot/telemetry");
    }
}

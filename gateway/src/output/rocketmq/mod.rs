//! A RocketMQ cluster.
//!
//! A batch of records becomes messages, each stands in the line of its queue, and each line has one request on its way:
//! so a device's messages arrive in order at full speed. What is not confirmed is held here, and its records stay in the
//! spool: the cursor moves over what the bus has confirmed, and after a kill the rest is sent again with the same ids.
//!
//! When one request fails, nothing more is sent until the bridge's next try: that asks the name servers anew, greets
//! the broker, and only then sends again what is not confirmed. So a broker that stands still is not filled with
//! repetitions. What the bus refuses for good goes to the dead letters, and the rest flows on. A topic that is missing,
//! or that we may not write to, is shut: what is for it waits here, and other topics flow on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use tidegate_protocol::Lane;
use tidegate_rocketmq::{
    Client, Encoded, NameServers, Producer, RouteError, View,
    producer::{Answer, To, Verdict},
    wire::hash,
};
use tokio::task::JoinSet;

use super::{Items, OutputError, dead::DeadLetters};
use crate::{
    clock::{Clock, Millis},
    config::RocketMqConfig,
    spool::Lost,
};

pub mod check;
pub mod mapping;

mod letter;
mod lines;
pub mod options;
mod pace;
mod way;

use lines::{BatchLimits, Held, Outcome, Settled, Target};
use mapping::{BusMessage, Mapping};
use pace::Pace;
use way::{Advice, Trouble, Way, find_targets};

/// Messages of one request.
pub const BATCH_MESSAGES_MAX: usize = 512;
/// Bytes of one request: a broker that takes large messages still stores small requests sooner.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Topics that are remembered while nothing waits for them.
pub const TOPICS_MAX: usize = 1_024;
/// After so long the name servers are asked again where a topic's queues are.
const ROUTE_MS_MAX: Millis = 30_000;

/// Carries messages to a cluster.
pub struct RocketMqOutput {
    mapping: Mapping,
    advice: Advice,
    names: NameServers,
    producer: Producer,
    clock: Clock,
    batch: bool,
    limits: BatchLimits,
    message_bytes_max: usize,
    in_flight_max: usize,
    topics: BTreeMap<Arc<str>, Way>,
    /// Messages that the bus has not confirmed.
    held: usize,
    flights: JoinSet<Landed>,
    /// Why nothing is sent until the next try.
    trouble: Option<Trouble>,
    dead: DeadLetters,
    pace: Pace,
    messages: Vec<BusMessage>,
}

/// What comes back.
enum Landed {
    Sent { topic: Arc<str>, at: usize, answer: Answer },
    Route { topic: Arc<str>, targets: Result<Vec<Target>, RouteError> },
}

impl RocketMqOutput {
    /// An output for `config`. Nothing is connected yet; a cluster that is away at the start is waited for.
    ///
    /// # Errors
    /// A file that `config` names cannot be used.
    pub fn open(config: &RocketMqConfig, data: &Path, clock: Clock) -> io::Result<Self> {
        let client = Client::new(options::options(config)?);
        let mapping = Mapping::new(&config.mapping()).map_err(io::Error::other)?;
        let message_bytes_max = usize::try_from(config.message_bytes_max).unwrap_or(usize::MAX);
        Ok(Self {
            mapping,
            advice: Advice::new(config),
            names: NameServers::new(client.clone(), &config.name_servers),
            producer: Producer::new(client, &config.group),
            clock,
            batch: config.batch,
            limits: BatchLimits {
                messages_max: if config.batch { BATCH_MESSAGES_MAX } else { 1 },
                bytes_max: BATCH_BYTES_MAX.min(message_bytes_max),
            },
            message_bytes_max,
            in_flight_max: usize::try_from(config.in_flight_max).unwrap_or(usize::MAX),
            topics: BTreeMap::new(),
            held: 0,
            flights: JoinSet::new(),
            trouble: None,
            dead: DeadLetters::new(data, &config.name),
            pace: Pace::new(config.rate_max),
            messages: Vec::new(),
        })
    }

    /// Takes a batch, with what is missing in front of it. Waits while too much is held.
    ///
    /// # Errors
    /// [`OutputError::Holding`] while the bus does not take what it has got already; nothing of `items` is taken then.
    pub async fn deliver(&mut self, items: Items<'_>, lost: Option<Lost>) -> Result<(), OutputError> {
        self.settle_trouble().await?;
        while self.held >= self.in_flight_max {
            if self.held == self.shut_out() {
                self.open_shut_topics().await;
                self.fail_when_full()?;
            }
            self.advance().await?;
        }
        let mut messages = std::mem::take(&mut self.messages);
        messages.clear();
        if let Some(lost) = lost {
            mapping::map_lost(&self.mapping, items.lane, lost, &mut messages);
        }
        items.each(|item| mapping::map(&self.mapping, item, &mut messages));
        if items.lane == Lane::Telemetry {
            self.pace.note(messages.len(), self.clock.now_ms());
        }
        let taken = messages.iter().try_for_each(|message| self.take(message));
        self.messages = messages;
        taken?;
        self.pump();
        Ok(())
    }

    /// Returns when the bus has confirmed all that was delivered.
    ///
    /// # Errors
    /// [`OutputError::Holding`]: it has not, and is asked again at the next call. [`OutputError::Partly`]: what is
    /// missing is for topics that are shut.
    pub async fn confirm(&mut self) -> Result<(), OutputError> {
        self.settle_trouble().await?;
        self.open_shut_topics().await;
        while self.held > self.shut_out() {
            self.advance().await?;
        }
        self.dead.sync()?;
        match self.shut() {
            Some(why) if self.held > 0 => Err(OutputError::Partly(why.to_owned())),
            _ => Ok(()),
        }
    }

    /// Sends what may be sent, and waits for one answer.
    async fn advance(&mut self) -> Result<(), OutputError> {
        self.pump();
        if self.flights.is_empty() {
            // Not to be: then all of it is delivered again.
            return Err(io::Error::other("messages are held and none is on its way").into());
        }
        self.step().await?;
        self.fail_in_trouble()
    }

    /// Forgets what was delivered and not confirmed: it comes again.
    pub fn begin_anew(&mut self) {
        self.flights.abort_all();
        self.flights = JoinSet::new();
        self.topics.clear();
        self.held = 0;
        self.trouble = None;
    }

    /// Sends on what waits, as answers come in. Returns when something does not go well.
    pub async fn drive(&mut self) {
        if self.trouble.is_none() {
            while !self.flights.is_empty() {
                if self.step().await.is_err() || self.trouble.is_some() {
                    return;
                }
            }
        }
        std::future::pending().await
    }

    /// Whether something did not go well since the last success.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.trouble.is_some()
    }

    /// How long `lane` has to wait, so that it is not faster than the owner allows.
    #[must_use]
    pub fn pause(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Event => Duration::ZERO,
            Lane::Telemetry => Duration::from_millis(self.pace.wait_ms(self.clock.now_ms())),
        }
    }

    /// Messages refused for good since the start.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.dead.count()
    }

    fn take(&mut self, message: &BusMessage) -> Result<(), OutputError> {
        let view = View {
            topic: &message.topic,
            key: &message.key,
            tag: &message.tag,
            id: &message.id,
            sharding_key: &message.sharding_key,
            properties: &message.properties,
            body: &message.body,
        };
        match Encoded::new(&view, self.message_bytes_max) {
            Err(why) => letter::bury_unsent(&mut self.dead, message, &why, self.clock.wall_ms())?,
            Ok(encoded) => {
                let held = Held { hash: hash::java_hash(&message.sharding_key), message: encoded };
                self.way(&message.topic).topic.push(held);
                self.held += 1;
            }
        }
        Ok(())
    }

    fn way(&mut self, topic: &str) -> &mut Way {
        if !self.topics.contains_key(topic) && self.topics.len() >= TOPICS_MAX {
            self.topics.retain(|_, way| way.is_asked || !way.topic.is_idle());
        }
        self.topics.entry(topic.into()).or_default()
    }

    /// Sends what may be sent, of all topics.
    fn pump(&mut self) {
        let topics: Vec<Arc<str>> = self.topics.keys().cloned().collect();
        topics.iter().for_each(|topic| self.pump_topic(topic));
    }

    fn pump_topic(&mut self, topic: &Arc<str>) {
        let Some(way) = self.topics.get_mut(topic) else { return };
        if self.trouble.is_some() || way.shut.is_some() {
            return;
        }
        if way.route_due_ms <= self.clock.now_ms() && !way.is_asked && !way.topic.is_idle() {
            way.is_asked = true;
            let (names, topic) = (self.names.clone(), Arc::clone(topic));
            self.flights.spawn(async move {
                let targets = find_targets(&names, &topic).await;
                Landed::Route { topic, targets }
            });
        }
        let (producer, born_ms) = (&self.producer, self.clock.wall_ms());
        for at in 0..way.topic.len() {
            let Some((target, flight)) = way.topic.take_off(at, self.limits) else { continue };
            let answer = send(producer, self.batch, topic, &target, flight, born_ms);
            let topic = Arc::clone(topic);
            self.flights.spawn(async move { Landed::Sent { topic, at, answer: answer.await } });
        }
    }

    /// Waits for one answer.
    async fn step(&mut self) -> Result<(), OutputError> {
        match self.flights.join_next().await {
            None => Ok(()),
            Some(Ok(Landed::Sent { topic, at, answer })) => {
                self.land(&topic, at, answer);
                self.pump_topic(&topic);
                Ok(())
            }
            Some(Ok(Landed::Route { topic, targets })) => {
                self.take_route(&topic, targets);
                self.pump_topic(&topic);
                Ok(())
            }
            // What it carried is in the spool: all of it is delivered again.
            Some(Err(error)) => Err(io::Error::other(error).into()),
        }
    }

    fn land(&mut self, topic: &Arc<str>, at: usize, answer: Answer) {
        let Some(way) = self.topics.get_mut(topic) else { return };
        let outcome = match &answer {
            Ok(_) => Outcome::Confirmed,
            Err(error) => match error.verdict() {
                Verdict::Again => Outcome::Again,
                Verdict::Never => Outcome::Never,
            },
        };
        let trouble = answer.err().map(|error| self.advice.of_answer(&error, topic)).unwrap_or_default();
        match way.topic.settle(at, outcome) {
            Settled::Confirmed(count) => self.held = self.held.saturating_sub(count),
            Settled::Waiting if outcome == Outcome::Again => {
                way.route_due_ms = 0;
                if trouble.is_of_topic { way.shut = Some(trouble.why) } else { self.trouble = Some(trouble) }
            }
            Settled::Waiting => {}
            Settled::Dead(held) => {
                match letter::bury(&mut self.dead, topic, &held, &trouble.why, self.clock.wall_ms()) {
                    Ok(()) => {
                        tracing::warn!(%topic, why = %trouble.why, "the bus refuses a message for good; it is with the dead letters");
                        self.held = self.held.saturating_sub(1);
                    }
                    Err(error) => {
                        way.topic.keep(at, held);
                        self.trouble = Some(Trouble::of_us(format!("cannot write a dead letter: {error}")));
                    }
                }
            }
        }
    }

    fn take_route(&mut self, topic: &Arc<str>, targets: Result<Vec<Target>, RouteError>) {
        let Some(way) = self.topics.get_mut(topic) else { return };
        way.is_asked = false;
        way.route_due_ms = self.clock.now_ms().saturating_add(ROUTE_MS_MAX);
        match targets {
            Ok(targets) => {
                way.topic.set_targets(targets);
                if way.shut.take().is_some() {
                    way.topic.resume();
                }
            }
            // A cluster without its name servers goes on as it was.
            Err(error) if way.topic.has_queues() && way.shut.is_none() => {
                tracing::debug!(%topic, %error, "the route stays as it was");
            }
            Err(error) => {
                way.route_due_ms = 0;
                let trouble = self.advice.of_route(&error, topic);
                if trouble.is_of_topic || way.shut.is_some() {
                    way.shut = Some(trouble.why);
                } else {
                    self.trouble = Some(trouble);
                }
            }
        }
    }

    fn fail_in_trouble(&self) -> Result<(), OutputError> {
        let Some(Trouble { why, is_away, .. }) = &self.trouble else { return Ok(()) };
        Err(OutputError::Holding { why: why.clone(), is_away: *is_away })
    }

    /// Why a topic takes nothing, if one is shut.
    fn shut(&self) -> Option<&str> {
        self.topics.values().find_map(|way| way.shut.as_deref())
    }

    /// Messages that wait for topics that are shut.
    fn shut_out(&self) -> usize {
        self.topics.values().filter(|way| way.shut.is_some()).map(|way| way.topic.waiting()).sum()
    }

    fn fail_when_full(&self) -> Result<(), OutputError> {
        match self.shut() {
            Some(shut) if self.held == self.shut_out() => {
                let why = format!("{shut}; {} messages wait for that, so all others wait too", self.held);
                Err(OutputError::Holding { why, is_away: true })
            }
            _ => Ok(()),
        }
    }

    /// Asks for the ways of topics that are shut, and lets those that have one try again.
    async fn open_shut_topics(&mut self) {
        let shut = self.topics.iter().filter(|(_, way)| way.shut.is_some() && !way.is_asked);
        let shut: Vec<Arc<str>> = shut.map(|(topic, _)| Arc::clone(topic)).collect();
        for topic in shut {
            let targets = find_targets(&self.names, &topic).await;
            self.take_route(&topic, targets);
        }
    }

    /// After something did not go well: tries all that is held again.
    async fn settle_trouble(&mut self) -> Result<(), OutputError> {
        if self.trouble.is_none() {
            return Ok(());
        }
        while !self.flights.is_empty() {
            self.step().await?;
        }
        self.find_ways_again().await?;
        self.greet_brokers().await?;
        self.trouble = None;
        for way in self.topics.values_mut().filter(|way| way.shut.is_none()) {
            way.topic.resume();
        }
        self.pump();
        while !self.flights.is_empty() {
            self.step().await?;
            self.fail_in_trouble()?;
        }
        Ok(())
    }

    async fn find_ways_again(&mut self) -> Result<(), OutputError> {
        let is_due = |way: &Way| way.route_due_ms == 0 && way.shut.is_none() && !way.topic.is_idle();
        let due = self.topics.iter().filter(|(_, way)| is_due(way));
        let due: Vec<Arc<str>> = due.map(|(topic, _)| Arc::clone(topic)).collect();
        for topic in due {
            let targets = find_targets(&self.names, &topic).await;
            let failed = targets.is_err();
            self.take_route(&topic, targets);
            let is_on_its_way = |way: &Way| way.topic.has_queues() || way.shut.is_some();
            if failed && !self.topics.get(&topic).is_some_and(is_on_its_way) {
                return self.fail_in_trouble();
            }
        }
        Ok(())
    }

    /// A broker that does not even answer a greeting would only collect repetitions.
    async fn greet_brokers(&mut self) -> Result<(), OutputError> {
        let paused: BTreeSet<Arc<str>> = self
            .topics
            .values()
            .filter(|way| way.shut.is_none())
            .flat_map(|way| way.topic.paused_addresses())
            .collect();
        for address in paused {
            if let Err(error) = self.producer.greet(&address).await {
                for way in self.topics.values_mut() {
                    way.route_due_ms = 0;
                }
                self.trouble = Some(Trouble::of_nobody_there(error.to_string()));
                return self.fail_in_trouble();
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RocketMqOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocketMqOutput")
            .field("held", &self.held)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

fn send(
    producer: &Producer,
    batch: bool,
    topic: &str,
    target: &Target,
    flight: &[Held],
    born_ms: Millis,
) -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send>> {
    let to = To { address: &target.address, topic, queue_id: target.queue.id, born_ms };
    match flight {
        // A single message without a body is refused; in a batch it is taken.
        [one] if !batch || !one.message.body().is_empty() => Box::pin(producer.send(&to, &one.message)),
        _ => {
            let bytes = flight.iter().map(|held| held.message.bytes().len()).sum();
            let mut body = BytesMut::with_capacity(bytes);
            flight.iter().for_each(|held| body.extend_from_slice(held.message.bytes()));
            Box::pin(producer.send_batch(&to, body.freeze()))
        }
    }
}

#[cfg(test)]
mod tests;

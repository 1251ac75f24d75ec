//! What a cluster lacks, as lines that its administrator can run.

use std::{collections::BTreeSet, fmt, io};

use tidegate_rocketmq::{
    Client, Encoded, NameServers, Producer, Route, RouteError, SendError, View, admin,
    producer::{Answer, To},
    wire::{code::answer, route::DEFAULT_TOPIC},
};

use super::options;
use crate::{clock::Millis, config::RocketMqConfig, normalise::RouteConfig};

/// Groups that the consumers of this gateway use unless they are told otherwise.
pub const GROUPS: &[&str] = &["monitor-consumer-group", "alert-consumer-group"];

/// Tag of the test message.
const TEST_TAG: &str = "check";
/// A queue that no topic has: a message for it is refused, but only after the broker has looked at the rights.
const NO_QUEUE: u32 = i32::MAX.unsigned_abs();
/// Queues that a topic is best made with.
pub(super) const QUEUES: u32 = 8;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How it is.
    pub state: State,
    /// What was found.
    pub what: String,
    /// What to do: a line to run, or a sentence.
    pub advice: Option<String>,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// It works without, but not all of it.
    Note,
    /// Readings do not reach the cluster like this.
    Missing,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Missing => "MISSING",
        })
    }
}

struct Look<'c> {
    config: &'c RocketMqConfig,
    client: Client,
    found: Vec<Found>,
    cluster: String,
    brokers: BTreeSet<String>,
}

/// Looks at the cluster of `config`: name servers, topics (those of `routes` too, as far as they name them), rights,
/// brokers, groups. With `send` a test message goes to the device topic.
///
/// # Errors
/// A file that `config` names cannot be used.
pub async fn check(
    config: &RocketMqConfig,
    routes: &[RouteConfig],
    send: bool,
    wall_ms: Millis,
) -> io::Result<Vec<Found>> {
    let client = Client::new(options::options(config)?);
    let cluster = options::CLUSTER.to_owned();
    let mut look = Look { config, client, found: Vec::new(), cluster, brokers: BTreeSet::new() };
    if look.name_servers().await {
        for topic in topics(config, routes) {
            look.topic(&topic, wall_ms).await;
        }
        look.brokers().await;
        if send {
            look.send(wall_ms).await;
        }
    }
    Ok(look.found)
}

/// The topics that readings go to, as far as the configuration names them.
fn topics(config: &RocketMqConfig, routes: &[RouteConfig]) -> BTreeSet<String> {
    let named = routes.iter().filter_map(|route| route.output_topic.as_deref());
    let plain = named.filter(|topic| !topic.contains('{')).map(|topic| topic.replace(['/', '.'], "-"));
    [config.topic.clone(), config.device_topic.clone()].into_iter().chain(plain).collect()
}

impl Look<'_> {
    fn note(&mut self, state: State, what: impl Into<String>, advice: impl Into<Option<String>>) {
        self.found.push(Found { state, what: what.into(), advice: advice.into() });
    }

    fn first_server(&self) -> &str {
        self.config.name_servers.first().map_or("NAMESERVER", String::as_str)
    }

    /// Whether any of them answers.
    async fn name_servers(&mut self) -> bool {
        let mut any = false;
        for server in &self.config.name_servers {
            let alone = NameServers::new(self.client.clone(), std::slice::from_ref(server));
            match alone.route(&self.config.topic).await {
                Ok(route) => {
                    any = true;
                    self.note_cluster(&route);
                    self.note(State::Good, format!("name server {server} answers"), None);
                }
                Err(RouteError::NoTopic(_)) => {
                    any = true;
                    self.note(State::Good, format!("name server {server} answers"), None);
                }
                Err(error) => {
                    let advice = "start it, or correct `name_servers`, TLS or the user".to_owned();
                    self.note(State::Missing, format!("name server {server}: {error}"), advice);
                }
            }
        }
        let names = NameServers::new(self.client.clone(), &self.config.name_servers);
        if let Ok(route) = names.route(DEFAULT_TOPIC).await {
            self.note_cluster(&route);
        }
        any
    }

    fn note_cluster(&mut self, route: &Route) {
        for (broker, cluster) in route.brokers() {
            if !cluster.is_empty() {
                cluster.clone_into(&mut self.cluster);
            }
            self.brokers.extend(route.master(broker).map(str::to_owned));
        }
    }

    async fn topic(&mut self, topic: &str, wall_ms: Millis) {
        let names = NameServers::new(self.client.clone(), &self.config.name_servers);
        match names.route_to_send(topic).await {
            Ok((route, true)) => {
                let queues = route.write_queues().len();
                let what = format!(
                    "topic {topic} is not there; the brokers make it with {queues} queues at the first message"
                );
                self.note(State::Note, what, self.update_topic(topic));
            }
            Ok((route, false)) => self.routed(topic, &route, wall_ms).await,
            Err(RouteError::NoTopic(_)) => {
                self.note(State::Missing, format!("topic {topic} does not exist"), self.update_topic(topic));
            }
            Err(error) => self.note(State::Missing, format!("topic {topic}: {error}"), None),
        }
    }

    async fn routed(&mut self, topic: &str, route: &Route, wall_ms: Millis) {
        self.note_cluster(route);
        let queues = route.write_queues();
        let Some(queue) = queues.first() else {
            let (what, advice) = if route.is_writable() {
                (format!("topic {topic}: none of its brokers is there"), "start its brokers".to_owned())
            } else {
                (
                    format!("topic {topic} must not be written to"),
                    format!("{} -p 6", self.update_topic(topic)),
                )
            };
            return self.note(State::Missing, what, advice);
        };
        let address = route.master(&queue.broker).unwrap_or_default().to_owned();
        let brokers: BTreeSet<&str> = queues.iter().map(|queue| &*queue.broker).collect();
        let brokers = brokers.into_iter().collect::<Vec<_>>().join(", ");
        let what = format!("topic {topic}: {} queues on {brokers}", queues.len());
        match self.send_to(&address, topic, NO_QUEUE, wall_ms).await {
            Err(SendError::Refused { code: answer::NO_PERMISSION, remark, .. }) => {
                let user = self.config.access_key.as_deref().unwrap_or("USER");
                let advice = format!(
                    "mqadmin createAcl -n {} -c {} -s User:{user} -r Topic:{topic} -a Pub -d Allow",
                    self.first_server(),
                    self.cluster,
                );
                self.note(State::Missing, format!("{what}; no right to write: {remark}"), advice);
            }
            Err(SendError::Request(error)) => {
                let advice = "start the broker, or correct its `brokerIP1`".to_owned();
                self.note(State::Missing, format!("{what}; {error}"), advice);
            }
            // It was refused for its queue: the rights were enough.
            _ => self.note(State::Good, what, None),
        }
    }

    async fn brokers(&mut self) {
        let brokers: Vec<String> = self.brokers.iter().cloned().collect();
        let mut groups = BTreeSet::new();
        let mut asked = false;
        for broker in &brokers {
            self.settings(broker).await;
            if let Ok(known) = admin::groups(&self.client, broker).await {
                asked = true;
                groups.extend(known);
            }
        }
        if !asked {
            return self.note(State::Note, "consumer groups: this user may not ask for them", None);
        }
        for group in GROUPS {
            if groups.contains(*group) {
                self.note(State::Good, format!("consumer group {group}"), None);
            } else {
                let advice = format!(
                    "mqadmin updateSubGroup -n {} -c {} -g {group}",
                    self.first_server(),
                    self.cluster
                );
                self.note(State::Note, format!("consumer group {group} does not exist"), advice);
            }
        }
    }

    async fn settings(&mut self, broker: &str) {
        let settings = match admin::broker_settings(&self.client, broker).await {
            Ok(settings) => settings,
            Err(error) => {
                let what = format!("broker {broker}: settings cannot be asked for: {error}");
                return self.note(State::Note, what, None);
            }
        };
        if settings.get("enablePropertyFilter").is_some_and(|on| on == "true") {
            self.note(State::Good, format!("broker {broker} filters by SQL-92"), None);
        } else {
            let advice = format!(
                "mqadmin updateBrokerConfig -n {} -c {} -k enablePropertyFilter -v true",
                self.first_server(),
                self.cluster,
            );
            let what = format!(
                "broker {broker} does not filter by SQL-92: consumers cannot say `temperature > 35.0`"
            );
            self.note(State::Note, what, advice);
        }
        let takes: Option<u64> = settings.get("maxMessageSize").and_then(|bytes| bytes.parse().ok());
        if let Some(takes) = takes.filter(|takes| *takes < self.config.message_bytes_max) {
            let what = format!("broker {broker} takes messages of {takes} bytes at most");
            self.note(State::Note, what, format!("write `message_bytes_max = {takes}` for this output"));
        }
    }

    async fn send(&mut self, wall_ms: Millis) {
        let topic = self.config.device_topic.clone();
        let names = NameServers::new(self.client.clone(), &self.config.name_servers);
        let route = match names.route_to_send(&topic).await {
            Ok((route, _)) => route,
            Err(error) => {
                return self.note(State::Missing, format!("no test message is sent: {error}"), None);
            }
        };
        let queue = route.write_queues().into_iter().next();
        let queue = queue.and_then(|queue| Some((route.master(&queue.broker)?.to_owned(), queue.id)));
        let Some((address, queue_id)) = queue else {
            return self.note(State::Missing, "no test message is sent: no broker takes it", None);
        };
        match self.send_to(&address, &topic, queue_id, wall_ms).await {
            Ok(_) => self.note(
                State::Good,
                format!("a test message is stored in topic {topic}, tag {TEST_TAG}, queue {queue_id}"),
                None,
            ),
            Err(error) => self.note(State::Missing, format!("the test message is not stored: {error}"), None),
        }
    }

    async fn send_to(&self, address: &str, topic: &str, queue_id: u32, wall_ms: Millis) -> Answer {
        let id = format!("check/{wall_ms}");
        let view = View {
            topic,
            key: "check",
            tag: TEST_TAG,
            id: &id,
            sharding_key: "check",
            properties: &[],
            body: b"{\"check\":true}",
        };
        let remark = |why: String| SendError::Refused {
            address: address.to_owned(),
            code: answer::MESSAGE_ILLEGAL,
            remark: why,
        };
        let message = Encoded::new(&view, usize::MAX).map_err(|why| remark(why.to_string()))?;
        let producer = Producer::new(self.client.clone(), &self.config.group);
        producer.send(&To { address, topic, queue_id, born_ms: wall_ms }, &message).await
    }

    fn update_topic(&self, topic: &str) -> String {
        options::update_topic(self.first_server(), &self.cluster, topic, QUEUES)
    }
}

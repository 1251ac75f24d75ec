//! Services as consumers of a bus: anywhere, as many as one likes, each a member of a consumer group.

use std::{fmt, str::FromStr};

use tidegate_rocketmq::{
    Consumer, Options, Seen,
    consumer::{Delivery, Event, Expression, Outcome, Settings, StartError, Subscription},
};
use tokio::time::{Duration, MissedTickBehavior};

pub mod alarm;
pub mod monitor;
mod received;
mod trouble;

use crate::clock::wall_ms;
pub use received::{Received, Shape};
use trouble::Trouble;

/// Port of a name server.
pub const NAME_SERVER_PORT: u16 = 9876;

/// Topics of a gateway's output, as they are by default.
pub const TOPICS: [&str; 2] = [crate::normalise::SINGLE_TOPIC, crate::normalise::DEVICE_TOPIC];

/// How often the group's lag is asked for.
const LAG_EVERY: Duration = Duration::from_secs(10);
/// The longest wait between two tries to join.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Where a bus is: `rocketmq://host:port,host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusUrl {
    /// The name servers, `host:port` each.
    pub name_servers: Vec<String>,
}

/// The text is no address of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write rocketmq://HOST:PORT, or several with commas between them: rocketmq://10.0.0.1:9876,10.0.0.2:9876"
)]
pub struct InvalidBusUrl;

impl FromStr for BusUrl {
    type Err = InvalidBusUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hosts = text.strip_prefix("rocketmq://").ok_or(InvalidBusUrl)?.trim_end_matches('/');
        let server = |host: &str| match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => Ok(host.to_owned()),
            None if !host.is_empty() && !host.contains('/') => Ok(format!("{host}:{NAME_SERVER_PORT}")),
            _ => Err(InvalidBusUrl),
        };
        let name_servers = hosts.split([',', ';']).map(server).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name_servers })
    }
}

/// What every service on a bus is told.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The bus.
    pub url: BusUrl,
    /// How its servers are spoken to.
    pub options: Options,
    /// The member.
    pub settings: Settings,
}

impl Plan {
    /// The subscriptions to `topics`, all with the same expression.
    #[must_use]
    pub fn subscriptions(topics: &[String], expression: &Expression) -> Vec<Subscription> {
        let to = |topic: &String| Subscription { topic: topic.clone(), expression: expression.clone() };
        topics.iter().map(to).collect()
    }

    fn topics(&self) -> Vec<String> {
        self.settings.subscriptions.iter().map(|subscription| subscription.topic.clone()).collect()
    }
}

/// What a service says, to be shown.
#[derive(Debug)]
pub enum Said {
    /// To who wants the service's results.
    Line(String),
    /// To who runs the service.
    Note(String),
}

/// What a service does with what it gets.
trait Service {
    /// Handles one message that was not seen before; what it returns is shown before the message is settled.
    fn handle(&mut self, received: &Received) -> impl Future<Output = Result<Vec<Said>, String>> + Send;
    /// Queues have come, and with them devices: looks what the members that had them have left. Called before the
    /// first message of such a queue, and before the next one when it fails.
    fn recall(&mut self) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Ok(()))
    }
    /// Says how far it is.
    fn summary(&self) -> String;
    /// How far the group is behind, when somebody wants to know.
    fn lag(&self, messages: u64, queues: usize) -> Said;
}

/// Why a service ended.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// It could not join the group.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nobody reads what it says.
    #[error(transparent)]
    Show(#[from] std::io::Error),
}

/// What a service has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handled, duplicates not among them.
    pub handled: u64,
    /// Messages that were seen before.
    pub duplicates: u64,
    /// Messages that no reading could be found in.
    pub unread: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handled, duplicates, unread } = self;
        write!(f, "{handled} messages, {duplicates} duplicates left out")?;
        if *unread > 0 { write!(f, ", {unread} without a reading") } else { Ok(()) }
    }
}

/// Joins the group; waits for a bus that is away.
async fn join(plan: &Plan, show: &mut impl FnMut(Said) -> std::io::Result<()>) -> Result<Consumer, BusError> {
    let mut wait = Duration::from_secs(1);
    let mut trouble = Trouble::default();
    loop {
        let joined =
            Consumer::start(plan.options.clone(), &plan.url.name_servers, plan.settings.clone()).await;
        match joined {
            Ok(consumer) => return Ok(consumer),
            Err(error) if error.is_passing() => {
                if let Some(news) = trouble.news(&error.to_string(), wall_ms()) {
                    show(Said::Note(format!("{news}; trying again until it is there")))?;
                }
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(JOIN_WAIT_MAX);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs `service` until `stop`, or until `count_max` messages were handled.
async fn run(
    plan: &Plan,
    service: &mut (impl Service + Send),
    count_max: Option<u64>,
    stop: impl Future<Output = ()>,
    show: &mut impl FnMut(Said) -> std::io::Result<()>,
) -> Result<Counts, BusError> {
    let mut stop = std::pin::pin!(stop);
    let mut consumer = tokio::select! {
        joined = join(plan, show) => joined?,
        () = &mut stop => return Ok(Counts::default()),
    };
    show(Said::Note(format!("group {}: joined", plan.settings.group)))?;
    let mut seen = Seen::default();
    let mut counts = Counts::default();
    let mut trouble = Trouble::default();
    let mut is_recalled = true;
    let mut lag = tokio::time::interval(LAG_EVERY);
    // The first one is not at once.
    lag.reset();
    lag.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let topics = plan.topics();
    while count_max.is_none_or(|most| counts.handled < most) {
        let event = tokio::select! {
            event = consumer.next() => event,
            () = &mut stop => break,
            _ = lag.tick() => {
                if let Ok(lag) = consumer.lag(&plan.settings.group, &topics).await {
                    show(service.lag(lag.messages, lag.queues))?;
                }
                continue;
            }
        };
        match event {
            None => break,
            Some(Event::Message(delivery)) => {
                if !is_recalled {
                    is_recalled = tokio::select! {
                        recalled = recall(service, &mut trouble, show) => recalled?,
                        () = &mut stop => break,
                    };
                }
                tokio::select! {
                    handled = handle(delivery, service, &mut seen, &mut counts, show) => handled?,
                    () = &mut stop => break,
                }
            }
            Some(Event::Taken) => is_recalled = false,
            Some(Event::Assigned { queues, members }) => {
                show(Said::Note(format!("{queues} queues are this member's, of {members} members")))?;
            }
            Some(Event::Trouble(text)) => {
                if let Some(news) = trouble.news(&text, wall_ms()) {
                    show(Said::Note(news))?;
                }
            }
            Some(Event::GivenUp(message)) => {
                let id = message.id().unwrap_or("without an id");
                show(Said::Note(format!(
                    "gave up message {id}: see the topic %DLQ%{}",
                    plan.settings.group
                )))?;
            }
        }
    }
    consumer.stop().await;
    show(Said::Note(service.summary()))?;
    Ok(counts)
}

/// Has the service look at what others have left; whether it could.
async fn recall(
    service: &mut impl Service,
    trouble: &mut Trouble,
    show: &mut impl FnMut(Said) -> std::io::Result<()>,
) -> Result<bool, BusError> {
    let Err(why) = service.recall().await else { return Ok(true) };
    if let Some(news) = trouble.news(&why, wall_ms()) {
        show(Said::Note(news))?;
    }
    Ok(false)
}

/// Handles one message. It is settled when what it has to say is shown.
async fn handle(
    delivery: Delivery,
    service: &mut impl Service,
    seen: &mut Seen,
    counts: &mut Counts,
    show: &mut impl FnMut(Said) -> std::io::Result<()>,
) -> Result<(), BusError> {
    let received = Received::of(&delivery.message, delivery.origin_topic());
    let is_first = received.uid.as_ref().is_none_or(|uid| {
        // What failed was seen, and not handled.
        delivery.failures > 0 || seen.is_first(&received.topic, received.lane(), uid)
    });
    if !is_first {
        counts.duplicates += 1;
        delivery.settle(Outcome::Done);
        return Ok(());
    }
    match service.handle(&received).await {
        Ok(said) => {
            said.into_iter().try_for_each(&mut *show)?;
            counts.handled += 1;
            counts.unread += u64::from(received.readings.is_empty());
            delivery.settle(Outcome::Done);
        }
        Err(why) => {
            show(Said::Note(why))?;
            delivery.settle(Outcome::Failed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_bus_are_read() {
        let servers = |text: &str| text.parse::<BusUrl>().map(|url| url.name_servers.join(" "));
        assert_eq!(servers("rocketmq://127.0.0.1:9876"), Ok("127.0.0.1:9876".to_owned()));
        assert_eq!(servers("rocketmq://a:1,b:2/"), Ok("a:1 b:2".to_owned()));
        assert_eq!(servers("rocketmq://bus"), Ok("bus:9876".to_owned()));
        for wrong in ["", "127.0.0.1:9876", "rocketmq://", "rocketmq://a:x", "rocketmq://a:1,", "mqtt://a:1"]
        {
            assert_eq!(servers(wrong), Err(InvalidBusUrl), "{wrong}");
        }
    }
}

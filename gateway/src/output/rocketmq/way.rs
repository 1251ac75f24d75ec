//! The way to one topic, and what stands in it.

use std::sync::Arc;

use tidegate_rocketmq::{NameServers, Queue, Route, RouteError, SendError, wire::code::answer};

use super::{
    check::QUEUES,
    lines::{Target, Topic},
    options,
};
use crate::{clock::Millis, config::RocketMqConfig};

/// A topic, and what is known of the way to it.
#[derive(Debug, Default)]
pub(super) struct Way {
    pub(super) topic: Topic,
    /// When the name servers were asked, or are to be asked again.
    pub(super) route_due_ms: Millis,
    pub(super) is_asked: bool,
    /// Why this topic takes nothing while others may: what is for it waits.
    pub(super) shut: Option<String>,
}

/// What did not go well.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// Nobody has answered: to ask again costs nobody anything.
    pub(super) is_away: bool,
    /// It stands in the way of one topic only.
    pub(super) is_of_topic: bool,
}

impl Trouble {
    pub(super) fn of_us(why: String) -> Self {
        Self { why, ..Self::default() }
    }

    pub(super) fn of_nobody_there(why: String) -> Self {
        Self { why, is_away: true, is_of_topic: false }
    }

    fn of_topic(why: String) -> Self {
        Self { why, is_away: false, is_of_topic: true }
    }
}

/// What can be done about a trouble.
#[derive(Debug)]
pub(super) struct Advice {
    name_server: String,
}

impl Advice {
    pub(super) fn new(config: &RocketMqConfig) -> Self {
        Self { name_server: config.name_servers.first().cloned().unwrap_or_default() }
    }

    /// Of a request that did not go well.
    pub(super) fn of_answer(&self, error: &SendError, topic: &str) -> Trouble {
        let SendError::Refused { code, .. } = error else {
            return Trouble::of_nobody_there(error.to_string());
        };
        match *code {
            answer::TOPIC_NOT_EXIST => self.of_missing(topic),
            answer::NO_PERMISSION => Trouble::of_topic(format!(
                "topic {topic}: {error}; the line that gives the right says: tidegate output check"
            )),
            answer::REQUEST_CODE_NOT_SUPPORTED => Trouble::of_us(format!(
                "topic {topic}: {error}; if it takes no batches write `batch = false`"
            )),
            _ => Trouble::of_us(format!("topic {topic}: {error}")),
        }
    }

    /// Of a way that was not found.
    pub(super) fn of_route(&self, error: &RouteError, topic: &str) -> Trouble {
        match error {
            RouteError::NoTopic(_) => self.of_missing(topic),
            RouteError::NoQueue(_) => Trouble::of_topic(format!("topic {topic}: {error}")),
            other => Trouble::of_nobody_there(format!("topic {topic}: {other}")),
        }
    }

    fn of_missing(&self, topic: &str) -> Trouble {
        let line = options::update_topic(&self.name_server, options::CLUSTER, topic, QUEUES);
        Trouble::of_topic(format!(
            "topic {topic} does not exist; make it: {line} (`tidegate output check` knows the cluster's name)"
        ))
    }
}

pub(super) async fn find_targets(names: &NameServers, topic: &Arc<str>) -> Result<Vec<Target>, RouteError> {
    let (route, _) = names.route_to_send(topic).await?;
    let targets = targets(&route);
    // A topic that nobody may write to is as good as none.
    if targets.is_empty() { Err(RouteError::NoQueue(Arc::clone(topic))) } else { Ok(targets) }
}

fn targets(route: &Route) -> Vec<Target> {
    let target = |queue: Queue| {
        let address = route.master(&queue.broker)?.into();
        Some(Target { queue, address })
    };
    route.write_queues().into_iter().filter_map(target).collect()
}

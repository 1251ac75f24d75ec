//! Where the queues of a topic are (`TopicRouteData` of the server).

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use thiserror::Error;

use super::json;

/// Queues of one topic over all brokers: a number out of a hundred is usual, and a list of them is made.
pub const QUEUES_MAX: usize = 16_384;
/// Brokers in one route.
pub const BROKERS_MAX: usize = 1_024;

/// Queues of a topic that a broker makes by itself when a message comes for it, as the classic clients ask for.
pub const NEW_TOPIC_QUEUES: u32 = 4;
/// The topic whose route says that brokers make topics by themselves.
pub const DEFAULT_TOPIC: &str = "TBW102";

const MASTER_ID: &str = "0";
const PERM_READ: u32 = 4;
const PERM_WRITE: u32 = 2;
const PERM_INHERIT: u32 = 1;

/// One queue of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue {
    /// Name of the broker that has it.
    pub broker: Arc<str>,
    /// Its number there.
    pub id: u32,
}

/// Where the queues of a topic are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// In the order of the classic clients: by the brokers' names.
    shares: Vec<Share>,
    brokers: BTreeMap<String, Broker>,
    /// Says which queues an ordered topic has, and in which order, whether or not their brokers are there.
    order: Vec<Queue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    broker: Arc<str>,
    read_queues: u32,
    write_queues: u32,
    perm: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Broker {
    cluster: String,
    /// By number; `0` is the master.
    addresses: BTreeMap<String, String>,
}

/// Why bytes are no route.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RouteFault {
    /// They are no JSON, or say something else.
    #[error("the route cannot be read: {0}")]
    Json(String),
    /// More than [`QUEUES_MAX`] queues, or [`BROKERS_MAX`] brokers.
    #[error("the route has too many queues or brokers")]
    TooMany,
    /// Queues that wander between brokers: this client cannot follow them.
    #[error("the topic is a static one, with queues that wander between brokers")]
    Static,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default)]
    order_topic_conf: Option<String>,
    #[serde(default)]
    queue_datas: Vec<QueueData>,
    #[serde(default)]
    broker_datas: Vec<BrokerData>,
    #[serde(default)]
    topic_queue_mapping_by_broker: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueData {
    broker_name: String,
    read_queue_nums: u32,
    write_queue_nums: u32,
    perm: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrokerData {
    #[serde(default)]
    cluster: Option<String>,
    broker_name: String,
    broker_addrs: BTreeMap<String, String>,
}

impl Route {
    /// Reads what a name server answers.
    ///
    /// # Errors
    /// [`RouteFault`].
    pub fn parse(body: &[u8]) -> Result<Self, RouteFault> {
        let data: Data = serde_json::from_slice(&json::standard(body))
            .map_err(|error| RouteFault::Json(error.to_string()))?;
        if data.topic_queue_mapping_by_broker.is_some_and(|mapping| !mapping.is_empty()) {
            return Err(RouteFault::Static);
        }
        let count = |data: &QueueData| u64::from(data.read_queue_nums.max(data.write_queue_nums));
        let queues: u64 = data.queue_datas.iter().map(count).fold(0, u64::saturating_add);
        if usize::try_from(queues).map_or(true, |queues| queues > QUEUES_MAX)
            || data.broker_datas.len() > BROKERS_MAX
            || data.queue_datas.len() > BROKERS_MAX
        {
            return Err(RouteFault::TooMany);
        }
        let share = |data: QueueData| Share {
            broker: data.broker_name.into(),
            read_queues: data.read_queue_nums,
            write_queues: data.write_queue_nums,
            perm: data.perm,
        };
        let mut shares: Vec<Share> = data.queue_datas.into_iter().map(share).collect();
        // Java compares names by UTF-16 units; names are ASCII.
        shares.sort_by(|a, b| a.broker.cmp(&b.broker));
        let broker = |data: BrokerData| {
            let cluster = data.cluster.unwrap_or_default();
            (data.broker_name, Broker { cluster, addresses: data.broker_addrs })
        };
        let brokers = data.broker_datas.into_iter().map(broker).collect();
        let order = order(data.order_topic_conf.as_deref().unwrap_or_default())?;
        Ok(Self { shares, brokers, order })
    }

    /// The queues that may be written to, in the order in which the classic clients count them: of brokers that are
    /// there with their master.
    #[must_use]
    pub fn write_queues(&self) -> Vec<Queue> {
        if !self.order.is_empty() {
            return self.order.clone();
        }
        let writable = self.shares.iter().filter(|share| share.perm & PERM_WRITE != 0);
        let there = writable.filter(|share| self.master(&share.broker).is_some());
        there.flat_map(|share| queues(&share.broker, share.write_queues)).collect()
    }

    /// The queues that may be read from, in the same order.
    #[must_use]
    pub fn read_queues(&self) -> Vec<Queue> {
        let readable = self.shares.iter().filter(|share| share.perm & PERM_READ != 0);
        readable.flat_map(|share| queues(&share.broker, share.read_queues)).collect()
    }

    /// Whether any broker lets the topic be written to at all, its master there or not.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.shares.iter().any(|share| share.perm & PERM_WRITE != 0)
    }

    /// Address of the master of `broker`.
    #[must_use]
    pub fn master(&self, broker: &str) -> Option<&str> {
        self.address(broker, MASTER_ID)
    }

    /// Address of the server `id` of `broker`.
    #[must_use]
    pub fn address(&self, broker: &str, id: &str) -> Option<&str> {
        self.brokers.get(broker)?.addresses.get(id).map(String::as_str)
    }

    /// Address of the master of `broker`, or of another of its servers while it is away.
    #[must_use]
    pub fn any_address(&self, broker: &str) -> Option<&str> {
        let addresses = &self.brokers.get(broker)?.addresses;
        addresses.get(MASTER_ID).or_else(|| addresses.values().next()).map(String::as_str)
    }

    /// The brokers' names, each with the name of its cluster.
    pub fn brokers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.brokers.iter().map(|(name, broker)| (name.as_str(), broker.cluster.as_str()))
    }

    /// What a topic that is not there yet will get, when `self` is the route of [`DEFAULT_TOPIC`]: at most four queues
    /// on each broker that makes topics by itself.
    #[must_use]
    pub fn for_new_topic(mut self) -> Self {
        self.shares.retain(|share| share.perm & PERM_INHERIT != 0);
        for share in &mut self.shares {
            share.read_queues = share.read_queues.min(NEW_TOPIC_QUEUES);
            share.write_queues = share.write_queues.min(NEW_TOPIC_QUEUES);
            share.perm &= !PERM_INHERIT;
        }
        self.order.clear();
        self
    }
}

fn queues(broker: &Arc<str>, count: u32) -> impl Iterator<Item = Queue> + use<'_> {
    (0..count).map(|id| Queue { broker: Arc::clone(broker), id })
}

/// `broker-a:8;broker-b:8`
fn order(text: &str) -> Result<Vec<Queue>, RouteFault> {
    let mut found = Vec::new();
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let bad = || RouteFault::Json(format!("\"{}\" is no broker and number", part.escape_debug()));
        let (broker, count) = part.split_once(':').ok_or_else(bad)?;
        let count: u32 = count.parse().map_err(|_| bad())?;
        if usize::try_from(count).map_or(true, |count| count > QUEUES_MAX.saturating_sub(found.len())) {
            return Err(RouteFault::TooMany);
        }
        found.extend(queues(&broker.into(), count));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.2:10911",1:"10.0.0.3:10911"},"brokerName":"b","cluster":"c"},
        {"brokerAddrs":{1:"10.0.0.4:10911"},"brokerName":"a","cluster":"c"}],"filterServerTable":{},"queueDatas":[
        {"brokerName":"b","perm":6,"readQueueNums":3,"topicSysFlag":0,"writeQueueNums":2},
        {"brokerName":"a","perm":6,"readQueueNums":1,"topicSysFlag":0,"writeQueueNums":1},
        {"brokerName":"r","perm":4,"readQueueNums":1,"topicSysFlag":0,"writeQueueNums":1}]}"#;

    fn names(queues: &[Queue]) -> Vec<String> {
        queues.iter().map(|queue| format!("{}{}", queue.broker, queue.id)).collect()
    }

    fn with_queues(count: usize) -> String {
        format!(
            r#"{{"queueDatas":[{{"brokerName":"b","perm":6,"readQueueNums":1,"writeQueueNums":{count}}}]}}"#
        )
    }

    #[test]
    fn only_queues_with_a_master_and_leave_are_written_to() {
        let route = Route::parse(OLD.as_bytes()).unwrap();
        assert_eq!(names(&route.write_queues()), ["b0", "b1"]);
        assert_eq!(names(&route.read_queues()), ["a0", "b0", "b1", "b2", "r0"]);
        assert_eq!((route.master("b"), route.master("a")), (Some("10.0.0.2:10911"), None));
        assert_eq!(
            (route.any_address("a"), route.address("b", "1")),
            (Some("10.0.0.4:10911"), Some("10.0.0.3:10911"))
        );
        assert_eq!(route.brokers().collect::<Vec<_>>(), [("a", "c"), ("b", "c")]);
        assert!(route.is_writable());
    }

    #[test]
    fn the_order_of_an_ordered_topic_goes_first() {
        let text = OLD.replacen('{', r#"{"orderTopicConf":"b:1;a:2","#, 1);
        assert_eq!(names(&Route::parse(text.as_bytes()).unwrap().write_queues()), ["b0", "a0", "a1"]);
        for bad in ["b", "b:x", "b:-1"] {
            let text = OLD.replacen('{', &format!(r#"{{"orderTopicConf":"{bad}","#), 1);
            assert!(matches!(Route::parse(text.as_bytes()), Err(RouteFault::Json(_))), "{bad}");
        }
    }

    #[test]
    fn a_new_topic_gets_four_queues_where_brokers_make_topics() {
        let text = OLD.replace(
            r#""brokerName":"b","perm":6,"readQueueNums":3,"topicSysFlag":0,"writeQueueNums":2"#,
            r#""brokerName":"b","perm":7,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8"#,
        );
        let route = Route::parse(text.as_bytes()).unwrap().for_new_topic();
        assert_eq!(names(&route.write_queues()), ["b0", "b1", "b2", "b3"]);
    }

    #[test]
    fn a_route_has_no_more_queues_and_brokers_than_the_limits() {
        assert_eq!(Route::parse(with_queues(QUEUES_MAX + 1).as_bytes()), Err(RouteFault::TooMany));
        assert!(Route::parse(with_queues(QUEUES_MAX).as_bytes()).is_ok());
        let order = OLD.replacen('{', &format!(r#"{{"orderTopicConf":"b:1;a:{QUEUES_MAX}","#), 1);
        assert_eq!(Route::parse(order.as_bytes()), Err(RouteFault::TooMany));
        let broker = |i: usize| format!(r#"{{"brokerAddrs":{{}},"brokerName":"{i}"}}"#);
        let brokers = |count: usize| {
            let all: Vec<_> = (0..count).map(broker).collect();
            format!(r#"{{"brokerDatas":[{}]}}"#, all.join(","))
        };
        assert!(Route::parse(brokers(BROKERS_MAX).as_bytes()).is_ok());
        assert_eq!(Route::parse(brokers(BROKERS_MAX + 1).as_bytes()), Err(RouteFault::TooMany));
    }

    #[test]
    fn static_topics_are_said_to_be_beyond_this_client() {
        let text = r#"{"topicQueueMappingByBroker":{"b":{}}}"#;
        assert_eq!(Route::parse(text.as_bytes()), Err(RouteFault::Static));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(route) = Route::parse(&bytes) {
                prop_assert!(route.write_queues().len() <= QUEUES_MAX);
            }
        }
    }
}

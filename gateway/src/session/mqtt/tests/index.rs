//! The subscription index against a matcher that is written as the standard says it.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

fn options(qos: QoS) -> SubscribeOptions {
    SubscribeOptions { qos, no_local: false, retain_as_published: false }
}

fn index(limits: IndexLimits, filters: &[(u64, &str)]) -> SubscriptionIndex {
    let mut index = SubscriptionIndex::new(limits);
    for (id, filter) in filters {
        index.subscribe(SubscriberId(*id), filter, options(QoS::AtLeastOnce)).unwrap();
    }
    index
}

fn ids(index: &SubscriptionIndex, topic: &str) -> Vec<u64> {
    let mut out = Vec::new();
    index.matches(topic, &mut out);
    out.iter().map(|found| found.subscriber.0).collect()
}

/// OASIS MQTT 5, 4.7, level by level.
fn naive(filter: &str, topic: &str) -> bool {
    let wild_first = filter.starts_with(['+', '#']);
    if topic.starts_with('$') && wild_first {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    for (at, level) in filter.iter().enumerate() {
        match (*level, topic.get(at)) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(other)) if level == *other => {}
            _ => return false,
        }
    }
    filter.len() == topic.len()
}

#[test]
fn the_examples_of_the_standard() {
    let filters = [
        (1, "sport/tennis/player1/#"),
        (2, "sport/#"),
        (3, "+/+"),
        (4, "/+"),
        (5, "+"),
        (6, "#"),
        (7, "$SYS/#"),
    ];
    let index = index(IndexLimits::default(), &filters);
    assert_eq!(ids(&index, "sport/tennis/player1"), [1, 2, 6]);
    assert_eq!(ids(&index, "sport/tennis/player1/score/wimbledon"), [1, 2, 6]);
    assert_eq!(ids(&index, "sport"), [2, 5, 6]);
    assert_eq!(ids(&index, "/finance"), [3, 4, 6]);
    assert_eq!(ids(&index, "$SYS/monitor/Clients"), [7]);
    assert_eq!(ids(&index, "$SYS"), [7]);
    assert_eq!(ids(&index, "温度"), [5, 6]);
}

#[test]
fn a_subscriber_is_found_once_with_the_best_of_its_subscriptions() {
    let mut index = SubscriptionIndex::default();
    let id = SubscriberId(1);
    let no_local = SubscribeOptions { qos: QoS::AtMostOnce, no_local: true, retain_as_published: true };
    assert_eq!(index.subscribe(id, "a/#", no_local), Ok(true));
    assert_eq!(index.subscribe(id, "a/+", options(QoS::AtLeastOnce)), Ok(true));
    let mut out = Vec::new();
    index.matches("a/b", &mut out);
    let best = Match { subscriber: id, qos: QoS::AtLeastOnce, no_local: false, retain_as_published: true };
    assert_eq!(out, [best]);
    assert_eq!(index.subscribe(id, "a/+", no_local), Ok(false), "an equal filter replaces the options");
    index.matches("a/b", &mut out);
    assert_eq!(out, [Match { qos: QoS::AtMostOnce, no_local: true, ..best }]);
    assert_eq!(index.len(), 2);
}

#[test]
fn every_limit_is_reached() {
    let limits =
        IndexLimits { filters_max: 3, filters_per_subscriber_max: 2, levels_max: 3, filter_bytes_max: 8 };
    let mut index = index(limits, &[(1, "a"), (1, "b"), (2, "a")]);
    let add = |index: &mut SubscriptionIndex, id, filter: &str| {
        index.subscribe(SubscriberId(id), filter, options(QoS::AtMostOnce))
    };
    assert_eq!(add(&mut index, 1, "c"), Err(IndexError::SubscriberFull));
    assert_eq!(add(&mut index, 2, "c"), Err(IndexError::Full));
    assert_eq!(add(&mut index, 1, "a"), Ok(false), "an equal filter needs no room");
    assert!(index.unsubscribe(SubscriberId(1), "a"));
    assert!(!index.unsubscribe(SubscriberId(1), "a"));
    assert_eq!(add(&mut index, 2, "c"), Ok(true));
    for filter in ["a/b/c/d", "123456789", "", "a#", "$share/g"] {
        assert_eq!(add(&mut index, 3, filter), Err(IndexError::Filter));
    }
    index.remove(SubscriberId(2));
    index.remove(SubscriberId(9));
    assert_eq!((index.len(), ids(&index, "c")), (1, vec![]));
    index.remove(SubscriberId(1));
    assert!(index.is_empty());
    assert_eq!(
        format!("{index:?}"),
        format!("{:?}", SubscriptionIndex::new(limits)),
        "nothing is left behind"
    );
}

#[test]
fn a_topic_with_many_levels_is_no_deep_recursion() {
    let index = index(IndexLimits::default(), &[(1, "#"), (2, "+/+/#")]);
    assert_eq!(ids(&index, &"/".repeat(65_535)), [1, 2]);
}

fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("a"), 3 => Just("b"), 1 => Just(""), 1 => Just("$x"), 2 => Just("+")]
}

fn filter() -> impl Strategy<Value = String> {
    (proptest::collection::vec(level(), 1..5), any::<bool>()).prop_map(|(levels, hash)| {
        let filter = levels.join("/");
        if hash {
            format!("{filter}/#")
        } else if filter.is_empty() {
            "#".into()
        } else {
            filter
        }
    })
}

fn topic() -> impl Strategy<Value = String> {
    proptest::collection::vec(level(), 1..6).prop_map(|levels| levels.join("/").replace('+', "c"))
}

#[derive(Clone, Debug)]
enum Change {
    Subscribe(u64, String),
    Unsubscribe(u64, String),
    Remove(u64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..4u64, filter()).prop_map(|(id, filter)| Change::Subscribe(id, filter)),
        2 => (0..4u64, filter()).prop_map(|(id, filter)| Change::Unsubscribe(id, filter)),
        1 => (0..4u64).prop_map(Change::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_finds_what_the_naive_matcher_finds(
        changes in proptest::collection::vec(change(), 0..40),
        topics in proptest::collection::vec(topic(), 1..10),
    ) {
        let mut index = SubscriptionIndex::default();
        let mut model: HashMap<u64, BTreeMap<String, ()>> = HashMap::new();
        for change in changes {
            match change {
                Change::Subscribe(id, filter) => {
                    let is_new = model.entry(id).or_default().insert(filter.clone(), ()).is_none();
                    prop_assert_eq!(index.subscribe(SubscriberId(id), &filter, options(QoS::AtMostOnce)), Ok(is_new));
                }
                Change::Unsubscribe(id, filter) => {
                    let existed = model.entry(id).or_default().remove(&filter).is_some();
                    prop_assert_eq!(index.unsubscribe(SubscriberId(id), &filter), existed);
                }
                Change::Remove(id) => {
                    model.remove(&id);
                    index.remove(SubscriberId(id));
                }
            }
        }
        prop_assert_eq!(index.len(), model.values().map(BTreeMap::len).sum::<usize>());
        for topic in topics.iter().filter(|topic| !topic.is_empty()) {
            let mut expected: Vec<u64> = model
                .iter()
                .filter(|(_, filters)| filters.keys().any(|filter| naive(filter, topic)))
                .map(|(id, _)| *id)
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(ids(&index, topic), expected, "{}", topic);
        }
    }
}

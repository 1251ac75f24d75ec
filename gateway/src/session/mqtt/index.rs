//! Who wants which topics.

use std::collections::HashMap;

use super::topic;
use super::uplink::{QoS, SubscribeOptions};

/// Names one subscriber in a [`SubscriptionIndex`]; whoever keeps the index hands the numbers out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub u64);

/// The bounds of a [`SubscriptionIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexLimits {
    /// Subscriptions of all subscribers together.
    pub filters_max: usize,
    /// Subscriptions of one subscriber.
    pub filters_per_subscriber_max: usize,
    /// Levels of one filter.
    pub levels_max: usize,
    /// Bytes of one filter.
    pub filter_bytes_max: usize,
}

impl Default for IndexLimits {
    fn default() -> Self {
        Self {
            filters_max: 100_000,
            filters_per_subscriber_max: 128,
            levels_max: 32,
            filter_bytes_max: 1_024,
        }
    }
}

/// A subscription was not taken into the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The index holds `filters_max` subscriptions.
    #[error("the gateway holds as many subscriptions as it may")]
    Full,
    /// The subscriber holds `filters_per_subscriber_max` subscriptions.
    #[error("the subscriber holds as many subscriptions as it may")]
    SubscriberFull,
    /// The filter is no filter, is shared, or is too long or too deep.
    #[error("not a filter")]
    Filter,
}

impl From<IndexError> for super::Refusal {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Full | IndexError::SubscriberFull => Self::QuotaExceeded,
            IndexError::Filter => Self::FilterInvalid,
        }
    }
}

/// One subscriber whose subscriptions match a topic, however many of them do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Whom to send to.
    pub subscriber: SubscriberId,
    /// The highest QoS granted among the matching subscriptions.
    pub qos: QoS,
    /// Every matching subscription asks not to get back what the subscriber sent itself.
    pub no_local: bool,
    /// A matching subscription keeps the retain flag as published.
    pub retain_as_published: bool,
}

/// Which subscribers want a topic: a tree of topic levels, bounded in all and by subscriber.
#[derive(Debug, Default)]
pub struct SubscriptionIndex {
    limits: IndexLimits,
    filters: usize,
    root: Node,
    /// Who holds which filters, so that a subscriber leaves without a search.
    subscribers: HashMap<SubscriberId, Vec<Box<str>>>,
}

/// One level of the filters that share what is in front of it.
#[derive(Debug, Default)]
struct Node {
    /// The next level by its text; `+` stands among them under its own name and is looked up apart.
    children: HashMap<Box<str>, Node>,
    /// Those whose filter ends here.
    here: Vec<(SubscriberId, SubscribeOptions)>,
    /// Those whose filter goes on with `#`.
    below: Vec<(SubscriberId, SubscribeOptions)>,
}

impl SubscriptionIndex {
    /// An empty index.
    #[must_use]
    pub fn new(limits: IndexLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Adds a subscription, or replaces the options of an equal one. True when it is new.
    ///
    /// # Errors
    /// [`IndexError`]; the index is then as before.
    pub fn subscribe(
        &mut self,
        subscriber: SubscriberId,
        filter: &str,
        options: SubscribeOptions,
    ) -> Result<bool, IndexError> {
        self.check(filter)?;
        let held = self.subscribers.get(&subscriber).map_or(&[][..], Vec::as_slice);
        let is_new = !held.iter().any(|held| **held == *filter);
        if is_new && held.len() >= self.limits.filters_per_subscriber_max {
            return Err(IndexError::SubscriberFull);
        }
        if is_new && self.filters >= self.limits.filters_max {
            return Err(IndexError::Full);
        }
        let list = self.root.grow(filter);
        match list.iter_mut().find(|(id, _)| *id == subscriber) {
            Some((_, held)) => *held = options,
            None => list.push((subscriber, options)),
        }
        if is_new {
            self.filters += 1;
            self.subscribers.entry(subscriber).or_default().push(filter.into());
        }
        Ok(is_new)
    }

    fn check(&self, filter: &str) -> Result<(), IndexError> {
        let acceptable = topic::is_filter(filter)
            && !topic::is_shared(filter)
            && filter.len() <= self.limits.filter_bytes_max
            && topic::levels(filter) <= self.limits.levels_max;
        acceptable.then_some(()).ok_or(IndexError::Filter)
    }

    /// Removes a subscription. True when there was one.
    pub fn unsubscribe(&mut self, subscriber: SubscriberId, filter: &str) -> bool {
        let Some(held) = self.subscribers.get_mut(&subscriber) else { return false };
        let Some(at) = held.iter().position(|held| **held == *filter) else { return false };
        held.swap_remove(at);
        if held.is_empty() {
            self.subscribers.remove(&subscriber);
        }
        self.root.cut(filter, subscriber);
        self.filters = self.filters.saturating_sub(1);
        true
    }

    /// Removes all subscriptions of a subscriber.
    pub fn remove(&mut self, subscriber: SubscriberId) {
        let held = self.subscribers.remove(&subscriber).unwrap_or_default();
        self.filters = self.filters.saturating_sub(held.len());
        for filter in held {
            self.root.cut(&filter, subscriber);
        }
    }

    /// Puts the subscribers of `topic` into `out`, which is cleared first: each once, in the order of their ids.
    pub fn matches(&self, topic: &str, out: &mut Vec<Match>) {
        out.clear();
        if self.filters == 0 {
            return;
        }
        // A wildcard in the first level does not match topics of the server [MQTT-4.7.2-1].
        self.root.collect(Some(topic), !topic.starts_with('$'), out);
        out.sort_by_key(|found| found.subscriber);
        out.dedup_by(|other, kept| {
            let same = other.subscriber == kept.subscriber;
            if same {
                kept.qos = kept.qos.max(other.qos);
                kept.no_local &= other.no_local;
                kept.retain_as_published |= other.retain_as_published;
            }
            same
        });
    }

    /// Subscriptions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filters
    }

    /// Whether no subscription is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters == 0
    }
}

impl Node {
    /// The list a filter's subscribers stand in, made where it is missing. As deep as the filter has levels.
    fn grow(&mut self, filter: &str) -> &mut Vec<(SubscriberId, SubscribeOptions)> {
        let mut node = self;
        for level in filter.split('/') {
            if level == "#" {
                return &mut node.below;
            }
            node = node.children.entry(level.into()).or_default();
        }
        &mut node.here
    }

    /// Takes a subscriber off a filter's list and the levels away that nobody needs any more. Recursion is bounded by
    /// the levels a filter may have.
    fn cut(&mut self, filter: &str, subscriber: SubscriberId) {
        if filter == "#" {
            remove(&mut self.below, subscriber);
            return;
        }
        let (level, rest) = split(filter);
        let Some(child) = self.children.get_mut(level) else { return };
        match rest {
            None => remove(&mut child.here, subscriber),
            Some(rest) => child.cut(rest, subscriber),
        }
        if child.is_empty() {
            self.children.remove(level);
            if self.children.is_empty() {
                self.children = HashMap::new();
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.here.is_empty() && self.below.is_empty()
    }

    /// Collects who wants `topic`, of which this node's levels are cut off; `None` is the end. `a/#` matches `a` too
    /// (4.7.1.2).
    fn collect(&self, topic: Option<&str>, wildcards: bool, out: &mut Vec<Match>) {
        if wildcards {
            out.extend(self.below.iter().map(found));
        }
        let Some(topic) = topic else {
            out.extend(self.here.iter().map(found));
            return;
        };
        let (level, rest) = split(topic);
        // A topic has no wildcards; one that did would find the filters of that name twice.
        if let Some(child) = self.children.get(level).filter(|_| level != "+") {
            child.collect(rest, true, out);
        }
        if let Some(child) = self.children.get("+").filter(|_| wildcards) {
            child.collect(rest, true, out);
        }
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(level, rest)| (level, Some(rest)))
}

fn remove(list: &mut Vec<(SubscriberId, SubscribeOptions)>, subscriber: SubscriberId) {
    list.retain(|(id, _)| *id != subscriber);
    if list.is_empty() {
        *list = Vec::new();
    }
}

fn found((subscriber, options): &(SubscriberId, SubscribeOptions)) -> Match {
    Match {
        subscriber: *subscriber,
        qos: options.qos,
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
    }
}

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
    subscribers: HashMap<SubscriberId, Vec<Box<str>>>,
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
        Ok(true)
    }

    /// Removes a subscription. True when there was one.
    pub fn unsubscribe(&mut self, subscriber: SubscriberId, filter: &str) -> bool {
        false
    }

    /// Removes all subscriptions of a subscriber.
    pub fn remove(&mut self, subscriber: SubscriberId) {}

    /// Puts the subscribers of `topic` into `out`, which is cleared first: each once, in the order of their ids.
    pub fn matches(&self, topic: &str, out: &mut Vec<Match>) {
        out.clear();
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

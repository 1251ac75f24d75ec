//! How far a group is behind.

use super::{Start, StartError, ask};
use crate::{NameServers, client::Client};

/// How far a group is behind, over all queues of its topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Messages that the group has not confirmed.
    pub messages: u64,
    /// Queues.
    pub queues: usize,
}

/// Adds up what `group` has not confirmed of `topics`. A queue in which it never was counts as confirmed.
///
/// # Errors
/// [`StartError::Route`] and [`StartError::Request`].
pub async fn group_lag(
    client: &Client,
    name_servers: &NameServers,
    group: &str,
    topics: &[String],
) -> Result<Lag, StartError> {
    let mut lag = Lag::default();
    for topic in topics {
        let route = name_servers.route(topic).await?;
        for queue in route.read_queues() {
            let Some(address) = route.master(&queue.broker) else { continue };
            let end = ask::end(client, address, topic, &queue, Start::Last).await?;
            let done = ask::committed(client, address, group, topic, &queue).await?.unwrap_or(end);
            lag.messages = lag.messages.saturating_add(end.saturating_sub(done));
            lag.queues += 1;
        }
    }
    Ok(lag)
}

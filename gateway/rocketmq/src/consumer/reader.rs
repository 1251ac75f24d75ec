//! Reads all queues of some topics, as nobody's member: for audits and tools, which leave no trace in any group.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Start, StartError,
    ask::{self, PullAs, Pulled},
};
use crate::{
    NameServers,
    client::Client,
    wire::{
        route::{Queue, Route},
        stored::Stored,
    },
};

/// The group that every broker has for tools.
pub(super) const TOOLS_GROUP: &str = "TOOLS_CONSUMER";
/// The wait behind an error.
const AGAIN: Duration = Duration::from_millis(500);

/// A running reader. It ends when it is dropped.
pub struct Reader {
    messages: mpsc::Receiver<Stored>,
    _tasks: JoinSet<()>,
}

impl Reader {
    /// Begins at one end of all queues that `topics` have at this moment. `messages_max` messages wait at most.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(
        client: &Client,
        name_servers: &NameServers,
        topics: &[String],
        start: Start,
        messages_max: usize,
    ) -> Result<Self, StartError> {
        let (sender, messages) = mpsc::channel(messages_max);
        let mut tasks = JoinSet::new();
        for topic in topics {
            let route = name_servers.route(topic).await?;
            for queue in route.read_queues() {
                let Some(address) = route.master(&queue.broker).map(str::to_owned) else { continue };
                let next = ask::end(client, &address, topic, &queue, start).await?;
                let of_queue = OfQueue {
                    client: client.clone(),
                    name_servers: name_servers.clone(),
                    topic: topic.as_str().into(),
                    queue,
                    address,
                    next,
                    sender: sender.clone(),
                };
                tasks.spawn(of_queue.run());
            }
        }
        Ok(Self { messages, _tasks: tasks })
    }

    /// The next message; of one queue they come in order.
    pub async fn next(&mut self) -> Option<Stored> {
        self.messages.recv().await
    }
}

struct OfQueue {
    client: Client,
    name_servers: NameServers,
    topic: Arc<str>,
    queue: Queue,
    address: String,
    next: u64,
    sender: mpsc::Sender<Stored>,
}

impl OfQueue {
    async fn run(mut self) {
        let pull_as =
            PullAs { group: TOOLS_GROUP, text: "*".to_owned(), kind: "TAG", version_ms: 0, is_inline: true };
        loop {
            let pulled =
                ask::pull(&self.client, &self.address, &pull_as, &self.topic, &self.queue, self.next).await;
            match pulled {
                Ok(Pulled::Messages(messages, next)) => {
                    for message in messages {
                        if self.sender.send(message).await.is_err() {
                            return;
                        }
                    }
                    self.next = next;
                }
                Ok(Pulled::Nothing(next)) => self.next = self.next.max(next),
                Ok(Pulled::Moved(next)) => self.next = next,
                // The broker is away, or somewhere else by now.
                Err(_) => {
                    tokio::time::sleep(AGAIN).await;
                    let route = self.name_servers.route(&self.topic).await;
                    let address = |route: Route| route.master(&self.queue.broker).map(str::to_owned);
                    if let Some(address) = route.ok().and_then(address) {
                        self.address = address;
                    }
                }
            }
        }
    }
}

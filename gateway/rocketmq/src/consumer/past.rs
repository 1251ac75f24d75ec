//! What a topic holds, read once, as nobody's member: for who keeps a state in a topic.

use std::collections::HashMap;

use super::{
    Start, StartError,
    ask::{self, PullAs, Pulled},
    reader::TOOLS_GROUP,
};
use crate::{
    NameServers,
    client::Client,
    wire::{route::Queue, stored::Stored},
};

/// How far a topic was read.
#[derive(Debug, Default)]
pub struct Past {
    next: HashMap<Queue, u64>,
}

impl Past {
    /// Hands on what came to `topic` since the last time, at first all that is there; of one queue in order.
    ///
    /// # Errors
    /// [`StartError`]; what was handed on is not handed on again.
    pub async fn read(
        &mut self,
        client: &Client,
        name_servers: &NameServers,
        topic: &str,
        mut each: impl FnMut(&Stored),
    ) -> Result<(), StartError> {
        let route = name_servers.route(topic).await?;
        for queue in route.read_queues() {
            let Some(address) = route.master(&queue.broker) else { continue };
            let first = ask::end(client, address, topic, &queue, Start::First).await?;
            let end = ask::end(client, address, topic, &queue, Start::Last).await?;
            let next = self.next.entry(queue.clone()).or_default();
            *next = first.max(*next);
            // A topic that was made anew begins at zero.
            if *next > end {
                *next = first;
            }
            let pull_as = PullAs {
                group: TOOLS_GROUP,
                text: "*".to_owned(),
                kind: "TAG",
                version_ms: 0,
                is_inline: true,
            };
            while *next < end {
                let pulled = ask::pull(client, address, &pull_as, topic, &queue, *next).await?;
                let (Pulled::Nothing(after) | Pulled::Moved(after) | Pulled::Messages(_, after)) = pulled;
                if let Pulled::Messages(messages, _) = &pulled {
                    messages.iter().for_each(&mut each);
                } else if after <= *next {
                    break;
                }
                *next = after;
            }
        }
        Ok(())
    }
}

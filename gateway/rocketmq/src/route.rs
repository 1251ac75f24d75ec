//! Which brokers have which queues: asked of the name servers, one after the other until one knows.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use thiserror::Error;

use crate::{
    client::Client,
    connection::RequestError,
    wire::{
        Command,
        code::{answer, request, word},
        route::{DEFAULT_TOPIC, Route, RouteFault},
    },
};

/// Name servers of one list.
pub const NAME_SERVERS_MAX: usize = 16;

/// Why there is no route.
#[derive(Clone, Debug, Error)]
pub enum RouteError {
    /// No name server knows the topic.
    #[error("topic {0} does not exist")]
    NoTopic(Arc<str>),
    /// Of the topic's queues none can be written to: its brokers are away, or it is not to be written to.
    #[error("no broker that is there takes messages of topic {0}")]
    NoQueue(Arc<str>),
    /// A name server says no.
    #[error("name server {address}: {word} (code {code}): {remark}", word = word(*code))]
    Refused {
        /// Which.
        address: String,
        /// Its answer.
        code: i32,
        /// What it says beside.
        remark: String,
    },
    /// No name server answers; this is what became of the last.
    #[error("no name server answers: {0}")]
    Request(#[from] RequestError),
    /// A name server answers something else.
    #[error(transparent)]
    Fault(#[from] RouteFault),
    /// There are none.
    #[error("no name server is configured")]
    None,
}

/// The name servers. Clones share the memory of which one answered last.
#[derive(Clone)]
pub struct NameServers {
    client: Client,
    addresses: Arc<[String]>,
    current: Arc<AtomicUsize>,
}

impl NameServers {
    /// Those at `addresses` (`host:port`), of which [`NAME_SERVERS_MAX`] are asked.
    #[must_use]
    pub fn new(client: Client, addresses: &[String]) -> Self {
        let addresses = addresses.iter().take(NAME_SERVERS_MAX).cloned().collect();
        Self { client, addresses, current: Arc::default() }
    }

    /// Where the queues of `topic` are.
    ///
    /// Each name server has its own knowledge, and a fresh one has none until the brokers have told it: that one does not
    /// know a topic is believed when none knows it.
    ///
    /// # Errors
    /// [`RouteError`].
    pub async fn route(&self, topic: &str) -> Result<Route, RouteError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut unknown = false;
        let mut last = RouteError::None;
        for turn in 0..self.addresses.len() {
            let at = first.wrapping_add(turn).checked_rem(self.addresses.len()).unwrap_or(0);
            let Some(address) = self.addresses.get(at) else { continue };
            match self.ask(address, topic).await {
                Ok(route) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(route);
                }
                Err(RouteError::NoTopic(_)) => unknown = true,
                Err(error) => last = error,
            }
        }
        Err(if unknown { RouteError::NoTopic(topic.into()) } else { last })
    }

    /// As [`Self::route`], and for a topic that is not there yet the route it will get, where brokers make topics by
    /// themselves when a message comes. The flag says that it was so.
    ///
    /// # Errors
    /// [`RouteError`].
    pub async fn route_to_send(&self, topic: &str) -> Result<(Route, bool), RouteError> {
        match self.route(topic).await {
            Err(RouteError::NoTopic(topic)) => match self.route(DEFAULT_TOPIC).await {
                Ok(route) => Ok((route.for_new_topic(), true)),
                Err(RouteError::NoTopic(_)) => Err(RouteError::NoTopic(topic)),
                Err(other) => Err(other),
            },
            found => found.map(|route| (route, false)),
        }
    }

    async fn ask(&self, address: &str, topic: &str) -> Result<Route, RouteError> {
        let command = Command::request(request::GET_ROUTEINFO_BY_TOPIC)
            .with("topic", topic)
            .with("acceptStandardJsonOnly", true);
        let answered = self.client.request(address, command).await?;
        match answered.code {
            answer::SUCCESS => Ok(Route::parse(&answered.body)?),
            answer::TOPIC_NOT_EXIST => Err(RouteError::NoTopic(topic.into())),
            code => Err(RouteError::Refused {
                address: address.to_owned(),
                code,
                remark: answered.remark.unwrap_or_default(),
            }),
        }
    }
}

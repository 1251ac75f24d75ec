//! A member of a consumer group: which queues are ours, what is in them, how far we came.
//!
//! ```text
//! member ── says every half minute that it lives, and what it subscribes to
//!        ── shares the queues with the other members when they come and go
//!        └─ queue ── one task a queue: lock, pull, hand on one message after the other, note how far
//! ```
//!
//! A queue's messages are handed on one by one, and the next only when the last is settled, so what one device sent
//! stays in order. With [`Order::Queue`] the broker locks each queue for one member at a time: order then holds while
//! members come and go, too.

use std::{path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    NameServers, RouteError,
    client::{Client, Incoming, Options},
    connection::RequestError,
    wire::stored::Stored,
};

mod allocate;
mod ask;
mod lag;
mod member;
mod offsets;
pub mod past;
mod queue;
pub mod reader;
mod subscription;

pub use lag::{Lag, group_lag};
pub use offsets::{OFFSETS_BYTES_MAX, Offsets};
pub use subscription::{Expression, Subscription};

/// Messages of all queues that wait for the program.
const EVENTS_MAX: usize = 64;
/// Requests of brokers that wait to be looked at.
const INCOMING_MAX: usize = 64;
/// How long a leaving member may take to note how far it came.
const LEAVE: Duration = Duration::from_secs(10);

/// Who gets which messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// The members of a group share the messages.
    #[default]
    Share,
    /// Every member gets every message, and remembers by itself how far it came.
    Broadcast,
}

impl Model {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Share => "CLUSTERING",
            Self::Broadcast => "BROADCASTING",
        }
    }
}

/// Where a group begins that was never there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message there is.
    First,
    /// With what comes next.
    #[default]
    Last,
}

/// What a failure does to the messages behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// They wait: the message is tried again in place, and after `retry_max` times goes to the dead letters.
    #[default]
    Queue,
    /// They go on: the broker brings the message again later (10 s, 30 s, 1 min, …), and after `retry_max` times puts
    /// it to the dead letters.
    None,
}

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Names the member; no two may have the same.
    pub client_id: String,
    /// The group.
    pub group: String,
    /// What it reads: the same for all members of the group.
    pub subscriptions: Vec<Subscription>,
    /// Who gets which messages.
    pub model: Model,
    /// Where a new group begins.
    pub start: Start,
    /// What a failure does.
    pub order: Order,
    /// Tries of one message after the first.
    pub retry_max: u32,
    /// The wait in front of the first try in place; it doubles up to 30 s.
    pub retry_wait: Duration,
    /// With [`Model::Broadcast`]: the file that remembers how far this member came; none: it begins anew.
    pub offsets: Option<PathBuf>,
    /// When the subscription was made, Unix milliseconds: the broker takes the newest.
    pub version_ms: u64,
}

impl Settings {
    /// A member that shares, in order, with 16 tries.
    #[must_use]
    pub fn new(client_id: &str, group: &str, subscriptions: Vec<Subscription>) -> Self {
        Self {
            client_id: client_id.to_owned(),
            group: group.to_owned(),
            subscriptions,
            model: Model::default(),
            start: Start::default(),
            order: Order::default(),
            retry_max: 16,
            retry_wait: Duration::from_secs(1),
            offsets: None,
            version_ms: 0,
        }
    }

    fn has_locks(&self) -> bool {
        self.model == Model::Share && self.order == Order::Queue
    }

    fn has_retry_topic(&self) -> bool {
        self.model == Model::Share && self.order == Order::None
    }
}

/// Why a member cannot begin.
#[derive(Clone, Debug, Error)]
pub enum StartError {
    /// A topic is not there, or no name server is.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A broker cannot be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The broker does not filter, or not by this.
    #[error("the broker refuses the filter: {0}")]
    Filter(String),
    /// Others in the group do something else: one of the two would miss messages.
    #[error("group {group} does something else already: {difference}")]
    Different {
        /// The group.
        group: String,
        /// What.
        difference: String,
    },
    /// The group is not there, and the broker makes none by itself.
    #[error(
        "group {group} does not exist; make it: mqadmin updateSubGroup -n {name_server} -c {cluster} -g {group}"
    )]
    NoGroup {
        /// The group.
        group: String,
        /// A name server, for who makes the group.
        name_server: String,
        /// The brokers' cluster.
        cluster: String,
    },
    /// A broker says no.
    #[error("broker {address}: {said}")]
    Refused {
        /// Which.
        address: String,
        /// What it says.
        said: String,
    },
    /// The remembered offsets cannot be read.
    #[error("{path}: {reason}")]
    Offsets {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl StartError {
    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Request(_)
                | Self::Route(RouteError::Request(_) | RouteError::NoQueue(_) | RouteError::NoTopic(_))
                | Self::Refused { .. }
                | Self::NoGroup { .. }
        )
    }
}

/// What a member has to say.
#[derive(Debug)]
pub enum Event {
    /// A message, to be settled.
    Message(Delivery),
    /// One more queue is ours from here on: who had it before has settled all that it got, or is gone. It comes before
    /// the queue's first message, so who keeps a state by queue looks now at what others left.
    Taken,
    /// Which queues are to be ours, and how many members there are: news for people.
    Assigned {
        /// Queues of all topics that this member reads.
        queues: usize,
        /// Members of the group, this one counted.
        members: usize,
    },
    /// Something does not go well; it is tried again.
    Trouble(String),
    /// A message was given up: it is with the dead letters, or, with [`Model::Broadcast`], nowhere.
    GivenUp(Arc<Stored>),
}

/// A message, with what it is settled by.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Stored>,
    /// The topic that was subscribed to; that of a message that comes again is another.
    pub topic: String,
    /// How many times it failed before.
    pub failures: u32,
    settle: oneshot::Sender<Outcome>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is handled: it does not come again.
    Done,
    /// It could not be handled: see [`Order`].
    Failed,
}

impl Delivery {
    /// The topic it was sent to: what comes again comes from a topic of the group's.
    #[must_use]
    pub fn origin_topic(&self) -> &str {
        self.message.property("RETRY_TOPIC").unwrap_or(&self.message.topic)
    }

    /// Says what became of it. Without this it is handed on again.
    pub fn settle(self, outcome: Outcome) {
        // A member that left has no use for it.
        let _told = self.settle.send(outcome).is_ok();
    }
}

/// A member of a group. It leaves when it is dropped, or better with [`Consumer::stop`].
pub struct Consumer {
    events: mpsc::Receiver<Event>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    client: Client,
    name_servers: NameServers,
}

impl Consumer {
    /// Joins the group: the topics are there, the broker takes the filter, and nobody in the group does something
    /// else.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        options: Options,
        name_servers: &[String],
        settings: Settings,
    ) -> Result<Self, StartError> {
        let (incoming_sender, incoming) = mpsc::channel::<Incoming>(INCOMING_MAX);
        let client = Client::with_incoming(options, Some(incoming_sender));
        let first = name_servers.first().cloned().unwrap_or_default();
        let name_servers = NameServers::new(client.clone(), name_servers);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (stop, stopping) = watch::channel(false);
        let member =
            member::Member::join(settings, client.clone(), name_servers.clone(), sender, stopping).await?;
        member.check_group(&first).await?;
        let member = member.begin().await;
        let task = tokio::spawn(member.run(incoming));
        Ok(Self { events, stop, task, client, name_servers })
    }

    /// The next event; none when the member has left.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// How far the group is behind.
    ///
    /// # Errors
    /// [`StartError::Route`] and [`StartError::Request`].
    pub async fn lag(&self, group: &str, topics: &[String]) -> Result<Lag, StartError> {
        group_lag(&self.client, &self.name_servers, group, topics).await
    }

    /// The connections of this member, to send over them too.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The name servers it asks.
    #[must_use]
    pub fn name_servers(&self) -> &NameServers {
        &self.name_servers
    }

    /// Leaves: notes how far it came, gives the queues back, says goodbye. What is not settled comes again, here or
    /// elsewhere.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let left = async {
            // What waits here keeps the queues from ending.
            while self.events.recv().await.is_some() {}
            // It has nothing to return.
            let _ended = (&mut self.task).await.is_ok();
        };
        let _in_time = tokio::time::timeout(LEAVE, left).await.is_ok();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

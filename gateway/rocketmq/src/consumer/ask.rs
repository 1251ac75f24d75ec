//! The requests of a consumer, each with its answer. Nothing is tried again here.

use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::{Settings, Start, StartError, Subscription, subscription::Connections};
use crate::{
    client::Client,
    connection::RequestError,
    wire::{
        Command,
        code::{answer, request, word},
        json as java,
        route::Queue,
        stored::{Stored, decode_all},
    },
};

/// Messages that one pull brings, at most.
const PULL_MESSAGES_MAX: u32 = 64;
/// How long the broker holds a pull that finds nothing.
const HOLD: Duration = Duration::from_secs(15);
/// How much longer it may take: it looks so often what it has held for long enough (`PullRequestHoldService`).
const HOLD_LATE: Duration = Duration::from_secs(5);
/// `PullSysFlag` of the server: hold the request while there is nothing.
const HOLD_FLAG: u32 = 1 << 1;
/// And: the subscription stands in the request.
const INLINE_FLAG: u32 = 1 << 2;

/// Why a request did not go well.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("broker {address}: {word} (code {code}): {remark}", word = word(*code))]
    Refused { address: String, code: i32, remark: String },
    #[error("the answer of broker {0} cannot be read")]
    Unreadable(String),
}

impl AskError {
    pub(super) fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Request(_) | Self::Unreadable(_) => None,
        }
    }
}

impl From<AskError> for StartError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Request(error) => Self::Request(error),
            AskError::Refused { address, code, remark } => {
                Self::Refused { address, said: format!("{} (code {code}): {remark}", word(code)) }
            }
            AskError::Unreadable(address) => Self::Refused { address, said: "unreadable".to_owned() },
        }
    }
}

/// What a pull brings.
#[derive(Debug)]
pub(super) enum Pulled {
    /// Messages, and the offset behind them.
    Messages(Vec<Stored>, u64),
    /// Nothing that is wanted up to this offset.
    Nothing(u64),
    /// The offset is none of the queue's; this one is.
    Moved(u64),
}

/// Asks, and takes any answer but success for an error.
pub(super) async fn ask(
    client: &Client,
    address: &str,
    command: Command,
    within: Duration,
) -> Result<Command, AskError> {
    let answered = client.request_within(address, command, within).await?;
    if answered.code == answer::SUCCESS { Ok(answered) } else { Err(refused(address, answered)) }
}

fn refused(address: &str, answered: Command) -> AskError {
    let remark = answered.remark.unwrap_or_default();
    AskError::Refused { address: address.to_owned(), code: answered.code, remark }
}

/// The time that a client gives an answer.
fn usual(client: &Client) -> Duration {
    client.options().timeout
}

fn number(address: &str, answered: &Command, name: &str) -> Result<u64, AskError> {
    answered.number(name).ok_or_else(|| AskError::Unreadable(address.to_owned()))
}

/// Says that this member lives.
pub(super) async fn heartbeat(client: &Client, address: &str, settings: &Settings) -> Result<(), AskError> {
    let command = Command::request(request::HEART_BEAT).with_body(settings.heartbeat().to_string());
    ask(client, address, command, usual(client)).await.map(drop)
}

/// Says goodbye.
pub(super) async fn unregister(client: &Client, address: &str, settings: &Settings) -> Result<(), AskError> {
    let command = Command::request(request::UNREGISTER_CLIENT)
        .with("clientID", &settings.client_id)
        .with("consumerGroup", &settings.group);
    ask(client, address, command, usual(client)).await.map(drop)
}

/// Has the broker try a subscription.
pub(super) async fn check(
    client: &Client,
    address: &str,
    settings: &Settings,
    subscription: &Subscription,
) -> Result<(), AskError> {
    let body = json!({
        "clientId": settings.client_id,
        "group": settings.group,
        "subscriptionData": settings.data(subscription),
    });
    let command = Command::request(request::CHECK_CLIENT_CONFIG).with_body(body.to_string());
    ask(client, address, command, usual(client)).await.map(drop)
}

/// Who is in the group, with what they subscribe to; nobody when the broker knows of none.
pub(super) async fn connections(
    client: &Client,
    address: &str,
    group: &str,
) -> Result<Connections, AskError> {
    let command = Command::request(request::GET_CONSUMER_CONNECTION_LIST).with("consumerGroup", group);
    match ask(client, address, command, usual(client)).await {
        Ok(answered) => read(address, &answered),
        Err(error) if error.code() == Some(answer::CONSUMER_NOT_ONLINE) => Ok(Connections::default()),
        Err(error) => Err(error),
    }
}

/// The members of the group, by name.
pub(super) async fn members(client: &Client, address: &str, group: &str) -> Result<Vec<String>, AskError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Members {
        #[serde(default)]
        consumer_id_list: Vec<String>,
    }
    let command = Command::request(request::GET_CONSUMER_LIST_BY_GROUP).with("consumerGroup", group);
    let answered = ask(client, address, command, usual(client)).await?;
    let Members { mut consumer_id_list } = read(address, &answered)?;
    consumer_id_list.sort();
    Ok(consumer_id_list)
}

fn read<T: serde::de::DeserializeOwned>(address: &str, answered: &Command) -> Result<T, AskError> {
    serde_json::from_slice(&java::standard(&answered.body))
        .map_err(|_| AskError::Unreadable(address.to_owned()))
}

/// As whom, and with which subscription, messages are pulled.
pub(super) struct PullAs<'p> {
    pub(super) group: &'p str,
    pub(super) text: String,
    pub(super) kind: &'p str,
    pub(super) version_ms: u64,
    /// The broker takes the subscription from the request; else from the heartbeat.
    pub(super) is_inline: bool,
}

/// Messages of a queue from `offset` on. Where there are none, the broker waits a while.
pub(super) async fn pull(
    client: &Client,
    address: &str,
    pull_as: &PullAs<'_>,
    topic: &str,
    queue: &Queue,
    offset: u64,
) -> Result<Pulled, AskError> {
    let flags = HOLD_FLAG | if pull_as.is_inline { INLINE_FLAG } else { 0 };
    let command = Command::request(request::PULL_MESSAGE)
        .with("consumerGroup", pull_as.group)
        .with("topic", topic)
        .with("queueId", queue.id)
        .with("queueOffset", offset)
        .with("maxMsgNums", PULL_MESSAGES_MAX)
        .with("sysFlag", flags)
        .with("commitOffset", 0)
        .with("suspendTimeoutMillis", HOLD.as_millis())
        .with("subscription", &pull_as.text)
        .with("subVersion", pull_as.version_ms)
        .with("expressionType", pull_as.kind);
    let answered = client.request_within(address, command, HOLD + HOLD_LATE + usual(client)).await?;
    let next = || number(address, &answered, "nextBeginOffset");
    match answered.code {
        answer::SUCCESS => {
            let messages = decode_all(answered.body.clone());
            Ok(Pulled::Messages(messages.map_err(|_| AskError::Unreadable(address.to_owned()))?, next()?))
        }
        answer::PULL_NOT_FOUND | answer::PULL_RETRY_IMMEDIATELY => Ok(Pulled::Nothing(next()?)),
        answer::PULL_OFFSET_MOVED => Ok(Pulled::Moved(next()?)),
        _ => Err(refused(address, answered)),
    }
}

/// How far the group came in a queue; none when it was never there.
pub(super) async fn committed(
    client: &Client,
    address: &str,
    group: &str,
    topic: &str,
    queue: &Queue,
) -> Result<Option<u64>, AskError> {
    let command = Command::request(request::QUERY_CONSUMER_OFFSET)
        .with("consumerGroup", group)
        .with("topic", topic)
        .with("queueId", queue.id)
        .with("setZeroIfNotFound", false);
    match ask(client, address, command, usual(client)).await {
        Ok(answered) => number(address, &answered, "offset").map(Some),
        Err(error) if error.code() == Some(answer::QUERY_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Notes how far the group came.
pub(super) async fn commit(
    client: &Client,
    address: &str,
    group: &str,
    topic: &str,
    queue: &Queue,
    offset: u64,
) -> Result<(), AskError> {
    let command = Command::request(request::UPDATE_CONSUMER_OFFSET)
        .with("consumerGroup", group)
        .with("topic", topic)
        .with("queueId", queue.id)
        .with("commitOffset", offset);
    ask(client, address, command, usual(client)).await.map(drop)
}

/// The end of a queue to begin at.
pub(super) async fn end(
    client: &Client,
    address: &str,
    topic: &str,
    queue: &Queue,
    start: Start,
) -> Result<u64, AskError> {
    let code = match start {
        Start::First => request::GET_MIN_OFFSET,
        Start::Last => request::GET_MAX_OFFSET,
    };
    let command = Command::request(code).with("topic", topic).with("queueId", queue.id);
    let answered = ask(client, address, command, usual(client)).await?;
    // A queue without a message has no first: the server says -1.
    Ok(answered.number::<i64>("offset").and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0))
}

/// The broker brings the message again, or puts it to the dead letters.
pub(super) async fn send_back(
    client: &Client,
    address: &str,
    settings: &Settings,
    message: &Stored,
    dead: bool,
) -> Result<(), AskError> {
    let command = Command::request(request::CONSUMER_SEND_MSG_BACK)
        .with("offset", message.log_offset)
        .with("group", &settings.group)
        // 0: the broker chooses by how often it came; below: to the dead letters at once.
        .with("delayLevel", if dead { -1 } else { 0 })
        .with("originMsgId", message.id().unwrap_or_default())
        .with("originTopic", &message.topic)
        .with("unitMode", false)
        .with("maxReconsumeTimes", settings.retry_max);
    ask(client, address, command, usual(client)).await.map(drop)
}

fn queues(settings: &Settings, topic: &str, queue: &Queue) -> Value {
    json!({
        "consumerGroup": settings.group,
        "clientId": settings.client_id,
        "onlyThisBroker": false,
        "mqSet": [{ "topic": topic, "brokerName": &*queue.broker, "queueId": queue.id }],
    })
}

/// Whether the queue is ours for the next minute.
pub(super) async fn lock(
    client: &Client,
    address: &str,
    settings: &Settings,
    topic: &str,
    queue: &Queue,
) -> Result<bool, AskError> {
    #[derive(Deserialize)]
    struct Locked {
        #[serde(rename = "lockOKMQSet", default)]
        locked: Vec<Value>,
    }
    let body = queues(settings, topic, queue).to_string();
    let command = Command::request(request::LOCK_BATCH_MQ).with_body(body);
    let answered = ask(client, address, command, usual(client)).await?;
    let Locked { locked } = read(address, &answered)?;
    Ok(!locked.is_empty())
}

/// Gives a queue back.
pub(super) async fn unlock(
    client: &Client,
    address: &str,
    settings: &Settings,
    topic: &str,
    queue: &Queue,
) -> Result<(), AskError> {
    let body = queues(settings, topic, queue).to_string();
    let command = Command::request(request::UNLOCK_BATCH_MQ).with_body(body);
    ask(client, address, command, usual(client)).await.map(drop)
}

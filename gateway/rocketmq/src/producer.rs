//! One message or a batch into one queue of one broker.
//!
//! A batch has one answer and one queue: within it the broker keeps the order. Two requests that are on their way at
//! once may be carried out in either order, so whoever needs one waits for the first answer.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::{
    client::Client,
    connection::RequestError,
    wire::{
        Command,
        code::{answer, request, word},
        message::Encoded,
        route::{DEFAULT_TOPIC, NEW_TOPIC_QUEUES},
    },
};

/// Sends messages.
#[derive(Clone)]
pub struct Producer {
    client: Client,
    group: Arc<str>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct To<'t> {
    /// The broker's address.
    pub address: &'t str,
    /// The topic.
    pub topic: &'t str,
    /// Number of the queue at this broker.
    pub queue_id: u32,
    /// When it is sent, by our clock, Unix milliseconds.
    pub born_ms: u64,
}

/// What the broker answers when all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Place of the (first) message in its queue, if the broker said it.
    pub queue_offset: Option<u64>,
}

/// What becomes of a request.
pub type Answer = Result<Sent, SendError>;

/// Why a request did not go well.
#[derive(Clone, Debug, Error)]
pub enum SendError {
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The broker says no, or yes without the safety it is told to give.
    #[error("broker {address}: {word} (code {code}): {remark}", word = word(*code))]
    Refused {
        /// Which.
        address: String,
        /// Its answer.
        code: i32,
        /// What it says beside.
        remark: String,
    },
}

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes: send it again later, with a fresh look at where the queues are.
    Again,
    /// The message, or one of the batch, will never be taken.
    Never,
}

impl SendError {
    /// What to do.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Refused { code: answer::MESSAGE_ILLEGAL, .. } | Self::Request(RequestError::Frame(_)) => {
                Verdict::Never
            }
            // A batch that is too large makes the broker throw an exception, whose text is all it says.
            Self::Refused { code: answer::SYSTEM_ERROR, remark, .. } if remark.contains("size exceeded") => {
                Verdict::Never
            }
            Self::Refused { .. } | Self::Request(_) => Verdict::Again,
        }
    }
}

impl Producer {
    /// Sends over `client`'s connections, as a member of `group`.
    #[must_use]
    pub fn new(client: Client, group: &str) -> Self {
        Self { client, group: group.into() }
    }

    /// Sends one message. What is returned borrows nothing.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&self, to: &To<'_>, message: &Encoded) -> impl Future<Output = Answer> + Send + use<> {
        let command = self.command(request::SEND_MESSAGE_V2, to, message.properties());
        self.ask(to, command.with_body(Bytes::copy_from_slice(message.body())))
    }

    /// Sends `batch`, a run of [`Encoded::bytes`], all for this one queue: all of them are stored, in order, or none.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_batch(&self, to: &To<'_>, batch: Bytes) -> impl Future<Output = Answer> + Send + use<> {
        let command = self.command(request::SEND_BATCH_MESSAGE, to, "WAIT\u{1}true\u{2}").with("m", true);
        self.ask(to, command.with_body(batch))
    }

    /// `SendMessageRequestHeaderV2` of the server says what the letters are.
    fn command(&self, code: i32, to: &To<'_>, properties: &str) -> Command {
        Command::request(code)
            .with("a", &self.group)
            .with("b", to.topic)
            .with("c", DEFAULT_TOPIC)
            .with("d", NEW_TOPIC_QUEUES)
            .with("e", to.queue_id)
            .with("f", 0)
            .with("g", to.born_ms)
            .with("h", 0)
            .with("i", properties)
            .with("j", 0)
            .with("k", false)
    }

    fn ask(&self, to: &To<'_>, command: Command) -> impl Future<Output = Answer> + Send + use<> {
        let (client, address) = (self.client.clone(), to.address.to_owned());
        async move {
            let answered = client.request(&address, command).await?;
            if answered.code == answer::SUCCESS {
                return Ok(Sent { queue_offset: answered.number("queueOffset") });
            }
            let remark = answered.remark.unwrap_or_default();
            Err(SendError::Refused { address, code: answered.code, remark })
        }
    }

    /// Says that this producer lives, and finds out whether the broker at `address` does.
    ///
    /// # Errors
    /// [`SendError::Request`]; what a broker answers does not matter.
    pub async fn greet(&self, address: &str) -> Result<(), SendError> {
        let body = serde_json::json!({
            "clientID": &*self.group,
            "producerDataSet": [{ "groupName": &*self.group }],
            "consumerDataSet": [],
        });
        let command = Command::request(request::HEART_BEAT).with_body(body.to_string());
        self.client.request(address, command).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i32, remark: &str) -> Verdict {
        SendError::Refused { address: "a".to_owned(), code, remark: remark.to_owned() }.verdict()
    }

    #[test]
    fn only_what_is_illegal_is_given_up() {
        assert_eq!(refused(answer::MESSAGE_ILLEGAL, ""), Verdict::Never);
        assert_eq!(
            refused(answer::SYSTEM_ERROR, "java.lang.RuntimeException: message body size exceeded"),
            Verdict::Never
        );
        for code in [
            answer::SYSTEM_ERROR,
            answer::SYSTEM_BUSY,
            answer::FLUSH_DISK_TIMEOUT,
            answer::FLUSH_SLAVE_TIMEOUT,
            answer::SLAVE_NOT_AVAILABLE,
            answer::SERVICE_NOT_AVAILABLE,
            answer::NO_PERMISSION,
            answer::TOPIC_NOT_EXIST,
            answer::INVALID_PARAMETER,
            answer::REQUEST_CODE_NOT_SUPPORTED,
            answer::GO_AWAY,
            -77,
        ] {
            assert_eq!(refused(code, ""), Verdict::Again, "{code}");
        }
        let timeout = RequestError::Timeout { address: "a".into(), waited_ms: 1 };
        assert_eq!(SendError::Request(timeout).verdict(), Verdict::Again);
    }
}

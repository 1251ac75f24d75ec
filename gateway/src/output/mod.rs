//! The destinations: what a bridge hands records to.

use std::{io, time::Duration};

use thiserror::Error;
use tidegate_protocol::{DeviceId, Lane};

use crate::{
    normalise::{Input, Message, Routes},
    spool::{CursorError, Kind, Lost, ReadError, Record},
};

pub mod file;
pub mod mqtt;
pub mod rocketmq;

mod dead;
mod json;
mod line;

/// A run of records on their way to an output.
///
/// Each is normalised when its turn comes: readings are large, and those of a whole batch would not stay in the
/// processor's cache until they are written.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a> {
    /// The lane they are of.
    pub lane: Lane,
    /// What the payloads mean.
    pub routes: &'a Routes,
    /// The records, each with whose it is.
    pub records: &'a [(Record<'a>, DeviceId)],
}

impl Items<'_> {
    /// One after the other, in order.
    pub fn each(&self, mut take: impl FnMut(&Item<'_>)) {
        for (record, device) in self.records {
            if record.envelope.kind == Kind::Gap {
                take(&Item { record, part: Part::Gap });
                continue;
            }
            // Routes may have changed since the record was stored: then it goes out as it was sent.
            match self.routes.normalise(&Input::of_record(record, device)) {
                Ok(message) => take(&Item { record, part: Part::Message(&message) }),
                Err(_) => take(&Item { record, part: Part::Unroutable }),
            }
        }
    }
}

/// A record on its way to an output.
#[derive(Debug)]
pub struct Item<'a> {
    /// As the spool holds it.
    pub record: &'a Record<'a>,
    /// What it says.
    pub part: Part<'a>,
}

/// What a record says to an output.
#[derive(Debug)]
pub enum Part<'a> {
    /// A message, normalised.
    Message(&'a Message<'a>),
    /// A message that the routes of today refuse: it is passed on as sent.
    Unroutable,
    /// In place of records that are gone.
    Gap,
}

/// Why an output could not take or confirm something. The bridge tries again.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The destination refuses or is away.
    #[error("the output failed: {0}")]
    Io(#[from] io::Error),
    /// The spool cannot be read.
    #[error("the spool cannot be read: {0}")]
    Spool(#[source] ReadError),
    /// The destination does not take what it has been given; the output keeps that, in order, and tries again at the
    /// next call. Nothing has to be delivered again.
    #[error("{why}")]
    Holding {
        /// What did not go well.
        why: String,
        /// Nobody has answered, so that to try again soon costs nobody anything.
        is_away: bool,
    },
    /// A part of what was delivered waits in the output for what only its owner can mend; the rest is safe at the
    /// destination, and more may be delivered.
    #[error("{0}")]
    Partly(String),
    /// The gateway stops.
    #[error("the gateway is stopping")]
    Stopping,
    /// The cursor cannot be written.
    #[error("the cursor cannot be moved: {0}")]
    Cursor(#[source] CursorError),
}

impl OutputError {
    /// Whether the destination is not there, so that to try again soon costs nobody anything.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Holding { is_away, .. } => *is_away,
            Self::Io(error) => error.kind() == io::ErrorKind::NotConnected,
            Self::Partly(_) => true,
            Self::Spool(_) | Self::Stopping | Self::Cursor(_) => false,
        }
    }
}

/// Where a bridge delivers to.
#[derive(Debug)]
pub enum Output {
    /// JSON lines on this machine.
    File(file::FileOutput),
    /// Another MQTT broker.
    Mqtt(Box<mqtt::MqttOutput>),
    /// A RocketMQ cluster.
    RocketMq(Box<rocketmq::RocketMqOutput>),
}

impl Output {
    /// Hands over a batch, in order, with what is missing in front of it. On an error none of it counts as
    /// delivered.
    ///
    /// # Errors
    /// [`OutputError`].
    pub async fn deliver(&mut self, items: Items<'_>, lost: Option<Lost>) -> Result<(), OutputError> {
        match self {
            Self::File(file) => Ok(file.deliver(items, lost)?),
            Self::Mqtt(mqtt) => mqtt.deliver(items, lost).await,
            Self::RocketMq(bus) => bus.deliver(items, lost).await,
        }
    }

    /// Returns when all that was delivered is safe at the destination.
    ///
    /// # Errors
    /// [`OutputError`]; what was delivered since the last confirmation has to be delivered again, behind
    /// [`Output::begin_anew`].
    pub async fn confirm(&mut self) -> Result<(), OutputError> {
        match self {
            Self::File(file) => Ok(file.confirm()?),
            Self::Mqtt(mqtt) => mqtt.confirm().await,
            Self::RocketMq(bus) => bus.confirm().await,
        }
    }

    /// Prepares for what is delivered again after a failed confirmation.
    ///
    /// # Errors
    /// [`OutputError`].
    pub async fn begin_anew(&mut self) -> Result<(), OutputError> {
        match self {
            Self::File(file) => Ok(file.begin_anew()?),
            Self::Mqtt(mqtt) => {
                mqtt.begin_anew();
                Ok(())
            }
            Self::RocketMq(bus) => {
                bus.begin_anew();
                Ok(())
            }
        }
    }

    /// Sees to what was delivered and is not confirmed yet, for as long as nobody delivers or confirms. Returns when
    /// something does not go well, else never; it may be dropped at any time.
    pub async fn drive(&mut self) {
        match self {
            Self::File(_) | Self::Mqtt(_) => std::future::pending().await,
            Self::RocketMq(bus) => bus.drive().await,
        }
    }

    /// Whether something did not go well and waits for the next try.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        match self {
            Self::File(_) | Self::Mqtt(_) => false,
            Self::RocketMq(bus) => bus.is_troubled(),
        }
    }

    /// How long `lane` has to wait before the next batch, because the owner limits the rate.
    #[must_use]
    pub fn pause(&self, lane: Lane) -> Duration {
        match self {
            Self::File(_) | Self::Mqtt(_) => Duration::ZERO,
            Self::RocketMq(bus) => bus.pause(lane),
        }
    }

    /// Messages that the destination has refused for good since the start, and that lie elsewhere.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        match self {
            Self::File(_) => 0,
            Self::Mqtt(mqtt) => mqtt.dead_letters(),
            Self::RocketMq(bus) => bus.dead_letters(),
        }
    }
}

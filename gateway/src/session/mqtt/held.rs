//! A publish that the spool cannot take for the moment.

use bytestring::ByteString;

use super::Refusal;
use super::reason::{Reason, Violation};
use super::uplink::{Publish, Uplink, Version};
use super::{Millis, Session, State};

/// How long after a try the next one is due without a sign of the disk.
const RETRY_MS: Millis = 1_000;

/// The publish and when to offer it again.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) publish: Publish,
    pub(super) retry_ms: Millis,
    pub(super) is_due: bool,
}

impl Session {
    /// Answers [`Uplink::Publish`] when the spool has no room for the moment: gives the publish back.
    ///
    /// It is copied and offered again after the next [`handle_durable`](Self::handle_durable), or after a second;
    /// until it is answered otherwise nothing more is decoded and [`wants_bytes`](Self::wants_bytes) is false. After
    /// `shed_ms_max` it counts as refused with [`Refusal::QuotaExceeded`]: MQTT 5 is told so, 3.1.1 ends.
    /// For QoS 0 nobody waits: it is dropped.
    pub fn handle_busy(&mut self, publish: &Publish, now_ms: Millis) {
        if !matches!(self.state, State::Active) || !publish.receipt.is_owed() {
            self.receipts.cut(publish.receipt);
            return self.finish_drained();
        }
        self.clock.held_ms.get_or_insert(now_ms);
        let retry_ms = now_ms.saturating_add(RETRY_MS);
        self.held = Some(Box::new(Held { publish: publish.detached(), retry_ms, is_due: false }));
    }

    /// The held publish, if it should be tried again.
    pub(super) fn poll_held(&mut self) -> Option<Uplink> {
        let held = self.held.take_if(|held| held.is_due)?;
        Some(Uplink::Publish(held.publish))
    }

    /// There may be room.
    pub(super) fn retry_held(&mut self) {
        if let Some(held) = &mut self.held {
            held.is_due = true;
        }
    }

    /// Lets go of the held publish and what is owed for it: the client still has it.
    pub(super) fn drop_held(&mut self) {
        if let Some(held) = self.held.take() {
            self.receipts.cut(held.publish.receipt);
        }
    }

    /// The held publish was tried for `shed_ms_max`.
    pub(super) fn give_up_held(&mut self) {
        let Some(held) = self.held.take() else { return };
        match self.version {
            Some(Version::V5) => self.handle_stored(held.publish.receipt, Err(Refusal::QuotaExceeded)),
            _ => {
                self.receipts.cut(held.publish.receipt);
                self.fail(Violation::new(Reason::QuotaExceeded, "a publish could not be stored"));
            }
        }
    }
}

impl Publish {
    /// A copy that does not keep what was read in memory.
    pub(super) fn detached(&self) -> Self {
        Self {
            receipt: self.receipt,
            topic: ByteString::from(&*self.topic),
            payload: bytes::Bytes::copy_from_slice(&self.payload),
            qos: self.qos,
            dup: self.dup,
            retain: self.retain,
            properties: self.properties.as_ref().map(|properties| Box::new(properties.detached())),
        }
    }
}

//! The one path of a reading: authorise, normalise, append, wait, acknowledge. Read this first.
//!
//! Whatever the protocol, what a device sends comes through [`Pipeline::accept`]. It returns the
//! [`Position`] of the record in the spool, which is not yet a promise: the session keeps it in its line of
//! receipts and acknowledges when the spool's watermark, a [`Durable`](crate::spool::Durable), covers it.
//!
//! **Invariant:** no other code appends a device's payload to the spool.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use thiserror::Error;
use tidegate_protocol::Topic;

use crate::{
    auth::{Denied, Login, Registry, Role},
    clock::Clock,
    normalise::{Input, Known, Reject, Routes},
    session,
    spool::{Envelope, Kind, Lane, Position, Protocol, Spool, Uid, Unavailable},
};

/// Bytes of a refused payload that its reject record keeps.
const REJECT_PAYLOAD_BYTES_MAX: usize = 256;

/// What a device sent, as its session decoded it.
#[derive(Debug)]
pub struct Publish<'a> {
    /// The topic as sent.
    pub topic: &'a str,
    /// The payload as sent.
    pub payload: &'a [u8],
    /// The protocol that brought it.
    pub protocol: Protocol,
    /// 0 or 1; best effort is 0.
    pub qos: u8,
    /// The sender's word for the payload's format.
    pub content_type: Option<&'a str>,
    /// MQTT 5 user properties, in order.
    pub user_properties: Vec<(std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
}

/// What the gateway itself has to say of a device.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The topic, as if the device had sent it.
    pub topic: &'a str,
    /// JSON.
    pub payload: &'a [u8],
    /// User properties, in order.
    pub properties: &'a [(&'a str, &'a str)],
}

/// Why a publish was not stored as a message.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The sender may not publish there.
    #[error("not authorised: {0}")]
    Denied(#[from] Denied),
    /// The payload can never be accepted.
    #[error("rejected: {0}")]
    Reject(#[from] Reject),
    /// There is no room, or no working disk, for the moment.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Refusal {
    /// The cause as sessions tell it, whatever their protocol.
    #[must_use]
    pub const fn told(&self) -> session::Refusal {
        match self {
            Self::Denied(_) => session::Refusal::NotAuthorized,
            Self::Reject(_) => session::Refusal::PayloadFormatInvalid,
            Self::Unavailable(Unavailable::TooLarge) => session::Refusal::BeyondLimit,
            Self::Unavailable(Unavailable::Full | Unavailable::RejectsFull) => {
                session::Refusal::QuotaExceeded
            }
            Self::Unavailable(Unavailable::Busy) => session::Refusal::Busy,
            Self::Unavailable(Unavailable::Poisoned | Unavailable::Closed) => session::Refusal::Unavailable,
        }
    }
}

/// What came through the pipeline since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages handed to the spool.
    pub accepted: AtomicU64,
    /// Publishes to a topic that their sender has no right to.
    pub denied: AtomicU64,
    /// Payloads that can never be accepted.
    pub rejected: AtomicU64,
    /// Publishes refused for lack of room.
    pub shed: AtomicU64,
}

/// The way from a decoded publish to a record of the spool. Shared by all workers.
#[derive(Debug)]
pub struct Pipeline {
    spool: Spool,
    registry: Registry,
    routes: Arc<ArcSwap<Routes>>,
    clock: Clock,
    boot: u32,
    counters: Counters,
}

impl Pipeline {
    /// `boot` is the gateway's boot counter, from [`Registry::begin_boot`].
    #[must_use]
    pub fn new(
        spool: Spool,
        registry: Registry,
        routes: Arc<ArcSwap<Routes>>,
        clock: Clock,
        boot: u32,
    ) -> Self {
        Self { spool, registry, routes, clock, boot, counters: Counters::default() }
    }

    /// Authorises, normalises and appends; the record is durable once the watermark covers its position. Whoever
    /// has handed over all that it has calls [`Spool::release`].
    ///
    /// # Errors
    /// [`Refusal`]. Each is counted, and a device's last one is kept for `tidegate device show`.
    pub fn accept(&self, login: &Login, publish: &Publish<'_>) -> Result<Position, Refusal> {
        let outcome = self.try_accept(login, publish);
        if let Err(refusal) = &outcome {
            self.note(login, publish, refusal);
        }
        outcome
    }

    fn try_accept(&self, login: &Login, publish: &Publish<'_>) -> Result<Position, Refusal> {
        let granted = login.may_publish(publish.topic)?;
        // The record keeps this time: who normalises it again comes to the same readings.
        let ts_gw = self.clock.wall_ms();
        let input = Input {
            device: &granted.device,
            topic: publish.topic,
            payload: publish.payload,
            content_type: publish.content_type,
            ts_gw,
            known: Known::default(),
        };
        let routes = self.routes.load();
        let message = routes.normalise(&input)?;
        if message.device != granted.device && login.role != Role::Client {
            // The route or the payload names another device, for which only a client may speak.
            return Err(Denied::Foreign.into());
        }
        if message.device != login.device && self.registry.is_disabled(&message.device) {
            return Err(Denied::Foreign.into());
        }
        let mut envelope = self.envelope(&granted.device, publish, ts_gw);
        if let Some((boot, sequence)) = message.numbers() {
            envelope.uid = Uid::Device { boot, sequence };
        }
        envelope.ts_dev = message.ts();
        let shape = message.known().shape.code();
        let position = self.spool.append_held(message.lane, &envelope, shape, publish.payload)?;
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(position)
    }

    /// Stores that a payload was refused, for a protocol that cannot say so: the device gets its
    /// acknowledgement and does not repeat for ever what can never be accepted.
    ///
    /// # Errors
    /// [`Unavailable`] when not even this finds room.
    pub fn store_reject(
        &self,
        login: &Login,
        publish: &Publish<'_>,
        reject: &Reject,
    ) -> Result<Position, Unavailable> {
        let mut envelope = self.envelope(&login.device, publish, self.clock.wall_ms());
        envelope.kind = Kind::Reject;
        envelope.user_properties = vec![("reason".into(), reject.code().into())];
        let kept = publish.payload.get(..REJECT_PAYLOAD_BYTES_MAX).unwrap_or(publish.payload);
        self.spool.append_held(Lane::Telemetry, &envelope, 0, kept)
    }

    /// Stores in the `telemetry` lane, where they would have been, that the readings `from` to `to` of `boot` are gone:
    /// the device had no room for them any more.
    ///
    /// # Errors
    /// [`Unavailable`] says why nothing was stored.
    pub fn accept_gap(
        &self,
        login: &Login,
        boot: u32,
        (from, to): (u64, u64),
    ) -> Result<Position, Unavailable> {
        let payload = session::serial::gap_payload(login.device.as_str(), boot, from, to);
        let publish = Publish {
            topic: "gap",
            payload: payload.as_bytes(),
            protocol: Protocol::Serial,
            qos: 1,
            content_type: Some("application/json"),
            user_properties: Vec::new(),
        };
        let mut envelope = self.envelope(&login.device, &publish, self.clock.wall_ms());
        envelope.kind = Kind::Gap;
        envelope.uid = Uid::Device { boot, sequence: to };
        self.spool.append_held(Lane::Telemetry, &envelope, 0, payload.as_bytes())
    }

    /// Whether a protocol whose topics are paths has one for `topic`: a word of the gateway's own, or a route.
    #[must_use]
    pub fn has_path(&self, topic: &str) -> bool {
        match Topic::parse(topic) {
            Ok(Topic::Own(_) | Topic::Named { path: "", .. }) => true,
            Ok(Topic::Named { .. } | Topic::Other) => self.routes.load().has(topic),
            Ok(Topic::Command { .. }) | Err(_) => false,
        }
    }

    /// Appends what the gateway itself has to say of `device` to the `event` lane: outputs and subscribers get it as they
    /// get what the device sends.
    ///
    /// # Errors
    /// [`Unavailable`] says why nothing was stored.
    pub fn accept_own(
        &self,
        device: &tidegate_protocol::DeviceId,
        own: &Own<'_>,
    ) -> Result<Position, Unavailable> {
        let publish = Publish {
            topic: own.topic,
            payload: own.payload,
            protocol: Protocol::Gateway,
            qos: 1,
            content_type: Some("application/json"),
            user_properties: own
                .properties
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        };
        let envelope = self.envelope(device, &publish, self.clock.wall_ms());
        self.spool.append(Lane::Event, &envelope, 0, own.payload)
    }

    fn envelope<'a>(
        &self,
        device: &'a tidegate_protocol::DeviceId,
        publish: &'a Publish<'_>,
        ts_gw: u64,
    ) -> Envelope<'a> {
        let mono_gw = self.clock.now_ms();
        let user_properties = publish
            .user_properties
            .iter()
            .map(|(name, value)| ((&**name).into(), (&**value).into()))
            .collect();
        Envelope {
            kind: Kind::Message,
            device: device.as_str(),
            uid: Uid::Gateway,
            topic: publish.topic,
            protocol: publish.protocol,
            qos: publish.qos,
            content_type: publish.content_type,
            user_properties,
            ts_dev: None,
            uptime_dev: None,
            ts_gw,
            mono_gw,
            boot_gw: self.boot,
            clock: self.clock.quality(mono_gw),
        }
    }

    /// Counts and keeps what a session refused by itself.
    pub fn note_refused(&self, login: &Login, topic: &str, reason: &dyn std::fmt::Display) {
        self.counters.rejected.fetch_add(1, Ordering::Relaxed);
        let reason = format!("{reason} (topic {})", topic.escape_debug());
        self.registry.note_reject(&login.device, &reason, self.clock.wall_ms());
    }

    /// Counts a publish that nobody tries again, dropped for want of room. Refusals that are not for want of room were
    /// counted when they were made.
    pub fn note_shed(&self, login: &Login, topic: &str, refusal: &Refusal) {
        if let Refusal::Unavailable(Unavailable::Busy) = refusal {
            self.counters.shed.fetch_add(1, Ordering::Relaxed);
            let reason = format!("{refusal} (topic {})", topic.escape_debug());
            self.registry.note_reject(&login.device, &reason, self.clock.wall_ms());
        }
    }

    fn note(&self, login: &Login, publish: &Publish<'_>, refusal: &Refusal) {
        let counter = match refusal {
            Refusal::Denied(_) => &self.counters.denied,
            Refusal::Reject(_) => &self.counters.rejected,
            // The session tries again as soon as the writer has taken what is pending.
            Refusal::Unavailable(Unavailable::Busy) => return,
            Refusal::Unavailable(_) => &self.counters.shed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let reason = format!("{refusal} (topic {})", publish.topic.escape_debug());
        self.registry.note_reject(&login.device, &reason, self.clock.wall_ms());
        tracing::debug!(device = %login.device, topic = publish.topic, %refusal, "refused");
    }

    /// What came through since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The spool that all of it goes to.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }
}

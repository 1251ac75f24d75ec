//! The only place that names `rumqttd`: its router, embedded, and links to it.
//!
//! The router is one thread of rumqttd's own, started by `Broker::new`; none of rumqttd's listeners is. What is known
//! of it and held to here:
//!
//! - It ends in a panic when a topic begins with a character that is not ASCII: all topics come from
//!   [`message::topic`](super::message::topic).
//! - When it has ended, a link's calls may go on to succeed: only a message that came back shows that it lives.
//! - Opening a link waits for the router without a limit, so that all links are opened at once, beside a router that
//!   has had nothing to do yet.
//! - A link that was given two hundred messages gets no more before it says that it is ready.
//! - It keeps something for each topic and each link's name for ever: both are limited.
//! - Its thread ends by a panic only; a router that hangs stays where it is and is not used any more.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use bytes::Bytes;
use rumqttd::{
    Broker, Notification, RouterConfig, SegmentConfig,
    local::{LinkError, LinkRx, LinkTx},
    protocol::{Packet, Publish},
};

use super::{Config, message::TOPIC_ROOT};
use crate::clock::is_over;

/// Links for services. A service beyond them reads the spool.
pub(super) const LINKS_MAX: usize = 8;

/// Topic of the heartbeat.
const BEAT_TOPIC: &str = "core/beat";

/// Bytes of a segment of the heartbeat's log, the least that the router takes.
const BEAT_SEGMENT_BYTES: usize = 1024;

/// Messages that the router hands to a link in one go.
const FORWARD_MAX: u64 = 100;

/// The router is gone, or does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Dead {
    /// It could not be started.
    #[error("the router cannot be started")]
    Start,
    /// Its thread has ended.
    #[error("the router's thread has ended")]
    Ended,
    /// It does not answer.
    #[error("the router does not give the heartbeat back")]
    Silent,
}

impl From<LinkError> for Dead {
    fn from(_: LinkError) -> Self {
        // The links know one cause only.
        Self::Ended
    }
}

/// Starts a router and opens all links to it.
pub(super) fn build(config: &Config) -> Result<(Publisher, Vec<Link>), Dead> {
    if !may_start() {
        return Err(Dead::Start);
    }
    // The router's constructors panic on what they do not like, and when the system gives them no thread.
    catch_unwind(AssertUnwindSafe(|| try_build(config))).unwrap_or(Err(Dead::Start))
}

/// Tests take the core away, to see that nothing that a device is promised depends on it.
#[cfg(feature = "fault-injection")]
fn may_start() -> bool {
    std::env::var_os("TIDEGATE_TEST_NO_CORE").is_none_or(|value| value != "1")
}

#[cfg(not(feature = "fault-injection"))]
const fn may_start() -> bool {
    true
}

fn try_build(config: &Config) -> Result<(Publisher, Vec<Link>), Dead> {
    let beats = SegmentConfig { max_segment_size: BEAT_SEGMENT_BYTES, max_segment_count: 2 };
    let mut router = RouterConfig {
        // Made with the router, so that one that cannot be is known here and not from its thread.
        initialized_filters: Some(vec![format!("{TOPIC_ROOT}/#"), BEAT_TOPIC.to_owned()]),
        custom_segment: Some(HashMap::from([(BEAT_TOPIC.to_owned(), beats)])),
        ..RouterConfig::default()
    };
    router.max_connections = LINKS_MAX + 1;
    router.max_outgoing_packet_count = FORWARD_MAX;
    router.max_segment_size = config.segment_bytes_max;
    router.max_segment_count = config.segments_max;
    let broker = Broker::new(rumqttd::Config { router, ..rumqttd::Config::default() });
    let (tx, rx) = broker.link("feeder")?;
    let mut publisher = Publisher { tx, rx, beat: 0 };
    publisher.tx.try_subscribe(BEAT_TOPIC)?;
    let mut links = Vec::with_capacity(LINKS_MAX);
    for number in 0..LINKS_MAX {
        let (tx, rx) = broker.link(&format!("service-{number}"))?;
        links.push(Link { tx, rx });
    }
    Ok((publisher, links))
}

/// The feeder's link.
pub(super) struct Publisher {
    tx: LinkTx,
    rx: LinkRx,
    beat: u64,
}

impl Publisher {
    /// Hands over a round, and a heartbeat behind it; returns when the heartbeat has come back, and the router has
    /// therefore taken all of the round.
    pub(super) fn publish(
        &mut self,
        round: impl IntoIterator<Item = (Bytes, Bytes)>,
        until: Instant,
    ) -> Result<(), Dead> {
        {
            let mut buffer = self.tx.buffer();
            for (topic, payload) in round {
                buffer.push_back(Packet::Publish(Publish::new(topic, payload, false), None));
            }
        }
        self.beat += 1;
        // The one call that tells the router: it takes all that is in the buffer. When it fails the buffer still holds
        // all of it; such a router is given up with its links.
        self.tx.try_publish(BEAT_TOPIC, self.beat.to_le_bytes().to_vec())?;
        while let Some(payload) = receive(&mut self.rx, until)? {
            if *payload == self.beat.to_le_bytes() {
                return Ok(());
            }
        }
        Err(Dead::Silent)
    }

    /// Has the router's thread panic.
    #[cfg(any(test, feature = "fault-injection"))]
    pub(super) fn kill(&mut self) {
        let topic = Bytes::from_static("温度".as_bytes());
        // That it is taken says nothing, which is what the heartbeat is for.
        let _taken = self.tx.try_publish(topic, Vec::new()).is_ok();
    }
}

/// A service's link.
pub(super) struct Link {
    tx: LinkTx,
    rx: LinkRx,
}

impl Link {
    /// Asks for all records from here on.
    pub(super) fn subscribe(&mut self) -> Result<(), Dead> {
        self.tx.try_subscribe(format!("{TOPIC_ROOT}/#"))?;
        Ok(())
    }

    /// The next message; none when there is none until then.
    pub(super) fn receive(&mut self, until: Instant) -> Result<Option<Bytes>, Dead> {
        receive(&mut self.rx, until)
    }

    /// Ends the subscription and throws away what is left of it, so that the link can serve another.
    pub(super) fn reset(&mut self, until: Instant) -> Result<(), Dead> {
        self.tx.try_unsubscribe(format!("{TOPIC_ROOT}/#"))?;
        loop {
            match next(&mut self.rx, until)?.ok_or(Dead::Silent)? {
                // The acknowledgement of SUBSCRIBE may not have been taken yet.
                Notification::DeviceAck(ack) if matches!(ack.clone().into(), Packet::UnsubAck(..)) => {
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}

/// The payload of the next message that comes until then.
fn receive(rx: &mut LinkRx, until: Instant) -> Result<Option<Bytes>, Dead> {
    loop {
        match next(rx, until)? {
            Some(Notification::Forward(forward)) => return Ok(Some(forward.publish.payload)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// The next thing that the router says until then.
fn next(rx: &mut LinkRx, until: Instant) -> Result<Option<Notification>, Dead> {
    loop {
        match rx.recv_deadline(until) {
            // It goes on only when it is told that there is room again, once each time.
            Ok(Some(Notification::Unschedule)) => rx.ready()?,
            Ok(Some(notification)) => return Ok(Some(notification)),
            // A wake behind which nothing was left.
            Ok(None) => {}
            Err(LinkError::RecvTimeout(_)) if is_over(until) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

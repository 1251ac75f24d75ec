use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::encode;
use super::limits::Limits;
use super::uplink::{QoS, Version};

/// A message for the client. Borrowed: the session copies what it has to send.
#[derive(Clone, Copy, Debug)]
pub struct Downlink<'a> {
    /// The topic as the subscriber sees it; at most 65,535 bytes, else the message is dropped.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The lower of the message's QoS and what the subscription was granted.
    pub qos: QoS,
    /// The payload's media type; MQTT 5 only, as all that follows.
    pub content_type: Option<&'a str>,
    /// Where the sender expects an answer.
    pub response_topic: Option<&'a str>,
    /// What the answer is to carry.
    pub correlation_data: Option<&'a [u8]>,
    /// Seconds for which the message is still of use.
    pub expiry_s: Option<NonZeroU32>,
    /// The payload is UTF-8.
    pub is_text: bool,
    /// Names and values in order.
    pub user_properties: &'a [(&'a str, &'a str)],
}

impl<'a> Downlink<'a> {
    /// A message with a topic, a payload and nothing else.
    #[must_use]
    pub const fn new(topic: &'a str, payload: &'a [u8], qos: QoS) -> Self {
        Self {
            topic,
            payload,
            qos,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            expiry_s: None,
            is_text: false,
            user_properties: &[],
        }
    }
}

/// The client does not take its messages fast enough: what waits for it reached a limit and its session ends with
/// reason 0x97.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber is too slow")]
pub struct Slow;

/// What is on its way to the client, and what waits.
#[derive(Debug)]
pub(super) struct Downlinks {
    /// Packet ids the client has not acknowledged.
    inflight: VecDeque<u16>,
    /// How many of these there may be.
    window: u16,
    /// The last packet id given out.
    last_id: u16,
    /// Frames that wait for room in the window, with the place of their packet id.
    pending: VecDeque<Frame>,
    pending_bytes: usize,
    /// The client's Maximum Packet Size.
    frame_bytes_max: u32,
}

#[derive(Debug)]
struct Frame {
    bytes: Box<[u8]>,
    packet_id_at: Option<usize>,
}

impl Default for Downlinks {
    fn default() -> Self {
        Self {
            inflight: VecDeque::new(),
            window: 1,
            last_id: 0,
            pending: VecDeque::new(),
            pending_bytes: 0,
            frame_bytes_max: u32::MAX,
        }
    }
}

impl Downlinks {
    /// Takes the client's Receive Maximum and Maximum Packet Size.
    pub(super) fn open(&mut self, limits: &Limits, receive_max: Option<u16>, frame_bytes_max: Option<u32>) {
        self.window = limits.downlink_inflight_max.min(receive_max.unwrap_or(u16::MAX)).max(1);
        self.frame_bytes_max = frame_bytes_max.unwrap_or(u32::MAX);
    }

    /// Whether the client takes a frame of this size.
    pub(super) fn fits(&self, frame_bytes: usize) -> bool {
        u32::try_from(frame_bytes).is_ok_and(|frame_bytes| frame_bytes <= self.frame_bytes_max)
    }

    /// Writes the message into `outgoing`, or keeps it until the window has room. One the client cannot take is
    /// dropped as if it were delivered [MQTT-3.1.2-25].
    pub(super) fn push(
        &mut self,
        outgoing: &mut Vec<u8>,
        version: Version,
        downlink: &Downlink<'_>,
        limits: &Limits,
    ) -> Result<(), Slow> {
        let Some(size) = encode::publish_size(version, downlink).filter(|size| self.fits(size.frame_bytes))
        else {
            return Ok(());
        };
        let waiting = outgoing.len().saturating_add(self.pending_bytes);
        if waiting > 0 && waiting.saturating_add(size.frame_bytes) > limits.downlink_bytes_max {
            return Err(Slow);
        }
        let owed = downlink.qos != QoS::AtMostOnce;
        if self.pending.is_empty() && (!owed || self.has_room()) {
            let packet_id_at = encode::publish(outgoing, version, downlink, size);
            self.number(outgoing, packet_id_at);
            return Ok(());
        }
        if self.pending.len() >= limits.downlink_pending_max {
            return Err(Slow);
        }
        let mut bytes = Vec::new();
        let packet_id_at = encode::publish(&mut bytes, version, downlink, size);
        self.pending_bytes = self.pending_bytes.saturating_add(bytes.len());
        self.pending.push_back(Frame { bytes: bytes.into_boxed_slice(), packet_id_at });
        Ok(())
    }

    /// The client acknowledged a packet id: what waited for the room goes out. An id that is not in flight, such as
    /// one of a session the client remembers, changes nothing.
    pub(super) fn acknowledge(&mut self, outgoing: &mut Vec<u8>, packet_id: u16) {
        let Some(index) = self.inflight.iter().position(|&id| id == packet_id) else { return };
        self.inflight.remove(index);
        while self.pending.front().is_some_and(|frame| frame.packet_id_at.is_none() || self.has_room()) {
            let Some(frame) = self.pending.pop_front() else { break };
            self.pending_bytes = self.pending_bytes.saturating_sub(frame.bytes.len());
            let start = outgoing.len();
            outgoing.extend_from_slice(&frame.bytes);
            self.number(outgoing, frame.packet_id_at.map(|at| start + at));
        }
        if self.inflight.is_empty() && self.pending.is_empty() {
            self.shrink();
        }
    }

    /// Messages that the client has not acknowledged or that wait.
    pub(super) fn len(&self) -> usize {
        self.inflight.len() + self.pending.len()
    }

    /// Heap bytes held.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.inflight.capacity() * 2 + self.pending.capacity() * size_of::<Frame>() + self.pending_bytes
    }

    /// Ids are searched one by one and never all in use.
    fn has_room(&self) -> bool {
        self.inflight.len() < usize::from(self.window.min(u16::MAX - 1))
    }

    /// Gives the frame in `outgoing` a packet id that is not in use [MQTT-2.2.1-3].
    fn number(&mut self, outgoing: &mut [u8], packet_id_at: Option<usize>) {
        let Some(field) =
            packet_id_at.and_then(|at| outgoing.get_mut(at..)).and_then(<[u8]>::first_chunk_mut)
        else {
            return;
        };
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.inflight.contains(&self.last_id) {
                break;
            }
        }
        *field = self.last_id.to_be_bytes();
        self.inflight.push_back(self.last_id);
    }

    fn shrink(&mut self) {
        self.inflight = VecDeque::new();
        self.pending = VecDeque::new();
    }
}

//! The CoAP endpoint (RFC 7252) of one UDP socket, with all its peers, without I/O and without a clock.
//!
//! The owner of the socket drives it:
//!
//! - each datagram goes to [`handle_datagram`](Endpoint::handle_datagram). A [`Request`] that it gives is answered with
//!   [`handle_stored`](Endpoint::handle_stored) or [`handle_refused`](Endpoint::handle_refused), or, where that takes
//!   longer than the call, first with [`handle_waiting`](Endpoint::handle_waiting);
//! - [`handle_durable`](Endpoint::handle_durable) when the spool confirmed more, and
//!   [`handle_timeout`](Endpoint::handle_timeout) a few times a second;
//! - after a batch of any of these, [`poll_transmit`](Endpoint::poll_transmit), and what it gave is sent.
//!
//! A request of which nothing is known passes `strict`, then the codec, then `request`, which reads its options; `known`
//! has those of senders that proved who they are, as [`handle_proved`](Endpoint::handle_proved) says, and they are not
//! read again. Nothing is kept for a peer that has not proved who it is: its request is answered from itself, with no
//! more than three times its bytes. From then on `exchanges` knows it until it is answered, `duplicates` for as long as
//! it may be repeated, and `separates` the answer, where it needs a message of its own.

mod answer;
mod codec;
mod counts;
mod duplicates;
mod encode;
mod exchanges;
pub mod fuzz;
mod known;
mod limits;
mod outbox;
mod random;
mod request;
mod separates;
mod strict;
#[cfg(test)]
mod tests;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

pub use answer::code_text;
pub use counts::Counts;
pub use limits::Limits;
pub use outbox::Outbox;
pub use request::{Options, Receipt, Request};

use super::Refusal;
use crate::{
    recent::hash_with,
    spool::{Durable, Lane, Offset, Position},
};
use answer::Answer;
use codec::Body;
use duplicates::{Duplicates, Print, Repeated};
use encode::Responding;
use exchanges::{Exchange, Exchanges};
use known::Known;
use random::Random;
use request::{Asked, Sent, Wish};
use separates::{Due, Separates};
use strict::{Fault, Head, Kind};

/// Milliseconds on the monotonic clock of the process.
pub type Millis = u64;

/// One UDP socket's CoAP state.
#[derive(Debug)]
pub struct Endpoint {
    limits: Arc<Limits>,
    /// Without it nobody can make two requests that look alike.
    secret: u64,
    /// What is added to a request's message id to name an answer's message. A client does not use an id twice in its
    /// lifetime, so neither does the gateway.
    id_offset: u16,
    random: Random,
    duplicates: Duplicates,
    exchanges: Exchanges,
    separates: Separates,
    known: Known,
    out: Outbox,
    counts: Counts,
    is_draining: bool,
}

impl Endpoint {
    /// An endpoint without peers. `secret` is a number that nobody can guess.
    #[must_use]
    pub fn new(limits: Arc<Limits>, secret: u64) -> Self {
        let [low, high, ..] = secret.rotate_left(23).to_le_bytes();
        Self {
            secret,
            id_offset: u16::from_le_bytes([low, high]),
            random: Random::new(secret.rotate_left(41)),
            duplicates: Duplicates::new(limits.duplicates_max),
            exchanges: Exchanges::new(limits.exchanges_max),
            separates: Separates::new(limits.separate_max),
            known: Known::new(secret.rotate_left(7)),
            out: Outbox::default(),
            counts: Counts::default(),
            is_draining: false,
            limits,
        }
    }

    /// Takes what came from `peer`. What it gives is to be answered.
    pub fn handle_datagram(&mut self, peer: SocketAddr, datagram: &[u8], now_ms: Millis) -> Option<Request> {
        match strict::head(datagram) {
            Ok(head) if head.is_request() && head.kind.is_initial() => {
                self.handle_request(peer, head, datagram, now_ms)
            }
            Ok(head) => {
                self.handle_other(peer, &head);
                None
            }
            Err(Fault::Foreign) => {
                self.counts.malformed += 1;
                None
            }
            Err(Fault::Format { kind, message_id }) => {
                self.reject(peer, kind, message_id);
                None
            }
        }
    }

    /// What is no request: an answer to one of ours, a ping, or nothing that concerns us.
    fn handle_other(&mut self, peer: SocketAddr, head: &Head) {
        match head.kind {
            Kind::Confirmable if head.code == 0 => {
                self.counts.pings += 1;
                self.send(peer, |out| encode::empty(out, Kind::Reset, head.message_id));
            }
            Kind::Acknowledgement | Kind::Reset if head.code == 0 => {
                self.separates.close((peer, head.message_id));
            }
            kind => self.reject(peer, kind, head.message_id),
        }
    }

    /// Rejects a message (RFC 7252, sections 4.2 and 4.3). An acknowledgement or a reset is never answered.
    fn reject(&mut self, peer: SocketAddr, kind: Kind, message_id: u16) {
        self.counts.malformed += 1;
        if kind.is_initial() {
            self.send(peer, |out| encode::empty(out, Kind::Reset, message_id));
        }
    }

    fn handle_request(
        &mut self,
        peer: SocketAddr,
        head: Head,
        datagram: &[u8],
        now_ms: Millis,
    ) -> Option<Request> {
        self.counts.requests += 1;
        let exchange = Exchange {
            peer,
            head,
            print: self.print(peer, &head, datagram),
            came_ms: now_ms,
            request_bytes: u16::try_from(datagram.len()).unwrap_or(u16::MAX),
            no_response: 0,
            is_slow: false,
            is_remembered: false,
            is_acknowledged: false,
        };
        if let Some(repeated) = self.duplicates.find(exchange.print) {
            self.repeat(exchange, datagram, repeated);
            return None;
        }
        if datagram.len() > self.limits.datagram_bytes_max() {
            // Its end may be cut off.
            self.refuse_unread(&exchange, Answer::TooLarge);
            return None;
        }
        let body = datagram.get(head.bytes()..).unwrap_or_default();
        let options_bytes = strict::options_bytes(body, self.limits.options_max);
        let Some((options, behind)) = options_bytes.and_then(|len| body.split_at_checked(len)) else {
            self.reject(peer, head.kind, head.message_id);
            return None;
        };
        if let Some(options) = self.known.find(head.code, options) {
            // Without its marker.
            let payload = behind.get(1..).unwrap_or_default();
            return self.take_in(exchange, options, payload.to_vec());
        }
        let Some(body) = Body::decode(datagram) else {
            self.reject(peer, head.kind, head.message_id);
            return None;
        };
        self.read(exchange, body, options)
    }

    /// Reads options and payload, and answers what needs nobody else.
    fn read(&mut self, mut exchange: Exchange, body: Body, options: &[u8]) -> Option<Request> {
        let mut wish = match Wish::read(&body, &self.limits) {
            Ok(wish) => wish,
            Err(Answer::BadOption) if exchange.head.kind == Kind::NonConfirmable => {
                // RFC 7252, section 5.4.1.
                self.reject(exchange.peer, exchange.head.kind, exchange.head.message_id);
                return None;
            }
            Err(answer) => {
                self.refuse_unread(&exchange, answer);
                return None;
            }
        };
        exchange.no_response = wish.no_response;
        let topic = match wish.asked(exchange.head.code) {
            Asked::Publish(topic) => topic,
            Asked::Answer(answer) => {
                self.refuse_unread(&exchange, answer);
                return None;
            }
        };
        let options = Options {
            number: self.known.number(),
            user: wish.user.or_else(|| wish.device.clone()),
            device: wish.device,
            token: wish.token,
            topic,
            content_type: wish.content_format.map(request::content_type),
            no_response: wish.no_response,
            sent: Sent { method: exchange.head.code, bytes: options.into() },
        };
        self.take_in(exchange, Rc::new(options), body.into_payload())
    }

    fn take_in(&mut self, mut exchange: Exchange, options: Rc<Options>, payload: Vec<u8>) -> Option<Request> {
        exchange.no_response = options.no_response;
        if payload.len() > usize::try_from(self.limits.payload_bytes_max).unwrap_or(usize::MAX) {
            self.refuse_unread(&exchange, Answer::TooLarge);
            return None;
        }
        if self.is_draining {
            self.refuse_unread(&exchange, Answer::Refused(Refusal::Unavailable));
            return None;
        }
        let request = Request {
            receipt: Receipt(exchange.print.key),
            peer: exchange.peer,
            came_ms: exchange.came_ms,
            is_confirmable: exchange.head.kind == Kind::Confirmable,
            options,
            payload,
        };
        match self.exchanges.open(exchange) {
            Ok(()) => Some(request),
            Err(exchange) => {
                self.refuse_unread(&exchange, Answer::Refused(Refusal::Busy));
                None
            }
        }
    }

    /// The sender of a [`Request`] with these options has proved who it is: they are not read again.
    pub fn handle_proved(&mut self, options: &Rc<Options>) {
        self.known.insert(options);
    }

    /// Answers a request of which nothing is remembered.
    fn refuse_unread(&mut self, exchange: &Exchange, answer: Answer) {
        if answer != Answer::Core {
            self.counts.refused += 1;
        }
        self.respond(exchange, answer, exchange.came_ms);
    }

    /// A repetition of what was seen before is attached to it (RFC 7252, section 4.5).
    fn repeat(&mut self, mut exchange: Exchange, datagram: &[u8], repeated: Repeated) {
        self.counts.duplicates += 1;
        match repeated {
            Repeated::Answered(byte) => {
                // The same bytes were read before; what they say of answers is not worth remembering.
                let wish = Body::decode(datagram).and_then(|body| Wish::read(&body, &self.limits).ok());
                exchange.no_response = wish.map_or(0, |wish| wish.no_response);
                if let Some(answer) = Answer::from_byte(byte) {
                    self.respond(&exchange, answer, exchange.came_ms);
                }
            }
            Repeated::Pending => {
                let first = self.exchanges.get_mut(exchange.print.key);
                if first.is_some_and(|first| first.is_acknowledged) {
                    self.acknowledge(exchange.peer, exchange.head.message_id);
                }
            }
        }
    }

    /// Answers a [`Request`]: it has proved who it is, and its record will be durable at `position`.
    pub fn handle_stored(&mut self, receipt: Receipt, position: Position) {
        if let Some(exchange) = self.exchanges.store(receipt.0, position) {
            remember(&mut self.duplicates, exchange);
        }
    }

    /// The answer to a [`Request`] will take a while. Its repetitions wait with it.
    pub fn handle_waiting(&mut self, receipt: Receipt) {
        if let Some(exchange) = self.exchanges.wait(receipt.0) {
            remember(&mut self.duplicates, exchange);
        }
    }

    /// Answers a [`Request`]: nothing of it was stored. What passes, and what does not show who asked, is not
    /// remembered, so that a repetition is tried again.
    pub fn handle_refused(&mut self, receipt: Receipt, refusal: Refusal, now_ms: Millis) {
        let is_final = !refusal.is_passing() && refusal.coap_code() != answer::UNAUTHORIZED;
        let Some(mut exchange) = self.exchanges.close(receipt.0) else { return };
        self.counts.refused += 1;
        if is_final {
            remember(&mut self.duplicates, &mut exchange);
        } else {
            self.duplicates.forget(exchange.print);
        }
        self.conclude(&exchange, Answer::Refused(refusal), now_ms);
    }

    /// Answers 2.04 to all that the disk has confirmed.
    pub fn handle_durable(&mut self, durable: &Durable, now_ms: Millis) {
        for lane in Lane::ALL {
            self.settle(lane, durable.end(lane), now_ms);
        }
    }

    fn settle(&mut self, lane: Lane, end: Offset, now_ms: Millis) {
        while let Some(exchange) = self.exchanges.pop_durable(lane, end) {
            self.conclude(&exchange, Answer::Changed, now_ms);
        }
    }

    /// Acknowledges what takes long, repeats what was not acknowledged, forgets what is over.
    pub fn handle_timeout(&mut self, now_ms: Millis) {
        let since_ms = now_ms.checked_sub(self.limits.piggyback_ms_max);
        while let Some(exchange) = since_ms.and_then(|since_ms| self.exchanges.pop_slow(since_ms)) {
            // Who wants no 2.04 takes the empty acknowledgement for it: it waits for the disk as well.
            let is_early = exchange.head.kind == Kind::Confirmable && !exchange.suppresses(Answer::Changed);
            exchange.is_acknowledged = is_early;
            let (peer, message_id) = (exchange.peer, exchange.head.message_id);
            if is_early {
                self.counts.separate += 1;
                self.acknowledge(peer, message_id);
            }
        }
        while let Some(due) = self.separates.pop_due(now_ms) {
            match due {
                Due::Repeat((peer, message_id), separate) => {
                    self.counts.retransmitted += 1;
                    let to = Responding {
                        kind: Kind::Confirmable,
                        message_id,
                        token: separate.token,
                        request_bytes: separate.request_bytes,
                        payload_bytes_max: self.limits.payload_bytes_max,
                    };
                    self.send(peer, |out| encode::response(out, &to, separate.answer));
                }
                Due::GivenUp => self.counts.given_up += 1,
            }
        }
        self.duplicates.handle_timeout(now_ms);
        self.known.handle_timeout(now_ms);
    }

    /// New requests are refused from here on; what is pending is answered.
    pub fn handle_shutdown(&mut self) {
        self.is_draining = true;
    }

    /// Moves what is to be sent into `out`, which is empty.
    pub fn poll_transmit(&mut self, out: &mut Outbox) {
        std::mem::swap(&mut self.out, out);
    }

    /// Requests without an answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.exchanges.len()
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Requests that are remembered so that a repetition is known.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.duplicates.len()
    }

    /// Options that are not read again.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Separate responses without an acknowledgement.
    #[must_use]
    pub fn separates_pending(&self) -> usize {
        self.separates.len()
    }

    /// Sends the answer, and remembers it for repetitions of a request that is remembered itself.
    fn conclude(&mut self, exchange: &Exchange, answer: Answer, now_ms: Millis) {
        if let Some(byte) = answer.to_byte() {
            self.duplicates.answer(exchange.print, byte);
        }
        self.respond(exchange, answer, now_ms);
    }

    fn respond(&mut self, exchange: &Exchange, answer: Answer, now_ms: Millis) {
        let Exchange { peer, head, request_bytes, .. } = *exchange;
        let is_confirmable = head.kind == Kind::Confirmable;
        if exchange.suppresses(answer) {
            if is_confirmable && !exchange.is_acknowledged {
                self.acknowledge(peer, head.message_id);
            }
            return;
        }
        let own_id = head.message_id.wrapping_add(self.id_offset);
        let (kind, message_id) = if is_confirmable && !exchange.is_acknowledged {
            (Kind::Acknowledgement, head.message_id)
        } else if is_confirmable && self.open_separate((peer, own_id), exchange, answer, now_ms) {
            (Kind::Confirmable, own_id)
        } else {
            (Kind::NonConfirmable, own_id)
        };
        let to = Responding {
            kind,
            message_id,
            token: head.token,
            request_bytes,
            payload_bytes_max: self.limits.payload_bytes_max,
        };
        self.send(peer, |out| encode::response(out, &to, answer));
    }

    /// Without room for one more the answer goes out once, unconfirmed: whoever misses it asks again.
    fn open_separate(
        &mut self,
        name: separates::Name,
        exchange: &Exchange,
        answer: Answer,
        now_ms: Millis,
    ) -> bool {
        let sent = (exchange.head.token, answer, exchange.request_bytes);
        self.separates.open(name, sent, &mut self.random, now_ms)
    }

    fn send(&mut self, peer: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        if self.out.len() >= self.limits.unsent_datagrams_max {
            self.counts.dropped += 1;
        } else {
            self.out.push(peer, write);
        }
    }

    fn acknowledge(&mut self, peer: SocketAddr, message_id: u16) {
        self.send(peer, |out| encode::empty(out, Kind::Acknowledgement, message_id));
    }

    fn print(&self, peer: SocketAddr, head: &Head, datagram: &[u8]) -> Print {
        let slots = self.limits.duplicates_per_peer_max.max(1);
        // Who could make another's request look like a repetition would have it answered and not stored: two peers are
        // told apart by a stronger hash than two contents of one.
        let mut key = DefaultHasher::new();
        (self.secret, peer).hash(&mut key);
        let content = hash_with(self.secret, &[datagram]);
        Print { key: duplicates::key(key.finish(), head.message_id % slots), content }
    }
}

/// Remembers a request once, so that its repetitions are known.
fn remember(duplicates: &mut Duplicates, exchange: &mut Exchange) {
    if !std::mem::replace(&mut exchange.is_remembered, true) {
        duplicates.insert(exchange.print, exchange.head.kind, exchange.came_ms);
    }
}

impl Exchange {
    /// Whether the client does not want an answer of this class (RFC 7967, section 2.1).
    fn suppresses(&self, answer: Answer) -> bool {
        let class = answer.code() >> 5;
        self.no_response & 1_u8.checked_shl(u32::from(class.saturating_sub(1))).unwrap_or(0) != 0
    }
}

impl Kind {
    /// Whether such a message begins an exchange, so that it may be answered.
    const fn is_initial(self) -> bool {
        matches!(self, Self::Confirmable | Self::NonConfirmable)
    }
}

//! Requests on their way over CoAP: repetition, matching, acknowledgement of separate responses. No I/O and no clock.

use std::{collections::VecDeque, time::Duration};

use super::codec::{self, Kind, Message, Resource};
use crate::{
    clock::micros,
    device::Micros,
    link::{Event, Failure, Meaning, Refusal},
    value::mix,
};

/// Repetitions of a request without an answer, RFC 7252 section 4.8.
pub(super) const RETRANSMIT_MAX: u32 = 4;

/// Separate responses remembered, so that a repeated one is acknowledged and not reset.
const ANSWERED_MAX: usize = 16;

/// NON requests remembered, so that a refusal can be told whose it is.
const UNCONFIRMED_MAX: usize = 64;

/// Wait before a reading goes again, where the answer does not say, RFC 7252 section 5.10.5.
const UNSAID_WAIT: Duration = Duration::from_secs(60);

/// How a device sends.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) resource: Resource,
    /// CON or NON.
    pub(super) confirmable: bool,
    /// Requests without an answer: NSTART of RFC 7252 section 4.7 for CON.
    pub(super) outstanding_max: usize,
    /// ACK_TIMEOUT of section 4.8.
    pub(super) retransmit_wait: Duration,
    /// How long a response may take after the acknowledgement of its request.
    pub(super) acknowledge_max: Duration,
}

/// The requests of one device that are on their way.
#[derive(Debug)]
pub(super) struct Exchanges {
    manner: Manner,
    /// From what ids, tokens and jitter are made.
    random: u64,
    outstanding: Vec<Exchange>,
    /// Tokens and ids of NON requests.
    unconfirmed: VecDeque<(u32, u16)>,
    answered: VecDeque<u16>,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    let_in: bool,
}

#[derive(Debug)]
struct Exchange {
    id: u16,
    token: u32,
    datagram: Vec<u8>,
    repetitions: u32,
    /// Until the next repetition, doubled with each.
    wait_us: Micros,
    /// The next repetition, or the end of the patience.
    due_us: Micros,
    /// The server has said that the response will come apart.
    acknowledged: bool,
}

impl Exchanges {
    pub(super) fn new(manner: Manner, random: u64) -> Self {
        Self {
            manner,
            random,
            outstanding: Vec::new(),
            unconfirmed: VecDeque::new(),
            answered: VecDeque::new(),
            transmit: VecDeque::new(),
            events: VecDeque::new(),
            let_in: false,
        }
    }

    /// The socket is open.
    pub(super) fn handle_open(&mut self) {
        self.events.push_back(Event::Open);
        if !self.manner.confirmable {
            // Nobody need answer a NON, so there is nothing to wait for.
            self.events.push_back(Event::Connected);
            self.let_in = true;
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.outstanding.len() < self.manner.outstanding_max
    }

    /// Nothing is to be sent and no answer is waited for.
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_empty() && self.transmit.is_empty()
    }

    /// Sends a reading under the message id `id`.
    pub(super) fn post(&mut self, id: u16, payload: &[u8], now_us: Micros) -> Result<(), Failure> {
        let [a, b, c, d, ..] = self.next_random().to_be_bytes();
        let token = u32::from_be_bytes([a, b, c, d]);
        let kind = if self.manner.confirmable { Kind::Confirmable } else { Kind::NonConfirmable };
        let datagram = codec::post(kind, id, token, &self.manner.resource, payload);
        let datagram = datagram.ok_or_else(|| Failure::Protocol("the codec refuses the message".into()))?;
        self.transmit.push_back(datagram.clone());
        self.events.push_back(Event::Written(id));
        if !self.manner.confirmable {
            if self.unconfirmed.len() >= UNCONFIRMED_MAX {
                self.unconfirmed.pop_front();
            }
            self.unconfirmed.push_back((token, id));
            return Ok(());
        }
        // ACK_RANDOM_FACTOR 1.5: between one and one and a half times ACK_TIMEOUT.
        let least_us = micros(self.manner.retransmit_wait).max(2);
        let wait_us = least_us + self.next_random() % (least_us / 2 + 1);
        let due_us = now_us.saturating_add(wait_us);
        let exchange = Exchange { id, token, datagram, repetitions: 0, wait_us, due_us, acknowledged: false };
        self.outstanding.push(exchange);
        Ok(())
    }

    /// What the server sent. Anything that belongs to nothing is ignored or reset, as RFC 7252 section 4.2 has it.
    pub(super) fn handle_datagram(&mut self, datagram: &[u8], now_us: Micros) -> Result<(), Failure> {
        let Some(message) = codec::parse(datagram) else { return Ok(()) };
        match (message.kind, message.code) {
            (Kind::Reset, _) => self.handle_reset(message.id),
            (Kind::Acknowledgement, 0) => {
                let patience_us = micros(self.manner.acknowledge_max);
                if let Some(exchange) = self.outstanding.iter_mut().find(|exchange| exchange.id == message.id)
                    && !exchange.acknowledged
                {
                    exchange.acknowledged = true;
                    exchange.due_us = now_us.saturating_add(patience_us);
                }
                Ok(())
            }
            (Kind::Acknowledgement, _) => {
                let mut asked = self.outstanding.iter();
                let at = asked.position(|it| it.id == message.id && message.token == Some(it.token));
                at.map_or(Ok(()), |at| self.settle(at, &message))
            }
            // A ping, RFC 7252 section 4.3.
            (Kind::Confirmable, 0) => {
                self.say(Kind::Reset, message.id);
                Ok(())
            }
            (Kind::NonConfirmable, 0) => Ok(()),
            (Kind::Confirmable | Kind::NonConfirmable, _) => self.handle_separate(&message),
        }
    }

    /// A response in a message of its own, perhaps before the acknowledgement of the request, perhaps once more.
    fn handle_separate(&mut self, message: &Message) -> Result<(), Failure> {
        let confirmable = message.kind == Kind::Confirmable;
        if confirmable && self.answered.contains(&message.id) {
            self.say(Kind::Acknowledgement, message.id);
            return Ok(());
        }
        let at = self.outstanding.iter().position(|exchange| message.token == Some(exchange.token));
        let unconfirmed = self.unconfirmed.iter().position(|(token, _)| message.token == Some(*token));
        if at.is_none() && unconfirmed.is_none() {
            if confirmable {
                self.say(Kind::Reset, message.id);
            }
            return Ok(());
        }
        if confirmable {
            self.say(Kind::Acknowledgement, message.id);
            if self.answered.len() >= ANSWERED_MAX {
                self.answered.pop_front();
            }
            self.answered.push_back(message.id);
        }
        if let Some((_, id)) = unconfirmed.and_then(|at| self.unconfirmed.remove(at)) {
            return self.judge(id, message);
        }
        at.map_or(Ok(()), |at| self.settle(at, message))
    }

    /// The exchange at `at` is over.
    fn settle(&mut self, at: usize, message: &Message) -> Result<(), Failure> {
        let id = self.outstanding.swap_remove(at).id;
        self.judge(id, message)
    }

    fn judge(&mut self, id: u16, message: &Message) -> Result<(), Failure> {
        let refusal = (message.code >> 5 != 2).then(|| refusal(message));
        if let Some(refusal) = refusal.as_ref().filter(|refusal| refusal.meaning == Meaning::Login) {
            return Err(Failure::Refused(refusal.clone()));
        }
        if !self.let_in {
            self.let_in = true;
            self.events.push_back(Event::Connected);
        }
        match refusal {
            Some(refusal) => self.events.push_back(Event::Refused(id, refusal)),
            None if self.manner.confirmable => self.events.push_back(Event::Acknowledged(id)),
            None => {}
        }
        Ok(())
    }

    fn handle_reset(&mut self, id: u16) -> Result<(), Failure> {
        match self.outstanding.iter().any(|exchange| exchange.id == id) {
            true => Err(Failure::Protocol("reset by the server".into())),
            false => Ok(()),
        }
    }

    /// Repeats what is due.
    ///
    /// # Errors
    /// There was no answer to the last repetition, or no response after an acknowledgement.
    pub(super) fn handle_timeout(&mut self, now_us: Micros) -> Result<(), Failure> {
        for exchange in self.outstanding.iter_mut().filter(|exchange| exchange.due_us <= now_us) {
            if exchange.acknowledged || exchange.repetitions >= RETRANSMIT_MAX {
                return Err(Failure::Timeout);
            }
            exchange.repetitions += 1;
            exchange.wait_us = exchange.wait_us.saturating_mul(2);
            exchange.due_us = now_us.saturating_add(exchange.wait_us);
            self.transmit.push_back(exchange.datagram.clone());
            self.events.push_back(Event::Retransmitted);
        }
        Ok(())
    }

    /// When [`Exchanges::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        self.outstanding.iter().map(|exchange| exchange.due_us).min()
    }

    /// The next datagram to send; it stays until [`Exchanges::handle_transmitted`].
    pub(super) fn poll_transmit(&self) -> Option<&[u8]> {
        self.transmit.front().map(Vec::as_slice)
    }

    pub(super) fn handle_transmitted(&mut self) {
        self.transmit.pop_front();
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn say(&mut self, kind: Kind, id: u16) {
        self.transmit.extend(codec::empty(kind, id));
    }

    fn next_random(&mut self) -> u64 {
        self.random = mix(self.random);
        self.random
    }
}

fn refusal(message: &Message) -> Refusal {
    let wait = Duration::from_secs(message.wait_s.map_or(UNSAID_WAIT.as_secs(), u64::from));
    let meaning = match message.code {
        // 5.03, and 4.29 of RFC 8516: Max-Age says when to come again.
        0xA3 | 0x9D => Meaning::Passing(Some(wait)),
        0x81 => Meaning::Login,
        code if code >> 5 == 5 => Meaning::Passing(None),
        _ => Meaning::Lasting,
    };
    Refusal { said: codec::code_name(message.code), meaning }
}

#[cfg(test)]
mod tests;

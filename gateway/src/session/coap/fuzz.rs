//! One entry for coverage-guided fuzzing: any bytes, read as datagrams of a few peers.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use tidegate_protocol::Lane;

use super::{
    Endpoint, Limits, Millis, Options, Outbox, Receipt, Request, codec::Body, encode::AMPLIFICATION_MAX,
    known::KNOWN_MAX, separates::RETRANSMISSIONS_MAX, strict,
};
use crate::{session::Refusal, spool::Position};

/// Bytes in front of each datagram: what is done around it, and its length.
const SCRIPT_BYTES: usize = 2;

/// Limits that a short input can reach.
fn limits() -> Limits {
    Limits {
        payload_bytes_max: 32,
        options_max: 8,
        topic_bytes_max: 16,
        duplicates_max: 6,
        duplicates_per_peer_max: 3,
        exchanges_max: 4,
        separate_max: 2,
        piggyback_ms_max: 500,
        peers_max: 2,
        unsent_datagrams_max: 5,
    }
}

/// Plays `input`: in front of each datagram two bytes, which say from whom it comes, when, what is made of the request
/// and how long the datagram is.
///
/// # Panics
/// When the endpoint breaks one of its promises.
pub fn exercise(input: &[u8]) {
    let mut play = Play::new();
    let mut rest = input;
    while let Some((script, behind)) = rest.split_at_checked(SCRIPT_BYTES) {
        let [what, len] = [script.first(), script.get(1)].map(|byte| byte.copied().unwrap_or(0));
        let (datagram, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        play.step(what, datagram);
    }
    play.finish();
}

/// An endpoint, and what it must keep to.
struct Play {
    endpoint: Endpoint,
    now_ms: Millis,
    waiting: Vec<Receipt>,
    stored: u64,
    confirmed: u64,
    /// 2.04s sent, less those for repetitions and retransmissions.
    changed: u64,
    repeated: u64,
}

impl Play {
    fn new() -> Self {
        Self {
            endpoint: Endpoint::new(Arc::new(limits()), 7),
            now_ms: 0,
            waiting: Vec::new(),
            stored: 0,
            confirmed: 0,
            changed: 0,
            repeated: 0,
        }
    }

    fn step(&mut self, what: u8, datagram: &[u8]) {
        let peer = SocketAddr::from(([192, 0, 2, what & 1], 5683));
        // What came before has been sent.
        self.transmit(usize::MAX);
        let request = self.endpoint.handle_datagram(peer, datagram, self.now_ms);
        self.transmit(datagram.len().saturating_mul(AMPLIFICATION_MAX));
        let kind = strict::head(datagram).map(|head| head.kind);
        if let Some(request) = request {
            assert!(kind.is_ok_and(strict::Kind::is_initial), "only a request is handed on");
            self.read_again(peer, datagram, &request);
            self.answer(what >> 1, &request);
        }
        match what >> 5 {
            0 | 1 => self.settle(1),
            2 => self.settle(u64::MAX),
            3 => self.pass(300),
            4 => self.pass(2_500),
            5 => self.pass(100_000),
            6 => self.answer_waiting(),
            _ => {}
        }
        self.check_limits();
    }

    /// Who has never seen such options reads the same in them.
    fn read_again(&self, peer: SocketAddr, datagram: &[u8], request: &Request) {
        let mut other = Endpoint::new(Arc::new(limits()), 7);
        let Some(again) = other.handle_datagram(peer, datagram, self.now_ms) else {
            unreachable!("it is a request to who has never seen one")
        };
        let options = Options { number: request.options.number, ..(*again.options).clone() };
        assert_eq!(Request { options: Rc::new(options), ..again }, *request);
    }

    fn answer(&mut self, how: u8, request: &Request) {
        assert!(!request.options.topic.is_empty() && request.options.topic.len() <= limits().topic_bytes_max);
        assert!(request.payload.len() <= 32);
        if how & 0x10 == 0 {
            self.endpoint.handle_proved(&request.options);
        }
        match how & 0xF {
            0 => self.endpoint.handle_refused(request.receipt, Refusal::BadCredentials, self.now_ms),
            1 => self.endpoint.handle_refused(request.receipt, Refusal::NotAuthorized, self.now_ms),
            2 => self.endpoint.handle_refused(request.receipt, Refusal::Busy, self.now_ms),
            3 | 4 => {
                self.endpoint.handle_waiting(request.receipt);
                self.waiting.push(request.receipt);
            }
            how => self.store(request.receipt, how),
        }
    }

    fn store(&mut self, receipt: Receipt, how: u8) {
        let lane = if how & 1 == 0 { Lane::Event } else { Lane::Telemetry };
        self.endpoint.handle_stored(receipt, Position { lane, offset: self.stored });
        self.stored += 1;
    }

    fn answer_waiting(&mut self) {
        for (how, receipt) in (0..).zip(std::mem::take(&mut self.waiting)) {
            if how % 2 == 0 {
                self.store(receipt, how);
            } else {
                self.endpoint.handle_refused(receipt, Refusal::PayloadFormatInvalid, self.now_ms);
            }
        }
    }

    fn settle(&mut self, more: u64) {
        self.confirmed = self.confirmed.saturating_add(more).min(self.stored);
        for lane in Lane::ALL {
            self.endpoint.settle(lane, self.confirmed, self.now_ms);
        }
    }

    fn pass(&mut self, ms: Millis) {
        self.now_ms += ms;
        self.endpoint.handle_timeout(self.now_ms);
    }

    /// Everything sent is well formed, and together no longer than `bytes_max`.
    fn transmit(&mut self, bytes_max: usize) {
        let mut out = Outbox::default();
        self.endpoint.poll_transmit(&mut out);
        let counts = self.endpoint.take_counts();
        self.repeated += counts.duplicates + counts.retransmitted;
        assert!(out.len() <= limits().unsent_datagrams_max);
        assert!(
            out.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= bytes_max,
            "an answer for an attacker"
        );
        for (_, bytes) in out.iter() {
            let Ok(head) = strict::head(bytes) else { unreachable!("a datagram that is no message") };
            let body = bytes.get(head.bytes()..).unwrap_or_default();
            assert!(strict::options_bytes(body, 1).is_some() && Body::decode(bytes).is_some());
            assert!(head.code == 0 || head.code >> 5 >= 2, "the gateway asks nothing");
            if head.code == super::answer::CHANGED {
                self.changed += 1;
            }
        }
        assert!(self.changed <= self.confirmed + self.repeated, "a 2.04 before the disk");
    }

    fn check_limits(&self) {
        assert!(self.endpoint.pending() <= limits().exchanges_max);
        assert!(self.endpoint.remembered() <= limits().duplicates_max);
        assert!(self.endpoint.separates_pending() <= limits().separate_max);
        assert!(self.endpoint.known() <= KNOWN_MAX);
    }

    fn finish(&mut self) {
        self.endpoint.handle_shutdown();
        self.answer_waiting();
        self.settle(u64::MAX);
        assert_eq!(self.endpoint.pending(), 0, "every request was answered and confirmed");
        for _ in 0..=RETRANSMISSIONS_MAX {
            self.transmit(usize::MAX);
            self.pass(100_000);
        }
        assert_eq!(
            (self.endpoint.separates_pending(), self.endpoint.remembered()),
            (0, 0),
            "all is forgotten"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_bytes_never_break_a_promise(input in proptest::collection::vec(any::<u8>(), 0..512)) {
            exercise(&input);
        }
    }
}

//! Whole conversations, with no socket and no sleep.

mod acknowledge;
mod bad_input;
mod client;
mod connect;
mod downlink;
mod index;
mod mutate;
mod subscribe;
mod time;

use std::sync::Arc;

use client::Frames;
use tidegate_protocol::Lane;

use super::*;

/// A session with a registry that lets everybody in and a spool that takes everything, unless told otherwise.
struct Gateway {
    session: Session,
    now_ms: Millis,
    login: Result<(), Refusal>,
    /// Answers to the next publishes; when empty they are stored.
    refusals: std::collections::VecDeque<Option<Refusal>>,
    stored: u64,
    seen: Vec<Uplink>,
}

impl Gateway {
    fn new(limits: Limits) -> Self {
        Self {
            session: Session::new(Arc::new(limits), 0),
            now_ms: 0,
            login: Ok(()),
            refusals: [].into(),
            stored: 0,
            seen: Vec::new(),
        }
    }

    /// A session whose client is in.
    fn connected(version: Version) -> Self {
        Self::connected_with(version, Limits::default())
    }

    fn connected_with(version: Version, limits: Limits) -> Self {
        let mut gateway = Self::new(limits);
        let connack = gateway.send(&Frames(version).connect("client"));
        assert_eq!(connack.first(), Some(&0x20));
        assert_eq!(connack.get(3), Some(&0), "let in: {connack:02x?}");
        gateway.seen.clear();
        gateway
    }

    /// Hands bytes in and returns what goes out.
    fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.session.handle_bytes(bytes, self.now_ms);
        self.turn()
    }

    /// The polls after any event.
    fn turn(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let before = out.len();
            let seen = self.seen.len();
            while let Some(uplink) = self.session.poll_uplink() {
                self.answer(&uplink);
                self.seen.push(uplink);
            }
            self.session.poll_transmit(&mut out);
            if out.len() == before && self.seen.len() == seen {
                return out;
            }
        }
    }

    fn answer(&mut self, uplink: &Uplink) {
        match uplink {
            Uplink::Connect(connect) => {
                let assigned_client_id = connect.client_id.is_empty().then(|| "auto-1".into());
                let answer = self.login.map(|()| Accepted { assigned_client_id });
                self.session.handle_login(answer, self.now_ms);
            }
            Uplink::Publish(publish) => {
                let answer = match self.refusals.pop_front().flatten() {
                    Some(refusal) => Err(refusal),
                    None => Ok(Position { lane: Lane::Telemetry, offset: self.stored }),
                };
                self.stored += u64::from(answer.is_ok());
                self.session.handle_stored(publish.receipt, answer);
            }
            Uplink::Subscribe(subscribe) => {
                let granted: Vec<_> = subscribe.filters.iter().map(|filter| Ok(filter.options.qos)).collect();
                self.session.handle_subscribed(subscribe.receipt, &granted);
            }
            Uplink::Unsubscribe(unsubscribe) => {
                let existed = vec![true; unsubscribe.filters.len()];
                self.session.handle_unsubscribed(unsubscribe.receipt, &existed);
            }
            Uplink::Refused(_) | Uplink::Will(_) | Uplink::Disconnect(_) => {}
        }
    }

    /// The disk has everything up to, and without, the offset.
    fn durable_to(&mut self, end: u64) -> Vec<u8> {
        self.session.settle(|position| position.offset < end);
        self.turn()
    }

    /// Lets time pass to the next deadline and returns what goes out.
    fn at(&mut self, now_ms: Millis) -> Vec<u8> {
        self.now_ms = now_ms;
        self.session.handle_timeout(now_ms);
        self.turn()
    }

    fn topics(&self) -> Vec<&str> {
        self.seen.iter().filter_map(topic).collect()
    }

    fn end(&self) -> Reason {
        assert!(self.session.is_closed(), "the session is over");
        self.session.end().unwrap().reason
    }
}

const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// DISCONNECT of MQTT 5, which 3.1.1 does not have.
fn disconnect(version: Version, reason: Reason) -> Vec<u8> {
    match version {
        Version::V311 => Vec::new(),
        Version::V5 => vec![0xE0, 1, reason.code()],
    }
}

fn topic(uplink: &Uplink) -> Option<&str> {
    if let Uplink::Publish(publish) = uplink { Some(&publish.topic) } else { None }
}

//! CoAP with confirmable messages: a reading may be forgotten when its 2.04 has come.

mod message;

#[cfg(test)]
mod tests;

use embedded_nal_async::ConnectedUdp;

use self::message::{Answer, Kind, Name, acknowledgement, code, parse, post};
use super::{
    Ended, Letter, Outbox, PAYLOAD_BYTES_MAX, Uplink, Verdict,
    run::{wait, within},
};
use crate::{
    Clock,
    store::{Identity, Store},
};

/// The first wait for an answer, up to half as long again added (RFC 7252, section 4.8: ACK_TIMEOUT).
const ANSWER_MS: u64 = 2_000;
/// How often a message is sent again, after twice as long each time (MAX_RETRANSMIT).
const REPEATS_MAX: u32 = 4;
/// How long an answer may take that the gateway has said will come: it is on its way to the disk.
const SEPARATE_MS_MAX: u64 = 30_000;
/// Between two messages at least, so that no id comes again while the gateway remembers it (EXCHANGE_LIFETIME, 247 s).
const SPACING_MS: u64 = 4;
/// Bytes beside the payload: head and token, path, Content-Format, device and secret.
const HEAD_BYTES_MAX: usize = 512;
const ANSWER_BYTES_MAX: usize = 256;

/// The way to the gateway by CoAP. The device's id and secret go along with each message, in plain text.
#[derive(Debug)]
pub struct CoapUplink<U> {
    socket: U,
    sent: u32,
}

/// What comes of waiting for an answer.
enum Heard {
    Answer(u8, u32),
    /// The answer will come by itself.
    Later,
}

impl<U: ConnectedUdp> CoapUplink<U> {
    /// Through a socket whose far end is the gateway's CoAP port. Ids and tokens count from `random`.
    #[must_use]
    pub const fn new(socket: U, random: u32) -> Self {
        Self { socket, sent: random }
    }

    fn name(&mut self) -> Name {
        self.sent = self.sent.wrapping_add(1);
        let token = self.sent.to_be_bytes();
        let [.., high, low] = token;
        Name { id: u16::from_be_bytes([high, low]), token }
    }

    async fn deliver(
        &mut self,
        (login, letter, payload): (&Identity, Letter, &[u8]),
        clock: &impl Clock,
    ) -> Result<Verdict, Ended> {
        let name = self.name();
        let queries = [("device", login.device.as_str()), ("token", login.secret.as_str())];
        let mut bytes = [0; HEAD_BYTES_MAX + PAYLOAD_BYTES_MAX];
        let message = post(name, letter.lane.as_str(), queries, payload, &mut bytes).ok_or(Ended::Refused)?;
        let mut wait_ms = ANSWER_MS + u64::from(name.id) % (ANSWER_MS / 2);
        for _ in 0..=REPEATS_MAX {
            self.socket.send(message).await.map_err(|_| Ended::Broken)?;
            let mut heard = within(clock, wait_ms, self.hear(name)).await;
            if let Some(Ok(Heard::Later)) = heard {
                heard = within(clock, SEPARATE_MS_MAX, self.hear_separate(name)).await;
            }
            match heard {
                Some(Ok(Heard::Answer(code, wait_seconds))) => return verdict(code, wait_seconds),
                Some(Err(ended)) => return Err(ended),
                _ => wait_ms *= 2,
            }
        }
        Err(Ended::Broken)
    }

    async fn hear_separate(&mut self, name: Name) -> Result<Heard, Ended> {
        loop {
            if let heard @ Heard::Answer(..) = self.hear(name).await? {
                return Ok(heard);
            }
        }
    }

    /// Waits for what belongs to the request `name`.
    async fn hear(&mut self, name: Name) -> Result<Heard, Ended> {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        loop {
            let len = self.socket.receive_into(&mut bytes).await.map_err(|_| Ended::Broken)?;
            let Some(answer) = bytes.get(..len).and_then(parse) else { continue };
            if answer.kind == Kind::Confirmable {
                // An answer of its own, perhaps to a request of before: without this it would come again.
                let known = acknowledgement(answer.id);
                self.socket.send(&known).await.map_err(|_| Ended::Broken)?;
            }
            if let Some(heard) = meant(&answer, name) {
                return heard;
            }
        }
    }
}

/// What `answer` says to the request `name`, if it speaks of that one.
fn meant(answer: &Answer<'_>, name: Name) -> Option<Result<Heard, Ended>> {
    let is_ours = answer.id == name.id;
    match answer.kind {
        Kind::Reset => is_ours.then_some(Err(Ended::Broken)),
        Kind::Acknowledgement if answer.is_empty() => is_ours.then_some(Ok(Heard::Later)),
        Kind::Acknowledgement if !is_ours => None,
        _ if answer.token == name.token => Some(Ok(Heard::Answer(answer.code, answer.wait_seconds))),
        _ => None,
    }
}

impl<U: ConnectedUdp> Uplink for CoapUplink<U> {
    async fn serve<S: Store<C>, const C: usize>(
        &mut self,
        login: &Identity,
        outbox: &Outbox<S, C>,
        clock: &impl Clock,
    ) -> Ended {
        let mut payload = [0; PAYLOAD_BYTES_MAX];
        loop {
            let letter = outbox.next(clock, &mut payload).await;
            let bytes = payload.get(..letter.len).unwrap_or_default();
            match self.deliver((login, letter, bytes), clock).await {
                Ok(verdict) => {
                    outbox.note_linked();
                    wait(clock, outbox.settle(letter, verdict).max(SPACING_MS)).await;
                }
                Err(ended) => return ended,
            }
        }
    }
}

/// What the gateway's code says: `gateway/REFUSALS.md`.
fn verdict(answer: u8, wait_seconds: u32) -> Result<Verdict, Ended> {
    const CHANGED: u8 = code(2, 4);
    const BAD_REQUEST: u8 = code(4, 0);
    const UNAUTHORIZED: u8 = code(4, 1);
    const FORBIDDEN: u8 = code(4, 3);
    const TOO_LARGE: u8 = code(4, 13);
    const UNSUPPORTED_FORMAT: u8 = code(4, 15);
    const TOO_MANY: u8 = code(4, 29);
    const UNAVAILABLE: u8 = code(5, 3);
    match answer {
        CHANGED => Ok(Verdict::Kept),
        BAD_REQUEST | TOO_LARGE | UNSUPPORTED_FORMAT => Ok(Verdict::Never),
        UNAUTHORIZED | FORBIDDEN => Err(Ended::Refused),
        UNAVAILABLE => Ok(Verdict::Later { wait_ms: u64::from(wait_seconds) * 1_000 }),
        TOO_MANY => Err(Ended::Later { wait_ms: u64::from(wait_seconds) * 1_000 }),
        _ => Ok(Verdict::Later { wait_ms: 0 }),
    }
}

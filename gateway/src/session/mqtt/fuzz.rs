//! One entry for coverage-guided fuzzing: any bytes, read as a script for one connection.

use std::sync::Arc;

use tidegate_protocol::Lane;

use super::{
    Accepted, Downlink, Limits, Position, Publish, QoS, Receipt, Refusal, Session, SubscriberId,
    SubscriptionIndex, Uplink, Version,
};

/// Bytes of the script in front of what the client sends.
const SCRIPT_BYTES: usize = 4;

/// Limits that a short input can reach.
fn limits() -> Limits {
    Limits {
        connect_bytes_max: 512,
        early_bytes_max: 64 * 1024,
        frame_bytes_max: 2_048,
        receive_max: 4,
        topic_bytes_max: 64,
        topic_levels_max: 4,
        topic_aliases_max: 3,
        user_properties_max: 2,
        will_bytes_max: 64,
        filters_per_frame_max: 3,
        downlink_inflight_max: 2,
        downlink_pending_max: 3,
        downlink_bytes_max: 1_024,
        reply_bytes_max: 32,
        ..Limits::default()
    }
}

/// Plays `input`: the first bytes say how the rest is cut into reads, how often the disk confirms and what is refused.
///
/// # Panics
/// When the session breaks one of its promises.
pub fn exercise(input: &[u8]) {
    let Some((script, bytes)) = input.split_at_checked(SCRIPT_BYTES) else { return };
    let script = |at: usize| script.get(at).copied().unwrap_or(0);
    let mut play = Play::new(script(2), script(3));
    let read_bytes = usize::from(script(0)) + 1;
    let confirm_every = usize::from(script(1) % 8) + 1;
    for (step, read) in bytes.chunks(read_bytes).enumerate() {
        if play.session.wants_bytes() {
            play.session.handle_bytes(read, step as u64);
        }
        play.uplinks();
        if step % confirm_every == 0 {
            play.confirm();
        }
        play.transmit();
    }
    play.session.handle_eof();
    play.uplinks();
    play.confirm();
    assert!(play.session.is_closed() && !play.session.wants_bytes());
    assert!(play.session.poll_timeout().is_none());
}

/// A session, what was offered by it and what it must answer.
struct Play {
    session: Session,
    index: SubscriptionIndex,
    refuse: u8,
    downlinks: u8,
    /// Receipts that are owed an acknowledgement, in order.
    stored: u64,
    publishes: u64,
    last: Option<Receipt>,
    given_back: Option<Receipt>,
    is_over: bool,
}

const SUBSCRIBER: SubscriberId = SubscriberId(1);

impl Play {
    fn new(refuse: u8, downlinks: u8) -> Self {
        Self {
            session: Session::new(Arc::new(limits()), 0),
            index: SubscriptionIndex::default(),
            refuse,
            downlinks,
            stored: 0,
            publishes: 0,
            last: None,
            given_back: None,
            is_over: false,
        }
    }

    fn uplinks(&mut self) {
        while let Some(uplink) = self.session.poll_uplink() {
            assert!(!self.is_over, "an uplink behind the last one");
            match uplink {
                Uplink::Connect(connect) => {
                    let assigned = connect.client_id.is_empty() && connect.version == Version::V5;
                    let accepted = Accepted { assigned_client_id: assigned.then(|| "auto".into()) };
                    self.session.handle_login(Ok(accepted), 0);
                }
                Uplink::Publish(publish) => self.publish(&publish),
                Uplink::Subscribe(subscribe) => {
                    let granted: Vec<_> = subscribe
                        .filters
                        .iter()
                        .map(|filter| {
                            let added = self.index.subscribe(SUBSCRIBER, &filter.filter, filter.options);
                            added.map(|_| filter.options.qos).map_err(Refusal::from)
                        })
                        .collect();
                    self.session.handle_subscribed(subscribe.receipt, &granted);
                }
                Uplink::Unsubscribe(unsubscribe) => {
                    let filters = unsubscribe.filters.iter();
                    let existed: Vec<_> =
                        filters.map(|filter| self.index.unsubscribe(SUBSCRIBER, filter)).collect();
                    self.session.handle_unsubscribed(unsubscribe.receipt, &existed);
                }
                Uplink::Refused(_) | Uplink::Will(_) => {}
                Uplink::Disconnect(_) => self.is_over = true,
            }
        }
    }

    fn publish(&mut self, publish: &Publish) {
        let (receipt, topic, payload) = (publish.receipt, &*publish.topic, &publish.payload);
        assert!(!topic.is_empty() && !topic.contains(['+', '#', '\0']) && !topic.starts_with('$'));
        self.publishes += 1;
        if receipt.is_owed() {
            let is_again = self.given_back.take() == Some(receipt);
            assert!(is_again || self.last < Some(receipt), "receipts go up");
            self.last = Some(receipt);
        }
        if receipt.is_owed() && self.publishes.is_multiple_of(3) {
            self.given_back = Some(receipt);
            return self.session.handle_busy(publish, 0);
        }
        let answer = match self.refuse.checked_add(1).map(u64::from) {
            Some(every) if every > 1 && self.publishes.is_multiple_of(every) => Err(Refusal::QuotaExceeded),
            _ => Ok(Position { lane: Lane::Telemetry, offset: self.stored }),
        };
        self.stored += u64::from(answer.is_ok());
        self.session.handle_stored(receipt, answer);
        let mut matches = Vec::new();
        self.index.matches(topic, &mut matches);
        for found in matches {
            for _ in 0..=self.downlinks % 4 {
                if self
                    .session
                    .handle_downlink(&Downlink::new(topic, payload, found.qos.min(QoS::AtLeastOnce)))
                    .is_err()
                {
                    assert!(self.session.is_closed());
                }
            }
        }
    }

    fn confirm(&mut self) {
        self.session.settle(|_| true);
        let pending = self.session.receipts_pending();
        assert!(
            pending <= usize::from(self.given_back.is_some()),
            "every other publish was answered and confirmed"
        );
    }

    fn transmit(&mut self) {
        let mut out = Vec::new();
        self.session.poll_transmit(&mut out);
        self.uplinks();
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

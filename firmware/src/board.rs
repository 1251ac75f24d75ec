use embassy_futures::select::{Either, select};
use tidegate_protocol::serial::WIRE_BYTES_MAX;

use crate::{
    node::{Action, Node, Signal},
    sampling::Sampler,
    sensor::Sensor,
    store::Store,
};

/// Bytes taken from the line at once.
const RECEIVE_BYTES_MAX: usize = 64;
/// How often the watchdog is fed at least.
pub(crate) const WATCH_MS: u64 = 1_000;

/// The line to the gateway.
pub trait Link {
    /// Waits for bytes and says how many there were; 0 when the line is broken. May be given up at any time, and loses
    /// nothing by it.
    fn receive(&mut self, buffer: &mut [u8]) -> impl Future<Output = usize>;

    /// Puts bytes on the line. What is lost is sent again later.
    fn send(&mut self, bytes: &[u8]) -> impl Future<Output = ()>;
}

/// The board's clock.
pub trait Clock {
    /// Milliseconds since the start.
    fn now_ms(&self) -> u64;

    /// Waits until then.
    fn wait_until(&self, ms: u64) -> impl Future<Output = ()>;
}

/// What else a board has.
pub trait Board {
    /// Shows how it stands; `is_identified` while a person looks for this very board.
    fn show(&mut self, signal: Signal, is_identified: bool);

    /// It lives. Who does not say so for some seconds is started again.
    fn feed_watchdog(&mut self);
}

/// All of a board's work, until the gateway asks it to start again.
pub async fn run<const C: usize>(
    node: &mut Node<impl Store<C>, C>,
    sampler: &mut Sampler<C>,
    (sensor, link): (&mut impl Sensor<C>, &mut impl Link),
    (clock, board): (&impl Clock, &mut impl Board),
) {
    let mut identified_until_ms = 0;
    let mut buffer = [0; RECEIVE_BYTES_MAX];
    let mut frame = [0; WIRE_BYTES_MAX];
    loop {
        board.feed_watchdog();
        while let Some(bytes) = node.poll_transmit(clock.now_ms(), &mut frame) {
            link.send(bytes).await;
        }
        while let Some(action) = node.poll_action() {
            match action {
                Action::Reboot => return,
                Action::Identify { seconds } => {
                    identified_until_ms = clock.now_ms().saturating_add(u64::from(seconds) * 1_000);
                }
                Action::SetPeriod { period_ms } => {
                    if sampler.set_period(period_ms, clock.now_ms()) {
                        node.note_period(period_ms);
                    }
                }
            }
        }
        let now_ms = clock.now_ms();
        board.show(node.signal(), now_ms < identified_until_ms);
        let until_ms = node
            .poll_timeout()
            .unwrap_or(u64::MAX)
            .min(sampler.due_ms())
            .min(now_ms.saturating_add(WATCH_MS));
        if let Either::First(count) = select(link.receive(&mut buffer), clock.wait_until(until_ms)).await {
            node.handle_bytes(buffer.get(..count).unwrap_or_default(), clock.now_ms());
        }
        if sampler.due_ms() <= clock.now_ms() {
            let values = sensor.measure().await;
            let now_ms = clock.now_ms();
            if let Some(reading) = sampler.handle_measured(values, now_ms) {
                node.handle_reading(reading, now_ms);
            }
        }
    }
}

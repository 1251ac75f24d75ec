#[cfg(any(feature = "mqtt", feature = "coap"))]
use embassy_futures::select::Either;
use embassy_futures::select::select;

use super::{Ended, Outbox, Uplink};
use crate::{Board, Clock, Sampler, Sensor, WATCH_MS, store::Store};

/// How often a board without a name looks whether it has got one.
const UNCLAIMED_MS: u64 = 1_000;

/// All of a board's work, over a network: measures, keeps, sends. Never ends.
pub async fn run_uplink<const C: usize>(
    outbox: &Outbox<impl Store<C>, C>,
    sampler: &mut Sampler<C>,
    (sensor, uplink): (&mut impl Sensor<C>, &mut impl Uplink),
    (clock, board): (&impl Clock, &mut impl Board),
) {
    select(measure(outbox, sampler, sensor, (clock, board)), carry(outbox, uplink, clock)).await;
}

async fn measure<const C: usize>(
    outbox: &Outbox<impl Store<C>, C>,
    sampler: &mut Sampler<C>,
    sensor: &mut impl Sensor<C>,
    (clock, board): (&impl Clock, &mut impl Board),
) {
    loop {
        board.feed_watchdog();
        let until_ms = sampler.due_ms().min(clock.now_ms().saturating_add(WATCH_MS));
        while until_ms > clock.now_ms() {
            let shown = outbox.signal();
            board.show(shown, false);
            select(clock.wait_until(until_ms), outbox.changed(shown)).await;
        }
        if sampler.due_ms() <= clock.now_ms() {
            let values = sensor.measure().await;
            let now_ms = clock.now_ms();
            if let Some(reading) = sampler.handle_measured(values, now_ms) {
                outbox.push(reading, now_ms);
            }
        }
    }
}

async fn carry<const C: usize>(
    outbox: &Outbox<impl Store<C>, C>,
    uplink: &mut impl Uplink,
    clock: &impl Clock,
) {
    loop {
        let Some(login) = outbox.identity() else {
            wait(clock, UNCLAIMED_MS).await;
            continue;
        };
        let ended = uplink.serve(&login, outbox, clock).await;
        let wait_ms = outbox.note_broken(ended == Ended::Refused);
        let asked_ms = if let Ended::Later { wait_ms } = ended { wait_ms } else { 0 };
        wait(clock, wait_ms.max(asked_ms)).await;
    }
}

pub(super) async fn wait(clock: &impl Clock, ms: u64) {
    clock.wait_until(clock.now_ms().saturating_add(ms)).await;
}

/// What comes of `work` if that is within `ms`; then it is given up.
#[cfg(any(feature = "mqtt", feature = "coap"))]
pub(super) async fn within<T>(clock: &impl Clock, ms: u64, work: impl Future<Output = T>) -> Option<T> {
    match select(work, wait(clock, ms)).await {
        Either::First(done) => Some(done),
        Either::Second(()) => None,
    }
}

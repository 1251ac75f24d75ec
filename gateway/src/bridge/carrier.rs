use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use tidegate_protocol::DeviceId;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{
    Counters,
    backoff::Backoff,
    replay::{Replay, Replayed},
};
use crate::{
    clock::{Clock, Millis},
    health::Pulse,
    normalise::Routes,
    output::{Items, Output, OutputError},
    spool::{Batch, Cursor, Kind, Lane, Lost, Offset, Reader, Record, Spool},
};

/// Bytes of records that one delivery takes.
pub(super) const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Bytes of records between two confirmations.
pub(super) const UNCONFIRMED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a record is reckoned to take beside its payload.
pub(super) const RECORD_BYTES: usize = 64;
/// Bytes of records that may be delivered while a part of what was delivered before waits: they come again after a
/// restart.
pub(super) const AHEAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Time between two confirmations while a part waits: each tries what waits.
const PARTLY_MS: u64 = 5_000;
/// Time between two confirmations.
pub const UNCONFIRMED_MS_MAX: u64 = 500;
/// How long a stopping bridge goes on delivering what is in the spool.
const DRAIN_MS_MAX: u64 = 5_000;
/// How long a batch may be on its way, with the wait behind a failure: an output that does not even fail in this
/// time hangs. A slow disk or destination answers sooner.
pub(super) const DELIVERY_MS_MAX: Millis = 600_000;
/// Records of a batch that is worth a delivery of its own.
const FULL_ENOUGH: usize = 256;
/// Records of a batch below which there is no load: each batch goes out as soon as it is on disk.
const FEW: usize = 24;
/// How long a bridge lets smaller batches grow under load: much less than an output takes anyway.
const GATHER: Duration = Duration::from_millis(2);
/// How long an idle bridge waits before it looks again by itself.
pub(super) const IDLE: Duration = Duration::from_millis(UNCONFIRMED_MS_MAX);

/// What lives on a bridge's thread.
pub(super) struct Carrier {
    pub(super) name: String,
    pub(super) spool: Spool,
    pub(super) cursor: Cursor,
    pub(super) readers: [Reader; 2],
    pub(super) output: Output,
    pub(super) routes: Arc<ArcSwap<Routes>>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) backoff: Backoff,
    pub(super) unconfirmed: Unconfirmed,
    /// What a part of the deliveries waits for, while the rest goes on.
    pub(super) partly: Option<String>,
}

/// What was delivered and not confirmed yet.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    bytes: usize,
    due_bytes: usize,
    due_ms: u64,
    ends: [Option<Offset>; 2],
}

impl Carrier {
    pub(super) async fn run(
        mut self,
        mut replays: mpsc::Receiver<(Replay, oneshot::Sender<Replayed>)>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let committed = Arc::new(Notify::new());
        let wake = Arc::clone(&committed);
        self.spool.watermark().on_commit(Box::new(move || wake.notify_one()));
        while !is_stopping(&stopping) {
            self.pulse.beat_within(DELIVERY_MS_MAX);
            let moved = self.carry(&mut stopping).await;
            if moved > 0 {
                // A stop or a replay must not wait for the end of a backlog.
                if let Ok((replay, done)) = replays.try_recv() {
                    self.replay(&replay, done, &stopping).await;
                }
                if (FEW..FULL_ENOUGH).contains(&moved) {
                    tokio::select! {
                        () = tokio::time::sleep(GATHER) => {}
                        () = self.output.drive() => {}
                    }
                }
                continue;
            }
            self.pulse.beat();
            let pause = self.output.pause(Lane::Telemetry);
            let idle = if pause.is_zero() { IDLE } else { pause.clamp(GATHER, IDLE) };
            tokio::select! {
                () = committed.notified() => {}
                () = tokio::time::sleep(idle) => {}
                () = self.output.drive() => {}
                request = replays.recv() => if let Some((replay, done)) = request {
                    self.replay(&replay, done, &stopping).await;
                },
                _ = stopping.changed() => {}
            }
        }
        self.drain().await;
    }

    async fn drain(&mut self) {
        self.pulse.beat_within(DELIVERY_MS_MAX);
        let until_ms = self.clock.now_ms().saturating_add(DRAIN_MS_MAX);
        // A failing output has had its tries: what it does not take is in the spool for the next start.
        while self.clock.now_ms() < until_ms && self.try_carry().await.is_ok_and(|moved| moved > 0) {}
        if let Err(error) = self.confirm().await {
            tracing::warn!(output = %self.name, %error, "what was delivered last is delivered again at the next start");
        }
    }

    /// Delivers one batch, `event` first, and returns its records. A failing output is waited for.
    async fn carry(&mut self, stopping: &mut watch::Receiver<bool>) -> usize {
        match self.try_carry().await {
            Ok(moved) => {
                if self.backoff.is_failing() {
                    tracing::info!(output = %self.name, "deliveries go well again");
                    self.backoff.reset();
                    self.note_trouble(self.partly.as_deref().unwrap_or_default());
                }
                moved
            }
            Err(error) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                if !self.backoff.is_failing() {
                    tracing::warn!(output = %self.name, %error, "cannot deliver; the spool keeps everything until it can");
                    self.note_trouble(&error.to_string());
                }
                let wait = self.backoff.next(error.is_away(), random());
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stopping.changed() => {}
                }
                0
            }
        }
    }

    async fn try_carry(&mut self) -> Result<usize, OutputError> {
        if self.unconfirmed.bytes >= AHEAD_BYTES_MAX {
            self.confirm_what_is_due().await?;
        }
        for lane in Lane::ALL {
            if !self.output.pause(lane).is_zero() {
                continue;
            }
            let from = self.reader(lane).offset();
            let batch = self.reader(lane).next_batch(BATCH_BYTES_MAX).map_err(OutputError::Spool)?;
            if batch.is_empty() {
                continue;
            }
            let routes = self.routes.load_full();
            let records = records(&batch);
            let items = Items { lane, routes: &routes, records: &records };
            let count = records.len();
            let bytes = records.iter().map(|(record, _)| RECORD_BYTES + record.payload.len()).sum();
            if let Err(error) = self.output.deliver(items, batch.lost()).await {
                // None of it counts as delivered: it is read again.
                *self.reader(lane) = self.spool.reader(lane, from);
                return Err(error);
            }
            self.note_delivered(lane, batch.lost(), count, bytes);
            self.confirm_when_due().await?;
            return Ok(count.max(1));
        }
        self.confirm_when_due().await?;
        Ok(0)
    }

    fn note_delivered(&mut self, lane: Lane, lost: Option<Lost>, count: usize, bytes: usize) {
        let end = self.reader(lane).offset();
        if self.unconfirmed.bytes == 0 {
            self.unconfirmed.due_ms = self.clock.now_ms().saturating_add(UNCONFIRMED_MS_MAX);
            self.unconfirmed.due_bytes = UNCONFIRMED_BYTES_MAX;
        }
        self.unconfirmed.bytes = self.unconfirmed.bytes.saturating_add(bytes.max(1));
        if let Some(slot) = self.unconfirmed.ends.get_mut(lane as usize) {
            *slot = Some(end);
        }
        self.counters.delivered.fetch_add(count.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(lost) = lost {
            tracing::error!(output = %self.name, ?lost, "records of the spool are damaged and cannot be delivered");
            self.counters.lost.fetch_add(lost.to.saturating_sub(lost.from), Ordering::Relaxed);
        }
    }

    async fn confirm_when_due(&mut self) -> Result<(), OutputError> {
        if self.output.is_troubled() {
            let confirmed = self.confirm_output().await;
            self.excuse(confirmed)?;
        }
        let Unconfirmed { bytes, due_bytes, due_ms, .. } = self.unconfirmed;
        if bytes >= due_bytes || self.clock.now_ms() >= due_ms {
            self.confirm_what_is_due().await?;
        }
        Ok(())
    }

    async fn confirm_what_is_due(&mut self) -> Result<(), OutputError> {
        let confirmed = self.confirm().await;
        let is_whole = confirmed.is_ok();
        self.excuse(confirmed)?;
        if is_whole && self.partly.take().is_some() {
            tracing::info!(output = %self.name, "what waited is delivered");
            self.note_trouble("");
        }
        Ok(())
    }

    /// As long as few enough have gone ahead of what waits, the rest goes on. The cursor stays.
    fn excuse(&mut self, confirmed: Result<(), OutputError>) -> Result<(), OutputError> {
        let Err(OutputError::Partly(why)) = confirmed else { return confirmed };
        if self.unconfirmed.bytes >= AHEAD_BYTES_MAX {
            let why =
                format!("{why}; {AHEAD_BYTES_MAX} bytes of records have gone ahead, so all others wait too");
            return Err(OutputError::Holding { why, is_away: true });
        }
        if self.partly.as_ref() != Some(&why) {
            tracing::warn!(output = %self.name, %why, "a part waits in the spool, and the rest goes on");
            self.note_trouble(&why);
            self.partly = Some(why);
        }
        self.unconfirmed.due_ms = self.clock.now_ms().saturating_add(PARTLY_MS);
        self.unconfirmed.due_bytes = AHEAD_BYTES_MAX;
        Ok(())
    }

    /// Has the output confirm what was delivered, and only then moves the cursor.
    pub(super) async fn confirm(&mut self) -> Result<(), OutputError> {
        if self.unconfirmed.bytes == 0 {
            return Ok(());
        }
        self.confirm_output().await?;
        let done = std::mem::take(&mut self.unconfirmed);
        for (lane, end) in Lane::ALL.into_iter().zip(done.ends) {
            if let Some(end) = end {
                self.cursor.advance(lane, end).map_err(OutputError::Cursor)?;
            }
        }
        Ok(())
    }

    /// Has the output confirm. When it cannot, whatever came after the last confirmation may be gone, although a later
    /// try may succeed: all of it is delivered again, unless the output says that it holds it.
    pub(super) async fn confirm_output(&mut self) -> Result<(), OutputError> {
        let confirmed = self.output.confirm().await;
        self.counters.dead_letters.store(self.output.dead_letters(), Ordering::Relaxed);
        let Err(error) = confirmed else { return Ok(()) };
        if matches!(error, OutputError::Holding { .. } | OutputError::Partly(_)) {
            return Err(error);
        }
        self.unconfirmed = Unconfirmed::default();
        self.readers = Lane::ALL.map(|lane| self.spool.reader(lane, self.cursor.get(lane)));
        self.output.begin_anew().await?;
        Err(error)
    }

    fn reader(&mut self, lane: Lane) -> &mut Reader {
        let [event, telemetry] = &mut self.readers;
        match lane {
            Lane::Event => event,
            Lane::Telemetry => telemetry,
        }
    }

    fn note_trouble(&self, trouble: &str) {
        trouble.clone_into(&mut self.counters.trouble.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether the bridge is to end; it is too when nobody holds it any more.
pub(super) fn is_stopping(stopping: &watch::Receiver<bool>) -> bool {
    *stopping.borrow() || stopping.has_changed().is_err()
}

/// The records of a batch that concern an output, each with whose it is.
pub(super) fn records(batch: &Batch) -> Vec<(Record<'_>, DeviceId)> {
    let mut records = Vec::with_capacity(batch.room());
    records.extend(batch.records().filter_map(with_device));
    records
}

fn with_device(record: Record<'_>) -> Option<(Record<'_>, DeviceId)> {
    match record.envelope.kind {
        Kind::Message | Kind::Gap => {
            DeviceId::new(record.envelope.device).ok().map(|device| (record, device))
        }
        Kind::Reject | Kind::Session | Kind::Command | Kind::Lifecycle => None,
    }
}

fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}

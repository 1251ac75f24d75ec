use tokio::sync::{oneshot, watch};

use super::carrier::{
    BATCH_BYTES_MAX, Carrier, DELIVERY_MS_MAX, IDLE, RECORD_BYTES, UNCONFIRMED_BYTES_MAX, is_stopping,
    records,
};
use crate::{
    output::{Items, OutputError},
    spool::{Lane, Offset},
};

/// A past span that goes to the output again. The cursor does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// First gateway time, Unix milliseconds.
    pub from_ms: u64,
    /// First gateway time that is not part of it, Unix milliseconds.
    pub to_ms: u64,
}

/// Records delivered again, or why it ended early.
pub type Replayed = Result<u64, String>;

impl Carrier {
    /// Delivers a span again, between two batches of the stream. Its records carry the uids they had.
    pub(super) async fn replay(
        &mut self,
        replay: &Replay,
        done: oneshot::Sender<Replayed>,
        stopping: &watch::Receiver<bool>,
    ) {
        let outcome = self.try_replay(replay, stopping).await;
        // Who asked may have gone.
        let _told = done.send(outcome.map_err(|error| error.to_string())).is_ok();
    }

    async fn try_replay(
        &mut self,
        replay: &Replay,
        stopping: &watch::Receiver<bool>,
    ) -> Result<u64, OutputError> {
        self.pulse.beat_within(DELIVERY_MS_MAX);
        // What the stream has delivered and what the replay delivers are confirmed apart.
        self.confirm().await?;
        let mut delivered: u64 = 0;
        for lane in Lane::ALL {
            let from = self.spool.offset_at(lane, replay.from_ms).map_err(OutputError::Spool)?;
            let to = self.spool.offset_at(lane, replay.to_ms).map_err(OutputError::Spool)?;
            delivered = delivered.saturating_add(self.replay_lane(lane, from, to, stopping).await?);
        }
        self.confirm_output().await?;
        Ok(delivered)
    }

    async fn replay_lane(
        &mut self,
        lane: Lane,
        from: Offset,
        to: Offset,
        stopping: &watch::Receiver<bool>,
    ) -> Result<u64, OutputError> {
        let mut reader = self.spool.reader(lane, from);
        let (mut delivered, mut unconfirmed_bytes) = (0_u64, 0_usize);
        while reader.offset() < to {
            if is_stopping(stopping) {
                return Err(OutputError::Stopping);
            }
            self.pulse.beat_within(DELIVERY_MS_MAX);
            let pause = self.output.pause(lane);
            if !pause.is_zero() {
                // A stop must not wait for long.
                tokio::time::sleep(pause.min(IDLE)).await;
                continue;
            }
            let batch = reader.next_batch(BATCH_BYTES_MAX).map_err(OutputError::Spool)?;
            if batch.is_empty() {
                break;
            }
            let routes = self.routes.load_full();
            let mut records = records(&batch);
            records.retain(|(record, _)| record.position.offset < to);
            self.output.deliver(Items { lane, routes: &routes, records: &records }, batch.lost()).await?;
            delivered = delivered.saturating_add(records.len().try_into().unwrap_or(u64::MAX));
            let bytes = records.iter().map(|(record, _)| RECORD_BYTES + record.payload.len());
            unconfirmed_bytes = unconfirmed_bytes.saturating_add(bytes.sum());
            if unconfirmed_bytes >= UNCONFIRMED_BYTES_MAX {
                self.confirm_output().await?;
                unconfirmed_bytes = 0;
            }
        }
        Ok(delivered)
    }
}

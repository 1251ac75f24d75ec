use tokio::sync::oneshot;

use super::carrier::{BATCH_BYTES_MAX, Carrier, items, records};
use crate::{output::OutputError, spool::Lane};

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
    pub(super) async fn replay(&mut self, replay: &Replay, done: oneshot::Sender<Replayed>) {
        let outcome = self.try_replay(replay).await;
        // Who asked may have gone.
        let _told = done.send(outcome.map_err(|error| error.to_string())).is_ok();
    }

    async fn try_replay(&mut self, replay: &Replay) -> Result<u64, OutputError> {
        let mut delivered: u64 = 0;
        for lane in Lane::ALL {
            let from = self.spool.offset_at(lane, replay.from_ms).map_err(OutputError::Spool)?;
            let to = self.spool.offset_at(lane, replay.to_ms).map_err(OutputError::Spool)?;
            let mut reader = self.spool.reader(lane, from);
            while reader.offset() < to {
                let batch = reader.next_batch(BATCH_BYTES_MAX).map_err(OutputError::Spool)?;
                if batch.is_empty() {
                    break;
                }
                let routes = self.routes.load_full();
                let mut records = records(&batch);
                records.retain(|(record, _)| record.position.offset < to);
                let again = items(&routes, &records);
                self.output.deliver(&again, batch.lost()).await?;
                delivered = delivered.saturating_add(again.len().try_into().unwrap_or(u64::MAX));
            }
        }
        self.output.confirm().await?;
        Ok(delivered)
    }
}

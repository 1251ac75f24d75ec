//! A service's view of the core: durable records in order, whatever becomes of the router.

use std::{sync::Arc, thread, time::Duration};

use bytes::Bytes;
use tidegate_protocol::Lane;

use super::{
    broker::{Dead, Link},
    hub::Hub,
    message::{self, Head},
};
use crate::{
    clock::{deadline, is_over},
    spool::{Malformed, Offset, PerLane, ReadError, Reader, Record, Spool},
};

/// Bytes of records that one look at the spool takes.
const TURN_BYTES_MAX: usize = 64 * 1024;
/// How often one who follows without a router looks at the spool.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the router may be silent, while there is something new in the spool, before it is read there.
const SILENT_MAX: Duration = Duration::from_millis(250);
/// How long a link may take to be handed back.
const RESET_MS_MAX: u64 = 500;

/// Gives the durable records of both lanes, each lane in order and without a hole but for what the spool itself has
/// lost. For a thread that may wait.
///
/// It holds back nothing from deletion: what is given up before it is read is passed over.
pub struct Follower {
    hub: Arc<Hub>,
    spool: Spool,
    /// The next offset of each lane.
    next: PerLane<Offset>,
    /// Reads a lane that is behind what the router gives.
    behind: PerLane<Option<Reader>>,
    /// The link and the number of its router.
    link: Option<(Link, u64)>,
    /// The messages of a round that is not complete.
    open: Vec<Bytes>,
}

impl Follower {
    pub(super) fn new(hub: Arc<Hub>, spool: Spool, next: PerLane<Offset>) -> Self {
        hub.enter();
        let behind = PerLane::new(|lane| Some(spool.reader(lane, *next.of(lane))));
        Self { hub, spool, next, behind, link: None, open: Vec::new() }
    }

    /// The next offset of each lane: everything before it was given out.
    #[must_use]
    pub fn next(&self) -> PerLane<Offset> {
        self.next
    }

    /// Gives the next records to `take`; how many, 0 when there were none for as long as `wait`.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub fn look(&mut self, wait: Duration, take: &mut dyn FnMut(&Record<'_>)) -> Result<usize, ReadError> {
        let until = deadline(wait);
        loop {
            let taken = self.read_spool(take)?;
            if taken > 0 {
                return Ok(taken);
            }
            let silent_until = deadline(SILENT_MAX).min(until);
            self.connect();
            let taken = match self.link.as_mut().map(|(link, _)| link.receive(silent_until)) {
                Some(Ok(Some(message))) => self.handle_message(message, take),
                Some(Ok(None)) => {
                    self.read_what_is_missing();
                    0
                }
                Some(Err(error)) => {
                    self.disconnect(&error);
                    0
                }
                None => {
                    thread::sleep(LOOK_EVERY.min(wait));
                    self.read_what_is_missing();
                    0
                }
            };
            if taken > 0 {
                return Ok(taken);
            }
            if is_over(until) && self.behind.iter().all(|(_, reader)| reader.is_none()) {
                return Ok(0);
            }
        }
    }

    /// Gives out a batch of each lane that is behind.
    fn read_spool(&mut self, take: &mut dyn FnMut(&Record<'_>)) -> Result<usize, ReadError> {
        let mut taken = 0;
        for lane in Lane::ALL {
            let Some(reader) = self.behind.of_mut(lane) else { continue };
            let batch = reader.next_batch(TURN_BYTES_MAX)?;
            if batch.is_empty() {
                *self.behind.of_mut(lane) = None;
                continue;
            }
            for record in batch.records() {
                take(&record);
                taken += 1;
            }
            *self.next.of_mut(lane) = batch.end();
        }
        Ok(taken)
    }

    #[cfg(test)]
    pub(super) fn has_link(&self) -> bool {
        self.link.is_some()
    }

    fn connect(&mut self) {
        if self.link.as_ref().is_some_and(|(_, router)| self.hub.is_present(*router)) {
            return;
        }
        // A router that was given up because it is silent leaves its links open.
        self.link = None;
        self.open.clear();
        let Some((mut link, router)) = self.hub.take_link() else { return };
        match link.subscribe() {
            Ok(()) => self.link = Some((link, router)),
            Err(error) => self.disconnect(&error),
        }
    }

    fn disconnect(&mut self, error: &Dead) {
        tracing::debug!(%error, "a service reads the spool until there is another router");
        self.link = None;
        self.open.clear();
        self.read_what_is_missing();
    }

    /// Reads the spool where it has more than was given out.
    fn read_what_is_missing(&mut self) {
        let durable = self.spool.watermark().durable();
        for lane in Lane::ALL {
            if durable.end(lane) > *self.next.of(lane) {
                self.fall_behind(lane);
            }
        }
    }

    fn fall_behind(&mut self, lane: Lane) {
        let from = *self.next.of(lane);
        *self.behind.of_mut(lane) = Some(self.spool.reader(lane, from));
    }

    /// Puts a message to its round, and gives the round out when it is complete.
    fn handle_message(&mut self, message: Bytes, take: &mut dyn FnMut(&Record<'_>)) -> usize {
        match self.try_handle_message(message, take) {
            Ok(taken) => taken,
            Err(lane) => {
                self.hub.note_reread();
                self.open.clear();
                match lane {
                    Some(lane) => self.fall_behind(lane),
                    None => self.read_what_is_missing(),
                }
                0
            }
        }
    }

    /// Fails with the lane that has a hole; none when there is no telling.
    fn try_handle_message(
        &mut self,
        message: Bytes,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> Result<usize, Option<Lane>> {
        let head = Head::read(&message).map_err(|Malformed| None)?;
        let expected = match self.open.first().and_then(|first| Head::read(first).ok()) {
            Some(first) if (first.lane, first.from) == (head.lane, head.from) => self.open.len(),
            // The rest of the round before this one is missing.
            Some(first) => return Err(Some(first.lane)),
            None => 0,
        };
        if head.to <= *self.next.of(head.lane) {
            // It was read in the spool.
            self.open.clear();
            return Ok(0);
        }
        if head.count == 0 {
            self.fall_behind(head.lane);
            return Ok(0);
        }
        let is_next = usize::try_from(head.index).is_ok_and(|index| index == expected);
        if !is_next || head.from > *self.next.of(head.lane) {
            return Err(Some(head.lane));
        }
        self.open.push(message);
        if head.index.saturating_add(1) < head.count {
            return Ok(0);
        }
        self.give_out(head, take).map_err(|Malformed| Some(head.lane))
    }

    /// Gives out the round that is open and complete, in the order of its offsets.
    fn give_out(&mut self, head: Head, take: &mut dyn FnMut(&Record<'_>)) -> Result<usize, Malformed> {
        let messages = std::mem::take(&mut self.open);
        let mut records = Vec::new();
        for message in &messages {
            message::records(message, &mut records)?;
        }
        records.sort_unstable_by_key(|record| record.position.offset);
        let next = *self.next.of(head.lane);
        let mut taken = 0;
        for record in records.iter().filter(|record| record.position.offset >= next) {
            take(record);
            taken += 1;
        }
        *self.next.of_mut(head.lane) = head.to;
        Ok(taken)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some((mut link, router)) = self.link.take()
            && link.reset(deadline(Duration::from_millis(RESET_MS_MAX))).is_ok()
        {
            self.hub.put_link(link, router);
        }
        self.hub.leave();
    }
}

//! Makes segments ready ahead of the writer, and gives up what may be given up.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use tidegate_protocol::Lane;

use super::{
    Failure, PerLane,
    catalog::{Blank, Segment},
    gap::{GAPS_MAX, Gap, Gatherer, Summaries},
    pending::Door,
    retention::{BLANKS_MIN, Decision, Oldest, View},
    scan::{Found, Scan},
    segment::{BLOCK, Epoch, SegmentHeader},
    state::{State, is_no_room},
    storage::{AlignedBuffer, Storage},
};

/// Segments under `max_disk` from which on one more than one a lane is made ready.
const ROOMY_SEGMENTS: u64 = 32;

/// Makes segments ready ahead of the writer, and gives up what may be given up.
pub(super) struct Keeper {
    state: Arc<State>,
    /// Making a file has failed for want of room; tried again after something was given up, or a while.
    no_room: bool,
    /// The start waits for what is made.
    is_waited_for: bool,
}

impl Keeper {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, no_room: false, is_waited_for: false }
    }

    /// Works until the spool is closed or fails.
    pub(super) fn run(mut self) {
        loop {
            self.state.keeper_sleep();
            if self.state.pending().door != Door::Open || self.step().is_err() {
                return;
            }
        }
    }

    /// Does all there is to do.
    pub(super) fn step(&mut self) -> Result<(), Failure> {
        self.work(usize::MAX)
    }

    /// Does what the first appends need.
    pub(super) fn prime(&mut self) -> Result<(), Failure> {
        let begins = self.state.catalog().segments.iter().any(|(_, segments)| segments.is_empty());
        self.is_waited_for = true;
        let primed = self.work(BLANKS_MIN + usize::from(begins));
        self.is_waited_for = false;
        primed
    }

    /// Works until there is nothing to do or `enough` segments lie ready.
    fn work(&mut self, enough: usize) -> Result<(), Failure> {
        self.no_room = false;
        while self.state.pending().blanks() < enough {
            if let Some(failure) = self.state.watermark.failure() {
                return Err(failure.clone());
            }
            match self.act() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if is_no_room(&error) => {
                    self.state.pending().no_room = true;
                    return Ok(());
                }
                Err(error) => return Err(self.state.poison_io("keeping the spool's segments", &error)),
            }
        }
        Ok(())
    }

    /// Does one thing; false when there is none.
    fn act(&mut self) -> io::Result<bool> {
        self.forget_gaps()?;
        let decision = self.view()?.decide();
        if matches!(decision, Decision::Make | Decision::Recycle(_) | Decision::Drop(_)) {
            // The disk takes a while for it: whoever appends meanwhile is told to wait, not that there is no room.
            self.state.pending().no_room = false;
        }
        match decision {
            Decision::Rest => return Ok(false),
            Decision::Full => {
                self.state.pending().no_room = true;
                return Ok(false);
            }
            Decision::Make => match self.make_blank() {
                Err(error) if is_no_room(&error) => self.no_room = true,
                made => made?,
            },
            Decision::Recycle(lane) => self.recycle(lane)?,
            Decision::Delete(lane) => {
                let segment = self.take_oldest(lane);
                segment.map_or(Ok(()), |segment| self.state.storage.remove(&segment.name))?;
            }
            Decision::DeleteBlank => {
                if !self.state.pending().take_blank() {
                    return Ok(false);
                }
                let blank = self.state.catalog_mut().blanks.pop_back();
                blank.map_or(Ok(()), |blank| self.state.storage.remove(&blank.name))?;
            }
            Decision::Drop(lane) => {
                self.summarise(lane)?;
                self.recycle(lane)?;
            }
        }
        Ok(true)
    }

    fn view(&self) -> io::Result<View> {
        let State { limits, cursors, .. } = &*self.state;
        let free_bytes = self.state.storage.free_bytes()?;
        let (blanks, appended_ms) = {
            let pending = self.state.pending();
            (pending.blanks(), pending.wall_ms())
        };
        // Before the catalog is locked: a consumer being registered holds the cursors and asks the catalog.
        let confirmed = PerLane::new(|lane| cursors.confirmed(lane));
        let others_bytes = self.state.quarantine.size().1 + cursors.bytes();
        let catalog = self.state.catalog();
        let disk_bytes = catalog.bytes() + others_bytes;
        let oldest = |lane| {
            let segments = catalog.segments.of(lane);
            let oldest = segments.front().filter(|_| segments.len() > 1)?.extent();
            Some(Oldest { end: oldest.end, ts_max: oldest.ts_max })
        };
        let roomy = limits.spool_bytes_max / limits.segment_bytes >= ROOMY_SEGMENTS;
        let begins = catalog.segments.iter().any(|(_, segments)| segments.is_empty());
        Ok(View {
            oldest: PerLane::new(oldest),
            confirmed,
            blanks,
            blanks_wanted: BLANKS_MIN + usize::from(roomy || begins),
            room: !self.no_room
                && disk_bytes + limits.segment_bytes <= limits.spool_bytes_max
                && free_bytes.saturating_sub(limits.segment_bytes) >= limits.reserve_free_bytes,
            over: disk_bytes > limits.spool_bytes_max,
            when_full: limits.when_full,
            keep_ms: limits.keep_ms,
            now_ms: self.state.wall_ms.load(Ordering::Relaxed).max(appended_ms),
        })
    }

    /// Takes the lane's oldest segment out of the log; readers do not find it any more.
    fn take_oldest(&self, lane: Lane) -> Option<Arc<Segment>> {
        let segment = {
            let mut catalog = self.state.catalog_mut();
            let segments = catalog.segments.of_mut(lane);
            if segments.len() > 1 { segments.pop_front() } else { None }
        }?;
        let mut pending = self.state.pending();
        pending.rejects_bytes = pending.rejects_bytes.saturating_sub(segment.extent().rejects_bytes);
        Some(segment)
    }

    /// Makes the lane's oldest segment ready: its header says so, durably, before it counts.
    fn recycle(&self, lane: Lane) -> io::Result<()> {
        let Some(segment) = self.take_oldest(lane) else { return Ok(()) };
        if segment.bytes != self.state.limits.segment_bytes {
            return self.state.storage.remove(&segment.name);
        }
        let epoch = new_epoch(&self.state)?;
        let blank = Blank { name: segment.name.clone(), bytes: segment.bytes, epoch };
        write_blank_header(&*self.state.storage, &blank)?;
        add_blank(&self.state, blank);
        Ok(())
    }

    /// Makes a new file ready. Nobody waits for it while as many as are needed lie ready.
    fn make_blank(&self) -> io::Result<()> {
        let state = &*self.state;
        let epoch = new_epoch(state)?;
        let blank = {
            let mut catalog = state.catalog_mut();
            Blank { name: catalog.next_file_name(), bytes: state.limits.segment_bytes, epoch }
        };
        let has_leisure = || {
            let pending = state.pending();
            !self.is_waited_for && pending.blanks() >= BLANKS_MIN && pending.door == Door::Open
        };
        state.storage.create(&blank.name, blank.bytes, &has_leisure)?;
        write_blank_header(&*state.storage, &blank)?;
        add_blank(state, blank);
        Ok(())
    }

    /// Puts a gap summary in place of the lane's oldest segment, durably.
    fn summarise(&self, lane: Lane) -> io::Result<()> {
        let segments =
            self.state.catalog().segments.of(lane).iter().take(2).map(Arc::clone).collect::<Vec<_>>();
        let [segment, next] = segments.as_slice() else { return Ok(()) };
        let gathered = gather(&self.state, segment)?;
        let count = gathered.count;
        let range = (segment.place.base, segment.extent().end.min(next.place.base));
        if count > 0 {
            let gap = gathered.write(&*self.state.storage, lane, range)?;
            self.state.catalog_mut().gaps.of_mut(lane).push(Arc::new(gap));
        }
        self.state.dropped.fetch_add(count, Ordering::Relaxed);
        self.merge_gaps(lane)
    }

    /// Makes one of the two oldest gap files where there are too many.
    fn merge_gaps(&self, lane: Lane) -> io::Result<()> {
        let gaps = self.state.catalog().gaps.of(lane).clone();
        let [first, second, ..] = gaps.as_slice() else { return Ok(()) };
        if gaps.len() <= GAPS_MAX {
            return Ok(());
        }
        let storage = &*self.state.storage;
        let mut gathered = Gatherer::default();
        for gap in [first, second] {
            let summaries = Summaries::read(storage, &gap.file_name())?;
            for record in (0..summaries.len()).filter_map(|number| summaries.record(number)) {
                gathered.add(&record);
            }
        }
        let merged = gathered.write(storage, lane, (first.from, second.to))?;
        self.state.catalog_mut().gaps.of_mut(lane).splice(0..2, [Arc::new(merged)]);
        storage.remove(&first.file_name())?;
        storage.remove(&second.file_name())
    }

    /// Removes gap files that every consumer is past.
    fn forget_gaps(&self) -> io::Result<()> {
        for lane in Lane::ALL {
            let confirmed = self.state.cursors.confirmed(lane);
            let done = |gap: &Arc<Gap>| gap.to <= confirmed;
            let gone: Vec<_> =
                self.state.catalog().gaps.of(lane).iter().filter(|gap| done(gap)).cloned().collect();
            if gone.is_empty() {
                continue;
            }
            self.state.catalog_mut().gaps.of_mut(lane).retain(|gap| !done(gap));
            for gap in gone {
                self.state.storage.remove(&gap.file_name())?;
            }
        }
        Ok(())
    }
}

/// What each device has in a segment.
fn gather(state: &State, segment: &Segment) -> io::Result<Gatherer> {
    let extent = segment.extent();
    let file = state.storage.open(&segment.name, false)?;
    let log = (segment.place.lane, segment.epoch);
    let mut scan = Scan::new(&*file, log, (BLOCK, extent.position), (0, segment.place.base));
    let mut gathered = Gatherer::default();
    while let Found::Commit { commit, .. } = scan.next_commit()? {
        for record in commit.records() {
            gathered.add(&record);
        }
    }
    Ok(gathered)
}

/// Says durably that a segment is not in use and which epoch its next use has.
pub(super) fn write_blank_header(storage: &dyn Storage, blank: &Blank) -> io::Result<()> {
    let header = SegmentHeader { bytes: blank.bytes, epoch: blank.epoch, log: None };
    let file = storage.open(&blank.name, true)?;
    file.write_synced(AlignedBuffer::holding(&header.to_block()).as_slice(), 0).map(drop)
}

fn new_epoch(state: &State) -> io::Result<Epoch> {
    let random = state.storage.random()?;
    Ok(state.catalog_mut().next_epoch(random))
}

fn add_blank(state: &State, blank: Blank) {
    state.catalog_mut().blanks.push_back(blank);
    state.pending().add_blank();
    // Whoever was told to wait may have no commit to be woken by.
    state.watermark.wake();
}

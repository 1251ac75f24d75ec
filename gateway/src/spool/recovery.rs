//! What is on disk at the start, made trustworthy.
//!
//! Sealed segments are taken at their footers' word; only the last segment of each lane is scanned. An invalid last
//! commit is cut whole: its blocks may have landed in any order, and nobody was told that it was safe. The last commits
//! are written afresh, the same bytes in the same place, and synced before they are trusted: after a failed sync the
//! page cache may show what the disk does not have.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
};

use tidegate_protocol::Lane;

use super::{
    Lost, LostCause, Offset, PerLane,
    catalog::{Blank, Catalog, Located, Segment},
    cursor::{self, Cursors, FoundCursor},
    gap::{GAPS_FOLDER, Summaries},
    keeper::write_blank_header,
    quarantine::Quarantine,
    salvage,
    scan::{Found, Scan},
    segment::{
        BLOCK, BLOCK_BYTES, Epoch, Extent, LogPlace, SegmentHeader, epoch_count, footer_from_block,
        footer_to_block,
    },
    storage::{AlignedBuffer, Storage, StorageFile},
    writer::{Tail, seal},
};

/// Bytes at the end of a log that are written afresh, in whole commits; one commit at least.
const AFRESH_BYTES_MAX: u64 = 1 << 20;

/// What the names of segment files end in.
const SEGMENT_SUFFIX: &str = ".segment";

/// A cursor that is further than this past the end of its lane is damaged, whatever its checksum says.
const CURSOR_AHEAD_MAX: u64 = 1 << 40;

/// What was found when the spool was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The next offset of each lane.
    pub ends: PerLane<Offset>,
    /// The first record of each lane that is there.
    pub oldest: PerLane<Offset>,
    /// Bytes of an unfinished last commit that were cut off; nobody was told they were safe.
    pub cut_bytes: u64,
    /// Damage, each in a sentence.
    pub damage: Vec<String>,
    /// Records that damage has taken, by lane.
    pub lost: PerLane<Vec<Lost>>,
}

/// Everything the spool begins with.
pub(super) struct Start {
    pub(super) catalog: Catalog,
    pub(super) tails: PerLane<Option<Tail>>,
    pub(super) cursors: Cursors,
    pub(super) report: Recovered,
}

/// A segment file with a header that can be trusted.
struct Candidate {
    name: String,
    header: SegmentHeader,
    place: LogPlace,
}

/// Reads the directory and makes it trustworthy.
pub(super) fn recover(
    storage: &Arc<dyn Storage>,
    quarantine: &Quarantine,
    segment_bytes: u64,
) -> io::Result<Start> {
    let mut recovery = Recovery {
        storage: &**storage,
        quarantine,
        segment_bytes,
        catalog: Catalog::default(),
        report: Recovered::default(),
    };
    let candidates = recovery.read_headers()?;
    let mut tails = PerLane::default();
    for lane in Lane::ALL {
        let mut of_lane: Vec<_> = candidates.iter().filter(|c| c.place.lane == lane).collect();
        of_lane.sort_by_key(|candidate| (candidate.place.base, candidate.header.epoch));
        *tails.of_mut(lane) = recovery.read_lane(lane, &of_lane)?;
    }
    recovery.read_gaps()?;
    recovery.find_holes();
    let found = cursor::load(&**storage, true)?;
    let cursors = recovery.take_up_cursors(found)?;
    let Recovery { catalog, report, .. } = recovery;
    Ok(Start { catalog, tails, cursors, report })
}

struct Recovery<'a> {
    storage: &'a dyn Storage,
    quarantine: &'a Quarantine,
    segment_bytes: u64,
    catalog: Catalog,
    report: Recovered,
}

impl Recovery<'_> {
    /// Sorts the files into segments in use and those made ready, which get a new epoch.
    fn read_headers(&mut self) -> io::Result<Vec<Candidate>> {
        let (mut candidates, mut blanks) = (Vec::new(), Vec::new());
        let names = self.storage.list("")?;
        let owners = self.owners(&names)?;
        for name in names {
            let Some(number) = name.strip_suffix(SEGMENT_SUFFIX) else { continue };
            if let Ok(number) = number.parse::<u64>() {
                self.catalog.file_number = self.catalog.file_number.max(number.saturating_add(1));
            }
            let Some(mut header) = self.read_header(&name, &owners)? else { continue };
            self.catalog.epoch_count = self.catalog.epoch_count.max(epoch_count(header.epoch) + 1);
            let len = self.storage.open(&name, false)?.len()?;
            match header.log {
                Some(place) => {
                    if len < header.bytes {
                        self.damage(format!("{name} has {len} bytes instead of {}", header.bytes));
                        header.bytes = (len / BLOCK * BLOCK).max(2 * BLOCK);
                    }
                    candidates.push(Candidate { name, header, place });
                }
                None if len == self.segment_bytes && header.bytes == len => blanks.push(name),
                None => self.storage.remove(&name)?,
            }
        }
        for name in blanks {
            let epoch = self.catalog.next_epoch(self.storage.random()?);
            let blank = Blank { name, bytes: self.segment_bytes, epoch };
            write_blank_header(self.storage, &blank)?;
            self.catalog.blanks.push_back(blank);
        }
        Ok(candidates)
    }

    /// Which file each epoch belongs to: the one whose header names it, else the one whose commits do. Where there are
    /// several, a block or a file has got to where it does not belong; it is the one with the most commits.
    fn owners(&self, names: &[String]) -> io::Result<HashMap<Epoch, String>> {
        let mut owners = HashMap::new();
        let mut headless = Vec::new();
        let mut block = vec![0; BLOCK_BYTES];
        for name in names.iter().filter(|name| name.ends_with(SEGMENT_SUFFIX)) {
            let file = self.storage.open(name, false)?;
            let read = file.read_at(&mut block, 0)?;
            match SegmentHeader::from_block(block.get(..read).unwrap_or_default()) {
                Ok(header) => self.claim(&mut owners, header.epoch, name)?,
                Err(_) => headless.push((name, file)),
            }
        }
        let named = owners.clone();
        for (name, file) in headless {
            if let Some(header) = salvage::header(&*file, |epoch| named.contains_key(&epoch))? {
                self.claim(&mut owners, header.epoch, name)?;
            }
        }
        Ok(owners)
    }

    fn claim(&self, owners: &mut HashMap<Epoch, String>, epoch: Epoch, name: &str) -> io::Result<()> {
        if let Some(other) = owners.get(&epoch) {
            let commits = |name| salvage::commits(&*self.storage.open(name, false)?, epoch);
            if commits(other)? >= commits(name)? {
                return Ok(());
            }
        }
        owners.insert(epoch, name.into());
        Ok(())
    }

    /// The header of a segment file; where it is damaged or another file's, what its commits say. A file that was being
    /// made is removed.
    fn read_header(
        &mut self,
        name: &str,
        owners: &HashMap<Epoch, String>,
    ) -> io::Result<Option<SegmentHeader>> {
        let file = self.storage.open(name, false)?;
        let mut block = vec![0; BLOCK_BYTES];
        let read = file.read_at(&mut block, 0)?;
        if let Ok(header) = SegmentHeader::from_block(&block)
            && owners.get(&header.epoch).is_some_and(|owner| owner == name)
        {
            return Ok(Some(header));
        }
        let salvaged =
            salvage::header(&*file, |epoch| owners.get(&epoch).is_some_and(|owner| owner != name))?;
        if read == BLOCK_BYTES && block.iter().all(|byte| *byte == 0) && salvaged.is_none()
            || read < BLOCK_BYTES
        {
            self.storage.remove(name)?;
            return Ok(None);
        }
        self.damage(format!("the header of {name} is damaged"));
        let Some(header) = salvaged else {
            self.quarantine.keep(self.storage, (name, 0), (0, file.len()?))?;
            self.storage.remove(name)?;
            return Ok(None);
        };
        self.quarantine.keep(self.storage, (name, header.epoch), (0, BLOCK))?;
        write_header(self.storage, name, &header)?;
        Ok(Some(header))
    }

    fn read_lane(&mut self, lane: Lane, candidates: &[&Candidate]) -> io::Result<Option<Tail>> {
        let Some((last, sealed)) = candidates.split_last() else { return Ok(None) };
        for candidate in sealed {
            let file = self.storage.open(&candidate.name, false)?;
            let extent = match read_footer(&*file, candidate)? {
                Some(extent) => extent,
                None => self.seal_again(candidate)?,
            };
            self.add(lane, candidate, extent);
        }
        let file = self.storage.open(&last.name, true)?;
        write_header(self.storage, &last.name, &last.header)?;
        let footer = read_footer(&*file, last)?;
        let extent = match footer {
            Some(extent) => {
                let block = AlignedBuffer::holding(&footer_to_block(last.header.epoch, &extent));
                file.write_synced(block.as_slice(), last.header.bytes - BLOCK)?;
                extent
            }
            None => self.scan_tail(last, &*file)?,
        };
        let segment = self.add(lane, last, extent);
        Ok(Some(Tail { segment, file, sealed: footer.is_some() }))
    }

    fn add(&mut self, lane: Lane, candidate: &Candidate, extent: Extent) -> Arc<Segment> {
        let Candidate { name, header, place } = candidate;
        let segment = Arc::new(Segment::new(name.clone(), header.bytes, header.epoch, *place, extent));
        self.catalog.segments.of_mut(lane).push_back(Arc::clone(&segment));
        segment
    }

    /// A segment that is not the last one has lost its footer: scans it and seals it again.
    fn seal_again(&mut self, candidate: &Candidate) -> io::Result<Extent> {
        let Candidate { name, header, place } = candidate;
        self.damage(format!("the footer of {name} is damaged"));
        let file = self.storage.open(name, true)?;
        self.quarantine.keep(self.storage, (name, header.epoch), (header.bytes - BLOCK, header.bytes))?;
        let extent = self.scan(candidate, &*file, &mut VecDeque::new())?;
        let segment = Segment::new(name.clone(), header.bytes, header.epoch, *place, extent);
        seal(&segment, &*file, &extent)?;
        Ok(extent)
    }

    /// Scans the last segment, cuts what is invalid at its end and writes the last commits afresh.
    fn scan_tail(&mut self, candidate: &Candidate, file: &dyn StorageFile) -> io::Result<Extent> {
        let mut last = VecDeque::new();
        let extent = self.scan(candidate, file, &mut last)?;
        let mut block = vec![0; BLOCK_BYTES];
        let end = candidate.header.bytes - BLOCK;
        if extent.position < end {
            file.read_at(&mut block, extent.position)?;
        }
        let torn = super::commit::CommitHeader::claimed(&block, Some(candidate.header.epoch));
        self.report.cut_bytes += torn.map_or(0, |header| header.padded_len());
        for (at, bytes) in last {
            file.write_synced(bytes.as_slice(), at)?;
        }
        Ok(extent)
    }

    /// Scans a segment's commits; keeps the last ones as they are on disk.
    fn scan(
        &mut self,
        candidate: &Candidate,
        file: &dyn StorageFile,
        last: &mut VecDeque<(u64, AlignedBuffer)>,
    ) -> io::Result<Extent> {
        let Candidate { name, header, place } = candidate;
        let log = (place.lane, header.epoch);
        let mut scan = Scan::new(file, log, (BLOCK, header.bytes - BLOCK), (0, place.base));
        let mut extent = Extent::empty(place.base);
        let mut last_bytes = 0;
        while let Found::Commit { at, damaged, commit } = scan.next_commit()? {
            if damaged > 0 {
                self.damage(format!("{damaged} bytes of {name} from byte {} on are damaged", at - damaged));
                self.quarantine.keep(self.storage, (name, header.epoch), (at - damaged, at))?;
            }
            if commit.header.base > extent.end {
                self.lose(place.lane, extent.end, commit.header.base);
            }
            extent.add(&commit.header, at);
            let mut bytes = AlignedBuffer::holding(commit.bytes());
            bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES));
            last_bytes += bytes.len() as u64;
            last.push_back((at, bytes));
            while last_bytes > AFRESH_BYTES_MAX && last.len() > 1 {
                last_bytes -= last.pop_front().map_or(0, |(_, bytes)| bytes.len() as u64);
            }
        }
        Ok(extent)
    }

    /// Keeps the gap files that stand for records that are gone, and removes the others.
    fn read_gaps(&mut self) -> io::Result<()> {
        let mut gaps = Vec::new();
        for name in self.storage.list(GAPS_FOLDER)? {
            let name = format!("{GAPS_FOLDER}/{name}");
            match Summaries::read(self.storage, &name) {
                Ok(summaries) if summaries.gap.file_name() == name => gaps.push(summaries.gap),
                Ok(_) => self.storage.remove(&name)?,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => self.storage.remove(&name)?,
                Err(error) => return Err(error),
            }
        }
        gaps.sort_by_key(|gap| (gap.from, std::cmp::Reverse(gap.to)));
        for gap in gaps {
            let covered = self.catalog.gaps.of(gap.lane).last().is_some_and(|held| gap.to <= held.to);
            let there = matches!(self.catalog.locate(gap.lane, gap.from, Offset::MAX), Located::Segment(_));
            if covered || there {
                self.storage.remove(&gap.file_name())?;
            } else {
                self.catalog.gaps.of_mut(gap.lane).push(Arc::new(gap));
            }
        }
        Ok(())
    }

    /// Notes records that are missing between segments and that no gap file stands for.
    fn find_holes(&mut self) {
        for lane in Lane::ALL {
            let segments: Vec<_> = self.catalog.segments.of(lane).iter().cloned().collect();
            for pair in segments.windows(2) {
                let [segment, next] = pair else { continue };
                let mut at = segment.extent().end;
                while at < next.place.base {
                    match self.catalog.locate(lane, at, next.place.base) {
                        Located::Nowhere { to, .. } => {
                            self.damage(format!("the {lane} lane has no records {at} to {}", to - 1));
                            self.lose(lane, at, to);
                            at = to;
                        }
                        Located::Gap { to, .. } => at = to,
                        Located::Segment(_) => break,
                    }
                }
            }
        }
    }

    /// Takes the cursors up. One that is beyond the end of its lane says that records were durable and are gone; their
    /// offsets are not given out again.
    fn take_up_cursors(&mut self, mut found: Vec<FoundCursor>) -> io::Result<Cursors> {
        let mut oldest = PerLane::default();
        for lane in Lane::ALL {
            let end = self.catalog.segments.of(lane).back().map_or(0, |segment| segment.extent().end);
            let gap_end = self.catalog.gaps.of(lane).last().map_or(0, |gap| gap.to);
            let mut next = end.max(gap_end);
            for cursor in &mut found {
                let offset = cursor.slot.map_or(0, |slot| *slot.offsets.of(lane));
                if offset > end.saturating_add(CURSOR_AHEAD_MAX) {
                    cursor.slot = None;
                }
                if cursor.slot.is_some() && offset > next {
                    let consumer = &cursor.consumer;
                    self.report.damage.push(format!(
                        "the cursor of {consumer} is at {offset}, past the end of the {lane} lane at {next}"
                    ));
                    next = offset;
                }
            }
            if next > end.max(gap_end) {
                self.lose(lane, end.max(gap_end), next);
            }
            *self.report.ends.of_mut(lane) = next;
            *oldest.of_mut(lane) = self.catalog.oldest(lane, next);
        }
        for cursor in found.iter().filter(|cursor| cursor.slot.is_none() && !cursor.unfinished) {
            let consumer = &cursor.consumer;
            self.report
                .damage
                .push(format!("the cursor of {consumer} is damaged; it begins with the oldest record"));
        }
        self.report.oldest = oldest;
        Cursors::take_up(self.storage, found, oldest)
    }

    fn damage(&mut self, what: String) {
        self.report.damage.push(what);
    }

    fn lose(&mut self, lane: Lane, from: Offset, to: Offset) {
        self.report.lost.of_mut(lane).push(Lost { from, to, cause: LostCause::Damaged });
    }
}

/// The footer of a segment, if it has one that can be.
fn read_footer(file: &dyn StorageFile, candidate: &Candidate) -> io::Result<Option<Extent>> {
    let Candidate { header, place, .. } = candidate;
    let mut block = vec![0; BLOCK_BYTES];
    file.read_at(&mut block, header.bytes - BLOCK)?;
    let extent = footer_from_block(header.epoch, &block).ok();
    Ok(extent.filter(|extent| extent.position <= header.bytes - BLOCK && extent.end >= place.base))
}

fn write_header(storage: &dyn Storage, name: &str, header: &SegmentHeader) -> io::Result<()> {
    let block = AlignedBuffer::holding(&header.to_block());
    storage.open(name, true)?.write_synced(block.as_slice(), 0).map(drop)
}

/// Bytes for commits left in a lane's last segment.
pub(super) fn bytes_left(tail: Option<&Tail>) -> u64 {
    match tail {
        Some(tail) if !tail.sealed => {
            (tail.segment.bytes - BLOCK).saturating_sub(tail.segment.extent().position)
        }
        _ => 0,
    }
}

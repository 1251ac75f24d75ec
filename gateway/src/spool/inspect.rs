//! Looks at a spool's directory without changing it: what is there, and whether it is whole.

use std::{fmt, io, path::Path};

use serde::{Serialize, Serializer};

use super::{
    Disk, Lane, Offset, PerLane, Storage,
    cursor::{self, CURSORS_FOLDER},
    gap::{GAPS_FOLDER, Gap, Summaries},
    quarantine::QUARANTINE_FOLDER,
    salvage,
    scan::{Found, Scan},
    segment::{BLOCK, BLOCK_BYTES, Extent, LogPlace, SegmentHeader, footer_from_block},
    storage::StorageFile,
};

/// What is in a spool's directory.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The segments in use, by lane and offset.
    pub segments: Vec<SegmentReport>,
    /// Segments made ready.
    pub ready: usize,
    /// The consumers that hold back deletion.
    pub cursors: Vec<CursorReport>,
    /// What was dropped by the owner's choice and not yet told to every consumer.
    pub gaps: Vec<GapReport>,
    /// Pieces of damage copied aside.
    pub quarantined: usize,
    /// Bytes of them.
    pub quarantined_bytes: u64,
    /// Damage, each in a sentence.
    pub damage: Vec<String>,
    /// Bytes of an unfinished last commit, as an interrupted write leaves it; no damage.
    pub unfinished_bytes: u64,
    /// Every commit was read, and not only those of segments that are not sealed.
    pub verified: bool,
}

/// One segment in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// Its file.
    pub name: String,
    /// Its log.
    #[serde(serialize_with = "word")]
    pub lane: Lane,
    /// Its first record.
    pub base: Offset,
    /// Behind its last record.
    pub end: Offset,
    /// Commits in it.
    pub commits: u32,
    /// Bytes of them.
    pub bytes: u64,
    /// Nothing more is written to it.
    pub sealed: bool,
    /// The earliest and the latest arrival, Unix milliseconds; none without a record.
    pub ts_gw: Option<(u64, u64)>,
}

/// One consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CursorReport {
    /// Its name.
    pub consumer: String,
    /// The first offset of each lane that it has not confirmed; none where its file is damaged.
    pub offsets: Option<PerLane<Offset>>,
}

/// Records that were dropped, and that gap records stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapReport {
    /// Their log.
    #[serde(serialize_with = "word")]
    pub lane: Lane,
    /// The first of them.
    pub from: Offset,
    /// Behind the last of them.
    pub to: Offset,
}

/// A lane is written as its word.
fn word<S: Serializer>(lane: &Lane, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(lane.as_str())
}

impl Report {
    /// Whether nothing is damaged and nothing missing.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }

    /// The oldest record of `lane`: its offset and its arrival, Unix milliseconds.
    #[must_use]
    pub fn oldest(&self, lane: Lane) -> Option<(Offset, u64)> {
        let mut of_lane = self.segments.iter().filter(|segment| segment.lane == lane);
        of_lane.find_map(|segment| segment.ts_gw.map(|(ts_min, _)| (segment.base, ts_min)))
    }
}

/// Looks at the headers, footers and cursors in `directory`, and at the commits of segments that are not sealed. Works
/// beside a running gateway.
///
/// # Errors
/// What the operating system says.
pub fn inspect(directory: &Path) -> io::Result<Report> {
    look(&Disk::new(directory), false)
}

/// The same, and reads and checks every commit. Meant for a gateway that does not run; beside one that does, a segment
/// that is used again meanwhile is left out.
///
/// # Errors
/// What the operating system says.
pub fn verify(directory: &Path) -> io::Result<Report> {
    look(&Disk::new(directory), true)
}

/// Looks at a spool on any storage.
#[doc(hidden)]
pub fn look(storage: &dyn Storage, verified: bool) -> io::Result<Report> {
    let mut found = Report { verified, ..Report::default() };
    for name in storage.list("")?.into_iter().filter(|name| name.ends_with(".segment")) {
        match storage.open(&name, false) {
            Ok(file) => look_at_segment(&mut found, &name, &*file)?,
            // Given back to the file system since the names were read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.segments.sort_by_key(|segment| (segment.lane, segment.base));
    look_at_gaps(&mut found, storage)?;
    look_for_holes(&mut found);
    for cursor in cursor::load(storage, false)? {
        if cursor.slot.is_none() && !cursor.unfinished {
            found.damage.push(format!("{CURSORS_FOLDER}/{}.cursor is damaged", cursor.consumer));
        }
        let offsets = cursor.slot.map(|slot| slot.offsets);
        found.cursors.push(CursorReport { consumer: cursor.consumer, offsets });
    }
    for piece in storage.list(QUARANTINE_FOLDER)? {
        found.quarantined += 1;
        found.quarantined_bytes += storage.open(&format!("{QUARANTINE_FOLDER}/{piece}"), false)?.len()?;
    }
    Ok(found)
}

fn look_at_segment(found: &mut Report, name: &str, file: &dyn StorageFile) -> io::Result<()> {
    let Some(header) = read_header(file)? else {
        if is_being_made(file)? {
            return Ok(());
        }
        found.damage.push(format!("the header of {name} is damaged"));
        return Ok(());
    };
    let Some(place) = header.log else {
        found.ready += 1;
        return Ok(());
    };
    let mut block = vec![0; BLOCK_BYTES];
    file.read_at(&mut block, header.bytes - BLOCK)?;
    let footer = footer_from_block(header.epoch, &block).ok();
    let (extent, damage) = match footer {
        Some(extent) if !found.verified => (extent, Vec::new()),
        _ => scan(name, file, &header, place, footer.as_ref())?,
    };
    // Used again since its header was read: not this segment any more.
    if read_header(file)? != Some(header) {
        return Ok(());
    }
    found.damage.extend(damage);
    if footer.is_none() && extent.position < header.bytes - BLOCK {
        file.read_at(&mut block, extent.position)?;
        let claimed = super::commit::CommitHeader::claimed(&block, Some(header.epoch));
        found.unfinished_bytes += claimed.map_or(0, |header| header.padded_len());
    }
    found.segments.push(SegmentReport {
        name: name.into(),
        lane: place.lane,
        base: place.base,
        end: extent.end,
        commits: extent.commits,
        bytes: extent.position - BLOCK,
        sealed: footer.is_some(),
        ts_gw: (extent.records > 0).then_some((extent.ts_min, extent.ts_max)),
    });
    Ok(())
}

/// Whether it has no header yet, and no commit: the keeper works on it, or did when it ended. A start removes such a file.
fn is_being_made(file: &dyn StorageFile) -> io::Result<bool> {
    let mut block = vec![0; BLOCK_BYTES];
    file.read_at(&mut block, 0)?;
    Ok(block.iter().all(|byte| *byte == 0) && salvage::header(file, |_| false)?.is_none())
}

fn read_header(file: &dyn StorageFile) -> io::Result<Option<SegmentHeader>> {
    let mut block = vec![0; BLOCK_BYTES];
    file.read_at(&mut block, 0)?;
    let len = file.len()?;
    Ok(SegmentHeader::from_block(&block).ok().filter(|header| header.bytes == len && len > 2 * BLOCK))
}

/// Reads every commit of a segment; its extent and the damage in it.
fn scan(
    name: &str,
    file: &dyn StorageFile,
    header: &SegmentHeader,
    place: LogPlace,
    footer: Option<&Extent>,
) -> io::Result<(Extent, Vec<String>)> {
    let end = footer.map_or(header.bytes - BLOCK, |footer| footer.position);
    let mut scan = Scan::new(file, (place.lane, header.epoch), (BLOCK, end), (0, place.base));
    let (mut extent, mut damage) = (Extent::empty(place.base), Vec::new());
    while let Found::Commit { at, damaged, commit } = scan.next_commit()? {
        let (from, to) = (extent.end, commit.header.base);
        if damaged > 0 || to > from {
            damage.push(format!(
                "{name}: {damaged} bytes before byte {at} are damaged, records {from}..{to} are lost"
            ));
        }
        extent.add(&commit.header, at);
    }
    if let Some(footer) =
        footer.filter(|footer| footer.end != extent.end || footer.position != extent.position)
    {
        damage.push(format!("{name}: records {}..{} are lost", extent.end, footer.end));
        extent = *footer;
    }
    Ok((extent, damage))
}

fn look_at_gaps(found: &mut Report, storage: &dyn Storage) -> io::Result<()> {
    for name in storage.list(GAPS_FOLDER)? {
        match Summaries::read(storage, &format!("{GAPS_FOLDER}/{name}")) {
            Ok(summaries) => {
                let Gap { lane, from, to, .. } = summaries.gap;
                found.gaps.push(GapReport { lane, from, to });
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                found.damage.push(format!("{GAPS_FOLDER}/{name} is damaged or unfinished"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Records missing between segments that no gap file stands for.
fn look_for_holes(found: &mut Report) {
    for pair in found.segments.windows(2) {
        let [segment, next] = pair else { continue };
        let mut at = segment.end;
        let stands_for = |gap: &&GapReport, at| gap.lane == next.lane && gap.from <= at && at < gap.to;
        while let Some(gap) = found.gaps.iter().find(|gap| stands_for(gap, at)) {
            at = gap.to;
        }
        if segment.lane == next.lane && at < next.base {
            found.damage.push(format!("the {} lane has no records {at}..{}", next.lane, next.base));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.is_sound(), self.verified) {
            (false, _) => "damaged",
            (true, true) => "sound: every commit was read",
            (true, false) => "no damage seen (verify reads every commit)",
        };
        writeln!(f, "{verdict}")?;
        for lane in Lane::ALL {
            let of_lane: Vec<_> = self.segments.iter().filter(|segment| segment.lane == lane).collect();
            let end = of_lane.last().map_or(0, |segment| segment.end);
            let bytes: u64 = of_lane.iter().map(|segment| segment.bytes).sum();
            write!(f, "{lane}: {} segments, {bytes} bytes, next offset {end}", of_lane.len())?;
            match self.oldest(lane) {
                Some((offset, ts_gw)) => writeln!(f, ", oldest record {offset} arrived at {ts_gw} ms")?,
                None => writeln!(f, ", no records")?,
            }
            for SegmentReport { name, base, end, commits, bytes, sealed, .. } in of_lane {
                let sealed = if *sealed { "sealed" } else { "open" };
                writeln!(f, "  {name}  {base}..{end}  {commits} commits  {bytes} bytes  {sealed}")?;
            }
        }
        writeln!(f, "ready segments: {}", self.ready)?;
        for CursorReport { consumer, offsets } in &self.cursors {
            match offsets {
                Some(offsets) => {
                    writeln!(
                        f,
                        "cursor {consumer}: event {}, telemetry {}",
                        offsets.event, offsets.telemetry
                    )?;
                }
                None => writeln!(f, "cursor {consumer}: damaged")?,
            }
        }
        for GapReport { lane, from, to } in &self.gaps {
            writeln!(f, "dropped: {lane} {from}..{to}")?;
        }
        if self.unfinished_bytes > 0 {
            writeln!(f, "unfinished commit: {} bytes, cut at the next start", self.unfinished_bytes)?;
        }
        writeln!(f, "quarantine: {} pieces, {} bytes", self.quarantined, self.quarantined_bytes)?;
        for damage in &self.damage {
            writeln!(f, "damage: {damage}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_being_made_is_no_damage_and_one_with_something_in_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        disk.prepare(&[CURSORS_FOLDER, GAPS_FOLDER, QUARANTINE_FOLDER]).unwrap();
        let path = folder.path().join("0000000000.segment");
        for len in [0, 100, 128 * 1024, 1 << 20] {
            fs::write(&path, vec![0; len]).unwrap();
            for verified in [false, true] {
                let report = look(&disk, verified).unwrap();
                assert!(report.is_sound() && report.ready == 0, "{report}");
            }
        }
        for len in [100, 1 << 20] {
            let mut bytes = vec![0; len];
            bytes[17] = 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(look(&disk, true).unwrap().damage, ["the header of 0000000000.segment is damaged"]);
        }
    }
}

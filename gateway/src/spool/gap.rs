//! What stands in place of dropped records: for each device, from where to where, how many, and why.
//!
//! One file for each dropped segment, durable before the segment is given up. Little endian: magic, CRC-32C of
//! everything behind it (u32), version, lane (u8 each), 2 bytes of zero, from, to (u64 each), summaries (u32), bytes of
//! them (u32), then for each device the offset of the last record dropped (u64) and a record of kind gap whose payload
//! is a [`GapSummary`] in JSON.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use serde::{Deserialize, Serialize};
use tidegate_protocol::Lane;

use super::{
    ClockQuality, Envelope, Kind, Offset, Position, Protocol, Record, Uid, lane,
    record::{self, Malformed, OFFSET_MAX, Take, put},
    segment::{BLOCK, BLOCK_BYTES, FORMAT_VERSION},
    storage::{AlignedBuffer, Storage},
};

/// Gap files a lane; beyond it the two oldest are made one.
pub(super) const GAPS_MAX: usize = 32;

/// Devices named in one gap file; what further devices lost is counted under [`OTHER_DEVICES`].
pub const GAP_DEVICES_MAX: usize = 65_536;

/// Stands in a gap record for the devices beyond [`GAP_DEVICES_MAX`].
pub const OTHER_DEVICES: &str = "_others";

/// The folder of the gap files.
pub(super) const GAPS_FOLDER: &str = "gaps";

const MAGIC: [u8; 8] = *b"TIDEGAPS";
const HEADER_BYTES: usize = 40;

/// The payload of a gap record, as JSON: what one device lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapSummary {
    /// The id of the first record dropped.
    pub from: String,
    /// The id of the last record dropped.
    pub to: String,
    /// The offset of the first record dropped.
    pub from_offset: Offset,
    /// The offset of the last record dropped, and of the gap record.
    pub to_offset: Offset,
    /// Records dropped.
    pub count: u64,
    /// Arrival of the first, Unix milliseconds.
    pub from_ts: u64,
    /// Arrival of the last, Unix milliseconds.
    pub to_ts: u64,
    /// Why: `drop-oldest`.
    pub reason: String,
}

/// One gap file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) lane: Lane,
    pub(super) from: Offset,
    pub(super) to: Offset,
    /// Bytes of header and summaries.
    pub(super) len: usize,
}

impl Gap {
    pub(super) fn file_name(&self) -> String {
        format!("{GAPS_FOLDER}/{}-{:012}-{:012}.gap", self.lane, self.from, self.to)
    }

    pub(super) fn file_bytes(&self) -> u64 {
        (self.len as u64).next_multiple_of(BLOCK)
    }
}

/// The summaries of one gap file.
#[derive(Debug)]
pub(super) struct Summaries {
    pub(super) gap: Gap,
    bytes: Vec<u8>,
    /// The offset and the byte of each summary, in order.
    places: Vec<(Offset, usize)>,
}

impl Summaries {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The first summary whose offset is `offset` or greater.
    pub(super) fn first_at(&self, offset: Offset) -> usize {
        self.places.partition_point(|(at, _)| *at < offset)
    }

    /// Summary `number` as a record.
    pub(super) fn record(&self, number: usize) -> Option<Record<'_>> {
        let (offset, at) = self.places.get(number)?;
        let position = Position { lane: self.gap.lane, offset: *offset };
        record::decode(position, &mut self.bytes.get(*at..)?).ok()
    }

    /// Reads and checks a gap file.
    ///
    /// # Errors
    /// What the operating system says; `InvalidData` when the file is damaged.
    pub(super) fn read(storage: &dyn Storage, name: &str) -> io::Result<Self> {
        let file = storage.open(name, false)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Self::parse(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn parse(mut bytes: Vec<u8>) -> Result<Self, Malformed> {
        let mut take = Take(&bytes);
        if take.array()? != MAGIC {
            return Err(Malformed);
        }
        let crc = take.u32()?;
        let [version, lane_byte, _, _] = take.array()?;
        let (from, to) = (take.u64()?, take.u64()?);
        let (count, body) = (take.u32()?, usize::try_from(take.u32()?).map_err(|_| Malformed)?);
        let len = HEADER_BYTES + body;
        if version != FORMAT_VERSION || crc != crc32c::crc32c(bytes.get(12..len).ok_or(Malformed)?) {
            return Err(Malformed);
        }
        bytes.truncate(len);
        let gap = Gap { lane: lane::from_byte(lane_byte).ok_or(Malformed)?, from, to, len };
        if to > OFFSET_MAX {
            return Err(Malformed);
        }
        let (mut places, mut next) = (Vec::new(), from);
        let mut rest = bytes.get(HEADER_BYTES..).ok_or(Malformed)?;
        for _ in 0..count {
            let mut take = Take(rest);
            let offset = take.u64()?;
            rest = take.0;
            let is_next = (next..to).contains(&offset);
            next = offset.saturating_add(1);
            if !is_next {
                return Err(Malformed);
            }
            places.push((offset, len - rest.len()));
            record::decode(Position { lane: gap.lane, offset }, &mut rest)?;
        }
        Ok(Self { gap, bytes, places })
    }
}

/// Gathers what each device loses.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    devices: HashMap<String, GapSummary>,
    /// Records gathered.
    pub(super) count: u64,
}

impl Gatherer {
    /// Adds a record that is about to be dropped, or a gap record that is about to be merged.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let summary = match record.envelope.kind {
            Kind::Gap => serde_json::from_slice(record.payload).ok().or_else(|| of_device(record)),
            _ => None,
        };
        let summary = summary.unwrap_or_else(|| GapSummary {
            from: record.uid_text(),
            to: record.uid_text(),
            from_offset: record.position.offset,
            to_offset: record.position.offset,
            count: 1,
            from_ts: record.envelope.ts_gw,
            to_ts: record.envelope.ts_gw,
            reason: "drop-oldest".into(),
        });
        self.count += summary.count;
        let device = record.envelope.device;
        // The place of the others is none of a device.
        let named_count = self.devices.len() - usize::from(self.devices.contains_key(OTHER_DEVICES));
        let named = named_count < GAP_DEVICES_MAX || self.devices.contains_key(device);
        let held = self.devices.entry(if named { device } else { OTHER_DEVICES }.into());
        let held = held.or_insert_with(|| GapSummary { count: 0, ..summary.clone() });
        held.count += summary.count;
        held.to = summary.to;
        held.to_offset = summary.to_offset;
        held.to_ts = summary.to_ts;
    }

    /// Writes the gap file, durably. A file of the same name is written anew: nothing vouches for it.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn write(
        self,
        storage: &dyn Storage,
        lane: Lane,
        (from, to): (Offset, Offset),
    ) -> io::Result<Gap> {
        let mut body = Vec::new();
        let by_offset: BTreeMap<_, _> =
            self.devices.into_iter().map(|(d, s)| ((s.to_offset, d), s)).collect();
        let count = by_offset.len();
        for ((offset, device), summary) in by_offset {
            let payload = serde_json::to_vec(&summary).map_err(io::Error::other)?;
            let envelope = envelope(&device, summary.to_ts);
            let len = record::encoded_len(&envelope, &payload).ok_or(io::ErrorKind::InvalidInput)?;
            body.extend_from_slice(&offset.to_le_bytes());
            record::encode(&envelope, 0, &payload, len, &mut body);
        }
        let mut bytes = vec![0; HEADER_BYTES];
        let number = |number: usize| u32::try_from(number).map_err(io::Error::other);
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, &MAGIC);
        put(&mut rest, &[0; 4]);
        put(&mut rest, &[FORMAT_VERSION, lane as u8, 0, 0]);
        put(&mut rest, &from.to_le_bytes());
        put(&mut rest, &to.to_le_bytes());
        put(&mut rest, &number(count)?.to_le_bytes());
        put(&mut rest, &number(body.len())?.to_le_bytes());
        bytes.extend_from_slice(&body);
        let crc = crc32c::crc32c(bytes.get(12..).unwrap_or_default());
        if let Some(slot) = bytes.get_mut(8..12) {
            slot.copy_from_slice(&crc.to_le_bytes());
        }
        let gap = Gap { lane, from, to, len: bytes.len() };
        let mut buffer = AlignedBuffer::holding(&bytes);
        buffer.resize(bytes.len().next_multiple_of(BLOCK_BYTES));
        storage.create(&gap.file_name(), gap.file_bytes(), &|| false)?.write_synced(buffer.as_slice(), 0)?;
        Ok(gap)
    }
}

/// What a device has lost by itself, and now its gap record with it.
fn of_device(record: &Record<'_>) -> Option<GapSummary> {
    let lost: DeviceGap = serde_json::from_slice(record.payload).ok()?;
    let (offset, ts) = (record.position.offset, record.envelope.ts_gw);
    Some(GapSummary {
        from: lost.from,
        to: lost.to,
        from_offset: offset,
        to_offset: offset,
        count: lost.count,
        from_ts: ts,
        to_ts: ts,
        reason: lost.reason,
    })
}

/// The payload of a gap record that speaks for a device: its readings never had a place here.
#[derive(Deserialize)]
struct DeviceGap {
    from: String,
    to: String,
    count: u64,
    reason: String,
}

fn envelope(device: &str, ts_gw: u64) -> Envelope<'_> {
    Envelope {
        kind: Kind::Gap,
        device,
        uid: Uid::Gateway,
        topic: "gap",
        protocol: Protocol::Gateway,
        qos: 1,
        content_type: Some("application/json"),
        user_properties: Vec::new(),
        ts_dev: None,
        uptime_dev: None,
        ts_gw,
        mono_gw: 0,
        boot_gw: 0,
        clock: ClockQuality::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::SimulatedDisk;

    fn add(gatherer: &mut Gatherer, device: &str, offset: Offset) {
        let envelope = Envelope { kind: Kind::Message, ..envelope(device, offset) };
        let position = Position { lane: Lane::Telemetry, offset };
        gatherer.add(&Record { position, envelope, format: 0, payload: b"" });
    }

    #[test]
    fn devices_beyond_those_that_are_named_are_counted_together() {
        let named = GAP_DEVICES_MAX as u64;
        let mut gatherer = Gatherer::default();
        for n in 0..named + 10 {
            add(&mut gatherer, &format!("d{n}"), n);
        }
        // Who is named goes on being named.
        add(&mut gatherer, "d0", named + 10);
        assert_eq!(gatherer.count, named + 11);
        let disk = SimulatedDisk::new(1, 1 << 30);
        disk.prepare(&[GAPS_FOLDER]).unwrap();
        let gap = gatherer.write(&disk, Lane::Telemetry, (0, named + 11)).unwrap();
        let summaries = Summaries::read(&disk, &gap.file_name()).unwrap();
        assert_eq!(summaries.len() as u64, named + 1);
        let count = |record: &Record<'_>| serde_json::from_slice::<GapSummary>(record.payload).unwrap().count;
        let records = || (0..summaries.len()).map(|number| summaries.record(number).unwrap());
        let of = |device: &str| records().find(|record| record.envelope.device == device);
        assert_eq!(of(OTHER_DEVICES).as_ref().map(count), Some(10));
        assert_eq!(of("d0").as_ref().map(count), Some(2));
        assert_eq!(of(&format!("d{named}")), None);
        assert_eq!(records().map(|record| count(&record)).sum::<u64>(), named + 11);

        // What a device has given up by itself counts as what it was.
        let mut lossy = Gatherer::default();
        let payload = crate::session::serial::gap_payload("d7", 3, 11, 15);
        let position = Position { lane: Lane::Telemetry, offset: 9 };
        lossy.add(&Record { position, envelope: envelope("d7", 1), format: 0, payload: payload.as_bytes() });
        let summary = &lossy.devices["d7"];
        assert_eq!((&*summary.from, &*summary.to, summary.count), ("d7/3/11", "d7/3/15", 5));
        assert_eq!((summary.to_offset, &*summary.reason), (9, "device-full"));

        // Merged with another file, none of them gets lost.
        let mut merged = Gatherer::default();
        records().for_each(|record| merged.add(&record));
        add(&mut merged, "late", named + 11);
        assert_eq!(merged.count, named + 12);
        assert_eq!((merged.devices["d0"].count, merged.devices[OTHER_DEVICES].count), (2, 11));
    }
}

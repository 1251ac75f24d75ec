//! How far each device has come, over starts of the gateway: what is written down now and then, and what the spool
//! holds beyond that.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_protocol::DeviceId;

use crate::{
    clock::Millis,
    session::serial::{Marks, Place},
    spool::{Durable, Lane, Protocol, ReadError, Spool, Uid},
};

/// The file in the data folder.
const FILE: &str = "serial.json";
/// How often it is written.
const EVERY_MS: Millis = 60_000;
/// Bytes of records that are read at once.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The file.
pub(super) struct Checkpoint {
    path: PathBuf,
    due_ms: Cell<Millis>,
}

/// What is in it. Everything below the offsets is in the places.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    event: u64,
    telemetry: u64,
    devices: BTreeMap<String, Place>,
}

impl Checkpoint {
    pub(super) fn at(data: &Path) -> Self {
        Self { path: data.join(FILE), due_ms: Cell::new(EVERY_MS) }
    }

    pub(super) fn is_due(&self, now_ms: Millis) -> bool {
        self.due_ms.get() <= now_ms
    }

    /// Reads the file, and the spool from where it ends. Without a file that can be read, all of the spool.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub(super) fn catch_up(&self, spool: &Spool) -> io::Result<Marks> {
        let kept = fs::read(&self.path).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        let kept = kept.unwrap_or_default();
        let mut marks = Marks::default();
        for (device, place) in &kept.devices {
            if let Ok(device) = DeviceId::new(device) {
                marks.note(&device, *place, None);
            }
        }
        let durable = spool.watermark().durable();
        for (lane, from) in [(Lane::Event, kept.event), (Lane::Telemetry, kept.telemetry)] {
            // A spool that is younger than the file is another one.
            let from = if from <= durable.end(lane) { from } else { 0 };
            read_on(spool, lane, from, &mut marks).map_err(io::Error::other)?;
        }
        Ok(marks)
    }

    /// Writes the file anew, whole or not at all. All of `marks` is durable.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn keep(&self, marks: &Marks, durable: &Durable, now_ms: Millis) -> io::Result<()> {
        self.due_ms.set(now_ms.saturating_add(EVERY_MS));
        let kept = Kept {
            event: durable.end(Lane::Event),
            telemetry: durable.end(Lane::Telemetry),
            devices: marks.iter().map(|(device, place)| (device.to_string(), place)).collect(),
        };
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(&kept)?)?;
        file.sync_all()?;
        fs::rename(beside, &self.path)
    }
}

fn read_on(spool: &Spool, lane: Lane, from: u64, marks: &mut Marks) -> Result<(), ReadError> {
    let mut reader = spool.reader(lane, from);
    loop {
        let batch = reader.next_batch(BATCH_BYTES_MAX)?;
        if batch.is_empty() {
            return Ok(());
        }
        for record in batch.records() {
            let envelope = &record.envelope;
            if let (Protocol::Serial, Uid::Device { boot, sequence }, Ok(device)) =
                (envelope.protocol, envelope.uid, DeviceId::new(envelope.device))
            {
                marks.note(&device, (boot, sequence), None);
            }
        }
    }
}

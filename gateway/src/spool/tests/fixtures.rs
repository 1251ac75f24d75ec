//! Spools on disk as this format writes them, good and corrupt, kept in `gateway/tests/fixtures/spool`: a change that can
//! no longer read them is seen here. `TIDEGATE_WRITE_FIXTURES=1 cargo test -p tidegate --lib fixtures` writes them anew,
//! which only a new format version may ask for.

use std::{fs, path::Path};

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/spool");
const RECORDS: u64 = 12;

/// What is done to the good spool: file, byte, and the bits flipped there.
type Corruption = (&'static str, usize, u8);

const FIXTURES: [(&str, Option<Corruption>); 4] = [
    ("good", None),
    ("damaged-commit", Some(("0000000000.segment", 3 * 4096 + 80, 0x04))),
    ("damaged-header", Some(("0000000000.segment", 9, 0xff))),
    ("cut-commit", Some(("0000000001.segment", 4 * 4096 + 80, 0x04))),
];

fn payload(n: u64) -> String {
    format!("{{\"temperature\":{}.25}}", 20 + n)
}

/// Two segments of telemetry, one of events, a cursor.
fn write_good(disk: &SimulatedDisk) {
    let (spool, mut stepper, _) = Spool::open_stepped(disk.clone(), &small(), 0).unwrap();
    for n in 0..RECORDS {
        spool.append(Lane::Telemetry, &message("sensor_1", n, 1_000 + n), 0, payload(n).as_bytes()).unwrap();
        stepper.write().unwrap();
        stepper.keep().unwrap();
    }
    spool.append(Lane::Event, &message("door", 0, 2_000), 0, b"open").unwrap();
    stepper.write().unwrap();
    spool.cursor("file", Start::Oldest).unwrap().advance(Lane::Telemetry, 2).unwrap();
}

#[test]
fn fixtures_are_read_as_ever() {
    if std::env::var_os("TIDEGATE_WRITE_FIXTURES").is_some() {
        write_fixtures();
    }
    for (name, _) in FIXTURES {
        let directory = tempfile::tempdir().unwrap();
        copy(&Path::new(FOLDER).join(name), directory.path());
        let seen = verify(directory.path()).unwrap();
        let (spool, recovered) = Spool::open(Disk::new(directory.path()), &small(), 3_000).unwrap();
        assert_eq!(spool.cursor("file", Start::Oldest).unwrap().get(Lane::Telemetry), 2, "{name}");
        assert_eq!(read_all(&spool, Lane::Event, 0), [(0, b"open".to_vec())], "{name}");
        let (mut found, mut lost) = (Vec::new(), None);
        let mut reader = spool.reader(Lane::Telemetry, 0);
        while reader.offset() < recovered.ends.telemetry {
            let batch = reader.next_batch(1 << 20).unwrap();
            lost = lost.or(batch.lost());
            for record in batch.records() {
                assert_eq!(record.payload, payload(record.position.offset).as_bytes(), "{name}");
                assert_eq!(record.uid_text(), format!("sensor_1/1/{}", record.position.offset), "{name}");
                found.push(record.position.offset);
            }
        }
        let missing: Vec<_> = (0..RECORDS).filter(|offset| !found.contains(offset)).collect();
        let (expected, sound, cut): (&[u64], _, _) = match name {
            "damaged-commit" => (&[2], false, false),
            "damaged-header" => (&[], false, false),
            "cut-commit" => (&[11], true, true),
            _ => (&[], true, false),
        };
        assert_eq!((missing.as_slice(), seen.is_sound()), (expected, sound), "{name}: {seen}");
        assert_eq!(recovered.cut_bytes > 0, cut, "{name}: {recovered:?}");
        assert_eq!(seen.unfinished_bytes > 0, cut, "{name}: {seen}");
        assert_eq!(lost.is_some(), name == "damaged-commit", "{name}");
    }
}

fn write_fixtures() {
    let disk = SimulatedDisk::new(1, 40 * SEGMENT_BYTES_MIN);
    write_good(&disk);
    let used: Vec<_> = look(&disk, true).unwrap().segments.into_iter().map(|segment| segment.name).collect();
    for (name, corruption) in FIXTURES {
        let disk = disk.restart();
        if let Some((file, at, mask)) = corruption {
            disk.corrupt(file, at, mask);
        }
        let folder = Path::new(FOLDER).join(name);
        fs::create_dir_all(folder.join("cursors")).unwrap();
        for file in disk.names().iter().filter(|file| used.contains(file) || file.starts_with("cursors/")) {
            fs::write(folder.join(file), disk.bytes(file).unwrap()).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

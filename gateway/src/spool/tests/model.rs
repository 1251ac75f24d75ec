//! The spool against a `Vec`, through power cuts, kills and failing operations, in as many states as
//! `TIDEGATE_CRASH_STATES` says (10,000 by default).

use std::collections::HashMap;

use super::*;

const STATES: u64 = 10_000;
const DISK_BYTES: u64 = 40 * SEGMENT_BYTES_MIN;
const DEVICES: [&str; 3] = ["sensor_1", "sensor_2", "door"];
const CONSUMERS: [&str; 2] = ["file", "rocketmq"];

/// A sequence of numbers that looks like chance.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// One record as the model has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    device: &'static str,
    payload: Vec<u8>,
}

/// What must be true, whatever happens to the disk.
#[derive(Default)]
struct Model {
    written: PerLane<Vec<Written>>,
    /// What was acknowledged.
    durable: PerLane<Offset>,
    /// What each consumer has confirmed at least, and at most.
    confirmed: HashMap<&'static str, (PerLane<Offset>, PerLane<Offset>)>,
    nonce: u64,
    crash_states: u64,
    gap_records: u64,
}

/// A promise that was not kept.
type Broken = String;

impl Model {
    fn append(&mut self, spool: &Spool, chance: &mut Chance) -> Result<(), Broken> {
        let lane = Lane::ALL[usize::from(chance.below(4) > 0)];
        let device = DEVICES[chance.below(3) as usize];
        self.nonce += 1;
        let mut payload = self.nonce.to_le_bytes().to_vec();
        payload.resize(8 + chance.below(1_500) as usize, self.nonce as u8);
        let written = self.written.of_mut(lane);
        let envelope = message(device, self.nonce, self.nonce);
        match spool.append(lane, &envelope, 0, &payload) {
            Ok(position) if position == Position { lane, offset: written.len() as u64 } => {
                written.push(Written { device, payload });
                Ok(())
            }
            Ok(position) => Err(format!("{position:?} given out, {} expected", written.len())),
            Err(Unavailable::Full | Unavailable::Busy | Unavailable::Poisoned) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn note_durable(&mut self, spool: &Spool) {
        for lane in Lane::ALL {
            *self.durable.of_mut(lane) = spool.watermark().durable().end(lane);
        }
    }

    fn advance(&mut self, spool: &Spool, consumer: &'static str, chance: &mut Chance) {
        let Ok(cursor) = spool.cursor(consumer, Start::Oldest) else { return };
        let durable = spool.watermark().durable();
        let target = PerLane::new(|lane| {
            let from = cursor.get(lane);
            from + chance.below(durable.end(lane).saturating_sub(from) + 1)
        });
        let held = PerLane::new(|lane| cursor.get(lane));
        let (least, _) = *self.confirmed.entry(consumer).or_insert((held, held));
        self.confirmed.insert(consumer, (least, target));
        if cursor.advance_both(target).is_ok() {
            self.confirmed.insert(consumer, (target, target));
        }
    }

    /// Reads everything from `from` on and compares; where records are missing, gap records must stand for them.
    fn check_reading(&mut self, spool: &Spool, lane: Lane, from: Offset) -> Result<(), Broken> {
        let mut reader = spool.reader(lane, from);
        let mut at = from;
        loop {
            let batch = reader.next_batch(3_000).map_err(|error| error.to_string())?;
            if let Some(lost) = batch.lost() {
                return Err(format!("{lane} {lost:?} of {from}.."));
            }
            let mut gaps = HashMap::new();
            for record in batch.records() {
                let offset = record.position.offset;
                if record.envelope.kind == Kind::Gap {
                    let summary: GapSummary = serde_json::from_slice(record.payload).unwrap();
                    gaps.insert(record.envelope.device.to_owned(), summary);
                    self.gap_records += 1;
                    continue;
                }
                let written = self.written.of(lane).get(offset as usize);
                let same = written
                    .is_some_and(|w| w.device == record.envelope.device && w.payload == record.payload);
                if offset != at || !same {
                    return Err(format!("{lane} {offset}: another record, or out of order after {at}"));
                }
                at += 1;
            }
            if !gaps.is_empty() {
                for offset in at..batch.end() {
                    let device = self.written.of(lane)[offset as usize].device;
                    let told =
                        gaps.get(device).is_some_and(|g| g.from_offset <= offset && offset <= g.to_offset);
                    if !told {
                        return Err(format!(
                            "{lane} {offset} of {device} is missing and no gap record says so"
                        ));
                    }
                }
                at = batch.end();
            }
            if batch.is_empty() {
                break;
            }
        }
        let end = spool.watermark().durable().end(lane);
        if at == end { Ok(()) } else { Err(format!("{lane} ends at {at} instead of {end}")) }
    }

    /// What must hold after a start.
    fn check_recovered(&mut self, spool: &Spool, recovered: &Recovered) -> Result<(), Broken> {
        if !recovered.damage.is_empty() {
            return Err(format!("damage reported without any: {:?}", recovered.damage));
        }
        for lane in Lane::ALL {
            let (end, durable) = (*recovered.ends.of(lane), *self.durable.of(lane));
            if end < durable || end > self.written.of(lane).len() as u64 {
                return Err(format!("{lane} ends at {end}, {durable} were acknowledged"));
            }
            self.written.of_mut(lane).truncate(end as usize);
            *self.durable.of_mut(lane) = end;
        }
        for consumer in CONSUMERS {
            let Some((least, most)) = self.confirmed.get(consumer).copied() else { continue };
            let cursor = spool.cursor(consumer, Start::Oldest).map_err(|error| error.to_string())?;
            for lane in Lane::ALL {
                let (at, least, most) = (cursor.get(lane), *least.of(lane), *most.of(lane));
                if at < least || at > most.max(least) {
                    return Err(format!("{consumer} {lane} is at {at}, not in {least}..={most}"));
                }
                self.check_reading(spool, lane, at)?;
            }
            let held = PerLane::new(|lane| cursor.get(lane));
            self.confirmed.insert(consumer, (held, held));
        }
        Ok(())
    }
}

/// A reader that is told of the injected fault has told the truth.
fn unless_disk_failed(read: Result<(), Broken>) -> Result<(), Broken> {
    match read {
        Err(broken) if broken.contains("injected") || broken.contains("the power is gone") => Ok(()),
        read => read,
    }
}

/// One life of the process: what it does until the disk stops it, or it has done enough.
fn live(model: &mut Model, spool: &Spool, stepper: &mut Stepper, chance: &mut Chance) -> Result<(), Broken> {
    for consumer in CONSUMERS {
        if let Ok(cursor) = spool.cursor(consumer, Start::Oldest) {
            let held = PerLane::new(|lane| cursor.get(lane));
            model.confirmed.insert(consumer, (held, held));
        }
    }
    for _ in 0..chance.below(300) {
        if spool.watermark().failure().is_some() {
            break;
        }
        match chance.below(16) {
            0..10 => model.append(spool, chance)?,
            10..13 => drop(stepper.write()),
            13 => drop(stepper.keep()),
            14 => model.advance(spool, CONSUMERS[chance.below(2) as usize], chance),
            _ => {
                let lane = Lane::ALL[chance.below(2) as usize];
                let from =
                    CONSUMERS.iter().filter_map(|c| model.confirmed.get(c)).map(|(_, most)| *most.of(lane));
                let from = from.min().unwrap_or(0).min(spool.watermark().durable().end(lane));
                unless_disk_failed(model.check_reading(spool, lane, from))?;
            }
        }
        model.note_durable(spool);
    }
    Ok(())
}

/// Lives, crashes and recoveries of one disk.
fn lives(seed: u64, lose_syncs: bool, model: &mut Model) -> Result<(), Broken> {
    let mut chance = Chance(seed);
    let when_full = if chance.below(2) == 0 { WhenFull::Refuse } else { WhenFull::DropOldest };
    let config = Config { when_full, keep: std::time::Duration::from_millis(300), ..small() };
    let mut disk = SimulatedDisk::new(seed, DISK_BYTES);
    for _ in 0..6 {
        if lose_syncs {
            disk.lose_syncs();
        }
        let fault = [Fault::Crash, Fault::Crash, Fault::Error, Fault::NoRoom][chance.below(4) as usize];
        disk.fail_at(chance.below(600), fault);
        if let Ok((spool, mut stepper, recovered)) = Spool::open_stepped(disk.clone(), &config, 0) {
            unless_disk_failed(model.check_recovered(&spool, &recovered))?;
            live(model, &spool, &mut stepper, &mut chance)?;
        }
        model.crash_states += 1;
        disk = if chance.below(4) == 0 { disk.restart() } else { disk.power_cut(chance.next()) };
        if chance.below(3) == 0 {
            // The power goes once more while the spool recovers.
            disk.fail_at(chance.below(60), Fault::Crash);
            drop(Spool::open_stepped(disk.clone(), &config, 0));
            model.crash_states += 1;
            disk = disk.power_cut(chance.next());
        }
    }
    let (spool, _, recovered) = Spool::open_stepped(disk, &config, 0).map_err(|error| error.to_string())?;
    model.check_recovered(&spool, &recovered)
}

/// Goes through every second disk from `seed` on until `states` were seen; how many records of kind gap it met.
fn many_lives(mut seed: u64, states: u64) -> u64 {
    let (mut seen, mut gap_records) = (0, 0);
    while seen < states {
        let mut model = Model::default();
        if let Err(broken) = lives(seed, false, &mut model) {
            panic!("seed {seed}: {broken}");
        }
        seen += model.crash_states;
        gap_records += model.gap_records;
        seed += 2;
    }
    gap_records
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_is_given_out() {
    let states = std::env::var("TIDEGATE_CRASH_STATES").map_or(STATES, |text| text.parse().unwrap());
    let odd = std::thread::spawn(move || many_lives(1, states / 2));
    let even = many_lives(0, states - states / 2);
    let gap_records = even + odd.join().unwrap();
    assert!(gap_records > 0, "no state with dropped records was reached");
}

#[test]
fn without_syncs_the_same_check_fails() {
    let broken = (0..20).filter(|seed| lives(*seed, true, &mut Model::default()).is_err()).count();
    assert!(broken >= 15, "only {broken} of 20 disks without syncs were found out");
}

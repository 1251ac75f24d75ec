//! Power that goes in the middle of a writing.

use std::{vec, vec::Vec};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use proptest::prelude::*;

use super::{FlashStore, SECTORS_MIN, UNNOTED_MAX, Unfit};
use crate::store::{DROPPED_SPANS_MAX, Dropped, Identity, Store, Stored, Taken};

const SECTOR: usize = 1024;

/// NOR flash: erasing sets bits, writing clears them, and the power may go after so many bytes.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedFlash {
    bytes: Vec<u8>,
    /// Bytes that may still be written or erased; none: as many as one likes.
    power: Option<usize>,
    pub(crate) erases: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct PowerGone;

impl NorFlashError for PowerGone {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for SimulatedFlash {
    type Error = PowerGone;
}

impl ReadNorFlash for SimulatedFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerGone> {
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for SimulatedFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerGone> {
        self.erases[from as usize / SECTOR] += 1;
        for at in from as usize..to as usize {
            self.spend()?;
            self.bytes[at] = 0xff;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerGone> {
        for (at, byte) in bytes.iter().enumerate() {
            self.spend()?;
            self.bytes[offset as usize + at] &= byte;
        }
        Ok(())
    }
}

impl SimulatedFlash {
    fn spend(&mut self) -> Result<(), PowerGone> {
        if let Some(left) = &mut self.power {
            *left = left.checked_sub(1).ok_or(PowerGone)?;
        }
        Ok(())
    }
}

pub(crate) fn simulated_flash(sectors: usize) -> SimulatedFlash {
    SimulatedFlash { bytes: vec![0xff; sectors * SECTOR], power: None, erases: vec![0; sectors] }
}

fn reading(boot: u32, sequence: u32) -> Stored<2> {
    let value = i32::try_from(sequence).unwrap();
    Stored { boot, sequence, taken: Taken::Wall(1_790_000_000_000), values: [Some(value), None] }
}

fn all<S: Store<2>>(store: &mut S) -> Vec<Stored<2>> {
    (0..store.len()).map(|index| store.get(index).unwrap()).collect()
}

#[test]
fn readings_the_boot_and_the_name_are_there_after_a_loss_of_power() {
    let mut store = FlashStore::<_, 2>::open(simulated_flash(8)).unwrap();
    assert_eq!((store.boot(), store.len()), (1, 0));
    let identity = |boot_base| Identity {
        device: "kitchen".try_into().unwrap(),
        secret: "0123456789".try_into().unwrap(),
        boot_base,
    };
    assert!(store.set_identity(identity(1)) && store.set_identity(identity(2)));
    (1..=30).for_each(|sequence| store.push(reading(1, sequence)));
    store.forget((1, 3));
    let before = all(&mut store);
    let mut store = FlashStore::<_, 2>::open(store.into_flash()).unwrap();
    assert_eq!(store.boot(), 2);
    assert_eq!(store.identity(), Some(&identity(2)));
    // What was acknowledged since the sector was begun comes again; the gateway knows it.
    let after = all(&mut store);
    assert!(after.ends_with(&before) && after.len() <= 30, "{}", after.len());
    let uptime = Stored { taken: Taken::Uptime(77), ..reading(2, 1) };
    store.push(uptime);
    assert_eq!(all(&mut store).last(), Some(&uptime));
}

#[test]
fn the_oldest_go_when_it_is_full_and_are_told_after_a_loss_of_power_too() {
    let mut store = FlashStore::<_, 2>::open(simulated_flash(6)).unwrap();
    (1..=500).for_each(|sequence| store.push(reading(1, sequence)));
    let kept = store.len();
    let dropped = store.dropped().unwrap();
    assert_eq!((dropped.boot, dropped.from, dropped.to), (1, 1, 500 - u32::try_from(kept).unwrap()));
    assert!((30..60).contains(&kept), "{kept} of four sectors with fifteen readings each");
    let mut store = FlashStore::<_, 2>::open(store.into_flash()).unwrap();
    assert_eq!(store.dropped(), Some(dropped));
    store.forget((1, dropped.to));
    assert_eq!((store.dropped(), store.len()), (None, kept));
    store.forget((1, 500));
    assert!(store.is_empty());
}

#[test]
fn a_loss_of_power_brings_back_few_of_those_that_were_acknowledged() {
    let mut store = FlashStore::<_, 2>::open(simulated_flash(8)).unwrap();
    let mut most = 0;
    for boot in 1..=60 {
        let count = 1 + boot * 7 % 50;
        for sequence in 1..=count {
            store.push(reading(boot, sequence));
            store.forget((boot, sequence));
        }
        assert!(store.is_empty());
        store = FlashStore::open(store.into_flash()).unwrap();
        assert_eq!(store.boot(), boot + 1);
        let back = all(&mut store);
        assert_eq!(store.dropped(), None, "nothing was given up");
        most = most.max(back.len());
        back.iter().for_each(|back| assert_eq!(back.values, reading(back.boot, back.sequence).values));
        if let Some(last) = back.last() {
            assert_eq!(last.place(), (boot, count));
            store.forget(last.place());
        }
    }
    assert_eq!(most, usize::try_from(UNNOTED_MAX).unwrap() - 1);
}

#[test]
fn of_more_gaps_than_are_kept_apart_the_oldest_are_in_the_count_alone() {
    // A board that is started again and again while nobody listens, and then stays on until all of that had to go.
    let boots = u32::try_from(DROPPED_SPANS_MAX).unwrap() + 4;
    let mut store = FlashStore::<_, 2>::open(simulated_flash(6)).unwrap();
    for boot in 1..=boots {
        assert_eq!(store.boot(), boot);
        (1..=2).for_each(|sequence| store.push(reading(boot, sequence)));
        store = FlashStore::open(store.into_flash()).unwrap();
    }
    let last = boots + 1;
    let pushed = 100;
    (1..=pushed).for_each(|sequence| store.push(reading(last, sequence)));
    let given_up = u64::from(2 * boots + pushed) - u64::try_from(store.len()).unwrap();
    assert_eq!(store.dropped_count(), given_up, "every one is counted");
    let mut told = vec![];
    while let Some(gap) = store.dropped() {
        told.push(gap);
        store.forget((gap.boot, gap.to));
    }
    let own = pushed - u32::try_from(store.len()).unwrap();
    let mut expected: Vec<_> = (1..=boots).map(|boot| Dropped { boot, from: 1, to: 2 }).collect();
    expected.push(Dropped { boot: last, from: 1, to: own });
    let (untold, expected) = expected.split_at(expected.len() - DROPPED_SPANS_MAX);
    assert_eq!((told.as_slice(), untold.len()), (expected, 5), "the newest are told as they were");
}

#[test]
fn all_sectors_of_the_log_wear_alike() {
    let mut store = FlashStore::<_, 2>::open(simulated_flash(10)).unwrap();
    for sequence in 1..=3_000 {
        store.push(reading(1, sequence));
        store.forget((1, sequence));
    }
    let erases = store.into_flash().erases;
    let log = &erases[2..];
    assert_eq!(erases[..2], [0, 0]);
    assert!(log.iter().max().unwrap() - log.iter().min().unwrap() <= 1, "{log:?}");
    assert_eq!(log.iter().sum::<u32>(), 3_000_u32.div_ceil(14), "one for fourteen readings and a note");
}

#[test]
fn a_flash_that_is_too_small_is_not_taken() {
    let sectors = SECTORS_MIN as usize;
    assert!(FlashStore::<_, 2>::open(simulated_flash(sectors)).is_ok());
    assert_eq!(FlashStore::<_, 2>::open(simulated_flash(sectors - 1)).unwrap_err(), Unfit);
    assert_eq!(FlashStore::<_, 9>::open(simulated_flash(sectors)).unwrap_err(), Unfit);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn power_may_go_at_any_byte(
        before in 0_u32..120,
        acknowledged in 0_u32..120,
        power in 0_usize..6_000,
        more in 1_u32..80,
        renamed: bool,
    ) {
        let acknowledged = acknowledged.min(before);
        let mut store = FlashStore::<_, 2>::open(simulated_flash(7)).unwrap();
        let named = Identity { device: "a".try_into().unwrap(), secret: "b".try_into().unwrap(), boot_base: 0 };
        prop_assert!(store.set_identity(named.clone()));
        (1..=before).for_each(|sequence| store.push(reading(1, sequence)));
        store.forget((1, acknowledged));
        let mut flash = store.into_flash();
        flash.power = Some(power);
        let mut sure = 0;
        if let Ok(mut store) = FlashStore::<_, 2>::open(flash.clone()) {
            if renamed {
                let _outcome = store.set_identity(Identity { boot_base: 7, ..named.clone() });
            }
            for sequence in before + 1..=before + more {
                let faults = store.faults();
                store.push(reading(1, sequence));
                if store.faults() > faults {
                    break;
                }
                sure = sequence;
            }
            flash = store.into_flash();
        }
        flash.power = None;
        let mut store = FlashStore::<_, 2>::open(flash).unwrap();
        prop_assert!(store.boot() > 1 && store.identity().is_some());
        let found = all(&mut store);
        // What was written is there, in order, but for what had to make room, and that is told.
        let first = found.first().map_or(sure + 1, |reading| reading.sequence);
        let told = store.dropped().map_or(first, |dropped| dropped.from);
        prop_assert!(told <= acknowledged + 1 || found.is_empty(), "{} {} {:?}", told, acknowledged, store.dropped());
        let numbers: Vec<_> = found.iter().map(|reading| reading.sequence).collect();
        let last = numbers.last().copied().unwrap_or(first - 1);
        prop_assert_eq!(&numbers, &(first..=last).collect::<Vec<_>>());
        prop_assert!(sure == 0 || last >= sure || found.is_empty());
        prop_assert!(found.iter().all(|found| *found == reading(1, found.sequence)));
        // And it goes on.
        let boot = store.boot();
        store.push(reading(boot, 1));
        prop_assert_eq!(all(&mut store).last().copied(), Some(reading(boot, 1)));
    }
}

use super::{Dropped, DroppedSpans, Identity, Place, Store, Stored};

/// Keeps everything until the power goes. Its boot is always 1; the gateway says from which boot on it counts.
#[derive(Debug)]
pub struct RamStore<const C: usize, const N: usize> {
    identity: Option<Identity>,
    readings: heapless::Deque<Stored<C>, N>,
    dropped: DroppedSpans,
    dropped_count: u64,
}

impl<const C: usize, const N: usize> RamStore<C, N> {
    /// Nothing in it; `identity` is what was given at the build, if anything was.
    #[must_use]
    pub fn new(identity: Option<Identity>) -> Self {
        Self {
            identity,
            readings: heapless::Deque::new(),
            dropped: DroppedSpans::default(),
            dropped_count: 0,
        }
    }
}

impl<const C: usize, const N: usize> Store<C> for RamStore<C, N> {
    fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    fn set_identity(&mut self, identity: Identity) -> bool {
        self.identity = Some(identity);
        true
    }

    fn boot(&self) -> u32 {
        1
    }

    fn push(&mut self, reading: Stored<C>) {
        if self.readings.is_full()
            && let Some(oldest) = self.readings.pop_front()
        {
            self.dropped.add(Dropped::one(oldest.place()));
            self.dropped_count = self.dropped_count.saturating_add(1);
        }
        let _has_room = self.readings.push_back(reading).is_ok();
    }

    fn len(&self) -> usize {
        self.readings.len()
    }

    fn get(&mut self, index: usize) -> Option<Stored<C>> {
        self.readings.get(index).copied()
    }

    fn forget(&mut self, place: Place) {
        while self.readings.front().is_some_and(|reading| reading.place() <= place) {
            self.readings.pop_front();
        }
        self.dropped.forget(place);
    }

    fn dropped(&self) -> Option<Dropped> {
        self.dropped.first()
    }

    fn dropped_count(&self) -> u64 {
        self.dropped_count
    }
}

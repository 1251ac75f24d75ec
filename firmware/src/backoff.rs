/// The first wait.
const FIRST_MS: u64 = 500;
/// The longest wait.
const LONGEST_MS: u64 = 30_000;

/// How long to wait after a failure: twice as long each time, and up to a fourth more or less, so that boards that
/// lost the gateway together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let start =
            seed.iter().fold(1_u64, |state, byte| state.wrapping_mul(257).wrapping_add(u64::from(*byte)));
        Self { failures: 0, random: start }
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn failed(&mut self) -> u64 {
        let wait_ms = (FIRST_MS << self.failures.min(6)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        // Knuth's multiplier (MMIX); the high bits are the good ones.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let spread_ms = wait_ms / 2;
        wait_ms - wait_ms / 4 + (self.random >> 33) % spread_ms.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_longest_and_begins_anew_after_a_success() {
        let mut backoff = Backoff::new(&[7; 32]);
        for expected in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000] {
            let wait_ms = backoff.failed();
            assert!((expected * 3 / 4..=expected * 5 / 4).contains(&wait_ms), "{wait_ms} for {expected}");
        }
        backoff.succeeded();
        assert!(backoff.failed() < 700);
    }
}

//! What a virtual sensor measures: the same for the same seed, device and reading, so that whoever reads the output
//! can tell what must stand there.

use crate::profile::Values;

/// Name of the one measurement.
pub const MEASUREMENT: &str = "temperature";

/// Above this a reading is hot: what an alarm is for.
pub const HOT_CELSIUS: f64 = 35.0;

impl Values {
    /// Hundredths of a degree Celsius that reading `sequence` of `device` says.
    #[must_use]
    pub fn hundredths(&self, seed: u64, device: &str, sequence: u64) -> u32 {
        let key = mix(seed ^ name_hash(device));
        match *self {
            Self::Waves => waves(key, sequence),
            Self::Spikes { every, readings, peak_celsius } => {
                let every = u64::from(every.max(1));
                let place = sequence.wrapping_add((key >> 16) % every) % every;
                let noise = mix(key ^ sequence);
                if place < u64::from(readings) {
                    HOT_HUNDREDTHS
                        + below(noise, peak_celsius.saturating_mul(100).saturating_sub(HOT_HUNDREDTHS - 1))
                } else {
                    2000 + below(noise, 1001)
                }
            }
        }
    }

    /// The same in degrees.
    #[must_use]
    pub fn celsius(&self, seed: u64, device: &str, sequence: u64) -> f64 {
        f64::from(self.hundredths(seed, device, sequence)) / 100.0
    }
}

/// The lowest value over 35 °C.
const HOT_HUNDREDTHS: u32 = 3501;

/// 2000 to 4000, up and down over a minute or so of readings, with a little noise.
fn waves(key: u64, sequence: u64) -> u32 {
    let period = 60 + key % 121;
    let phase = (key >> 16) % period;
    let place = sequence.wrapping_add(phase) % period;
    let height = place.min(period - place);
    let level = (height * 2 * 1800 / period).min(1800);
    let noise = mix(key ^ sequence) % 201;
    u32::try_from(2000 + level + noise).unwrap_or(4000)
}

/// A number below `most` out of `random`.
fn below(random: u64, most: u32) -> u32 {
    u32::try_from(random % u64::from(most.max(1))).unwrap_or(0)
}

/// One step of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub(crate) const fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a, 64 bit.
pub(crate) fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hundredths(seed: u64, device: &str, sequence: u64) -> u32 {
        Values::Waves.hundredths(seed, device, sequence)
    }

    #[test]
    fn waves_stay_between_20_and_40_and_use_the_range() {
        let values: Vec<u32> =
            (0..50).flat_map(|d| (0..400).map(move |s| hundredths(7, &format!("sensor_{d}"), s))).collect();
        assert!(values.iter().all(|v| (2000..=4000).contains(v)));
        assert!(values.iter().any(|v| *v < 2100) && values.iter().any(|v| *v > 3900));
    }

    #[test]
    fn spikes_are_over_35_for_as_long_and_as_often_as_asked() {
        let spikes = Values::Spikes { every: 50, readings: 4, peak_celsius: 45 };
        for device in ["a", "b", "c"] {
            let values: Vec<u32> = (0..5000).map(|sequence| spikes.hundredths(3, device, sequence)).collect();
            assert!(values.iter().all(|v| (2000..=3000).contains(v) || (3501..=4500).contains(v)));
            let hot: Vec<usize> = (0..5000).filter(|at| values[*at] > 3500).collect();
            assert_eq!(hot.len(), 400, "four of fifty");
            let beginnings: Vec<_> = hot.iter().filter(|at| **at > 0 && values[**at - 1] <= 3500).collect();
            assert!(beginnings.windows(2).all(|two| two[1] - two[0] == 50), "{beginnings:?}");
        }
        let begin = |device: &str| (0..50).find(|sequence| spikes.hundredths(3, device, *sequence) > 3500);
        assert!(["b", "c", "d", "e"].iter().any(|device| begin(device) != begin("a")), "not all at once");
    }

    #[test]
    fn seed_device_and_number_each_matter_and_nothing_else_does() {
        assert_eq!(hundredths(1, "a", 5), hundredths(1, "a", 5));
        let differs = |a: &dyn Fn(u64) -> u32, b: &dyn Fn(u64) -> u32| (0..100).any(|n| a(n) != b(n));
        assert!(differs(&|n| hundredths(1, "a", n), &|n| hundredths(2, "a", n)));
        assert!(differs(&|n| hundredths(1, "a", n), &|n| hundredths(1, "b", n)));
    }

    #[test]
    fn a_value_prints_with_two_decimals_at_most() {
        for sequence in 0..1000 {
            let text = Values::Waves.celsius(3, "sensor_1", sequence).to_string();
            assert!(text.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 2), "{text}");
        }
    }
}

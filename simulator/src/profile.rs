//! How a virtual device behaves: when it measures, and what.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{clock::micros, device::Micros};

/// Readings in the longest burst, and in the longest spike.
pub const READINGS_MAX: u32 = 100_000;

/// Readings between the beginnings of two spikes, at most.
pub const EVERY_MAX: u32 = 10_000_000;

/// The hottest peak of a spike, in degrees Celsius.
pub const PEAK_CELSIUS_MAX: u32 = 1000;

/// The lowest peak of a spike: all its readings are over 35 °C.
pub const PEAK_CELSIUS_MIN: u32 = 36;

/// How a virtual device behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// When it measures.
    pub timing: Timing,
    /// What it measures.
    pub values: Values,
}

/// When a device measures, around its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// Each interval.
    #[default]
    Periodic,
    /// Each interval, and later than that by chance.
    Jitter {
        /// By less than this part of the interval.
        percent: u8,
    },
    /// Several readings close together, then a rest, so that as many come in all as with one each interval.
    Bursts {
        /// Readings of a burst.
        readings: u32,
        /// Between two of them.
        gap_us: Micros,
    },
}

/// What a device measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Values {
    /// Up and down between 20 and 40 °C.
    #[default]
    Waves,
    /// Between 20 and 30 °C, and now and then over 35 °C for a while.
    Spikes {
        /// From one spike to the next, in readings.
        every: u32,
        /// Readings of a spike.
        readings: u32,
        /// No reading is hotter, in degrees Celsius.
        peak_celsius: u32,
    },
}

impl Profile {
    /// What of it cannot be done with readings this far apart.
    pub(crate) fn check(&self, interval: Duration) -> Result<(), String> {
        if self.timing != Timing::Periodic && interval.is_zero() {
            return Err("only periodic devices can send without an interval".into());
        }
        match self.timing {
            Timing::Bursts { gap_us, .. } if gap_us > micros(interval) => {
                Err("the gap in a burst is longer than the interval".into())
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    /// One or two of these joined by `+`, one about the time and one about the values: `periodic`, `jitter:20%`,
    /// `bursts:readings=10,gap=50ms`, `waves`, `spikes:every=100,readings=5,peak=42`. What is behind the colon may be
    /// left out, in whole or in part.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut timing, mut values) = (None, None);
        for part in text.split('+') {
            let (name, words) = part.split_once(':').unwrap_or((part, ""));
            let mut words = Words::new(words);
            let before = match name {
                "periodic" => timing.replace(Timing::Periodic).is_some(),
                "jitter" => timing.replace(jitter(&mut words)?).is_some(),
                "bursts" => timing.replace(bursts(&mut words)?).is_some(),
                "waves" => values.replace(Values::Waves).is_some(),
                "spikes" => values.replace(spikes(&mut words)?).is_some(),
                _ => {
                    return Err(format!(
                        "{name:?} is no profile; there are periodic, jitter:20%, bursts:readings=10,gap=50ms, waves \
                         and spikes:every=100,readings=5,peak=42, joined by +"
                    ));
                }
            };
            if before {
                return Err(format!("{name:?} goes not together with what stands before it"));
            }
            words.end(name)?;
        }
        Ok(Self { timing: timing.unwrap_or_default(), values: values.unwrap_or_default() })
    }
}

fn jitter(words: &mut Words<'_>) -> Result<Timing, String> {
    let percent = words.take("", 20, |text| text.strip_suffix('%')?.parse().ok().filter(|it| *it <= 100));
    Ok(Timing::Jitter { percent: percent.ok_or("jitter is 0% to 100% of the interval, such as jitter:20%")? })
}

fn bursts(words: &mut Words<'_>) -> Result<Timing, String> {
    let readings = words.take("readings", 10, |text| number(text, 1, READINGS_MAX));
    let readings = readings.ok_or_else(|| format!("a burst has 1 to {READINGS_MAX} readings"))?;
    let gap = words.take("gap", Duration::from_millis(50), |text| humantime::parse_duration(text).ok());
    let gap = gap.ok_or("the gap in a burst is a time, such as gap=50ms")?;
    Ok(Timing::Bursts { readings, gap_us: micros(gap) })
}

fn spikes(words: &mut Words<'_>) -> Result<Values, String> {
    let every = words.take("every", 100, |text| number(text, 1, EVERY_MAX));
    let every = every.ok_or_else(|| format!("spikes come every 1 to {EVERY_MAX} readings"))?;
    let readings = words.take("readings", 5, |text| number(text, 1, READINGS_MAX));
    let readings = readings.ok_or_else(|| format!("a spike has 1 to {READINGS_MAX} readings"))?;
    let peak = words.take("peak", 42, |text| number(text, PEAK_CELSIUS_MIN, PEAK_CELSIUS_MAX));
    let peak_celsius =
        peak.ok_or_else(|| format!("a spike's peak is {PEAK_CELSIUS_MIN} to {PEAK_CELSIUS_MAX} °C"))?;
    if readings > every {
        return Err("a spike has at most as many readings as there are from one to the next".into());
    }
    Ok(Values::Spikes { every, readings, peak_celsius })
}

fn number(text: &str, least: u32, most: u32) -> Option<u32> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

/// `NAME=VALUE,NAME=VALUE`; the name `""` is that of a value alone.
struct Words<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let words = text.split(',').filter(|word| !word.is_empty());
        Self(words.map(|word| word.split_once('=').unwrap_or(("", word))).collect())
    }

    /// `usual` where the name does not stand there; `None` where `read` makes nothing of the value.
    fn take<T>(&mut self, name: &str, usual: T, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        match self.0.iter().position(|(word, _)| *word == name) {
            Some(at) => read(self.0.remove(at).1),
            None => Some(usual),
        }
    }

    /// Nothing may be left over.
    fn end(&self, name: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((word, value)) => {
                Err(format!("{name} does not know {word}{}{value}", if word.is_empty() { "" } else { "=" }))
            }
        }
    }
}

impl fmt::Display for Profile {
    /// As [`FromStr`] takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timing {
            Timing::Periodic => f.write_str("periodic")?,
            Timing::Jitter { percent } => write!(f, "jitter:{percent}%")?,
            Timing::Bursts { readings, gap_us } => {
                let gap = humantime::format_duration(Duration::from_micros(gap_us)).to_string();
                write!(f, "bursts:readings={readings},gap={}", gap.replace(' ', ""))?;
            }
        }
        match self.values {
            Values::Waves => Ok(()),
            Values::Spikes { every, readings, peak_celsius } => {
                write!(f, "+spikes:every={every},readings={readings},peak={peak_celsius}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Profile {
        text.parse().unwrap()
    }

    #[test]
    fn profiles_are_read_with_their_parameters_and_without() {
        assert_eq!(parse("periodic"), Profile::default());
        assert_eq!(parse("waves"), Profile::default());
        assert_eq!(parse("jitter").timing, Timing::Jitter { percent: 20 });
        assert_eq!(parse("jitter:35%").timing, Timing::Jitter { percent: 35 });
        assert_eq!(parse("bursts").timing, Timing::Bursts { readings: 10, gap_us: 50_000 });
        let both = parse("bursts:gap=1ms,readings=3+spikes:peak=50");
        assert_eq!(both.timing, Timing::Bursts { readings: 3, gap_us: 1000 });
        assert_eq!(both.values, Values::Spikes { every: 100, readings: 5, peak_celsius: 50 });
    }

    #[test]
    fn a_profile_reads_as_it_is_written() {
        for text in
            ["periodic", "jitter:7%", "bursts:readings=4,gap=1s250ms+spikes:every=9,readings=2,peak=99"]
        {
            assert_eq!(parse(text).to_string(), text);
            assert_eq!(parse(&parse(text).to_string()), parse(text));
        }
    }

    #[test]
    fn what_is_no_profile_is_told_so() {
        let refused = |text: &str| text.parse::<Profile>().unwrap_err();
        assert!(refused("").contains("there are periodic, jitter:20%"));
        assert!(refused("storms").contains("\"storms\" is no profile"));
        assert!(refused("jitter+bursts").contains("goes not together"));
        assert!(refused("waves+spikes").contains("goes not together"));
        assert!(refused("jitter:101%").contains("0% to 100%"));
        assert!(refused("jitter:20").contains("0% to 100%"));
        assert!(refused("bursts:size=3").contains("bursts does not know size=3"));
        assert!(refused("periodic:3").contains("periodic does not know 3"));
        assert!(refused("bursts:gap=soon").contains("gap=50ms"));
        assert!(refused("spikes:every=5,readings=6").contains("at most as many"));
    }

    #[test]
    fn readings_max_every_max_and_peak_celsius_max_are_reached() {
        assert!(format!("bursts:readings={READINGS_MAX}").parse::<Profile>().is_ok());
        assert!(format!("bursts:readings={}", READINGS_MAX + 1).parse::<Profile>().is_err());
        let spikes = |every: u32, peak: u32| format!("spikes:every={every},peak={peak}").parse::<Profile>();
        assert!(spikes(EVERY_MAX, PEAK_CELSIUS_MAX).is_ok());
        assert!(spikes(EVERY_MAX + 1, PEAK_CELSIUS_MAX).is_err());
        assert!(spikes(EVERY_MAX, PEAK_CELSIUS_MAX + 1).is_err());
        assert!(spikes(EVERY_MAX, PEAK_CELSIUS_MIN - 1).is_err());
    }

    #[test]
    fn an_interval_that_a_profile_does_not_fit_is_told() {
        let check = |text: &str, ms| parse(text).check(Duration::from_millis(ms));
        assert!(check("jitter", 0).unwrap_err().contains("without an interval"));
        assert!(check("bursts:gap=50ms", 49).unwrap_err().contains("longer than the interval"));
        assert_eq!(check("bursts:gap=50ms", 50), Ok(()));
        assert_eq!(check("periodic", 0), Ok(()));
    }
}

//! `tidegate size`

use std::{fmt, str::FromStr, time::Duration};

use serde::Serialize;

use super::{Error, SizeArgs, print, when};
use crate::{
    bridge::UNCONFIRMED_MS_MAX,
    spool::{Config, ConfigError, DAY_MS, Load, Sizing, size},
};

/// Readings in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    readings: u32,
    span_ms: u64,
}

/// A text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write how many readings in which time, such as 1/s, 6/min, 4/h or 1/10s")]
pub struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (readings, span) = text.split_once('/').ok_or(InvalidRate)?;
        let readings = readings.trim().parse().map_err(|_| InvalidRate)?;
        let span = span.trim();
        let counted =
            if span.starts_with(|c: char| c.is_ascii_digit()) { span.to_owned() } else { format!("1{span}") };
        let span_ms = when::duration_ms(&counted).map_err(|_| InvalidRate)?;
        if readings == 0 || span_ms == 0 { Err(InvalidRate) } else { Ok(Self { readings, span_ms }) }
    }
}

impl Rate {
    /// Readings a day of so many devices.
    fn per_day(self, devices: u32) -> u64 {
        let all =
            u128::from(self.readings) * u128::from(devices) * u128::from(DAY_MS) / u128::from(self.span_ms);
        u64::try_from(all).unwrap_or(u64::MAX).max(1)
    }
}

/// Prints what the load means.
///
/// # Errors
/// [`Error::Usage`] when there is no such spool.
pub(super) fn run(args: &SizeArgs) -> Result<(), Error> {
    let load = Load {
        devices: args.devices.get(),
        records_per_day: args.rate.per_day(args.devices.get()),
        payload_bytes: args.payload,
        outputs: args.outputs.into(),
        cursor_ms: UNCONFIRMED_MS_MAX,
    };
    let answer = Answer::of(args, &load)
        .map_err(|error| Error::Usage(format!("no spool takes such a load: {error}")))?;
    if args.json {
        let text = serde_json::to_string(&answer).map_err(|error| Error::Failed(error.to_string()))?;
        print::line(text)?;
    } else {
        print::line(answer)?;
    }
    Ok(())
}

/// What is said.
#[derive(Debug, Serialize)]
struct Answer {
    readings_per_day: u64,
    record_bytes: u64,
    hours: u32,
    card_bytes: u64,
    sd_card_false: Column,
    sd_card_true: Column,
}

/// For one setting of `sd_card`.
#[derive(Debug, Serialize)]
struct Column {
    commits_per_day: u64,
    commit_bytes: u64,
    written_bytes_per_day: u64,
    outage_bytes: u64,
    max_disk: String,
}

impl Answer {
    fn of(args: &SizeArgs, load: &Load) -> Result<Self, ConfigError> {
        let outage = Duration::from_secs(u64::from(args.hours) * 3600);
        let sizing = |sd_card| size(&Config { sd_card, ..Config::default() }, load, outage);
        let (plain, spared) = (sizing(false)?, sizing(true)?);
        Ok(Self {
            readings_per_day: load.records_per_day,
            record_bytes: plain.record_bytes,
            hours: args.hours,
            card_bytes: args.card.as_u64(),
            sd_card_false: Column::of(&plain),
            sd_card_true: Column::of(&spared),
        })
    }
}

impl Column {
    fn of(sizing: &Sizing) -> Self {
        Self {
            commits_per_day: sizing.commits_per_day,
            commit_bytes: sizing.commit_bytes,
            written_bytes_per_day: sizing.written_bytes_per_day,
            outage_bytes: sizing.outage_bytes,
            max_disk: in_owners_words(sizing.spool_bytes_max),
        }
    }

    /// How long until so many bytes are written.
    fn card_ms(&self, bytes: u64) -> u64 {
        let ms = u128::from(bytes) * u128::from(DAY_MS) / u128::from(self.written_bytes_per_day.max(1));
        u64::try_from(ms).unwrap_or(u64::MAX)
    }
}

/// A value of `max_disk`, rounded up.
fn in_owners_words(bytes: u64) -> String {
    const MB: u64 = 1_000_000;
    if bytes > 100_000 * MB {
        format!("{}GB", bytes.div_ceil(1000 * MB))
    } else {
        format!("{}MB", bytes.div_ceil(MB))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { readings_per_day, record_bytes, hours, card_bytes, .. } = self;
        let (plain, spared) = (&self.sd_card_false, &self.sd_card_true);
        writeln!(f, "{readings_per_day} readings a day, {record_bytes} bytes each on disk before padding")?;
        writeln!(f)?;
        let mut row = |what: &str, of: &dyn Fn(&Column) -> String| {
            writeln!(f, "{what:<28}{:>18}{:>18}", of(plain), of(spared))
        };
        row("", &|column| format!("sd_card = {}", std::ptr::eq(column, spared)))?;
        row("commits", &|column| tenths(column.commits_per_day, 86_400, "/s"))?;
        row("written to the card", &|column| size_text(column.written_bytes_per_day) + " a day")?;
        row(&format!("all of {} written in", size_text(*card_bytes)), &|column| {
            span(column.card_ms(*card_bytes))
        })?;
        row(&format!("kept in an outage of {hours} h"), &|column| size_text(column.outage_bytes))?;
        row("max_disk for it", &|column| format!("\"{}\"", column.max_disk))
    }
}

/// Decimal, as owners write it, with one place.
fn size_text(bytes: u64) -> String {
    let units = [(1_000_000_000_000, " TB"), (1_000_000_000, " GB"), (1_000_000, " MB"), (1_000, " kB")];
    let (unit, name) = units.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1, " B"));
    tenths(bytes, unit, name)
}

/// `number / of`, rounded to one place.
fn tenths(number: u64, of: u64, unit: &str) -> String {
    let tenths = (u128::from(number) * 10 + u128::from(of) / 2) / u128::from(of);
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

/// Days, or hours where there are few.
fn span(ms: u64) -> String {
    if ms >= 3 * DAY_MS { tenths(ms, DAY_MS, " days") } else { tenths(ms, DAY_MS / 24, " hours") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_readings_in_a_time() {
        let per_day = |text: &str| text.parse::<Rate>().unwrap().per_day(100);
        assert_eq!(per_day("1/s"), 8_640_000);
        assert_eq!(per_day("6/min"), 864_000);
        assert_eq!(per_day("1/10s"), 864_000);
        assert_eq!(per_day("1/d"), 100);
        for wrong in ["", "1", "0/s", "1/0s", "-1/s", "1/", "a/s", "1/fortnight"] {
            assert_eq!(wrong.parse::<Rate>(), Err(InvalidRate), "{wrong}");
        }
    }

    #[test]
    fn what_is_recommended_is_at_least_what_is_needed_and_can_be_written() {
        for bytes in [245_761, 1_000_000, 8_876_543_210, 234_567_890_123] {
            let words = in_owners_words(bytes);
            let read = words.parse::<bytesize::ByteSize>().unwrap().as_u64();
            assert!(read >= bytes && read < bytes + 1_100_000_000, "{words}");
        }
    }

    #[test]
    fn figures_are_rounded_to_a_place() {
        assert_eq!(size_text(8_849_000_000), "8.8 GB");
        assert_eq!(size_text(999), "999.0 B");
        assert_eq!(span(DAY_MS), "24.0 hours");
        assert_eq!(span(10 * DAY_MS), "10.0 days");
    }
}

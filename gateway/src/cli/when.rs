//! Moments and spans as people type them. The only place that names `jiff`.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// A moment: fixed, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Unix milliseconds.
    At(u64),
    /// Milliseconds before now.
    Ago(u64),
}

/// The text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time such as 2026-11-20T08:00:00Z, how long ago such as -2h or -1d12h, or now")]
pub struct InvalidTime;

/// The text is no span of time above zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a span of time such as 500ms, 2s, 10m or 1h30m")]
pub struct InvalidSpan;

impl When {
    /// The moment in Unix milliseconds, at the moment `now_wall_ms`.
    #[must_use]
    pub fn wall_ms(self, now_wall_ms: u64) -> u64 {
        match self {
            Self::At(wall_ms) => wall_ms,
            Self::Ago(ms) => now_wall_ms.saturating_sub(ms),
        }
    }
}

impl FromStr for When {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "now" {
            return Ok(Self::Ago(0));
        }
        if let Some(span) = text.strip_prefix('-') {
            return duration_ms(span).map(Self::Ago).map_err(|_| InvalidTime);
        }
        let moment: Timestamp = text.parse().map_err(|_| InvalidTime)?;
        u64::try_from(moment.as_millisecond()).map(Self::At).map_err(|_| InvalidTime)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(wall_ms) => f.write_str(&timestamp(*wall_ms)),
            Self::Ago(0) => f.write_str("now"),
            Self::Ago(ms) => write!(f, "-{}", span(*ms)),
        }
    }
}

/// Milliseconds of a span such as `2s`, `1h30m` or `1d`; a day is 24 hours.
///
/// # Errors
/// [`InvalidSpan`] when `text` is no span, or none above zero.
pub fn duration_ms(text: &str) -> Result<u64, InvalidSpan> {
    let span: Span = text.parse().map_err(|_| InvalidSpan)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| InvalidSpan)?;
    match u64::try_from(duration.as_millis()) {
        Ok(ms) if ms > 0 => Ok(ms),
        _ => Err(InvalidSpan),
    }
}

/// `2026-11-20T08:00:00.000Z` (RFC 3339) for Unix milliseconds; far outside the calendar, the number itself.
#[must_use]
pub fn timestamp(wall_ms: u64) -> String {
    let moment = i64::try_from(wall_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| wall_ms.to_string(), |moment| format!("{moment:.3}"))
}

/// A span for people, such as `2s` or `1h 30m`: whole seconds above a second, milliseconds below.
#[must_use]
pub fn span(ms: u64) -> String {
    let shown = if ms < 1000 { ms } else { ms - ms % 1000 };
    let duration = SignedDuration::from_millis(i64::try_from(shown).unwrap_or(i64::MAX));
    format!("{duration:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000_000;

    #[test]
    fn moments_are_read() {
        let wall_ms = |text: &str| text.parse::<When>().unwrap().wall_ms(NOW);
        assert_eq!(wall_ms("1970-01-01T00:00:01Z"), 1000);
        assert_eq!(wall_ms("2026-11-20T08:00:00+01:00"), wall_ms("2026-11-20T07:00:00Z"));
        assert_eq!(wall_ms("-2h"), NOW - 7_200_000);
        assert_eq!(wall_ms("-1d12h"), NOW - 129_600_000);
        assert_eq!(wall_ms("now"), NOW);
    }

    #[test]
    fn what_is_no_moment_is_told_what_is() {
        for text in ["", "yesterday", "2h", "-", "--2h", "2026-11-20", "-0s", "1960-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<When>(), Err(InvalidTime), "{text}");
        }
    }

    #[test]
    fn spans_are_read_and_shown() {
        assert_eq!(duration_ms("500ms"), Ok(500));
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(duration_ms("0s"), Err(InvalidSpan));
        assert_eq!(duration_ms("-2s"), Err(InvalidSpan));
        assert_eq!(duration_ms("60"), Err(InvalidSpan));
        assert_eq!(span(2_345), "2s");
        assert_eq!(span(345), "345ms");
        assert_eq!(timestamp(1_795_000_000_123), "2026-11-18T11:06:40.123Z");
    }
}

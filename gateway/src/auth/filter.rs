//! MQTT topic filters: which topics one matches, and whether one covers another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes in the longest filter that can be granted.
pub const FILTER_LEN_MAX: usize = 256;

/// A valid topic filter (OASIS MQTT 5.0, 4.7) that does not begin with `$`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter(Box<str>);

/// Why a text is no filter that can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Nothing there; a filter has at least one character `[MQTT-4.7.3-1]`.
    #[error("a topic filter is not empty")]
    Empty,
    /// Longer than [`FILTER_LEN_MAX`] bytes.
    #[error("a topic filter has at most {FILTER_LEN_MAX} bytes")]
    TooLong,
    /// `#` not last, or a wildcard that shares its level with other characters `[MQTT-4.7.1-1]`, `[MQTT-4.7.1-2]`.
    #[error("+ and # stand alone in their level, and # comes last")]
    Wildcard,
    /// NUL or another control character `[MQTT-4.7.3-2]`.
    #[error("a topic filter holds no control characters")]
    Control,
    /// Begins with `$`, which is the gateway's own.
    #[error("filters that begin with $ cannot be granted")]
    Dollar,
}

impl Filter {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`InvalidFilter`] says which rule `text` breaks.
    pub fn new(text: &str) -> Result<Self, InvalidFilter> {
        if text.len() > FILTER_LEN_MAX {
            return Err(InvalidFilter::TooLong);
        }
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a message published to `topic` goes to a subscriber of this filter.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        matches(&self.0, topic)
    }

    /// Whether every topic that `requested` matches is matched by this filter too.
    ///
    /// Decided level by level. It never says yes wrongly; it says no to the one pair of filters that are equal
    /// without looking it, `#` under `+/#`.
    #[must_use]
    pub fn covers(&self, requested: &str) -> bool {
        is_covered(&self.0, requested)
    }
}

/// Whether `topic` holds what a topic name must: at least one character, no wildcard, no control character.
#[must_use]
pub(super) fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.chars().any(|c| c == '+' || c == '#' || c.is_control())
}

/// Whether `filter`, taken to be valid, matches `topic`; a leading wildcard does not match `$…` `[MQTT-4.7.2-1]`.
#[must_use]
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether `requested` is a valid filter and every topic it matches is matched by `granted`, taken to be valid.
#[must_use]
pub(super) fn is_covered(granted: &str, requested: &str) -> bool {
    check(requested).is_ok() && covers(granted, requested)
}

fn covers(granted: &str, requested: &str) -> bool {
    if requested.starts_with('$') && granted.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = requested.split('/');
    for wanted in granted.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some("#") | None => return false,
            Some(level) if wanted == "+" || wanted == level => {}
            Some(_) => return false,
        }
    }
    levels.next().is_none()
}

fn check(text: &str) -> Result<(), InvalidFilter> {
    if text.is_empty() {
        return Err(InvalidFilter::Empty);
    }
    if text.starts_with('$') {
        return Err(InvalidFilter::Dollar);
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidFilter::Control);
    }
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let alone = level.len() == 1 || !level.contains(['+', '#']);
        if !alone || (level == "#" && levels.peek().is_some()) {
            return Err(InvalidFilter::Wildcard);
        }
    }
    Ok(())
}

impl TryFrom<String> for Filter {
    type Error = InvalidFilter;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.0.into()
    }
}

impl std::str::FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

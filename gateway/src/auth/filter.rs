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
    /// `#` not last, or a wildcard that shares its level with other characters `[MQTT-4.7.1-1]`,
    /// `[MQTT-4.7.1-2]`.
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
    /// Decided level by level. It never says yes wrongly; it says no to the one pair of filters that are
    /// equal without looking it, `#` under `+/#`.
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

/// Whether `filter`, taken to be valid, matches `topic`; a leading wildcard does not match `$…`
/// `[MQTT-4.7.2-1]`.
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

/// Whether `requested` is a valid filter and every topic it matches is matched by `granted`, taken to be
/// valid.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).unwrap()
    }

    #[test]
    fn the_standards_examples_match() {
        // OASIS MQTT 5.0, 4.7.1.2 and 4.7.1.3.
        for (wanted, topic, matched) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "sport", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("温度/+", "温度/1", true),
        ] {
            assert_eq!(filter(wanted).matches(topic), matched, "{wanted} {topic}");
        }
    }

    #[test]
    fn covering_is_decided_level_by_level() {
        for (granted, requested, covered) in [
            ("#", "#", true),
            ("#", "a/+/#", true),
            ("a/#", "a", true),
            ("a/#", "a/#", true),
            ("a/#", "a/b/+", true),
            ("a/#", "+/#", false),
            ("a/#", "#", false),
            ("a/+", "a/#", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/+/c", false),
            ("a/b", "a/+", false),
            ("+/b", "a/b", true),
            ("a", "a/#", false),
            ("#", "$SYS/#", false),
            ("#", "$share/g/a", false),
            ("+/x", "$SYS/x", false),
            ("#", "a/#/b", false),
            ("#", "a+", false),
            ("#", "", false),
            ("#", "a\0b", false),
        ] {
            assert_eq!(filter(granted).covers(requested), covered, "{granted} {requested}");
        }
    }

    #[test]
    fn what_cannot_be_granted_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", InvalidFilter::Empty),
            ("a/#/b", InvalidFilter::Wildcard),
            ("a#", InvalidFilter::Wildcard),
            ("a/b+/c", InvalidFilter::Wildcard),
            ("++", InvalidFilter::Wildcard),
            ("##", InvalidFilter::Wildcard),
            ("a\0", InvalidFilter::Control),
            ("a\nb", InvalidFilter::Control),
            ("$SYS/#", InvalidFilter::Dollar),
            ("$share/g/a", InvalidFilter::Dollar),
        ] {
            assert_eq!(Filter::new(text), Err(reason), "{text:?}");
        }
        assert!(Filter::new(&"x".repeat(FILTER_LEN_MAX)).is_ok());
        assert_eq!(Filter::new(&"x".repeat(FILTER_LEN_MAX + 1)), Err(InvalidFilter::TooLong));
    }

    /// Few distinct levels, so that filters and topics meet.
    fn level() -> impl Strategy<Value = String> {
        prop_oneof![Just(""), Just("a"), Just("b"), Just("温"), Just("$S")].prop_map(str::to_owned)
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("empty", |t| !t.is_empty())
    }

    fn any_filter() -> impl Strategy<Value = Filter> {
        let wanted = prop_oneof![2 => level(), 1 => Just("+".to_owned())];
        (prop::collection::vec(wanted, 0..4), any::<bool>()).prop_filter_map(
            "invalid",
            |(mut levels, rest)| {
                levels.extend(rest.then(|| "#".to_owned()));
                Filter::new(&levels.join("/")).ok()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn what_a_covered_filter_matches_the_granted_one_matches(
            granted in any_filter(), requested in any_filter(), topic in topic(),
        ) {
            prop_assert!(granted.covers(granted.as_str()));
            if granted.covers(requested.as_str()) && requested.matches(&topic) {
                prop_assert!(granted.matches(&topic));
            }
        }

        #[test]
        fn a_plain_topic_is_covered_just_when_it_is_matched(granted in any_filter(), topic in topic()) {
            if !topic.starts_with('$') {
                prop_assert_eq!(granted.covers(&topic), granted.matches(&topic));
            }
        }

        #[test]
        fn a_filter_that_matches_more_is_not_covered(
            granted in any_filter(), requested in any_filter(), topic in topic(),
        ) {
            if requested.matches(&topic) && !granted.matches(&topic) {
                prop_assert!(!granted.covers(requested.as_str()));
            }
        }

        #[test]
        fn covering_is_transitive(a in any_filter(), b in any_filter(), c in any_filter()) {
            if a.covers(b.as_str()) && b.covers(c.as_str()) {
                prop_assert!(a.covers(c.as_str()));
            }
        }

        #[test]
        fn no_text_panics(one in any::<String>(), other in any::<String>(), granted in any_filter()) {
            let _any = Filter::new(&one);
            let _any = (matches(&one, &other), is_covered(&one, &other), is_topic(&one));
            let _any = (granted.matches(&one), granted.covers(&other));
        }
    }
}

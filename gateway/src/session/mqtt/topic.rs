//! The rules for topics and filters (MQTT 5, 4.7). All of them look at bytes: nothing is cut at a character.

use super::Refusal;
use super::limits::Limits;
use super::reason::{Reason, Violation};

/// What is wrong with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicFault {
    /// No client that keeps the standard sends it: the connection ends.
    Broken(Violation),
    /// Well formed and not accepted here: the publish is refused.
    Refused(Refusal),
}

/// Checks a topic to publish to.
pub(super) fn check_topic(topic: &str, limits: &Limits) -> Result<(), TopicFault> {
    if topic.is_empty() {
        return Err(TopicFault::Broken(Violation::protocol("an empty topic")));
    }
    let mut levels = 1;
    for byte in topic.bytes() {
        match byte {
            b'/' => levels += 1,
            b'+' | b'#' => {
                return Err(TopicFault::Broken(Violation::new(
                    Reason::TopicInvalid,
                    "a topic with wildcards",
                )));
            }
            0 => return Err(TopicFault::Broken(Violation::malformed("a topic with NUL"))),
            _ => {}
        }
    }
    if topic.starts_with('$') {
        return Err(TopicFault::Refused(Refusal::NotAuthorized));
    }
    if levels > limits.topic_levels_max || topic.len() > limits.topic_bytes_max {
        return Err(TopicFault::Refused(Refusal::TopicInvalid));
    }
    Ok(())
}

/// Whether `filter` is one: not empty, `#` alone in the last level, `+` alone in its level, no NUL
/// ([MQTT-4.7.1-1] to [MQTT-4.7.1-3], [MQTT-4.7.3-1], [MQTT-4.7.3-2]).
pub(super) fn is_filter(filter: &str) -> bool {
    if filter.is_empty() {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let valid = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !level.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0)),
        };
        if !valid {
            return false;
        }
    }
    true
}

/// Levels of a topic or filter.
pub(super) fn levels(text: &str) -> usize {
    1 + text.bytes().filter(|&byte| byte == b'/').count()
}

/// Whether `filter` asks for a shared subscription (4.8.2).
pub(super) fn is_shared(filter: &str) -> bool {
    filter == "$share" || filter.starts_with("$share/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_told_apart() {
        let limits = Limits { topic_bytes_max: 12, topic_levels_max: 3, ..Limits::default() };
        let broken = |topic| matches!(check_topic(topic, &limits), Err(TopicFault::Broken(_)));
        let refused = |topic| match check_topic(topic, &limits) {
            Err(TopicFault::Refused(refusal)) => Some(refusal),
            _ => None,
        };
        for topic in ["t", "/", "//", "a/b/c", "温度/1", "a b", "123456789012"] {
            assert_eq!(check_topic(topic, &limits), Ok(()), "{topic}");
        }
        assert!(["", "+", "a/#", "a+b", "a\0"].into_iter().all(broken));
        assert_eq!(refused("$SYS/x"), Some(Refusal::NotAuthorized));
        assert_eq!(refused("$share/g/t"), Some(Refusal::NotAuthorized));
        assert_eq!(refused("a/b/c/d"), Some(Refusal::TopicInvalid));
        assert_eq!(refused("1234567890123"), Some(Refusal::TopicInvalid));
    }

    #[test]
    fn filters_are_told_apart() {
        for filter in ["#", "+", "a/#", "+/+", "/", "/#", "a//b", "+/b/#", "温度/+", "$SYS/#"] {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["", "#/a", "a#", "a/b#", "+a", "a/+b/c", "##", "a\0", "#/"] {
            assert!(!is_filter(filter), "{filter}");
        }
        assert!(is_shared("$share/g/t") && is_shared("$share") && !is_shared("$shared/t"));
        assert_eq!(levels("a//b"), 3);
    }
}

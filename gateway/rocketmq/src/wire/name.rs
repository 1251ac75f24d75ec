//! What topics and groups may be called (`TopicValidator` of the server).

/// Characters of the longest topic.
pub const TOPIC_LEN_MAX: usize = 127;
/// Characters of the longest group.
pub const GROUP_LEN_MAX: usize = 120;

/// Topics that only the server itself writes to.
const SYSTEM_TOPICS: &[&str] = &[
    "TBW102",
    "SCHEDULE_TOPIC_XXXX",
    "BenchmarkTest",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "CHECKPOINT_TOPIC",
];
const SYSTEM_PREFIXES: &[&str] = &["rmq_sys_", "%RETRY%", "%DLQ%"];

/// Whether messages may be sent to a topic of this name: 1 to 127 of `A-Za-z0-9_%|-`, and none of the server's own.
#[must_use]
pub fn is_topic(name: &str) -> bool {
    is_word(name, TOPIC_LEN_MAX)
        && !SYSTEM_TOPICS.contains(&name)
        && !SYSTEM_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a group may be called this: 1 to 120 of `A-Za-z0-9_%|-`.
#[must_use]
pub fn is_group(name: &str) -> bool {
    is_word(name, GROUP_LEN_MAX)
}

fn is_word(name: &str, len_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-%|".contains(&byte);
    !name.is_empty() && name.len() <= len_max && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_up_to_their_limit() {
        assert!(is_topic(&"t".repeat(TOPIC_LEN_MAX)) && !is_topic(&"t".repeat(TOPIC_LEN_MAX + 1)));
        assert!(is_group(&"g".repeat(GROUP_LEN_MAX)) && !is_group(&"g".repeat(GROUP_LEN_MAX + 1)));
        assert!(is_topic("iot-device-topic") && is_topic("a_b|c%d"));
        for bad in ["", "plant/1", "a b", "Wärme", "t\u{1}", "TBW102", "%RETRY%g", "rmq_sys_x"] {
            assert!(!is_topic(bad), "{bad}");
        }
    }
}

//! Properties of a message: names and values, as one text with a byte between them (`MessageDecoder` of the server).
//!
//! A name or value with one of the separators in it would become other properties at the broker. The names that steer
//! the broker (when a message is delivered, to whom, where it came from) are not for who merely sends readings.

use super::message::Illegal;

/// Between a name and its value.
pub const NAME_VALUE: char = '\u{1}';
/// Behind each property.
pub const END: char = '\u{2}';

/// Bytes of all properties of a message: the broker has room for 32,767, and adds its cluster's name and others.
pub const PROPERTIES_BYTES_MAX: usize = 31 * 1024;

/// The words a consumer finds a message by, with spaces between them.
pub const KEYS: &str = "KEYS";
/// The tag, by which consumers filter.
pub const TAGS: &str = "TAGS";
/// The sender's id of a message.
pub const UNIQ_KEY: &str = "UNIQ_KEY";
/// What the queue was chosen by.
pub const SHARDING_KEY: &str = "__SHARDINGKEY";

/// Names with a meaning to brokers or clients (`MessageConst` of the server): none of them is a sender's own.
pub const RESERVED: &[&str] = &[
    "1ST_POP_TIME",
    "ARRIVE_TIME",
    "BORN_TIMESTAMP",
    "BUYER_ID",
    "CHECK_IMMUNITY_TIME_IN_SECONDS",
    "CLUSTER",
    "CONSUME_START_TIME",
    "CORRECTION_FLAG",
    "CORRELATION_ID",
    "DELAY",
    "DLQ_ORIGIN_MESSAGE_ID",
    "DLQ_ORIGIN_TOPIC",
    "DUP_INFO",
    "EXTEND_UNIQ_INFO",
    "INNER_BASE",
    "INNER_MULTI_DISPATCH",
    "INNER_MULTI_QUEUE_OFFSET",
    "INNER_NUM",
    "INSTANCE_ID",
    "KEYS",
    "MAX_OFFSET",
    "MAX_RECONSUME_TIMES",
    "MIN_OFFSET",
    "MQ2_FLAG",
    "MSG_REGION",
    "MSG_TYPE",
    "ORIGIN_MESSAGE_ID",
    "PGROUP",
    "POP_CK",
    "POP_CK_OFFSET",
    "PROPERTY_FORWARD_QUEUE_ID",
    "PUSH_REPLY_TIME",
    "REAL_QID",
    "REAL_TOPIC",
    "RECONSUME_TIME",
    "REDIRECT",
    "REPLY_TO_CLIENT",
    "RETRY_TOPIC",
    "TAGS",
    "TIMER_DELAY_LEVEL",
    "TIMER_DELAY_MS",
    "TIMER_DELAY_SEC",
    "TIMER_DELIVER_MS",
    "TIMER_DEL_UNIQKEY",
    "TIMER_DEQUEUE_MS",
    "TIMER_ENQUEUE_MS",
    "TIMER_OUT_MS",
    "TIMER_ROLL_TIMES",
    "TRACE_CONTEXT",
    "TRACE_ON",
    "TRANSACTION_CHECK_TIMES",
    "TRANSFER_FLAG",
    "TRAN_MSG",
    "TRAN_PREPARED_QUEUE_OFFSET",
    "TTL",
    "UNIQ_KEY",
    "WAIT",
];

/// Whether `name` has a meaning to brokers or clients; all that begin with two underscores have, or may get one.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.starts_with("__") || RESERVED.binary_search(&name).is_ok()
}

/// Appends one property. An empty value is left out: the broker would drop it.
///
/// # Errors
/// [`Illegal::Property`] when name or value hold a separator, or the name is empty.
pub(super) fn push(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), Illegal> {
    let is_separator = |byte: u8| byte == 1 || byte == 2;
    if name.is_empty() || name.bytes().any(is_separator) || value.bytes().any(is_separator) {
        return Err(Illegal::Property(name.escape_debug().to_string()));
    }
    if !value.is_empty() {
        out.extend_from_slice(name.as_bytes());
        out.push(1);
        out.extend_from_slice(value.as_bytes());
        out.push(2);
    }
    Ok(())
}

/// The properties in `text`, in order. What is no property is passed over, as the server does.
pub fn parse(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split(END).filter_map(|part| part.split_once(NAME_VALUE));
    parts.filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_reserved_names_are_sorted_and_found() {
        assert!(RESERVED.is_sorted());
        assert!(RESERVED.iter().all(|name| is_reserved(name)));
        assert!(is_reserved("__BORNHOST") && is_reserved(SHARDING_KEY));
        assert!(!is_reserved("temperature") && !is_reserved("delay") && !is_reserved("tg_dev"));
    }

    #[test]
    fn separators_and_empty_names_are_refused_and_empty_values_left_out() {
        let mut out = Vec::new();
        for (name, value) in [("a\u{1}", "v"), ("a", "v\u{2}"), ("", "v"), ("a\u{2}b", "")] {
            assert!(matches!(push(&mut out, name, value), Err(Illegal::Property(_))), "{name:?} {value:?}");
        }
        push(&mut out, "a", "").unwrap();
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn properties_read_back_as_written(
            properties in prop::collection::vec(("[^\u{1}\u{2}]{1,10}", "[^\u{1}\u{2}]{1,10}"), 0..8)
        ) {
            let mut out = Vec::new();
            for (name, value) in &properties {
                push(&mut out, name, value).unwrap();
            }
            let text = String::from_utf8(out).unwrap();
            let read: Vec<_> = parse(&text).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(read, properties);
        }

        #[test]
        fn no_text_breaks_it(text in any::<String>()) {
            prop_assert!(parse(&text).all(|(name, value)| !name.is_empty() && !value.is_empty()));
        }
    }
}

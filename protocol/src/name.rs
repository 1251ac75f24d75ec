use core::fmt;

/// Bytes in the longest [`Name`].
pub const NAME_LEN_MAX: usize = 32;

/// A measurement's name: `[A-Za-z_][A-Za-z0-9_]{0,31}`, none of the words that mean something to an SQL filter or to
/// the bus. So it can stand as a property of a bus message, as a tag and in a filter, without quoting.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(heapless::String<NAME_LEN_MAX, u8>);

/// Why a text is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidName {
    /// Empty, longer than [`NAME_LEN_MAX`] or with a character outside `[A-Za-z0-9_]`, or a digit in front.
    Malformed,
    /// A word of SQL-92 filters in any case (`in`, `NOT`, …): no filter could ask for it.
    SqlWord,
    /// A property that belongs to the bus (`KEYS`, `DELAY`, …) or to the gateway (`uid`, `tg_…`), or a control
    /// character, with which properties are separated on the wire: such a name would forge what others rely on.
    Reserved,
}

/// Words of the bus's filter language that begin with this lower-case letter; it reads them in any case.
const fn sql_words(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["and"],
        b'b' => &["between"],
        b'c' => &["contains"],
        b'e' => &["endswith", "escape"],
        b'f' => &["false"],
        b'i' => &["in", "is"],
        b'l' => &["like"],
        b'n' => &["not", "null"],
        b'o' => &["or"],
        b's' => &["startswith"],
        b't' => &["true"],
        _ => &[],
    }
}

/// Bytes of which a name is made.
#[expect(clippy::indexing_slicing, reason = "what is out of bounds here does not compile")]
const WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        word[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    word
};

/// Message properties of RocketMQ 4.x and 5.x that begin with a capital letter. Those with `__` or `_SYS_` in front
/// are reserved by that prefix, and `TIMER_…` likewise.
const BUS_PROPERTIES: [&str; 43] = [
    "ARRIVE_TIME",
    "BORN_HOST",
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
    "LITE_TOPIC",
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
    "TRACE_CONTEXT",
    "TRACE_ON",
    "TTL",
];

/// As [`BUS_PROPERTIES`], the words in which the bus writes about transactions and its own keys.
const BUS_TRANSACTION_PROPERTIES: [&str; 7] = [
    "TRANSACTION_CHECK_TIMES",
    "TRANSFER_FLAG",
    "TRAN_CHECK_TIMES",
    "TRAN_MSG",
    "TRAN_PREPARED_QUEUE_OFFSET",
    "UNIQ_KEY",
    "WAIT",
];

impl Name {
    /// Checks and copies `text`.
    ///
    /// # Errors
    /// [`InvalidName`], with the reason.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        if Self::check_front(text.as_bytes()) == Ok(text.len()) {
            return heapless::String::try_from(text).map(Self).map_err(|_| InvalidName::Malformed);
        }
        let is_whole = text.bytes().all(|b| WORD.get(usize::from(b)).is_some_and(|word| *word));
        let forged = text.bytes().any(|b| b.is_ascii_control());
        Err(match Self::check_front(text.as_bytes()) {
            _ if forged => InvalidName::Reserved,
            Err(reason) if is_whole => reason,
            _ => InvalidName::Malformed,
        })
    }

    /// Checks the name that `bytes` begin with, up to the first byte that no name holds, for whoever has no use for a
    /// copy. Returns its length.
    ///
    /// # Errors
    /// [`InvalidName`], with the reason.
    pub fn check_front(bytes: &[u8]) -> Result<usize, InvalidName> {
        let word = |b: &u8| WORD.get(usize::from(*b)).is_some_and(|word| *word);
        let len = bytes.iter().position(|b| !word(b)).unwrap_or(bytes.len());
        let name = bytes.get(..len).unwrap_or_default();
        match name.first() {
            Some(first) if len <= NAME_LEN_MAX && !first.is_ascii_digit() => {
                if is_reserved(name, *first) {
                    Err(InvalidName::Reserved)
                } else if is_sql_word(name, *first) {
                    Err(InvalidName::SqlWord)
                } else {
                    Ok(len)
                }
            }
            _ => Err(InvalidName::Malformed),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_reserved(name: &[u8], first: u8) -> bool {
    let stands_in = |words: &[&str]| words.binary_search_by(|word| word.as_bytes().cmp(name)).is_ok();
    match first {
        b'u' => name == b"uid",
        b't' => name.starts_with(b"tg_"),
        b'_' => name.starts_with(b"__") || name.starts_with(b"_SYS_"),
        b'A'..=b'Z' => {
            name.starts_with(b"TIMER_")
                || stands_in(&BUS_PROPERTIES)
                || stands_in(&BUS_TRANSACTION_PROPERTIES)
        }
        _ => false,
    }
}

fn is_sql_word(name: &[u8], first: u8) -> bool {
    sql_words(first.to_ascii_lowercase()).iter().any(|word| word.as_bytes().eq_ignore_ascii_case(name))
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl core::str::FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "a measurement's name is a letter or _ and up to 31 more of A-Z, a-z, 0-9 and _"
            }
            Self::SqlWord => "a measurement's name is no word of SQL filters",
            Self::Reserved => "the name belongs to the bus or to the gateway, or holds a control character",
        })
    }
}

impl core::error::Error for InvalidName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_for_the_binary_search() {
        assert!(BUS_PROPERTIES.is_sorted() && BUS_TRANSACTION_PROPERTIES.is_sorted());
    }

    #[test]
    fn every_reserved_property_is_refused() {
        for word in BUS_PROPERTIES.iter().chain(&BUS_TRANSACTION_PROPERTIES) {
            assert_eq!(Name::new(word), Err(InvalidName::Reserved), "{word}");
        }
        for word in ["uid", "tg_seq", "tg_", "__SHARDINGKEY", "_SYS_MSG_PRIORITY_", "TIMER_DELAY_SEC"] {
            assert_eq!(Name::new(word), Err(InvalidName::Reserved), "{word}");
        }
        assert_eq!(Name::new("a\u{1}b"), Err(InvalidName::Reserved));
        assert_eq!(Name::new("\u{2}"), Err(InvalidName::Reserved));
    }

    #[test]
    fn sql_words_are_refused_in_any_case_and_only_whole() {
        let all = (0..=u8::MAX).flat_map(|first| sql_words(first).iter().map(move |word| (first, word)));
        assert!(all.clone().all(|(first, word)| word.as_bytes().first() == Some(&first)));
        assert_eq!(all.count(), 14);
        for word in ["in", "IN", "Not", "startswith", "NULL", "Like", "tRue", "EndsWith"] {
            assert_eq!(Name::new(word), Err(InvalidName::SqlWord), "{word}");
        }
        for word in ["inside", "order", "nothing", "keys", "delay", "ttl", "uid2", "t", "_", "_1", "TIMER"] {
            assert!(Name::new(word).is_ok(), "{word}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for word in ["", "1a", "motor-temp", "a b", "a.b", "温度", "é"] {
            assert_eq!(Name::new(word), Err(InvalidName::Malformed), "{word}");
        }
    }

    #[test]
    fn name_len_max_is_reached() {
        let text = core::str::from_utf8(&[b'a'; NAME_LEN_MAX + 1]).unwrap();
        assert!(Name::new(&text[1..]).is_ok());
        assert_eq!(Name::new(text), Err(InvalidName::Malformed));
    }
}

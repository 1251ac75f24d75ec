//! Messages that the bus will never take, as dead letters.

use std::io;

use tidegate_rocketmq::{Illegal, wire::property};

use super::{
    super::dead::{DeadLetters, Letter},
    lines::Held,
    mapping::BusMessage,
};

/// Writes down a message that is not even sent.
///
/// # Errors
/// The disk refuses.
pub(super) fn bury_unsent(
    letters: &mut DeadLetters,
    message: &BusMessage,
    why: &Illegal,
    wall_ms: u64,
) -> io::Result<()> {
    let properties = message.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let head = [
        ("topic", message.topic.as_str()),
        ("key", &message.key),
        ("tag", &message.tag),
        ("id", &message.id),
    ];
    let why = why.to_string();
    letters.bury(&Letter { why: &why, head: &head, body: &message.body }, properties, wall_ms)
}

/// Writes down a message that the broker has refused for good.
///
/// # Errors
/// The disk refuses.
pub(super) fn bury(
    letters: &mut DeadLetters,
    topic: &str,
    held: &Held,
    why: &str,
    wall_ms: u64,
) -> io::Result<()> {
    let message = &held.message;
    let word = |name| message.property(name).unwrap_or_default();
    let head = [
        ("topic", topic),
        ("key", word(property::KEYS)),
        ("tag", word(property::TAGS)),
        ("id", word(property::UNIQ_KEY)),
    ];
    let own = property::parse(message.properties()).filter(|(name, _)| !property::is_reserved(name));
    letters.bury(&Letter { why, head: &head, body: message.body() }, own, wall_ms)
}

use std::str;

use base64::Engine as _;
use tidegate_protocol::{Reading, Value};

use super::{Item, Part, json};
use crate::{
    normalise::{Content, Message, Readings},
    spool::{Lost, LostCause},
};

/// Appends a JSON line for each reading of `item`; one line for what has no readings.
pub(super) fn push(lines: &mut String, item: &Item<'_>) {
    match &item.part {
        Part::Message(message) => match &message.content {
            Content::Readings(readings) => {
                for index in 0..readings.count() {
                    push_reading(lines, item, message, readings, index);
                }
            }
            Content::Raw => push_raw(lines, item, Some(message)),
        },
        Part::Unroutable => push_raw(lines, item, None),
        Part::Gap => push_gap(lines, item),
    }
}

fn push_reading(
    lines: &mut String,
    item: &Item<'_>,
    message: &Message<'_>,
    readings: &Readings<'_>,
    index: usize,
) {
    let numbers = readings.numbers_at(index).unwrap_or_default();
    open(lines, item);
    let device = message.device.as_str();
    // The record's uid is only made where the reading has no numbers of its own.
    let record_uid = if numbers.both().is_some() { String::new() } else { item.record.uid_text() };
    lines.push_str(",\"uid\":\"");
    // Writing into a String does not fail.
    let _infallible = message.write_reading_uid(&record_uid, index, lines);
    lines.push('"');
    push_head(lines, item, device, Some(message));
    if let Some(boot) = numbers.boot {
        lines.push_str(",\"boot\":");
        json::push_digits(lines, boot);
    }
    if let Some(sequence) = numbers.sequence {
        lines.push_str(",\"seq\":");
        json::push_digits(lines, sequence);
    }
    push_times(lines, item, numbers.ts);
    if let Some(object) = readings.object() {
        lines.push_str(",\"values\":");
        lines.push_str(object);
    } else if let Some(reading) = readings.get(index) {
        push_values(lines, reading);
    }
    close(lines);
}

fn push_values(lines: &mut String, reading: &Reading) {
    json::push_name(lines, "values");
    lines.push('{');
    for measurement in &reading.measurements {
        match &measurement.value {
            Value::Text(text) => json::push_text(lines, measurement.name.as_str(), text),
            value => {
                json::push_name(lines, measurement.name.as_str());
                // Writing into a String does not fail.
                let _infallible = value.write_json(lines);
            }
        }
    }
    lines.push('}');
    if reading.measurements.iter().any(|measurement| measurement.unit.is_some()) {
        json::push_name(lines, "units");
        lines.push('{');
        for measurement in &reading.measurements {
            if let Some(unit) = &measurement.unit {
                json::push_text(lines, measurement.name.as_str(), unit);
            }
        }
        lines.push('}');
    }
}

fn push_raw(lines: &mut String, item: &Item<'_>, message: Option<&Message<'_>>) {
    open(lines, item);
    let envelope = &item.record.envelope;
    json::push_text(lines, "uid", &item.record.uid_text());
    let device = message.map_or(envelope.device, |message| message.device.as_str());
    push_head(lines, item, device, message);
    push_times(lines, item, envelope.ts_dev);
    if let Some(content_type) = envelope.content_type {
        json::push_text(lines, "content_type", content_type);
    }
    match str::from_utf8(item.record.payload) {
        Ok(text) => json::push_text(lines, "payload", text),
        Err(_) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(item.record.payload);
            json::push_text(lines, "payload_base64", &encoded);
        }
    }
    close(lines);
}

/// In place of records that are gone: whose, from which to which, and why.
fn push_gap(lines: &mut String, item: &Item<'_>) {
    open(lines, item);
    json::push_text(lines, "kind", "gap");
    json::push_text(lines, "device", item.record.envelope.device);
    // The spool writes the summary of a gap as JSON.
    if let Ok(summary) = str::from_utf8(item.record.payload) {
        json::push_name(lines, "gap");
        lines.push_str(summary);
    }
    json::push_number(lines, "ts_gw", item.record.envelope.ts_gw);
    close(lines);
}

/// In place of records that the disk did not give back.
pub(super) fn push_lost(lines: &mut String, lost: Lost) {
    lines.push('{');
    json::push_text(lines, "kind", "lost");
    json::push_number(lines, "from", lost.from);
    json::push_number(lines, "to", lost.to);
    json::push_text(lines, "reason", if lost.cause == LostCause::Damaged { "damaged" } else { "expired" });
    close(lines);
}

fn open(lines: &mut String, item: &Item<'_>) {
    lines.push('{');
    lines.push_str("\"lane\":\"");
    lines.push_str(item.record.position.lane.as_str());
    lines.push_str("\",\"offset\":");
    json::push_digits(lines, item.record.position.offset);
}

fn close(lines: &mut String) {
    lines.push_str("}\n");
}

fn push_head(lines: &mut String, item: &Item<'_>, device: &str, message: Option<&Message<'_>>) {
    let envelope = &item.record.envelope;
    // A device's name needs no escapes; nor do our own words.
    lines.push_str(",\"device\":\"");
    lines.push_str(device);
    lines.push_str("\",\"topic\":");
    json::push_string(lines, message.map_or(envelope.topic, |message| message.topic.as_str()));
    if let Some(message) = message {
        lines.push_str(",\"output_topic\":");
        json::push_string(lines, message.output_topic.as_str());
        lines.push_str(",\"tag\":");
        json::push_string(lines, message.tag.as_str());
    }
    lines.push_str(",\"protocol\":\"");
    lines.push_str(envelope.protocol.as_str());
    lines.push_str("\",\"qos\":");
    json::push_digits(lines, envelope.qos);
    if !envelope.user_properties.is_empty() {
        json::push_name(lines, "user_properties");
        lines.push('[');
        for (index, (name, value)) in envelope.user_properties.iter().enumerate() {
            if index > 0 {
                lines.push(',');
            }
            lines.push('[');
            json::push_string(lines, name);
            lines.push(',');
            json::push_string(lines, value);
            lines.push(']');
        }
        lines.push(']');
    }
}

fn push_times(lines: &mut String, item: &Item<'_>, ts: Option<u64>) {
    if let Some(ts) = ts {
        lines.push_str(",\"ts\":");
        json::push_digits(lines, ts);
    }
    lines.push_str(",\"ts_gw\":");
    json::push_digits(lines, item.record.envelope.ts_gw);
}

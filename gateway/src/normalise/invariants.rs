//! What holds for every payload and every route, as a check that property tests and fuzz targets share.

use std::{collections::HashSet, str};

use tidegate_protocol::{DeviceId, MEASUREMENTS_MAX, Reading, Value};

use super::{
    BodyForm, Content, Input, Known, Message, OUTPUT_TOPIC_LEN_MAX, READINGS_MAX, RouteConfig, Routes, json,
};

/// When the gateway took the inputs of the checks, in Unix milliseconds.
pub const NOW_MS: u64 = 1_700_000_000_000;

/// The id that the checks give to the record.
const RECORD_UID: &str = "sensor_1/g1/t0";

/// Routes that use every key, for inputs that choose among them by their topic.
const SAMPLE_ROUTES: &str = r#"[
    {"topic": "plant/+/{device}/{measurement}", "scale": 0.1, "offset": -40, "range": [-40, 85], "unit": "Cel"},
    {"topic": "text/#", "format": "text", "device": "{payload}", "output_topic": "lines-{device}", "tag": "line"},
    {"topic": "json", "format": "json", "measurement": "level", "body": "json", "lane": "event", "id": "device-ts"},
    {"topic": "split/+", "split": true, "output_topic": "s-{device}-{measurement}", "tag": "{measurement}"},
    {"topic": "telemetry/#", "body": "text", "range": [-1000, 1000]},
    {"topic": "pack", "format": "senml", "device": "{payload}", "scale": 2, "id": "device-ts"},
    {"topic": "raw", "format": "raw", "device": "machine", "body": "json"}
]"#;

/// Reads a device, a topic and a payload out of any bytes, separated by the first two zeros, and checks them without
/// routes and with some. The bytes behind the second zero are also tried as routes.
///
/// # Errors
/// What does not hold.
pub fn check_bytes(data: &[u8]) -> Result<(), String> {
    let mut fields = data.splitn(3, |b| *b == 0);
    let mut text = || fields.next().and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default();
    let (device, topic) = (text(), text());
    let payload = fields.next().unwrap_or_default();
    let device = match DeviceId::new(device) {
        Ok(device) => device,
        Err(_) => DeviceId::new("sensor_1").map_err(|problem| problem.to_string())?,
    };
    let input =
        Input { device: &device, topic, payload, content_type: None, ts_gw: NOW_MS, known: Known::default() };
    check(&Routes::default(), &input)?;
    check(&routes(SAMPLE_ROUTES.as_bytes())?, &input)?;
    routes(payload).map_or(Ok(()), |routes| check(&routes, &input))
}

/// Reads routes, a topic and a payload out of any bytes, separated by the first two zeros, and checks what the routes
/// make of the payload.
///
/// # Errors
/// What does not hold. Routes that cannot be are none of it.
pub fn check_routes(data: &[u8]) -> Result<(), String> {
    let mut fields = data.splitn(3, |b| *b == 0);
    let Ok(routes) = routes(fields.next().unwrap_or_default()) else { return Ok(()) };
    let topic = fields.next().and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default();
    let payload = fields.next().unwrap_or_default();
    let device = DeviceId::new("sensor_1").map_err(|problem| problem.to_string())?;
    check(
        &routes,
        &Input {
            device: &device,
            topic,
            payload,
            content_type: None,
            ts_gw: NOW_MS,
            known: Known::default(),
        },
    )
}

/// Reads a media type, a topic and a payload out of any bytes, and checks what becomes of the payload without routes
/// and with some: the lowest two bits of the first byte choose the media type, the next one a route that demands SenML.
///
/// # Errors
/// What does not hold.
pub fn check_senml(data: &[u8]) -> Result<(), String> {
    let Some((choice, payload)) = data.split_first() else { return Ok(()) };
    let content_type = match choice & 3 {
        0 => Some("application/senml+json"),
        1 => Some("application/senml+cbor"),
        2 => Some("application/cbor"),
        _ => None,
    };
    let topic = if choice & 4 == 0 { "telemetry" } else { "pack" };
    let device = DeviceId::new("sensor_1").map_err(|problem| problem.to_string())?;
    let input =
        Input { device: &device, topic, payload, content_type, ts_gw: NOW_MS, known: Known::default() };
    check(&Routes::default(), &input)?;
    check(&routes(SAMPLE_ROUTES.as_bytes())?, &input)
}

/// Compiles routes written as a JSON array.
///
/// # Errors
/// What is wrong with them.
pub fn routes(json: &[u8]) -> Result<Routes, String> {
    let configs: Vec<RouteConfig> = serde_json::from_slice(json).map_err(|problem| problem.to_string())?;
    Routes::compile(&configs).map_err(|problem| problem.to_string())
}

/// Normalises `input` and checks what came out.
///
/// # Errors
/// What does not hold.
pub fn check(routes: &Routes, input: &Input<'_>) -> Result<(), String> {
    let first = routes.normalise(input);
    ensure(first == routes.normalise(input), "the same input gives the same message")?;
    let Ok(message) = first else { return Ok(()) };
    let again = routes.normalise(&Input { device: &message.device, ..*input });
    ensure(again.as_ref() == Ok(&message), "the message's own device gives the same message")?;
    let known = message.known();
    let recalled = routes.normalise(&Input { known, ..*input });
    ensure(recalled.as_ref() == Ok(&message), "what is known of a payload gives the same message")?;
    if let (Content::Readings(readings), Ok(Message { content: Content::Readings(recalled), .. })) =
        (&message.content, &recalled)
    {
        ensure(recalled.object() == readings.object(), "what is known of a payload gives the same object")?;
    }
    if let Content::Readings(readings) = &message.content {
        ensure((1..=READINGS_MAX).contains(&readings.len()), "a message has 1 to READINGS_MAX readings")?;
        readings.iter().try_for_each(check_reading)?;
    }
    check_parts(&message, input.payload)
}

fn check_reading(reading: &Reading) -> Result<(), String> {
    let measurements = &reading.measurements;
    ensure(
        (1..=MEASUREMENTS_MAX).contains(&measurements.len()),
        "a reading has 1 to MEASUREMENTS_MAX measurements",
    )?;
    let names: HashSet<_> = measurements.iter().map(|m| m.name.as_str()).collect();
    ensure(names.len() == measurements.len(), "names are unique")?;
    ensure(
        measurements.iter().all(|m| match &m.value {
            Value::Number(number) => number.is_finite(),
            Value::Boolean(_) => true,
            Value::Text(text) => !text.chars().any(char::is_control),
        }),
        "numbers are finite and texts hold no control characters",
    )?;
    let mut written = String::new();
    reading.write_json(&mut written).map_err(|problem| problem.to_string())?;
    let read = json::parse(written.as_bytes()).unwrap_or_default();
    ensure(*read == [reading.clone()], "a written reading reads back as itself")
}

fn check_parts(message: &Message<'_>, payload: &[u8]) -> Result<(), String> {
    let parts: Vec<_> = message.parts().collect();
    let measurements: usize = message.readings().iter().map(|r| r.measurements.len()).sum();
    ensure(parts.len() == 1 || parts.len() == measurements, "one part, or one a measurement")?;
    let mut uids = HashSet::new();
    for mut part in parts {
        for word in [&part.output_topic, &part.tag] {
            let fits = !word.is_empty() && word.len() <= OUTPUT_TOPIC_LEN_MAX;
            ensure(fits && word.chars().all(|c| c.is_ascii_graphic()), "output topics and tags fit the bus")?;
        }
        let mut uid = String::new();
        message.write_uid(&part, RECORD_UID, &mut uid).map_err(|problem| problem.to_string())?;
        ensure(uids.insert(uid), "parts have ids of their own where the readings do")
            .or_else(|problem| if repeats_an_id(message) { Ok(()) } else { Err(problem) })?;
        for form in [BodyForm::Text, BodyForm::Json, BodyForm::Raw] {
            part.body = form;
            let mut body = Vec::new();
            message.write_body(&part, RECORD_UID, payload, &mut body);
            let json = form != BodyForm::Json || serde_json::from_slice::<serde_json::Value>(&body).is_ok();
            ensure(json, "a JSON body is JSON")?;
            ensure(form != BodyForm::Raw || body == payload, "a raw body is the payload")?;
        }
    }
    Ok(())
}

/// Whether the device itself gave one number, or one time, to two readings of a payload.
fn repeats_an_id(message: &Message<'_>) -> bool {
    let uids = message.reading_uids(RECORD_UID);
    uids.iter().collect::<HashSet<_>>().len() < uids.len()
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("does not hold: {what}")) }
}

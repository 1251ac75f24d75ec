//! A message as an output sends it: whole, or one part a measurement where the route splits.

use std::fmt::{self, Write};

use tidegate_protocol::{DeviceId, Lane, Measurement, Reading, Value};

use super::{BodyForm, Content, IdForm, Known, Message, Word, table::Route};

/// Output topic of a single number.
pub const SINGLE_TOPIC: &str = "iot-topic";

/// Output topic of everything else.
pub const DEVICE_TOPIC: &str = "iot-device-topic";

/// Tag of what could not be read.
pub const RAW_TAG: &str = "raw";

/// What an output sends as one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<'m> {
    /// Topic at the output.
    pub output_topic: Word<'m>,
    /// Tag at the output.
    pub tag: Word<'m>,
    /// What stands in the body.
    pub body: BodyForm,
    /// The one measurement it holds, as index of the reading and index in it; `None`: the whole message.
    pub only: Option<(usize, usize)>,
}

impl<'a> Message<'a> {
    /// What an output sends for this message, in order: one part, or one a measurement where the route says `split`.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + '_ {
        self.parts_split(false)
    }

    /// As [`Message::parts`]; with `split`, one part a measurement also where the route does not say so.
    pub fn parts_split(&self, split: bool) -> impl Iterator<Item = Part<'a>> + '_ {
        let split = split || self.applied.is_some_and(|route| route.split);
        let readings: &[Reading] = if split { self.readings() } else { &[] };
        let whole = readings.is_empty().then(|| self.whole());
        let each = readings.iter().enumerate().flat_map(move |(r, reading)| {
            let part = move |(m, measurement): (usize, &Measurement)| {
                let mapping = map(self.applied, &self.device, self.lane, Holds::One(measurement), &self.name);
                Part { only: Some((r, m)), ..mapping }
            };
            reading.measurements.iter().enumerate().map(part)
        });
        whole.into_iter().chain(each)
    }

    fn whole(&self) -> Part<'a> {
        let (output_topic, tag) = (self.output_topic.clone(), self.tag.clone());
        Part { output_topic, tag, body: self.body, only: None }
    }

    /// The readings; none where the payload could not be read.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        match &self.content {
            Content::Readings(readings) => readings,
            Content::Raw => &[],
        }
    }

    /// The device's numbers for the record's id, where the payload is one reading that has them. Several readings
    /// have an id each, and none of these may stand for the others.
    #[must_use]
    pub fn numbers(&self) -> Option<(u32, u64)> {
        match &self.content {
            Content::Readings(readings) if readings.count() == 1 => readings.numbers_at(0)?.both(),
            Content::Readings(_) | Content::Raw => None,
        }
    }

    /// What may be kept with the payload, so that it need not be checked again.
    #[must_use]
    pub fn known(&self) -> Known {
        match &self.content {
            Content::Readings(readings) => readings.known(),
            Content::Raw => Known::default(),
        }
    }

    /// The device's time: that of the first reading.
    #[must_use]
    pub fn ts(&self) -> Option<u64> {
        match &self.content {
            Content::Readings(readings) => readings.numbers_at(0)?.ts,
            Content::Raw => None,
        }
    }

    /// Writes the id of one reading: `device/boot/seq`, or `device/@ts` where the route takes the time for a number,
    /// else `record_uid`, with the reading's index behind it where there are several.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn write_reading_uid(&self, record_uid: &str, index: usize, out: &mut impl Write) -> fmt::Result {
        let device = &self.device;
        let Content::Readings(readings) = &self.content else { return out.write_str(record_uid) };
        if let Some(numbers) = readings.numbers_at(index) {
            if let Some((boot, sequence)) = numbers.both() {
                out.write_str(device.as_str())?;
                out.write_char('/')?;
                out.write_str(itoa::Buffer::new().format(boot))?;
                out.write_char('/')?;
                return out.write_str(itoa::Buffer::new().format(sequence));
            }
            if let (IdForm::DeviceTs, Some(ts)) = (self.id, numbers.ts) {
                return write!(out, "{device}/@{ts}");
            }
        }
        out.write_str(record_uid)?;
        if readings.count() > 1 { write!(out, "/{index}") } else { Ok(()) }
    }

    /// Writes the id of one part: that of its reading, with the measurement's name behind it where the message is
    /// split; `record_uid` for several readings in one.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn write_uid(&self, part: &Part<'_>, record_uid: &str, out: &mut impl Write) -> fmt::Result {
        match part.only {
            None if self.readings().len() > 1 => out.write_str(record_uid),
            None => self.write_reading_uid(record_uid, 0, out),
            Some((reading, measurement)) => {
                self.write_reading_uid(record_uid, reading, out)?;
                let found = self.readings().get(reading).and_then(|r| r.measurements.get(measurement));
                found.map_or(Ok(()), |measurement| write!(out, "/{}", measurement.name))
            }
        }
    }

    /// The ids of all readings, in order.
    #[must_use]
    pub fn reading_uids(&self, record_uid: &str) -> Vec<String> {
        let uid = |index| {
            let mut text = String::new();
            self.write_reading_uid(record_uid, index, &mut text).map(|()| text).unwrap_or_default()
        };
        (0..self.readings().len()).map(uid).collect()
    }
}

/// What a part holds, as far as its mapping asks.
pub(super) enum Holds<'h> {
    Nothing,
    One(&'h Measurement),
    Several,
}

impl<'h> Holds<'h> {
    pub(super) fn of(content: &'h Content<'_>) -> Self {
        match content {
            Content::Raw => Self::Nothing,
            Content::Readings(readings) if readings.is_several() => Self::Several,
            Content::Readings(readings) => match &**readings {
                [Reading { measurements, .. }] if measurements.len() == 1 => {
                    measurements.first().map_or(Self::Nothing, Self::One)
                }
                _ => Self::Several,
            },
        }
    }
}

/// Output topic, tag and body, by the route and else by default. `name` is what the route calls the measurement.
pub(super) fn map<'a>(
    route: Option<&'a Route>,
    device: &DeviceId,
    lane: Lane,
    holds: Holds<'_>,
    name: &Word<'a>,
) -> Part<'a> {
    let (topic, tag, body) = match &holds {
        Holds::Nothing => (DEVICE_TOPIC, Word::Borrowed(RAW_TAG), BodyForm::Raw),
        Holds::One(Measurement { name, value: Value::Number(_), .. }) => {
            (SINGLE_TOPIC, Word::Name(name.clone()), BodyForm::Text)
        }
        Holds::One(_) | Holds::Several => (DEVICE_TOPIC, Word::Borrowed(lane.as_str()), BodyForm::Json),
    };
    let mut part = Part { output_topic: Word::Borrowed(topic), tag, body, only: None };
    if let Some(route) = route {
        let name = match &holds {
            Holds::One(measurement) => measurement.name.as_str(),
            Holds::Nothing | Holds::Several => name,
        };
        if let Some(template) = &route.output_topic {
            part.output_topic = template.fill(device, name);
        }
        if let Some(template) = &route.tag {
            part.tag = template.fill(device, name);
        }
        part.body = route.body.unwrap_or(body);
    }
    part
}

//! Which shape a payload has: what the route demands, else what its first byte promises.

use tidegate_protocol::{DeviceId, Name, Reading, Topic, Value, topic::lane_word};

use super::{
    Content, Format, Input, LINE_NAME, Readings, Reject, VALUE_NAME, cbor,
    json::{self, Unfit},
    media::Media,
    senml::{self, Naming},
    table::{DeviceSource, Route},
    text::{self, Line},
};

/// One payload with what is known about it before it is read.
pub(super) struct Reader<'r, 'a> {
    pub(super) input: &'r Input<'a>,
    pub(super) topic: &'r Topic<'r>,
    pub(super) route: Option<&'r Route>,
    /// What the route calls the measurement.
    pub(super) name: Option<&'r Name>,
    /// Of whom login, topic and route say it speaks.
    pub(super) device: DeviceId,
}

impl<'a> Reader<'_, 'a> {
    /// The content, cleaned, and of whom it speaks.
    pub(super) fn read(mut self) -> Result<(Content<'a>, DeviceId), Reject> {
        let mut content = match self.route.and_then(|route| route.format) {
            None => self.sniff()?,
            Some(Format::Json) => self.json()?,
            Some(Format::Text) => self.text()?,
            Some(Format::Senml) => self.senml()?,
            Some(Format::Raw) => Content::Raw,
        };
        if let Some(clean) = self.route.and_then(|route| route.clean.as_ref()) {
            match &mut content {
                Content::Readings(readings) => {
                    let name = self.name.map(Name::as_str);
                    readings.iter_mut().try_for_each(|reading| clean.apply(reading, name))?;
                }
                Content::Raw if clean.demands_numbers => return Err(Reject::Format),
                Content::Raw => {}
            }
        }
        Ok((content, self.device))
    }

    /// Reads what is declared as SenML or CBOR, or looks like JSON or like a line of text, and leaves everything else as
    /// it is.
    fn sniff(&mut self) -> Result<Content<'a>, Reject> {
        let payload = self.input.payload;
        let media = Media::of(self.input.content_type);
        match (media, payload.trim_ascii_start().first()) {
            (Media::SenmlJson | Media::SenmlCbor, _) => self.senml(),
            (Media::SenmlOther, _) => Ok(Content::Raw),
            (Media::Cbor, _) => self.cbor(),
            (_, Some(b'{' | b'[')) => self.json_shape(media),
            (_, Some(_)) => text::parse(payload).map_or(Ok(Content::Raw), |line| self.line(line)),
            (_, None) => Ok(Content::Raw),
        }
    }

    fn json_shape(&mut self, media: Media) -> Result<Content<'a>, Reject> {
        let payload = self.input.payload;
        if media == Media::Open {
            let pack = senml::recognise(payload, &self.naming()?, self.input.ts_gw);
            if let Some(pack) = pack {
                return self.pack(pack);
            }
        }
        match json::parse_known(payload, self.input.known) {
            Ok(readings) => Ok(Content::Readings(readings)),
            Err(Unfit::ReservedName) => Err(Reject::Name),
            Err(Unfit::UnknownShape) => Ok(Content::Raw),
        }
    }

    /// The JSON shapes, in CBOR; whole numbers as keys have no meaning there.
    fn cbor(&self) -> Result<Content<'a>, Reject> {
        let Some(text) = cbor::to_json(self.input.payload, |_| None) else { return Ok(Content::Raw) };
        let read = match text.as_bytes().first() {
            Some(b'{' | b'[') => json::parse(text.as_bytes()).map(Readings::apart).map(Content::Readings),
            _ => match json::parse_value(text.as_bytes()) {
                Ok(value) => return self.single(value, VALUE_NAME),
                Err(unfit) => Err(unfit),
            },
        };
        match read {
            Ok(content) => Ok(content),
            Err(Unfit::ReservedName) => Err(Reject::Name),
            Err(Unfit::UnknownShape) => Ok(Content::Raw),
        }
    }

    fn senml(&mut self) -> Result<Content<'a>, Reject> {
        let media = Media::of(self.input.content_type);
        let pack = senml::parse(self.input.payload, media, &self.naming()?, self.input.ts_gw);
        match pack {
            Ok(pack) => self.pack(pack),
            Err(senml::Unfit::Fault(fault)) => Err(Reject::Senml(fault)),
            Err(senml::Unfit::ReservedName) => Err(Reject::Name),
        }
    }

    /// A base name may name another device where neither topic nor route does; whether this login may speak for it,
    /// the caller asks.
    fn pack(&mut self, pack: senml::Pack) -> Result<Content<'a>, Reject> {
        if let Some(named) = pack.device {
            let named_elsewhere = match self.route.map_or(&DeviceSource::Login, |route| &route.device) {
                DeviceSource::Fixed(_) | DeviceSource::Topic => true,
                DeviceSource::Payload => false,
                DeviceSource::Login => self.topic.device().is_some(),
            };
            if named_elsewhere {
                return Err(Reject::Device);
            }
            self.device = named;
        }
        Ok(Content::Readings(pack.readings.into()))
    }

    fn naming(&self) -> Result<Naming<'_>, Reject> {
        let other = match self.topic_name() {
            Some(name) => name,
            None => Name::new(VALUE_NAME).map_err(|_| Reject::Name)?,
        };
        Ok(Naming { device: &self.device, route: self.name, other })
    }

    fn json(&mut self) -> Result<Content<'a>, Reject> {
        let payload = self.input.payload;
        let read = match payload.trim_ascii_start().first() {
            Some(b'{' | b'[') => json::parse_known(payload, self.input.known).map(Content::Readings),
            _ => match json::parse_value(payload) {
                Ok(value) => return self.single(value, VALUE_NAME),
                Err(unfit) => Err(unfit),
            },
        };
        read.map_err(|unfit| match unfit {
            Unfit::ReservedName => Reject::Name,
            Unfit::UnknownShape => Reject::Format,
        })
    }

    fn text(&mut self) -> Result<Content<'a>, Reject> {
        let device = if self.takes_device() { None } else { Some(&self.device) };
        let line = text::parse_any(self.input.payload, device).ok_or(Reject::Format)?;
        self.line(line)
    }

    fn line(&mut self, line: Line) -> Result<Content<'a>, Reject> {
        match line.device {
            None => self.single(line.value, VALUE_NAME),
            Some(named) => {
                if self.takes_device() {
                    self.device = named;
                } else if named != self.device {
                    return Err(Reject::Device);
                }
                self.single(line.value, LINE_NAME)
            }
        }
    }

    fn takes_device(&self) -> bool {
        self.route.is_some_and(|route| route.device == DeviceSource::Payload)
    }

    /// A reading of one value, named by the route, else by the topic's last level, else `other`.
    fn single(&self, value: Value, other: &str) -> Result<Content<'a>, Reject> {
        let name = match self.name.cloned().or_else(|| self.topic_name()) {
            Some(name) => name,
            None => Name::new(other).map_err(|_| Reject::Name)?,
        };
        let mut readings = Readings::new();
        readings.all().push(Reading::new());
        if let Some(reading) = readings.first_mut() {
            reading.push(name, value).map_err(|_| Reject::Format)?;
        }
        Ok(Content::Readings(readings))
    }

    /// The topic's last level, where it can be a measurement's name: no native word and not the device itself.
    fn topic_name(&self) -> Option<Name> {
        let path = match self.topic {
            Topic::Own(_) | Topic::Command { .. } => return None,
            Topic::Named { path, .. } => path,
            Topic::Other => self.input.topic,
        };
        let last = path.rsplit('/').next()?;
        let free = lane_word(last).is_none() && last != self.device.as_str();
        free.then(|| Name::new(last).ok()).flatten()
    }
}

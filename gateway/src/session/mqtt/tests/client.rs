//! Frames as clients send them, written byte by byte and without the codec.

use super::Version;

#[derive(Clone, Copy)]
pub(super) struct Frames(pub(super) Version);

/// A CONNECT in parts.
#[derive(Clone)]
pub(super) struct ConnectParts<'a> {
    pub(super) name: &'a [u8],
    pub(super) level: u8,
    pub(super) flags: u8,
    pub(super) keep_alive_s: u16,
    pub(super) properties: Vec<u8>,
    pub(super) client_id: &'a str,
    /// Everything behind the client id.
    pub(super) rest: Vec<u8>,
}

impl ConnectParts<'_> {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut body = field(self.name);
        body.extend([self.level, self.flags]);
        body.extend(self.keep_alive_s.to_be_bytes());
        if self.level == 5 {
            body.extend(block(&self.properties));
        }
        body.extend(field(self.client_id.as_bytes()));
        body.extend(&self.rest);
        frame(0x10, &body)
    }
}

impl Frames {
    pub(super) fn is_v5(self) -> bool {
        self.0 == Version::V5
    }

    /// Clean, with user name and password, no keep-alive.
    pub(super) fn connect_parts(self, client_id: &str) -> ConnectParts<'_> {
        ConnectParts {
            name: b"MQTT",
            level: if self.is_v5() { 5 } else { 4 },
            flags: 0b1100_0010,
            keep_alive_s: 0,
            properties: Vec::new(),
            client_id,
            rest: [field(b"user"), field(b"secret")].concat(),
        }
    }

    pub(super) fn connect(self, client_id: &str) -> Vec<u8> {
        self.connect_parts(client_id).bytes()
    }

    /// A CONNECT with a will, whose properties are given for MQTT 5; `flags` are the will's.
    pub(super) fn connect_with_will(
        self,
        flags: u8,
        properties: &[u8],
        topic: &str,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut parts = self.connect_parts("client");
        parts.flags |= 0b100 | flags;
        let properties = if self.is_v5() { block(properties) } else { Vec::new() };
        parts.rest = [properties, field(topic.as_bytes()), field(payload), parts.rest].concat();
        parts.bytes()
    }

    /// A publish; packet id 0 makes it QoS 0.
    pub(super) fn publish(self, topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
        let first = if packet_id == 0 { 0x30 } else { 0x32 };
        self.publish_raw(first, topic.as_bytes(), packet_id, &[], payload)
    }

    pub(super) fn publish_raw(
        self,
        first: u8,
        topic: &[u8],
        packet_id: u16,
        properties: &[u8],
        payload: &[u8],
    ) -> Vec<u8> {
        let mut body = field(topic);
        if first & 0b110 != 0 {
            body.extend(packet_id.to_be_bytes());
        }
        if self.is_v5() {
            body.extend(block(properties));
        }
        body.extend(payload);
        frame(first, &body)
    }

    pub(super) fn subscribe(self, packet_id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.is_v5() {
            body.push(0);
        }
        for (filter, options) in filters {
            body.extend(field(filter.as_bytes()));
            body.push(*options);
        }
        frame(0x82, &body)
    }

    pub(super) fn unsubscribe(self, packet_id: u16, filters: &[&str]) -> Vec<u8> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.is_v5() {
            body.push(0);
        }
        for filter in filters {
            body.extend(field(filter.as_bytes()));
        }
        frame(0xA2, &body)
    }
}

pub(super) const PINGREQ: [u8; 2] = [0xC0, 0];
pub(super) const PINGRESP: [u8; 2] = [0xD0, 0];
pub(super) const DISCONNECT: [u8; 2] = [0xE0, 0];

pub(super) fn puback(packet_id: u16) -> Vec<u8> {
    frame(0x40, &packet_id.to_be_bytes())
}

pub(super) fn puback_refused(packet_id: u16, code: u8) -> Vec<u8> {
    frame(0x40, &[&packet_id.to_be_bytes()[..], &[code]].concat())
}

pub(super) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    frame.extend(length(body.len()));
    frame.extend(body);
    frame
}

/// A string or binary field.
pub(super) fn field(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Properties with their length.
pub(super) fn block(properties: &[u8]) -> Vec<u8> {
    [length(properties.len()), properties.to_vec()].concat()
}

pub(super) fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value % 128).unwrap();
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

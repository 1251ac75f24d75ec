//! The only place that names `coap-lite`: what `strict` has let through to options and payload.
//!
//! Only its packet is used. Its block handler fills missing blocks with zeros and can be made to panic from outside.

use coap_lite::Packet;

/// Options and payload of a message.
pub(super) struct Body {
    packet: Packet,
}

impl Body {
    /// `None` when the codec finds a fault that `strict` does not know.
    pub(super) fn decode(datagram: &[u8]) -> Option<Self> {
        Packet::from_bytes(datagram).ok().map(|packet| Self { packet })
    }

    /// Every option, in the order of their numbers, and of the message where a number repeats.
    pub(super) fn options(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.packet
            .options()
            .flat_map(|(number, values)| values.iter().map(|value| (*number, value.as_slice())))
    }

    pub(super) fn into_payload(self) -> Vec<u8> {
        self.packet.payload
    }
}

/// What went out, read back: code, and the values of an option.
#[cfg(test)]
pub(super) mod read_back {
    use coap_lite::{CoapOption, Packet};

    pub(in super::super) struct Sent(Packet);

    impl Sent {
        pub(in super::super) fn new(datagram: &[u8]) -> Self {
            Self(Packet::from_bytes(datagram).expect("what is sent is well formed"))
        }

        pub(in super::super) fn uint(&self, number: u16) -> Option<u32> {
            let value = self.0.get_first_option(CoapOption::from(number))?;
            Some(value.iter().fold(0, |uint, byte| uint << 8 | u32::from(*byte)))
        }

        pub(in super::super) fn payload(&self) -> &str {
            str::from_utf8(&self.0.payload).expect("what is said is text")
        }
    }
}

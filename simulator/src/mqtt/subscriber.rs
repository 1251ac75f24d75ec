use std::time::Duration;

use rumqttc::{AsyncClient, EventLoop, MqttOptions, Packet, QoS};

use super::{OUTGOING_HEAD_BYTES_MAX, v4};
use crate::{link::Failure, plan::Target};

/// Requests of ours that may wait: the subscription, and nothing else.
const REQUESTS_MAX: usize = 4;

/// What a subscriber hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// From here on nothing is missed.
    Subscribed,
    /// Acknowledged by the library when it is given out.
    Message { topic: String, payload: Vec<u8> },
}

/// Subscribes to a server over MQTT 3.1.1 at QoS 1, in a session that the server keeps.
pub(crate) struct Subscriber {
    client: AsyncClient,
    events: EventLoop,
    filter: String,
}

impl Subscriber {
    /// [`Subscriber::next`] connects.
    pub(crate) fn new(target: &Target, client_id: &str, filter: &str, payload_bytes_max: usize) -> Self {
        let mut mqtt = MqttOptions::new(client_id, target.authority_host(), target.port);
        let bytes_max = payload_bytes_max.saturating_add(OUTGOING_HEAD_BYTES_MAX);
        mqtt.set_clean_session(false)
            .set_keep_alive(Duration::from_secs(30))
            .set_max_packet_size(bytes_max, bytes_max);
        let (client, events) = AsyncClient::new(mqtt, REQUESTS_MAX);
        Self { client, events, filter: filter.to_owned() }
    }

    /// What comes next.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            match self.events.poll().await.map_err(v4::failure)? {
                rumqttc::Event::Incoming(Packet::ConnAck(_)) => {
                    let asked = self.client.try_subscribe(&self.filter, QoS::AtLeastOnce);
                    asked.map_err(|error| Failure::Protocol(error.to_string()))?;
                }
                rumqttc::Event::Incoming(Packet::SubAck(_)) => return Ok(Heard::Subscribed),
                rumqttc::Event::Incoming(Packet::Publish(publish)) => {
                    return Ok(Heard::Message { topic: publish.topic, payload: publish.payload.to_vec() });
                }
                _ => {}
            }
        }
    }
}

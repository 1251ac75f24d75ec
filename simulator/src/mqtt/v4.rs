use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, EventLoop, MqttOptions, NetworkOptions, Outgoing,
    Packet, QoS, StateError,
};

use super::{Event, Failure, INCOMING_BYTES_MAX, OUTGOING_HEAD_BYTES_MAX, Options, Qos, refusal};

#[derive(Debug)]
pub(crate) struct Publisher(AsyncClient);

pub(crate) struct Connection(EventLoop);

pub(super) fn connect(options: &Options<'_>) -> (Publisher, Connection) {
    let mut mqtt = MqttOptions::new(options.client_id, options.target.authority_host(), options.target.port);
    let incoming = usize::try_from(INCOMING_BYTES_MAX).unwrap_or(usize::MAX);
    mqtt.set_clean_session(true)
        .set_keep_alive(options.keep_alive.max(Duration::from_secs(1)))
        .set_inflight(options.packet_ids_max())
        .set_max_packet_size(incoming, options.payload_bytes_max.saturating_add(OUTGOING_HEAD_BYTES_MAX));
    if let Some((user, password)) = options.login {
        mqtt.set_credentials(user, password);
    }
    let (client, mut events) = AsyncClient::new(mqtt, usize::from(options.inflight_max.max(1)));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(options.connect_max.as_secs().max(1));
    events.set_network_options(network);
    (Publisher(client), Connection(events))
}

impl Publisher {
    pub(super) fn publish(&self, topic: &str, qos: Qos, payload: String) -> bool {
        let qos = match qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
        };
        self.0.try_publish(topic, qos, false, payload).is_ok()
    }

    pub(super) fn disconnect(&self) {
        // A full channel means that publishes go first; the caller gives up after a while.
        let _full = self.0.try_disconnect().is_err();
    }
}

impl Connection {
    pub(super) async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            match self.0.poll().await {
                Ok(event) => {
                    if let Some(event) = translate(event) {
                        return Ok(event);
                    }
                }
                Err(error) => return Err(failure(error)),
            }
        }
    }

    pub(super) fn leftovers(&mut self) -> Vec<Event> {
        self.0.state.events.drain(..).filter_map(translate).collect()
    }
}

fn translate(event: rumqttc::Event) -> Option<Event> {
    match event {
        rumqttc::Event::Incoming(Packet::ConnAck(_)) => Some(Event::Connected),
        rumqttc::Event::Incoming(Packet::PubAck(ack)) => Some(Event::Acknowledged(ack.pkid)),
        rumqttc::Event::Outgoing(Outgoing::Publish(packet)) => Some(Event::Written(packet)),
        _ => None,
    }
}

pub(super) fn failure(error: ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            Failure::Refused(refusal("CONNACK", code_number(code), &format!("{code:?}")))
        }
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => Failure::Timeout,
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(rumqttc::mqttbytes::Error::Io(error)),
        ) => Failure::from(&error),
        ConnectionError::MqttState(StateError::AwaitPingResp | StateError::CollisionTimeout) => {
            Failure::Timeout
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) | ConnectionError::RequestsDone => {
            Failure::Closed
        }
        error => Failure::Protocol(error.to_string()),
    }
}

/// MQTT 3.1.1, table 3.1.
const fn code_number(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::RefusedProtocolVersion => 1,
        ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::ServiceUnavailable => 3,
        ConnectReturnCode::BadUserNamePassword => 4,
        ConnectReturnCode::NotAuthorized => 5,
    }
}

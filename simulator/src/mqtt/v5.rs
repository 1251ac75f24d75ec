use std::time::Duration;

use rumqttc::{
    NetworkOptions, Outgoing,
    v5::{
        AsyncClient, ConnectionError, EventLoop, MqttOptions, StateError,
        mqttbytes::{
            self, QoS,
            v5::{ConnectReturnCode, Packet, PubAckReason},
        },
    },
};

use super::{Event, Failure, INCOMING_BYTES_MAX, Options, Qos, refusal};

#[derive(Debug)]
pub(crate) struct Publisher(AsyncClient);

pub(crate) struct Connection(EventLoop);

pub(super) fn connect(options: &Options<'_>) -> (Publisher, Connection) {
    let mut mqtt = MqttOptions::new(options.client_id, options.target.authority_host(), options.target.port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    mqtt.set_clean_start(true)
        .set_keep_alive(options.keep_alive.max(Duration::from_secs(5)))
        .set_connection_timeout(options.connect_max.as_secs().max(1))
        .set_max_packet_size(Some(INCOMING_BYTES_MAX))
        // Without this the client sets aside room for 65,535 publishes.
        .set_outgoing_inflight_upper_limit(options.packet_ids_max())
        .set_network_options(network);
    if let Some((user, password)) = options.login {
        mqtt.set_credentials(user, password);
    }
    let (client, events) = AsyncClient::new(mqtt, usize::from(options.inflight_max.max(1)));
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

fn translate(event: rumqttc::v5::Event) -> Option<Event> {
    match event {
        rumqttc::v5::Event::Incoming(Packet::ConnAck(_)) => Some(Event::Connected),
        rumqttc::v5::Event::Incoming(Packet::PubAck(ack)) => Some(match puback_code(ack.reason) {
            0x00 | 0x10 => Event::Acknowledged(ack.pkid),
            code => Event::Refused(ack.pkid, refusal("PUBACK", code, &format!("{:?}", ack.reason))),
        }),
        rumqttc::v5::Event::Outgoing(Outgoing::Publish(packet)) => Some(Event::Written(packet)),
        _ => None,
    }
}

fn failure(error: ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => {
            Failure::Refused(refusal("CONNACK", connack_code(code), &format!("{code:?}")))
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            Failure::Refused(refusal("DISCONNECT", reason_code as u8, &format!("{reason_code:?}")))
        }
        ConnectionError::Timeout(_) => Failure::Timeout,
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
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

/// MQTT 5, section 3.4.2.1.
const fn puback_code(reason: PubAckReason) -> u8 {
    match reason {
        PubAckReason::Success => 0x00,
        PubAckReason::NoMatchingSubscribers => 0x10,
        PubAckReason::UnspecifiedError => 0x80,
        PubAckReason::ImplementationSpecificError => 0x83,
        PubAckReason::NotAuthorized => 0x87,
        PubAckReason::TopicNameInvalid => 0x90,
        PubAckReason::PacketIdentifierInUse => 0x91,
        PubAckReason::QuotaExceeded => 0x97,
        PubAckReason::PayloadFormatInvalid => 0x99,
    }
}

/// MQTT 5, section 3.2.2.2.
const fn connack_code(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0x00,
        ConnectReturnCode::UnspecifiedError => 0x80,
        ConnectReturnCode::MalformedPacket => 0x81,
        ConnectReturnCode::ProtocolError => 0x82,
        ConnectReturnCode::ImplementationSpecificError => 0x83,
        ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => 0x84,
        ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => 0x85,
        ConnectReturnCode::BadUserNamePassword => 0x86,
        ConnectReturnCode::NotAuthorized => 0x87,
        ConnectReturnCode::ServerUnavailable | ConnectReturnCode::ServiceUnavailable => 0x88,
        ConnectReturnCode::ServerBusy => 0x89,
        ConnectReturnCode::Banned => 0x8A,
        ConnectReturnCode::BadAuthenticationMethod => 0x8C,
        ConnectReturnCode::TopicNameInvalid => 0x90,
        ConnectReturnCode::PacketTooLarge => 0x95,
        ConnectReturnCode::QuotaExceeded => 0x97,
        ConnectReturnCode::PayloadFormatInvalid => 0x99,
        ConnectReturnCode::RetainNotSupported => 0x9A,
        ConnectReturnCode::QoSNotSupported => 0x9B,
        ConnectReturnCode::UseAnotherServer => 0x9C,
        ConnectReturnCode::ServerMoved => 0x9D,
        ConnectReturnCode::ConnectionRateExceeded => 0x9F,
    }
}

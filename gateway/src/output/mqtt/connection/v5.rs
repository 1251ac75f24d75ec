use rumqttc::{
    Outgoing as Written,
    v5::{
        AsyncClient, ConnectionError, EventLoop, MqttOptions, StateError,
        mqttbytes::{
            self, QoS,
            v5::{ConnectReturnCode, DisconnectReasonCode, Packet, PubAckReason, PublishProperties},
        },
    },
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    CONNECT_MS_MAX, Event, Failure, INCOMING_BYTES_MAX, KEEP_ALIVE, Outgoing, Publisher, Settings, network,
    said,
};

/// MQTT 5, section 2.4.
const PACKET_TOO_LARGE: u8 = 0x95;

pub(super) fn spawn(settings: &Settings, events: mpsc::Sender<Event>) -> (Publisher, JoinHandle<()>) {
    let mut mqtt = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    mqtt.set_clean_start(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_MS_MAX / 1_000)
        .set_max_packet_size(Some(INCOMING_BYTES_MAX))
        .set_outgoing_inflight_upper_limit(settings.packet_ids_max())
        .set_transport(settings.transport())
        .set_network_options(network());
    if let Some((user, password)) = &settings.login {
        mqtt.set_credentials(user, password);
    }
    let (client, connection) = AsyncClient::new(mqtt, usize::from(settings.in_flight_max));
    (Publisher::V5(client), tokio::spawn(run(connection, events)))
}

pub(super) fn publish(client: &AsyncClient, message: &Outgoing) -> bool {
    let properties = PublishProperties {
        content_type: message.content_type.clone(),
        user_properties: message.properties.clone(),
        ..PublishProperties::default()
    };
    let payload = message.payload.clone();
    client
        .try_publish_with_properties(message.topic.as_str(), QoS::AtLeastOnce, false, payload, properties)
        .is_ok()
}

async fn run(mut connection: EventLoop, events: mpsc::Sender<Event>) {
    loop {
        let failed = match connection.poll().await {
            Ok(event) => {
                if let Some(event) = translate(event)
                    && events.send(event).await.is_err()
                {
                    return;
                }
                continue;
            }
            Err(error) => failure(error),
        };
        // Acknowledgements may have been read before it failed.
        let read: Vec<_> = connection.state.events.drain(..).filter_map(translate).collect();
        for event in read.into_iter().chain([Event::Failed(failed)]) {
            if events.send(event).await.is_err() {
                return;
            }
        }
        return;
    }
}

fn translate(event: rumqttc::v5::Event) -> Option<Event> {
    match event {
        rumqttc::v5::Event::Incoming(Packet::ConnAck(_)) => Some(Event::Connected),
        rumqttc::v5::Event::Incoming(Packet::PubAck(ack)) => Some(match ack.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Event::Acknowledged(ack.pkid),
            reason => Event::Refused {
                packet: ack.pkid,
                said: said("PUBACK", puback_code(reason), &format!("{reason:?}")),
                is_final: matches!(
                    reason,
                    PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid
                ),
            },
        }),
        rumqttc::v5::Event::Outgoing(Written::Publish(packet)) => Some(Event::Written(packet)),
        _ => None,
    }
}

fn failure(error: ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => refused(code),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            let said = said("DISCONNECT", reason_code as u8, &format!("{reason_code:?}"));
            let is_final = matches!(
                reason_code,
                DisconnectReasonCode::PacketTooLarge
                    | DisconnectReasonCode::TopicNameInvalid
                    | DisconnectReasonCode::PayloadFormatInvalid
            );
            if is_final { Failure::Final(said) } else { Failure::Refused(said) }
        }
        ConnectionError::MqttState(
            StateError::OutgoingPacketTooLarge { pkt_size, max }
            | StateError::Deserialization(mqttbytes::Error::OutgoingPacketTooLarge { pkt_size, max }),
        ) => Failure::Final(format!("a packet of {pkt_size} bytes, where it takes {max} at most")),
        // Mosquitto's answer to a publish above `message_size_limit`; the standard has it for no PUBACK.
        ConnectionError::MqttState(StateError::Deserialization(
            mqttbytes::Error::InvalidConnectReturnCode(PACKET_TOO_LARGE),
        )) => Failure::Final(said("PUBACK", PACKET_TOO_LARGE, "PacketTooLarge")),
        ConnectionError::Timeout(_)
        | ConnectionError::MqttState(StateError::AwaitPingResp | StateError::CollisionTimeout) => {
            Failure::Timeout
        }
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        ) => Failure::Broken(error.to_string()),
        // A server of MQTT 3.1.1 answers in its own form, or ends the connection.
        ConnectionError::MqttState(StateError::Deserialization(error)) => Failure::Version(error.to_string()),
        ConnectionError::NotConnAck(_) => Failure::Version("it did not answer the login".to_owned()),
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Failure::Version("the server ended the connection".to_owned())
        }
        error => Failure::Broken(error.to_string()),
    }
}

fn refused(code: ConnectReturnCode) -> Failure {
    match code {
        ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => {
            Failure::Version(said("CONNACK", connack_code(code), &format!("{code:?}")))
        }
        code => Failure::Refused(said("CONNACK", connack_code(code), &format!("{code:?}"))),
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

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, EventLoop, MqttOptions, Outgoing as Written, Packet,
    QoS, StateError,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    Event, Failure, INCOMING_BYTES_MAX, KEEP_ALIVE, OUTGOING_BYTES_MAX, Outgoing, Publisher, Settings,
    network, said,
};

pub(super) fn spawn(settings: &Settings, events: mpsc::Sender<Event>) -> (Publisher, JoinHandle<()>) {
    let mut mqtt = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    let incoming = usize::try_from(INCOMING_BYTES_MAX).unwrap_or(usize::MAX);
    mqtt.set_clean_session(true)
        .set_keep_alive(KEEP_ALIVE)
        .set_inflight(settings.packet_ids_max())
        .set_max_packet_size(incoming, OUTGOING_BYTES_MAX)
        .set_transport(settings.transport());
    if let Some((user, password)) = &settings.login {
        mqtt.set_credentials(user, password);
    }
    let (client, mut connection) = AsyncClient::new(mqtt, usize::from(settings.in_flight_max));
    connection.set_network_options(network());
    (Publisher::V4(client), tokio::spawn(run(connection, events)))
}

pub(super) fn publish(client: &AsyncClient, message: &Outgoing) -> bool {
    client.try_publish(message.topic.as_str(), QoS::AtLeastOnce, false, message.payload.clone()).is_ok()
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

fn translate(event: rumqttc::Event) -> Option<Event> {
    match event {
        rumqttc::Event::Incoming(Packet::ConnAck(_)) => Some(Event::Connected),
        rumqttc::Event::Incoming(Packet::PubAck(ack)) => Some(Event::Acknowledged(ack.pkid)),
        rumqttc::Event::Outgoing(Written::Publish(packet)) => Some(Event::Written(packet)),
        _ => None,
    }
}

fn failure(error: ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            let said = said("CONNACK", connack_code(code), &format!("{code:?}"));
            if code == ConnectReturnCode::RefusedProtocolVersion {
                Failure::Version(said)
            } else {
                Failure::Refused(said)
            }
        }
        ConnectionError::NetworkTimeout
        | ConnectionError::FlushTimeout
        | ConnectionError::MqttState(StateError::AwaitPingResp | StateError::CollisionTimeout) => {
            Failure::Timeout
        }
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => {
            Failure::Broken(error.to_string())
        }
        error => Failure::Broken(error.to_string()),
    }
}

/// MQTT 3.1.1, table 3.1.
const fn connack_code(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::RefusedProtocolVersion => 1,
        ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::ServiceUnavailable => 3,
        ConnectReturnCode::BadUserNamePassword => 4,
        ConnectReturnCode::NotAuthorized => 5,
    }
}

//! MQTT 5 with QoS 1: a reading may be forgotten when its PUBACK has come.

mod buffered;

use core::{net::SocketAddr, num::NonZero};

use embassy_futures::select::{Either3, select3};
use embedded_nal_async::TcpConnect;
use rust_mqtt::{
    buffer::BumpBuffer,
    client::{
        Client, MqttError,
        event::Event,
        options::{ConnectOptions, PublicationOptions, TopicReference},
    },
    config::KeepAlive,
    io::Transport,
    types::{MqttBinary, MqttString, ReasonCode, TopicName},
};

use self::buffered::Buffered;
use super::{
    Ended, Letter, Outbox, PAYLOAD_BYTES_MAX, Uplink, Verdict,
    run::{wait, within},
};
use crate::{
    Clock,
    store::{Identity, Store},
};

/// How long a connection may take to be made, or a packet to be answered. The gateway answers a reading when it is on
/// its disk.
const ANSWER_MS_MAX: u64 = 15_000;
/// After so long without a reading the board asks whether the gateway is there.
const SILENCE_MS_MAX: u64 = 30_000;
/// After so long without a packet the gateway gives the board up, half as long again added.
const KEEP_ALIVE: KeepAlive = match NonZero::new(60) {
    Some(seconds) => KeepAlive::Seconds(seconds),
    None => KeepAlive::Infinite,
};
/// Bytes of the texts in the gateway's packets, all those of one connection together: an id, a reason to end it.
const TEXT_BYTES_MAX: usize = 256;
const JSON: &str = "application/json";

/// No subscriptions, one publish in flight; neither user properties nor aliases.
type Session<'c, N> = Client<'c, 'c, N, BumpBuffer<'c>, 1, 1, 1, 0, 0, 0, 0>;

/// The way to the gateway by MQTT 5. The device's id is client id and user name, its secret the password.
#[derive(Debug)]
pub struct MqttUplink<'n, T> {
    network: &'n T,
    gateway: SocketAddr,
}

impl<'n, T: TcpConnect> MqttUplink<'n, T> {
    /// To the gateway's MQTT port.
    #[must_use]
    pub const fn new(network: &'n T, gateway: SocketAddr) -> Self {
        Self { network, gateway }
    }
}

impl<T: TcpConnect> Uplink for MqttUplink<'_, T> {
    async fn serve<S: Store<C>, const C: usize>(
        &mut self,
        login: &Identity,
        outbox: &Outbox<S, C>,
        clock: &impl Clock,
    ) -> Ended {
        let connection = within(clock, ANSWER_MS_MAX, self.network.connect(self.gateway)).await;
        let Some(Ok(connection)) = connection else { return Ended::Broken };
        let mut texts = [0; TEXT_BYTES_MAX];
        let mut texts = BumpBuffer::new(&mut texts);
        let mut session = Session::new(&mut texts);
        let entered = enter(&mut session, Buffered::new(connection), login);
        match within(clock, ANSWER_MS_MAX, entered).await {
            Some(Ok(())) => outbox.note_linked(),
            Some(Err(ended)) => return ended,
            None => return Ended::Broken,
        }
        deliver_all(&mut session, outbox, clock).await
    }
}

async fn enter<'c, N: Transport>(
    session: &mut Session<'c, N>,
    connection: N,
    login: &Identity,
) -> Result<(), Ended> {
    let device = MqttString::from_str(&login.device).map_err(|_| Ended::Refused)?;
    let secret = MqttBinary::from_slice(login.secret.as_bytes()).map_err(|_| Ended::Refused)?;
    let mut options = ConnectOptions::new().clean_start().user_name(device.clone()).password(secret);
    options.keep_alive = KEEP_ALIVE;
    let entered = session.connect(connection, &options, Some(device)).await;
    entered.map(|_| ()).map_err(ended)
}

/// Until the connection breaks.
async fn deliver_all<N: Transport, S: Store<C>, const C: usize>(
    session: &mut Session<'_, N>,
    outbox: &Outbox<S, C>,
    clock: &impl Clock,
) -> Ended {
    let mut payload = [0; PAYLOAD_BYTES_MAX];
    loop {
        let next = outbox.next(clock, &mut payload);
        let done = match select3(next, session.poll_header(), wait(clock, SILENCE_MS_MAX)).await {
            Either3::First(letter) => {
                let bytes = payload.get(..letter.len).unwrap_or_default();
                let verdict = within(clock, ANSWER_MS_MAX, deliver(session, letter, bytes)).await;
                match verdict {
                    Some(Ok(verdict)) => {
                        wait(clock, outbox.settle(letter, verdict)).await;
                        Some(Ok(()))
                    }
                    Some(Err(ended)) => Some(Err(ended)),
                    None => None,
                }
            }
            // Nothing is asked for: the connection's end, most likely.
            Either3::Second(Ok(header)) => {
                let body = session.poll_body(header);
                within(clock, ANSWER_MS_MAX, async { body.await.map(|_| ()).map_err(ended) }).await
            }
            Either3::Second(Err(error)) => Some(Err(ended(error))),
            Either3::Third(()) => within(clock, ANSWER_MS_MAX, ask(session)).await,
        };
        match done {
            Some(Ok(())) => {}
            Some(Err(ended)) => return ended,
            None => return Ended::Broken,
        }
    }
}

async fn deliver<N: Transport>(
    session: &mut Session<'_, N>,
    letter: Letter,
    payload: &[u8],
) -> Result<Verdict, Ended> {
    let topic = MqttString::from_str(letter.lane.as_str()).ok().and_then(TopicName::new);
    let topic = TopicReference::Name(topic.ok_or(Ended::Broken)?);
    let mut options = PublicationOptions::new(topic).at_least_once();
    options.content_type = MqttString::from_str(JSON).ok();
    let sent = session.publish(&options, payload.into()).await.map_err(ended)?;
    loop {
        match session.poll().await.map_err(ended)? {
            Event::PublishAcknowledged(answer) if Some(answer.packet_identifier) == sent => {
                return Ok(Verdict::Kept);
            }
            Event::PublishRejected(answer) if Some(answer.packet_identifier) == sent => {
                return verdict(answer.reason_code);
            }
            _ => {}
        }
    }
}

async fn ask<N: Transport>(session: &mut Session<'_, N>) -> Result<(), Ended> {
    session.ping().await.map_err(ended)?;
    while !matches!(session.poll().await.map_err(ended)?, Event::Pingresp) {}
    Ok(())
}

/// What a PUBACK with an error says: `gateway/REFUSALS.md`.
fn verdict(reason: ReasonCode) -> Result<Verdict, Ended> {
    match reason {
        ReasonCode::PayloadFormatInvalid
        | ReasonCode::TopicNameInvalid
        | ReasonCode::ImplementationSpecificError => Ok(Verdict::Never),
        ReasonCode::NotAuthorized => Err(Ended::Refused),
        _ => Ok(Verdict::Later { wait_ms: 0 }),
    }
}

/// Why the connection is over.
fn ended<const P: usize>(error: MqttError<'_, P>) -> Ended {
    match error {
        MqttError::Disconnect {
            reason:
                ReasonCode::BadUserNameOrPassword
                | ReasonCode::NotAuthorized
                | ReasonCode::Banned
                | ReasonCode::ClientIdentifierNotValid,
            ..
        } => Ended::Refused,
        _ => Ended::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_says_is_what_happens() {
        assert_eq!(verdict(ReasonCode::QuotaExceeded), Ok(Verdict::Later { wait_ms: 0 }));
        assert_eq!(verdict(ReasonCode::UnspecifiedError), Ok(Verdict::Later { wait_ms: 0 }));
        assert_eq!(verdict(ReasonCode::PayloadFormatInvalid), Ok(Verdict::Never));
        assert_eq!(verdict(ReasonCode::TopicNameInvalid), Ok(Verdict::Never));
        assert_eq!(verdict(ReasonCode::ImplementationSpecificError), Ok(Verdict::Never));
        assert_eq!(verdict(ReasonCode::NotAuthorized), Err(Ended::Refused));
    }

    #[test]
    fn a_login_that_fails_is_not_a_broken_connection() {
        let said = |reason| {
            let none = (None, heapless::Vec::new(), None);
            ended::<0>(MqttError::Disconnect {
                reason,
                reason_string: none.0,
                user_properties: none.1,
                server_reference: none.2,
            })
        };
        for reason in [ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized, ReasonCode::Banned] {
            assert_eq!(said(reason), Ended::Refused);
        }
        for reason in [ReasonCode::ServerBusy, ReasonCode::SessionTakenOver, ReasonCode::ServerShuttingDown] {
            assert_eq!(said(reason), Ended::Broken);
        }
    }
}

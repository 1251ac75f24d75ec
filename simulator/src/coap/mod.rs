//! CoAP links of virtual devices (RFC 7252): a POST a reading, CON or NON, each device from a socket of its own.
//!
//! What is sent when is decided by `exchange`, which knows neither sockets nor the time; here are both.

mod codec;
mod exchange;

use std::{
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use exchange::{Exchanges, Manner};
use tokio::{
    net::{UdpSocket, lookup_host},
    sync::mpsc,
    time::{sleep_until, timeout},
};

use crate::{
    clock::Clock,
    link::{Event, Failure, Kept, Options, Qos},
    value::mix,
};

/// Bytes of the longest answer that is read; none should be longer, RFC 7252 section 4.6.
const DATAGRAM_BYTES_MAX: usize = 1280;

/// Datagrams read before anything else has its turn.
const DATAGRAMS_MAX: usize = 16;

/// Message ids of one socket: each is used once, so that none comes again within EXCHANGE_LIFETIME (RFC 7252 section
/// 4.4), however fast the device is.
const MESSAGES_MAX: u32 = 65_536;

/// Bytes of the longest payload in one message, RFC 7252 section 4.6.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1024;

/// The half that publishes.
#[derive(Debug)]
pub(crate) struct Publisher(mpsc::Sender<String>);

/// The half that moves datagrams.
pub(crate) struct Connection {
    host: String,
    port: u16,
    connect_max: Duration,
    clock: Clock,
    random: u64,
    exchanges: Exchanges,
    payloads: mpsc::Receiver<String>,
    endpoint: Option<Endpoint>,
    is_open: bool,
}

/// A socket of a device, and which message ids it has used.
#[derive(Debug)]
pub(crate) struct Endpoint {
    socket: UdpSocket,
    next_id: u16,
    messages: u32,
}

/// Bytes of each part of a topic, of a user name and of a password: an option of 255 less the longest word in it.
pub(crate) const NAME_BYTES_MAX: usize = codec::OPTION_BYTES_MAX - "device=".len();

/// Do a device's names fit into a request?
pub(crate) fn fits(topic: &str, login: Option<(&str, &str)>) -> bool {
    codec::Resource::new(topic, login).fits()
}

pub(crate) fn connect(options: &Options<'_>, kept: Kept) -> (Publisher, Connection) {
    let (publisher, payloads) = mpsc::channel(usize::from(options.inflight_max.max(1)));
    let random = mix(options.key ^ options.clock.now_us());
    let manner = Manner {
        resource: codec::Resource::new(options.topic, options.login),
        confirmable: options.qos == Qos::AtLeastOnce,
        outstanding_max: usize::from(options.inflight_max.max(1)),
        retransmit_wait: options.retransmit_wait,
        acknowledge_max: options.acknowledge_max,
    };
    let connection = Connection {
        host: options.target.host.clone(),
        port: options.target.port,
        connect_max: options.connect_max,
        clock: options.clock,
        random,
        exchanges: Exchanges::new(manner, random),
        payloads,
        endpoint: kept,
        is_open: false,
    };
    (Publisher(publisher), connection)
}

impl Publisher {
    pub(crate) fn publish(&self, payload: String) -> bool {
        self.0.try_send(payload).is_ok()
    }
}

impl Connection {
    pub(crate) async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            self.open().await?;
            if let Some(event) = self.exchanges.poll_event() {
                return Ok(event);
            }
            self.step().await?;
        }
    }

    /// Makes sure that there is a socket with a message id to spare.
    async fn open(&mut self) -> Result<(), Failure> {
        let is_spent = |endpoint: &Endpoint| endpoint.messages >= MESSAGES_MAX;
        if self.endpoint.as_ref().is_some_and(is_spent) && self.exchanges.is_idle() {
            self.endpoint = None;
        }
        if self.endpoint.is_none() {
            let first_id = mix(self.random ^ self.clock.now_us());
            let opened = timeout(self.connect_max, Endpoint::open(&self.host, self.port, first_id)).await;
            self.endpoint = Some(opened.map_err(|_| Failure::Timeout)??);
        }
        if !self.is_open {
            self.is_open = true;
            self.exchanges.handle_open();
        }
        Ok(())
    }

    /// Sends what is to be sent, then waits for whatever happens first.
    async fn step(&mut self) -> Result<(), Failure> {
        let Self { endpoint: Some(endpoint), exchanges, payloads, clock, .. } = self else { return Ok(()) };
        while let Some(datagram) = exchanges.poll_transmit() {
            endpoint.socket.send(datagram).await.map_err(|error| Failure::from(&error))?;
            exchanges.handle_transmitted();
        }
        let due = exchanges.poll_timeout().map(|due_us| clock.instant(due_us));
        let repeat = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        let may_post = exchanges.has_room() && endpoint.messages < MESSAGES_MAX;
        tokio::select! {
            biased;
            ready = endpoint.socket.readable() => {
                ready.map_err(|error| Failure::from(&error))?;
                endpoint.receive(exchanges, clock)
            }
            Some(payload) = payloads.recv(), if may_post => {
                let id = endpoint.take_id();
                exchanges.post(id, payload.as_bytes(), clock.now_us())
            }
            () = repeat => exchanges.handle_timeout(clock.now_us()),
        }
    }

    pub(crate) fn leftovers(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.exchanges.poll_event()).collect()
    }

    pub(crate) fn into_endpoint(self) -> Kept {
        self.endpoint
    }
}

impl Endpoint {
    /// A socket that is connected, so that a port where nobody listens is told.
    async fn open(host: &str, port: u16, random: u64) -> Result<Self, Failure> {
        let wrong = |error: io::Error| Failure::Network(error.to_string());
        let mut addresses = lookup_host((host, port)).await.map_err(wrong)?;
        let to = addresses.next().ok_or_else(|| Failure::Network("the name has no address".into()))?;
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(wrong)?;
        socket.connect(to).await.map_err(wrong)?;
        let [a, b, ..] = random.to_be_bytes();
        Ok(Self { socket, next_id: u16::from_be_bytes([a, b]), messages: 0 })
    }

    fn take_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.messages = self.messages.saturating_add(1);
        id
    }

    fn receive(&self, exchanges: &mut Exchanges, clock: &Clock) -> Result<(), Failure> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..DATAGRAMS_MAX {
            match self.socket.try_recv(&mut buffer) {
                Ok(len) => {
                    let datagram = buffer.get(..len).unwrap_or_default();
                    exchanges.handle_datagram(datagram, clock.now_us())?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(Failure::from(&error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Target, mqtt::Version};

    #[tokio::test]
    async fn messages_max_is_reached_and_a_socket_with_fresh_ids_follows() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = Target::coap("127.0.0.1", server.local_addr().unwrap().port());
        let options = Options {
            target: &target,
            version: Version::default(),
            qos: Qos::AtMostOnce,
            client_id: "a",
            login: None,
            topic: "telemetry",
            keep_alive: Duration::ZERO,
            connect_max: Duration::from_secs(5),
            inflight_max: 4,
            payload_bytes_max: 0,
            retransmit_wait: Duration::from_secs(2),
            acknowledge_max: Duration::from_secs(2),
            clock: Clock::start(),
            key: 1,
        };
        let mut endpoint = Endpoint::open("127.0.0.1", target.port, 0).await.unwrap();
        endpoint.messages = MESSAGES_MAX - 2;
        let (publisher, mut connection) = connect(&options, Some(endpoint));
        let mut ports = Vec::new();
        for _ in 0..4 {
            assert!(publisher.publish("{}".to_owned()));
            while !matches!(connection.next().await.unwrap(), Event::Written(_)) {}
            // The datagram leaves when the next event is waited for.
            let waited = timeout(Duration::from_millis(20), connection.next()).await;
            assert!(waited.is_err(), "{waited:?}");
            let (_, peer) = server.recv_from(&mut [0; 256]).await.unwrap();
            ports.push(peer.port());
        }
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 2, "{ports:?}");
        assert!(ports[0] == ports[1] && ports[1] != ports[2] && ports[2] == ports[3], "{ports:?}");
    }
}

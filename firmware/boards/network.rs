//! What a board with a radio does with its network. Part of each such board.

use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::Stack;
use tidegate_firmware::{
    Board, Clock, Sampler, Sensor,
    store::Store,
    uplink::{Outbox, run_uplink},
};

/// The WLAN's name and password, none for an open one: as they are given to the build (`given.rs` has checked them).
pub const SSID: &str = env!("TIDEGATE_WIFI_SSID");
pub const PASSWORD: &str = match option_env!("TIDEGATE_WIFI_PASSWORD") {
    Some(password) => password,
    None => "",
};
/// How long to wait between two tries to join the WLAN: twice as long each time.
const RETRY_SECONDS_MIN: u64 = 1;
const RETRY_SECONDS_MAX: u64 = 64;
/// How long a try may take.
pub const JOIN_SECONDS_MAX: u64 = 30;
/// DHCP, and the one way to the gateway.
pub const SOCKETS: usize = 2;

#[cfg(not(feature = "coap"))]
const PORT: u16 = 1883;
#[cfg(feature = "coap")]
const PORT: u16 = 5683;

/// How long to wait until the next try to join.
pub struct Patience(u64);

impl Patience {
    pub const fn new() -> Self {
        Self(RETRY_SECONDS_MIN)
    }

    /// A try has failed: seconds to wait.
    pub fn failed(&mut self) -> u64 {
        let wait = self.0;
        self.0 = (wait * 2).min(RETRY_SECONDS_MAX);
        wait
    }
}

/// Measures, keeps and sends, for ever.
pub async fn deliver<const C: usize>(
    stack: Stack<'static>,
    (store, seed): (impl Store<C>, [u8; 32]),
    sampler: &mut Sampler<C>,
    sensor: &mut impl Sensor<C>,
    (clock, board): (&impl Clock, &mut impl Board),
) {
    let outbox = Outbox::new(store, sensor.channels(), seed);
    let Some(gateway) = gateway() else { return };
    #[cfg(not(feature = "coap"))]
    {
        let state = embassy_net::tcp::client::TcpClientState::<1, 1024, 1024>::new();
        let tcp = embassy_net::tcp::client::TcpClient::new(stack, &state);
        let mut uplink = tidegate_firmware::uplink::MqttUplink::new(&tcp, gateway.into());
        run_uplink(&outbox, sampler, (sensor, &mut uplink), (clock, board)).await;
    }
    #[cfg(feature = "coap")]
    {
        use embassy_net::udp::{PacketMetadata, UdpSocket};
        use tidegate_firmware::uplink::{CoapUplink, Datagrams};

        const BYTES: usize = 2_048;
        let (mut heads_in, mut heads_out) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
        let (mut bytes_in, mut bytes_out) = ([0; BYTES], [0; BYTES]);
        let mut socket = UdpSocket::new(stack, &mut heads_in, &mut bytes_in, &mut heads_out, &mut bytes_out);
        let [a, b, c, d, high, low, ..] = seed;
        // A port of its own at each start, of those that are for anybody.
        if socket.bind(49_152 | u16::from_be_bytes([high, low])).is_err() {
            return;
        }
        let mut uplink =
            CoapUplink::new(Datagrams::new(socket, gateway.into()), u32::from_be_bytes([a, b, c, d]));
        run_uplink(&outbox, sampler, (sensor, &mut uplink), (clock, board)).await;
    }
}

/// `192.168.1.10` or `192.168.1.10:1883`.
fn gateway() -> Option<SocketAddrV4> {
    let text = env!("TIDEGATE_GATEWAY");
    text.parse().ok().or_else(|| Some(SocketAddrV4::new(text.parse::<Ipv4Addr>().ok()?, PORT)))
}

//! A board without a radio: the firmware's core, embassy-net and the ways to the gateway are those of a board with
//! WiFi; the network is a TAP device.
//!
//! ```text
//! TIDEGATE_SECRET=… tidegate-tap mqtt|coap TAP ADDRESS GATEWAY:PORT DEVICE FLASH
//! ```
//!
//! `TAP` is a device that is there and up, in a network of which ADDRESS, with 24 bits of prefix, is free. FLASH is a
//! file. A line on standard input is a temperature in hundredths of a degree; the program ends with its input, as a
//! board does with its power.

mod flash;

use std::{
    env,
    error::Error,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    sync::atomic::{AtomicI32, Ordering},
    thread,
};

use embassy_net::{
    Config, Ipv4Cidr, Stack, StackResources, StaticConfigV4,
    tcp::client::{TcpClient, TcpClientState},
    udp::{PacketMetadata, UdpSocket},
};
use embassy_net_tuntap::TunTapDevice;
use embassy_time::{Instant, Timer};
use futures_lite::future::or;
use tidegate_firmware::{
    Board, Channel, Clock, Sampler, Sampling, Sensor, Signal, Values,
    store::{FlashStore, Identity, Store},
    uplink::{CoapUplink, Datagrams, MqttUplink, Outbox, random_boot_base, run_uplink},
};

use self::flash::FileFlash;

const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "°C", places: 2 }];
const PREFIX_BITS: u8 = 24;
const SOCKETS: usize = 4;
const BUFFER_BYTES: usize = 2_048;
const PACKETS: usize = 4;
/// Ten readings a second.
const SAMPLING: Sampling = Sampling { period_ms: 100, average: 1, threshold: 0, silence_ms_max: 60_000 };

/// Hundredths of a degree.
static TEMPERATURE: AtomicI32 = AtomicI32::new(2_000);

type Readings = Outbox<FlashStore<FileFlash, 1>, 1>;

struct Words {
    protocol: String,
    tap: String,
    address: Ipv4Addr,
    gateway: SocketAddrV4,
    login: Identity,
    flash: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words = words()?;
    let mut device = TunTapDevice::new(&words.tap)?;
    let [.., subnet, host] = words.address.octets();
    device.set_hardware_address([2, 0, 0, 0, subnet, host]);
    let address = Ipv4Cidr::new(words.address, PREFIX_BITS);
    let config = StaticConfigV4 { address, gateway: None, dns_servers: Default::default() };
    let mut resources = StackResources::<SOCKETS>::new();
    let (stack, mut runner) = embassy_net::new(device, Config::ipv4_static(config), &mut resources, random());
    thread::spawn(take_temperatures);
    let outbox = outbox(&words)?;
    async_io::block_on(or(async { match runner.run().await {} }, live(&words, &outbox, stack)))
}

/// Power on.
async fn live(words: &Words, outbox: &Readings, stack: Stack<'_>) -> Result<(), Box<dyn Error>> {
    let mut sampler = Sampler::new(SAMPLING);
    let world = (&Watch, &mut Lamp(None));
    let sensor = &mut Thermometer;
    match words.protocol.as_str() {
        "mqtt" => {
            let state = TcpClientState::<1, BUFFER_BYTES, BUFFER_BYTES>::new();
            let tcp = TcpClient::new(stack, &state);
            let mut uplink = MqttUplink::new(&tcp, words.gateway.into());
            run_uplink(outbox, &mut sampler, (sensor, &mut uplink), world).await;
        }
        "coap" => {
            let (mut received, mut sent) = ([0; BUFFER_BYTES], [0; BUFFER_BYTES]);
            let (mut in_packets, mut out_packets) =
                ([PacketMetadata::EMPTY; PACKETS], [PacketMetadata::EMPTY; PACKETS]);
            let mut socket =
                UdpSocket::new(stack, &mut in_packets, &mut received, &mut out_packets, &mut sent);
            socket.bind(0).map_err(|error| format!("{error:?}"))?;
            let gateway = (*words.gateway.ip(), words.gateway.port()).into();
            let [.., a, b, c, d] = random().to_be_bytes();
            let mut uplink =
                CoapUplink::new(Datagrams::new(socket, gateway), u32::from_be_bytes([a, b, c, d]));
            run_uplink(outbox, &mut sampler, (sensor, &mut uplink), world).await;
        }
        other => return Err(format!("{other} is neither mqtt nor coap").into()),
    }
    Ok(())
}

fn words() -> Result<Words, Box<dyn Error>> {
    const USAGE: &str =
        "usage: TIDEGATE_SECRET=… tidegate-tap mqtt|coap TAP ADDRESS GATEWAY:PORT DEVICE FLASH";
    let words: Vec<String> = env::args().skip(1).collect();
    let [protocol, tap, address, gateway, device, flash] = words.try_into().map_err(|_| USAGE)?;
    let [.., a, b, c, d] = random().to_be_bytes();
    let login = Identity {
        device: device.as_str().try_into().map_err(|_| "the device's id is too long")?,
        secret: env::var("TIDEGATE_SECRET")?.as_str().try_into().map_err(|_| "the secret is too long")?,
        boot_base: random_boot_base(u32::from_be_bytes([a, b, c, d])),
    };
    Ok(Words { protocol, tap, address: address.parse()?, gateway: gateway.parse()?, login, flash })
}

fn outbox(words: &Words) -> Result<Readings, Box<dyn Error>> {
    let flash = FileFlash::open(Path::new(&words.flash))?;
    let mut store = FlashStore::open(flash).map_err(|_| "the flash does not fit")?;
    if store.identity().is_none() && !store.set_identity(words.login.clone()) {
        return Err("the flash does not keep the name".into());
    }
    let seed = std::array::from_fn(|_| random().to_be_bytes()[0]);
    Ok(Outbox::new(store, CHANNELS, seed))
}

/// The standard library's own random numbers are good enough here.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn take_temperatures() {
    for line in io::stdin().lines().map_while(Result::ok) {
        if let Ok(hundredths) = line.trim().parse() {
            TEMPERATURE.store(hundredths, Ordering::Relaxed);
        }
    }
    std::process::exit(0);
}

struct Thermometer;

impl Sensor<1> for Thermometer {
    fn channels(&self) -> [Channel; 1] {
        CHANNELS
    }

    async fn measure(&mut self) -> Values<1> {
        [Some(TEMPERATURE.load(Ordering::Relaxed))]
    }
}

/// Says on standard output when it would show something else.
struct Lamp(Option<Signal>);

impl Board for Lamp {
    fn show(&mut self, signal: Signal, _is_identified: bool) {
        if self.0.replace(signal) != Some(signal) {
            println!("{signal:?}");
        }
    }

    fn feed_watchdog(&mut self) {}
}

struct Watch;

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        Instant::now().as_millis()
    }

    async fn wait_until(&self, ms: u64) {
        Timer::at(Instant::from_millis(ms)).await;
    }
}

//! A bad network: a proxy between UDP clients and a server that loses, delays, duplicates and reorders, both ways.
//!
//! Each client gets a socket of its own towards the server, so that the server sees as many peers as there are. One
//! thread does everything. What befalls a datagram comes from a seed; when datagrams come is the machine's affair.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Clients at the same time; datagrams of more are lost.
const FLOWS_MAX: usize = 300;
/// Datagrams on their way; more are lost.
const ON_THE_WAY_MAX: usize = 50_000;
/// Bytes of the largest UDP datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// How long the thread may not look whether it should end.
const LOOK_MAX: Duration = Duration::from_millis(20);
/// Datagrams taken from one socket before the next one has its turn.
const BATCH_MAX: usize = 64;

/// What the network does to datagrams, the same both ways.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub seed: u64,
    pub lost_percent: u64,
    /// A second copy comes with a delay of its own.
    pub duplicated_percent: u64,
    /// Held back for up to `held_back_ms_max`, so that later ones overtake.
    pub held_back_percent: u64,
    pub held_back_ms_max: u64,
    /// Each datagram takes at least this long.
    pub delay_ms: u64,
    /// And up to so much longer.
    pub jitter_ms_max: u64,
}

impl Weather {
    /// 30 % lost, a tenth twice, a tenth held back long enough for a retransmission to overtake.
    pub fn bad(seed: u64) -> Self {
        Self {
            seed,
            lost_percent: 30,
            duplicated_percent: 10,
            held_back_percent: 10,
            held_back_ms_max: 1_000,
            delay_ms: 5,
            jitter_ms_max: 20,
        }
    }
}

/// What it did to the datagrams of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub came: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub held_back: u64,
    pub sent: u64,
    /// Of those sent: behind one that came later from the same client or for it.
    pub overtaken: u64,
    /// Lost for want of room, which no test should meet.
    pub turned_away: u64,
}

/// Both directions, as the clients see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub up: Counts,
    pub down: Counts,
}

impl Traffic {
    fn of(&mut self, way: Way) -> &mut Counts {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    traffic: Arc<Mutex<Traffic>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Stands before `server` on a port of loopback of its own.
    pub fn start(server: SocketAddr, weather: Weather) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        socket.set_nonblocking(true).expect("a fresh socket");
        let address = socket.local_addr().expect("a bound socket");
        let stop = Arc::new(AtomicBool::new(false));
        let traffic = Arc::new(Mutex::new(Traffic::default()));
        let mut network = Network {
            socket,
            server,
            weather,
            dice: Dice::new(weather.seed),
            flows: Vec::new(),
            flow_of: HashMap::new(),
            on_the_way: BinaryHeap::new(),
            traffic: Arc::clone(&traffic),
        };
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                network.turn();
            }
        });
        Self { address, stop, traffic, thread: Some(thread) }
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did so far.
    pub fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the proxy panicked");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// From a client to the server.
    Up,
    /// From the server to a client.
    Down,
}

/// A client.
struct Flow {
    client: SocketAddr,
    /// Connected to the server.
    socket: UdpSocket,
    /// By direction: datagrams that came, and the newest of them that was sent on.
    came: [u64; 2],
    newest: [u64; 2],
}

/// A datagram that is due at a time. The first field decides the order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OnTheWay {
    due: Instant,
    number: u64,
    flow: usize,
    way: Way,
    bytes: Vec<u8>,
}

struct Network {
    socket: UdpSocket,
    server: SocketAddr,
    weather: Weather,
    dice: Dice,
    flows: Vec<Flow>,
    flow_of: HashMap<SocketAddr, usize>,
    on_the_way: BinaryHeap<Reverse<OnTheWay>>,
    traffic: Arc<Mutex<Traffic>>,
}

impl Network {
    fn turn(&mut self) {
        let ready = self.wait();
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        self.take_from_clients(&mut buffer);
        for index in ready {
            self.take_from_server(index, &mut buffer);
        }
        self.send_due();
    }

    /// Waits until a datagram comes or is due; the flows whose server has sent something.
    fn wait(&self) -> Vec<usize> {
        let now = Instant::now();
        let due = self.on_the_way.peek().map_or(LOOK_MAX, |first| first.0.due.saturating_duration_since(now));
        let time = Timespec::try_from(due.min(LOOK_MAX)).expect("a short time");
        let sockets = std::iter::once(&self.socket).chain(self.flows.iter().map(|flow| &flow.socket));
        let mut polled: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        poll(&mut polled, Some(&time)).expect("the sockets can be polled");
        let ready = polled[1..].iter().enumerate().filter(|(_, flow)| !flow.revents().is_empty());
        ready.map(|(index, _)| index).collect()
    }

    fn take_from_clients(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH_MAX {
            let Ok((length, client)) = self.socket.recv_from(buffer) else { return };
            match self.flow(client) {
                Some(flow) => self.meet(flow, Way::Up, &buffer[..length]),
                None => self.count(Way::Up, |counts| counts.turned_away += 1),
            }
        }
    }

    fn take_from_server(&mut self, flow: usize, buffer: &mut [u8]) {
        for _ in 0..BATCH_MAX {
            match self.flows[flow].socket.recv(buffer) {
                Ok(length) => self.meet(flow, Way::Down, &buffer[..length]),
                // A server that is down for a moment: its port is reported closed, once a datagram.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }

    fn flow(&mut self, client: SocketAddr) -> Option<usize> {
        if let Some(index) = self.flow_of.get(&client) {
            return Some(*index);
        }
        if self.flows.len() >= FLOWS_MAX {
            return None;
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        socket.connect(self.server).expect("an address of loopback");
        socket.set_nonblocking(true).expect("a fresh socket");
        self.flows.push(Flow { client, socket, came: [0; 2], newest: [0; 2] });
        self.flow_of.insert(client, self.flows.len() - 1);
        Some(self.flows.len() - 1)
    }

    /// Decides what befalls a datagram.
    fn meet(&mut self, flow: usize, way: Way, bytes: &[u8]) {
        self.flows[flow].came[way as usize] += 1;
        self.count(way, |counts| counts.came += 1);
        if self.dice.hits(self.weather.lost_percent) {
            self.count(way, |counts| counts.lost += 1);
            return;
        }
        self.put_on_the_way(flow, way, bytes);
        if self.dice.hits(self.weather.duplicated_percent) {
            self.count(way, |counts| counts.duplicated += 1);
            self.put_on_the_way(flow, way, bytes);
        }
    }

    fn put_on_the_way(&mut self, flow: usize, way: Way, bytes: &[u8]) {
        if self.on_the_way.len() >= ON_THE_WAY_MAX {
            self.count(way, |counts| counts.turned_away += 1);
            return;
        }
        let mut ms = self.weather.delay_ms + self.dice.below(self.weather.jitter_ms_max + 1);
        if self.dice.hits(self.weather.held_back_percent) {
            self.count(way, |counts| counts.held_back += 1);
            ms += self.dice.below(self.weather.held_back_ms_max + 1);
        }
        let number = self.flows[flow].came[way as usize];
        let due = Instant::now() + Duration::from_millis(ms);
        self.on_the_way.push(Reverse(OnTheWay { due, number, flow, way, bytes: bytes.to_vec() }));
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while self.on_the_way.peek().is_some_and(|first| first.0.due <= now) {
            let Some(Reverse(next)) = self.on_the_way.pop() else { return };
            let flow = &mut self.flows[next.flow];
            let newest = &mut flow.newest[next.way as usize];
            let overtaken = next.number < *newest;
            *newest = next.number.max(*newest);
            let sent = match next.way {
                Way::Up => flow.socket.send(&next.bytes),
                Way::Down => self.socket.send_to(&next.bytes, flow.client),
            };
            // Refused or no room in the socket: lost as well, which a network may do.
            let delivered = sent.is_ok();
            self.count(next.way, |counts| {
                counts.sent += u64::from(delivered);
                counts.overtaken += u64::from(delivered && overtaken);
            });
        }
    }

    fn count(&self, way: Way, change: impl FnOnce(&mut Counts)) {
        change(self.traffic.lock().unwrap_or_else(PoisonError::into_inner).of(way));
    }
}

/// Numbers without a pattern, the same each time (xorshift64*).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        // The state must not be zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to `end - 1`.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high bits are the better ones.
        (self.roll() >> 16) % end.max(1)
    }

    pub fn hits(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::within;

    const SENT: u64 = 5_000;

    /// Sends numbers through `weather` to a server that sends each back; the numbers that came back, and what the
    /// proxy says it did.
    fn echoed(weather: Weather) -> (Vec<u64>, Traffic) {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
        server.set_read_timeout(Some(Duration::from_millis(300))).expect("a fresh socket");
        let proxy = Proxy::start(server.local_addr().expect("bound"), weather);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.connect(proxy.address()).expect("loopback");
        client.set_nonblocking(true).expect("a fresh socket");
        let echo = thread::spawn(move || {
            let mut buffer = [0; 8];
            while let Ok((length, from)) = server.recv_from(&mut buffer) {
                server.send_to(&buffer[..length], from).expect("the proxy is there");
            }
        });
        let mut back = Vec::new();
        let mut take = || {
            let mut buffer = [0; 8];
            while client.recv(&mut buffer).is_ok_and(|length| length == 8) {
                back.push(u64::from_be_bytes(buffer));
            }
        };
        for number in 0..SENT {
            client.send(&number.to_be_bytes()).expect("the proxy is there");
            take();
            if number % 20 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        echo.join().expect("the server ends when nothing comes");
        let _quiet = within(Duration::from_millis(400), || {
            take();
            None::<()>
        });
        (back, proxy.traffic())
    }

    /// That each of `whole` was one of `part` with this probability, as far as counting can tell: within five standard
    /// deviations, which a fair dice leaves once in a million.
    fn assert_share(part: u64, whole: u64, percent: u64, counts: Counts) {
        let (share, whole) = (percent as f64 / 100.0, whole as f64);
        let deviation = (share * (1.0 - share) * whole).sqrt();
        assert!((part as f64 - share * whole).abs() < 5.0 * deviation, "{part} of {whole}: {counts:?}");
    }

    #[test]
    fn bad_weather_does_what_it_says() {
        let weather = Weather { held_back_ms_max: 100, ..Weather::bad(7) };
        let (back, traffic) = echoed(weather);
        for counts in [traffic.up, traffic.down] {
            assert_share(counts.lost, counts.came, weather.lost_percent, counts);
            let left = counts.came - counts.lost;
            assert_share(counts.duplicated, left, weather.duplicated_percent, counts);
            assert_eq!((counts.sent, counts.turned_away), (left + counts.duplicated, 0), "{counts:?}");
            // A second copy has a delay of its own.
            assert_share(counts.held_back, counts.sent, weather.held_back_percent, counts);
            assert!(counts.overtaken * 20 > counts.sent, "{counts:?}");
        }
        assert_eq!(traffic.up.came, SENT);
        assert_eq!(traffic.down.came, traffic.up.sent);
        assert_eq!(back.len() as u64, traffic.down.sent);
        assert!(back.windows(2).any(|pair| pair[1] < pair[0]), "some came out of order");
    }

    #[test]
    fn good_weather_does_nothing() {
        let weather = Weather {
            lost_percent: 0,
            duplicated_percent: 0,
            held_back_percent: 0,
            jitter_ms_max: 0,
            ..Weather::bad(1)
        };
        let (back, traffic) = echoed(weather);
        assert_eq!(back, (0..SENT).collect::<Vec<_>>());
        assert_eq!((traffic.up.lost, traffic.down.overtaken), (0, 0));
    }

    #[test]
    fn clients_over_its_limit_are_turned_away() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let proxy = Proxy::start(server.local_addr().expect("bound"), Weather::bad(3));
        let open = |_| {
            let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
            client.send_to(b"x", proxy.address()).expect("the proxy is there");
            thread::sleep(Duration::from_micros(200));
            client
        };
        let clients: Vec<UdpSocket> = (0..FLOWS_MAX + 5).map(open).collect();
        let turned_away = || (proxy.traffic().up.turned_away == 5).then_some(());
        assert!(within(Duration::from_secs(5), turned_away).is_some(), "{:?}", proxy.traffic());
        drop(clients);
    }
}

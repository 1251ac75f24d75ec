//! Devices that post numbered readings over CoAP, one at a time each, and remember what was acknowledged.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    Acknowledged, Login,
    coap::{CoapClient, Code, Datagram, Kind},
};

/// Time from a request to its first retransmission. Shorter than that of RFC 7252, 4.8, as its parameters allow, so that a
/// bad network costs a test seconds and not minutes.
const RETRANSMIT_FIRST: Duration = Duration::from_millis(250);
/// Each wait is twice the last, up to this.
const RETRANSMIT_MAX: Duration = Duration::from_secs(2);
/// How long a device waits for a separate response before it posts the reading anew.
const SEPARATE_MAX: Duration = Duration::from_secs(15);
/// How long a device looks for an answer before it sees whether the test is over.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// What the devices saw, besides acknowledgements.
#[derive(Debug, Default)]
pub struct Seen {
    pub retransmitted: AtomicU64,
    /// Empty acknowledgements, with the response to come.
    pub separate: AtomicU64,
    /// Readings posted again with another message id, because nothing more came.
    pub anew: AtomicU64,
    /// Requests refused with a 5.xx.
    pub refused: AtomicU64,
}

/// A running load.
pub struct CoapLoad {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    threads: Vec<JoinHandle<()>>,
}

impl CoapLoad {
    /// One socket a login, until [`CoapLoad::stop`]. Numbers go on where `before` ends.
    pub fn start(server: SocketAddr, logins: &[Login], before: &Acknowledged) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Seen::default());
        let acknowledged = Arc::new(Mutex::new(before.clone()));
        let spawn = |login: &Login| {
            let device = Device {
                client: CoapClient::open(server),
                login: login.clone(),
                stop: Arc::clone(&stop),
                seen: Arc::clone(&seen),
            };
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || device.post_all(&acknowledged))
        };
        let threads = logins.iter().map(spawn).collect();
        Self { stop, seen, acknowledged, threads }
    }

    /// What is acknowledged so far.
    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged.lock().expect("no device panics with it").clone()
    }

    /// What the devices saw so far.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    /// Ends the devices, whatever is on its way.
    pub fn stop(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a device gets answers that it understands");
        }
        self.acknowledged.lock().expect("no device panics with it").clone()
    }
}

struct Device {
    client: CoapClient,
    login: Login,
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
}

/// How one request ended.
enum End {
    Acknowledged,
    /// With a 5.xx, to be tried again.
    Refused,
    /// Nothing more came for too long.
    Silence,
    Stopped,
}

impl Device {
    fn post_all(mut self, acknowledged: &Mutex<Acknowledged>) {
        let before = acknowledged.lock().expect("no device panics with it").get(&self.login.user).copied();
        let mut sequence = before.unwrap_or(0) + 1;
        while !self.stop.load(Ordering::Relaxed) {
            let payload = format!("{{\"boot\":1,\"seq\":{sequence},\"values\":{{\"temperature\":23.5}}}}");
            let request = self.client.post("telemetry", &self.login, payload.as_bytes());
            match self.finish(&request) {
                End::Acknowledged => {
                    let mut table = acknowledged.lock().expect("no device panics with it");
                    table.insert(self.login.user.clone(), sequence);
                    sequence += 1;
                }
                End::Refused => {
                    self.seen.refused.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(500));
                }
                End::Silence => {
                    self.seen.anew.fetch_add(1, Ordering::Relaxed);
                }
                End::Stopped => return,
            }
        }
    }

    /// Sends `request`, and the same datagram again, until it is answered.
    fn finish(&self, request: &Datagram) -> End {
        let bytes = request.bytes();
        self.client.send(&bytes);
        let mut wait = RETRANSMIT_FIRST;
        let mut again_at = Instant::now() + wait;
        let mut separate = false;
        while !self.stop.load(Ordering::Relaxed) {
            let Some(answer) = self.client.receive(LOOK_MAX.min(wait)) else {
                if Instant::now() < again_at {
                    continue;
                }
                if separate {
                    return End::Silence;
                }
                self.seen.retransmitted.fetch_add(1, Ordering::Relaxed);
                self.client.send(&bytes);
                wait = (wait * 2).min(RETRANSMIT_MAX);
                again_at = Instant::now() + wait;
                continue;
            };
            self.client.confirm(&answer);
            if answer.kind == Kind::Ack && answer.id == request.id && answer.code == Code::EMPTY {
                if !separate {
                    self.seen.separate.fetch_add(1, Ordering::Relaxed);
                    separate = true;
                    again_at = Instant::now() + SEPARATE_MAX;
                }
            } else if answer.token == request.token {
                match answer.code.class() {
                    2 => return End::Acknowledged,
                    5 => return End::Refused,
                    _ => panic!("{} is answered {}", self.login.user, answer.code),
                }
            }
        }
        End::Stopped
    }
}

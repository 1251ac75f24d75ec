//! Connections that keep a number of publishes in flight, as cheaply as can be: every frame is made beforehand.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tidegate_tests::{Connect, Login, Publish, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::LocalSet,
};

/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 256;
/// Bytes of a PUBACK of MQTT 3.1.1.
const PUBACK_BYTES: usize = 4;
/// How long one run may take.
const RUN_MAX: Duration = Duration::from_secs(300);

/// What one run does.
pub struct Plan {
    pub connections: usize,
    pub window: usize,
    pub messages: usize,
}

/// What came of it.
pub struct Outcome {
    pub acknowledged: usize,
    pub seconds: f64,
    /// Sorted.
    pub latencies_us: Vec<u32>,
}

impl Outcome {
    /// Time from sending to the acknowledgement that a share `quantile` of the publishes did not exceed.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let at = (last as f64 * quantile) as usize;
        f64::from(self.latencies_us.get(at).copied().unwrap_or(0)) / 1000.0
    }
}

/// Logged-in connections.
pub struct Fleet {
    runtime: Runtime,
    connections: Vec<Connection>,
}

/// One of them. The publish in slot `n` has the packet id `n + 1`.
struct Connection {
    stream: TcpStream,
    /// The frames of two windows, one behind the other: any run of up to a window of slots is one slice.
    frames: Rc<Vec<u8>>,
    frame_bytes: usize,
    window: usize,
    next_slot: usize,
    oldest_slot: usize,
    sent_at: Vec<Instant>,
}

impl Fleet {
    pub fn connect(port: u16, logins: &[Login], plan: &Plan) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let frames = Rc::new(frames(plan.window));
        let connect = async {
            let mut connections = Vec::new();
            for login in &logins[..plan.connections] {
                connections
                    .push(Connection::open(port, login, &frames, plan.window).await.expect("it lets us in"));
            }
            connections
        };
        let connections = runtime.block_on(connect);
        Self { runtime, connections }
    }

    /// Publishes `messages`, evenly, and waits for all acknowledgements.
    pub fn run(&mut self, messages: usize) -> Outcome {
        let each = messages.div_ceil(self.connections.len());
        let local = LocalSet::new();
        let begin = Instant::now();
        let running = self.connections.drain(..).map(|mut connection| {
            local.spawn_local(async move {
                let latencies = connection.run(each).await.expect("the server keeps the connection");
                (connection, latencies)
            })
        });
        let running: Vec<_> = running.collect();
        let all = async {
            let mut done = Vec::new();
            for task in running {
                done.push(task.await.expect("acknowledgements come in order"));
            }
            done
        };
        let limited = local.run_until(async { tokio::time::timeout(RUN_MAX, all).await });
        let done = self.runtime.block_on(limited).expect("the run ends in time");
        let seconds = begin.elapsed().as_secs_f64();
        let mut latencies_us = Vec::with_capacity(messages);
        for (connection, latencies) in done {
            self.connections.push(connection);
            latencies_us.extend(latencies);
        }
        latencies_us.sort_unstable();
        Outcome { acknowledged: latencies_us.len(), seconds, latencies_us }
    }
}

impl Connection {
    async fn open(port: u16, login: &Login, frames: &Rc<Vec<u8>>, window: usize) -> io::Result<Self> {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        stream.set_nodelay(true)?;
        let connect =
            Connect { version: Version::V311, client_id: &login.user, login: Some(login), keep_alive_s: 600 };
        stream.write_all(&connect.bytes()).await?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await?;
        assert_eq!(connack, [0x20, 2, 0, 0], "{} is not let in", login.user);
        Ok(Self {
            stream,
            frames: Rc::clone(frames),
            frame_bytes: frames.len() / (2 * window),
            window,
            next_slot: 0,
            oldest_slot: 0,
            sent_at: vec![Instant::now(); window],
        })
    }

    /// Microseconds that each publish waited for its acknowledgement.
    async fn run(&mut self, messages: usize) -> io::Result<Vec<u32>> {
        let mut latencies_us = Vec::with_capacity(messages);
        let mut sent = self.window.min(messages);
        self.send(sent).await?;
        let mut buffer = [0; 4096];
        let mut held = 0;
        while latencies_us.len() < messages {
            let length = self.stream.read(&mut buffer[held..]).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            held += length;
            let whole = held / PUBACK_BYTES;
            let now = Instant::now();
            for ack in buffer[..whole * PUBACK_BYTES].chunks_exact(PUBACK_BYTES) {
                let id = self.oldest_slot as u16 + 1;
                assert_eq!(ack, [0x40, 2, id.to_be_bytes()[0], id.to_be_bytes()[1]], "out of order");
                let waited = now.duration_since(self.sent_at[self.oldest_slot]).as_micros();
                latencies_us.push(u32::try_from(waited).unwrap_or(u32::MAX));
                self.oldest_slot = (self.oldest_slot + 1) % self.window;
            }
            buffer.copy_within(whole * PUBACK_BYTES..held, 0);
            held -= whole * PUBACK_BYTES;
            let more = whole.min(messages - sent);
            self.send(more).await?;
            sent += more;
        }
        Ok(latencies_us)
    }

    async fn send(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let now = Instant::now();
        for slot in self.next_slot..self.next_slot + count {
            self.sent_at[slot % self.window] = now;
        }
        let from = self.next_slot * self.frame_bytes;
        self.next_slot = (self.next_slot + count) % self.window;
        let frames = Rc::clone(&self.frames);
        self.stream.write_all(&frames[from..from + count * self.frame_bytes]).await
    }
}

fn frames(window: usize) -> Vec<u8> {
    let payload = payload();
    let slots = (0..window).chain(0..window);
    let frame = |slot: usize| {
        let id = u16::try_from(slot + 1).expect("a window fits into the packet ids");
        Publish { topic: "telemetry", payload: payload.as_bytes(), qos: 1, id }.bytes(Version::V311)
    };
    slots.flat_map(frame).collect()
}

/// What a device with a dozen measurements sends, filled up with blanks.
pub fn payload() -> String {
    let values: Vec<String> = (1..=12).map(|n| format!("\"sensor_{n:02}\":{}.25", 20 + n)).collect();
    let text = format!("{{{}}}", values.join(","));
    assert!(text.len() <= PAYLOAD_BYTES, "{} bytes", text.len());
    format!("{text:PAYLOAD_BYTES$}")
}

//! A server that speaks just enough CoAP (RFC 7252), writes the output that the gateway writes, and misbehaves on
//! request.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Write,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Each count is of requests of the whole server; 0: never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CoapFaults {
    /// Every so many datagrams are not seen.
    pub(crate) drop_request: u64,
    /// Every so many answers are not sent.
    pub(crate) drop_answer: u64,
    /// Every so many answers are sent twice.
    pub(crate) double_answer: u64,
    /// Every so many requests: an empty acknowledgement, and the response this much later in a CON of its own.
    pub(crate) separate: (u64, Duration),
    /// Every so many requests: 5.03 with this Max-Age.
    pub(crate) full: (u64, u8),
    /// Every so many requests: 4.00.
    pub(crate) reject: u64,
    /// Every so many requests: acknowledged and not stored.
    pub(crate) lose: u64,
    /// Every so many requests: no memory of earlier datagrams, so that a repeated one is stored again.
    pub(crate) forget: u64,
    /// Refuse every login with 4.01.
    pub(crate) refuse_login: bool,
    /// Say nothing at all.
    pub(crate) mute: bool,
}

/// What the server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: AtomicU64,
    pub(crate) repeated: AtomicU64,
    /// Separate responses that were acknowledged, and that were reset.
    pub(crate) confirmed: AtomicU64,
    pub(crate) reset: AtomicU64,
    pub(crate) peers: AtomicU64,
}

pub(crate) struct CoapServer {
    pub(crate) address: SocketAddr,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) seen: Arc<Seen>,
    stopped: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl CoapServer {
    pub(crate) fn start(faults: CoapFaults) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        let output = File::create(dir.path().join("out/readings-00000001.jsonl")).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let (seen, stopped) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let mut serving = Serving {
            socket,
            faults,
            output,
            seen: Arc::clone(&seen),
            answers: HashMap::new(),
            peers: HashSet::new(),
            owed: Vec::new(),
            requests: 0,
            sent: 0,
            next_id: 1,
        };
        let over = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                serving.step();
            }
        });
        Self { address, dir, seen, stopped, thread: Some(thread) }
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }
}

impl Drop for CoapServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

struct Serving {
    socket: UdpSocket,
    faults: CoapFaults,
    output: File,
    seen: Arc<Seen>,
    /// Answers by peer and message id, for requests that come again.
    answers: HashMap<(SocketAddr, u16), Vec<u8>>,
    peers: HashSet<SocketAddr>,
    /// Separate responses that nobody has acknowledged so far: when to send, to whom, what, how often it was.
    owed: Vec<(Instant, SocketAddr, Vec<u8>, u32)>,
    requests: u64,
    sent: u64,
    next_id: u16,
}

impl Serving {
    fn step(&mut self) {
        let mut buffer = [0; 2048];
        if let Ok((len, peer)) = self.socket.recv_from(&mut buffer) {
            self.handle(&buffer[..len], peer);
        }
        let now = Instant::now();
        let mut due = Vec::new();
        self.owed.retain_mut(|(when, peer, bytes, count)| {
            if *when <= now {
                due.push((*peer, bytes.clone()));
                *when = now + Duration::from_millis(200 << *count);
                *count += 1;
            }
            *count < 5
        });
        for (peer, bytes) in due {
            self.send(&bytes, peer);
        }
    }

    fn is_due(&self, every: u64) -> bool {
        every > 0 && self.requests.is_multiple_of(every)
    }

    fn handle(&mut self, datagram: &[u8], peer: SocketAddr) {
        let id = u16::from_be_bytes([datagram[2], datagram[3]]);
        if datagram[1] == 0 {
            let seen = if datagram[0] >> 4 == 6 { &self.seen.confirmed } else { &self.seen.reset };
            let before = self.owed.len();
            self.owed.retain(|(_, to, bytes, _)| *to != peer || bytes[2..4] != datagram[2..4]);
            seen.fetch_add(u64::from(self.owed.len() < before), Ordering::Relaxed);
            return;
        }
        self.requests += 1;
        self.seen.requests.fetch_add(1, Ordering::Relaxed);
        self.peers.insert(peer);
        self.seen.peers.store(self.peers.len().try_into().unwrap(), Ordering::Relaxed);
        if self.faults.mute || self.is_due(self.faults.drop_request) {
            return;
        }
        if self.is_due(self.faults.forget) {
            self.answers.clear();
        }
        if let Some(answer) = self.answers.get(&(peer, id)).cloned() {
            self.seen.repeated.fetch_add(1, Ordering::Relaxed);
            return self.send(&answer, peer);
        }
        let request = Request::parse(datagram);
        let code = self.judge(&request);
        self.answer(&request, code, peer);
    }

    fn judge(&mut self, request: &Request) -> u8 {
        assert_eq!(request.path, ["telemetry"]);
        assert_eq!(request.content_format, [50], "application/json");
        if self.faults.refuse_login {
            return 0x81;
        }
        if self.is_due(self.faults.full.0) {
            return 0xA3;
        }
        if self.is_due(self.faults.reject) {
            return 0x80;
        }
        if !self.is_due(self.faults.lose) {
            self.store(request);
        }
        0x44
    }

    fn answer(&mut self, request: &Request, code: u8, peer: SocketAddr) {
        let mut rest = request.token.clone();
        if code == 0xA3 {
            rest.extend([0xD1, 1, self.faults.full.1]);
        }
        let length = u8::try_from(request.token.len()).unwrap();
        let message = |first: u8, code: u8, id: u16, rest: &[u8]| {
            [&[first, code][..], &id.to_be_bytes(), rest].concat()
        };
        self.next_id = self.next_id.wrapping_add(1);
        if !request.confirmable {
            return self.send(&message(0x50 | length, code, self.next_id, &rest), peer);
        }
        let answer = if self.is_due(self.faults.separate.0) {
            let response = message(0x40 | length, code, self.next_id, &rest);
            self.owed.push((Instant::now() + self.faults.separate.1, peer, response, 0));
            message(0x60, 0, request.id, &[])
        } else {
            message(0x60 | length, code, request.id, &rest)
        };
        self.answers.insert((peer, request.id), answer.clone());
        self.send(&answer, peer);
    }

    fn send(&mut self, bytes: &[u8], peer: SocketAddr) {
        self.sent += 1;
        let is_due = |every: u64| every > 0 && self.sent.is_multiple_of(every);
        if !is_due(self.faults.drop_answer) {
            self.socket.send_to(bytes, peer).unwrap();
        }
        if is_due(self.faults.double_answer) {
            self.socket.send_to(bytes, peer).unwrap();
        }
    }

    fn store(&mut self, request: &Request) {
        let reading: serde_json::Value = serde_json::from_slice(&request.payload).unwrap();
        let (boot, seq, device) = (&reading["boot"], &reading["seq"], &request.query["device"]);
        assert_eq!(request.query["token"], "s");
        let line = serde_json::json!({
            "lane": "telemetry", "uid": format!("{device}/{boot}/{seq}"), "device": device,
            "boot": boot, "seq": seq, "ts": reading["ts"], "values": reading["values"],
        });
        self.output.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

struct Request {
    confirmable: bool,
    id: u16,
    token: Vec<u8>,
    path: Vec<String>,
    content_format: Vec<u8>,
    query: HashMap<String, String>,
    payload: Vec<u8>,
}

impl Request {
    fn parse(datagram: &[u8]) -> Self {
        assert_eq!((datagram[0] >> 6, datagram[1]), (1, 2), "a POST");
        let token_end = 4 + usize::from(datagram[0] & 15);
        let mut request = Self {
            confirmable: datagram[0] >> 4 & 3 == 0,
            id: u16::from_be_bytes([datagram[2], datagram[3]]),
            token: datagram[4..token_end].to_vec(),
            path: Vec::new(),
            content_format: Vec::new(),
            query: HashMap::new(),
            payload: Vec::new(),
        };
        let (mut at, mut number) = (token_end, 0);
        while at < datagram.len() && datagram[at] != 0xFF {
            let (delta, length) = (usize::from(datagram[at] >> 4), usize::from(datagram[at] & 15));
            assert!(delta < 13, "no option of ours is that far from the one before");
            let (length, head) =
                if length == 13 { (13 + usize::from(datagram[at + 1]), 2) } else { (length, 1) };
            number += delta;
            let value = &datagram[at + head..at + head + length];
            at += head + length;
            let text = String::from_utf8_lossy(value).into_owned();
            match number {
                11 => request.path.push(text),
                12 => request.content_format = value.to_vec(),
                15 => {
                    let (name, value) = text.split_once('=').unwrap();
                    request.query.insert(name.to_owned(), value.to_owned());
                }
                _ => panic!("option {number}"),
            }
        }
        request.payload = datagram[at + 1..].to_vec();
        request
    }
}

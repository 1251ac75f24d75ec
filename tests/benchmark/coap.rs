//! Sockets that each keep one confirmable request in flight, as cheaply as can be: every request is made beforehand and
//! only its message id and token change.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tidegate_tests::{
    Login,
    coap::{CONTENT_FORMAT, Code, Datagram, JSON, Kind},
};

use super::load::{Outcome, Plan, payload};

/// Time after which a request is sent again (RFC 7252, 4.8).
const RETRANSMIT: Duration = Duration::from_secs(2);
/// How long one run may take.
const RUN_MAX: Duration = Duration::from_secs(300);
/// Bytes of a token.
const TOKEN_BYTES: usize = 2;
/// Bytes of the header and the token, which is also the shortest answer with a token.
const HEAD_BYTES: usize = 4 + TOKEN_BYTES;

/// What a server is asked: method and path.
#[derive(Clone, Copy)]
pub struct Resource {
    pub method: Code,
    pub path: &'static str,
}

/// Sockets on their way.
pub struct Fleet {
    sockets: Vec<Peer>,
}

struct Peer {
    socket: UdpSocket,
    request: Vec<u8>,
    id: u16,
    left: usize,
    sent_at: Instant,
    again_at: Instant,
    /// An empty acknowledgement came: the response comes by itself.
    separate: bool,
}

impl Fleet {
    pub fn connect(port: u16, logins: &[Login], plan: &Plan, resource: Resource) -> Self {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let open = |login: &Login| Peer::open(server, login, resource).expect("loopback has a free port");
        Self { sockets: logins[..plan.connections].iter().map(open).collect() }
    }

    /// Sends `messages`, evenly, and waits for all responses.
    pub fn run(&mut self, messages: usize) -> Outcome {
        let each = messages.div_ceil(self.sockets.len());
        let begin = Instant::now();
        let mut latencies_us = Vec::with_capacity(messages);
        for peer in &mut self.sockets {
            peer.left = each;
            peer.send_next();
        }
        let mut open = self.sockets.len();
        while open > 0 {
            for index in self.wait() {
                open -= usize::from(self.sockets[index].take_answers(&mut latencies_us));
            }
            let now = Instant::now();
            assert!(now - begin < RUN_MAX, "{open} sockets still wait after {RUN_MAX:?}");
            self.sockets.iter_mut().for_each(|peer| peer.send_again(now));
        }
        let seconds = begin.elapsed().as_secs_f64();
        latencies_us.sort_unstable();
        Outcome { acknowledged: latencies_us.len(), seconds, latencies_us }
    }

    /// The sockets with an answer.
    fn wait(&self) -> Vec<usize> {
        let time = Timespec::try_from(Duration::from_millis(100)).expect("a short time");
        let fds = self.sockets.iter().map(|peer| PollFd::new(&peer.socket, PollFlags::IN));
        let mut fds: Vec<_> = fds.collect();
        poll(&mut fds, Some(&time)).expect("sockets can be polled");
        (0..fds.len()).filter(|index| !fds[*index].revents().is_empty()).collect()
    }
}

impl Peer {
    fn open(server: SocketAddr, login: &Login, resource: Resource) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let mut request = Datagram::bare(Kind::Con, resource.method, 0)
            .to(resource.path, Some(login))
            .with(CONTENT_FORMAT, &JSON.to_be_bytes()[1..]);
        request.token = vec![0; TOKEN_BYTES];
        request.payload = payload().into_bytes();
        let now = Instant::now();
        Ok(Self {
            socket,
            request: request.bytes(),
            id: 0,
            left: 0,
            sent_at: now,
            again_at: now,
            separate: false,
        })
    }

    fn send_next(&mut self) {
        self.id = self.id.wrapping_add(1);
        let id = self.id.to_be_bytes();
        self.request[2..4].copy_from_slice(&id);
        self.request[4..HEAD_BYTES].copy_from_slice(&id);
        self.separate = false;
        self.sent_at = Instant::now();
        self.again_at = self.sent_at + RETRANSMIT;
        self.socket.send(&self.request).expect("loopback takes a datagram");
    }

    fn send_again(&mut self, now: Instant) {
        if self.left > 0 && !self.separate && now >= self.again_at {
            self.again_at = now + RETRANSMIT;
            self.socket.send(&self.request).expect("loopback takes a datagram");
        }
    }

    /// Takes what came and goes on; whether that was the last answer.
    fn take_answers(&mut self, latencies_us: &mut Vec<u32>) -> bool {
        let mut answer = [0; 64];
        while let Ok(length) = self.socket.recv(&mut answer) {
            let answer = &answer[..length];
            let (kind, id) = (answer[0] >> 4 & 3, self.id.to_be_bytes());
            if kind == Kind::Con as u8 {
                let ack = [0x60, 0, answer[2], answer[3]];
                self.socket.send(&ack).expect("loopback takes a datagram");
            }
            if length < HEAD_BYTES {
                self.separate |= kind == Kind::Ack as u8 && answer[1] == 0 && answer[2..4] == id;
                continue;
            }
            if self.left == 0 || answer[4..HEAD_BYTES] != id {
                continue;
            }
            // 2.04, and from libcoap 2.01 for the first payload of the resource.
            assert_eq!(Code(answer[1]).class(), 2, "answered {}", Code(answer[1]));
            let waited = self.sent_at.elapsed().as_micros();
            latencies_us.push(u32::try_from(waited).unwrap_or(u32::MAX));
            self.left -= 1;
            if self.left == 0 {
                return true;
            }
            self.send_next();
        }
        false
    }
}

//! The board's half of the line: who it is, what it sends, what it does when nobody answers. No I/O and no clock:
//! bytes and the time come in, one frame at a time goes out.
//!
//! ```text
//! Down -> hello -> Greeting -> challenge -> Proving: ready -> welcome -> Up: readings, one batch at a time
//! ```

mod handle;
mod send;

pub mod fuzz;

#[cfg(test)]
mod tests;

use heapless::String;
use tidegate_protocol::serial::{
    Answer, Decoder, HARDWARE_LEN_MAX, LinkKey, MODEL_LEN_MAX, Nonce, Refuse, Report,
};

use crate::{
    Channel, Values,
    backoff::Backoff,
    store::{Place, Store, Stored, Taken},
};

/// How long a frame may wait for its answer. The gateway answers readings when they are on its disk.
pub const FRAME_WAIT_MS: u64 = 2_000;
/// Tries of a frame before the link is given up and begun anew.
const TRIES_MAX: u8 = 5;
/// The longest wait that a gateway can ask for: an hour. Who forges a refusal does not silence a board for longer.
const WAIT_MS_MAX: u64 = 60 * 60 * 1_000;
/// The latest time that a board believes, Unix milliseconds: readings have room for times of 49 bits.
const WALL_MS_MAX: u64 = 1 << 48;
/// Commands whose answers wait to be sent; one more is not taken, and the gateway asks again.
const ANSWERS_MAX: usize = 4;

/// What a board is, whatever it is called.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the maker calls this very board: `[A-Za-z0-9_-]`.
    pub hardware: String<HARDWARE_LEN_MAX, u8>,
    /// Which kind of board.
    pub model: String<MODEL_LEN_MAX, u8>,
    /// Version of its firmware.
    pub firmware: String<MODEL_LEN_MAX, u8>,
    /// Which of the boards behind one port.
    pub address: u16,
    /// Random where the board can: nonces are made of it. With the count of boots no two links have the same, even
    /// where it is not.
    pub seed: [u8; 32],
    /// Milliseconds between two readings, for reports.
    pub period_ms: u32,
}

/// What the board is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show a person which board it is.
    Identify {
        /// For how long.
        seconds: u16,
    },
    /// Start again.
    Reboot,
    /// Take a reading this often.
    SetPeriod {
        /// Milliseconds.
        period_ms: u32,
    },
}

/// What the board shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It has no name yet, and asks for one.
    Unclaimed,
    /// It looks for the gateway.
    Searching,
    /// The gateway does not know it, or not by this secret.
    Refused,
    /// Linked, and everything is acknowledged.
    Linked,
    /// Linked, and readings wait.
    Waiting,
}

/// Where the link stands.
#[derive(Debug)]
enum State {
    /// Nobody is asked before this time.
    Down { until_ms: u64 },
    /// A hello is out.
    Greeting { nonce: Nonce, since_ms: u64 },
    /// The gateway's challenge has come.
    Proving { key: LinkKey, tries: u8, due_ms: u64 },
    /// Welcome.
    Up { key: LinkKey, flight: Option<Flight>, hold_until_ms: u64 },
}

/// What is sent and not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Flight {
    /// The last place in it, by the board's own count.
    last: Place,
    /// The number of the frame that it was sent in last.
    frame: u32,
    is_gap: bool,
    tries: u8,
    /// When it is sent again.
    due_ms: u64,
}

/// The board's half of the line.
#[derive(Debug)]
pub struct Node<S, const C: usize> {
    decoder: Decoder,
    link: Link<S, C>,
}

/// All of a [`Node`] but what reads bytes.
#[derive(Debug)]
struct Link<S, const C: usize> {
    store: S,
    channels: [Channel; C],
    config: Config,
    state: State,
    /// The next reading's number in this boot.
    sequence: u32,
    /// Number of the last frame sent and of the last one taken on this link.
    sent: u32,
    taken: u32,
    /// Unix milliseconds at the board's start.
    wall_at_start_ms: Option<u64>,
    /// Readings of this boot have been sent.
    has_sent: bool,
    backoff: Backoff,
    is_refused: bool,
    answers: heapless::Deque<Answer, ANSWERS_MAX>,
    refusal: Option<Refuse>,
    actions: heapless::Deque<Action, ANSWERS_MAX>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    refused: u64,
    noise: u32,
    links: u32,
    hellos: u32,
}

impl<S: Store<C>, const C: usize> Node<S, C> {
    /// A board that has just started.
    #[must_use]
    pub fn new(store: S, channels: [Channel; C], config: Config) -> Self {
        let link = Link {
            store,
            channels,
            backoff: Backoff::new(&config.seed),
            config,
            state: State::Down { until_ms: 0 },
            sequence: 1,
            sent: 0,
            taken: 0,
            wall_at_start_ms: None,
            has_sent: false,
            is_refused: false,
            answers: heapless::Deque::new(),
            refusal: None,
            actions: heapless::Deque::new(),
            counts: Counts::default(),
        };
        Self { decoder: Decoder::new(), link }
    }

    /// Keeps a reading until the gateway has it.
    pub fn handle_reading(&mut self, values: Values<C>, now_ms: u64) {
        let link = &mut self.link;
        let taken = match link.wall_at_start_ms {
            Some(start_ms) => Taken::Wall(start_ms.saturating_add(now_ms)),
            None => Taken::Uptime(now_ms),
        };
        let boot = link.store.boot();
        link.store.push(Stored { boot, sequence: link.sequence, taken, values });
        link.sequence = link.sequence.saturating_add(1);
    }

    /// Takes bytes from the line.
    pub fn handle_bytes(&mut self, bytes: &[u8], now_ms: u64) {
        let Self { decoder, link } = self;
        for byte in bytes {
            match decoder.push(*byte) {
                None => {}
                Some(Ok(frame)) => link.handle_frame(&frame, now_ms),
                Some(Err(_)) => link.counts.noise = link.counts.noise.saturating_add(1),
            }
        }
    }

    /// What the board is to do, if anything.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.link.actions.pop_front()
    }

    /// The period has changed.
    pub fn note_period(&mut self, period_ms: u32) {
        self.link.config.period_ms = period_ms;
    }

    /// What to show.
    #[must_use]
    pub fn signal(&self) -> Signal {
        let link = &self.link;
        match &link.state {
            _ if link.store.identity().is_none() => Signal::Unclaimed,
            State::Up { .. } if link.store.is_empty() => Signal::Linked,
            State::Up { .. } => Signal::Waiting,
            _ if link.is_refused => Signal::Refused,
            _ => Signal::Searching,
        }
    }

    /// How it is.
    #[must_use]
    pub fn report(&self, now_ms: u64) -> Report {
        self.link.report(now_ms)
    }

    /// What it keeps.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.link.store
    }

    /// Gives the store back, such as when the power goes in a test.
    #[must_use]
    pub fn into_store(self) -> S {
        self.link.store
    }
}

impl<S: Store<C>, const C: usize> Link<S, C> {
    fn report(&self, now_ms: u64) -> Report {
        Report {
            boot: self.wire_boot(self.store.boot()),
            uptime_ms: now_ms,
            period_ms: self.config.period_ms,
            stored: u32::try_from(self.store.len()).unwrap_or(u32::MAX),
            dropped: self.store.dropped_count(),
            refused: self.counts.refused,
            noise: self.counts.noise,
            links: self.counts.links,
        }
    }

    /// The boot as the gateway counts it.
    fn wire_boot(&self, boot: u32) -> u32 {
        boot.saturating_add(self.base())
    }

    fn base(&self) -> u32 {
        self.store.identity().map_or(0, |identity| identity.boot_base)
    }
}

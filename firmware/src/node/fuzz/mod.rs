//! One entry for coverage-guided fuzzing: any bytes, read as a script for a board, its line and its gateway. No image of
//! a board calls it.
//!
//! ```text
//! input: what the board is, then records: what happens, how long that is, so many bytes
//! ```

mod model;

#[cfg(test)]
mod tests;

use heapless::Deque;
use tidegate_protocol::{
    DEVICE_ID_LEN_MAX,
    serial::{
        Acknowledge, Adopt, BODY_BYTES_MAX, Challenge, Command, CommandBody, Decoder, DeviceKey, Direction,
        HARDWARE_LEN_MAX, Header, Kind, LinkKey, MODEL_LEN_MAX, Message, Refuse, SECRET_LEN_MAX, Time,
        WIRE_BYTES_MAX, Welcome, encode,
    },
};

use self::model::{Model, Said};
use super::{Config, Node};
use crate::{
    Channel,
    store::{Identity, RamStore},
};

/// Readings that the board keeps: more than two batches, and few enough that a short script fills it.
const STORE_MAX: usize = 16;
const CHANNELS: [Channel; 2] = [
    Channel { name: "temperature", unit: "°C", places: 1 },
    Channel { name: "humidity", unit: "%", places: 2 },
];
const DEVICE: &str = "greenhouse-1";
const SECRET: &str = "00112233445566778899aabbccddeeff";
const SALT: [u8; 16] = [5; 16];
/// Frames that were on the line and may come again.
const HEARD_MAX: usize = 8;
/// Frames that are said at once: a refusal, answers, a batch.
const SAID_MAX: usize = 6;
/// Turns that a good gateway needs to get everything: the end of a link that is dead, another one, gap and batches.
const TURNS_MAX: usize = 64;
/// A number of a reading that takes as much room as any, and leaves enough behind it for a script.
const LATE: u32 = u32::MAX - 100_000;
/// Parts of a script beyond which nothing is new.
const RECORDS_MAX: usize = 512;

type Board = Node<RamStore<2, STORE_MAX>, 2>;
type Wire = heapless::Vec<u8, WIRE_BYTES_MAX>;

/// Plays `input`. In the end a good gateway links, and gets all that was measured and not given up.
///
/// # Panics
/// When the board breaks one of its promises.
pub fn exercise(input: &[u8]) {
    let Some((setup, mut rest)) = input.split_first() else { return };
    let mut play = Play::new(*setup);
    for _ in 0..RECORDS_MAX {
        let Some((record, behind)) = rest.split_at_checked(2) else { break };
        let [what, len] = [record.first(), record.get(1)].map(|byte| byte.copied().unwrap_or(0));
        let (bytes, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        play.step(what, bytes);
        play.model.check(&mut play.board, play.now_ms);
    }
    play.end();
}

/// How a frame is made, and what may be wrong with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Make {
    Rightly,
    Unsealed,
    OtherKey,
    EarlierKey,
    AsTheBoard,
    OldNumber,
    OtherAddress,
    LastNumbers,
}

struct Play {
    setup: u8,
    board: Board,
    model: Model,
    /// Reads what the board reads.
    decoder: Decoder,
    now_ms: u64,
    starts: u8,
    challenges: u8,
    /// What the gateway has of this device.
    boot_seen: u32,
    /// Of the link that was offered last, and of the one before.
    keys: [Option<LinkKey>; 2],
    line: Deque<Wire, HEARD_MAX>,
}

impl Play {
    fn new(setup: u8) -> Self {
        let (board, model) = start(setup, 0);
        Self {
            setup,
            board,
            model,
            decoder: Decoder::new(),
            now_ms: 0,
            starts: 0,
            challenges: 0,
            boot_seen: 0,
            keys: [None, None],
            line: Deque::new(),
        }
    }

    fn step(&mut self, what: u8, bytes: &[u8]) {
        let more = what >> 3;
        match what & 7 {
            0 => self.hear(bytes),
            1 | 2 => self.body(make(more), bytes),
            3 => {
                let (kind, body) = bytes.split_first().unwrap_or((&0, bytes));
                self.frame(make(more), *kind, body, None);
            }
            4 => self.measure(more, bytes),
            5 => self.pass(more, bytes),
            6 => {
                for _ in 0..=more >> 2 {
                    self.turn(more & 1 == 0);
                }
                if more & 2 == 0 {
                    self.act();
                }
            }
            _ => self.again(more, bytes),
        }
    }

    /// Bytes come, and the board heeds no frame that it must not.
    fn hear(&mut self, bytes: &[u8]) {
        let Self { board, model, decoder, now_ms, .. } = self;
        for byte in bytes {
            let Some(read) = decoder.push(*byte) else {
                board.handle_bytes(&[*byte], *now_ms);
                continue;
            };
            let is_heeded = match read {
                Ok(frame) => model.hear(&frame, *now_ms),
                Err(_) => {
                    model.noise += 1;
                    false
                }
            };
            let before = (board.poll_timeout(), board.signal());
            board.handle_bytes(&[*byte], *now_ms);
            assert!(is_heeded || (board.poll_timeout(), board.signal()) == before, "it heeds anybody");
            model.check(board, *now_ms);
        }
    }

    /// A body that a gateway may send; what is in it comes from `bytes`.
    fn body(&mut self, make: Make, bytes: &[u8]) {
        let (what, mut rest) = bytes.split_first().unwrap_or((&0, bytes));
        let rest = &mut rest;
        let boot = self.model.boot();
        let sequence = u64::from(self.model.out().unwrap_or(0));
        match what % 12 {
            0 => self.challenge(make, byte(rest)),
            1 => {
                let (boot_seen, wall_ms) = (word(rest), long(rest));
                self.message(make, &Welcome { wall_ms, boot_seen });
            }
            2 => self.message(make, &Acknowledge { boot, sequence }),
            3 => {
                let [of, more] = [byte(rest), byte(rest)].map(u8::cast_signed);
                let boot = boot.saturating_add_signed(of.into());
                let sequence = sequence.saturating_add_signed(more.into());
                self.message(make, &Acknowledge { boot, sequence });
            }
            4 => {
                let (reason, wait_ms) = (byte(rest), word(rest));
                let frame = self.model.frame().wrapping_sub(byte(rest).into());
                self.message(make, &Refuse { reason, frame, boot: 0, sequence: 0, wait_ms });
            }
            5 => self.command(make, rest, |rest| Command::SetPeriod { period_ms: word(rest) }),
            6 => {
                self.command(make, rest, |rest| Command::Identify { seconds: u16::from_le_bytes(take(rest)) })
            }
            7 => self.command(make, rest, |_| Command::Reboot),
            8 => self.command(make, rest, |_| Command::Report),
            9 => self.message(make, &Time { wall_ms: long(rest) }),
            10 => self.adopt(make, rest),
            _ => self.frame(make, Kind::Command as u8, &[byte(rest) & 0x7f, 99], None),
        }
    }

    fn command(&mut self, make: Make, rest: &mut &[u8], command: fn(&mut &[u8]) -> Command) {
        let id = byte(rest).into();
        self.message(make, &CommandBody { id, command: Some(command(rest)) });
    }

    fn adopt(&mut self, make: Make, rest: &mut &[u8]) {
        let hardware = if byte(rest) & 1 == 0 { self.model.hardware } else { "another" };
        let boot_seen = word(rest);
        let mut text = |len_max: usize| {
            let len = usize::from(byte(rest)) % (len_max + 2);
            LETTERS.get(..len).unwrap_or_default()
        };
        let (device, secret) = (text(DEVICE_ID_LEN_MAX), text(SECRET_LEN_MAX));
        self.message(make, &Adopt { hardware, device, secret, boot_seen });
    }

    /// `wrong`: another echo (1), another secret (2).
    fn challenge(&mut self, make: Make, wrong: u8) {
        let greeting = self.model.greeting.map_or([0; 8], |(nonce, _)| nonce);
        let echo = if wrong & 1 == 0 { greeting } else { [7; 8] };
        self.challenges = self.challenges.wrapping_add(1);
        let nonce = [self.challenges; 8];
        let (device, secret) = match &self.model.identity {
            Some(identity) if wrong & 2 == 0 => (identity.device.as_str(), identity.secret.as_str()),
            _ => (DEVICE, "wrong"),
        };
        let device_key = DeviceKey::derive(&SALT, secret.as_bytes());
        let key = LinkKey::derive(&device_key, device, &greeting, &nonce);
        let mut body = [0; BODY_BYTES_MAX];
        let Ok(body) = (Challenge { echo, nonce, salt: SALT }).encode(&mut body) else { return };
        self.frame(make, Kind::Challenge as u8, body, Some(&key));
        let [last, _] = core::mem::take(&mut self.keys);
        self.keys = [Some(key), last];
    }

    fn message<M: Message>(&mut self, make: Make, message: &M) {
        let mut body = [0; BODY_BYTES_MAX];
        if let Ok(body) = message.encode(&mut body) {
            self.frame(make, M::KIND as u8, body, None);
        }
    }

    /// `key`: of a link that begins.
    fn frame(&mut self, make: Make, kind: u8, body: &[u8], key: Option<&LinkKey>) {
        let (link, [_, earlier]) = (self.model.link.as_ref(), &self.keys);
        let other;
        let key = match make {
            Make::Unsealed => None,
            Make::OtherKey => {
                other = LinkKey::derive(&DeviceKey::new([9; 32]), DEVICE, &[0; 8], &[0; 8]);
                Some(&other)
            }
            Make::EarlierKey => earlier.as_ref(),
            // A hello knows no key, neither does who is to be adopted.
            _ => key.or_else(|| link.map(|link| &link.key)),
        };
        let taken = link.map_or(0, |link| link.taken);
        let sequence = match make {
            Make::OldNumber => taken,
            Make::LastNumbers => taken.saturating_add(1).max(u32::MAX - 1),
            _ => taken.saturating_add(1),
        };
        let direction = if make == Make::AsTheBoard { Direction::ToGateway } else { Direction::ToDevice };
        let address = self.model.address ^ u16::from(make == Make::OtherAddress);
        let mut wire = [0; WIRE_BYTES_MAX];
        let seal = key.map(|key| (key, direction));
        let Ok(bytes) = encode(Header { kind, address, sequence }, body, seal, &mut wire) else { return };
        self.note(bytes);
        self.hear(bytes);
    }

    fn measure(&mut self, more: u8, bytes: &[u8]) {
        let (mut rest, mut value) = (bytes, 0);
        for count in 0..=more {
            if !rest.is_empty() {
                value = i32::from_le_bytes(take(&mut rest));
            }
            let values = [Some(value.wrapping_add(count.into())), (more & 1 == 0).then_some(!value)];
            self.model.measure(values, self.now_ms);
            self.board.handle_reading(values, self.now_ms);
        }
    }

    /// Until the board has something to do, or as long as `bytes` say; or the power goes.
    fn pass(&mut self, more: u8, mut bytes: &[u8]) {
        if more == 31 {
            self.starts = self.starts.wrapping_add(1);
            (self.board, self.model) = start(self.setup, self.starts);
            (self.decoder, self.now_ms) = (Decoder::new(), 0);
        } else if bytes.is_empty() {
            self.wait();
        } else {
            let [low, middle, high] = take(&mut bytes);
            self.now_ms += u64::from(u32::from_le_bytes([low, middle, high, 0]));
        }
    }

    fn wait(&mut self) {
        self.now_ms = self.board.poll_timeout().unwrap_or(0).max(self.now_ms);
    }

    fn act(&mut self) {
        while let Some(action) = self.board.poll_action() {
            self.model.act(action);
            if let super::Action::SetPeriod { period_ms } = action {
                self.board.note_period(period_ms);
            }
        }
    }

    /// The board says what it has to say, and a good gateway answers or nobody does. Says whether it said anything.
    fn turn(&mut self, is_answered: bool) -> bool {
        let mut out = [0; WIRE_BYTES_MAX];
        let (mut count, mut wants) = (0, Said::Other);
        let is_due = self.board.poll_timeout().is_some_and(|at_ms| at_ms <= self.now_ms);
        while let Some(bytes) = self.board.poll_transmit(self.now_ms, &mut out) {
            count += 1;
            assert!(count <= SAID_MAX, "it does not stop");
            self.note(bytes);
            let said = self.model.say(bytes, self.now_ms);
            if !matches!(said, Said::Other) {
                assert!(is_due, "it would have slept");
                wants = said;
            }
        }
        self.model.give_up(&self.board, self.now_ms);
        if is_answered {
            self.answer(wants);
        }
        count > 0
    }

    fn answer(&mut self, wants: Said) {
        let boot_seen = self.boot_seen;
        match wants {
            Said::Hello { is_named: true } => self.challenge(Make::Rightly, 0),
            Said::Hello { is_named: false } => {
                let (hardware, device, secret) = (self.model.hardware, DEVICE, SECRET);
                self.message(Make::Unsealed, &Adopt { hardware, device, secret, boot_seen });
            }
            Said::Ready => self.message(Make::Rightly, &Welcome { wall_ms: 1_790_000_000_000, boot_seen }),
            Said::Batch => {
                let (boot, sequence) = (self.model.boot(), u64::from(self.model.out().unwrap_or(0)));
                self.boot_seen = boot;
                self.message(Make::Rightly, &Acknowledge { boot, sequence });
            }
            Said::Other => {}
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        if self.line.is_full() {
            self.line.pop_front();
        }
        if let Ok(wire) = Wire::from_slice(bytes) {
            assert!(self.line.push_back(wire).is_ok());
        }
    }

    /// What was on the line comes again: as it was, or broken at a place.
    fn again(&mut self, more: u8, mut bytes: &[u8]) {
        let Some(mut wire) = self.line.iter().rev().nth(usize::from(more) % HEARD_MAX).cloned() else {
            return;
        };
        let (at, flip) = (usize::from(byte(&mut bytes)), byte(&mut bytes));
        if let Some(byte) = wire.get_mut(at) {
            *byte ^= flip;
        }
        self.hear(&wire);
    }

    fn end(&mut self) {
        for _ in 0..TURNS_MAX {
            if !self.turn(true) {
                if self.model.is_done() {
                    return;
                }
                self.wait();
            }
            self.act();
        }
        unreachable!("a good gateway does not get what waits: {:?}", self.board);
    }
}

/// Of longer texts than fit anywhere.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz-0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789";

/// A board as `setup` says: with a name or without, with short texts or the longest, on this address or that, fresh or
/// after billions of readings.
fn start(setup: u8, starts: u8) -> (Board, Model) {
    let identity = (setup & 1 == 0).then(|| Identity {
        device: DEVICE.try_into().unwrap_or_default(),
        secret: SECRET.try_into().unwrap_or_default(),
        boot_base: 0,
    });
    let of = |len_max: usize| LETTERS.get(..if setup & 2 == 0 { 5 } else { len_max }).unwrap_or_default();
    let address = if setup & 4 == 0 { 9 } else { u16::MAX };
    let (hardware, label, period_ms) = (of(HARDWARE_LEN_MAX), of(MODEL_LEN_MAX), 1_000);
    let config = Config {
        hardware: hardware.try_into().unwrap_or_default(),
        model: label.try_into().unwrap_or_default(),
        firmware: label.try_into().unwrap_or_default(),
        address,
        seed: [starts; 32],
        period_ms,
    };
    let mut board = Node::new(RamStore::new(identity.clone()), CHANNELS, config);
    let mut model = Model::new(identity, address, hardware, period_ms);
    if setup & 8 != 0 {
        board.link.sequence = LATE;
        model.begin(LATE);
    }
    (board, model)
}

fn make(more: u8) -> Make {
    match more & 7 {
        0 => Make::Rightly,
        1 => Make::Unsealed,
        2 => Make::OtherKey,
        3 => Make::EarlierKey,
        4 => Make::AsTheBoard,
        5 => Make::OldNumber,
        6 => Make::OtherAddress,
        _ => Make::LastNumbers,
    }
}

/// The next bytes, zeros where there are none.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (front, behind) = rest.split_at(N.min(rest.len()));
    *rest = behind;
    let mut bytes = [0; N];
    bytes.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
    bytes
}

fn byte(rest: &mut &[u8]) -> u8 {
    let [byte] = take(rest);
    byte
}

fn word(rest: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(rest))
}

fn long(rest: &mut &[u8]) -> u64 {
    u64::from_le_bytes(take(rest))
}

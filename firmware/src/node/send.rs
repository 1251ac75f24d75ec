//! What goes out: one frame at a time, when it is asked for.

use tidegate_protocol::serial::{
    BODY_BYTES_MAX, Channel as WireChannel, Decimal, DeviceKey, Direction, Gap, Header, Hello, Kind, LinkKey,
    Message, NONCE_BYTES, Nonce, READINGS_MAX, ReadingsWriter, Ready, Sample, WIRE_BYTES_MAX, encode,
};

use super::{Flight, Link, Node, State, TRIES_MAX};
use crate::{
    Channel,
    store::{Place, Store, Stored, Taken},
};

/// Bytes of an entry without its samples: the count of samples, a number, a time of this century.
const ENTRY_BYTES_MAX: usize = 1 + 5 + 7;
/// Bytes of a sample: what it is, an `i32`, the places.
const SAMPLE_BYTES_MAX: usize = 1 + 5 + 1;
/// Bytes of a body with readings beside channels and entries.
const BATCH_BYTES_MAX: usize = 5 + 1 + 1;
/// How long a board without a name waits before it asks again.
const UNCLAIMED_WAIT_MS: u64 = 5_000;

impl<S: Store<C>, const C: usize> Node<S, C> {
    /// The next frame to put on the line, if any is due.
    pub fn poll_transmit<'o>(&mut self, now_ms: u64, out: &'o mut [u8; WIRE_BYTES_MAX]) -> Option<&'o [u8]> {
        self.link.poll_transmit(now_ms, out)
    }

    /// When [`Self::poll_transmit`] has something to send without anything else happening; none: only when something
    /// does.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let link = &self.link;
        match &link.state {
            State::Down { until_ms } => Some(*until_ms),
            State::Greeting { since_ms, .. } => Some(since_ms.saturating_add(link.greeting_wait_ms())),
            State::Proving { due_ms, .. } => Some(*due_ms),
            State::Up { flight: Some(flight), .. } => Some(flight.due_ms),
            State::Up { hold_until_ms, .. } => {
                let has_more = !link.store.is_empty() || link.store.dropped().is_some();
                has_more.then_some(*hold_until_ms)
            }
        }
    }
}

impl<S: Store<C>, const C: usize> Link<S, C> {
    fn poll_transmit<'o>(&mut self, now_ms: u64, out: &'o mut [u8; WIRE_BYTES_MAX]) -> Option<&'o [u8]> {
        self.give_up_what_is_late(now_ms);
        match &self.state {
            State::Down { until_ms } if *until_ms <= now_ms => self.hello(now_ms, out),
            State::Proving { due_ms, .. } if *due_ms <= now_ms => self.ready(now_ms, out),
            State::Up { .. } => self.up(now_ms, out),
            _ => None,
        }
    }

    /// Whatever has waited for its answer for too long.
    fn give_up_what_is_late(&mut self, now_ms: u64) {
        let is_late = match &self.state {
            State::Greeting { since_ms, .. } => since_ms.saturating_add(self.greeting_wait_ms()) <= now_ms,
            State::Proving { tries, due_ms, .. } => *tries >= TRIES_MAX && *due_ms <= now_ms,
            State::Up { flight: Some(flight), .. } => flight.tries >= TRIES_MAX && flight.due_ms <= now_ms,
            _ => false,
        };
        if is_late {
            self.go_down(now_ms);
        }
    }

    fn greeting_wait_ms(&self) -> u64 {
        if self.store.identity().is_some() { Self::wait_ms(0) } else { UNCLAIMED_WAIT_MS }
    }

    fn hello<'o>(&mut self, now_ms: u64, out: &'o mut [u8; WIRE_BYTES_MAX]) -> Option<&'o [u8]> {
        self.counts.hellos = self.counts.hellos.wrapping_add(1);
        let nonce = self.nonce();
        let hello = Hello {
            device: self.store.identity().map_or("", |identity| &identity.device),
            hardware: &self.config.hardware,
            model: &self.config.model,
            firmware: &self.config.firmware,
            nonce,
        };
        let header = Header { kind: Hello::KIND as u8, address: self.config.address, sequence: 0 };
        let mut body = [0; BODY_BYTES_MAX];
        let sent = encode(header, hello.encode(&mut body).ok()?, None, out).ok();
        self.state = State::Greeting { nonce, since_ms: now_ms };
        sent
    }

    /// From the seed, the boot and a count: never the same twice, and not to be guessed where the seed is not.
    fn nonce(&self) -> Nonce {
        let mut count: Nonce = [0; NONCE_BYTES];
        let numbers = self.store.boot().to_le_bytes().into_iter().chain(self.counts.hellos.to_le_bytes());
        count.iter_mut().zip(numbers).for_each(|(to, from)| *to = from);
        let seed = DeviceKey::new(self.config.seed);
        LinkKey::derive(&seed, &self.config.hardware, &count, &count).tag(Direction::ToGateway, &count)
    }

    fn ready<'o>(&mut self, now_ms: u64, out: &'o mut [u8; WIRE_BYTES_MAX]) -> Option<&'o [u8]> {
        let ready = Ready { boot: self.wire_boot(self.store.boot()), uptime_ms: now_ms };
        if let State::Proving { tries, due_ms, .. } = &mut self.state {
            *due_ms = now_ms.saturating_add(Self::wait_ms(*tries));
            *tries = tries.saturating_add(1);
        }
        let mut body = [0; BODY_BYTES_MAX];
        let body = ready.encode(&mut body).ok()?;
        self.seal(Ready::KIND as u8, body, out)
    }

    /// What a linked board has to say: answers first.
    fn up<'o>(&mut self, now_ms: u64, out: &'o mut [u8; WIRE_BYTES_MAX]) -> Option<&'o [u8]> {
        let mut body = [0; BODY_BYTES_MAX];
        if let Some(refusal) = self.refusal.take() {
            let body = refusal.encode(&mut body).ok()?;
            return self.seal(Kind::Refuse as u8, body, out);
        }
        if let Some(answer) = self.answers.pop_front() {
            let body = answer.encode(&mut body).ok()?;
            return self.seal(Kind::Answer as u8, body, out);
        }
        let State::Up { flight, hold_until_ms, .. } = &self.state else { return None };
        if *hold_until_ms > now_ms || flight.is_some_and(|flight| flight.due_ms > now_ms) {
            return None;
        }
        let tries = flight.map_or(0, |flight| flight.tries);
        let (kind, last, len) = self.next_batch(now_ms, &mut body)?;
        let due_ms = now_ms.saturating_add(Self::wait_ms(tries));
        if let State::Up { flight, .. } = &mut self.state {
            let (frame, is_gap) = (self.sent.saturating_add(1), kind == Gap::KIND as u8);
            *flight = Some(Flight { last, frame, is_gap, tries: tries.saturating_add(1), due_ms });
        }
        self.has_sent = true;
        self.seal(kind, body.get(..len)?, out)
    }

    /// The oldest of what waits: a gap, or readings of one boot up to the next gap. Its kind, its last place and its
    /// bytes.
    fn next_batch(&mut self, now_ms: u64, body: &mut [u8; BODY_BYTES_MAX]) -> Option<(u8, Place, usize)> {
        let first = self.store.get(0);
        let dropped = self.store.dropped();
        if let Some(gap) = dropped
            && first.is_none_or(|first| (gap.boot, gap.from) < first.place())
        {
            let wire = Gap { boot: self.wire_boot(gap.boot), from: gap.from.into(), to: gap.to.into() };
            let len = wire.encode(body).ok()?.len();
            return Some((Gap::KIND as u8, (gap.boot, gap.to), len));
        }
        let first = first?;
        let end = dropped.map(|gap| (gap.boot, gap.from));
        let mut count: u8 = 0;
        let mut last = first.place();
        while usize::from(count) < self.entries_max() {
            let Some(reading) = self.store.get(usize::from(count)) else { break };
            if reading.boot != first.boot || end.is_some_and(|end| reading.place() > end) {
                break;
            }
            last = reading.place();
            count += 1;
        }
        let len = self.write_readings(now_ms, first.boot, count, body)?;
        Some((Kind::Readings as u8, last, len))
    }

    fn write_readings(
        &mut self,
        now_ms: u64,
        boot: u32,
        count: u8,
        body: &mut [u8; BODY_BYTES_MAX],
    ) -> Option<usize> {
        let wire_boot = self.wire_boot(boot);
        let channels = self.channels;
        let wire = channels.iter().map(|channel| WireChannel { name: channel.name, unit: channel.unit });
        let mut writer = ReadingsWriter::begin(body, wire_boot, wire, count).ok()?;
        for index in 0..usize::from(count) {
            let reading = self.store.get(index)?;
            let wall_ms = self.wall_ms(&reading, now_ms);
            let samples = reading.values.iter().zip(&channels).map(sample);
            writer.entry(reading.sequence.into(), wall_ms, samples).ok()?;
        }
        Some(writer.finish().len())
    }

    /// 0 where nobody had told the time in that boot.
    fn wall_ms(&self, reading: &Stored<C>, now_ms: u64) -> u64 {
        match (reading.taken, self.wall_at_start_ms) {
            (Taken::Wall(wall_ms), _) => wall_ms,
            (Taken::Uptime(uptime_ms), Some(start_ms))
                if reading.boot == self.store.boot() && uptime_ms <= now_ms =>
            {
                start_ms.saturating_add(uptime_ms)
            }
            (Taken::Uptime(_), _) => 0,
        }
    }

    /// Entries that surely fit beside the channels' names.
    fn entries_max(&self) -> usize {
        let names: usize =
            self.channels.iter().map(|channel| 2 + channel.name.len() + channel.unit.len()).sum();
        let room = BODY_BYTES_MAX.saturating_sub(BATCH_BYTES_MAX + names);
        (room / (ENTRY_BYTES_MAX + C * SAMPLE_BYTES_MAX)).clamp(1, READINGS_MAX)
    }

    fn seal<'o>(&mut self, kind: u8, body: &[u8], out: &'o mut [u8; WIRE_BYTES_MAX]) -> Option<&'o [u8]> {
        let (State::Proving { key, .. } | State::Up { key, .. }) = &self.state else { return None };
        self.sent = self.sent.saturating_add(1);
        let header = Header { kind, address: self.config.address, sequence: self.sent };
        encode(header, body, Some((key, Direction::ToGateway)), out).ok()
    }
}

fn sample((value, channel): (&Option<i32>, &Channel)) -> Sample<'static> {
    value.map_or(Sample::Absent, |value| {
        Sample::Number(Decimal { digits: value.into(), places: channel.places })
    })
}

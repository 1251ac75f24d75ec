use std::collections::{BTreeMap, VecDeque};

use tidegate_protocol::serial::{
    Acknowledge, Adopt, BodyError, Challenge, Command, CommandBody, Decoder, Frame, FromDevice, Gap, Header,
    Hello, LinkKey, Message, Nonce, Readings, Reason, Refuse, Time, Welcome,
};

use super::{
    limits::Limits,
    link::{Counts, Link, LinkState, put},
    payload::payload,
    uplink::{Batch, Gone, Greeting, LinkId, Offer, Place, Receipt, Uplink},
};
use crate::{
    clock::Millis,
    session::Refusal,
    spool::{Durable, Position},
};

/// How often a device is told the time.
const TIME_EVERY_MS: Millis = 60 * 60 * 1000;
/// Hellos of one port that wait for their answer; one more is dropped, and its device says hello again.
const GREETINGS_MAX: usize = 64;

/// One serial port.
#[derive(Debug)]
pub struct Port {
    decoder: Decoder,
    limits: Limits,
    /// By address; one that is being challenged stands beside the one that is up, and takes its place when proven.
    up: BTreeMap<u16, Link>,
    challenged: BTreeMap<u16, Link>,
    greetings: BTreeMap<u16, Hailed>,
    uplinks: VecDeque<Uplink>,
    out: Vec<u8>,
    counts: Counts,
    next: u64,
}

/// A hello that is not answered yet.
#[derive(Debug)]
struct Hailed {
    id: LinkId,
    device: String,
    nonce: Nonce,
}

impl Port {
    /// Nothing has been said.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            decoder: Decoder::new(),
            limits,
            up: BTreeMap::new(),
            challenged: BTreeMap::new(),
            greetings: BTreeMap::new(),
            uplinks: VecDeque::new(),
            out: Vec::new(),
            counts: Counts::default(),
            next: 1,
        }
    }

    /// Takes bytes from the port.
    pub fn handle_bytes(&mut self, bytes: &[u8], now_ms: Millis) {
        let mut decoder = std::mem::take(&mut self.decoder);
        for byte in bytes {
            match decoder.push(*byte) {
                None => {}
                Some(Ok(frame)) => self.handle_frame(&frame, now_ms),
                Some(Err(_)) => self.counts.noise = self.counts.noise.saturating_add(1),
            }
        }
        self.decoder = decoder;
    }

    fn handle_frame(&mut self, frame: &Frame<'_>, now_ms: Millis) {
        self.counts.frames = self.counts.frames.saturating_add(1);
        let body = FromDevice::decode(frame.header.kind, frame.body);
        if let Ok(FromDevice::Hello(hello)) = &body {
            return self.greet(frame.header, hello);
        }
        let address = frame.header.address;
        if let Some(link) = self.challenged.get_mut(&address)
            && matches!(body, Ok(FromDevice::Ready(_)))
            && link.takes(frame, now_ms)
        {
            link.state = LinkState::Proven;
            self.uplinks.push_back(Uplink::Proven(link.id));
            return;
        }
        let Some(link) = self.up.get_mut(&address) else {
            return self.refuse_unsealed(frame.header, Reason::NoLink, 0);
        };
        if !link.takes(frame, now_ms) {
            self.counts.unsealed = self.counts.unsealed.saturating_add(1);
            return;
        }
        let id = link.id;
        match body {
            // The welcome was lost.
            Ok(FromDevice::Ready(_)) => self.uplinks.push_back(Uplink::Proven(id)),
            Ok(FromDevice::Readings(readings)) => self.take(frame.header, id, &readings),
            Ok(FromDevice::Gap(gap)) => self.take_gap(frame.header, id, gap),
            Ok(FromDevice::Answer(answer)) => self.uplinks.push_back(Uplink::Answer(id, answer)),
            // What the gateway said and the device does not know is not said again.
            Ok(FromDevice::Refuse(_) | FromDevice::Hello(_)) => {}
            Err(BodyError::UnknownKind(_)) => self.refuse(frame.header, Reason::UnknownKind, (0, 0), 0),
            Err(_) => self.refuse(frame.header, Reason::Malformed, (0, 0), 0),
        }
    }

    fn greet(&mut self, header: Header, hello: &Hello<'_>) {
        if self.greetings.len() >= GREETINGS_MAX && !self.greetings.contains_key(&header.address) {
            return;
        }
        let id = LinkId { address: header.address, number: self.next };
        self.next = self.next.wrapping_add(1);
        let greeting = Greeting {
            link: id,
            device: hello.device.to_owned(),
            hardware: hello.hardware.to_owned(),
            model: hello.model.to_owned(),
            firmware: hello.firmware.to_owned(),
        };
        let hailed = Hailed { id, device: hello.device.to_owned(), nonce: hello.nonce };
        self.greetings.insert(header.address, hailed);
        self.uplinks.push_back(if hello.device.is_empty() {
            Uplink::Announce(greeting)
        } else {
            Uplink::Hello(greeting)
        });
    }

    fn take(&mut self, header: Header, link: LinkId, readings: &Readings<'_>) {
        if !self.has_room(link, readings.entries.len()) {
            let place = readings.entries.first().map_or((0, 0), |entry| (readings.boot, entry.sequence));
            return self.refuse(header, Reason::Busy, place, Refusal::Busy.serial_wait_ms());
        }
        let taken = readings.entries.iter().map(|entry| {
            let receipt = Receipt { link, place: (readings.boot, entry.sequence), frame: header.sequence };
            (receipt, payload(readings.boot, &readings.channels, entry))
        });
        self.uplinks.push_back(Uplink::Readings(Batch { link, readings: taken.collect() }));
    }

    fn take_gap(&mut self, header: Header, link: LinkId, gap: Gap) {
        if !self.has_room(link, 1) {
            return self.refuse(header, Reason::Busy, (gap.boot, gap.to), Refusal::Busy.serial_wait_ms());
        }
        let receipt = Receipt { link, place: (gap.boot, gap.to), frame: header.sequence };
        let Gap { boot, from, to } = gap;
        self.uplinks.push_back(Uplink::Gap(Gone { receipt, boot, from, to }));
    }

    /// Whether `more` of this device may wait for the disk, beside those that wait and those that are about to.
    fn has_room(&self, link: LinkId, more: usize) -> bool {
        let about_to = self.uplinks.iter().map(|uplink| match uplink {
            Uplink::Readings(batch) if batch.link == link => batch.readings.len(),
            Uplink::Gap(gone) if gone.receipt.link == link => 1,
            _ => 0,
        });
        let waiting = self.up.get(&link.address).map_or(0, Link::pending);
        waiting.saturating_add(about_to.sum()).saturating_add(more) <= self.limits.pending_max
    }

    /// Asks the device of `link` to prove that it knows what is offered.
    pub fn handle_offer(&mut self, link: LinkId, offer: &Offer, now_ms: Millis) {
        let Some(hailed) = self.greetings.remove(&link.address).filter(|hailed| hailed.id == link) else {
            return;
        };
        let key = LinkKey::derive(&offer.key, &hailed.device, &hailed.nonce, &offer.nonce);
        let until_ms = now_ms.saturating_add(self.limits.challenge_ms_max);
        let mut challenged = Link::new(link, key, now_ms, until_ms);
        let challenge = Challenge { echo: hailed.nonce, nonce: offer.nonce, salt: offer.salt };
        challenged.send(&challenge, &mut self.out);
        let is_full = self.challenged.len() >= self.limits.devices_max;
        if is_full && !self.challenged.contains_key(&link.address) {
            drop_most_silent(&mut self.challenged);
        }
        if let Some(before) = self.challenged.insert(link.address, challenged)
            && matches!(before.state, LinkState::Challenged { .. })
        {
            self.uplinks.push_back(Uplink::Unproven(before.id));
        }
    }

    /// The board may not come in, now or at all.
    pub fn handle_turned_away(&mut self, link: LinkId, refusal: Refusal) {
        self.turn_away(link, refusal.serial_reason(), refusal.serial_wait_ms());
    }

    /// Nobody has agreed to take in this board without a name.
    pub fn handle_not_adopted(&mut self, link: LinkId) {
        self.turn_away(link, Reason::NotAdopted, 0);
    }

    fn turn_away(&mut self, link: LinkId, reason: Reason, wait_ms: u32) {
        self.greetings.remove(&link.address);
        self.challenged.remove(&link.address);
        let header = Header { kind: 0, address: link.address, sequence: 0 };
        self.refuse_unsealed(header, reason, wait_ms);
    }

    /// Gives a board without a name its name and secret.
    pub fn handle_adopted(&mut self, link: LinkId, adopt: &Adopt<'_>) {
        self.greetings.remove(&link.address);
        let header = Header { kind: Adopt::KIND as u8, address: link.address, sequence: 0 };
        put(header, adopt, None, &mut self.out);
    }

    /// Lets the device in that has proven who it is. `boot_seen` is the highest boot that there are readings of.
    pub fn handle_login(&mut self, link: LinkId, boot_seen: u32, (now_ms, wall_ms): (Millis, Millis)) {
        if let Some(proven) = self.challenged.remove(&link.address) {
            let is_full = self.up.len() >= self.limits.devices_max;
            if is_full && !self.up.contains_key(&link.address) {
                drop_most_silent(&mut self.up);
            }
            self.up.insert(link.address, proven);
            self.counts.links = self.counts.links.saturating_add(1);
        }
        let Some(up) = self.up.get_mut(&link.address).filter(|up| up.id == link) else { return };
        up.state = LinkState::Up;
        up.time_due_ms = now_ms.saturating_add(TIME_EVERY_MS);
        up.send(&Welcome { wall_ms, boot_seen }, &mut self.out);
    }

    /// What came of one reading or gap: in the spool at a position, on disk already, or refused. `true`: the rest of
    /// its batch may follow.
    pub fn handle_stored(&mut self, receipt: &Receipt, outcome: Result<Option<Position>, Refusal>) -> bool {
        let Some(link) = self.up.get_mut(&receipt.link.address).filter(|link| link.id == receipt.link) else {
            return false;
        };
        let is_passing = outcome.is_err_and(Refusal::is_passing);
        if !is_passing {
            link.store(receipt, outcome.unwrap_or_default());
        }
        if let Err(refusal) = outcome {
            let header = Header { kind: 0, address: receipt.link.address, sequence: receipt.frame };
            self.refuse(header, refusal.serial_reason(), receipt.place, refusal.serial_wait_ms());
        }
        !is_passing
    }

    /// Acknowledges what is on disk: one frame a device.
    pub fn handle_durable(&mut self, durable: &Durable) {
        self.settle(|position| durable.covers(position));
    }

    pub(super) fn settle(&mut self, covers: impl Fn(Position) -> bool + Copy) {
        for link in self.up.values_mut() {
            if let Some((boot, sequence)) = link.settle(covers) {
                link.send(&Acknowledge { boot, sequence }, &mut self.out);
            }
        }
    }

    /// Has the device of `link` do something; its answer has the number `id`. Says whether there is such a link.
    pub fn handle_command(&mut self, link: LinkId, id: u32, command: Command) -> bool {
        let Some(up) = self.up.get_mut(&link.address).filter(|up| up.id == link) else { return false };
        up.send(&CommandBody { id, command: Some(command) }, &mut self.out);
        true
    }

    /// For a few times a second.
    pub fn handle_timeout(&mut self, now_ms: Millis, wall_ms: Millis) {
        for link in self.challenged.values() {
            if matches!(link.state, LinkState::Challenged { until_ms } if until_ms <= now_ms) {
                self.uplinks.push_back(Uplink::Unproven(link.id));
            }
        }
        self.challenged.retain(|_, link| match link.state {
            LinkState::Challenged { until_ms } => now_ms < until_ms,
            LinkState::Proven | LinkState::Up => true,
        });
        for link in self.up.values_mut().filter(|link| link.time_due_ms <= now_ms) {
            link.time_due_ms = now_ms.saturating_add(TIME_EVERY_MS);
            link.send(&Time { wall_ms }, &mut self.out);
        }
    }

    /// Ends a link whose login is no more. The device is told when it speaks.
    pub fn close(&mut self, link: LinkId) {
        self.up.retain(|_, up| up.id != link);
        self.challenged.retain(|_, challenged| challenged.id != link);
    }

    /// Whether this link is the one its address has.
    #[must_use]
    pub fn holds(&self, link: LinkId) -> bool {
        let is = |links: &BTreeMap<u16, Link>| links.get(&link.address).is_some_and(|held| held.id == link);
        is(&self.up)
            || is(&self.challenged)
            || self.greetings.get(&link.address).is_some_and(|h| h.id == link)
    }

    /// The next thing that the port asks for.
    pub fn poll_uplink(&mut self) -> Option<Uplink> {
        self.uplinks.pop_front()
    }

    /// Moves what is to be sent into `out`.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.out);
    }

    /// Whether there is something to send, or to ask for.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.out.is_empty() || !self.uplinks.is_empty()
    }

    /// Readings that wait for the disk.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.up.values().map(Link::pending).sum()
    }

    /// What happened since this was last asked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    fn refuse(&mut self, header: Header, reason: Reason, (boot, sequence): Place, wait_ms: u32) {
        self.counts.refused = self.counts.refused.saturating_add(1);
        let refuse = Refuse { reason: reason.code(), frame: header.sequence, boot, sequence, wait_ms };
        if let Some(link) = self.up.get_mut(&header.address) {
            link.send(&refuse, &mut self.out);
        }
    }

    fn refuse_unsealed(&mut self, header: Header, reason: Reason, wait_ms: u32) {
        self.counts.refused = self.counts.refused.saturating_add(1);
        let refuse = Refuse { reason: reason.code(), frame: header.sequence, boot: 0, sequence: 0, wait_ms };
        let header = Header { kind: Refuse::KIND as u8, sequence: 0, ..header };
        put(header, &refuse, None, &mut self.out);
    }
}

fn drop_most_silent(links: &mut BTreeMap<u16, Link>) {
    if let Some(address) = links.values().min_by_key(|link| link.heard_ms).map(|link| link.id.address) {
        links.remove(&address);
    }
}

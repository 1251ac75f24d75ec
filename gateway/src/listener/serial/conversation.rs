//! What is said on a port that speaks frames.

use std::{io, rc::Rc, sync::atomic::Ordering, time::Duration};

use tidegate_protocol::serial::{Adopt, DeviceKey, Nonce};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_serial::SerialStream;

use super::{
    Serial,
    adoption::Announced,
    open::{OpenPort, Party, Standing},
};
use crate::{
    auth::Login,
    pipeline,
    session::{
        Refusal,
        serial::{Batch, Gone, Greeting, LinkId, Offer, Place, Receipt, Taken, Uplink},
    },
    spool::{Position, Protocol},
};

/// Bytes taken from a port at once.
const READ_BYTES_MAX: usize = 4096;
/// How long a port may take what is sent.
const SEND_MAX: Duration = Duration::from_secs(2);

impl Serial {
    /// Talks until the port breaks, and says why.
    pub(super) async fn converse(&self, port: &Rc<OpenPort>, mut stream: SerialStream) -> io::Error {
        let mut buffer = vec![0; READ_BYTES_MAX];
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                    Ok(count) if !self.is_stopping.get() => {
                        let now_ms = self.shared.clock.now_ms();
                        port.port.borrow_mut().handle_bytes(buffer.get(..count).unwrap_or_default(), now_ms);
                    }
                    Ok(_) => {}
                    Err(error) => return error,
                },
                () = port.has_said.notified() => {}
            }
            self.answer_all(port);
            if let Err(error) = send(port, &mut stream).await {
                return error;
            }
        }
    }

    fn answer_all(&self, port: &OpenPort) {
        let mut has_stored = false;
        loop {
            let Some(uplink) = port.port.borrow_mut().poll_uplink() else { break };
            match uplink {
                Uplink::Hello(greeting) => self.greet(port, &greeting),
                Uplink::Announce(greeting) => self.hear(port, &greeting),
                Uplink::Proven(link) => self.let_in(port, link),
                Uplink::Unproven(link) => self.note_unproven(port, link),
                Uplink::Readings(batch) => {
                    self.store_all(port, batch);
                    has_stored = true;
                }
                Uplink::Gap(gone) => {
                    self.store_gap(port, gone);
                    has_stored = true;
                }
                Uplink::Answer(link, answer) => self.hear_answer(link, answer),
            }
        }
        if has_stored {
            let spool = self.shared.pipeline.spool();
            spool.release();
            // What was there already, or can never be taken, makes no commit that would tell.
            port.port.borrow_mut().handle_durable(&spool.watermark().durable());
        }
    }

    fn greet(&self, port: &OpenPort, greeting: &Greeting) {
        let now_ms = self.shared.clock.now_ms();
        let mut nonce = Nonce::default();
        if getrandom::fill(&mut nonce).is_err() {
            return port.port.borrow_mut().handle_turned_away(greeting.link, Refusal::Unavailable);
        }
        let Some(offer) = self.shared.registry.offer_key(&greeting.device) else {
            self.note_refused(&greeting.device, "no login with a secret that a board can use");
            return port.port.borrow_mut().handle_turned_away(greeting.link, Refusal::BadCredentials);
        };
        let wire = Offer { salt: offer.salt(), key: DeviceKey::new(offer.key()), nonce };
        let party = Party {
            device: greeting.device.clone(),
            hardware: greeting.hardware.clone(),
            standing: Standing::Claims(Box::new(offer)),
        };
        port.parties.borrow_mut().insert(greeting.link, party);
        port.port.borrow_mut().handle_offer(greeting.link, &wire, now_ms);
    }

    /// A board without a name.
    fn hear(&self, port: &OpenPort, greeting: &Greeting) {
        let board = Announced {
            hardware: greeting.hardware.clone(),
            model: greeting.model.clone(),
            firmware: greeting.firmware.clone(),
            port: port.name.clone(),
            heard_ms: self.shared.clock.wall_ms(),
        };
        let agreed = self.shared.adoptions.hear(board, self.config.limits.announced_max);
        let Some(agreed) = agreed else {
            return port.port.borrow_mut().handle_not_adopted(greeting.link);
        };
        let boot_seen = tidegate_protocol::DeviceId::new(&agreed.device)
            .map_or(0, |device| self.marks.borrow().boot_seen(&device));
        let (hardware, device, secret) = (&*greeting.hardware, &*agreed.device, &*agreed.secret);
        let adopt = Adopt { hardware, device, secret, boot_seen };
        port.port.borrow_mut().handle_adopted(greeting.link, &adopt);
    }

    fn let_in(&self, port: &OpenPort, link: LinkId) {
        let mut parties = port.parties.borrow_mut();
        let Some(party) = parties.remove(&link) else { return };
        let Party { device, hardware, standing } = party;
        let login = match standing {
            Standing::Claims(offer) => offer.proven(),
            Standing::Is(login) => login,
        };
        // A change of the registry may have come between.
        if !self.shared.registry.is_current(&login) {
            return port.port.borrow_mut().close(link);
        }
        let (now_ms, wall_ms) = (self.shared.clock.now_ms(), self.shared.clock.wall_ms());
        self.shared.registry.note_seen(&login.device, wall_ms);
        self.shared.registry.note_qos(&login.device, 1, wall_ms);
        self.shared.adoptions.arrived(&hardware);
        tracing::debug!(port = %port.name, %device, hardware, "serial link");
        let boot_seen = self.marks.borrow().boot_seen(&login.device);
        port.port.borrow_mut().handle_login(link, boot_seen, (now_ms, wall_ms));
        parties.insert(link, Party { device, hardware, standing: Standing::Is(login) });
        drop(parties);
        port.show(&self.shared.serial);
    }

    fn note_unproven(&self, port: &OpenPort, link: LinkId) {
        if let Some(party) = port.parties.borrow_mut().remove(&link) {
            tracing::debug!(port = %port.name, device = %party.device, "a board has not proven who it is");
            self.note_refused(&party.device, "wrong secret");
        }
    }

    fn note_refused(&self, device: &str, why: &str) {
        self.shared.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
        self.shared.registry.note_refused(device, why, self.shared.clock.wall_ms());
    }

    fn store_all(&self, port: &OpenPort, batch: Batch) {
        let Some(login) = port.login(batch.link) else { return };
        for (receipt, taken) in batch.readings {
            let outcome = match taken {
                Taken::Payload(payload) => self.store(&login, &receipt, &payload),
                Taken::Unfit(why) => {
                    self.shared.pipeline.note_refused(&login, TOPIC, &why);
                    Err(Refusal::PayloadFormatInvalid)
                }
            };
            if !port.port.borrow_mut().handle_stored(&receipt, outcome) {
                return;
            }
        }
    }

    /// Stores a reading, unless it is in the spool already.
    fn store(&self, login: &Login, receipt: &Receipt, payload: &str) -> Result<Option<Position>, Refusal> {
        self.once(login, receipt.place, || {
            let publish = pipeline::Publish {
                topic: TOPIC,
                payload: payload.as_bytes(),
                protocol: Protocol::Serial,
                qos: 1,
                content_type: Some("application/json"),
                user_properties: Vec::new(),
            };
            self.shared.pipeline.accept(login, &publish).map_err(|refusal| {
                self.shared.pipeline.note_shed(login, TOPIC, &refusal);
                refusal.told()
            })
        })
    }

    fn store_gap(&self, port: &OpenPort, gone: Gone) {
        let Some(login) = port.login(gone.receipt.link) else { return };
        // A board that lost its power tells of readings too whose acknowledgement it has forgotten.
        let from = self.marks.borrow().first_missing(&login.device, gone.boot, gone.from);
        let outcome = self.once(&login, gone.receipt.place, || {
            let stored = self.shared.pipeline.accept_gap(&login, gone.boot, (from, gone.to));
            stored.map_err(|unavailable| pipeline::Refusal::from(unavailable).told())
        });
        port.port.borrow_mut().handle_stored(&gone.receipt, outcome);
    }

    fn once(
        &self,
        login: &Login,
        place: Place,
        store: impl FnOnce() -> Result<Position, Refusal>,
    ) -> Result<Option<Position>, Refusal> {
        let mut marks = self.marks.borrow_mut();
        if let Some(position) = marks.known(&login.device, place) {
            self.shared.serial.duplicates.fetch_add(1, Ordering::Relaxed);
            return Ok(position);
        }
        let position = store()?;
        self.has_news.set(true);
        marks.note(&login.device, place, Some(position));
        Ok(Some(position))
    }
}

/// The topic of what a board measures.
const TOPIC: &str = "telemetry";

async fn send(port: &OpenPort, stream: &mut SerialStream) -> io::Result<()> {
    let mut out = Vec::new();
    port.port.borrow_mut().poll_transmit(&mut out);
    if out.is_empty() {
        return Ok(());
    }
    port.is_sending.set(true);
    // Whoever does not take it for so long will have to ask again.
    let sent = tokio::time::timeout(SEND_MAX, stream.write_all(&out)).await;
    port.is_sending.set(false);
    sent.unwrap_or(Ok(()))
}

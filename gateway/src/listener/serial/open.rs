use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use tokio::sync::Notify;

use super::{Counters, Mode, PortState};
use crate::{
    auth::{KeyOffer, Login, Registry},
    clock::Millis,
    listener::worker::Shared,
    session::serial::{Limits, LinkId, Port},
    spool::Durable,
};

/// A port that is open.
pub(super) struct OpenPort {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) port: RefCell<Port>,
    /// Who is at the other end of each link.
    pub(super) parties: RefCell<HashMap<LinkId, Party>>,
    /// There is something to send.
    pub(super) has_said: Notify,
    /// What was shown last.
    shown: RefCell<Option<PortState>>,
    /// Something is on its way to the port.
    pub(super) is_sending: Cell<bool>,
}

/// Who is at the other end.
pub(super) struct Party {
    pub(super) device: String,
    pub(super) hardware: String,
    pub(super) standing: Standing,
}

pub(super) enum Standing {
    /// Says so.
    Claims(Box<KeyOffer>),
    /// Has proven it.
    Is(Login),
}

impl OpenPort {
    pub(super) fn new(name: String, mode: Mode, limits: Limits) -> Self {
        Self {
            name,
            mode,
            port: RefCell::new(Port::new(limits)),
            parties: RefCell::default(),
            has_said: Notify::new(),
            shown: RefCell::default(),
            is_sending: Cell::new(false),
        }
    }

    pub(super) fn settle(&self, durable: &Durable) {
        let mut port = self.port.borrow_mut();
        port.handle_durable(durable);
        if port.has_unsent() {
            self.has_said.notify_one();
        }
    }

    /// Whether a device waits for an acknowledgement.
    pub(super) fn is_owed(&self) -> bool {
        self.port.borrow().pending() > 0 || self.is_sending.get()
    }

    pub(super) fn login(&self, link: LinkId) -> Option<Login> {
        match &self.parties.borrow().get(&link)?.standing {
            Standing::Is(login) => Some(login.clone()),
            Standing::Claims(_) => None,
        }
    }

    /// Ends the links whose login is no more.
    pub(super) fn revoke(&self, registry: &Registry) {
        let mut port = self.port.borrow_mut();
        self.parties.borrow_mut().retain(|link, party| match &party.standing {
            Standing::Is(login) if !registry.is_current(login) => {
                tracing::debug!(port = %self.name, device = %party.device, "serial link ended: its login is no more");
                port.close(*link);
                false
            }
            _ => true,
        });
    }

    pub(super) fn tick(&self, shared: &Shared, (now_ms, wall_ms): (Millis, Millis)) {
        let mut port = self.port.borrow_mut();
        port.handle_timeout(now_ms, wall_ms);
        shared.serial.add(port.take_counts());
        self.parties.borrow_mut().retain(|link, _| port.holds(*link));
        if port.has_unsent() {
            self.has_said.notify_one();
        }
        drop(port);
        self.show(&shared.serial);
    }

    /// Tells `status` who is here.
    pub(super) fn show(&self, counters: &Counters) {
        let parties = self.parties.borrow();
        let linked = parties.values().filter(|party| matches!(party.standing, Standing::Is(_)));
        let mut devices: Vec<_> = linked.map(|party| party.device.clone()).collect();
        devices.sort_unstable();
        devices.dedup();
        let (path, mode) = (self.name.clone(), self.mode);
        let state = PortState { path, mode, devices, trouble: String::new() };
        if self.shown.borrow().as_ref() != Some(&state) {
            counters.set_port(state.clone());
            *self.shown.borrow_mut() = Some(state);
        }
    }
}

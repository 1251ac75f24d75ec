use std::rc::Rc;

use crate::{
    auth::{Login, Registry},
    clock::Millis,
    recent::Recent,
    session::coap::Options,
};

/// Options of requests that one worker remembers the login of.
const PROVED_MAX: usize = 16_384;

/// Who has proved who it is with which options, so that a device's secret is not hashed with each of its requests.
///
/// A device that asks in the same words is the same one for as long as nothing changes in the registry: with the next
/// change of any login each has to prove itself anew. A person's password is not in here, since it is remembered for a
/// time of its own.
pub(super) struct Proved(Recent<Proof>);

struct Proof {
    login: Rc<Login>,
    /// [`Registry::changes`] before the look.
    changes: u64,
}

impl Proved {
    pub(super) fn new() -> Self {
        Self(Recent::new(PROVED_MAX))
    }

    pub(super) fn find(&mut self, options: &Options, registry: &Registry) -> Option<Rc<Login>> {
        let proof = self.0.get_mut(options.number)?;
        (proof.changes == registry.changes()).then(|| Rc::clone(&proof.login))
    }

    /// Remembers `login`; `changes` is [`Registry::changes`] before it was looked at. Whether it may be remembered.
    pub(super) fn note(
        &mut self,
        options: &Options,
        login: &Rc<Login>,
        registry: &Registry,
        changes: u64,
    ) -> bool {
        let may_be = registry.has_secret(&login.user);
        if may_be {
            self.0.insert(options.number, Proof { login: Rc::clone(login), changes });
        }
        may_be
    }

    pub(super) fn handle_timeout(&mut self, now_ms: Millis) {
        self.0.handle_timeout(now_ms);
    }
}

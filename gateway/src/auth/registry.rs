//! The owner of all logins.

use core::net::IpAddr;
use std::{path::Path, sync::Arc};

use tidegate_protocol::DeviceId;

use super::{
    login::{Attempt, Login},
    store::{OpenError, StoreError},
};

/// Limits of a [`Registry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Logins in all.
    pub logins_max: usize,
    /// Devices whose last reject and times are kept.
    pub notes_max: usize,
    /// Changes remembered one by one for [`Registry::changed_since`].
    pub changes_max: usize,
    /// Persons' passwords being checked or waiting for it.
    pub person_checks_max: usize,
    /// Persons' passwords hashed at the same moment, 19 MiB each.
    pub person_hashes_max: usize,
    /// Persons remembered as verified.
    pub verified_persons_max: usize,
    /// How long a person is remembered as verified.
    pub verified_ms_max: u64,
}

/// The device registry; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<()>,
}

/// What changed since a change number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The change number this goes up to; ask from here next time.
    pub upto: u64,
    /// The users changed, or `None` when there were too many to remember: look at every session.
    pub users: Option<Vec<Arc<str>>>,
}

/// A person's password to be checked.
#[derive(Debug)]
pub struct PersonCheck {}

impl PersonCheck {
    /// Hashes and compares; `None` is [`Attempt::Refused`]. Blocks for tens of milliseconds or more.
    #[must_use]
    pub fn verify(self) -> Option<Login> {
        unimplemented!()
    }
}

impl Registry {
    /// Opens `state.db` at `path`, or makes it with mode 0600, and reads all logins.
    ///
    /// # Errors
    /// [`OpenError`] says what stands in the way.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, Limits::default())
    }

    /// [`Registry::open`] with other limits.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn open_with(path: &Path, limits: Limits) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// Counts the gateway's starts: returns a number, from 1, that was never returned before, durably.
    ///
    /// # Errors
    /// [`StoreError`]: fatal.
    pub fn begin_boot(&self) -> Result<u32, StoreError> {
        unimplemented!()
    }

    /// Checks a user name and password. Never blocks on the disk or another thread's change; about 1 µs for machine-made
    /// secrets. `client_id` names the device where the login serves a group.
    ///
    /// A session looks at [`Registry::is_current`] once it can be found by whoever closes revoked sessions, since a
    /// change may come between.
    #[must_use]
    pub fn authenticate(&self, user: &str, password: &[u8], client_id: &str, now_ms: u64) -> Attempt {
        unimplemented!()
    }

    /// Lets somebody in without a password, where the owner has switched that on: only from a loopback `peer`, only as
    /// a device that has no login. The device is `user`, or else `client_id`.
    #[must_use]
    pub fn authenticate_anonymous(&self, peer: IpAddr, user: Option<&str>, client_id: &str) -> Attempt {
        unimplemented!()
    }

    /// Whether `login` still holds: not disabled, removed or changed since it was authenticated. No lock.
    #[must_use]
    pub fn is_current(&self, login: &Login) -> bool {
        unimplemented!()
    }

    /// The change number: moves after every change of any login. One atomic load.
    #[must_use]
    pub fn changes(&self) -> u64 {
        unimplemented!()
    }

    /// Which users changed after change number `seen`.
    #[must_use]
    pub fn changed_since(&self, seen: u64) -> Changes {
        unimplemented!()
    }

    /// Registers `wake`, called after every change on the thread that made it; it should only wake somebody.
    pub fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) {
        unimplemented!()
    }

    /// Notes that `device` was heard of. For once a session, not once a message.
    pub fn note_seen(&self, device: &DeviceId, wall_ms: u64) {
        unimplemented!()
    }

    /// Notes the last reject of `device` and why.
    pub fn note_reject(&self, device: &DeviceId, reason: &str, wall_ms: u64) {
        unimplemented!()
    }

    /// Notes a refused login of `user`, if there is a login of that name; others are not worth the room.
    pub fn note_refused(&self, user: &str, reason: &str, wall_ms: u64) {
        unimplemented!()
    }

    /// Notes that `device` published with `qos`. For the first message of each QoS in a session, not for every one.
    pub fn note_qos(&self, device: &DeviceId, qos: u8, wall_ms: u64) {
        unimplemented!()
    }

    /// Devices that publish with QoS 0 only, so that nothing is promised to them, by name, at most `count_max`.
    #[must_use]
    pub fn qos0_only(&self, count_max: usize) -> Vec<DeviceId> {
        unimplemented!()
    }

    /// Logins in all.
    #[must_use]
    pub fn login_count(&self) -> usize {
        unimplemented!()
    }

    /// Writes what was noted to `state.db`. Blocks on the disk; for every few seconds and at the end.
    ///
    /// # Errors
    /// [`StoreError`]: fatal.
    pub fn flush(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// What made `state.db` unusable, if anything has: the process is to end.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        unimplemented!()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            logins_max: 100_000,
            notes_max: 100_000,
            changes_max: 1_024,
            person_checks_max: 64,
            person_hashes_max: 2,
            verified_persons_max: 256,
            verified_ms_max: 600_000,
        }
    }
}

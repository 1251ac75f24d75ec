//! The owner of all logins: the snapshot that is read, the database that is written, and what ties them.

use core::net::IpAddr;
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tidegate_protocol::DeviceId;

use super::{
    changes::{ChangeLog, Changes},
    command::{DeviceDetail, DeviceError, LIST_PAGE_MAX, LoginDetail},
    credentials::{Credential, CredentialKind, MakeError, PASSWORD_LEN_MAX},
    login::{Attempt, Login},
    notes::Notes,
    person::Persons,
    snapshot::Snapshot,
    store::{OpenError, Store, StoreError},
};

/// Limits of a [`Registry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Logins in all.
    pub logins_max: usize,
    /// Logins that serve a group.
    pub groups_max: usize,
    /// Filters one login may be given to publish by, and as many to subscribe by.
    pub filters_max: usize,
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
///
/// Reading ([`Registry::authenticate`], [`Registry::is_current`]) takes no lock that a change holds. Changing
/// ([`super::apply`]) and [`Registry::flush`] block on the disk. A change is in `state.db` before it is in
/// the snapshot, and in the snapshot before [`Registry::changes`] moves.
#[derive(Clone)]
pub struct Registry {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) limits: Limits,
    pub(super) snapshot: ArcSwap<Snapshot>,
    /// Whoever holds it may change logins. Taken before `notes` where both are held.
    store: Mutex<Store>,
    notes: Mutex<Notes>,
    pub(super) log: ChangeLog,
    persons: Arc<Persons>,
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
        let random = |error: MakeError| OpenError::Io {
            path: path.to_owned(),
            source: std::io::Error::other(format!("the system's random source failed: {error}")),
        };
        let store = Store::open(path)?;
        let stored = store.read(limits.notes_max)?;
        let decoy = Credential::decoy().map_err(random)?;
        let inner = Inner {
            limits,
            snapshot: ArcSwap::from_pointee(Snapshot::new(stored.logins, stored.generation, decoy)),
            store: Mutex::new(store),
            notes: Mutex::new(Notes::new(limits.notes_max, stored.notes)),
            log: ChangeLog::new(limits.changes_max),
            persons: Arc::new(Persons::new(limits).map_err(random)?),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Counts the gateway's starts: returns a number, from 1, that was never returned before, durably.
    ///
    /// # Errors
    /// [`StoreError`], which a start does not survive.
    pub fn begin_boot(&self) -> Result<u32, StoreError> {
        self.store().begin_boot()
    }

    /// Checks a user name and password. Never waits for the disk or for a change; about 1 µs for machine-made
    /// secrets. An unknown user takes as long as a known one and gets the same answer; a person's login takes
    /// longer.
    ///
    /// A session looks at [`Registry::is_current`] again once it can be found by whoever closes revoked
    /// sessions, since a change may come between.
    #[must_use]
    pub fn authenticate(&self, user: &str, password: &[u8], client_id: &str, now_ms: u64) -> Attempt {
        if password.len() > PASSWORD_LEN_MAX {
            return Attempt::Refused;
        }
        let snapshot = self.inner.snapshot.load();
        let Some(entry) = snapshot.get(user) else {
            let _: bool = std::hint::black_box(snapshot.decoy().verify(password));
            return Attempt::Refused;
        };
        let login = snapshot.login(entry, client_id);
        let right = match entry.credential.kind() {
            CredentialKind::Secret => entry.credential.verify(password),
            CredentialKind::Password => {
                let persons = &self.inner.persons;
                if !persons.remembers(entry, password, now_ms) {
                    let check = persons.check(entry, login, password, now_ms);
                    return check.map_or(Attempt::Busy, Attempt::Person);
                }
                true
            }
        };
        login.filter(|_| right).map_or(Attempt::Refused, Attempt::Accepted)
    }

    /// Lets somebody in without a password, where the owner has switched that on: only from a loopback
    /// `peer`, and only as a device for which there is no login, its own or a group's. The device is `user`,
    /// or else `client_id`.
    #[must_use]
    pub fn authenticate_anonymous(&self, peer: IpAddr, user: Option<&str>, client_id: &str) -> Attempt {
        let name = user.unwrap_or(client_id);
        self.inner.snapshot.load().anonymous(peer, name).map_or(Attempt::Refused, Attempt::Accepted)
    }

    /// Whether `login` still holds: not disabled, removed or changed since it was authenticated. No lock.
    #[must_use]
    pub fn is_current(&self, login: &Login) -> bool {
        self.inner.snapshot.load().holds(login)
    }

    /// Whether `user` proves itself with a machine-made secret, which holds until the login changes; a person's password
    /// is remembered for a time. No lock.
    #[must_use]
    pub fn has_secret(&self, user: &str) -> bool {
        let snapshot = self.inner.snapshot.load();
        snapshot.get(user).is_some_and(|entry| entry.credential.kind() == CredentialKind::Secret)
    }

    /// Whether there is a login named `name`, whatever its role and whether it is let in or not. For whoever
    /// refuses a client id that is another login's name. No lock.
    #[must_use]
    pub fn is_login(&self, name: &str) -> bool {
        self.inner.snapshot.load().get(name).is_some()
    }

    /// Whether `device` has a login of its own that is disabled: then nobody publishes on its behalf either.
    /// For whoever is given a [`super::Publish`] whose device is not the login's own.
    #[must_use]
    pub fn is_disabled(&self, device: &DeviceId) -> bool {
        self.inner.snapshot.load().get(device.as_str()).is_some_and(|entry| !entry.enabled)
    }

    /// The change number: moves after every change of any login. One atomic load.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.inner.log.number()
    }

    /// Which users changed after change number `seen`. A login that was added counts too, since it ends the
    /// sessions of a group or anonymous device of that name; so look at sessions whose user *or device* is
    /// named, and ask [`Registry::is_current`].
    #[must_use]
    pub fn changed_since(&self, seen: u64) -> Changes {
        self.inner.log.since(seen)
    }

    /// Registers `wake`, called after every change on the thread that made it; it should only wake somebody.
    pub fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.inner.log.on_change(wake);
    }

    /// Notes that `device` was heard of. For once a session, not once a message.
    pub fn note_seen(&self, device: &DeviceId, wall_ms: u64) {
        self.notes().seen(device, wall_ms);
    }

    /// Notes the last reject of what `device` published, and why.
    pub fn note_reject(&self, device: &DeviceId, reason: &str, wall_ms: u64) {
        self.notes().reject(device, reason, wall_ms);
    }

    /// Why somebody who says to be `user` was refused, for the owner: `"disabled"`, `"client id outside the
    /// group"` or `"wrong password"`, the first that holds. Never for the wire, which has one answer for all.
    #[must_use]
    pub fn refusal_cause(&self, user: &str, client_id: &str) -> &'static str {
        self.inner.snapshot.load().refusal_cause(user, client_id)
    }

    /// Notes a refused login of `user`, if there is a login of that name; others are not worth the room. The
    /// last reject of what the device published stays beside it: anybody can have a login refused.
    pub fn note_refused(&self, user: &str, reason: &str, wall_ms: u64) {
        if let Some(entry) = self.inner.snapshot.load().get(user) {
            self.notes().refused(&entry.device, reason, wall_ms);
        }
    }

    /// Notes that `device` published with `qos`. For the first message of each QoS in a session, not for
    /// every one.
    pub fn note_qos(&self, device: &DeviceId, qos: u8, wall_ms: u64) {
        self.notes().qos(device, qos, wall_ms);
    }

    /// Devices that publish with QoS 0 only, so that nothing is promised to them, by name, at most
    /// `count_max`.
    #[must_use]
    pub fn qos0_only(&self, count_max: usize) -> Vec<DeviceId> {
        let notes = self.notes();
        let mut devices: Vec<_> =
            notes.iter().filter(|(_, n)| n.qos0_only()).map(|(d, _)| d.clone()).collect();
        devices.sort_unstable();
        devices.truncate(count_max);
        devices
    }

    /// Logins in all.
    #[must_use]
    pub fn login_count(&self) -> usize {
        self.inner.snapshot.load().count()
    }

    /// A page of logins by name, after `after`, and whether there are more. At most [`LIST_PAGE_MAX`].
    #[must_use]
    pub fn list(&self, after: Option<&str>, count_max: u32) -> (Vec<LoginDetail>, bool) {
        let count_max = usize::try_from(count_max.clamp(1, LIST_PAGE_MAX)).unwrap_or(usize::MAX);
        self.inner.snapshot.load().page(after, count_max)
    }

    /// Everything known about a login, or about a device that came through a group, another device, or
    /// anonymously.
    ///
    /// # Errors
    /// [`DeviceError::Unknown`] when nothing is.
    pub fn show(&self, id: &str) -> Result<DeviceDetail, DeviceError> {
        let unknown = || DeviceError::Unknown(id.to_owned());
        let device = DeviceId::new(id).map_err(|_| unknown())?;
        let login = self.inner.snapshot.load().get(id).map(|entry| entry.detail());
        let note = self.notes().get(&device).cloned();
        if login.is_none() && note.is_none() {
            return Err(unknown());
        }
        let note = note.unwrap_or_default();
        let (seen_ms, qos0_only) = (note.seen_ms, note.qos0_only());
        let (last_reject, last_refused) = (note.reject, note.refused);
        Ok(DeviceDetail { id: id.to_owned(), login, seen_ms, last_reject, last_refused, qos0_only })
    }

    /// Writes what was noted to `state.db`. Blocks on the disk; for every few seconds and at the end.
    ///
    /// # Errors
    /// [`StoreError`]; what was noted stays noted and is tried again by the next call.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut store = self.store();
        let dirty = self.notes().take_dirty();
        if dirty.is_empty() {
            return store.failure().map_or(Ok(()), |failure| Err(failure.clone()));
        }
        let written = store.write_notes(&dirty, self.inner.limits.notes_max);
        if written.is_err() {
            self.notes().keep_dirty(&dirty);
        }
        written
    }

    /// What made `state.db` unusable, if anything has: the process is to end. Waits for a change under way.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.store().failure().cloned()
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.inner.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("logins", &self.login_count()).finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            logins_max: 100_000,
            groups_max: 256,
            filters_max: 32,
            notes_max: 100_000,
            changes_max: 1_024,
            person_checks_max: 64,
            person_hashes_max: 2,
            verified_persons_max: 256,
            verified_ms_max: 600_000,
        }
    }
}

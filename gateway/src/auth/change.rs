//! Changes of logins: checked against the snapshot, written whole, then seen by everybody at once.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard},
};

use tidegate_protocol::DeviceId;

use super::{
    acl::{self, Rights},
    command::{AddedDevice, DeviceError, NewDevice, PasswordText},
    credentials::{Credential, MakeError, PASSWORD_LEN_MAX, PASSWORD_LEN_MIN},
    login::Role,
    registry::{Limits, Registry},
    snapshot::{Entry, Snapshot},
    store::Store,
};

/// A change under way. Holding it keeps others from changing what it was checked against.
pub(super) struct Change<'a> {
    registry: &'a Registry,
    store: MutexGuard<'a, Store>,
    pub(super) before: Arc<Snapshot>,
    /// The number of this change.
    pub(super) generation: u64,
}

impl Registry {
    /// Adds one login. Its secret is in the answer and nowhere else. Hashes a password first, which takes
    /// tens of milliseconds.
    ///
    /// # Errors
    /// [`DeviceError`]; nothing has changed then.
    pub fn add(&self, new: NewDevice, wall_ms: u64) -> Result<AddedDevice, DeviceError> {
        let limits = &self.inner.limits;
        let device = new_id(&new.id)?;
        check_rights(&new, limits)?;
        let (credential, secret) = make_credential(new.password.as_ref())?;
        let change = self.begin_change();
        change.check_room(1, limits)?;
        if change.before.get(&new.id).is_some() {
            return Err(DeviceError::Exists(new.id));
        }
        if let Some(prefix) = &new.group {
            change.check_group(prefix, limits)?;
        }
        let entry = Entry {
            user: new.id.as_str().into(),
            device,
            role: new.role,
            rights: Arc::new(Rights { publish: new.publish, subscribe: new.subscribe }),
            credential,
            enabled: true,
            created_ms: wall_ms,
            group: new.group.map(Into::into),
            generation: change.generation,
        };
        change.finish(vec![entry], Vec::new())?;
        Ok(AddedDevice { id: new.id, secret })
    }

    /// Adds the devices `{prefix}1` … `{prefix}{count}` in one transaction.
    ///
    /// # Errors
    /// [`DeviceError`]; no device has been added then.
    pub fn add_many(&self, prefix: &str, count: u32, wall_ms: u64) -> Result<Vec<AddedDevice>, DeviceError> {
        let change = self.begin_change();
        change.check_room(usize::try_from(count).unwrap_or(usize::MAX), &self.inner.limits)?;
        let rights = Arc::new(Rights::default());
        let (mut entries, mut added) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let id = format!("{prefix}{number}");
            let device = new_id(&id)?;
            if change.before.get(&id).is_some() {
                return Err(DeviceError::Exists(id));
            }
            let (credential, secret) = make_credential(None)?;
            entries.push(Entry {
                user: id.as_str().into(),
                device,
                role: Role::Device,
                rights: rights.clone(),
                credential,
                enabled: true,
                created_ms: wall_ms,
                group: None,
                generation: change.generation,
            });
            added.push(AddedDevice { id, secret });
        }
        change.finish(entries, Vec::new())?;
        Ok(added)
    }

    /// Gives a login a new machine-made secret. The old one, and sessions that used it, end at once.
    ///
    /// # Errors
    /// [`DeviceError`]; nothing has changed then.
    pub fn rotate(&self, id: &str) -> Result<AddedDevice, DeviceError> {
        let (credential, secret) = make_credential(None)?;
        let change = self.begin_change();
        let entry = change.existing(id)?;
        let entry = Entry { credential, generation: change.generation, ..entry.as_ref().clone() };
        change.finish(vec![entry], Vec::new())?;
        Ok(AddedDevice { id: id.to_owned(), secret })
    }

    /// Refuses these logins from now on and ends their sessions; returns how many were enabled. A device of a group
    /// has no login: one is added for it that is disabled and that nobody has the secret of.
    ///
    /// # Errors
    /// [`DeviceError`]; nothing has changed then.
    pub fn disable(&self, ids: &[String], wall_ms: u64) -> Result<u32, DeviceError> {
        let change = self.begin_change();
        let (mut entries, mut barred) = (Vec::new(), 0);
        for id in once_each(ids) {
            match change.before.get(id) {
                Some(entry) if !entry.enabled => {}
                Some(entry) => entries.push(change.switched(entry, false)),
                None if change.before.is_of_group(id) => {
                    barred += 1;
                    entries.push(change.barred(id, wall_ms)?);
                }
                None => return Err(DeviceError::Unknown(id.clone())),
            }
        }
        change.check_room(barred, &self.inner.limits)?;
        let count = count_of(&entries);
        change.finish(entries, Vec::new())?;
        Ok(count)
    }

    /// Lets these logins in again; returns how many were disabled. What kept a device out of its group goes.
    ///
    /// # Errors
    /// [`DeviceError`]; nothing has changed then.
    pub fn enable(&self, ids: &[String]) -> Result<u32, DeviceError> {
        let change = self.begin_change();
        let (mut entries, mut freed) = (Vec::new(), Vec::new());
        for id in once_each(ids) {
            match change.before.get(id) {
                Some(entry) if entry.credential.is_nobodys() => freed.push(entry.user.clone()),
                Some(entry) if !entry.enabled => entries.push(change.switched(entry, true)),
                Some(_) => {}
                None if change.before.is_of_group(id) => {}
                None => return Err(DeviceError::Unknown(id.clone())),
            }
        }
        let count = count_of(&entries).saturating_add(count_of(&freed));
        change.finish(entries, freed)?;
        Ok(count)
    }

    /// Forgets these logins and what was noted about them, and ends their sessions.
    ///
    /// # Errors
    /// [`DeviceError`]; nothing has changed then.
    pub fn remove(&self, ids: &[String]) -> Result<u32, DeviceError> {
        let change = self.begin_change();
        let mut removed = Vec::new();
        for id in ids {
            removed.push(change.existing(id)?.user.clone());
        }
        removed.sort_unstable();
        removed.dedup();
        let count = count_of(&removed);
        change.finish(Vec::new(), removed)?;
        Ok(count)
    }

    pub(super) fn begin_change(&self) -> Change<'_> {
        let store = self.store();
        let before = self.inner.snapshot.load_full();
        let generation = before.generation.saturating_add(1);
        Change { registry: self, store, before, generation }
    }
}

impl Change<'_> {
    fn existing(&self, id: &str) -> Result<&Arc<Entry>, DeviceError> {
        self.before.get(id).ok_or_else(|| DeviceError::Unknown(id.to_owned()))
    }

    fn switched(&self, entry: &Entry, enabled: bool) -> Entry {
        Entry { enabled, generation: self.generation, ..entry.clone() }
    }

    /// A login that keeps a device out of its group.
    fn barred(&self, id: &str, wall_ms: u64) -> Result<Entry, DeviceError> {
        Ok(Entry {
            user: id.into(),
            device: new_id(id)?,
            role: Role::Device,
            rights: Arc::default(),
            credential: Credential::nobodys(),
            enabled: false,
            created_ms: wall_ms,
            group: None,
            generation: self.generation,
        })
    }

    pub(super) fn check_room(&self, more: usize, limits: &Limits) -> Result<(), DeviceError> {
        if self.before.count().saturating_add(more) > limits.logins_max {
            return Err(DeviceError::TooMany { what: "logins", max: limits.logins_max });
        }
        Ok(())
    }

    /// Two groups share no device: neither prefix begins with the other.
    fn check_group(&self, prefix: &str, limits: &Limits) -> Result<(), DeviceError> {
        if self.before.groups().len() >= limits.groups_max {
            return Err(DeviceError::TooMany { what: "group logins", max: limits.groups_max });
        }
        for other in self.before.groups() {
            let theirs = other.group.as_deref().unwrap_or_default();
            if theirs.starts_with(prefix) || prefix.starts_with(theirs) {
                let text =
                    format!("group {prefix} would share devices with group {theirs} of login {}", other.user);
                return Err(DeviceError::Invalid(text));
            }
        }
        Ok(())
    }

    /// To the disk, then into the snapshot, then to the sessions.
    pub(super) fn finish(mut self, changed: Vec<Entry>, removed: Vec<Arc<str>>) -> Result<(), DeviceError> {
        if changed.is_empty() && removed.is_empty() {
            return Ok(());
        }
        let users: Vec<_> = changed.iter().map(|entry| entry.user.clone()).chain(removed.clone()).collect();
        self.store.change(&changed, &removed, self.generation)?;
        for user in &removed {
            if let Ok(device) = DeviceId::new(user) {
                self.registry.notes().remove(&device);
            }
        }
        let after = self.before.after(changed, &removed, self.generation);
        self.registry.inner.snapshot.store(Arc::new(after));
        // The next change may begin while the wakes are called.
        drop(self.store);
        self.registry.inner.log.record(users.into_iter());
        Ok(())
    }
}

pub(super) fn new_id(id: &str) -> Result<DeviceId, DeviceError> {
    if acl::is_reserved(id) {
        return Err(DeviceError::Invalid(format!("{id} is a word that topics of all devices begin with")));
    }
    DeviceId::new(id).map_err(|error| DeviceError::Invalid(format!("{id:?} cannot be a name: {error}")))
}

pub(super) fn check_rights(new: &NewDevice, limits: &Limits) -> Result<(), DeviceError> {
    let invalid = |text: &str| Err(DeviceError::Invalid(text.to_owned()));
    if new.publish.len() > limits.filters_max || new.subscribe.len() > limits.filters_max {
        return Err(DeviceError::TooMany { what: "filters of one login", max: limits.filters_max });
    }
    match new.role {
        Role::Device if !new.publish.is_empty() || !new.subscribe.is_empty() => {
            return invalid(
                "a device's rights follow from its name: filters are for the roles application and client",
            );
        }
        Role::Application if !new.publish.is_empty() => {
            return invalid("an application publishes nothing: use the role client");
        }
        Role::Application if new.subscribe.is_empty() => {
            return invalid("an application needs at least one filter to subscribe to");
        }
        Role::Client if new.publish.is_empty() && new.subscribe.is_empty() => {
            return invalid("a client needs at least one filter to publish or subscribe by");
        }
        Role::Device | Role::Application | Role::Client => {}
    }
    let Some(prefix) = &new.group else { return Ok(()) };
    if new.role != Role::Device {
        return invalid("only a login of the role device can serve a group");
    }
    match DeviceId::new(prefix) {
        Ok(_) => Ok(()),
        Err(error) => Err(DeviceError::Invalid(format!("{prefix:?} cannot begin a device's name: {error}"))),
    }
}

/// Of a person's password, or of a machine-made secret, which is returned with it.
fn make_credential(password: Option<&PasswordText>) -> Result<(Credential, Option<String>), DeviceError> {
    let random = |error: MakeError| DeviceError::Random(error.to_string());
    let Some(PasswordText(password)) = password else {
        let (credential, secret) = Credential::make_secret().map_err(random)?;
        return Ok((credential, Some(secret)));
    };
    if password.len() > PASSWORD_LEN_MAX || password.chars().count() < PASSWORD_LEN_MIN {
        let text = format!("a password has {PASSWORD_LEN_MIN} characters to {PASSWORD_LEN_MAX} bytes");
        return Err(DeviceError::Invalid(text));
    }
    Ok((Credential::from_password(password.as_bytes()).map_err(random)?, None))
}

fn once_each(ids: &[String]) -> BTreeSet<&String> {
    ids.iter().collect()
}

fn count_of<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

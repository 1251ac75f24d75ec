//! All logins at one moment, never changed once made: what authentication reads without a lock. Pure.

use core::net::IpAddr;
use std::{collections::HashMap, sync::Arc};

use tidegate_protocol::{DEVICE_ID_LEN_MAX, DeviceId};

use super::{
    acl::{self, Rights},
    command::LoginDetail,
    credentials::Credential,
    login::{Login, Origin, Role},
};

/// One login as stored.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) user: Arc<str>,
    /// The user name as a device id, which it always is.
    pub(super) device: DeviceId,
    pub(super) role: Role,
    pub(super) rights: Arc<Rights>,
    pub(super) credential: Credential,
    pub(super) enabled: bool,
    pub(super) created_ms: u64,
    /// What the ids of its devices begin with, if it serves a group.
    pub(super) group: Option<Box<str>>,
    /// The number of the change that made it this way; unique in the life of a `state.db`, even to a login
    /// that is removed and added again.
    pub(super) generation: u64,
}

/// All logins.
#[derive(Clone)]
pub(super) struct Snapshot {
    logins: HashMap<Arc<str>, Arc<Entry>>,
    /// Those of them that serve a group.
    groups: Vec<Arc<Entry>>,
    /// Compared with where there is no such login.
    decoy: Credential,
    /// The number of the last change.
    pub(super) generation: u64,
}

impl Snapshot {
    pub(super) fn new(entries: Vec<Entry>, generation: u64, decoy: Credential) -> Self {
        let mut snapshot = Self { logins: HashMap::new(), groups: Vec::new(), decoy, generation };
        snapshot.replace(entries, &[]);
        snapshot
    }

    /// The snapshot after a change: `removed` are gone, `changed` are new or in place of what they were.
    pub(super) fn after(&self, changed: Vec<Entry>, removed: &[Arc<str>], generation: u64) -> Self {
        let mut next = self.clone();
        next.generation = generation;
        next.replace(changed, removed);
        next
    }

    fn replace(&mut self, changed: Vec<Entry>, removed: &[Arc<str>]) {
        for user in removed {
            self.logins.remove(user);
        }
        self.logins.extend(changed.into_iter().map(|entry| (entry.user.clone(), Arc::new(entry))));
        self.groups = self.logins.values().filter(|entry| entry.group.is_some()).cloned().collect();
    }

    pub(super) fn get(&self, user: &str) -> Option<&Arc<Entry>> {
        // A longer name is no login; looking it up would only hash what somebody chose to send.
        if user.len() <= DEVICE_ID_LEN_MAX { self.logins.get(user) } else { None }
    }

    pub(super) fn decoy(&self) -> &Credential {
        &self.decoy
    }

    pub(super) fn count(&self) -> usize {
        self.logins.len()
    }

    pub(super) fn groups(&self) -> &[Arc<Entry>] {
        &self.groups
    }

    /// A page of logins by name, after `after`, and whether there are more.
    pub(super) fn page(&self, after: Option<&str>, count_max: usize) -> (Vec<LoginDetail>, bool) {
        let later = |entry: &&Arc<Entry>| after.is_none_or(|after| &*entry.user > after);
        let mut entries: Vec<_> = self.logins.values().filter(later).collect();
        entries.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        let page = entries.iter().take(count_max).map(|entry| entry.detail()).collect();
        (page, entries.len() > count_max)
    }

    /// The login of `entry` on a connection with this client id. `None` when it is disabled or, for a group,
    /// when the client id is no device of the group or a device with a login of its own.
    pub(super) fn login(&self, entry: &Entry, client_id: &str) -> Option<Login> {
        if !entry.enabled {
            return None;
        }
        let (device, origin) = match entry.group.as_deref() {
            None => (entry.device.clone(), Origin::Own),
            Some(prefix) => (self.group_device(prefix, client_id)?, Origin::Group),
        };
        let (user, rights) = (entry.user.clone(), entry.rights.clone());
        Some(Login { user, device, role: entry.role, rights, generation: entry.generation, origin })
    }

    /// See [`super::Registry::refusal_cause`].
    pub(super) fn refusal_cause(&self, user: &str, client_id: &str) -> &'static str {
        let Some(entry) = self.get(user) else { return "wrong password" };
        match entry.group.as_deref() {
            _ if !entry.enabled => "disabled",
            Some(prefix) if self.group_device(prefix, client_id).is_none() => "client id outside the group",
            _ => "wrong password",
        }
    }

    fn group_device(&self, prefix: &str, client_id: &str) -> Option<DeviceId> {
        let device = DeviceId::new(client_id).ok()?;
        let allowed =
            client_id.starts_with(prefix) && !acl::is_reserved(client_id) && self.get(client_id).is_none();
        allowed.then_some(device)
    }

    /// The login of somebody who gave no password; see [`super::Registry::authenticate_anonymous`].
    pub(super) fn anonymous(&self, peer: IpAddr, name: &str) -> Option<Login> {
        let device = DeviceId::new(name).ok()?;
        let allowed = peer.to_canonical().is_loopback() && !acl::is_reserved(name) && !self.is_claimed(name);
        allowed.then(|| Login {
            user: name.into(),
            device,
            role: Role::Device,
            rights: Arc::default(),
            generation: 0,
            origin: Origin::Anonymous,
        })
    }

    /// Whether `login` would be made again, the same.
    pub(super) fn holds(&self, login: &Login) -> bool {
        let unchanged =
            || self.get(&login.user).is_some_and(|e| e.enabled && e.generation == login.generation);
        match login.origin {
            Origin::Own => unchanged(),
            Origin::Group => unchanged() && self.get(login.device.as_str()).is_none(),
            Origin::Anonymous => !self.is_claimed(login.device.as_str()),
        }
    }

    /// Whether `device` comes through the login of a group.
    pub(super) fn is_of_group(&self, device: &str) -> bool {
        self.groups.iter().any(|entry| entry.group.as_deref().is_some_and(|p| device.starts_with(p)))
    }

    /// Whether a login exists for the device, its own or a group's.
    fn is_claimed(&self, device: &str) -> bool {
        self.get(device).is_some() || self.is_of_group(device)
    }
}

impl Entry {
    pub(super) fn detail(&self) -> LoginDetail {
        LoginDetail {
            id: self.user.as_ref().to_owned(),
            role: self.role,
            credential: self.credential.kind(),
            enabled: self.enabled,
            created_ms: self.created_ms,
            group: self.group.as_deref().map(str::to_owned),
            publish: self.rights.publish.clone(),
            subscribe: self.rights.subscribe.clone(),
        }
    }
}

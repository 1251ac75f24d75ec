//! Changes and questions about devices, the same whether they come from the command line or the control
//! socket.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    credentials::CredentialKind, filter::Filter, import::ImportedLogin, login::Role, registry::Registry,
    store::StoreError,
};

/// What an operator asks of the registry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeviceCommand {
    /// Add one login.
    Add(Box<NewDevice>),
    /// Add `{prefix}1` … `{prefix}{count}`, all or none, each with a machine-made secret and the role
    /// `device`.
    AddMany {
        /// How many.
        count: u32,
        /// What their ids begin with.
        prefix: String,
    },
    /// Add logins from elsewhere, all or none.
    Import {
        /// Each with the hash of its secret or password.
        logins: Vec<ImportedLogin>,
        /// Topics the clients among them may publish to.
        #[serde(default)]
        publish: Vec<Filter>,
        /// Filters the applications and clients among them may subscribe to.
        #[serde(default)]
        subscribe: Vec<Filter>,
    },
    /// A page of logins by name.
    List {
        /// Only names after this one.
        after: Option<String>,
        /// At most this many, and at most [`LIST_PAGE_MAX`].
        count_max: u32,
    },
    /// One login or device in full.
    Show {
        /// Its name.
        id: String,
    },
    /// Make a new machine-made secret; the old one ends at once.
    Rotate {
        /// Its name.
        id: String,
    },
    /// Refuse these logins and close their sessions, all or none. A device that comes through a group's login is
    /// kept out of it.
    Disable {
        /// Their names.
        ids: Vec<String>,
    },
    /// Let these logins, and devices of a group, in again, all or none.
    Enable {
        /// Their names.
        ids: Vec<String>,
    },
    /// Forget these logins and close their sessions, all or none.
    Remove {
        /// Their names.
        ids: Vec<String>,
    },
}

/// Logins in the longest page of a list.
pub const LIST_PAGE_MAX: u32 = 1_000;

/// A login to add.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// User name, and device id unless it is a group.
    pub id: String,
    /// What kind of party it is.
    pub role: Role,
    /// Topics it may publish to (role `client`).
    #[serde(default)]
    pub publish: Vec<Filter>,
    /// Filters it may subscribe to (roles `application` and `client`).
    #[serde(default)]
    pub subscribe: Vec<Filter>,
    /// A person's password instead of a machine-made secret.
    #[serde(default)]
    pub password: Option<PasswordText>,
    /// The login serves all devices whose MQTT client id begins with this.
    #[serde(default)]
    pub group: Option<String>,
}

/// A password on its way to being hashed; its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordText(pub String);

impl fmt::Debug for PasswordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordText(…)")
    }
}

/// What the registry answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceAnswer {
    /// Added or rotated, with the secrets, which nobody can read again.
    Added(Vec<AddedDevice>),
    /// A page of logins.
    Page {
        /// In the order of their names.
        logins: Vec<LoginDetail>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// One in full.
    Shown(Box<DeviceDetail>),
    /// So many logins changed; those that were so already are not counted.
    Changed(u32),
}

/// A login that was just added.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedDevice {
    /// Its name.
    pub id: String,
    /// Its machine-made secret; none when a person's password was given.
    pub secret: Option<String>,
}

impl fmt::Debug for AddedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddedDevice").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A login as stored, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginDetail {
    /// User name.
    pub id: String,
    /// What kind of party it is.
    pub role: Role,
    /// What it proves itself with.
    pub credential: CredentialKind,
    /// Whether it is let in.
    pub enabled: bool,
    /// When it was added, Unix ms.
    pub created_ms: u64,
    /// For a group login, what its devices' ids begin with.
    pub group: Option<String>,
    /// Topics it may publish to.
    pub publish: Vec<Filter>,
    /// Filters it may subscribe to.
    pub subscribe: Vec<Filter>,
}

/// Everything known about a device or login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDetail {
    /// Its name.
    pub id: String,
    /// Its own login; none for a device that comes through a group login, another device, or anonymously.
    pub login: Option<LoginDetail>,
    /// When it was last heard of, Unix ms.
    pub seen_ms: Option<u64>,
    /// What was last rejected of what it published, and why.
    pub last_reject: Option<LastReject>,
    /// The last login refused under its name, and why; it need not have been the device that tried.
    #[serde(default)]
    pub last_refused: Option<LastReject>,
    /// It has published with QoS 0 and never with an acknowledgement, so nothing is promised to it.
    pub qos0_only: bool,
}

/// The last thing rejected from a device, or refused to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReject {
    /// Why, in words for people.
    pub reason: String,
    /// When, Unix ms.
    pub at_ms: u64,
}

/// Why a command about devices was not carried out; nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is a login of that name.
    #[error("{0} exists already")]
    Exists(String),
    /// There is no login or device of that name.
    #[error("no device or login is named {0}")]
    Unknown(String),
    /// The command asks for something that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A limit is reached.
    #[error("{what}: at most {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The system gave no random numbers.
    #[error("the system's random source failed: {0}")]
    Random(String),
    /// `state.db` cannot be written: fatal for a running gateway.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries out `command`. Blocks: on the disk, and for a password on its hash (tens of milliseconds).
///
/// # Errors
/// [`DeviceError`]; nothing has changed then.
pub fn apply(registry: &Registry, command: DeviceCommand, wall_ms: u64) -> Result<DeviceAnswer, DeviceError> {
    match command {
        DeviceCommand::Add(new) => Ok(DeviceAnswer::Added(vec![registry.add(*new, wall_ms)?])),
        DeviceCommand::AddMany { count, prefix } => {
            registry.add_many(&prefix, count, wall_ms).map(DeviceAnswer::Added)
        }
        DeviceCommand::Import { logins, publish, subscribe } => {
            registry.import(logins, &publish, &subscribe, wall_ms).map(DeviceAnswer::Changed)
        }
        DeviceCommand::List { after, count_max } => {
            let (logins, more) = registry.list(after.as_deref(), count_max);
            Ok(DeviceAnswer::Page { logins, more })
        }
        DeviceCommand::Show { id } => registry.show(&id).map(|detail| DeviceAnswer::Shown(Box::new(detail))),
        DeviceCommand::Rotate { id } => Ok(DeviceAnswer::Added(vec![registry.rotate(&id)?])),
        DeviceCommand::Disable { ids } => registry.disable(&ids, wall_ms).map(DeviceAnswer::Changed),
        DeviceCommand::Enable { ids } => registry.enable(&ids).map(DeviceAnswer::Changed),
        DeviceCommand::Remove { ids } => registry.remove(&ids).map(DeviceAnswer::Changed),
    }
}

//! What an authenticated connection is: the login, the device it speaks as, and its role.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use tidegate_protocol::DeviceId;

use super::{
    acl::{self, Denied, Publish, Rights},
    person::PersonCheck,
};

/// What kind of party a login is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Publishes as itself and reads its own tree.
    Device,
    /// Subscribes to the filters it was given and publishes nothing.
    Application,
    /// Publishes and subscribes by explicit filters; may publish on behalf of other devices where granted.
    Client,
}

/// Somebody who proved who it is. Made only by [`super::Registry`].
#[derive(Clone, Debug)]
pub struct Login {
    /// The user name that was authenticated.
    pub user: Arc<str>,
    /// The device this connection speaks as: the user itself, or for a group login the MQTT client id.
    pub device: DeviceId,
    /// What kind of party it is.
    pub role: Role,
    /// The filters it was given.
    pub rights: Arc<Rights>,
    /// The login's generation; any change of the login makes a higher one.
    pub(super) generation: u64,
    /// How the login came about, which decides what ends it.
    pub(super) origin: Origin,
}

/// How a login came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A login of its own.
    Own,
    /// A member of a group login.
    Group,
    /// Let in without a password.
    Anonymous,
}

/// What came of a user name and a password.
#[derive(Debug)]
pub enum Attempt {
    /// Right.
    Accepted(Login),
    /// Wrong user, wrong password, disabled, or a client id the login may not use: one answer for all.
    Refused,
    /// A person's password: run [`PersonCheck::verify`], which takes tens of milliseconds, off the runtime.
    Person(PersonCheck),
    /// [`super::Limits::person_checks_max`] passwords are being checked already: the party may try again.
    Busy,
}

impl Login {
    /// Whether this login may publish to `topic`, and if so as which device and under which topic.
    ///
    /// # Errors
    /// [`Denied`] with the reason.
    pub fn may_publish<'a>(&self, topic: &'a str) -> Result<Publish<'a>, Denied> {
        acl::may_publish(self.role, &self.device, &self.rights, topic)
    }

    /// Whether this login may subscribe to `filter`.
    #[must_use]
    pub fn may_subscribe(&self, filter: &str) -> bool {
        acl::may_subscribe(self.role, &self.device, &self.rights, filter)
    }
}

impl Role {
    /// The role's word on the command line and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Application => "application",
            Self::Client => "client",
        }
    }

    /// The role a word means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Device, Self::Application, Self::Client].into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

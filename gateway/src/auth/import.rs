//! Logins that come from elsewhere, all or none: their credentials are hashed before they reach the registry.

use std::{collections::HashSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    acl::Rights,
    change::{check_rights, new_id},
    command::{DeviceError, NewDevice},
    credentials::{Credential, CredentialKind, PASSWORD_LEN_MAX, SECRET_BITS, hexadecimal},
    filter::Filter,
    login::Role,
    mosquitto::MosquittoHash,
    registry::Registry,
    snapshot::Entry,
};

/// A login to import; its rights are those of the whole import.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedLogin {
    /// User name and device id.
    pub id: String,
    /// What kind of party it is.
    pub role: Role,
    /// What it proves itself with.
    pub credential: HashedCredential,
}

/// A credential of which only the hash is known. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedCredential {
    kind: CredentialKind,
    /// Hexadecimal; empty for a password.
    salt: String,
    /// Hexadecimal for a secret, text for a password.
    hash: String,
}

impl fmt::Debug for HashedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashedCredential").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl HashedCredential {
    /// Whether `text` looks like a secret of `tidegate device add`: it cannot be guessed, so one round of HMAC is
    /// enough. Anything else is taken for a person's password.
    #[must_use]
    pub fn is_secret(text: &str) -> bool {
        text.len() == SECRET_BITS / 4 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    }

    /// Hashes a secret or password in clear. Blocks for tens of milliseconds for what is no
    /// [machine-made secret](HashedCredential::is_secret).
    ///
    /// # Errors
    /// What is wrong with it, in words for people.
    pub fn of_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > PASSWORD_LEN_MAX {
            return Err(format!("a secret has 1 to {PASSWORD_LEN_MAX} bytes"));
        }
        let made = if Self::is_secret(text) {
            Credential::from_secret(text)
        } else {
            Credential::from_password(text.as_bytes())
        };
        made.map(|credential| Self::of(&credential)).map_err(|error| error.to_string())
    }

    /// Takes a hash of `mosquitto_passwd` as it is.
    ///
    /// # Errors
    /// What is wrong with it, in words for people.
    pub fn of_mosquitto(text: &str) -> Result<Self, &'static str> {
        MosquittoHash::read(text).map(|hash| Self::of(&Credential::Mosquitto(hash)))
    }

    /// Whether it can be tried out quickly by whoever gets at it: a password that was hashed in one round.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        matches!(self.credential(), Some(Credential::Mosquitto(hash)) if hash.is_weak())
    }

    fn of(credential: &Credential) -> Self {
        let kind = credential.kind();
        let (salt, hash) = credential.stored();
        let hash = match kind {
            CredentialKind::Secret => hexadecimal(hash),
            CredentialKind::Password => String::from_utf8_lossy(hash).into_owned(),
        };
        Self { kind, salt: hexadecimal(salt), hash }
    }

    fn credential(&self) -> Option<Credential> {
        let hash = match self.kind {
            CredentialKind::Secret => bytes(&self.hash)?,
            CredentialKind::Password => self.hash.clone().into_bytes(),
        };
        Credential::from_stored(self.kind, &bytes(&self.salt)?, &hash)
    }
}

impl Registry {
    /// Adds all `logins`, or none. `publish` and `subscribe` are the rights of those that are no devices. Returns how
    /// many there were.
    ///
    /// # Errors
    /// [`DeviceError`]; nothing has changed then.
    pub fn import(
        &self,
        logins: Vec<ImportedLogin>,
        publish: &[Filter],
        subscribe: &[Filter],
        wall_ms: u64,
    ) -> Result<u32, DeviceError> {
        let limits = &self.inner.limits;
        let change = self.begin_change();
        change.check_room(logins.len(), limits)?;
        let (mut entries, mut seen) = (Vec::with_capacity(logins.len()), HashSet::new());
        for ImportedLogin { id, role, credential } in logins {
            if change.before.get(&id).is_some() || !seen.insert(id.clone()) {
                return Err(DeviceError::Exists(id));
            }
            let (publish, subscribe) = match role {
                Role::Device => (Vec::new(), Vec::new()),
                Role::Application => (Vec::new(), subscribe.to_vec()),
                Role::Client => (publish.to_vec(), subscribe.to_vec()),
            };
            let new = NewDevice { id, role, publish, subscribe, password: None, group: None };
            let device = new_id(&new.id)?;
            check_rights(&new, limits)?;
            let wrong = || DeviceError::Invalid(format!("the credential of {} cannot be read", new.id));
            let credential = credential.credential().ok_or_else(wrong)?;
            entries.push(Entry {
                user: new.id.as_str().into(),
                device,
                role,
                rights: Arc::new(Rights { publish: new.publish, subscribe: new.subscribe }),
                credential,
                enabled: true,
                created_ms: wall_ms,
                group: None,
                generation: change.generation,
            });
        }
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        change.finish(entries, Vec::new())?;
        Ok(count)
    }
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    hexadecimal.as_bytes().chunks(2).map(pair).collect()
}

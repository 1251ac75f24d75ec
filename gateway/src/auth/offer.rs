//! What a device is challenged with that proves itself by a tag and not by sending its secret.

use std::fmt;

use super::{credentials::Credential, login::Login, registry::Registry};

/// A login that is given to whoever proves to know the secret behind it.
pub struct KeyOffer {
    salt: [u8; 16],
    hash: [u8; 32],
    login: Login,
}

impl Registry {
    /// What `user` has to prove: to know HMAC-SHA-256 of its secret under the salt, which the registry keeps in place
    /// of the secret. None where there is no such login, it is shut out, or has a person's password, of which only a
    /// slow hash is kept. A login of a group has no secret of one device's own, so there is none either.
    #[must_use]
    pub fn offer_key(&self, user: &str) -> Option<KeyOffer> {
        let snapshot = self.inner.snapshot.load();
        let entry = snapshot.get(user).filter(|entry| entry.group.is_none())?;
        let login = snapshot.login(entry, user)?;
        match entry.credential {
            Credential::Secret { salt, hash, .. } if !entry.credential.is_nobodys() => {
                Some(KeyOffer { salt, hash, login })
            }
            Credential::Secret { .. } | Credential::Password { .. } | Credential::Mosquitto(_) => None,
        }
    }
}

impl KeyOffer {
    /// The salt, which may be told.
    #[must_use]
    pub fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// What both sides know, which may not.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        self.hash
    }

    /// The login, for who has proven to know [`Self::key`].
    #[must_use]
    pub fn proven(self) -> Login {
        self.login
    }
}

impl fmt::Debug for KeyOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOffer").field("login", &self.login).finish_non_exhaustive()
    }
}

//! Secrets: made, hashed and compared. Pure but for the random numbers.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use hmac::{Hmac, KeyInit as _, Mac as _, digest::Key};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::mosquitto::MosquittoHash;

/// Bits of randomness in a machine-made secret.
pub const SECRET_BITS: usize = 128;
/// Bytes in the longest password or secret that is looked at; a longer one is wrong.
pub const PASSWORD_LEN_MAX: usize = 256;
/// Characters in the shortest password a person may choose.
pub const PASSWORD_LEN_MIN: usize = 8;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// RFC 9106's second choice scaled to what OWASP calls the least for argon2id: 19 MiB, two passes, one lane.
const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
const ARGON2_PASSES: u32 = 2;
const ARGON2_LANES: u32 = 1;

/// What a login proves itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// A machine-made secret of 128 bits, kept as salted HMAC-SHA-256.
    Secret,
    /// A person's password, kept as argon2id, or as mosquitto hashed it.
    Password,
}

/// A secret as stored. Neither form gives the secret back.
#[derive(Clone)]
pub(super) enum Credential {
    /// HMAC-SHA-256 of a machine-made secret under a salt of the login's own. One round is enough, since 128
    /// random bits cannot be tried out.
    Secret {
        /// The key of the HMAC.
        salt: [u8; SALT_BYTES],
        /// The HMAC.
        hash: [u8; HASH_BYTES],
        /// The HMAC when it has taken its key and nothing else: CoAP proves a secret with each request.
        keyed: Hmac<Sha256>,
    },
    /// A person's password as an argon2id string in PHC form.
    Password {
        /// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
        phc: Box<str>,
    },
    /// A password that mosquitto hashed.
    Mosquitto(MosquittoHash),
}

/// The system gave no random numbers, or the hash function refused its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct MakeError(pub(super) String);

impl Credential {
    /// Makes a secret and what to store of it. The secret is hexadecimal, so that it survives shells, CSV and
    /// menus.
    pub(super) fn make_secret() -> Result<(Self, String), MakeError> {
        let secret = hexadecimal(&random::<{ SECRET_BITS / 8 }>()?);
        Ok((Self::from_secret(&secret)?, secret))
    }

    /// What to store of a person's password. Takes as long as [`Credential::verify`].
    pub(super) fn from_password(password: &[u8]) -> Result<Self, MakeError> {
        let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None)
            .map_err(|error| MakeError(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash: PasswordHash =
            argon2.hash_password(password).map_err(|error| MakeError(error.to_string()))?;
        Ok(Self::Password { phc: hash.to_string().into() })
    }

    /// A secret nobody has, to compare with where there is no login: the answer then takes as long.
    pub(super) fn decoy() -> Result<Self, MakeError> {
        Ok(Self::secret(random()?, random()?))
    }

    /// What to store of a secret that exists already and has 128 random bits.
    pub(super) fn from_secret(secret: &str) -> Result<Self, MakeError> {
        let salt = random::<SALT_BYTES>()?;
        Ok(Self::secret(salt, hmac(&salt, &[secret.as_bytes()])))
    }

    fn secret(salt: [u8; SALT_BYTES], hash: [u8; HASH_BYTES]) -> Self {
        // A key shorter than a block is filled up with zeros (RFC 2104, 2).
        let mut key = Key::<Hmac<Sha256>>::default();
        key.iter_mut().zip(salt).for_each(|(byte, salt)| *byte = salt);
        Self::Secret { salt, hash, keyed: Hmac::new(&key) }
    }

    /// A secret that nobody has, recognised again: it keeps a device of a group out, which has no login of its own.
    pub(super) fn nobodys() -> Self {
        Self::secret([0; SALT_BYTES], [0; HASH_BYTES])
    }

    /// Whether it is [`Credential::nobodys`].
    pub(super) fn is_nobodys(&self) -> bool {
        matches!(self, Self::Secret { salt, hash, .. } if salt.iter().chain(hash).all(|byte| *byte == 0))
    }

    /// Reads the stored form back; `None` when it is no such form.
    pub(super) fn from_stored(kind: CredentialKind, salt: &[u8], hash: &[u8]) -> Option<Self> {
        match kind {
            CredentialKind::Secret => Some(Self::secret(salt.try_into().ok()?, hash.try_into().ok()?)),
            CredentialKind::Password => {
                let phc = std::str::from_utf8(hash).ok()?;
                if MosquittoHash::is_meant(phc) {
                    return MosquittoHash::read(phc).ok().map(Self::Mosquitto);
                }
                PasswordHash::new(phc).ok()?;
                Some(Self::Password { phc: phc.into() })
            }
        }
    }

    /// Salt and hash as stored.
    pub(super) fn stored(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Secret { salt, hash, .. } => (salt, hash),
            Self::Password { phc } => (&[], phc.as_bytes()),
            Self::Mosquitto(hash) => (&[], hash.as_str().as_bytes()),
        }
    }

    pub(super) fn kind(&self) -> CredentialKind {
        match self {
            Self::Secret { .. } => CredentialKind::Secret,
            Self::Password { .. } | Self::Mosquitto(_) => CredentialKind::Password,
        }
    }

    /// Whether `password` is right: constant time for a secret, tens of milliseconds and 19 MiB for a
    /// password.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Secret { hash, keyed, .. } => {
                let made = keyed.clone().chain_update(password).finalize().into_bytes();
                made.as_slice().ct_eq(hash).into()
            }
            Self::Password { phc } => Argon2::default().verify_password(password, &**phc).is_ok(),
            Self::Mosquitto(hash) => hash.verify(password),
        }
    }
}

impl CredentialKind {
    /// The kind's word in lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Password => "password",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Secret, Self::Password].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// HMAC-SHA-256 (RFC 2104) of `parts` one after the other.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    // A key of any length is taken (RFC 2104, 2), so the error cannot come; a zero key would merely not
    // match.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; HASH_BYTES] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// `N` random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], MakeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| MakeError(error.to_string()))?;
    Ok(bytes)
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .filter_map(|d| char::from_digit(d.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_128_bits_and_only_it_is_right() {
        let (credential, secret) = Credential::make_secret().unwrap();
        assert_eq!(secret.len() * 4, SECRET_BITS);
        assert!(credential.verify(secret.as_bytes()));
        assert!(!credential.verify(b""));
        assert!(!credential.verify(secret.to_uppercase().replace(char::is_alphabetic, "x").as_bytes()));
        assert!(!credential.verify(&secret.as_bytes()[1..]));
    }

    #[test]
    fn equal_secrets_have_different_salts_and_hashes() {
        let made: Vec<_> = (0..50).map(|_| Credential::make_secret().unwrap()).collect();
        for (i, (one, secret)) in made.iter().enumerate() {
            for (other, other_secret) in &made[i + 1..] {
                assert_ne!(one.stored(), other.stored());
                assert_ne!(one.stored().0, other.stored().0);
                assert_ne!(secret, other_secret);
            }
        }
    }

    #[test]
    fn the_stored_form_reads_back_and_wrong_forms_do_not() {
        let (credential, secret) = Credential::make_secret().unwrap();
        let (salt, hash) = credential.stored();
        assert!(!hash.windows(4).any(|w| secret.as_bytes().starts_with(w)));
        let read = Credential::from_stored(CredentialKind::Secret, salt, hash).unwrap();
        assert!(read.verify(secret.as_bytes()));
        assert!(Credential::from_stored(CredentialKind::Secret, &salt[1..], hash).is_none());
        assert!(Credential::from_stored(CredentialKind::Secret, salt, &hash[1..]).is_none());
        assert!(Credential::from_stored(CredentialKind::Password, &[], b"secret").is_none());
        assert!(Credential::from_stored(CredentialKind::Password, &[], &[0xff, 0xfe]).is_none());
    }

    #[test]
    fn a_password_is_kept_as_argon2id_of_19_mib() {
        let credential = Credential::from_password("Grünkohl 7".as_bytes()).unwrap();
        let (_, hash) = credential.stored();
        let phc = std::str::from_utf8(hash).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let read = Credential::from_stored(CredentialKind::Password, &[], hash).unwrap();
        assert!(read.verify("Grünkohl 7".as_bytes()));
        assert!(!read.verify(b"Gruenkohl 7"));
    }

    #[test]
    fn the_decoy_is_never_right() {
        let decoy = Credential::decoy().unwrap();
        assert!(!decoy.verify(b"") && !decoy.verify(b"secret"));
    }

    #[test]
    fn hmac_gives_the_published_vector() {
        // RFC 4231, test case 2.
        let mac = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hexadecimal(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}

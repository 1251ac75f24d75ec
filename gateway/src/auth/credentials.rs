//! Secrets: made, hashed and compared. Pure but for the random numbers.

use serde::{Deserialize, Serialize};

/// What a login proves itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// A machine-made secret of 128 bits, kept as salted HMAC-SHA-256.
    Secret,
    /// A person's password, kept as argon2id.
    Password,
}

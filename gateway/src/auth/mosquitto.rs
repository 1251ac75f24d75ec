//! Password hashes as `mosquitto_passwd` makes them, so that devices keep the passwords they have. Pure.
//!
//! `$7$ITERATIONS$SALT$HASH` (mosquitto 2.0) is PBKDF2-HMAC-SHA-512 (RFC 8018 section 5.2); `$6$SALT$HASH` (before it)
//! is SHA-512 of password and salt, one behind the other. Salt and hash are base64 (RFC 4648 section 4).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;

const HASH_BYTES: usize = 64;
/// Bytes in the longest salt.
pub(super) const SALT_BYTES_MAX: usize = 64;
/// Most iterations: a second or so of a small computer. mosquitto 2.0 makes 101.
pub(super) const ITERATIONS_MAX: u32 = 500_000;

/// A hash that was read, with the text it was read from.
#[derive(Clone)]
pub(super) struct MosquittoHash {
    text: Box<str>,
    /// None for the old form.
    iterations: Option<u32>,
    salt: Box<[u8]>,
    hash: [u8; HASH_BYTES],
}

impl MosquittoHash {
    /// Whether `text` is meant to be such a hash.
    pub(super) fn is_meant(text: &str) -> bool {
        text.starts_with("$6$") || text.starts_with("$7$")
    }

    /// Reads a hash; the error says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let fields: Vec<_> = text.split('$').collect();
        let (iterations, salt, hash) = match fields.as_slice() {
            ["", "6", salt, hash] => (None, salt, hash),
            ["", "7", iterations, salt, hash] => {
                let iterations = iterations.parse().map_err(|_| "the number of iterations is no number")?;
                (Some(iterations), salt, hash)
            }
            _ => return Err("no hash of mosquitto_passwd: these begin with $7$ or $6$"),
        };
        if iterations.is_some_and(|iterations| !(1..=ITERATIONS_MAX).contains(&iterations)) {
            return Err("the number of iterations is not 1 to 500000");
        }
        let salt = STANDARD.decode(salt).map_err(|_| "the salt is no base64")?;
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err("the salt has not 1 to 64 bytes");
        }
        let hash = STANDARD.decode(hash).ok().and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or("the hash is not 64 bytes in base64")?;
        Ok(Self { text: text.into(), iterations, salt: salt.into(), hash })
    }

    /// The hash as it was read.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it was made in one round, which is quick to try out.
    pub(super) fn is_weak(&self) -> bool {
        self.iterations.is_none()
    }

    /// Whether `password` is right. Takes as long as the iterations take.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let hash = match self.iterations {
            Some(iterations) => {
                let mut hash = [0; HASH_BYTES];
                pbkdf2_hmac::<Sha512>(password, &self.salt, iterations, &mut hash);
                hash
            }
            None => Sha512::new().chain_update(password).chain_update(&self.salt).finalize().into(),
        };
        hash.ct_eq(&self.hash).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by mosquitto_passwd 2.0.11: `-b` with the password `correct horse`.
    const NEW: &str = "$7$101$sx87XZi33oxTJr1w$iWK9J0k4BEuFLOZbnB2Xnj6/aIMS7WM+YPyM9N9rzupD+vMcWvY9pFgUFlgAeffnl2qxBc5bxZwhi7slVETREg==";
    /// The same with `-H sha512`.
    const OLD: &str = "$6$0xQvpKmZ3nIINazO$U9PKupI6qlEmOVcc3GxJjB0ieExBn7mHepiasiL4DRBah8p+6Qvqy0s+zyM0FTOOtr65He2wFMQM9NWdJBXCXQ==";

    #[test]
    fn the_password_that_was_hashed_is_right_and_no_other() {
        for text in [NEW, OLD] {
            let hash = MosquittoHash::read(text).unwrap();
            assert!(hash.verify(b"correct horse"), "{text}");
            for wrong in [&b""[..], b"correct horse ", b"correct hors", b"Correct horse"] {
                assert!(!hash.verify(wrong), "{text}");
            }
            assert_eq!((hash.as_str(), hash.is_weak()), (text, text == OLD));
        }
    }

    #[test]
    fn what_is_no_such_hash_is_refused_with_the_reason() {
        let (salt, hash) = OLD.strip_prefix("$6$").unwrap().split_once('$').unwrap();
        for (text, said) in [
            (String::new(), "begin with"),
            ("password".to_owned(), "begin with"),
            (format!("$5${salt}${hash}"), "begin with"),
            (format!("$6${salt}${hash}$"), "begin with"),
            (format!("$7$x${salt}${hash}"), "no number"),
            (format!("$7$0${salt}${hash}"), "not 1 to"),
            (format!("$6$!${hash}"), "salt is no"),
            (format!("$6$${hash}"), "salt has"),
            (format!("$6${salt}$"), "64 bytes"),
            (format!("$6${salt}$AAAA"), "64 bytes"),
        ] {
            let problem = MosquittoHash::read(&text).err().unwrap();
            assert!(problem.contains(said), "{text}: {problem}");
        }
    }

    #[test]
    fn salt_bytes_max_and_iterations_max_are_reached() {
        let (_, hash) = OLD.rsplit_once('$').unwrap();
        let is_read = |iterations: u32, salt: usize| {
            MosquittoHash::read(&format!("$7${iterations}${}${hash}", STANDARD.encode(vec![1; salt]))).is_ok()
        };
        assert!(is_read(ITERATIONS_MAX, SALT_BYTES_MAX));
        assert!(!is_read(ITERATIONS_MAX + 1, SALT_BYTES_MAX));
        assert!(!is_read(ITERATIONS_MAX, SALT_BYTES_MAX + 1));
    }
}

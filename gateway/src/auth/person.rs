//! Persons' passwords: checked slowly, so bounded in number, and remembered for a while once right.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use subtle::ConstantTimeEq as _;

use super::{
    credentials::{self, MakeError},
    login::Login,
    registry::Limits,
    snapshot::Entry,
};

/// What the checks of all persons share.
pub(super) struct Persons {
    limits: Limits,
    /// Of this process only, so that what is remembered is worth nothing outside it.
    key: [u8; 32],
    verified: Mutex<HashMap<Arc<str>, Verified>>,
    /// Checks handed out.
    outstanding: AtomicUsize,
    /// Hashes being computed, and a wake for the next.
    hashing: Mutex<usize>,
    hashed: Condvar,
}

/// A person whose password was right a short while ago.
struct Verified {
    mac: [u8; 32],
    generation: u64,
    until_ms: u64,
}

/// A person's password, to be checked off the runtime. Dropping it unchecked is allowed.
pub struct PersonCheck {
    persons: Arc<Persons>,
    entry: Arc<Entry>,
    /// What to answer if the password is right; `None` for a login that is refused all the same.
    login: Option<Login>,
    password: Box<[u8]>,
    now_ms: u64,
}

impl PersonCheck {
    /// Hashes and compares; `None` is what [`super::Attempt::Refused`] is. Blocks for tens of milliseconds,
    /// and longer while [`Limits::person_hashes_max`] others are being hashed.
    #[must_use]
    pub fn verify(mut self) -> Option<Login> {
        let right = {
            let _turn = Turn::take(&self.persons);
            self.entry.credential.verify(&self.password)
        };
        let login = self.login.take().filter(|_| right)?;
        self.persons.remember(&self.entry, &self.password, self.now_ms);
        Some(login)
    }
}

impl Drop for PersonCheck {
    fn drop(&mut self) {
        self.persons.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for PersonCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonCheck").field("user", &self.entry.user).finish_non_exhaustive()
    }
}

impl Persons {
    pub(super) fn new(limits: Limits) -> Result<Self, MakeError> {
        Ok(Self {
            limits,
            key: credentials::random()?,
            verified: Mutex::default(),
            outstanding: AtomicUsize::new(0),
            hashing: Mutex::new(0),
            hashed: Condvar::new(),
        })
    }

    /// A check of `password`, or `None` when [`Limits::person_checks_max`] are under way.
    pub(super) fn check(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        login: Option<Login>,
        password: &[u8],
        now_ms: u64,
    ) -> Option<PersonCheck> {
        let more = |count| (count < self.limits.person_checks_max).then_some(count + 1);
        self.outstanding.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let (persons, entry) = (self.clone(), entry.clone());
        Some(PersonCheck { persons, entry, login, password: password.into(), now_ms })
    }

    /// Whether this very password of this very login was right within [`Limits::verified_ms_max`].
    pub(super) fn remembers(&self, entry: &Entry, password: &[u8], now_ms: u64) -> bool {
        let mac = self.mac(entry, password);
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(&entry.user).is_some_and(|v| {
            v.generation == entry.generation && now_ms < v.until_ms && bool::from(v.mac.ct_eq(&mac))
        })
    }

    fn remember(&self, entry: &Entry, password: &[u8], now_ms: u64) {
        let mac = self.mac(entry, password);
        let until_ms = now_ms.saturating_add(self.limits.verified_ms_max);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= self.limits.verified_persons_max && !verified.contains_key(&entry.user) {
            let oldest = verified.iter().min_by_key(|(_, v)| v.until_ms).map(|(user, _)| user.clone());
            oldest.map(|user| verified.remove(&user));
        }
        if self.limits.verified_persons_max > 0 {
            verified.insert(entry.user.clone(), Verified { mac, generation: entry.generation, until_ms });
        }
    }

    fn mac(&self, entry: &Entry, password: &[u8]) -> [u8; 32] {
        // User names hold no NUL, so the two cannot run into each other.
        credentials::hmac(&self.key, &[entry.user.as_bytes(), &[0], password])
    }
}

/// One of the [`Limits::person_hashes_max`] places to compute a hash in, held until dropped.
struct Turn<'a>(&'a Persons);

impl<'a> Turn<'a> {
    fn take(persons: &'a Persons) -> Self {
        let busy = |hashing: &mut usize| *hashing >= persons.limits.person_hashes_max.max(1);
        let hashing = persons.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        *persons.hashed.wait_while(hashing, busy).unwrap_or_else(PoisonError::into_inner) += 1;
        Self(persons)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.hashing.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.hashed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn no_more_hash_at_once_than_the_limit() {
        let limits = Limits { person_hashes_max: 2, ..Limits::default() };
        let persons = Persons::new(limits).unwrap();
        let (running, highest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = Turn::take(&persons);
                    highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(5));
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(highest.load(Ordering::SeqCst), 2);
        assert_eq!(*persons.hashing.lock().unwrap(), 0);
    }
}

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use std::sync::Arc;

/// Which worker holds a connection, and which of its connections it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) worker: usize,
    pub(crate) connection: u64,
}

/// The client ids of all live sessions [MQTT-3.1.4-3]. Bounded by the connections that may exist.
#[derive(Debug, Default)]
pub struct Directory {
    live: Mutex<HashMap<Box<str>, Live>>,
}

#[derive(Debug)]
struct Live {
    place: Place,
    user: Arc<str>,
}

/// Another user holds this client id.
#[derive(Debug)]
pub(crate) struct HeldByAnother;

impl Directory {
    /// Gives `client_id` to `place`, and returns who held it before.
    pub(crate) fn claim(
        &self,
        client_id: &str,
        user: &Arc<str>,
        place: Place,
    ) -> Result<Option<Place>, HeldByAnother> {
        let mut live = self.lock();
        if let Some(entry) = live.get_mut(client_id) {
            if entry.user != *user {
                return Err(HeldByAnother);
            }
            return Ok(Some(std::mem::replace(&mut entry.place, place)));
        }
        live.insert(client_id.into(), Live { place, user: Arc::clone(user) });
        Ok(None)
    }

    /// Frees `client_id`, unless somebody else has taken it over.
    pub(crate) fn release(&self, client_id: &str, place: Place) {
        let mut live = self.lock();
        if live.get(client_id).is_some_and(|entry| entry.place == place) {
            live.remove(client_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_goes_to_the_newer_connection_of_the_same_user_only() {
        let directory = Directory::default();
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let (first, second) = (Place { worker: 0, connection: 1 }, Place { worker: 1, connection: 1 });
        assert_eq!(directory.claim("c", &ann, first).unwrap(), None);
        assert!(directory.claim("c", &bob, second).is_err());
        assert_eq!(directory.claim("c", &ann, second).unwrap(), Some(first));
        directory.release("c", first);
        assert!(directory.claim("c", &bob, first).is_err(), "the old holder cannot free it");
        directory.release("c", second);
        assert_eq!(directory.claim("c", &bob, first).unwrap(), None);
    }
}

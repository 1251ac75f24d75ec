use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Which worker holds a connection, and which of its connections it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) worker: usize,
    pub(crate) connection: u64,
}

/// The client ids of all live sessions [MQTT-3.1.4-3]. Bounded by the connections that may exist.
#[derive(Debug, Default)]
pub struct Directory {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    live: HashMap<Box<str>, Live>,
    /// Sessions of each login that has any.
    sessions: HashMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct Live {
    place: Place,
    user: Arc<str>,
}

/// Why a client id was not given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unclaimed {
    /// Another login holds it.
    HeldByAnother,
    /// The login has as many sessions as it may.
    TooMany,
}

impl Directory {
    /// Gives `client_id` to `place`, and returns who held it before. A login has `sessions_max` at most.
    pub(crate) fn claim(
        &self,
        client_id: &str,
        user: &Arc<str>,
        place: Place,
        sessions_max: usize,
    ) -> Result<Option<Place>, Unclaimed> {
        let mut books = self.lock();
        if let Some(entry) = books.live.get_mut(client_id) {
            if entry.user != *user {
                return Err(Unclaimed::HeldByAnother);
            }
            return Ok(Some(std::mem::replace(&mut entry.place, place)));
        }
        let sessions = books.sessions.entry(Arc::clone(user)).or_default();
        if *sessions >= sessions_max {
            return Err(Unclaimed::TooMany);
        }
        *sessions += 1;
        books.live.insert(client_id.into(), Live { place, user: Arc::clone(user) });
        Ok(None)
    }

    /// Frees `client_id`, unless somebody else has taken it over.
    pub(crate) fn release(&self, client_id: &str, place: Place) {
        let mut books = self.lock();
        if books.live.get(client_id).is_none_or(|entry| entry.place != place) {
            return;
        }
        let Some(Live { user, .. }) = books.live.remove(client_id) else { return };
        if let Some(sessions) = books.sessions.get_mut(&user) {
            *sessions = sessions.saturating_sub(1);
            if *sessions == 0 {
                books.sessions.remove(&user);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(directory.claim("c", &ann, first, 1), Ok(None));
        assert_eq!(directory.claim("c", &bob, second, 1), Err(Unclaimed::HeldByAnother));
        assert_eq!(directory.claim("c", &ann, second, 1), Ok(Some(first)));
        directory.release("c", first);
        assert!(directory.claim("c", &bob, first, 1).is_err(), "the old holder cannot free it");
        directory.release("c", second);
        assert_eq!(directory.claim("c", &bob, first, 1), Ok(None));
    }

    #[test]
    fn a_login_reaches_its_sessions_max_and_leaves_room_for_others() {
        let directory = Directory::default();
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let place = |connection| Place { worker: 0, connection };
        assert_eq!(directory.claim("a", &ann, place(1), 2), Ok(None));
        assert_eq!(directory.claim("b", &ann, place(2), 2), Ok(None));
        assert_eq!(directory.claim("c", &ann, place(3), 2), Err(Unclaimed::TooMany));
        assert_eq!(directory.claim("d", &bob, place(4), 2), Ok(None));
        directory.release("a", place(1));
        assert_eq!(directory.claim("c", &ann, place(3), 2), Ok(None));
    }
}

//! Boards without a name, and those whose owner has agreed to take them in.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    auth::{AddedDevice, DeviceError, NewDevice, Registry, Role},
    clock::Millis,
};

/// A board without a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// What the maker calls it.
    pub hardware: String,
    /// Which kind of board.
    pub model: String,
    /// Version of its firmware.
    pub firmware: String,
    /// The port it was heard on.
    pub port: String,
    /// When it was heard last, Unix milliseconds.
    pub heard_ms: Millis,
}

/// The name and the secret that a board is to keep.
#[derive(Clone)]
pub(super) struct Agreed {
    pub(super) device: String,
    pub(super) secret: String,
}

/// Why a board was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It was not heard.
    #[error("no board {0} asks for a name; tidegate adopt lists those that do")]
    Unheard(String),
    /// The registry refuses.
    #[error(transparent)]
    Registry(#[from] DeviceError),
    /// There is no secret to give.
    #[error("{0} has a person's password, which a board cannot use")]
    NoSecret(String),
}

/// What the listener and the owner know of boards without a name.
#[derive(Default)]
pub struct Adoptions {
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    announced: Vec<Announced>,
    agreed: HashMap<String, Agreed>,
}

impl Adoptions {
    /// Boards that ask for a name, the one heard last at the end.
    #[must_use]
    pub fn announced(&self) -> Vec<Announced> {
        self.books().announced.clone()
    }

    /// Takes the board `hardware` in as `device`: makes a login, or with `replace` gives the one there is a new secret,
    /// which the board gets as soon as it asks again.
    ///
    /// # Errors
    /// [`AdoptError`]; nothing has changed then.
    pub fn adopt(
        &self,
        registry: &Registry,
        (hardware, device): (&str, &str),
        replace: bool,
        wall_ms: Millis,
    ) -> Result<(), AdoptError> {
        if !self.books().announced.iter().any(|board| board.hardware == hardware) {
            return Err(AdoptError::Unheard(hardware.to_owned()));
        }
        let AddedDevice { id, secret } = if replace && registry.is_login(device) {
            registry.rotate(device)?
        } else {
            registry.add(new_device(device), wall_ms)?
        };
        let secret = secret.ok_or(AdoptError::NoSecret(id.clone()))?;
        self.books().agreed.insert(hardware.to_owned(), Agreed { device: id, secret });
        Ok(())
    }

    /// A board asks for a name: the one that its owner has agreed to, if so.
    pub(super) fn hear(&self, board: Announced, announced_max: usize) -> Option<Agreed> {
        let mut books = self.books();
        books.announced.retain(|held| held.hardware != board.hardware);
        if books.announced.len() >= announced_max.max(1) {
            books.announced.remove(0);
        }
        let agreed = books.agreed.get(&board.hardware).cloned();
        books.announced.push(board);
        agreed
    }

    /// A board has come in under its name.
    pub(super) fn arrived(&self, hardware: &str) {
        let mut books = self.books();
        books.announced.retain(|held| held.hardware != hardware);
        books.agreed.remove(hardware);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_device(device: &str) -> NewDevice {
    NewDevice {
        id: device.to_owned(),
        role: Role::Device,
        password: None,
        group: None,
        publish: Vec::new(),
        subscribe: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(hardware: &str, heard_ms: u64) -> Announced {
        Announced {
            hardware: hardware.to_owned(),
            model: "rp2040".to_owned(),
            firmware: "0.1.0".to_owned(),
            port: "/dev/ttyACM0".to_owned(),
            heard_ms,
        }
    }

    #[test]
    fn a_board_is_taken_in_when_its_owner_agrees_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().join("state.db")).unwrap();
        let adoptions = Adoptions::default();
        let adopt = |replace| adoptions.adopt(&registry, ("b1", "kitchen"), replace, 1);
        assert!(matches!(adopt(false), Err(AdoptError::Unheard(_))));
        assert!(adoptions.hear(board("b1", 1), 8).is_none());
        adopt(false).unwrap();
        let agreed = adoptions.hear(board("b1", 2), 8).unwrap();
        assert_eq!(agreed.device, "kitchen");
        assert!(registry.offer_key("kitchen").is_some());
        assert!(matches!(adopt(false), Err(AdoptError::Registry(DeviceError::Exists(_)))));
        adopt(true).unwrap();
        assert_ne!(adoptions.hear(board("b1", 3), 8).unwrap().secret, agreed.secret);
        adoptions.arrived("b1");
        assert!(adoptions.announced().is_empty() && adoptions.hear(board("b1", 4), 8).is_none());
    }

    #[test]
    fn one_board_more_than_the_limit_takes_the_place_of_the_oldest() {
        let adoptions = Adoptions::default();
        for (heard_ms, hardware) in (1..).zip(["a", "b", "a", "c"]) {
            adoptions.hear(board(hardware, heard_ms), 2);
        }
        let names: Vec<_> = adoptions.announced().into_iter().map(|board| board.hardware).collect();
        assert_eq!(names, ["a", "c"]);
    }
}

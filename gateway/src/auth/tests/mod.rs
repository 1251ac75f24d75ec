//! The registry as a whole: commands in, logins out.

mod commands;
mod persons;
mod registry;
mod revocation;

use std::path::Path;

use super::*;

const NOW_MS: u64 = 1_000;
const WALL_MS: u64 = 1_700_000_000_000;

/// A registry in a folder of its own, which goes with it.
struct Fixture {
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open_with(&folder.path().join("state.db"), limits).unwrap();
        Self { registry, folder }
    }

    /// Closes the registry and opens it again.
    fn reopened(self) -> Self {
        let Self { registry, folder } = self;
        drop(registry);
        let registry = Registry::open(&folder.path().join("state.db")).unwrap();
        Self { registry, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a device and returns its secret.
    fn add(&self, id: &str) -> String {
        self.registry.add(device(id), WALL_MS).unwrap().secret.unwrap()
    }

    fn login(&self, user: &str, secret: &str) -> Option<Login> {
        self.login_as(user, secret, "some client")
    }

    fn login_as(&self, user: &str, secret: &str, client_id: &str) -> Option<Login> {
        match self.registry.authenticate(user, secret.as_bytes(), client_id, NOW_MS) {
            Attempt::Accepted(login) => Some(login),
            Attempt::Refused => None,
            other => panic!("{other:?}"),
        }
    }
}

fn device(id: &str) -> NewDevice {
    NewDevice {
        id: id.to_owned(),
        role: Role::Device,
        publish: Vec::new(),
        subscribe: Vec::new(),
        password: None,
        group: None,
    }
}

fn group(id: &str, prefix: &str) -> NewDevice {
    NewDevice { group: Some(prefix.to_owned()), ..device(id) }
}

fn filters(texts: &[&str]) -> Vec<Filter> {
    texts.iter().map(|text| Filter::new(text).unwrap()).collect()
}

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

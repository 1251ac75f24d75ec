//! Alarms: a measurement that leaves its range, said once when it does and once when it is back.
//!
//! The service follows the durable records, and what it finds is itself a record of the `event` lane, so that every
//! output and subscriber gets it. It knows how far it has looked from a small file, written now and then; after a crash
//! it looks again at what came since, and leaves out what its own records say was told already. So each alarm is told
//! once, by a record that names the reading behind it.
//!
//! **Invariant:** it holds back no acknowledgement and no deletion, and what the gateway itself has said raises nothing.

mod progress;
mod record;
mod rules;
mod sentry;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use self::sentry::Sentry;
pub use self::{
    progress::FILE,
    record::{Alarm, CAUSE, TOPIC},
    rules::{AlarmConfig, AlarmError, Change, RAISED_DEVICES_MAX, RULES_MAX, State, Watch},
};
use crate::{core, listener::Shared, normalise::Routes};

/// Raised alarms that a status names; the rest is counted.
pub const NAMED_MAX: usize = 20;

/// How the alarms are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Raised at this moment.
    pub raised: u64,
    /// Device and alarm of the first [`NAMED_MAX`] of them.
    pub named: Vec<(String, String)>,
    /// Told as raised since the start.
    pub told_raised: u64,
    /// Told as cleared since the start.
    pub told_cleared: u64,
    /// Readings that should have raised an alarm for which there was no room.
    pub passed_over: u64,
}

impl Status {
    fn show(&mut self, watch: &Watch) {
        self.raised = u64::try_from(watch.raised().count()).unwrap_or(u64::MAX);
        let named = watch.raised().take(NAMED_MAX);
        self.named = named.map(|(device, alarm)| (device.to_string(), alarm.to_owned())).collect();
        self.passed_over = watch.passed_over();
    }
}

/// What others may know of the running service.
#[derive(Clone, Default)]
pub struct Handle {
    status: Arc<Mutex<Status>>,
}

impl Handle {
    /// How the alarms are.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What the service works with.
pub struct Parts {
    /// `[[alarm]]`.
    pub rules: Vec<AlarmConfig>,
    /// The data folder.
    pub data: PathBuf,
    /// The live bus.
    pub core: core::Handle,
    /// The way into the spool.
    pub shared: Arc<Shared>,
    /// The rules that say what a payload means.
    pub routes: Arc<ArcSwap<Routes>>,
}

/// The running service; without a rule, nothing runs.
pub struct Alarms {
    handle: Handle,
    stopping: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Alarms {
    /// Starts the service's thread.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(parts: Parts) -> io::Result<Self> {
        let (handle, stopping) = (Handle::default(), Arc::new(AtomicBool::new(false)));
        if parts.rules.is_empty() {
            forget(&parts.data);
            return Ok(Self { handle, stopping, thread: None });
        }
        let sentry = Sentry::new(parts, handle.clone(), Arc::clone(&stopping));
        let thread = thread::Builder::new().name("alarm".to_owned()).spawn(move || sentry.run())?;
        Ok(Self { handle, stopping, thread: Some(thread) })
    }

    /// For those who watch it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Looks at what is durable, a few seconds at most, and ends. What it has told is appended and not yet durable.
    ///
    /// # Errors
    /// The thread has panicked.
    pub fn stop(self) -> io::Result<()> {
        self.stopping.store(true, Ordering::Release);
        match self.thread {
            Some(thread) => thread.join().map_err(|_| io::Error::other("the alarms panicked")),
            None => Ok(()),
        }
    }
}

/// Whoever takes alarms out of the configuration and in again begins anew.
fn forget(data: &Path) {
    let path = data.join(FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "the progress of the alarms cannot be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::DeviceId;

    use super::*;

    #[test]
    fn a_status_names_the_first_and_counts_all() {
        let mut watch = Watch::new(&[AlarmConfig::temperature_high()], RAISED_DEVICES_MAX).unwrap();
        for number in 0..=NAMED_MAX {
            let device = DeviceId::new(&format!("sensor_{number}")).unwrap();
            assert!(watch.restore(&device, "temperature_high"));
        }
        let mut status = Status::default();
        status.show(&watch);
        assert_eq!((status.raised, status.named.len()), (21, NAMED_MAX));
    }
}

//! What of a configuration can change while the gateway runs.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use thiserror::Error;

use crate::{
    config::{Config, ConfigError, Overrides},
    logging::Log,
    normalise::{RouteError, Routes},
};

/// Where a configuration came from, and what it has changed in the process.
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What the command line changed.
    pub overrides: Overrides,
    /// The process's log, whose level the configuration may set.
    pub log: Log,
}

/// Reads the configuration again while the gateway runs. Routes and the log's level change at once; what a listener
/// or the spool was started with needs a restart.
pub struct Reloader {
    pub(super) source: Option<Source>,
    pub(super) routes: Arc<ArcSwap<Routes>>,
    /// What the gateway was started with.
    pub(super) started: Config,
}

/// Why a configuration was not taken; the old one stays in force.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// This gateway was started without a file.
    #[error("there is no configuration file to read again")]
    NoFile,
    /// The file is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its routes contradict themselves.
    #[error(transparent)]
    Routes(#[from] RouteError),
}

impl Reloader {
    /// Reads the file, checks it whole, and only then changes anything.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub fn reload(&self) -> Result<(), ReloadError> {
        let Source { path, overrides, log } = self.source.as_ref().ok_or(ReloadError::NoFile)?;
        let config = Config::load(path, *overrides)?;
        self.routes.store(Arc::new(Routes::compile(&config.routes)?));
        log.reload(config.log);
        for key in self.needs_restart(&config) {
            tracing::warn!(key, "this change is in force after a restart only");
        }
        Ok(())
    }

    /// The process's log; none where a gateway is part of another program.
    #[must_use]
    pub fn log(&self) -> Option<&Log> {
        self.source.as_ref().map(|source| &source.log)
    }

    /// The keys that differ from those that the gateway was started with and that it cannot change while it runs.
    fn needs_restart(&self, config: &Config) -> Vec<&'static str> {
        let old = &self.started;
        let changed = [
            ("data", old.data != config.data),
            ("lan", old.lan != config.lan),
            ("threads", old.threads != config.threads),
            ("anonymous", old.anonymous != config.anonymous),
            ("[spool]", old.spool != config.spool),
            ("[mqtt]", old.mqtt != config.mqtt),
            ("[coap]", old.coap != config.coap),
            ("[core]", old.core != config.core),
            ("[[alarm]]", old.alarms != config.alarms),
            ("[http]", old.http != config.http),
            ("[[output]]", old.outputs != config.outputs),
        ];
        changed.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key)).collect()
    }
}

//! Finding ports: those that are there, those that are plugged in later, and those that do not work.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use tokio_serial::SerialStream;

use super::{Mode, PortConfig, PortState, Serial, open::OpenPort};
use crate::clock::Millis;

/// How often a pattern is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The first rest of a port that could not be opened or broke.
const REST_MS_MIN: Millis = 500;
/// The longest.
const REST_MS_MAX: Millis = 15_000;
/// A port that worked for so long begins with the first rest again.
const WORKED_MS: Millis = 10_000;
/// Ports of one pattern; those beyond it are left alone.
pub(super) const PORTS_MAX: usize = 64;

/// Ports that are left alone for a while: until when, and for how long the next time.
pub(super) type Resting = HashMap<PathBuf, (Millis, Millis)>;

impl Serial {
    /// Opens what `config` finds, again and again.
    pub(super) async fn follow_port(self: Rc<Self>, config: PortConfig) {
        loop {
            for path in found(&config.path) {
                // Two names may be one port.
                let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                if self.is_free(&real) {
                    self.open_port(&config, &path, real);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn is_free(&self, real: &Path) -> bool {
        let rests = || {
            let until_ms = self.resting.borrow().get(real).map_or(0, |(until_ms, _)| *until_ms);
            until_ms > self.shared.clock.now_ms()
        };
        !self.is_stopping.get() && !self.open.borrow().contains_key(real) && !rests()
    }

    fn open_port(self: &Rc<Self>, config: &PortConfig, path: &Path, real: PathBuf) {
        let name = path.display().to_string();
        let stream = match SerialStream::open(&tokio_serial::new(name.clone(), config.baud)) {
            Ok(stream) => stream,
            Err(error) => {
                self.trouble(config, &name, &error.to_string());
                self.rest(real);
                return;
            }
        };
        tracing::info!(port = %name, baud = config.baud, "serial port open");
        let port = Rc::new(OpenPort::new(name, config.mode, self.config.limits));
        self.open.borrow_mut().insert(real.clone(), Rc::clone(&port));
        port.show(&self.shared.serial);
        let (serial, config) = (Rc::clone(self), config.clone());
        // Bounded by the ports that there are.
        tokio::task::spawn_local(async move {
            let since_ms = serial.shared.clock.now_ms();
            let error = match config.mode {
                Mode::Frames => serial.converse(&port, stream).await,
                Mode::Lines => serial.listen_to_lines(&port, &config, stream).await,
            };
            serial.open.borrow_mut().remove(&real);
            if serial.shared.clock.now_ms().saturating_sub(since_ms) >= WORKED_MS {
                serial.resting.borrow_mut().remove(&real);
            }
            if path_is_gone(&port.name) {
                tracing::info!(port = %port.name, "serial port unplugged");
                serial.shared.serial.remove_port(&port.name);
            } else {
                serial.trouble(&config, &port.name, &error.to_string());
            }
            serial.rest(real);
        });
    }

    /// Says once what is wrong with a port.
    fn trouble(&self, config: &PortConfig, path: &str, trouble: &str) {
        let counters = &self.shared.serial;
        if counters.ports().iter().any(|port| port.path == path && port.trouble == trouble) {
            return;
        }
        tracing::warn!(port = path, trouble, "a serial port does not work; it is tried again");
        counters.set_port(PortState {
            path: path.to_owned(),
            mode: config.mode,
            devices: Vec::new(),
            trouble: trouble.to_owned(),
        });
    }

    fn rest(&self, real: PathBuf) {
        let now_ms = self.shared.clock.now_ms();
        let mut resting = self.resting.borrow_mut();
        // Names of ports that were tried long ago.
        resting.retain(|_, (until_ms, _)| until_ms.saturating_add(REST_MS_MAX) > now_ms);
        let rest_ms = resting.get(&real).map_or(REST_MS_MIN, |(_, rest_ms)| *rest_ms);
        resting.insert(real, (now_ms.saturating_add(rest_ms), rest_ms.saturating_mul(2).min(REST_MS_MAX)));
    }
}

/// Ports that are there, in order.
fn found(pattern: &str) -> Vec<PathBuf> {
    // The pattern was checked with the configuration; a folder that cannot be read holds no ports.
    let paths = glob::glob(pattern).into_iter().flatten().filter_map(Result::ok);
    paths.take(PORTS_MAX).collect()
}

fn path_is_gone(path: &str) -> bool {
    !Path::new(path).exists()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pattern_finds_what_is_there_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for number in 0..PORTS_MAX + 3 {
            fs::write(path(&format!("ttyACM{number:03}")), "").unwrap();
        }
        fs::write(path("ttyS0"), "").unwrap();
        let pattern = |name: &str| found(path(name).to_str().unwrap());
        assert_eq!(pattern("ttyS0"), [path("ttyS0")]);
        assert_eq!(pattern("ttyS1"), Vec::<PathBuf>::new());
        assert_eq!(pattern("ttyACM*").len(), PORTS_MAX);
    }
}

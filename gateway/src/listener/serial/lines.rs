//! A port that prints lines. Nobody waits for an answer there: best effort.

use std::{io, net::Ipv4Addr, path::Path, sync::atomic::Ordering};

use tidegate_protocol::DeviceId;
use tokio::io::AsyncReadExt;
use tokio_serial::SerialStream;

use super::{PortConfig, Serial, open::OpenPort};
use crate::{
    auth::{Attempt, Login},
    pipeline,
    session::serial::Lines,
    spool::Protocol,
};

/// Bytes taken from a port at once.
const READ_BYTES_MAX: usize = 4096;
const TOPIC: &str = "telemetry";

impl Serial {
    /// Listens until the port breaks, and says why.
    pub(super) async fn listen_to_lines(
        &self,
        port: &OpenPort,
        config: &PortConfig,
        mut stream: SerialStream,
    ) -> io::Error {
        let mut lines = Lines::new(&self.config.limits);
        let mut buffer = vec![0; READ_BYTES_MAX];
        let name = device_of(config, &port.name);
        loop {
            let count = match stream.read(&mut buffer).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => count,
                Err(error) => return error,
            };
            if self.is_stopping.get() {
                continue;
            }
            let counters = &self.shared.serial;
            let dropped = lines.dropped;
            for line in lines.handle_bytes(buffer.get(..count).unwrap_or_default()) {
                let counter =
                    if self.take_line(&name, &line) { &counters.lines } else { &counters.lines_dropped };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            counters.lines_dropped.fetch_add(lines.dropped - dropped, Ordering::Relaxed);
            self.shared.pipeline.spool().release();
        }
    }

    /// Stores a line as of the device that it names, else of the port's own. Says whether it is stored.
    fn take_line(&self, name: &str, line: &[u8]) -> bool {
        let named = line.iter().position(|byte| *byte == b',').and_then(|at| line.get(..at));
        let named = named.and_then(|name| std::str::from_utf8(name).ok()).map(str::trim);
        let device = named.filter(|name| DeviceId::new(name).is_ok()).unwrap_or(name);
        let Some(login) = self.login(device) else { return false };
        let publish = pipeline::Publish {
            topic: TOPIC,
            payload: line,
            protocol: Protocol::Serial,
            qos: 0,
            content_type: None,
            user_properties: Vec::new(),
        };
        self.shared.registry.note_qos(&login.device, 0, self.shared.clock.wall_ms());
        match self.shared.pipeline.accept(&login, &publish) {
            Ok(_) => true,
            Err(refusal) => {
                self.shared.pipeline.note_shed(&login, TOPIC, &refusal);
                false
            }
        }
    }

    /// The owner has named the port in the configuration: what comes out of it needs no password. It speaks for no
    /// device that has a login, which would be that login's own.
    fn login(&self, device: &str) -> Option<Login> {
        let attempt =
            self.shared.registry.authenticate_anonymous(Ipv4Addr::LOCALHOST.into(), Some(device), "");
        match attempt {
            Attempt::Accepted(login) => Some(login),
            Attempt::Refused | Attempt::Person(_) | Attempt::Busy => {
                self.shared.registry.note_refused(
                    device,
                    "a serial line without a login uses its name",
                    self.shared.clock.wall_ms(),
                );
                None
            }
        }
    }
}

/// The name of a port's own device: as configured, else the port's, with what no device has in its name left out.
fn device_of(config: &PortConfig, path: &str) -> String {
    config.device.clone().unwrap_or_else(|| {
        let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
        let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let name: String = name.unwrap_or_default().chars().filter(allowed).collect();
        name.chars().take(tidegate_protocol::DEVICE_ID_LEN_MAX).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_without_a_device_has_its_own_name() {
        let config = |device: Option<&str>| PortConfig {
            path: "/dev/ttyACM*".to_owned(),
            baud: 9600,
            mode: super::super::Mode::Lines,
            device: device.map(str::to_owned),
        };
        assert_eq!(device_of(&config(Some("porch")), "/dev/ttyACM0"), "porch");
        assert_eq!(device_of(&config(None), "/dev/ttyACM0"), "ttyACM0");
        assert_eq!(device_of(&config(None), "/dev/serial/by-id/usb-Arduino_Uno (1).0"), "usb-Arduino_Uno10");
    }
}

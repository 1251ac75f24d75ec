use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_protocol::DeviceId;

use crate::session::serial::Limits;

/// `[serial]`: boards on serial ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[[serial.port]]`
    #[serde(rename = "port")]
    pub ports: Vec<PortConfig>,
    /// `[serial.limits]`
    pub limits: Limits,
}

/// `[[serial.port]]`: a port, or all that a pattern finds, plugged in when they like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortConfig {
    /// The port's path, or a pattern such as `/dev/ttyACM*` or `/dev/serial/by-id/*`.
    pub path: String,
    /// Bits a second; a board on USB does not mind.
    #[serde(default = "baud")]
    #[schemars(range(min = 1))]
    pub baud: u32,
    /// What is spoken there.
    #[serde(default)]
    pub mode: Mode,
    /// With `mode = "lines"`, the device that the lines are from; left out: the port's own name.
    #[serde(default)]
    pub device: Option<String>,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The frames of Tidegate's firmware: proven, acknowledged, nothing twice.
    #[default]
    Frames,
    /// A reading a line, as anything prints it: `23.4`, `sensor_1,23.4` or JSON. Best effort.
    Lines,
}

/// What is wrong with a port, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct PortFault {
    /// Which key.
    pub key: &'static str,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub instead: &'static str,
}

impl PortConfig {
    /// What types cannot say.
    ///
    /// # Errors
    /// [`PortFault`], the first that is found.
    pub fn check(&self) -> Result<(), PortFault> {
        let fault = |key, wrong: String, instead| Err(PortFault { key, wrong, instead });
        let path = &self.path;
        if !path.starts_with('/') {
            let wrong = format!("\"{}\" is no path of a port", path.escape_debug());
            return fault(
                "path",
                wrong,
                "write a path such as \"/dev/ttyACM0\" or a pattern such as \"/dev/ttyUSB*\"",
            );
        }
        if let Err(error) = glob::Pattern::new(path) {
            let wrong = format!("\"{}\" is no pattern: {error}", path.escape_debug());
            return fault("path", wrong, "write `*` for any characters and `?` for one");
        }
        if self.baud == 0 {
            return fault(
                "baud",
                "no bits a second".to_owned(),
                "write what the board speaks, such as 115200",
            );
        }
        match &self.device {
            Some(_) if self.mode == Mode::Frames => {
                let wrong = "with `mode = \"frames\"` each board says who it is".to_owned();
                fault("device", wrong, "take `device` out, or write `mode = \"lines\"`")
            }
            Some(device) if DeviceId::new(device).is_err() => {
                let wrong = format!("\"{}\" cannot be a device", device.escape_debug());
                fault("device", wrong, "write 1 to 64 of A-Z, a-z, 0-9, _ and -")
            }
            Some(_) if is_pattern(path) => {
                let wrong = "all ports of a pattern would be one device".to_owned();
                fault("device", wrong, "name one port, or take `device` out")
            }
            _ => Ok(()),
        }
    }
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

const fn baud() -> u32 {
    115_200
}

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
    #[must_use]
    pub fn faults(&self) -> Vec<PortFault> {
        [self.path_fault(), self.baud_fault(), self.device_fault()].into_iter().flatten().collect()
    }

    fn path_fault(&self) -> Option<PortFault> {
        let path = &self.path;
        if !path.starts_with('/') {
            let wrong = format!("\"{}\" is no path of a port", path.escape_debug());
            let instead = "write a path such as \"/dev/ttyACM0\" or a pattern such as \"/dev/ttyUSB*\"";
            return Some(PortFault { key: "path", wrong, instead });
        }
        let error = glob::Pattern::new(path).err()?;
        let wrong = format!("\"{}\" is no pattern: {error}", path.escape_debug());
        Some(PortFault { key: "path", wrong, instead: "write `*` for any characters and `?` for one" })
    }

    fn baud_fault(&self) -> Option<PortFault> {
        let instead = "write what the board speaks, such as 115200";
        let wrong = "no bits a second".to_owned();
        (self.baud == 0).then_some(PortFault { key: "baud", wrong, instead })
    }

    fn device_fault(&self) -> Option<PortFault> {
        let device = self.device.as_ref()?;
        let fault =
            |wrong: &str, instead| Some(PortFault { key: "device", wrong: wrong.to_owned(), instead });
        if self.mode == Mode::Frames {
            let instead = "take `device` out, or write `mode = \"lines\"`";
            return fault("with `mode = \"frames\"` each board says who it is", instead);
        }
        if DeviceId::new(device).is_err() {
            return fault("this cannot be a device", "write 1 to 64 of A-Z, a-z, 0-9, _ and -");
        }
        if is_pattern(&self.path) {
            let wrong = "all ports of a pattern would be one device";
            return fault(wrong, "name one port, or take `device` out");
        }
        None
    }
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

const fn baud() -> u32 {
    115_200
}

//! The text that an owner starts from.

use super::{COAP_PORT, HTTP_PORT, MQTT_PORT};

/// What may differ between two texts to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// `data`, without quotes, back slashes or control characters.
    pub data: &'static str,
    /// Port of `[mqtt]`.
    pub mqtt_port: u16,
    /// Port of `[coap]`.
    pub coap_port: u16,
    /// Port of `[http]`.
    pub http_port: u16,
}

impl Default for Example {
    fn default() -> Self {
        Self { data: "data", mqtt_port: MQTT_PORT, coap_port: COAP_PORT, http_port: HTTP_PORT }
    }
}

/// Every key with its value and what it does.
pub(crate) fn text(example: &Example) -> String {
    let Example { data, mqtt_port, coap_port, http_port } = example;
    let pages = pages(*http_port);
    format!(
        r#"# Tidegate. Every key with its default: what is left out means the same.
# `tidegate check -c FILE` reads it. Changes count: routes and the log level on SIGHUP, the rest at the next start.

# Folder of everything the gateway writes, starting at this file's folder.
data = "{data}"

# Let other machines in. Off, only this machine can reach the gateway.
lan = false

# Let devices in without a password. On this machine only.
anonymous = false

# One thread a core but one, which is left to the disk and the outputs, unless you say how many.
# threads = 2

[log]
level = "info"          # error, warn, info, debug, trace
format = "text"         # text, json

# Readings wait on disk until every output has them.
[spool]
max_disk = "2GB"        # the most it takes
reserve_free = "100MB"  # what it leaves to others
keep = "1d"             # how long delivered readings stay, for `tidegate replay`; less when room is short
when_full = "refuse"    # or "drop-oldest": the oldest go, and a gap record says so
sd_card = false         # spare the card: write ten times a second at most

[mqtt]
# listen = "127.0.0.1"  # one address to listen on
port = {mqtt_port}
connections_max = 20000  # open connections; one more is closed at once

# What one MQTT connection may hold, for unusual devices.
# [mqtt.limits]
# frame_bytes_max = 262144
# receive_max = 256     # publishes in flight
# connect_ms_max = 5000

# A port set aside: this version does not listen on it.
[coap]
port = {coap_port}

{pages}
# What to make of a topic where the default does not fit. Without a route any topic is welcome: the device is the one
# that logged in, and the topic is kept.
# [[route]]
# topic = "plant/+/{{device}}/+"
# measurement = "temperature"
# format = "text"         # json, text, senml, raw; left out: whatever the payload looks like
# lane = "telemetry"      # event goes first
# scale = 0.1
# offset = 0.0
# range = [-40.0, 85.0]   # what is outside, or no number, is rejected
# unit = "C"

# Where readings go. Each output remembers how far it has got; nothing is deleted before every output has it.
[[output]]
type = "file"           # JSON lines
name = "file"
dir = "out"             # starts at the data folder
rotate_bytes = "64MiB"
keep_files = 16         # closed files that stay
"#
    )
}

fn pages(port: u16) -> String {
    format!(
        r#"# Pages for who runs the gateway: /metrics (Prometheus), /livez and /readyz. On this machine only, whatever `lan` says,
# unless `listen` names an address: nobody logs in here.
[http]
enabled = true
# listen = "127.0.0.1"
port = {port}
connections_max = 64    # open connections; one more ends the oldest

# What one request may take.
# [http.limits]
# header_bytes_max = 8192
# header_ms_max = 5000
# request_ms_max = 10000
"#
    )
}

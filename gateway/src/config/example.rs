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
    [
        gateway(example),
        listeners(example),
        SERIAL.to_owned() + "\n\n",
        pages(example.http_port),
        ALARMS.to_owned() + "\n\n",
        ROUTES_AND_OUTPUTS.to_owned(),
    ]
    .concat()
}

fn gateway(example: &Example) -> String {
    let data = example.data;
    format!(
        r#"# Tidegate. Keys with their defaults: what is left out means the same. All there are: `tidegate config reference`.
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

{SPOOL}

"#
    )
}

fn listeners(example: &Example) -> String {
    let Example { mqtt_port, coap_port, .. } = example;
    format!(
        r#"[mqtt]
# listen = "127.0.0.1"  # one address to listen on
port = {mqtt_port}
connections_max = 20000  # open connections; one more is closed at once

# What one MQTT connection may hold, for unusual devices.
# [mqtt.limits]
# frame_bytes_max = 262144
# receive_max = 256     # publishes in flight
# connect_ms_max = 5000

# CoAP on UDP, in plain text: the devices' secrets can be read on the way. So it stays on this machine, whatever `lan`
# says, unless you turn `plain_lan` on too.
[coap]
enabled = true
# listen = "127.0.0.1"  # one address to listen on
port = {coap_port}
plain_lan = false       # with `lan = true`, let other machines in

# What CoAP devices may make the gateway hold.
# [coap.limits]
# payload_bytes_max = 1024
# duplicates_max = 4000000   # requests remembered so that a repetition is stored once
# exchanges_max = 65536      # requests that wait for the disk

"#
    )
}

const ROUTES_AND_OUTPUTS: &str = r#"# What to make of a topic where the default does not fit. Without a route any topic is welcome: the device is the one
# that logged in, and the topic is kept.
# [[route]]
# topic = "plant/+/{device}/+"
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

# Apache RocketMQ; `tidegate output check` says what is missing there.
# [[output]]
# type = "rocketmq"
# name_servers = ["127.0.0.1:9876"]
# topic = "iot-topic"               # a single number
# device_topic = "iot-device-topic" # everything else
# split = false         # one message a measurement
# batch = true          # some hosted clusters refuse batches
# access_key = "tidegate"
# secret_key_file = "rocketmq.secret"
# tls = true
# ca_file = "ca.crt"
# labels = { site = "north" }       # properties that every message gets
# rate_max = 20000      # telemetry messages a second

# Another MQTT broker, with the topics that subscribers of the gateway see.
# [[output]]
# type = "mqtt"
# host = "broker.example.org"
# user = "gateway"
# password_file = "mqtt.secret"     # starts at the data folder, as ca_file does
# tls = true
# ca_file = "ca.crt"
# topic_prefix = "site_1/"
# in_flight_max = 100   # publishes on their way at a time
"#;

const SPOOL: &str = r#"# Readings wait on disk until every output has them.
[spool]
max_disk = "2GB"        # the most it takes
reserve_free = "100MB"  # what it leaves to others
keep = "1d"             # how long delivered readings stay, for `tidegate replay`; less when room is short
when_full = "refuse"    # or "drop-oldest": the oldest go, and a gap record says so
sd_card = false         # spare the card: write ten times a second at most"#;

const SERIAL: &str = r#"# Boards on serial ports, plugged in when they like. `tidegate adopt` gives a new board its name and secret.
# [[serial.port]]
# path = "/dev/ttyACM*"
# baud = 115200
# mode = "frames"         # or "lines", for what an Arduino prints: `23.4`, `sensor_1,23.4`, JSON; best effort, and
#                         # from the device that `device="porch"` names, or from one with the port's own name

# What boards may make the gateway hold.
# [serial.limits]
# devices_max = 32        # behind one port"#;

const ALARMS: &str = r#"# A measurement that leaves its range is told once as an event, and once more when it is back. As many as you like;
# `alarm=[]` above the first section, in place of this one, turns alarms off.
[[alarm]]
name = "temperature_high"
measurement = "temperature"
above = 35.0            # or `below`
clear = 33.0            # back in range at this or less; left out: at what does not raise it

# Memory of the live bus behind `tail` and alarms. Who falls behind it reads on from disk.
# [core]
# segment_bytes_max = 131072
# segments_max = 4
# topics_max = 4096     # devices with a topic of their own"#;

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

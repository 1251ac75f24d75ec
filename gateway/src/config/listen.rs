//! Where each listener listens.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::session::{coap, mqtt::Limits};

/// MQTT's port (IANA `mqtt`).
pub const MQTT_PORT: u16 = 1883;
/// CoAP's port (RFC 7252, section 6.1).
pub const COAP_PORT: u16 = 5683;
/// The port of the pages and the HTTP interface.
pub const HTTP_PORT: u16 = 8080;

/// `[mqtt]`: MQTT 3.1.1 and 5 on one TCP port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    /// Address to listen on; absent: loopback, with `lan = true` every IPv4 address.
    pub listen: Option<IpAddr>,
    /// TCP port; 0 lets the system choose one.
    pub port: u16,
    /// Open connections at most; one more is closed at once. Each needs a file descriptor.
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// Sessions of one login, such as that of a group; one more is refused.
    #[schemars(range(min = 1))]
    pub sessions_per_login_max: usize,
    /// Connections of a thread that have not logged in; one more ends the oldest of them.
    #[schemars(range(min = 1))]
    pub unauthenticated_max: usize,
    /// `[mqtt.limits]`
    pub limits: Limits,
}

/// `[coap]`: CoAP on one UDP port, in plain text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CoapConfig {
    /// Whether CoAP is listened for at all.
    pub enabled: bool,
    /// Address to listen on; absent: loopback, with `lan = true` and `plain_lan = true` every IPv4 address.
    pub listen: Option<IpAddr>,
    /// UDP port; 0 lets the system choose one.
    pub port: u16,
    /// Plain CoAP may be reached from other machines: everybody on the way can read the devices' secrets.
    pub plain_lan: bool,
    /// `[coap.limits]`
    pub limits: coap::Limits,
}

/// `[http]`: the pages for who runs the gateway, on a TCP port of their own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Serve them at all.
    pub enabled: bool,
    /// Address to listen on; absent: loopback, with `lan = true` too, since nobody logs in here.
    pub listen: Option<IpAddr>,
    /// TCP port; 0 lets the system choose one.
    pub port: u16,
    /// Open connections at most; one more ends the oldest.
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// `[http.limits]`
    pub limits: HttpLimits,
}

/// `[http.limits]`: what one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Bytes of the request line and headers.
    pub header_bytes_max: usize,
    /// Milliseconds until they have come.
    pub header_ms_max: u64,
    /// Milliseconds until the answer has been taken.
    pub request_ms_max: u64,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            listen: None,
            port: MQTT_PORT,
            connections_max: 20_000,
            sessions_per_login_max: 2_000,
            unauthenticated_max: 1_000,
            limits: Limits::default(),
        }
    }
}

impl Default for CoapConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: None,
            port: COAP_PORT,
            plain_lan: false,
            limits: coap::Limits::default(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: None,
            port: HTTP_PORT,
            connections_max: 64,
            limits: HttpLimits::default(),
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { header_bytes_max: 8 * 1024, header_ms_max: 5_000, request_ms_max: 10_000 }
    }
}

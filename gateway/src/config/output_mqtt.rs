//! `[[output]] type = "mqtt"`: another MQTT broker.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::{
    Finding,
    Step::{Index, Key},
};
use crate::output::mqtt::Versions;

/// Publishes on their way to another broker at a time, at most.
pub const IN_FLIGHT_MAX: u16 = 10_000;

/// Bytes in front of a topic.
pub const PREFIX_LEN_MAX: usize = 256;

/// Another MQTT broker: topics as the gateway's own subscribers see them, payloads as sent.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MqttOutputConfig {
    /// Names the output's cursor in the spool and in `tidegate replay --output`: `[A-Za-z0-9_-]{1,64}`.
    pub name: String,
    /// The server's name or address.
    pub host: String,
    /// The server's port; left out: 1883, or 8883 with `tls`.
    pub port: Option<u16>,
    /// `"auto"`: MQTT 5, and 3.1.1 with a server that does not know it.
    pub version: Versions,
    /// Client id; a server knows each client by its own.
    pub client_id: String,
    /// User name, where the server asks for one.
    pub user: Option<String>,
    /// Its password. Better in a file of its own: see `password_file`.
    pub password: Option<String>,
    /// A file with the password, starting at the data folder.
    pub password_file: Option<PathBuf>,
    /// Encrypt the connection.
    pub tls: bool,
    /// With `tls`: certificates (PEM) of the authorities that vouch for the server, starting at the data folder.
    pub ca_file: Option<PathBuf>,
    /// With `tls`: our own certificate (PEM), where the server asks for one.
    pub cert_file: Option<PathBuf>,
    /// With `tls`: its private key (PEM).
    pub key_file: Option<PathBuf>,
    /// What stands in front of each topic, such as `site_1/`.
    pub topic_prefix: String,
    /// Publishes that are on their way at a time.
    #[schemars(range(min = 1, max = IN_FLIGHT_MAX))]
    pub in_flight_max: u16,
}

impl Default for MqttOutputConfig {
    fn default() -> Self {
        Self {
            name: "mqtt".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: None,
            version: Versions::Auto,
            client_id: "tidegate".to_owned(),
            user: None,
            password: None,
            password_file: None,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            topic_prefix: String::new(),
            in_flight_max: 100,
        }
    }
}

impl std::fmt::Debug for MqttOutputConfig {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, host, port, version, client_id, user, tls, .. } = self;
        f.debug_struct("MqttOutputConfig")
            .field("name", name)
            .field("host", host)
            .field("port", port)
            .field("version", version)
            .field("client_id", client_id)
            .field("user", user)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}

impl MqttOutputConfig {
    /// Appends what is wrong with it; `number` is its place among the outputs.
    pub(super) fn check(&self, number: usize, findings: &mut Vec<Finding>) {
        let mut wrong = |key: &'static str, what: &str, instead: &str| {
            findings.push(Finding::new(&[Key("output"), Index(number), Key(key)], what, instead));
        };
        if self.host.is_empty() || self.host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            wrong(
                "host",
                "this names no server",
                "write a name or an address such as \"broker.example.org\"",
            );
        }
        if self.client_id.is_empty() || self.client_id.chars().any(|c| c.is_whitespace() || c.is_control()) {
            wrong("client_id", "no client can be called this", "write a word such as \"tidegate\"");
        }
        let prefix = &self.topic_prefix;
        if prefix.len() > PREFIX_LEN_MAX || prefix.starts_with('$') || prefix.contains(['+', '#', '\0']) {
            wrong("topic_prefix", "no topic can begin like this", "write one without +, # and a $ in front");
        }
        if !(1..=IN_FLIGHT_MAX).contains(&self.in_flight_max) {
            wrong("in_flight_max", "out of range", "write 1 to 10000");
        }
        if self.password.is_some() && self.password_file.is_some() {
            wrong("password", "the password stands in two places", "leave `password` or `password_file` out");
        }
        if self.user.is_none() && (self.password.is_some() || self.password_file.is_some()) {
            wrong("user", "a password without a user", "add `user = …`");
        }
        if self.tls && self.ca_file.is_none() {
            wrong(
                "ca_file",
                "nobody vouches for the server",
                "add `ca_file = …` with the certificates of its authority",
            );
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            wrong(
                "cert_file",
                "a certificate and its key go together",
                "give both `cert_file` and `key_file`, or none",
            );
        }
        if !self.tls && (self.ca_file.is_some() || self.cert_file.is_some()) {
            wrong("tls", "certificates have no use without TLS", "add `tls = true`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    /// The keys that are found wrong in an output with these lines.
    fn wrong(lines: &str) -> Vec<String> {
        let text = format!("[[output]]\ntype = \"mqtt\"\n{lines}\n");
        let faults = Config::parse(&text, Overrides::default()).err().unwrap_or_default();
        faults.iter().map(|fault| fault.wrong.clone()).collect()
    }

    #[test]
    fn what_cannot_be_is_said() {
        let none: [&str; 0] = [];
        assert_eq!(wrong("tls = true\nca_file = 'ca.pem'\nuser = 'a'\npassword_file = 'p'"), none);
        for (lines, says) in [
            ("host = ''", "names no server"),
            ("host = 'a b'", "names no server"),
            ("client_id = ''", "no client"),
            ("topic_prefix = '$SYS/'", "no topic"),
            ("topic_prefix = 'a/#/'", "no topic"),
            ("in_flight_max = 0", "out of range"),
            ("in_flight_max = 10001", "out of range"),
            ("user = 'a'\npassword = 'b'\npassword_file = 'c'", "two places"),
            ("password = 'b'", "without a user"),
            ("tls = true", "vouches"),
            ("ca_file = 'ca.pem'", "without TLS"),
            ("tls = true\nca_file = 'ca.pem'\ncert_file = 'c.pem'", "go together"),
        ] {
            let found = wrong(lines);
            assert!(found.len() == 1 && found[0].contains(says), "{lines}: {found:?}");
        }
        let prefix = |len: usize| wrong(&format!("topic_prefix = '{}'", "x".repeat(len))).len();
        assert_eq!((prefix(PREFIX_LEN_MAX), prefix(PREFIX_LEN_MAX + 1)), (0, 1));
    }

    #[test]
    fn the_password_is_not_shown() {
        let config = MqttOutputConfig { password: Some("secret".to_owned()), ..MqttOutputConfig::default() };
        assert!(!format!("{config:?}").contains("secret"));
    }
}

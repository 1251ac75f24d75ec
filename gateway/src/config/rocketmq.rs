//! `[[output]] type = "rocketmq"`

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_rocketmq::{
    route::NAME_SERVERS_MAX,
    wire::{message::MESSAGE_BYTES_DEFAULT, name},
};

use super::{
    document::{Finding, Step::Index, Step::Key},
    output::bytes,
};
use crate::{
    normalise::{DEVICE_TOPIC, SINGLE_TOPIC},
    output::rocketmq::mapping::{Mapping, MappingConfig},
};

/// Bytes of the smallest message limit that an output may be told: below it hardly a reading has room.
pub const MESSAGE_BYTES_MIN: u64 = 1024;
/// Bytes of the largest: one frame takes no more than 16 MiB, with its header.
pub const MESSAGE_BYTES_MAX: u64 = 15 * 1024 * 1024;
/// Milliseconds that an answer is given at least.
pub const TIMEOUT_MS_MIN: u64 = 100;
/// Milliseconds that an answer is given at most.
pub const TIMEOUT_MS_MAX: u64 = 60_000;
/// Messages that may be told to be held at most.
pub const MESSAGES_HELD_MAX: u32 = 1_000_000;

/// A RocketMQ cluster, 4.9 or 5.x, over its remoting protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RocketMqConfig {
    /// Names the output's cursor in the spool and in `tidegate replay --output`: `[A-Za-z0-9_-]{1,64}`.
    pub name: String,
    /// The cluster's name servers, each `host:port`; when one is away the next is asked.
    #[schemars(length(min = 1, max = NAME_SERVERS_MAX))]
    pub name_servers: Vec<String>,
    /// Topic of a single number, unless a route names another.
    pub topic: String,
    /// Topic of everything else, unless a route names another.
    pub device_topic: String,
    /// One message a measurement, whatever the routes say.
    pub split: bool,
    /// Several messages for one queue in one request. Some hosted clusters refuse that; without it the output is slower.
    pub batch: bool,
    /// Producer group, as it shows in the cluster's own tools.
    pub group: String,
    /// User of a cluster with access control.
    pub access_key: Option<String>,
    /// The user's secret. `secret_key_file` keeps it out of this file.
    pub secret_key: Option<Secret>,
    /// File with the user's secret, starting at the configuration's own folder.
    pub secret_key_file: Option<PathBuf>,
    /// Speak TLS with name servers and brokers. Access control without it keeps out nobody who can listen.
    pub tls: bool,
    /// Certificates, in PEM, of the authorities that vouch for the servers; needed for TLS. Starts at the configuration's own folder.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, in PEM, where the servers ask for one. Starts at the configuration's own folder.
    pub cert_file: Option<PathBuf>,
    /// Its private key, in PEM. Starts at the configuration's own folder.
    pub key_file: Option<PathBuf>,
    /// The name in the servers' certificates, where it is not the host that they are reached at.
    pub server_name: Option<String>,
    /// Properties that every message gets, such as `{ site = "north" }`.
    #[schemars(extend("format" = "labels"))]
    pub labels: BTreeMap<String, String>,
    /// Telemetry messages a second at most, so that a backlog or a replay does not flood the cluster; events are never slowed down.
    #[schemars(range(min = 1))]
    pub rate_max: Option<NonZeroU32>,
    /// Messages that are held in memory until the cluster has confirmed them; one batch of records more may be.
    #[schemars(range(min = 1, max = MESSAGES_HELD_MAX))]
    pub in_flight_max: u32,
    /// Bytes of the largest message that the cluster takes (its `maxMessageSize`). A larger one goes to the dead-letter file. A number, or a text such as `"4MiB"`.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = MESSAGE_BYTES_MIN, max = MESSAGE_BYTES_MAX), extend("format" = "size"))]
    pub message_bytes_max: u64,
    /// Milliseconds that a connection or an answer may take.
    #[schemars(range(min = TIMEOUT_MS_MIN, max = TIMEOUT_MS_MAX))]
    pub timeout_ms: u64,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Default for RocketMqConfig {
    fn default() -> Self {
        Self {
            name: "rocketmq".to_owned(),
            name_servers: vec!["127.0.0.1:9876".to_owned()],
            topic: SINGLE_TOPIC.to_owned(),
            device_topic: DEVICE_TOPIC.to_owned(),
            split: false,
            batch: true,
            group: "iot-sensor-producer".to_owned(),
            access_key: None,
            secret_key: None,
            secret_key_file: None,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            server_name: None,
            labels: BTreeMap::new(),
            rate_max: None,
            in_flight_max: 8_192,
            message_bytes_max: u64::try_from(MESSAGE_BYTES_DEFAULT).unwrap_or(MESSAGE_BYTES_MAX),
            timeout_ms: 3_000,
        }
    }
}

impl RocketMqConfig {
    /// The part that says what a record becomes.
    #[must_use]
    pub fn mapping(&self) -> MappingConfig {
        MappingConfig {
            topic: self.topic.clone(),
            device_topic: self.device_topic.clone(),
            split: self.split,
            labels: self.labels.clone(),
        }
    }

    /// The files it names start at `folder`.
    pub(super) fn start_at(&mut self, folder: &Path) {
        let files = [&mut self.secret_key_file, &mut self.ca_file, &mut self.cert_file, &mut self.key_file];
        for file in files.into_iter().flatten() {
            *file = folder.join(&*file).components().collect();
        }
    }

    /// The rules, for output number `at`.
    pub(super) fn check(&self, at: usize, findings: &mut Vec<Finding>) {
        let mut found = |key: &'static str, wrong: String, instead: &str| {
            findings.push(Finding::new(&[Key("output"), Index(at), Key(key)], wrong, instead));
        };
        self.check_servers(&mut found);
        if let Err(error) = Mapping::new(&self.mapping()) {
            found(error.key, error.wrong, error.instead);
        }
        if !name::is_group(&self.group) {
            let instead = "write 1 to 120 of A-Z, a-z, 0-9, _ and -";
            found("group", format!("no group can be called \"{}\"", self.group.escape_debug()), instead);
        }
        self.check_secrets(&mut found);
        self.check_tls(&mut found);
        self.check_limits(&mut found);
    }

    fn check_servers(&self, found: &mut impl FnMut(&'static str, String, &str)) {
        let count = self.name_servers.len();
        if count == 0 || count > NAME_SERVERS_MAX {
            let instead = "write `name_servers = [\"127.0.0.1:9876\"]` with 1 to 16 of them";
            found("name_servers", format!("{count} name servers"), instead);
        }
        for server in &self.name_servers {
            let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
                let wrong = format!("\"{}\" is no address of a name server", server.escape_debug());
                found("name_servers", wrong, "write host:port, such as \"127.0.0.1:9876\"");
            }
        }
    }

    fn check_secrets(&self, found: &mut impl FnMut(&'static str, String, &str)) {
        if self.secret_key.is_some() && self.secret_key_file.is_some() {
            let wrong = "the secret is given twice".to_owned();
            found("secret_key", wrong, "leave `secret_key` or `secret_key_file` out");
        }
        let has_secret = self.secret_key.is_some() || self.secret_key_file.is_some();
        match (&self.access_key, has_secret) {
            (Some(_), false) => {
                let instead = "add `secret_key_file` (or `secret_key`)";
                found("access_key", "a user without a secret".to_owned(), instead);
            }
            (None, true) => {
                let key = if self.secret_key.is_some() { "secret_key" } else { "secret_key_file" };
                found(key, "a secret without a user".to_owned(), "add `access_key`");
            }
            _ => {}
        }
    }

    fn check_tls(&self, found: &mut impl FnMut(&'static str, String, &str)) {
        if self.tls && self.ca_file.is_none() {
            let instead = "add `ca_file` with the certificate of the authority that vouches for the servers";
            found("tls", "TLS with servers that nobody vouches for".to_owned(), instead);
        }
        let files = [
            ("ca_file", self.ca_file.is_some()),
            ("cert_file", self.cert_file.is_some()),
            ("key_file", self.key_file.is_some()),
            ("server_name", self.server_name.is_some()),
        ];
        if !self.tls
            && let Some((key, _)) = files.into_iter().find(|(_, given)| *given)
        {
            found(key, format!("`{key}` is for TLS, and `tls` is false"), "add `tls = true`");
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            let key = if self.cert_file.is_some() { "cert_file" } else { "key_file" };
            let wrong = "a certificate and its private key go together".to_owned();
            found(key, wrong, "give both `cert_file` and `key_file`");
        }
    }

    fn check_limits(&self, found: &mut impl FnMut(&'static str, String, &str)) {
        if self.in_flight_max == 0 || self.in_flight_max > MESSAGES_HELD_MAX {
            let wrong = format!("{} messages cannot be held", self.in_flight_max);
            found("in_flight_max", wrong, "write 1 to 1000000");
        }
        if !(MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(&self.message_bytes_max) {
            let wrong = format!("{} bytes are too little or too much", self.message_bytes_max);
            found("message_bytes_max", wrong, "write 1024 (\"1KiB\") to 15728640 (\"15MiB\")");
        }
        if !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&self.timeout_ms) {
            let wrong = format!("{} ms are too short or too long", self.timeout_ms);
            found("timeout_ms", wrong, "write 100 to 60000");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    /// What is said first against `lines` in a `[[output]]` for RocketMQ.
    fn fault(lines: &str) -> String {
        let text = format!("[[output]]\ntype = \"rocketmq\"\n{lines}\n");
        let faults = Config::parse(&text, Overrides::default()).expect_err(lines);
        faults.first().expect("a fault").to_string()
    }

    fn read(lines: &str) -> RocketMqConfig {
        let text = format!("[[output]]\ntype = \"rocketmq\"\n{lines}\n");
        let config = Config::parse(&text, Overrides::default()).unwrap();
        match &config.outputs[..] {
            [OutputConfig::RocketMq(bus)] => (**bus).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_has_to_be_said_for_a_cluster_on_this_machine() {
        assert_eq!(read(""), RocketMqConfig::default());
        let bus = read("labels = { site = \"north\" }\nrate_max = 500\nmessage_bytes_max = \"1MiB\"");
        assert_eq!((bus.labels["site"].as_str(), bus.rate_max), ("north", NonZeroU32::new(500)));
        assert_eq!(bus.message_bytes_max, 1 << 20);
    }

    #[test]
    fn a_fault_is_placed_and_told_what_to_write() {
        let cases = [
            ("name_servers = []", "3:16: 0 name servers; write `name_servers = "),
            ("name_servers = [\"bus\"]", "3:16: \"bus\" is no address of a name server; write host:port"),
            ("name_servers = [\"bus:0\"]", "3:16: \"bus:0\" is no address"),
            ("topic = \"a b\"", "3:9: \"a b\" can be no topic of the bus; write 1 to 127 of"),
            ("group = \"a b\"", "3:9: no group can be called \"a b\"; write 1 to 120 of"),
            ("labels = { DELAY = \"3\" }", "3:10: \"DELAY\" can be no label"),
            ("access_key = \"a\"", "3:14: a user without a secret; add `secret_key_file`"),
            ("secret_key = \"a\"", "3:14: a secret without a user; add `access_key`"),
            (
                "access_key = \"a\"\nsecret_key = \"b\"\nsecret_key_file = \"c\"",
                "4:14: the secret is given twice; leave",
            ),
            ("tls = true", "3:7: TLS with servers that nobody vouches for; add `ca_file`"),
            ("ca_file = \"a\"", "3:11: `ca_file` is for TLS, and `tls` is false; add `tls = true`"),
            (
                "tls = true\nca_file = \"a\"\nkey_file = \"b\"",
                "5:12: a certificate and its private key go together; give both",
            ),
            ("in_flight_max = 0", "3:17: 0 messages cannot be held; write 1 to 1000000"),
            ("message_bytes_max = 100", "3:21: 100 bytes are too little or too much; write 1024"),
            ("timeout_ms = 5", "3:14: 5 ms are too short or too long; write 100 to 60000"),
            ("topics = \"a\"", "3:1: unknown key `topics`; write `topic`"),
        ];
        for (lines, said) in cases {
            let fault = fault(lines);
            assert!(fault.starts_with(said), "{lines:?}: {fault}");
        }
        let servers = |count| format!("name_servers = [{}]", vec!["\"a:1\""; count].join(", "));
        assert_eq!(read(&servers(NAME_SERVERS_MAX)).name_servers.len(), NAME_SERVERS_MAX);
        assert!(fault(&servers(NAME_SERVERS_MAX + 1)).starts_with("3:16: 17 name servers"));
    }

    #[test]
    fn files_start_at_the_configuration_and_the_secret_is_not_shown() {
        let mut bus = read("access_key = \"a\"\nsecret_key = \"hidden\"\ntls = true\nca_file = \"ca.crt\"");
        assert!(!format!("{bus:?}").contains("hidden"), "{bus:?}");
        bus.start_at(Path::new("/etc/tidegate"));
        assert_eq!(bus.ca_file, Some(PathBuf::from("/etc/tidegate/ca.crt")));
    }
}

//! `[[output]]`: the destinations, one type each.

use std::{fmt, path::PathBuf};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::{
    check::ROTATE_BYTES_MIN,
    document::{Document, Entry},
    error::Fault,
    output_mqtt::MqttOutputConfig,
    reference::Types,
    rocketmq::RocketMqConfig,
};

/// One `[[output]]`, by its `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputConfig {
    /// `type = "file"`: JSON lines in a folder.
    File(FileConfig),
    /// `type = "mqtt"`: another MQTT broker.
    Mqtt(MqttOutputConfig),
    /// `type = "rocketmq"`: a RocketMQ cluster.
    RocketMq(Box<RocketMqConfig>),
}

/// JSON lines in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FileConfig {
    /// Names the output's cursor in the spool and in `tidegate replay --output`: `[A-Za-z0-9_-]{1,64}`.
    pub name: String,
    /// Folder of the files, starting at the data folder.
    pub dir: PathBuf,
    /// A file that has reached this many bytes is closed and the next begun. A number, or a text such as `"64MiB"`.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = ROTATE_BYTES_MIN), extend("format" = "size"))]
    pub rotate_bytes: u64,
    /// Closed files that stay; older ones are deleted.
    #[schemars(range(min = 1))]
    pub keep_files: u32,
}

impl OutputConfig {
    /// The output's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::File(file) => &file.name,
            Self::Mqtt(mqtt) => &mqtt.name,
            Self::RocketMq(bus) => &bus.name,
        }
    }
}

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            name: "file".to_owned(),
            dir: PathBuf::from("out"),
            rotate_bytes: ByteSize::mib(64).as_u64(),
            keep_files: 16,
        }
    }
}

/// What may stand in an `[[output]]` besides `type`, by the word of `type`.
pub(super) fn types() -> Vec<(&'static str, Types)> {
    vec![
        ("file", Types::of::<FileConfig>()),
        ("mqtt", Types::of::<MqttOutputConfig>()),
        ("rocketmq", Types::of::<RocketMqConfig>()),
    ]
}

/// The outputs of `document`; with no word of them, the file output as it is by default.
pub(super) fn read(document: &Document<'_>) -> Result<Vec<OutputConfig>, Vec<Fault>> {
    let Some(entries) = document.entries("output").map_err(|fault| vec![fault])? else {
        return Ok(vec![OutputConfig::File(FileConfig::default())]);
    };
    let (mut outputs, mut faults) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        match read_one(entry) {
            Ok(output) => outputs.push(output),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(outputs) } else { Err(faults) }
}

fn read_one(entry: Entry<'_, '_>) -> Result<OutputConfig, Vec<Fault>> {
    const KNOWN: &str = "\"file\" or \"mqtt\" or \"rocketmq\"";
    match entry.kind(KNOWN).map_err(|fault| vec![fault])? {
        "file" => entry.read().map(OutputConfig::File),
        "mqtt" => entry.read().map(OutputConfig::Mqtt),
        "rocketmq" => entry.read().map(Box::new).map(OutputConfig::RocketMq),
        _ => Err(vec![entry.unknown_kind(KNOWN)]),
    }
}

pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as \"64MiB\"")
        }

        fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
        }

        fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<u64, E> {
            Ok(bytes)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            let size: Result<ByteSize, _> = text.parse();
            size.map(|size| size.as_u64()).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(Bytes)
}

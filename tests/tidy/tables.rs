//! What belongs where. A new dependency, folder or pure part gets a row here, on purpose.

/// Lines in a file.
pub const FILE_LINES_MAX: usize = 500;
/// Lines in a function, its signature and closing brace included.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Lines in the README.
pub const README_LINES_MAX: usize = 150;

/// Parts that take the time as an argument and do no input or output.
pub const PURE: &[&str] = &[
    "protocol/src/",
    "firmware/src/",
    "gateway/src/session/",
    "gateway/src/normalise/",
    "gateway/src/auth/acl.rs",
    "gateway/src/auth/filter.rs",
    "gateway/src/auth/login.rs",
    "gateway/src/auth/throttle.rs",
    "gateway/src/spool/record.rs",
    "gateway/src/spool/retention.rs",
    "gateway/src/core/message.rs",
    "gateway/src/service/alarm/rules.rs",
    "gateway/src/bridge/window.rs",
    "gateway/src/bridge/backoff.rs",
    "gateway/src/output/rocketmq/lines.rs",
    "gateway/rocketmq/src/wire/",
    "gateway/src/output/mqtt/message.rs",
    "gateway/src/output/mqtt/window.rs",
    "gateway/src/output/rocketmq/mapping/",
    "gateway/rocketmq/src/filter/",
    "gateway/rocketmq/src/dedup.rs",
    "gateway/rocketmq/src/consumer/allocate.rs",
    "gateway/rocketmq/src/consumer/subscription.rs",
];

/// What pure parts do not name.
pub const IMPURE: &[&str] =
    &["tokio", "std::net", "std::fs", "std::thread", "std::time::Instant", "std::time::SystemTime"];

/// Places of `std::net` that hold no socket.
pub const PURE_NET: &[&str] =
    &["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr", "std::net::SocketAddr"];

/// The one reader of the clock.
pub const CLOCK: &str = "gateway/src/clock.rs";

/// Outside dependency, and the places outside of tests that may name it. `""` is everywhere.
pub const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("anyhow", &["gateway/src/main.rs", "simulator/src/main.rs"]),
    ("arc_swap", &["gateway/src/"]),
    ("argon2", &["gateway/src/auth/credentials.rs"]),
    ("axum", &["gateway/src/web/"]),
    (
        "base64",
        &[
            "gateway/src/auth/credentials.rs",
            "gateway/src/auth/mosquitto.rs",
            "gateway/src/normalise/cbor.rs",
            "gateway/src/output/",
            "gateway/rocketmq/src/sign.rs",
        ],
    ),
    ("bytes", &["gateway/src/", "gateway/rocketmq/src/"]),
    ("bytesize", &["gateway/src/"]),
    ("bytestring", &["gateway/src/listener/", "gateway/src/session/mqtt/"]),
    ("clap", &["gateway/src/cli/", "gateway/src/logging.rs", "gateway/src/main.rs", "simulator/src/"]),
    ("clap_complete", &["gateway/src/cli/"]),
    ("cobs", &["protocol/src/serial/"]),
    ("coap_lite", &["gateway/src/session/coap/codec.rs", "simulator/src/coap/codec.rs"]),
    ("clap_mangen", &["gateway/src/cli/"]),
    ("crc", &["protocol/src/serial/frame.rs", "firmware/src/store/flash/slot.rs"]),
    ("crc32c", &["gateway/src/spool/"]),
    ("embassy_futures", &["firmware/src/board.rs", "firmware/src/uplink/", "firmware/boards/"]),
    ("embassy_net", &["firmware/src/uplink/datagrams.rs", "firmware/boards/", "firmware/tap/"]),
    ("embedded_io_async", &["firmware/src/uplink/", "firmware/boards/"]),
    ("embedded_nal_async", &["firmware/src/uplink/"]),
    ("embedded_storage", &["firmware/src/store/flash/", "firmware/boards/", "firmware/tap/"]),
    ("flate2", &["gateway/rocketmq/src/wire/"]),
    ("foldhash", &["gateway/src/recent.rs"]),
    ("getrandom", &["gateway/src/"]),
    ("hdrhistogram", &["simulator/src/"]),
    ("glob", &["gateway/src/listener/serial/"]),
    ("heapless", &["protocol/src/", "gateway/src/normalise/", "firmware/src/", "firmware/boards/"]),
    (
        "hmac",
        &["gateway/src/auth/credentials.rs", "gateway/rocketmq/src/sign.rs", "protocol/src/serial/key.rs"],
    ),
    ("humantime", &["gateway/src/", "simulator/src/"]),
    ("hyper", &["gateway/src/web/"]),
    ("hyper_util", &["gateway/src/web/"]),
    ("indicatif", &["simulator/src/", "gateway/src/cli/demo"]),
    ("jiff", &["gateway/src/cli/"]),
    ("itoa", &["gateway/src/normalise/part.rs", "gateway/src/output/json.rs", "gateway/src/spool/record.rs"]),
    ("memchr", &["gateway/src/normalise/plain.rs", "gateway/src/service/alarm/rules.rs"]),
    ("minicbor", &["gateway/src/normalise/cbor.rs"]),
    ("nix", &["gateway/src/listener/datagrams.rs"]),
    ("pbkdf2", &["gateway/src/auth/mosquitto.rs"]),
    ("postcard", &["protocol/src/serial/message.rs"]),
    ("proptest", &[]),
    ("ratatui", &["simulator/src/dashboard/"]),
    ("rmqtt_codec", &["gateway/src/session/mqtt/codec.rs"]),
    ("rust_mqtt", &["firmware/src/uplink/mqtt/"]),
    ("rumqttd", &["gateway/src/core/broker.rs"]),
    ("rumqttc", &["gateway/src/output/mqtt/connection", "simulator/src/mqtt", "simulator/src/target"]),
    ("rusqlite", &["gateway/src/auth/store.rs", "gateway/src/auth/store/"]),
    ("rustix", &["gateway/src/cli/", "gateway/src/spool/storage/", "simulator/src/"]),
    ("schemars", &["gateway/src/"]),
    ("sd_notify", &["gateway/src/service_manager.rs"]),
    ("serde", &[""]),
    ("serde_json", &["gateway/src/", "gateway/rocketmq/src/", "simulator/src/"]),
    ("sha1", &["gateway/rocketmq/src/sign.rs"]),
    (
        "sha2",
        &[
            "gateway/src/auth/credentials.rs",
            "gateway/src/auth/mosquitto.rs",
            "gateway/src/output/rocketmq/mapping/unique_key.rs",
            "protocol/src/serial/key.rs",
        ],
    ),
    ("socket2", &["gateway/src/listener/"]),
    ("subtle", &["gateway/src/auth/"]),
    ("tempfile", &["gateway/src/cli/demo", "simulator/src/baseline/"]),
    ("thiserror", &[""]),
    ("tidegate", &["gateway/src/main.rs"]),
    ("tidegate_firmware", &["firmware/boards/", "firmware/tap/"]),
    ("tidegate_protocol", &[""]),
    ("tidegate_rocketmq", &["gateway/src/", "simulator/src/"]),
    ("tidegate_simulator", &["gateway/src/cli/demo", "simulator/src/main.rs"]),
    (
        "tokio",
        &[
            "gateway/src/bridge/",
            "gateway/src/cli/",
            "gateway/src/control/",
            "gateway/src/listener/",
            "gateway/src/output/mqtt/",
            "gateway/src/service/bus/",
            "gateway/src/service_manager.rs",
            "gateway/src/supervisor",
            "gateway/src/web/",
            "gateway/src/output/rocketmq/",
            "gateway/rocketmq/src/",
            "simulator/src/",
        ],
    ),
    ("tokio_serial", &["gateway/src/listener/serial/"]),
    ("tokio_rustls", &["gateway/rocketmq/src/tls.rs", "gateway/src/output/mqtt/"]),
    ("tokio_util", &["gateway/src/session/mqtt/codec.rs"]),
    ("toml", &["gateway/src/config/", "simulator/src/scenario/"]),
    ("tracing", &["gateway/src/", "simulator/src/"]),
    ("tracing_subscriber", &["gateway/src/logging.rs", "simulator/src/"]),
];

/// The one path to the spool, and the spool itself.
pub const APPENDERS: &[&str] = &["gateway/src/pipeline.rs", "gateway/src/spool/"];

/// The whole of the top level.
pub const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".clippy.toml",
    ".gitignore",
    ".rustfmt.toml",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "deploy",
    "firmware",
    "gateway",
    "protocol",
    "rust-toolchain.toml",
    "simulator",
    "tests",
];

/// Names that say nothing: no file, folder, module or type has them.
pub const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "base", "manager", "managers", "handler", "handlers", "helper", "helpers",
    "misc",
];

/// What makes a channel, and whether its first argument is its size.
pub const CHANNELS: &[(&str, bool)] = &[
    ("mpsc::channel", true),
    ("broadcast::channel", true),
    ("sync_channel", true),
    ("unbounded_channel", false),
    ("unbounded", false),
];

/// Comments that tell the story of a change.
pub const STORY: &[&str] = &[
    "no longer needed",
    "no longer used",
    "no longer necessary",
    "not needed any longer",
    "used to be",
    "previously",
    "anymore",
    "is now ",
    "are now ",
    "now uses",
    "now also",
    "was changed",
    "has been changed",
    "we now",
    "refactored",
];

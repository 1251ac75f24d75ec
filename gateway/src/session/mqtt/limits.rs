use schemars::JsonSchema;
use serde::Deserialize;

/// What one connection, and all of them together, may make the gateway hold or wait for.
///
/// Shared by every session of a listener. Sizes are bytes, times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// From the accepted connection to its whole CONNECT.
    pub connect_ms_max: u64,
    /// From the CONNECT to the registry's answer.
    pub login_ms_max: u64,
    /// The CONNECT, header included.
    pub connect_bytes_max: u32,
    /// What a client may send behind its CONNECT before it has the CONNACK.
    pub early_bytes_max: u32,
    /// A frame other than the CONNECT, header included. Told to MQTT 5 clients as Maximum Packet Size.
    pub frame_bytes_max: u32,
    /// From the first byte of a frame to its last.
    pub frame_ms_max: u64,
    /// The most bytes the listener hands over at once.
    pub read_bytes_max: u32,
    /// QoS 1 publishes of the client that are not acknowledged yet. Told to MQTT 5 clients as Receive Maximum.
    pub receive_max: u16,
    /// The longest keep-alive in seconds: an MQTT 5 client that wants more, or none, is told this one.
    pub keep_alive_s_max: u16,
    /// A topic or a filter.
    pub topic_bytes_max: usize,
    /// Levels of a topic or a filter.
    pub topic_levels_max: usize,
    /// Aliases an MQTT 5 client may set for its topics.
    pub topic_aliases_max: u16,
    /// User properties of one publish or will.
    pub user_properties_max: usize,
    /// A client id.
    pub client_id_bytes_max: usize,
    /// A will's topic, payload and properties together.
    pub will_bytes_max: usize,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE.
    pub filters_per_frame_max: usize,
    /// QoS 1 messages on their way to the client; its own Receive Maximum may lower it.
    pub downlink_inflight_max: u16,
    /// Messages that wait for room in the window of `downlink_inflight_max`.
    pub downlink_pending_max: usize,
    /// Bytes of messages that wait for room in the window of `downlink_inflight_max`, or for the socket.
    pub downlink_bytes_max: usize,
    /// Bytes of answers other than messages that wait for the socket, before reading stops.
    pub reply_bytes_max: usize,
    /// How long an MQTT 3.1.1 client that cannot be told of a refusal is held before its connection ends.
    pub shed_ms_max: u64,
    /// How long a session that ends waits for the disk to confirm what it stored.
    pub drain_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_ms_max: 5_000,
            login_ms_max: 20_000,
            connect_bytes_max: 8 * 1024,
            early_bytes_max: 16 * 1024,
            frame_bytes_max: 256 * 1024,
            frame_ms_max: 30_000,
            read_bytes_max: 64 * 1024,
            receive_max: 256,
            keep_alive_s_max: 3_600,
            topic_bytes_max: 1_024,
            topic_levels_max: 32,
            topic_aliases_max: 8,
            user_properties_max: 32,
            client_id_bytes_max: 256,
            will_bytes_max: 4 * 1024,
            filters_per_frame_max: 64,
            downlink_inflight_max: 64,
            downlink_pending_max: 1_024,
            downlink_bytes_max: 512 * 1024,
            reply_bytes_max: 4 * 1024,
            shed_ms_max: 30_000,
            drain_ms_max: 10_000,
        }
    }
}

impl Limits {
    /// Publishes in flight: at least one, since MQTT 5 has no Receive Maximum of 0 (3.2.2.3.3).
    pub(super) fn window(&self) -> u16 {
        self.receive_max.max(1)
    }
}

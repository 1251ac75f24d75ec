use schemars::JsonSchema;
use serde::Deserialize;

/// What all peers of one worker's socket together, and each of them, may make the gateway hold.
///
/// Sizes are bytes, times are milliseconds. Limits on a number of things hold for the whole gateway: each worker has
/// its share.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A request's payload; a longer one is told this size (4.13 with Size1).
    pub payload_bytes_max: u32,
    /// Options of one request.
    pub options_max: usize,
    /// A topic made of a request's path.
    pub topic_bytes_max: usize,
    /// Requests of which it is remembered that they were answered, so that a repetition is stored once.
    pub duplicates_max: usize,
    /// The same for one peer: its newest message ids.
    pub duplicates_per_peer_max: u16,
    /// Requests that wait for the disk or for a password to be checked.
    pub exchanges_max: usize,
    /// Separate responses that wait for the peer's acknowledgement.
    pub separate_max: usize,
    /// From a request to its empty acknowledgement, when its answer takes longer.
    pub piggyback_ms_max: u64,
    /// Addresses of which it is remembered that a device was noted as seen.
    pub peers_max: usize,
    /// Datagrams that wait for the kernel to take them; one more is dropped, as the network would.
    pub unsent_datagrams_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes_max: 1_024,
            options_max: 64,
            topic_bytes_max: 1_024,
            duplicates_max: 4_000_000,
            duplicates_per_peer_max: u16::MAX,
            exchanges_max: 65_536,
            separate_max: 16_384,
            piggyback_ms_max: 500,
            peers_max: 50_000,
            unsent_datagrams_max: 65_536,
        }
    }
}

impl Limits {
    /// The share of one of so many `workers`; of each thing at least one.
    #[must_use]
    pub fn share(&self, workers: usize) -> Self {
        let share = |all: usize| all.div_ceil(workers.max(1)).max(1);
        Self {
            duplicates_max: share(self.duplicates_max),
            exchanges_max: share(self.exchanges_max),
            separate_max: share(self.separate_max),
            peers_max: share(self.peers_max),
            unsent_datagrams_max: share(self.unsent_datagrams_max),
            ..self.clone()
        }
    }

    /// Bytes of the longest datagram that can hold an acceptable request: a payload, a topic, the device and its
    /// secret, and what a proxy adds.
    #[must_use]
    pub fn datagram_bytes_max(&self) -> usize {
        let payload = usize::try_from(self.payload_bytes_max).unwrap_or(usize::MAX);
        payload.saturating_add(self.topic_bytes_max).saturating_add(1_024).min(65_507)
    }
}

//! The way to the gateway over a network, where there is one: MQTT 5 or CoAP, instead of frames on a line.
//!
//! ```text
//! Sensor -> Sampler -> Store -> Outbox: one letter -> Uplink -> gateway
//!                                 ^                     |
//!                                 +-- PUBACK, 2.04: may be forgotten
//! ```
//!
//! A board brings a network and calls [`run_uplink`] instead of [`run`](crate::run). With embassy-net, features `mqtt`
//! and `embassy-net` (for CoAP: `coap` and `embassy-net`):
//!
//! ```text
//! // Once the store is open, and has an identity: without one nothing is sent.
//! let outbox = Outbox::new(store, sensor.channels(), seed);
//! // MQTT 5: one connection, with room for a payload.
//! let state = TcpClientState::<1, 1024, 1024>::new();
//! let tcp = TcpClient::new(stack, &state);
//! let mut uplink = MqttUplink::new(&tcp, SocketAddr::new(gateway, 1883));
//! // CoAP: `UdpSocket` of embassy-net, bound; 32 random bits, so that no message id of the last start comes again.
//! let mut uplink = CoapUplink::new(Datagrams::new(socket, SocketAddr::new(gateway, 5683)), random);
//! run_uplink(&outbox, &mut sampler, (&mut sensor, &mut uplink), (&Watch, &mut board)).await;
//! ```
//!
//! Over a network nobody tells a board which boots the gateway has seen. A name that was built in or typed in is
//! therefore kept with a random [`Identity::boot_base`] below 2^31, so that a board whose flash was erased does not
//! number its readings as before; [`random_boot_base`] makes one.

mod outbox;
mod run;

#[cfg(feature = "mqtt")]
mod mqtt;

#[cfg(feature = "coap")]
mod coap;

#[cfg(feature = "embassy-net")]
mod datagrams;

#[cfg(test)]
mod tests;

#[cfg(feature = "coap")]
pub use coap::CoapUplink;
#[cfg(feature = "embassy-net")]
pub use datagrams::Datagrams;
#[cfg(feature = "mqtt")]
pub use mqtt::MqttUplink;
pub use outbox::{Letter, Outbox, PAYLOAD_BYTES_MAX, Verdict};
pub use run::run_uplink;

use crate::{
    Clock,
    store::{Identity, Store},
};

/// A way to the gateway.
pub trait Uplink {
    /// Connects, logs in, and delivers what `outbox` has, oldest first, one at a time, until the way breaks. What was
    /// not settled is sent again. May be given up at any time.
    fn serve<S: Store<C>, const C: usize>(
        &mut self,
        login: &Identity,
        outbox: &Outbox<S, C>,
        clock: &impl Clock,
    ) -> impl Future<Output = Ended>;
}

/// Why an [`Uplink`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The gateway cannot be reached, does not answer, or has ended the connection.
    Broken,
    /// The gateway does not know the board, or not by this secret.
    Refused,
    /// The gateway asks for some patience.
    Later {
        /// Milliseconds at least.
        wait_ms: u64,
    },
}

/// What the boots of a name are counted from, so that they are not those of an earlier life of this name: see
/// [`Identity::boot_base`].
#[must_use]
pub const fn random_boot_base(random: u32) -> u32 {
    random >> 1
}

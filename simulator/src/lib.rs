//! Thousands of virtual sensors over MQTT and CoAP in one process, and an audit of what arrived.
//!
//! A [`Plan`] says what to simulate, [`run`] does it and answers with a [`Report`]. Each virtual device keeps a
//! reading until the server has acknowledged it and sends it again after a lost connection, in order and under the
//! same number. The [`audit`] reads the gateway's file output and compares it with what was acknowledged.

pub mod plan;

pub mod scenario;

pub mod profile;

pub mod value;

pub mod payload;

pub mod device;

pub mod ranges;

mod clock;

mod departures;

mod link;

mod mqtt;

mod coap;

mod latency;

mod count;

mod sensor;

mod part;

mod launch;

mod run;

pub mod audit;

pub mod baseline;

pub mod report;

pub mod progress;

mod error;

pub use count::Counts;
pub use error::Error;
pub use latency::LatencyMs;
pub use link::Qos;
pub use mqtt::Version;
pub use plan::{AuditPlan, AuditSource, BusSource, Group, Login, Plan, Protocol, Target};
pub use profile::Profile;
pub use progress::{Phase, Progress, TargetProgress};
pub use report::{Report, TargetReport};
pub use run::run;

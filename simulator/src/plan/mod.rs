//! What to simulate.

mod audit;
mod credentials;
mod target;
mod template;

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

pub use audit::{AuditPlan, AuditSource, BusSource, InvalidAuditSource};
pub use credentials::{CREDENTIALS_BYTES_MAX, Login, read as read_credentials};
pub(crate) use target::Deal;
pub use target::{Protocol, TARGETS_MAX, Target, WEIGHT_MAX};
pub(crate) use template::Words;

use crate::{Error, Profile, Qos, Version, coap, payload::PAYLOAD_BYTES_MAX};

/// Devices of the largest fleet.
pub const DEVICES_MAX: u32 = 100_000;

/// Publishes on their way on one connection, at most.
pub const INFLIGHT_MAX: u16 = 1024;

/// Groups of the most varied run.
pub const GROUPS_MAX: usize = 256;

/// Readings in the longest backlog that a device may be given.
pub const BACKLOG_MAX: u64 = 1_000_000;

/// What to simulate. [`Plan::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers, among which the devices are dealt out by their weights: with equal ones in turn.
    pub targets: Vec<Target>,
    /// MQTT 5 by default: in 3.1.1 a server cannot say why it refuses a reading.
    pub version: Version,
    /// At least once by default.
    pub qos: Qos,
    /// Number of virtual devices.
    pub devices: u32,
    /// Number of the first device, which templates see as `%i`; 1 by default.
    pub first: u32,
    /// One login a device, in order. Without: `user` and `password`.
    pub credentials: Option<Vec<Login>>,
    /// Template of the user name where there are no credentials.
    pub user: Option<String>,
    /// Password for `user`.
    pub password: Option<String>,
    /// Template of the client id; `None`: the user name of the credentials, else `sensor_%i`.
    pub client_id: Option<String>,
    /// Template of the topic, which CoAP has as its path.
    pub topic: String,
    /// Time between two readings of a device. Zero: the next one as soon as there is room in the window.
    pub interval: Duration,
    /// When within the interval they come, and what they say. Every two seconds between 20 and 40 °C by default.
    pub profile: Profile,
    /// For how long each device plans readings. `None`: until stopped.
    pub duration: Option<Duration>,
    /// From what values, phases and back-off are made.
    pub seed: u64,
    /// Which start of the devices this is. [`boot_now`] by default, so that a later run has a higher one.
    pub boot: u32,
    /// Payloads are made up to this many bytes.
    pub payload_bytes: usize,
    /// Publishes without an acknowledgement on one connection: NSTART of CoAP. With more than one, readings that CoAP
    /// has to repeat come out of order.
    pub inflight: u16,
    /// New connections a second while the fleet comes up.
    pub connect_rate: u32,
    /// Seconds are what MQTT knows; MQTT 5 connections use at least five.
    pub keep_alive: Duration,
    /// Readings that a device keeps while it cannot send them.
    pub backlog: u64,
    /// For how long nobody may be let in before the run is given up.
    pub first_connect_max: Duration,
    /// Without an acknowledgement for this long, a device connects anew. With CoAP it is the time between the
    /// acknowledgement of a request and its response.
    pub acknowledge_max: Duration,
    /// CoAP: between a message and its first repetition, ACK_TIMEOUT of RFC 7252 section 4.8; doubled with each.
    pub retransmit_wait: Duration,
    /// How long devices may take after the end to settle what they owe.
    pub settle_max: Duration,
    /// Where to look whether everything arrived.
    pub audit: Option<AuditPlan>,
    /// Sensors of several kinds, in place of `devices` that are all alike. None by default.
    pub groups: Vec<Group>,
}

/// Sensors of one kind, among others.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they are called in messages.
    pub name: String,
    /// When the first of them connects, from the beginning of the run on.
    pub start: Duration,
    /// What they are. Of `seed`, `boot`, `connect_rate`, `first_connect_max`, `settle_max` and `audit` those of the
    /// whole run count.
    pub sensors: Plan,
}

/// Names of one virtual device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As the gateway's output names it.
    pub(crate) device: Box<str>,
    pub(crate) client_id: Box<str>,
    pub(crate) login: Option<(Box<str>, Box<str>)>,
    pub(crate) topic: Box<str>,
}

impl Identity {
    pub(crate) fn login(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|(user, password)| (&**user, &**password))
    }

    fn fits_coap(&self) -> bool {
        coap::fits(&self.topic, self.login())
    }
}

impl Plan {
    /// A plan with the defaults: MQTT 5, QoS 1, topic `telemetry`, a reading every two seconds until stopped.
    #[must_use]
    pub fn new(target: Target, devices: u32) -> Self {
        Self {
            targets: vec![target],
            version: Version::default(),
            qos: Qos::default(),
            devices,
            first: 1,
            credentials: None,
            user: None,
            password: None,
            client_id: None,
            topic: "telemetry".into(),
            interval: Duration::from_secs(2),
            profile: Profile::default(),
            duration: None,
            seed: 1,
            boot: boot_now(),
            payload_bytes: 0,
            inflight: 1,
            connect_rate: 500,
            keep_alive: Duration::from_secs(60),
            backlog: 1000,
            first_connect_max: Duration::from_secs(10),
            acknowledge_max: Duration::from_secs(30),
            retransmit_wait: Duration::from_secs(2),
            settle_max: Duration::from_secs(30),
            audit: None,
            groups: Vec::new(),
        }
    }

    /// All groups, checked, and with the names of their devices: one group where the plan names none.
    pub(crate) fn into_groups(self) -> Result<Vec<(Group, Vec<Identity>)>, Error> {
        self.check_groups()?;
        let groups = if self.groups.is_empty() {
            vec![Group { name: String::new(), start: Duration::ZERO, sensors: self }]
        } else {
            let (seed, boot, settle_max) = (self.seed, self.boot, self.settle_max);
            let whole = |sensors: Self| Self { seed, boot, settle_max, ..sensors };
            let groups = self.groups.into_iter();
            groups.map(|group| Group { sensors: whole(group.sensors), ..group }).collect()
        };
        let mut names = HashSet::new();
        let mut named = Vec::with_capacity(groups.len());
        for group in groups {
            let identities = group.sensors.identities()?;
            if let Some(twice) = identities.iter().find(|identity| !names.insert(identity.device.clone())) {
                return Err(Error::Plan(format!(
                    "two sensors are called {}: each needs its own name",
                    twice.device
                )));
            }
            named.push((group, identities));
        }
        Ok(named)
    }

    /// Number of virtual devices, of all groups.
    #[must_use]
    pub fn devices_in_all(&self) -> u32 {
        match &self.groups[..] {
            [] => self.devices,
            groups => groups.iter().fold(0, |sum, group| sum.saturating_add(group.sensors.devices)),
        }
    }

    /// Is the number of groups, and of all their devices, one that can be?
    pub(crate) fn check_groups(&self) -> Result<(), Error> {
        if self.groups.len() > GROUPS_MAX {
            return Err(Error::Plan(format!(
                "{} groups: at most {GROUPS_MAX} can be told apart",
                self.groups.len()
            )));
        }
        let devices = self.devices_in_all();
        if !self.groups.is_empty() && devices > DEVICES_MAX {
            return Err(Error::Plan(format!(
                "{devices} devices in all groups: 1 to {DEVICES_MAX} can be simulated"
            )));
        }
        Ok(())
    }

    /// The names of all devices.
    pub(crate) fn identities(&self) -> Result<Vec<Identity>, Error> {
        self.check()?;
        let indices = self.first..self.first.saturating_add(self.devices);
        let identities: Vec<_> = match &self.credentials {
            Some(logins) => indices.zip(logins).map(|(index, login)| self.with_login(index, login)).collect(),
            None => indices.map(|index| self.without_credentials(index)).collect(),
        };
        match identities.iter().find(|identity| self.has_coap() && !identity.fits_coap()) {
            Some(identity) => Err(Error::Plan(format!(
                "{}: CoAP takes at most {} bytes for each part of the topic, the user name and the password",
                identity.device,
                coap::NAME_BYTES_MAX
            ))),
            None => Ok(identities),
        }
    }

    fn has_coap(&self) -> bool {
        self.targets.iter().any(|target| target.protocol == Protocol::Coap)
    }

    fn with_login(&self, index: u32, login: &Login) -> Identity {
        let words = Words { index, user: &login.device, client_id: "" };
        let client_id =
            self.client_id.as_ref().map_or_else(|| login.device.clone(), |text| words.expand(text));
        let topic = Words { client_id: &client_id, ..words }.expand(&self.topic);
        Identity {
            device: login.device.as_str().into(),
            client_id: client_id.into(),
            login: Some((login.device.as_str().into(), login.secret.as_str().into())),
            topic: topic.into(),
        }
    }

    fn without_credentials(&self, index: u32) -> Identity {
        let words = Words { index, user: "", client_id: "" };
        let user = self.user.as_ref().map(|user| words.expand(user));
        let words = Words { user: user.as_deref().unwrap_or_default(), ..words };
        let client_id = words.expand(self.client_id.as_deref().unwrap_or("sensor_%i"));
        let topic = Words { client_id: &client_id, ..words }.expand(&self.topic);
        // One login for all says nothing about which device it is.
        let own_user = user.as_ref().filter(|_| self.user.as_ref().is_some_and(|user| user.contains("%i")));
        Identity {
            device: own_user.unwrap_or(&client_id).as_str().into(),
            client_id: client_id.as_str().into(),
            login: user.map(|user| (user.into(), self.password.clone().unwrap_or_default().into())),
            topic: topic.into(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let say = |text: String| Err(Error::Plan(text));
        if self.targets.is_empty() || self.targets.len() > TARGETS_MAX {
            return say(format!("--target: 1 to {TARGETS_MAX} servers can be named"));
        }
        if self.devices == 0 || self.devices > DEVICES_MAX {
            return say(format!("--devices {}: 1 to {DEVICES_MAX} devices can be simulated", self.devices));
        }
        if self.inflight == 0 || self.inflight > INFLIGHT_MAX {
            return say(format!(
                "--inflight {}: 1 to {INFLIGHT_MAX} publishes can be on their way",
                self.inflight
            ));
        }
        if self.payload_bytes > PAYLOAD_BYTES_MAX {
            return say(format!(
                "-s {}: a payload has {PAYLOAD_BYTES_MAX} bytes at most",
                self.payload_bytes
            ));
        }
        if self.has_coap() && self.payload_bytes > coap::PAYLOAD_BYTES_MAX {
            return say(format!(
                "-s {}: CoAP takes {} bytes in one message (RFC 7252 section 4.6)",
                self.payload_bytes,
                coap::PAYLOAD_BYTES_MAX
            ));
        }
        if self.backlog == 0 || self.backlog > BACKLOG_MAX {
            return say(format!("--backlog {}: a device can keep 1 to {BACKLOG_MAX} readings", self.backlog));
        }
        if let Err(why) = self.profile.check(self.interval) {
            return say(format!("--profile {}: {why}", self.profile));
        }
        if self.connect_rate == 0 {
            return say("--connect-rate 0: nobody would ever connect; give at least 1 a second".into());
        }
        if self.topic.is_empty() || self.topic.contains(['+', '#']) {
            return say(format!(
                "-t {:?}: a topic to publish to is not empty and holds no + or #",
                self.topic
            ));
        }
        let available = self.credentials.as_ref().map_or(usize::MAX, Vec::len);
        if usize::try_from(self.devices).is_ok_and(|devices| devices > available) {
            return say(format!(
                "{} devices but only {available} logins in the credentials: make more with \
                 `tidegate device add --count {} --prefix sensor_ --out creds.csv`, or give --devices {available}",
                self.devices, self.devices
            ));
        }
        Ok(())
    }
}

/// Seconds since 1970: each run that begins in a later second than the last has a higher boot, without anybody
/// keeping count.
#[must_use]
pub fn boot_now() -> u32 {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

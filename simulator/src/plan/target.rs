use std::{fmt, str::FromStr};

/// Port of MQTT without TLS.
const MQTT_PORT: u16 = 1883;

/// Port of CoAP without DTLS, RFC 7252 section 6.1.
const COAP_PORT: u16 = 5683;

/// Targets of the widest run.
pub const TARGETS_MAX: usize = 16;

/// The largest weight of a target.
pub const WEIGHT_MAX: u32 = 1000;

/// What a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT over TCP.
    #[default]
    Mqtt,
    /// CoAP over UDP.
    Coap,
}

/// Where a server is, and what part of the devices speaks to it: `mqtt://HOST:PORT`, `coap://HOST:PORT`, either with a
/// weight behind, `=70`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it speaks.
    pub protocol: Protocol,
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port of MQTT, UDP port of CoAP.
    pub port: u16,
    /// Of the sum of all targets' weights, this many devices go here; 1 by default.
    pub weight: u32,
}

impl Target {
    /// An MQTT server, of weight 1.
    #[must_use]
    pub fn mqtt(host: &str, port: u16) -> Self {
        Self { protocol: Protocol::Mqtt, host: host.to_owned(), port, weight: 1 }
    }

    /// A CoAP server, of weight 1.
    #[must_use]
    pub fn coap(host: &str, port: u16) -> Self {
        Self { protocol: Protocol::Coap, host: host.to_owned(), port, weight: 1 }
    }

    /// Do both name one server, whatever their weights?
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        (self.protocol, &self.host, self.port) == (other.protocol, &other.host, other.port)
    }

    /// The host as it stands in front of a port: an IPv6 address in brackets.
    pub(crate) fn authority_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// Deals out devices one by one: each target gets its part as evenly as whole devices allow, and the first device
/// goes to the first of those that are owed the most.
#[derive(Debug)]
pub(crate) struct Deal {
    weights: Vec<i64>,
    owed: Vec<i64>,
}

impl Deal {
    pub(crate) fn new(targets: &[Target]) -> Self {
        let weights: Vec<_> = targets.iter().map(|target| i64::from(target.weight)).collect();
        Self { owed: vec![0; weights.len()], weights }
    }

    /// The place of the next device's target; 0 where there is none.
    pub(crate) fn next(&mut self) -> usize {
        let sum: i64 = self.weights.iter().sum();
        let mut most = (0, i64::MIN);
        for (place, (owed, weight)) in self.owed.iter_mut().zip(&self.weights).enumerate() {
            *owed += weight;
            if *owed > most.1 {
                most = (place, *owed);
            }
        }
        if let Some(owed) = self.owed.get_mut(most.0) {
            *owed -= sum;
        }
        most.0
    }
}

impl FromStr for Target {
    type Err = String;

    /// Takes `mqtt://HOST:PORT`, `coap://HOST:PORT`, `tcp://HOST:PORT`, `HOST:PORT` (the last two are MQTT), each
    /// without a port, and all of them with a weight behind: `=70`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            Err(format!(
                "{why}; a target is mqtt://HOST:PORT or coap://HOST:PORT, such as mqtt://127.0.0.1:1883"
            ))
        };
        let (protocol, rest) = match text.split_once("://") {
            None => (Protocol::Mqtt, text),
            Some(("mqtt" | "tcp", rest)) => (Protocol::Mqtt, rest),
            Some(("coap", rest)) => (Protocol::Coap, rest),
            Some((scheme, _)) => return wrong(&format!("{scheme}:// is not supported")),
        };
        let (rest, weight) = match rest.rsplit_once('=') {
            None => (rest, Some(1)),
            Some((rest, weight)) => (rest, weight.parse().ok().filter(|it| (1..=WEIGHT_MAX).contains(it))),
        };
        let Some(weight) = weight else {
            return wrong(&format!("the weight behind = is no number from 1 to {WEIGHT_MAX}"));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => match bracketed.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, port)) => (host, port.strip_prefix(':')),
                None => return wrong("a bracket is not closed"),
            },
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return wrong("no host");
        }
        let usual = if protocol == Protocol::Coap { COAP_PORT } else { MQTT_PORT };
        let Some(port) = port.map_or(Some(usual), |port| port.parse().ok()) else {
            return wrong("the port is no number from 0 to 65535");
        };
        Ok(Self { protocol, host: host.into(), port, weight })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.protocol == Protocol::Coap { "coap" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.authority_host(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_in_all_their_forms() {
        for (text, host, port) in [
            ("mqtt://127.0.0.1:2883", "127.0.0.1", 2883),
            ("mqtt://gateway.local", "gateway.local", 1883),
            ("tcp://h:1/", "h", 1),
            ("h", "h", 1883),
            ("mqtt://[::1]:5", "::1", 5),
            ("[::1]", "::1", 1883),
        ] {
            assert_eq!(text.parse(), Ok(Target::mqtt(host, port)), "{text}");
            let heavy = Target { weight: 70, ..Target::mqtt(host, port) };
            assert_eq!(format!("{text}=70").parse(), Ok(heavy), "{text}");
        }
        assert_eq!("coap://h".parse(), Ok(Target::coap("h", 5683)));
        assert_eq!("coap://[::1]:5=2".parse(), Ok(Target { weight: 2, ..Target::coap("::1", 5) }));
        assert_eq!(Target::coap("::1", 5).to_string(), "coap://[::1]:5");
        assert_eq!("[::1]:5".parse::<Target>().unwrap().to_string(), "mqtt://[::1]:5");
    }

    #[test]
    fn what_is_no_target_is_told_so() {
        for text in [
            "",
            "mqtts://h",
            "coaps://h",
            "mqtt://",
            "h:port",
            "h:70000",
            "[::1",
            "user@h",
            "h=",
            "h=0",
            "h=x",
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains("mqtt://HOST:PORT"), "{text}: {error}");
        }
    }

    #[test]
    fn weight_max_is_reached() {
        assert_eq!(format!("h={WEIGHT_MAX}").parse::<Target>().unwrap().weight, WEIGHT_MAX);
        assert!(format!("h={}", WEIGHT_MAX + 1).parse::<Target>().unwrap_err().contains("weight"));
    }

    #[test]
    fn devices_are_dealt_out_in_turn_or_by_weight() {
        let deal = |texts: &[&str], count: usize| -> Vec<usize> {
            let targets: Vec<Target> = texts.iter().map(|text| text.parse().unwrap()).collect();
            let mut deal = Deal::new(&targets);
            (0..count).map(|_| deal.next()).collect()
        };
        assert_eq!(deal(&["a"], 3), [0, 0, 0]);
        assert_eq!(deal(&["a", "b", "c"], 7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(deal(&["a=2", "b"], 6), [0, 1, 0, 0, 1, 0]);
        let mixed = deal(&["a=70", "b=30"], 1000);
        assert_eq!(mixed.iter().filter(|place| **place == 0).count(), 700);
        // No long runs: any ten devices in a row are divided alike.
        assert!(mixed.windows(10).all(|ten| (6..=8).contains(&ten.iter().filter(|p| **p == 0).count())));
    }
}

use std::{fmt, str::FromStr};

/// Port of MQTT without TLS.
const DEFAULT_PORT: u16 = 1883;

/// Where the server is: `mqtt://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Target {
    /// The host as it stands in front of a port: an IPv6 address in brackets.
    pub(crate) fn authority_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl FromStr for Target {
    type Err = String;

    /// Takes `mqtt://HOST:PORT`, `tcp://HOST:PORT`, `HOST:PORT` and each without a port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |why: &str| Err(format!("{why}; a target is mqtt://HOST:PORT, such as mqtt://127.0.0.1:1883"));
        let rest = match text.split_once("://") {
            None => text,
            Some(("mqtt" | "tcp", rest)) => rest,
            Some((scheme, _)) => return wrong(&format!("{scheme}:// is not supported")),
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
        let Some(port) = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok()) else {
            return wrong("the port is no number from 0 to 65535");
        };
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mqtt://{}:{}", self.authority_host(), self.port)
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
            assert_eq!(text.parse(), Ok(Target { host: host.into(), port }), "{text}");
        }
        assert_eq!("[::1]:5".parse::<Target>().unwrap().to_string(), "mqtt://[::1]:5");
    }

    #[test]
    fn what_is_no_target_is_told_so() {
        for text in ["", "mqtts://h", "mqtt://", "h:port", "h:70000", "[::1", "user@h"] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains("mqtt://HOST:PORT"), "{text}: {error}");
        }
    }
}

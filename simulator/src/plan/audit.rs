use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// Port of a name server.
const NAME_SERVER_PORT: u16 = 9876;

/// Topics of the gateway's output, as they are by default.
const TOPICS: [&str; 2] = ["iot-topic", "iot-device-topic"];

/// Where to look whether everything arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSource {
    /// The folder of the gateway's file output.
    Folder(PathBuf),
    /// A RocketMQ: what the gateway's output sends there.
    Bus(Box<BusSource>),
}

/// Topics of a RocketMQ, and how to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSource {
    /// `HOST:PORT` of each name server.
    pub name_servers: Vec<String>,
    /// What the gateway's output sends to.
    pub topics: Vec<String>,
    /// The user, where the servers ask for one.
    pub access_key: Option<String>,
    /// Holds the user's secret.
    pub secret_file: Option<PathBuf>,
    /// The authority that the servers' certificates are of; without it they are spoken to in plain text.
    pub ca_file: Option<PathBuf>,
}

/// The text names no place to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give file: and the folder of the gateway's file output, such as file:data/out, or \
     rocketmq://[ACCESS_KEY@]HOST:PORT[,HOST:PORT][?topic=NAME&topic=NAME], the secret by --audit-secret-file"
)]
pub struct InvalidAuditSource;

impl FromStr for AuditSource {
    type Err = InvalidAuditSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(dir) = text.strip_prefix("file:").filter(|dir| !dir.is_empty()) {
            return Ok(Self::Folder(dir.into()));
        }
        let rest = text.strip_prefix("rocketmq://").ok_or(InvalidAuditSource)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (access_key, hosts) = match rest.rsplit_once('@') {
            // A secret here would stand in the list of processes.
            Some((key, hosts)) if !key.is_empty() && !key.contains(':') => (Some(key.to_owned()), hosts),
            None => (None, rest),
            Some(_) => return Err(InvalidAuditSource),
        };
        let server = |host: &str| match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => Ok(host.to_owned()),
            None if !host.is_empty() => Ok(format!("{host}:{NAME_SERVER_PORT}")),
            _ => Err(InvalidAuditSource),
        };
        let name_servers = hosts.trim_end_matches('/').split(',').map(server).collect::<Result<_, _>>()?;
        let topic = |pair: &str| match pair.strip_prefix("topic=") {
            Some(topic) if !topic.is_empty() => Ok(topic.to_owned()),
            _ => Err(InvalidAuditSource),
        };
        let named =
            query.split('&').filter(|pair| !pair.is_empty()).map(topic).collect::<Result<Vec<_>, _>>()?;
        let topics = if named.is_empty() { TOPICS.map(str::to_owned).to_vec() } else { named };
        let (secret_file, ca_file) = (None, None);
        Ok(Self::Bus(Box::new(BusSource { name_servers, topics, access_key, secret_file, ca_file })))
    }
}

impl fmt::Display for AuditSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{}", dir.display()),
            Self::Bus(bus) => {
                write!(f, "rocketmq://{}", bus.name_servers.join(","))?;
                if bus.topics == TOPICS { Ok(()) } else { write!(f, "?topic={}", bus.topics.join("&topic=")) }
            }
        }
    }
}

/// Where and how to look whether everything arrived.
#[derive(Clone, Debug)]
pub struct AuditPlan {
    /// Where.
    pub source: AuditSource,
    /// How long to wait after the last acknowledged reading has come that was still missing.
    pub wait_max: Duration,
    /// Must the values be those that were sent? Not where a route changes them.
    pub compare_values: bool,
}

impl AuditPlan {
    /// Looks into a folder, waits 30 seconds and compares values.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self::of(AuditSource::Folder(dir))
    }

    /// Waits 30 seconds and compares values.
    #[must_use]
    pub const fn of(source: AuditSource) -> Self {
        Self { source, wait_max: Duration::from_secs(30), compare_values: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let of = |servers: &[&str], topics: &[&str], key: Option<&str>| {
            AuditSource::Bus(Box::new(BusSource {
                name_servers: owned(servers),
                topics: owned(topics),
                access_key: key.map(str::to_owned),
                secret_file: None,
                ca_file: None,
            }))
        };
        let bus = |servers: &[&str]| of(servers, &TOPICS, None);
        assert_eq!("file:d/out".parse(), Ok(AuditSource::Folder("d/out".into())));
        assert_eq!("rocketmq://a,b:7/".parse(), Ok(bus(&["a:9876", "b:7"])));
        assert_eq!(bus(&["a:1", "b:2"]).to_string(), "rocketmq://a:1,b:2");
        let named = of(&["a:9876"], &["x", "y"], Some("me"));
        assert_eq!("rocketmq://me@a/?topic=x&topic=y".parse(), Ok(named.clone()));
        assert_eq!(named.to_string(), "rocketmq://a:9876?topic=x&topic=y");
        let wrong = ["", "file:", "d/out", "rocketmq://", "rocketmq://a:x", "rocketmq://:1"];
        for wrong in wrong.into_iter().chain(["rocketmq://me:secret@a", "rocketmq://@a", "rocketmq://a?b=c"])
        {
            assert_eq!(wrong.parse::<AuditSource>(), Err(InvalidAuditSource), "{wrong}");
        }
    }
}

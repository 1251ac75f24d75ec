use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// Port of a name server.
const NAME_SERVER_PORT: u16 = 9876;

/// Where to look whether everything arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSource {
    /// The folder of the gateway's file output.
    Folder(PathBuf),
    /// The name servers of a RocketMQ, `HOST:PORT` each: what the gateway's output sends there.
    Bus(Vec<String>),
}

/// The text names no place to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give file: and the folder of the gateway's file output, such as file:data/out, or rocketmq://HOST:PORT"
)]
pub struct InvalidAuditSource;

impl FromStr for AuditSource {
    type Err = InvalidAuditSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(dir) = text.strip_prefix("file:").filter(|dir| !dir.is_empty()) {
            return Ok(Self::Folder(dir.into()));
        }
        let hosts = text.strip_prefix("rocketmq://").ok_or(InvalidAuditSource)?.trim_end_matches('/');
        let server = |host: &str| match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => Ok(host.to_owned()),
            None if !host.is_empty() => Ok(format!("{host}:{NAME_SERVER_PORT}")),
            _ => Err(InvalidAuditSource),
        };
        hosts.split(',').map(server).collect::<Result<_, _>>().map(Self::Bus)
    }
}

impl fmt::Display for AuditSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{}", dir.display()),
            Self::Bus(name_servers) => write!(f, "rocketmq://{}", name_servers.join(",")),
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
        let bus = |servers: &[&str]| AuditSource::Bus(servers.iter().map(|s| (*s).to_owned()).collect());
        assert_eq!("file:d/out".parse(), Ok(AuditSource::Folder("d/out".into())));
        assert_eq!("rocketmq://a,b:7/".parse(), Ok(bus(&["a:9876", "b:7"])));
        assert_eq!(bus(&["a:1", "b:2"]).to_string(), "rocketmq://a:1,b:2");
        for wrong in ["", "file:", "d/out", "rocketmq://", "rocketmq://a:x", "rocketmq://:1"] {
            assert_eq!(wrong.parse::<AuditSource>(), Err(InvalidAuditSource), "{wrong}");
        }
    }
}

//! From the configuration to a client, and the lines that an administrator of the cluster needs.

use std::{fs, io, time::Duration};

use tidegate_rocketmq::{
    Credentials, Options,
    tls::{Files, Tls},
};

use crate::config::RocketMqConfig;

/// Bytes in the largest file of a secret that is read.
const SECRET_BYTES_MAX: u64 = 4096;

/// What a cluster is called that nobody has named.
pub const CLUSTER: &str = "DefaultCluster";

/// How the servers of `config` are spoken to.
///
/// # Errors
/// A file that `config` names cannot be read, or holds something else.
pub fn options(config: &RocketMqConfig) -> io::Result<Options> {
    let credentials = match &config.access_key {
        None => None,
        Some(access_key) => Some(Credentials {
            access_key: access_key.clone(),
            secret_key: secret(config)?,
            security_token: None,
        }),
    };
    let tls = match &config.ca_file {
        Some(ca) if config.tls => {
            let own = config.cert_file.clone().zip(config.key_file.clone());
            let files = Files { ca: ca.clone(), own, server_name: config.server_name.clone() };
            Some(Tls::load(&files).map_err(io::Error::other)?)
        }
        _ => None,
    };
    Ok(Options { timeout: Duration::from_millis(config.timeout_ms), credentials, tls })
}

fn secret(config: &RocketMqConfig) -> io::Result<String> {
    let Some(path) = &config.secret_key_file else {
        return Ok(config.secret_key.as_ref().map(|secret| secret.0.clone()).unwrap_or_default());
    };
    let failed = |why: String| io::Error::other(format!("the secret in {}: {why}", path.display()));
    let about = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if about.len() > SECRET_BYTES_MAX {
        return Err(failed(format!("{} bytes are too long for one", about.len())));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    match text.trim() {
        "" => Err(failed("the file is empty".to_owned())),
        secret => Ok(secret.to_owned()),
    }
}

/// The line that makes a topic. A server 5.x can be told besides that order matters: `-a +message.type=FIFO`.
#[must_use]
pub fn update_topic(name_server: &str, cluster: &str, topic: &str, queues: u32) -> String {
    format!("mqadmin updateTopic -n {name_server} -c {cluster} -t {topic} -r {queues} -w {queues}")
}

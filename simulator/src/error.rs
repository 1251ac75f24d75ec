use std::{io, path::PathBuf};

use crate::{
    link::{Failure, Meaning},
    plan::{AuditSource, Protocol, Target},
    scenario::Fault,
};

/// Why a run could not be done, in words that say what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan asks for what cannot be.
    #[error("{0}")]
    Plan(String),
    /// The credentials cannot be read.
    #[error("credentials {}: {why}", path.display())]
    Credentials {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The scenario says what cannot be.
    #[error("{}", faults.iter().map(|fault| format!("{}:{fault}", path.display())).collect::<Vec<_>>().join("\n"))]
    Scenario {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        faults: Vec<Fault>,
    },
    /// No device was let in for as long as the plan allows.
    #[error("cannot connect to {target}: {cause}. {advice}")]
    Unreachable {
        /// Where.
        target: Target,
        /// What the last attempt ended with.
        cause: String,
        /// What to do.
        advice: &'static str,
    },
    /// The server refuses the logins.
    #[error(
        "{target} refuses the login of {device}: {cause}. Are these the credentials of that gateway? \
         `tidegate device list` shows whom it knows; `tidegate device add --count N --prefix sensor_ --out creds.csv` \
         makes logins for --credentials"
    )]
    LoginRefused {
        /// Where.
        target: Target,
        /// Who was refused last.
        device: String,
        /// Reason code and name.
        cause: String,
    },
    /// The gateway's output cannot be read.
    #[error(
        "audit of {what}: {source}. --audit takes file:DIR/out, the folder of the gateway's file output, or \
         rocketmq://HOST:PORT"
    )]
    Audit {
        /// Which output.
        what: AuditSource,
        /// What the system or the bus said.
        source: io::Error,
    },
    /// A file of ours cannot be written or read.
    #[error("{}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// A program that is to be compared is missing or has failed.
    #[error("{0}")]
    Baseline(String),
    /// A part of the simulator stopped without an answer.
    #[error("the simulator's own fault: {0}")]
    Internal(String),
}

impl Error {
    /// The process's exit code, as in `sysexits.h`.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Plan(_) => 2,
            Self::Credentials { .. } | Self::Scenario { .. } => 78,
            Self::Unreachable { .. } | Self::Baseline(_) => 69,
            Self::LoginRefused { .. } => 77,
            Self::Audit { .. } | Self::File { .. } => 74,
            Self::Internal(_) => 70,
        }
    }
}

impl Error {
    /// No device was let in at `target`; the last of them failed so.
    pub(crate) fn nobody_let_in(target: &Target, (device, failure): (String, Failure)) -> Self {
        let target = target.clone();
        let advice = match &failure {
            Failure::Refused(refusal) => match refusal.meaning {
                Meaning::Login => return Self::LoginRefused { target, device, cause: refusal.to_string() },
                Meaning::Rate => {
                    "The server takes fewer connections at a time: give a lower --connect-rate. After wrong passwords \
                     it may make this address wait; then try again in a minute"
                }
                Meaning::Passing(_) | Meaning::Lasting => "The gateway's log has more",
            },
            Failure::NothingListens => {
                "Is the gateway running, and is this its port? Without --lan it listens on 127.0.0.1 only"
            }
            Failure::Network(_) => "Check the host's name and the network",
            Failure::Timeout if target.protocol == Protocol::Coap => {
                "Is it a CoAP server, and does the network let UDP through to it?"
            }
            Failure::Timeout => {
                "Something takes connections there but does not answer CONNECT: is it an MQTT server?"
            }
            Failure::Closed => {
                "The server closes connections: does it want a login (--credentials creds.csv), or TLS, which is not \
                 supported here?"
            }
            Failure::Protocol(_) if target.protocol == Protocol::Coap => "Is it a CoAP server?",
            Failure::Protocol(_) => "Is it an MQTT server? Try the other --protocol-version",
        };
        Self::Unreachable { target, cause: failure.to_string(), advice }
    }
}

//! CoAP clients that others have written: libcoap's and aiocoap's.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::{Gateway, Login, programs};

/// What a client did.
#[derive(Debug)]
pub struct Outcome {
    pub output: Output,
    /// Standard output and error, one behind the other.
    pub printed: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let printed = String::from_utf8_lossy(&both).into_owned();
        Self { output, printed }
    }
}

/// `coap://…/PATH?device=…&token=…`.
fn uri(gateway: &Gateway, login: &Login, path: &str) -> String {
    format!("coap://{}/{path}?device={}&token={}", gateway.coap_address(), login.user, login.password)
}

/// libcoap's `coap-client -m METHOD WORDS… URI`, with what goes over the wire printed.
pub fn coap_client(gateway: &Gateway, login: &Login, method: &str, path: &str, words: &[&str]) -> Outcome {
    let mut command = Command::new("timeout");
    command.args(["30", "coap-client-notls", "-v", "7", "-m", method]).args(words);
    Outcome::of(programs::run(command.arg(uri(gateway, login, path))))
}

/// `aiocoap-client -m METHOD WORDS… URI`, with options and codes printed.
pub fn aiocoap_client(gateway: &Gateway, login: &Login, method: &str, path: &str, words: &[&str]) -> Outcome {
    let mut command = Command::new("timeout");
    command.arg("30").arg(aiocoap_program()).args(["-v", "-m", method]).args(words);
    Outcome::of(programs::run(command.arg(uri(gateway, login, path))))
}

fn aiocoap_program() -> PathBuf {
    programs::program("AIOCOAP_CLIENT_BIN", "../aiocoap/bin/aiocoap-client", "tests/run coap")
}

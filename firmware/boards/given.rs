//! What is given to a build in its environment, checked before anything is compiled: a mistake is told there, and not
//! by a board that stays silent. Part of the boards' build scripts.

use std::{
    env,
    net::{Ipv4Addr, SocketAddrV4},
};

/// `DEVICE_ID_LEN_MAX` and `SECRET_LEN_MAX` of the protocol.
const NAME_LEN_MAX: usize = 64;
const SECRET_LEN_MAX: usize = 64;
/// What a WLAN's name may take, and its password (IEEE 802.11, annex J.4: a passphrase of ASCII).
const SSID_LEN_MAX: usize = 32;
const PASSWORD_LEN_MIN: usize = 8;
const PASSWORD_LEN_MAX: usize = 63;

/// Checks all of it; says what is wrong.
pub fn check() -> Result<(), String> {
    let has_radio = env::var_os("CARGO_FEATURE_WIFI").is_some();
    let device = text("TIDEGATE_DEVICE");
    let secret = text("TIDEGATE_SECRET");
    if device.is_some() != secret.is_some() {
        return Err("TIDEGATE_DEVICE and TIDEGATE_SECRET belong together".into());
    }
    if device.is_some_and(|name| !is_name(&name)) {
        return Err(format!("TIDEGATE_DEVICE is no name: 1 to {NAME_LEN_MAX} of A-Z a-z 0-9 _ -"));
    }
    if secret.as_ref().is_some_and(|secret| secret.is_empty() || secret.len() > SECRET_LEN_MAX) {
        return Err(format!("TIDEGATE_SECRET has 1 to {SECRET_LEN_MAX} bytes"));
    }
    let ssid = text("TIDEGATE_WIFI_SSID");
    let password = text("TIDEGATE_WIFI_PASSWORD").filter(|password| !password.is_empty());
    let gateway = text("TIDEGATE_GATEWAY");
    if !has_radio {
        return Ok(());
    }
    if secret.is_none() {
        return Err(
            "over WLAN a board has its name from the build: TIDEGATE_DEVICE and TIDEGATE_SECRET, of \
                    `tidegate device add`"
                .into(),
        );
    }
    if !ssid.is_some_and(|ssid| (1..=SSID_LEN_MAX).contains(&ssid.len())) {
        return Err(format!("TIDEGATE_WIFI_SSID is the WLAN's name, 1 to {SSID_LEN_MAX} bytes"));
    }
    if password.is_some_and(|password| {
        !password.is_ascii() || !(PASSWORD_LEN_MIN..=PASSWORD_LEN_MAX).contains(&password.len())
    }) {
        return Err(format!(
            "TIDEGATE_WIFI_PASSWORD has {PASSWORD_LEN_MIN} to {PASSWORD_LEN_MAX} characters of ASCII; without it the \
             WLAN is an open one"
        ));
    }
    if !gateway.is_some_and(|at| at.parse::<Ipv4Addr>().is_ok() || at.parse::<SocketAddrV4>().is_ok()) {
        return Err(
            "TIDEGATE_GATEWAY is the gateway's IPv4 address, with :PORT where it is not the usual".into()
        );
    }
    Ok(())
}

/// A variable of the environment, on whose change the board is built again.
fn text(variable: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={variable}");
    env::var(variable).ok()
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

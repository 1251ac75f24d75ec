//! A device that has proved who it is sends the same options each time: they are not read again, and are no way in.

use tidegate_tests::{
    CoapClient, Gateway, Login,
    coap::{Code, Datagram},
};

use crate::{CHANGED, READING, Rig, stored};

/// 4.01 Unauthorized (RFC 7252, section 5.9.2.2).
const UNAUTHORIZED: Code = Code(0x81);
/// 4.04 Not Found.
const NOT_FOUND: Code = Code(0x84);

/// Posts that are answered the same, one after the other.
fn post(client: &mut CoapClient, login: &Login) -> Code {
    let codes = [0; 3].map(|_| client.post_and_wait("telemetry", login, READING));
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    codes[0]
}

/// A secret that the gateway has just made.
fn told(gateway: &Gateway, words: &[&str]) -> String {
    let said = gateway.command(words);
    let secret = said.lines().find_map(|line| line.trim().strip_prefix("secret  "));
    secret.unwrap_or_else(|| panic!("no secret in {said}")).to_owned()
}

#[test]
fn who_was_let_in_before_is_kept_out_at_once() {
    let rig = Rig::start();
    let (gateway, mut client) = (&rig.gateway, rig.client());
    let Login { user, .. } = gateway.device.clone();
    assert_eq!(post(&mut client, &gateway.device), CHANGED);
    gateway.command(&["device", "disable", &user]);
    assert_eq!(post(&mut client, &gateway.device), UNAUTHORIZED);
    gateway.command(&["device", "enable", &user]);
    assert_eq!(post(&mut client, &gateway.device), CHANGED);

    let password = told(gateway, &["device", "rotate", &user]);
    let rotated = Login { user: user.clone(), password };
    assert_eq!((post(&mut client, &gateway.device), post(&mut client, &rotated)), (UNAUTHORIZED, CHANGED));
    gateway.command(&["device", "remove", &user]);
    assert_eq!(post(&mut client, &rotated), UNAUTHORIZED);
    assert_eq!(post(&mut client, &rig.other), CHANGED, "nobody else is concerned");
}

#[test]
fn what_differs_in_one_byte_is_read_anew() {
    let rig = Rig::start();
    let (login, mut client) = (&rig.gateway.device, rig.client());
    assert_eq!(post(&mut client, login), CHANGED);
    for at in [0, login.password.len() / 2, login.password.len() - 1] {
        let mut password = login.password.clone().into_bytes();
        password[at] ^= 1;
        let password = String::from_utf8(password).expect("hexadecimal digits");
        let guess = Login { password, ..login.clone() };
        assert_eq!(client.post_and_wait("telemetry", &guess, READING), UNAUTHORIZED, "{guess:?}");
    }
    let other = Login { user: rig.other.user.clone(), ..login.clone() };
    assert_eq!(client.post_and_wait("telemetry", &other, READING), UNAUTHORIZED);
    assert_eq!(client.post_and_wait("elsewhere", login, READING), NOT_FOUND);
    // Another method with the same options.
    let request = client.post("telemetry", login, READING);
    let put = Datagram { code: Code::PUT, ..request };
    assert_eq!(client.exchange(&put).response.code, Code(0x85));
    assert_eq!((post(&mut client, login), stored(&rig.gateway)), (CHANGED, 6));
}

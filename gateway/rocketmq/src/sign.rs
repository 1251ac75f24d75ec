use std::{borrow::Cow, fmt};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::wire::Command;

const ACCESS_KEY: &str = "AccessKey";
const SECURITY_TOKEN: &str = "SecurityToken";
const SIGNATURE: &str = "Signature";

/// Who this client is to a server with access control.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub access_key: String,
    /// The user's secret. It does not go over the wire.
    pub secret_key: String,
    /// For credentials that are lent for a while.
    pub security_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Signs `command`: HMAC-SHA-1 over the values of all parameters in the order of their names, and the body
    /// (`AclClientRPCHook` of the classic client). Whoever reads a request on its way can send it again: access control
    /// without TLS keeps out nobody who can listen.
    pub(crate) fn sign(&self, command: &mut Command) {
        let fields = &mut command.fields;
        fields.remove(SIGNATURE);
        fields.insert(Cow::Borrowed(ACCESS_KEY), self.access_key.clone());
        if let Some(token) = &self.security_token {
            fields.insert(Cow::Borrowed(SECURITY_TOKEN), token.clone());
        }
        // HMAC takes keys of any length (RFC 2104 §2).
        let Ok(mut mac) = <Hmac<Sha1>>::new_from_slice(self.secret_key.as_bytes()) else { return };
        fields.values().for_each(|value| mac.update(value.as_bytes()));
        mac.update(&command.body);
        let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        fields.insert(Cow::Borrowed(SIGNATURE), signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_signed_in_the_order_of_names_and_the_body_behind_them() {
        let credentials = Credentials {
            access_key: "what do ".to_owned(),
            secret_key: "Jefe".to_owned(),
            security_token: None,
        };
        // RFC 2202 §3, case 2: key "Jefe", data "what do ya want for nothing?".
        let mut command = Command::request(310).with("b", "ya want ").with_body("for nothing?");
        credentials.sign(&mut command);
        assert_eq!(command.field("Signature"), Some("7/zfauXrL6LSdBbV8YTfnCWafHk="));
        credentials.sign(&mut command);
        assert_eq!(
            command.field("Signature"),
            Some("7/zfauXrL6LSdBbV8YTfnCWafHk="),
            "signing again changes nothing"
        );
        assert_eq!(command.field("AccessKey"), Some("what do "));
        assert!(!format!("{credentials:?}").contains("Jefe"));
    }

    #[test]
    fn a_token_is_signed_too() {
        let token = Some("t".to_owned());
        let credentials =
            Credentials { access_key: "a".to_owned(), secret_key: "s".to_owned(), security_token: token };
        let (mut with, mut without) = (Command::request(1), Command::request(1));
        credentials.sign(&mut with);
        Credentials { security_token: None, ..credentials }.sign(&mut without);
        assert_eq!(with.field("SecurityToken"), Some("t"));
        assert_ne!(with.field("Signature"), without.field("Signature"));
    }
}

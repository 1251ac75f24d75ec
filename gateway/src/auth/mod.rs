//! Who is it, and what may it do: the device registry, credentials and rights.
//!
//! [`Registry`] is the one owner of logins. [`Registry::authenticate`] turns a user name and a password into
//! a [`Login`], reading an immutable snapshot without a lock; [`Login::may_publish`] and
//! [`Login::may_subscribe`] then decide on topics without looking anywhere else. Changes go to `state.db`
//! first, then into the snapshot, then to whoever asked by [`Registry::on_change`], so that sessions of a
//! revoked login end at once.
//!
//! **Invariant:** only `store` names the database, and nothing but `store` does I/O; filters, rights,
//! credentials, notes and the throttle are pure and take the time as an argument.

mod acl;
mod change;
mod changes;
mod command;
mod credentials;
mod filter;
mod import;
mod login;
mod mosquitto;
mod notes;
mod offer;
mod person;
mod registry;
mod snapshot;
mod store;
mod throttle;

#[cfg(test)]
mod tests;

pub use acl::{Denied, Publish, Rights};
pub use changes::Changes;
pub use command::{
    AddedDevice, DeviceAnswer, DeviceCommand, DeviceDetail, DeviceError, LIST_PAGE_MAX, LastReject,
    LoginDetail, NewDevice, PasswordText, apply,
};
pub use credentials::{CredentialKind, PASSWORD_LEN_MAX, PASSWORD_LEN_MIN, SECRET_BITS};
pub use filter::{FILTER_LEN_MAX, Filter, InvalidFilter};
pub use import::{HashedCredential, ImportedLogin};
pub use login::{Attempt, Login, Role};
pub use offer::KeyOffer;
pub use person::PersonCheck;
pub use registry::{Limits, Registry};
pub use store::{OpenError, StoreError};
pub use throttle::{Throttle, ThrottleLimits};

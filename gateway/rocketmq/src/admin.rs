//! Questions about a broker's set-up, for checks. With access control, only users with the right to may ask them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    client::Client,
    connection::RequestError,
    wire::{
        Command,
        code::{answer, request, word},
        json,
    },
};

/// Why there is no answer.
#[derive(Clone, Debug, Error)]
pub enum AdminError {
    /// The broker cannot be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It says no.
    #[error("broker {address}: {word} (code {code}): {remark}", word = word(*code))]
    Refused {
        /// Which.
        address: String,
        /// Its answer.
        code: i32,
        /// What it says beside.
        remark: String,
    },
    /// It answers something else.
    #[error("the answer of broker {address} cannot be read")]
    Unreadable {
        /// Which.
        address: String,
    },
}

/// The settings of the broker at `address`, by name.
///
/// # Errors
/// [`AdminError`].
pub async fn broker_settings(client: &Client, address: &str) -> Result<BTreeMap<String, String>, AdminError> {
    let answered = ask(client, address, Command::request(request::GET_BROKER_CONFIG)).await?;
    let text = std::str::from_utf8(&answered.body)
        .map_err(|_| AdminError::Unreadable { address: address.to_owned() })?;
    let line = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(text.lines().filter_map(line).collect())
}

/// The consumer groups that the broker at `address` knows.
///
/// # Errors
/// [`AdminError`].
pub async fn groups(client: &Client, address: &str) -> Result<BTreeSet<String>, AdminError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Groups {
        subscription_group_table: BTreeMap<String, serde::de::IgnoredAny>,
    }
    let answered = ask(client, address, Command::request(request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG)).await?;
    let groups: Groups = serde_json::from_slice(&json::standard(&answered.body))
        .map_err(|_| AdminError::Unreadable { address: address.to_owned() })?;
    Ok(groups.subscription_group_table.into_keys().collect())
}

async fn ask(client: &Client, address: &str, command: Command) -> Result<Command, AdminError> {
    let answered = client.request(address, command).await?;
    if answered.code == answer::SUCCESS {
        return Ok(answered);
    }
    let remark = answered.remark.unwrap_or_default();
    Err(AdminError::Refused { address: address.to_owned(), code: answered.code, remark })
}

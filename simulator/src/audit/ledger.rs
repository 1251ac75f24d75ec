use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{Error, profile::Values, ranges::Ranges};

/// What a run was acknowledged: all that a later audit needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// From what the values were made.
    pub seed: u64,
    /// Boot of all readings of the run.
    pub boot: u32,
    /// Acknowledged readings that no set had room for: with any of them the audit cannot be passed.
    pub unaudited: u64,
    /// Acknowledged numbers of each device. Devices without any are in it too.
    pub devices: BTreeMap<String, Ranges>,
    /// What each device measured, where it was not [`Values::Waves`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Values>,
}

impl Ledger {
    /// Readings acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.devices.values().fold(self.unaudited, |sum, ranges| sum.saturating_add(ranges.len()))
    }

    /// Writes the ledger as JSON.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let wrong = |why: String| Error::File { path: path.to_owned(), why };
        let mut file = BufWriter::new(File::create(path).map_err(|error| wrong(error.to_string()))?);
        serde_json::to_writer(&mut file, self).map_err(|error| wrong(error.to_string()))?;
        file.flush().map_err(|error| wrong(error.to_string()))
    }

    /// Reads what [`Ledger::save`] wrote.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn load(path: &Path) -> Result<Self, Error> {
        let wrong = |why: String| Error::File { path: path.to_owned(), why };
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_reader(BufReader::new(file))
            .map_err(|error| wrong(format!("not written by `simulator run --state`: {error}")))
    }
}

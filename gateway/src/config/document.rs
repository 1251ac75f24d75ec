//! The only place that names `toml`: text to values that know where they stand.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use super::error::Fault;

/// Faults in keys and types that one reading tells.
pub(super) const FAULTS_MAX: usize = 20;

/// A parsed text.
pub(super) struct Document<'i> {
    text: &'i str,
    root: Spanned<DeTable<'i>>,
}

/// One step from a table or an array to what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the value of a key.
    Key(&'static str),
    /// To an element, from 0.
    Index(usize),
}

/// Something wrong with the value at a path. The rules find these in a checked-by-type [`super::Config`], which
/// keeps no positions; the document knows where the path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: Vec<Step>,
    pub(super) wrong: String,
    pub(super) instead: String,
}

/// One `[[name]]` entry with the word of its `type`, and the rest still to be read.
pub(super) struct Entry<'d, 'i> {
    document: &'d Document<'i>,
    at: Range<usize>,
    kind: Option<(String, Range<usize>)>,
    rest: Spanned<DeTable<'i>>,
}

impl<'i> Document<'i> {
    /// # Errors
    /// The first fault when `text` is no TOML.
    pub(super) fn parse(text: &'i str) -> Result<Self, Fault> {
        let root = DeTable::parse(text).map_err(|error| fault(text, &error))?;
        Ok(Self { text, root })
    }

    /// # Errors
    /// The faults when keys or types are not those of `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Fault>> {
        read(self.text, self.root.clone())
    }

    /// The tables under the array `name`; `None` when the text does not say `name`.
    ///
    /// # Errors
    /// A fault when `name` is no array of tables.
    pub(super) fn entries(&self, name: &str) -> Result<Option<Vec<Entry<'_, 'i>>>, Fault> {
        let Some(value) = self.root.get_ref().get(name) else { return Ok(None) };
        let not_tables = |at| {
            self.fault_at(
                at,
                &format!("`{name}` is not a list of sections"),
                &format!("write `[[{name}]]` above each"),
            )
        };
        let array = value.get_ref().as_array().ok_or_else(|| not_tables(value.span()))?;
        let mut entries = Vec::with_capacity(array.len());
        for element in array.iter() {
            let DeValue::Table(table) = element.get_ref() else { return Err(not_tables(element.span())) };
            let mut table = table.clone();
            let kind = table.remove("type");
            let kind = kind.and_then(|kind| Some((kind.get_ref().as_str()?.to_owned(), kind.span())));
            let rest = Spanned::new(element.span(), table);
            entries.push(Entry { document: self, at: element.span(), kind, rest });
        }
        Ok(Some(entries))
    }

    /// Gives `finding` the line and column of the last step of its path that the text has.
    pub(super) fn locate(&self, finding: Finding) -> Fault {
        let mut at = 0..0;
        let mut steps = finding.path.iter();
        let mut value = match steps.next() {
            Some(Step::Key(key)) => self.root.get_ref().get(*key),
            _ => None,
        };
        while let Some(found) = value {
            at = found.span();
            value = match steps.next() {
                Some(Step::Key(key)) => found.get_ref().get(*key),
                Some(Step::Index(index)) => found.get_ref().get(*index),
                None => None,
            };
        }
        self.fault_at(at, &finding.wrong, &finding.instead)
    }

    /// A fault at every 0 in a section's section `limits`: a limit of nothing lets nothing through.
    pub(super) fn zeros(&self) -> Vec<Fault> {
        let sections = self.root.get_ref().values().filter_map(|value| value.get_ref().as_table());
        let limits = sections.filter_map(|section| section.get("limits")?.get_ref().as_table());
        let values = limits.flat_map(|limits| limits.values());
        let zeros = values.filter(|value| value.get_ref().as_integer().is_some_and(|n| n.as_str() == "0"));
        let instead = "write 1 or more, or leave the key out for its default";
        zeros.map(|value| self.fault_at(value.span(), "0 lets nothing through", instead)).collect()
    }

    fn fault_at(&self, at: Range<usize>, wrong: &str, instead: &str) -> Fault {
        Fault::new(self.text, at.start, wrong, instead)
    }
}

/// The text of `key` at the top of `text`, which may have faults elsewhere; `None` when it does not say `key`.
///
/// # Errors
/// A fault when the key is no text that can be used, or when `text` is no TOML and the key may be in what cannot
/// be read.
pub(super) fn lenient_text(text: &str, key: &str) -> Result<Option<String>, Fault> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let Some(value) = root.get_ref().get(key) else {
        let lost =
            text.lines().any(|line| line.trim_start().trim_start_matches(['"', '\'']).starts_with(key));
        return errors.first().filter(|_| lost).map_or(Ok(None), |error| Err(fault(text, error)));
    };
    match value.get_ref().as_str() {
        Some(said) if !said.is_empty() => Ok(Some(said.to_owned())),
        _ => Err(Fault::new(
            text,
            value.span().start,
            &format!("`{key}` is no text that can be used"),
            "write one in double quotes, such as \"data\"",
        )),
    }
}

impl Entry<'_, '_> {
    /// The word of `type`.
    ///
    /// # Errors
    /// A fault at the entry when it has none, or none that is a text.
    pub(super) fn kind(&self, known: &str) -> Result<&str, Fault> {
        match &self.kind {
            Some((kind, _)) => Ok(kind),
            None => Err(self.document.fault_at(
                self.at.clone(),
                "this section has no `type`",
                &format!("add `type = {known}`"),
            )),
        }
    }

    /// A fault at the word of `type`.
    pub(super) fn unknown_kind(&self, known: &str) -> Fault {
        let (word, at) = match &self.kind {
            Some((word, at)) => (word.as_str(), at.clone()),
            None => ("", self.at.clone()),
        };
        self.document.fault_at(at, &format!("`{word}` is no type known here"), &format!("write {known}"))
    }

    /// # Errors
    /// The faults when keys or types are not those of `T`.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Vec<Fault>> {
        read(self.document.text, self.rest)
    }
}

impl Finding {
    pub(super) fn new(path: &[Step], wrong: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { path: path.to_vec(), wrong: wrong.into(), instead: instead.into() }
    }

    /// As [`Document::locate`], for a text that has been parsed before.
    pub(super) fn locate_in(self, text: &str) -> Fault {
        match Document::parse(text) {
            Ok(document) => document.locate(self),
            Err(fault) => fault,
        }
    }
}

/// Reads `table`. Reading stops at a fault, so it is begun again without what is at fault, until all is read or
/// what is at fault is not to be taken out (a key that is missing).
fn read<T: DeserializeOwned>(text: &str, mut table: Spanned<DeTable<'_>>) -> Result<T, Vec<Fault>> {
    let mut faults = Vec::new();
    loop {
        match T::deserialize(Deserializer::from(table.clone())) {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => {
                faults.push(fault(text, &error));
                let taken_out = error.span().is_some_and(|at| take_out(table.get_mut(), at.start));
                if !taken_out || faults.len() == FAULTS_MAX {
                    break;
                }
            }
        }
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    Err(faults)
}

/// Removes the key and value that stand at `at`, in `table` or in the tables in it.
fn take_out(table: &mut DeTable<'_>, at: usize) -> bool {
    let here = |(key, value): &(&Spanned<_>, &Spanned<DeValue<'_>>)| {
        key.span().contains(&at) || (!holds_tables(value.get_ref()) && value.span().contains(&at))
    };
    if let Some(key) = table.iter().find(here).map(|(key, _)| key.get_ref().clone()) {
        return table.remove(&*key).is_some();
    }
    table.iter_mut().any(|(_, value)| match value.get_mut() {
        DeValue::Table(inner) => take_out(inner, at),
        DeValue::Array(array) => array.iter_mut().any(|element| match element.get_mut() {
            DeValue::Table(inner) => take_out(inner, at),
            _ => false,
        }),
        _ => false,
    })
}

fn holds_tables(value: &DeValue<'_>) -> bool {
    let first = value.as_array().and_then(|array| array.first());
    value.is_table() || first.is_some_and(|element| element.get_ref().is_table())
}

fn fault(text: &str, error: &toml::de::Error) -> Fault {
    let (wrong, instead) = super::wording::reword(error.message());
    Fault::new(text, error.span().map_or(0, |span| span.start), &wrong, &instead)
}

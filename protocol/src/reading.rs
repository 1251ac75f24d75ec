use core::fmt;

use crate::Name;

/// Measurements in the fullest [`Reading`].
pub const MEASUREMENTS_MAX: usize = 32;

/// Bytes in the longest [`Value::Text`].
pub const TEXT_LEN_MAX: usize = 64;

/// Bytes in the longest unit.
pub const UNIT_LEN_MAX: usize = 16;

/// A short text value: at most [`TEXT_LEN_MAX`] bytes.
pub type Text = heapless::String<TEXT_LEN_MAX, u8>;

/// A unit such as `°C` or `kWh`: at most [`UNIT_LEN_MAX`] bytes.
pub type Unit = heapless::String<UNIT_LEN_MAX, u8>;

/// What a measurement says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A temperature, a position, a count. Always finite in a [`Reading`] made by [`Reading::push`].
    Number(f64),
    /// A door, a switch.
    Boolean(bool),
    /// A state such as `open`.
    Text(Text),
}

/// One named value, with its unit where somebody knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// What was measured.
    pub name: Name,
    /// What it was.
    pub value: Value,
    /// In which unit; `None` when nobody said.
    pub unit: Option<Unit>,
}

/// What a device measured at one moment: a set of named measurements, numbered and timed where the device can.
///
/// `N` is the room for measurements: a sensor with two of them need not pay for [`MEASUREMENTS_MAX`].
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<const N: usize = MEASUREMENTS_MAX> {
    /// How often the device has started; with `sequence` it makes a duplicate recognisable.
    pub boot: Option<u32>,
    /// Number of this reading since the start `boot`.
    pub sequence: Option<u64>,
    /// Time of the device, Unix milliseconds.
    pub ts: Option<u64>,
    /// The measurements, each name at most once, in the order they were given.
    pub measurements: heapless::Vec<Measurement, N>,
}

/// Why a [`Measurement`] does not fit into a [`Reading`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoesNotFit {
    /// The reading is full.
    Full,
    /// The reading has a measurement of this name already.
    Duplicate,
    /// The number is infinite or not a number.
    NotFinite,
    /// The text is longer than [`TEXT_LEN_MAX`] or holds a control character.
    Text,
}

impl Value {
    /// A text value.
    ///
    /// # Errors
    /// [`DoesNotFit::Text`] when `text` is longer than [`TEXT_LEN_MAX`] or holds a control character.
    pub fn text(text: &str) -> Result<Self, DoesNotFit> {
        if text.chars().any(char::is_control) {
            return Err(DoesNotFit::Text);
        }
        Text::try_from(text).map(Self::Text).map_err(|_| DoesNotFit::Text)
    }

    /// The number, when it is one.
    #[must_use]
    pub const fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Boolean(_) | Self::Text(_) => None,
        }
    }
}

impl<const N: usize> Reading<N> {
    /// A reading with nothing in it yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { boot: None, sequence: None, ts: None, measurements: heapless::Vec::new() }
    }

    /// Adds a measurement without a unit.
    ///
    /// # Errors
    /// [`DoesNotFit`]: the reading is left as it was.
    pub fn push(&mut self, name: Name, value: Value) -> Result<(), DoesNotFit> {
        if matches!(&value, Value::Number(number) if !number.is_finite()) {
            return Err(DoesNotFit::NotFinite);
        }
        if self.get(name.as_str()).is_some() {
            return Err(DoesNotFit::Duplicate);
        }
        let measurement = Measurement { name, value, unit: None };
        self.measurements.push(measurement).map_err(|_| DoesNotFit::Full)
    }

    /// The measurement of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Measurement> {
        // Names of one device often differ in their ends only.
        let last = name.as_bytes().last();
        self.measurements
            .iter()
            .find(|m| m.name.as_str().as_bytes().last() == last && m.name.as_str() == name)
    }

    /// `(boot, sequence)` when the device gave both: the parts of an id that survive a repeat.
    #[must_use]
    pub fn numbers(&self) -> Option<(u32, u64)> {
        Some((self.boot?, self.sequence?))
    }
}

impl<const N: usize> Default for Reading<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many measurements for one reading",
            Self::Duplicate => "two measurements of one name",
            Self::NotFinite => "a number that is not finite",
            Self::Text => "a text that is too long or holds a control character",
        })
    }
}

impl core::error::Error for DoesNotFit {}

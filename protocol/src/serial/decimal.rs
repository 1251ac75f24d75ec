use serde::{Deserialize, Serialize};

/// Digits behind the point at most.
pub const DECIMAL_PLACES_MAX: u8 = 9;

/// A number as a sensor has it, `digits / 10^places`: a board needs no floating point, and 23.4 stays 23.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decimal {
    /// All digits, with the sign.
    pub digits: i64,
    /// How many of them stand behind the point, [`DECIMAL_PLACES_MAX`] at most.
    pub places: u8,
}

impl Decimal {
    /// `digits / 10^places`; none when `places` is above [`DECIMAL_PLACES_MAX`].
    #[must_use]
    pub const fn new(digits: i64, places: u8) -> Option<Self> {
        if places > DECIMAL_PLACES_MAX { None } else { Some(Self { digits, places }) }
    }

    /// The nearest double.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a double is what JSON holds (RFC 7493, section 2.2)")]
    pub fn to_f64(self) -> f64 {
        let scale = 10_u64.pow(u32::from(self.places.min(DECIMAL_PLACES_MAX)));
        // Up to 2^53 both are exact, and the quotient is rounded once: as if the decimal had been read.
        self.digits as f64 / scale as f64
    }

    /// How far it is from `other`, in units of the one with more places; saturates.
    #[must_use]
    pub fn distance(self, other: Self) -> Self {
        let places = self.places.max(other.places);
        let scaled = |one: Self| {
            let more = u32::from(places.saturating_sub(one.places));
            one.digits.saturating_mul(10_i64.saturating_pow(more))
        };
        Self { digits: scaled(self).saturating_sub(scaled(other)).saturating_abs(), places }
    }

    /// Whether it is as large as `other` or larger.
    #[must_use]
    pub fn reaches(self, other: Self) -> bool {
        let places = self.places.max(other.places);
        let scaled = |one: Self| {
            let more = u32::from(places.saturating_sub(one.places));
            one.digits.saturating_mul(10_i64.saturating_pow(more))
        };
        scaled(self) >= scaled(other)
    }
}

//! A route's cleaning of numbers: scale, offset, range, unit.

use tidegate_protocol::{Measurement, Reading, Unit, Value};

use super::{Reject, RouteConfig, json};

/// What a route does to numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clean {
    scale: f64,
    offset: f64,
    range: Option<[f64; 2]>,
    unit: Option<Unit>,
    /// The route says `scale`, `offset` or `range`, which nothing but a number can follow.
    pub(super) demands_numbers: bool,
}

impl Clean {
    /// `None` when the route cleans nothing; the error names the key and what is wrong with it.
    pub(super) fn compile(route: &RouteConfig) -> Result<Option<Self>, (&'static str, String)> {
        let scale = route.scale.unwrap_or(1.0);
        let offset = route.offset.unwrap_or(0.0);
        if !scale.is_finite() || scale == 0.0 {
            return Err(("scale", "it is a number other than 0".into()));
        }
        if !offset.is_finite() {
            return Err(("offset", "it is a number".into()));
        }
        if let Some([min, max]) = route.range
            && !(min.is_finite() && max.is_finite() && min <= max)
        {
            return Err(("range", "it is [min, max] with min not above max".into()));
        }
        let unit = match &route.unit {
            None => None,
            Some(text) => Some(json::unit(text).ok_or_else(|| {
                (
                    "unit",
                    format!("it has 1 to {} bytes, no control characters", tidegate_protocol::UNIT_LEN_MAX),
                )
            })?),
        };
        let demands_numbers = route.scale.or(route.offset).is_some() || route.range.is_some();
        let cleans = demands_numbers || unit.is_some();
        Ok(cleans.then_some(Self { scale, offset, range: route.range, unit, demands_numbers }))
    }

    /// Cleans the measurement called `name` where the reading has one, else every number: what a device calls its
    /// only value must not lead it around the range.
    ///
    /// # Errors
    /// [`Reject::Range`] when a number ends up outside the range or is no longer finite; [`Reject::Format`] when
    /// numbers are demanded and what is to be cleaned holds none.
    pub(super) fn apply(&self, reading: &mut Reading, name: Option<&str>) -> Result<(), Reject> {
        let only = name.filter(|name| reading.get(name).is_some());
        let mut numbers = 0_usize;
        for Measurement { name, value, unit } in &mut reading.measurements {
            if only.is_some_and(|only| only != name.as_str()) {
                continue;
            }
            if let Value::Number(number) = value {
                *number = self.number(*number)?;
                numbers += 1;
                if self.unit.is_some() {
                    unit.clone_from(&self.unit);
                }
            }
        }
        if self.demands_numbers && numbers == 0 { Err(Reject::Format) } else { Ok(()) }
    }

    fn number(&self, number: f64) -> Result<f64, Reject> {
        let cleaned = number * self.scale + self.offset;
        let inside = self.range.is_none_or(|[min, max]| (min..=max).contains(&cleaned));
        if inside && cleaned.is_finite() { Ok(cleaned) } else { Err(Reject::Range) }
    }
}

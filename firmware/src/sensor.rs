/// One thing that a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The measurement's name, see [`tidegate_protocol::Name`].
    pub name: &'static str,
    /// Its unit; empty when there is none.
    pub unit: &'static str,
    /// Digits behind the point: 366 with one place is 36.6.
    pub places: u8,
}

/// What each channel was, in units of its last place; none where the sensor did not answer.
pub type Values<const C: usize> = [Option<i32>; C];

/// Something that measures `C` channels.
pub trait Sensor<const C: usize> {
    /// What they are. Always the same.
    fn channels(&self) -> [Channel; C];

    /// Measures once.
    fn measure(&mut self) -> impl Future<Output = Values<C>>;
}

use core::fmt;

/// Which of the two ways through the gateway a message takes: `event` overtakes a `telemetry` backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Lane {
    /// Alarms and other messages that must not wait behind a backlog.
    Event = 0,
    /// Ordinary readings.
    Telemetry = 1,
}

impl Lane {
    /// Both lanes, the one that goes first first.
    pub const ALL: [Self; 2] = [Self::Event, Self::Telemetry];

    /// The lane's word in configuration, folders and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Telemetry => "telemetry",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

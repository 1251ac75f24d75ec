use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::{
    control::Services,
    listener::serial::{Mode, PortState},
};

/// The serial ports since the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SerialStatus {
    /// Ports that are open or in trouble.
    pub ports: Vec<PortState>,
    /// Boards that ask for a name.
    pub unnamed: u64,
    /// Frames taken.
    pub frames: u64,
    /// What was no frame: noise.
    pub noise: u64,
    /// Frames that were not sealed as they should be, or came again.
    pub unsealed: u64,
    /// Links that came about.
    pub links: u64,
    /// Refusals sent.
    pub refused: u64,
    /// Readings that came again, stored once.
    pub duplicates: u64,
    /// Lines taken.
    pub lines: u64,
    /// Lines that were none, or for which there was no room.
    pub lines_dropped: u64,
}

/// The numbers of this moment.
pub(super) fn observe(services: &Services) -> Option<SerialStatus> {
    let counters = &services.shared.serial;
    let (ports, unnamed) = (counters.ports(), services.shared.adoptions.announced().len());
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let status = SerialStatus {
        unnamed: u64::try_from(unnamed).unwrap_or(u64::MAX),
        frames: get(&counters.frames),
        noise: get(&counters.noise),
        unsealed: get(&counters.unsealed),
        links: get(&counters.links),
        refused: get(&counters.refused),
        duplicates: get(&counters.duplicates),
        lines: get(&counters.lines),
        lines_dropped: get(&counters.lines_dropped),
        ports,
    };
    (!status.ports.is_empty() || status.frames + status.lines + status.lines_dropped > 0).then_some(status)
}

impl fmt::Display for SerialStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, noise, duplicates, refused, lines, lines_dropped, .. } = self;
        writeln!(
            f,
            "serial      {frames} frames, {noise} broken, {duplicates} readings repeated, {refused} refused; \
             {lines} lines, {lines_dropped} dropped"
        )?;
        for PortState { path, mode, devices, trouble } in &self.ports {
            write!(f, "  {path} ")?;
            match (mode, trouble.is_empty()) {
                (_, false) => writeln!(f, "TROUBLE: {trouble}")?,
                (Mode::Frames, true) if devices.is_empty() => writeln!(f, "no board is linked")?,
                (Mode::Frames, true) => writeln!(f, "{}", devices.join(", "))?,
                (Mode::Lines, true) => writeln!(f, "lines, best effort")?,
            }
        }
        if self.unnamed > 0 {
            writeln!(f, "  {} boards ask for a name: tidegate adopt", self.unnamed)?;
        }
        Ok(())
    }
}

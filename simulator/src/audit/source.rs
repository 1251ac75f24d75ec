use std::{io, path::Path, time::Duration};

use super::{arrivals::Arrivals, bus::Bus, tail::Tail};
use crate::{Error, latency::LatencyMs, plan::AuditSource};

const FOLDER_WAIT: Duration = Duration::from_millis(250);
const BUS_WAIT: Duration = Duration::from_millis(20);

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With what comes from here on. A folder is read from its beginning all the same: it holds no more than a run.
    Newest,
    /// With the oldest there is.
    Oldest,
}

/// What an audit reads.
#[derive(Debug)]
pub struct Source(Kind);

#[derive(Debug)]
enum Kind {
    Folder(Tail),
    Bus(Box<Bus>),
}

impl Source {
    /// The files `*.jsonl` in `dir`, in the order of their names. A folder that is not there has none.
    #[must_use]
    pub fn folder(dir: &Path) -> Self {
        Self(Kind::Folder(Tail::new(dir.to_owned())))
    }

    /// Opens `source`. Needs a tokio runtime that lives as long as what is returned.
    ///
    /// # Errors
    /// The bus cannot be read.
    pub async fn open(source: &AuditSource, begin: Begin) -> Result<Self, Error> {
        match source {
            AuditSource::Folder(dir) => Ok(Self::folder(dir)),
            AuditSource::Bus(bus) => {
                let wrong = |source_error| Error::Audit { what: source.clone(), source: source_error };
                Ok(Self(Kind::Bus(Box::new(Bus::open(bus, begin).await.map_err(wrong)?))))
            }
        }
    }

    pub(super) fn poll(&mut self, arrivals: &mut Arrivals) -> io::Result<()> {
        match &mut self.0 {
            Kind::Folder(tail) => tail.poll(&mut |line| arrivals.handle_line(line)),
            Kind::Bus(bus) => {
                bus.poll(arrivals);
                Ok(())
            }
        }
    }

    /// Between two looks: a folder has to be listed for each, a bus has its messages ready.
    pub(super) fn look_every(&self) -> Duration {
        match &self.0 {
            Kind::Folder(_) => FOLDER_WAIT,
            Kind::Bus(_) => BUS_WAIT,
        }
    }

    /// Files that were cut and therefore read from their beginning again.
    pub(super) fn read_again(&self) -> u64 {
        match &self.0 {
            Kind::Folder(tail) => tail.read_again(),
            Kind::Bus(_) => 0,
        }
    }

    /// From the device's sending to the arrival here, where that is known.
    pub(super) fn end_to_end(&self) -> Option<LatencyMs> {
        match &self.0 {
            Kind::Folder(_) => None,
            Kind::Bus(bus) => bus.end_to_end(),
        }
    }

    /// From the time that the reading says to the arrival here.
    pub(super) fn since_due(&self) -> Option<LatencyMs> {
        match &self.0 {
            Kind::Folder(_) => None,
            Kind::Bus(bus) => bus.since_due(),
        }
    }

    /// # Errors
    /// There is nothing to read and never was.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Folder(tail) if !tail.has_files() => {
                let why =
                    "no file *.jsonl there; is it the gateway's data folder, and is the file output on?";
                Err(io::Error::new(io::ErrorKind::NotFound, why))
            }
            Kind::Folder(_) | Kind::Bus(_) => Ok(()),
        }
    }
}

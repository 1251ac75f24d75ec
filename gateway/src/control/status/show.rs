//! How the status reads for people.

use std::{fmt, time::Duration};

use bytesize::ByteSize;

use super::{CoapStatus, ConnectionStatus, LaneStatus, OutputStatus, SpoolStatus, Status, WritesStatus};
use crate::{cli::when::timestamp, core, logging::Filtering, service::alarm};

impl fmt::Display for CoapStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peers, requests, duplicates, refused, malformed, separate, .. } = self;
        writeln!(
            f,
            "coap        {peers} peers; {requests} requests, {duplicates} of them repetitions, {refused} refused, \
             {separate} answered late; {malformed} malformed"
        )?;
        let Self { retransmitted, given_up, dropped, .. } = self;
        if retransmitted + given_up + dropped > 0 {
            writeln!(f, "  answers   {retransmitted} repeated, {given_up} given up, {dropped} dropped")?;
        }
        Ok(())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lost {}, {}", self.lost, Unsent(self.oldest_unsent_ms))?;
        if let Some(failure) = &self.failure {
            writeln!(f, "FAILED      {failure}")?;
        }
        if let Some(failure) = &self.last_failure {
            writeln!(f, "last ended  {}", failure.trim_end())?;
        }
        for part in &self.still {
            writeln!(f, "STANDS STILL {part}")?;
        }
        let spool = &self.spool;
        let full = if spool.full { ", FULL: new readings are refused" } else { "" };
        let (used, max) = (ByteSize(spool.disk_bytes), ByteSize(spool.disk_bytes_max));
        writeln!(f, "spool       {used} of {max}{full}")?;
        write!(f, "{}", spool.writes)?;
        for lane in &spool.lanes {
            let LaneStatus { lane, records, oldest, end, .. } = lane;
            writeln!(f, "  {lane:<10}{records} records, offsets {oldest} to {end}")?;
        }
        if spool.dropped + spool.damaged + spool.rejects > 0 {
            let SpoolStatus { dropped, damaged, rejects, .. } = spool;
            writeln!(f, "  dropped {dropped}, damaged {damaged}, rejects kept {rejects}")?;
        }
        for output in &self.outputs {
            let OutputStatus { name, unsent, delivered, trouble, oldest_unsent_ms, dead_letters, .. } =
                output;
            writeln!(
                f,
                "output      {name}: {delivered} delivered, {unsent} unsent, {}",
                Unsent(*oldest_unsent_ms)
            )?;
            if !trouble.is_empty() {
                writeln!(f, "  trouble   {trouble}")?;
            }
            if *dead_letters > 0 {
                writeln!(f, "  refused   {dead_letters} for good: see dead-letters in the data folder")?;
            }
        }
        for OutputStatus { name, unsent, .. } in &self.forgotten {
            writeln!(
                f,
                "NOT CONFIGURED {name}: holds back {unsent} records; configure it, or: tidegate spool forget {name}"
            )?;
        }
        let ConnectionStatus { open, turned_away, logins_refused, malformed, timed_out, slow, .. } =
            &self.connections;
        writeln!(
            f,
            "connections {open} open; ended: {malformed} malformed, {timed_out} timed out, {slow} slow, \
             {turned_away} turned away; {logins_refused} logins refused"
        )?;
        write_listeners(f, self)?;
        let ConnectionStatus { accepted, denied, rejected, shed, .. } = &self.connections;
        writeln!(f, "messages    {accepted} accepted, {denied} denied, {rejected} rejected, {shed} shed")?;
        write_core(f, &self.core)?;
        write_alarms(f, &self.alarms)?;
        if let Some(Filtering { filter, until_ms: Some(until_ms), .. }) = &self.log {
            writeln!(f, "log         {filter} until {}", timestamp(*until_ms))?;
        }
        if !self.connections.qos0_only.is_empty() {
            let names = self.connections.qos0_only.join(", ");
            let more = if self.connections.qos0_more { " and more" } else { "" };
            writeln!(f, "no promise  {names}{more} (QoS 0 only)")?;
        }
        Ok(())
    }
}

fn write_listeners(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    if let Some(coap) = &status.coap {
        write!(f, "{coap}")?;
    }
    if let Some(serial) = &status.serial {
        write!(f, "{serial}")?;
    }
    Ok(())
}

fn write_core(f: &mut fmt::Formatter<'_>, core: &core::Status) -> fmt::Result {
    let core::Status { alive, followers, rebuilt, reread, passed_over } = core;
    let state = match (alive, followers) {
        (true, _) => "alive",
        (false, 0) => "asleep, nobody follows",
        (false, _) => "DOWN, services read the spool",
    };
    writeln!(
        f,
        "core        {state}; {followers} services, rebuilt {rebuilt} times, {reread} holes read again, \
         {passed_over} rushes left to the spool"
    )
}

fn write_alarms(f: &mut fmt::Formatter<'_>, alarms: &alarm::Status) -> fmt::Result {
    let alarm::Status { raised, named, told_raised, told_cleared, passed_over } = alarms;
    write!(f, "alarms      {raised} raised; since the start {told_raised} raised, {told_cleared} cleared")?;
    if *passed_over > 0 {
        write!(f, ", {passed_over} readings without room for an alarm")?;
    }
    writeln!(f)?;
    for (device, alarm) in named {
        writeln!(f, "  {device} {alarm}")?;
    }
    let more = raised.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    if more > 0 {
        writeln!(f, "  and {more} more")?;
    }
    Ok(())
}

impl fmt::Display for WritesStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  written   {} since the start", ByteSize(self.bytes))?;
        if let Some(bytes) = self.bytes_per_day {
            write!(f, ", {} a day at the rate of the last hour", ByteSize(bytes))?;
        }
        if let Some(us) = self.within_us(99) {
            write!(f, "; {} commits, 99 % within {:?}", self.commits, Duration::from_micros(us))?;
        }
        writeln!(f)
    }
}

/// `oldest unsent 2 s`, or that there is none.
struct Unsent(Option<u64>);

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("oldest unsent 0 s"),
            Some(ms) if ms < 120_000 => write!(f, "oldest unsent {} s", ms / 1000),
            Some(ms) => {
                let age = Duration::from_secs(ms / 1000);
                write!(f, "oldest unsent {}", humantime::format_duration(age))
            }
        }
    }
}

//! `tidegate spool`

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Error, SpoolArgs, SpoolCommand, SpoolDirArgs, print};
use crate::spool::{self, Inspection, Lane, Offset, PerLane};

/// Prints what a spool on disk holds, beside a running gateway too.
///
/// # Errors
/// [`Error::Damaged`] when `verify` finds damage; [`Error::Disk`] when the spool cannot be read.
pub(super) fn run(args: &SpoolArgs) -> Result<(), Error> {
    match &args.command {
        SpoolCommand::Inspect(args) => look(args, spool::inspect).map(drop),
        SpoolCommand::Verify(args) => {
            let found = look(args, spool::verify)?;
            if found.is_sound() {
                return Ok(());
            }
            let dir = args.dir.display();
            Err(Error::Damaged(format!("{dir} is damaged; the gateway starts with it and delivers the rest")))
        }
    }
}

fn look(args: &SpoolDirArgs, look: fn(&Path) -> io::Result<Inspection>) -> Result<Inspection, Error> {
    let folder = folder(&args.dir);
    let found = look(&folder).map_err(|error| {
        let folder = folder.display();
        Error::Disk(format!(
            "cannot read {folder} ({error}); name the data folder of a gateway, or its spool"
        ))
    })?;
    if args.json {
        print::line(json(&found))?;
    } else {
        print::line(found.to_string().trim_end())?;
    }
    Ok(found)
}

fn json(found: &Inspection) -> Value {
    let segments: Vec<_> = found
        .segments
        .iter()
        .map(|segment| {
            let ts_gw = segment.ts_gw.map(|(min, max)| [min, max]);
            json!({
                "name": segment.name, "lane": segment.lane.as_str(), "base": segment.base, "end": segment.end,
                "commits": segment.commits, "bytes": segment.bytes, "sealed": segment.sealed, "ts_gw": ts_gw,
            })
        })
        .collect();
    let cursor = |(consumer, offsets): &(String, Option<PerLane<Offset>>)| {
        let at = |lane| offsets.as_ref().map(|offsets| *offsets.of(lane));
        json!({ "consumer": consumer, "event": at(Lane::Event), "telemetry": at(Lane::Telemetry) })
    };
    let (pieces, bytes) = found.quarantine;
    json!({
        "sound": found.is_sound(), "verified": found.verified, "damage": found.damage, "segments": segments,
        "ready": found.ready, "cursors": found.cursors.iter().map(cursor).collect::<Vec<_>>(),
        "gaps": found.gaps.len(), "quarantine": { "pieces": pieces, "bytes": bytes },
        "unfinished_bytes": found.unfinished_bytes,
    })
}

/// The spool's folder, where the data folder was named.
fn folder(dir: &Path) -> PathBuf {
    let below = dir.join("spool");
    if below.is_dir() { below } else { dir.to_owned() }
}

//! Any bytes, as damage to a spool on disk, as a commit or as a record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::spool::fuzz::exercise;

fuzz_target!(|data: &[u8]| exercise(data));

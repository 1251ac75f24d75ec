//! Any bytes, as a record, as a commit, or as what has happened to the files of a spool.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::spool::fuzz::exercise;

fuzz_target!(|data: &[u8]| exercise(data));

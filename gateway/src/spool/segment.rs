//! The bytes of a segment: header, commits, footer. Pure.

/// Bytes of a block: everything is written in whole blocks at block boundaries.
pub const BLOCK_BYTES: usize = 4096;

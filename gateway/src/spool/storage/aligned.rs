//! Memory that O_DIRECT takes: begins at a block boundary, without unsafe code.

use crate::spool::segment::BLOCK_BYTES;

/// What buffers are filled up with.
static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// A growing buffer whose bytes begin at a 4 KiB boundary in memory.
///
/// The vector has a little more room than asked for, and the bytes begin at the first boundary in it. It is never
/// let to move by itself: [`Self::reserve`] makes a larger one and copies.
#[derive(Debug)]
pub(in crate::spool) struct AlignedBuffer {
    vec: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    /// An empty buffer with room for `bytes`.
    pub(in crate::spool) fn with_capacity(bytes: usize) -> Self {
        let mut vec: Vec<u8> = Vec::with_capacity(bytes + BLOCK_BYTES);
        let start = vec.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        vec.extend_from_slice(ZEROS.get(..start).unwrap_or_default());
        Self { vec, start }
    }

    /// A buffer holding `bytes`.
    pub(in crate::spool) fn holding(bytes: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(bytes.len().next_multiple_of(BLOCK_BYTES));
        buffer.vec.extend_from_slice(bytes);
        buffer
    }

    pub(in crate::spool) fn len(&self) -> usize {
        self.vec.len() - self.start
    }

    /// Makes room for `bytes` more and gives the vector to append them to; not more than that.
    pub(in crate::spool) fn reserve(&mut self, bytes: usize) -> &mut Vec<u8> {
        if self.vec.capacity() - self.vec.len() < bytes {
            let mut larger = Self::with_capacity((self.len() + bytes).next_power_of_two());
            larger.vec.extend_from_slice(self.as_slice());
            *self = larger;
        }
        &mut self.vec
    }

    pub(in crate::spool) fn as_slice(&self) -> &[u8] {
        self.vec.get(self.start..).unwrap_or_default()
    }

    pub(in crate::spool) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.vec.get_mut(self.start..).unwrap_or_default()
    }

    /// Cuts or fills with zeros to `bytes`.
    pub(in crate::spool) fn resize(&mut self, bytes: usize) {
        if let Some(more) = bytes.checked_sub(self.len()) {
            self.reserve(more);
        }
        self.vec.truncate(self.start + bytes);
        while self.len() < bytes {
            let more = (bytes - self.len()).min(BLOCK_BYTES);
            self.vec.extend_from_slice(ZEROS.get(..more).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_aligned_while_the_buffer_grows() {
        let mut buffer = AlignedBuffer::with_capacity(1);
        for i in 0..20_000_u32 {
            buffer.reserve(4).extend_from_slice(&i.to_le_bytes());
            assert_eq!(buffer.as_slice().as_ptr().align_offset(BLOCK_BYTES), 0);
        }
        assert_eq!(buffer.len(), 80_000);
        assert_eq!(buffer.as_slice()[79_996..], 19_999_u32.to_le_bytes());
        buffer.resize(5);
        buffer.resize(BLOCK_BYTES);
        assert_eq!(buffer.as_slice()[..8], [0, 0, 0, 0, 1, 0, 0, 0]);
    }
}

use super::frame::{FRAME_BYTES_MAX, Frame, FrameError};

/// The COBS byte of the longest frame.
const OVERHEAD_BYTES: usize = 1;

/// Finds the frames in a stream of bytes. Whatever stands before the first zero is given up: after noise or a start in
/// the middle, the next frame is whole again.
#[derive(Debug)]
pub struct Decoder {
    buffer: [u8; FRAME_BYTES_MAX + OVERHEAD_BYTES],
    len: usize,
    is_too_long: bool,
}

impl Decoder {
    /// Nothing read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: [0; FRAME_BYTES_MAX + OVERHEAD_BYTES], len: 0, is_too_long: false }
    }

    /// Takes one byte; when it ends something, says what that was. Zeros in a row are none.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame<'_>, FrameError>> {
        if byte != 0 {
            match self.buffer.get_mut(self.len) {
                Some(place) => {
                    *place = byte;
                    self.len += 1;
                }
                None => self.is_too_long = true,
            }
            return None;
        }
        let len = core::mem::take(&mut self.len);
        if core::mem::take(&mut self.is_too_long) {
            return Some(Err(FrameError::TooLong));
        }
        let bytes = self.buffer.get_mut(..len).filter(|bytes| !bytes.is_empty())?;
        Some(decode(bytes))
    }

    /// Forgets what has begun, such as when the line was cut.
    pub fn reset(&mut self) {
        (self.len, self.is_too_long) = (0, false);
    }
}

fn decode(bytes: &mut [u8]) -> Result<Frame<'_>, FrameError> {
    let len = cobs::decode_in_place(bytes).map_err(|_| FrameError::Malformed)?;
    Frame::parse(bytes.get(..len).ok_or(FrameError::Malformed)?)
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

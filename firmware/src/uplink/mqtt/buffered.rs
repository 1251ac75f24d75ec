use embedded_io_async::{ErrorType, Read, Write};

/// Bytes that go out together.
const PACKET_BYTES_MAX: usize = 512;

/// Collects what is written until it is flushed: the MQTT client writes a few bytes at a time, and each would make a
/// segment of its own, the second of which waits for the acknowledgement of the first.
#[derive(Debug)]
pub(super) struct Buffered<N> {
    inner: N,
    bytes: [u8; PACKET_BYTES_MAX],
    len: usize,
}

impl<N> Buffered<N> {
    pub(super) const fn new(inner: N) -> Self {
        Self { inner, bytes: [0; PACKET_BYTES_MAX], len: 0 }
    }
}

impl<N: Write> Buffered<N> {
    async fn pass_on(&mut self) -> Result<(), N::Error> {
        let len = core::mem::take(&mut self.len);
        self.inner.write_all(self.bytes.get(..len).unwrap_or_default()).await
    }
}

impl<N: ErrorType> ErrorType for Buffered<N> {
    type Error = N::Error;
}

impl<N: Read> Read for Buffered<N> {
    async fn read(&mut self, out: &mut [u8]) -> Result<usize, N::Error> {
        self.inner.read(out).await
    }
}

impl<N: Write> Write for Buffered<N> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, N::Error> {
        if self.len == PACKET_BYTES_MAX {
            self.pass_on().await?;
        }
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let count = room.len().min(bytes.len());
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len += count;
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), N::Error> {
        self.pass_on().await?;
        self.inner.flush().await
    }
}

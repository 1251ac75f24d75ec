//! UART0.

use embassy_rp::uart::BufferedUart;
use embassy_time::Timer;
use embedded_io_async::{Read as _, Write as _};
use tidegate_firmware::Link;

/// The line to the gateway.
pub struct Line(BufferedUart);

impl Line {
    /// Through `uart`.
    pub fn new(uart: BufferedUart) -> Self {
        Self(uart)
    }
}

impl Link for Line {
    async fn receive(&mut self, buffer: &mut [u8]) -> usize {
        match self.0.read(buffer).await {
            Ok(count) => count,
            Err(_) => {
                // Noise, or a byte too many. What is whole again will come.
                Timer::after_millis(1).await;
                0
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let _sent = self.0.write_all(bytes).await;
    }
}

//! UART0: GPIO21 sends, GPIO20 receives.

use embassy_time::Timer;
use embedded_io_async::Write as _;
use esp_hal::{
    Async,
    peripherals::{GPIO20, GPIO21, UART0},
    uart::{Config, ConfigError, Uart},
};
use tidegate_firmware::Link;

/// Bits a second.
const BAUD: u32 = 115_200;

/// The line to the gateway.
pub struct Line(Uart<'static, Async>);

impl Line {
    /// Takes the UART and its pins.
    pub fn new(uart: UART0<'static>, tx: GPIO21<'static>, rx: GPIO20<'static>) -> Result<Self, ConfigError> {
        let uart = Uart::new(uart, Config::default().with_baudrate(BAUD))?;
        Ok(Self(uart.with_rx(rx).with_tx(tx).into_async()))
    }
}

impl Link for Line {
    async fn receive(&mut self, buffer: &mut [u8]) -> usize {
        match self.0.read_async(buffer).await {
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

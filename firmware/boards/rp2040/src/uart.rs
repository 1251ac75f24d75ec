//! UART0: GP0 sends, GP1 receives.

use embassy_rp::{
    Peri, bind_interrupts,
    peripherals::{PIN_0, PIN_1, UART0},
    uart::{BufferedInterruptHandler, BufferedUart, Config},
};
use embassy_time::Timer;
use embedded_io_async::{Read as _, Write as _};
use static_cell::StaticCell;
use tidegate_firmware::Link;

/// Bits a second.
const BAUD: u32 = 115_200;
/// Bytes that wait on their way out, and on their way in.
const QUEUE_BYTES: usize = 256;

bind_interrupts!(struct Irqs {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

/// The line to the gateway.
pub struct Line(BufferedUart);

impl Line {
    /// Takes the UART and its pins.
    pub fn new(uart: Peri<'static, UART0>, tx: Peri<'static, PIN_0>, rx: Peri<'static, PIN_1>) -> Self {
        static SENDING: StaticCell<[u8; QUEUE_BYTES]> = StaticCell::new();
        static RECEIVING: StaticCell<[u8; QUEUE_BYTES]> = StaticCell::new();
        let (sending, receiving) = (SENDING.init([0; QUEUE_BYTES]), RECEIVING.init([0; QUEUE_BYTES]));
        let mut config = Config::default();
        config.baudrate = BAUD;
        Self(BufferedUart::new(uart, tx, rx, Irqs, sending, receiving, config))
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

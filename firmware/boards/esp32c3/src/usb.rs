//! The serial port that the ESP32-C3 is on its own USB pins (USB Serial/JTAG): `/dev/ttyACM0` of the gateway's machine.

use embassy_time::{Duration, Timer, with_timeout};
use embedded_io_async::{Read as _, Write as _};
use esp_hal::{Async, peripherals::USB_DEVICE, usb::usb_serial_jtag::UsbSerialJtag};
use tidegate_firmware::Link;

/// How long the host may leave bytes untaken. The chip does not say whether somebody has the port open.
const TAKE_WAIT: Duration = Duration::from_millis(500);

/// The line to the gateway.
pub struct Line(UsbSerialJtag<'static, Async>);

impl Line {
    /// Takes the USB pins.
    pub fn new(usb: USB_DEVICE<'static>) -> Self {
        Self(UsbSerialJtag::new(usb).into_async())
    }

    async fn send_all(&mut self, bytes: &[u8]) {
        if self.0.write_all(bytes).await.is_ok() {
            // A packet that is not full has the host hand over what it has.
            let _sent = self.0.flush().await;
        }
    }
}

impl Link for Line {
    async fn receive(&mut self, buffer: &mut [u8]) -> usize {
        match self.0.read(buffer).await {
            Ok(count) => count,
            Err(_) => {
                Timer::after_millis(1).await;
                0
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let _in_time = with_timeout(TAKE_WAIT, self.send_all(bytes)).await;
    }
}

//! The serial port that a Pico is on its own USB socket (CDC-ACM): `/dev/ttyACM0` of the gateway's machine.

use embassy_executor::Spawner;
use embassy_rp::{Peri, bind_interrupts, peripherals::USB, usb};
use embassy_time::{Duration, with_timeout};
use embassy_usb::{
    Builder, Config, UsbDevice,
    class::cdc_acm::{BufferedReceiver, CdcAcmClass, Sender, State},
};
use embedded_io_async::Read as _;
use static_cell::StaticCell;
use tidegate_firmware::Link;

/// Raspberry Pi's, and its id for a Pico that is a serial port: the pair that it names for whoever needs no driver of
/// their own (github.com/raspberrypi/usb-pid). The strings say which one this is.
const VENDOR: u16 = 0x2e8a;
const PRODUCT: u16 = 0x000a;
/// Bytes of a packet at full speed.
const PACKET_BYTES: u16 = 64;
/// How long the host may leave a packet untaken while it has the port open.
const TAKE_WAIT: Duration = Duration::from_millis(500);
/// Hexadecimal digits of what the flash's maker calls the board.
const SERIAL_LEN_MAX: usize = 16;

type Driver = usb::Driver<'static, USB>;

bind_interrupts!(struct Irqs {
    USBCTRL_IRQ => usb::InterruptHandler<USB>;
});

/// The line to the gateway.
pub struct Line {
    sender: Sender<'static, Driver>,
    receiver: BufferedReceiver<'static, Driver>,
}

/// What must outlive the program's start.
struct Memory {
    configuration: [u8; 128],
    capabilities: [u8; 32],
    control: [u8; 64],
    packet: [u8; PACKET_BYTES as usize],
    serial: heapless::String<SERIAL_LEN_MAX, u8>,
    state: State<'static>,
}

/// Answers the host for ever.
#[embassy_executor::task]
async fn attend(mut device: UsbDevice<'static, Driver>) {
    device.run().await;
}

impl Line {
    /// Shows the host a serial port of the board that is called `hardware`.
    pub fn new(spawner: Spawner, usb: Peri<'static, USB>, hardware: &str) -> Self {
        static MEMORY: StaticCell<Memory> = StaticCell::new();
        let Memory { configuration, capabilities, control, packet, serial, state } = MEMORY.init(Memory {
            configuration: [0; 128],
            capabilities: [0; 32],
            control: [0; 64],
            packet: [0; PACKET_BYTES as usize],
            serial: hardware.try_into().unwrap_or_default(),
            state: State::new(),
        });
        let mut config = Config::new(VENDOR, PRODUCT);
        config.manufacturer = Some("Tidegate");
        config.product = Some("Tidegate sensor");
        config.serial_number = Some(serial);
        config.max_power = 100;
        let driver = usb::Driver::new(usb, Irqs);
        let mut builder = Builder::new(driver, config, configuration, capabilities, &mut [], control);
        let class = CdcAcmClass::new(&mut builder, state, PACKET_BYTES);
        if let Ok(task) = attend(builder.build()) {
            spawner.spawn(task);
        }
        let (sender, receiver) = class.split();
        Self { sender, receiver: receiver.into_buffered(packet) }
    }

    async fn send_all(&mut self, bytes: &[u8]) {
        for packet in bytes.chunks(usize::from(PACKET_BYTES)) {
            if self.sender.write_packet(packet).await.is_err() {
                return;
            }
        }
        // The host hands over what it has when a packet is not full.
        if bytes.len().is_multiple_of(usize::from(PACKET_BYTES)) {
            let _sent = self.sender.write_packet(&[]).await;
        }
    }
}

impl Link for Line {
    async fn receive(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            // The host greets the board when the cable is in.
            self.receiver.wait_connection().await;
            if let Ok(count @ 1..) = self.receiver.read(buffer).await {
                return count;
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A port that nobody has open takes nothing, and would have the board wait for ever.
        if self.sender.dtr() {
            let _in_time = with_timeout(TAKE_WAIT, self.send_all(bytes)).await;
        }
    }
}

//! A Raspberry Pi Pico as a sensor of Tidegate: the chip's own temperature, or what a BME280 measures, over UART0 (GP0 sends, GP1 receives,
//! 115200 baud) or, with the feature `usb`, over its own USB socket, or, with the feature `wifi` on a Pico W, over WLAN;
//! the LED shows how the link stands.
//!
//! With `TIDEGATE_DEVICE` and `TIDEGATE_SECRET` in the environment of the build it has this name; else it waits for
//! `tidegate adopt`.
#![no_std]
#![no_main]

mod flash;
#[path = "../../identity.rs"]
mod identity;
mod lamp;
#[cfg(feature = "wifi")]
#[path = "../../network.rs"]
mod network;
#[cfg(feature = "wifi")]
mod radio;
#[cfg(not(feature = "bme280"))]
mod temperature;
#[cfg(not(any(feature = "usb", feature = "wifi")))]
mod uart;
#[cfg(feature = "usb")]
mod usb;
#[cfg(feature = "bme280")]
mod weather;

#[cfg(all(feature = "usb", feature = "wifi"))]
compile_error!("one way to the gateway: usb or wifi");

use cortex_m::peripheral::SCB;
use embassy_executor::Spawner;
#[cfg(not(feature = "wifi"))]
use embassy_rp::gpio::{Level, Output};
use embassy_rp::{clocks::RoscRng, watchdog::Watchdog};
use embassy_time::{Duration, Instant, Timer};
use tidegate_firmware::{Board, Clock, Config, Sampler, Sampling, Signal, uplink::random_boot_base};
#[cfg(not(feature = "wifi"))]
use tidegate_firmware::{Node, Sensor as _, run};

#[cfg(not(any(feature = "usb", feature = "wifi")))]
use self::uart::Line;
#[cfg(feature = "usb")]
use self::usb::Line;
use self::{flash::Region, lamp::LAMP};

/// A board that has not turned for so long is started again.
const WATCHDOG: Duration = Duration::from_secs(8);

/// What this board is besides its sensor and its line.
struct Pico {
    watchdog: Watchdog,
}

impl Board for Pico {
    fn show(&mut self, signal: Signal, is_identified: bool) {
        LAMP.show(signal, is_identified);
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed(WATCHDOG);
    }
}

/// Milliseconds since the start, from the chip's timer.
struct Watch;

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        Instant::now().as_millis()
    }

    async fn wait_until(&self, ms: u64) {
        Timer::at(Instant::from_millis(ms)).await;
    }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let chip = embassy_rp::init(embassy_rp::config::Config::default());
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    watchdog.start(WATCHDOG);
    let mut flash = Region::new(chip.FLASH);
    let config = config(&mut flash);
    #[cfg(not(feature = "bme280"))]
    let mut sensor = temperature::Thermometer::new(chip.ADC, chip.ADC_TEMP_SENSOR);
    #[cfg(feature = "bme280")]
    let mut sensor = weather::sensor(chip.I2C0, chip.PIN_4, chip.PIN_5);
    let mut board = Pico { watchdog };
    // Over a line the gateway says from where to count the starts; over a network nobody does.
    let boot_base = if cfg!(feature = "wifi") { random_boot_base(RoscRng.next_u32()) } else { 0 };
    // It is as large as the store needs: memory.x.
    let Ok(store) = identity::open(flash, boot_base) else { SCB::sys_reset() };
    let mut sampler = Sampler::new(Sampling { period_ms: config.period_ms, ..Sampling::default() });
    #[cfg(feature = "wifi")]
    {
        let wires = radio::Wires {
            power: chip.PIN_23,
            data: chip.PIN_24,
            select: chip.PIN_25,
            clock: chip.PIN_29,
            pio: chip.PIO0,
            dma: chip.DMA_CH0,
        };
        let stack = radio::start(spawner, wires).await;
        let kept = (store, config.seed);
        network::deliver(stack, kept, &mut sampler, &mut sensor, (&Watch, &mut board)).await;
    }
    #[cfg(not(feature = "wifi"))]
    {
        if let Ok(task) = lamp::blink(Output::new(chip.PIN_25, Level::Low)) {
            spawner.spawn(task);
        }
        #[cfg(not(feature = "usb"))]
        let mut line = Line::new(chip.UART0, chip.PIN_0, chip.PIN_1);
        #[cfg(feature = "usb")]
        let mut line = Line::new(spawner, chip.USB, &config.hardware);
        let mut node = Node::new(store, sensor.channels(), config);
        run(&mut node, &mut sampler, (&mut sensor, &mut line), (&Watch, &mut board)).await;
    }
    // The answer to the one who asked for it goes out.
    Timer::after_millis(50).await;
    SCB::sys_reset()
}

fn config(flash: &mut Region) -> Config {
    let id = flash.unique_id();
    let mut hardware = heapless::String::new();
    for byte in id {
        for digit in [byte >> 4, byte & 15] {
            // Sixteen digits fit.
            let _fits = char::from_digit(digit.into(), 16).map(|digit| hardware.push(digit));
        }
    }
    let mut seed = [0; 32];
    RoscRng.fill_bytes(&mut seed);
    let [.., high, low] = id;
    Config {
        hardware,
        model: heapless::String::try_from("rp2040").unwrap_or_default(),
        firmware: heapless::String::try_from(env!("CARGO_PKG_VERSION")).unwrap_or_default(),
        address: u16::from_be_bytes([high, low]),
        seed,
        period_ms: Sampling::default().period_ms,
    }
}

/// Starts again. Nothing is left to say it with.
#[panic_handler]
fn panic(_why: &core::panic::PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}

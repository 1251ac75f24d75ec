//! An ESP32-C3 as a sensor of Tidegate: the chip's own temperature, or what a BME280 measures, over UART0 (GPIO21 sends, GPIO20 receives, 115200
//! baud) or, with the feature `usb`, over its own USB pins, or, with the feature `wifi`, over WLAN; an LED on GPIO8 shows
//! how the link stands. Not tried on hardware.
//!
//! With `TIDEGATE_DEVICE` and `TIDEGATE_SECRET` in the environment of the build it has this name; else it waits for
//! `tidegate adopt`.
#![no_std]
#![no_main]

mod flash;
#[path = "../../identity.rs"]
mod identity;
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

use embassy_executor::Spawner;
use embassy_time::{Instant, Timer};
use esp_hal::{
    efuse::base_mac_address,
    gpio::{Level, Output, OutputConfig},
    peripherals::TIMG0,
    rng::Rng,
    system::software_reset,
    time::Duration,
    timer::timg::{MwdtStage, TimerGroup, Wdt},
};
use tidegate_firmware::{Board, Clock, Config, Lamp, Sampler, Sampling, Signal, uplink::random_boot_base};
#[cfg(not(feature = "wifi"))]
use tidegate_firmware::{Node, Sensor as _, run};

use self::flash::Region;
#[cfg(not(any(feature = "usb", feature = "wifi")))]
use self::uart::Line;
#[cfg(feature = "usb")]
use self::usb::Line;

/// A board that has not turned for so long is started again.
const WATCHDOG: Duration = Duration::from_secs(8);

/// What the LED shows.
static LAMP: Lamp = Lamp::new();

esp_bootloader_esp_idf::esp_app_desc!();

/// What this board is besides its sensor and its line.
struct C3 {
    watchdog: Wdt<TIMG0<'static>>,
}

impl Board for C3 {
    fn show(&mut self, signal: Signal, is_identified: bool) {
        LAMP.show(signal, is_identified);
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed();
    }
}

/// Milliseconds since the start.
struct Watch;

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        Instant::now().as_millis()
    }

    async fn wait_until(&self, ms: u64) {
        Timer::at(Instant::from_millis(ms)).await;
    }
}

/// Shows what [`LAMP`] is told, for ever.
#[embassy_executor::task]
async fn blink(mut led: Output<'static>) {
    LAMP.blink(|is_on| led.set_level(is_on.into()), async |ms| Timer::after_millis(ms).await).await;
}

#[esp_rtos::main]
async fn main(spawner: Spawner) {
    let chip = esp_hal::init(esp_hal::Config::default());
    let timers = TimerGroup::new(chip.TIMG0);
    esp_rtos::start(timers.timer0, chip.FROM_CPU_INTR0);
    if let Ok(task) = blink(Output::new(chip.GPIO8, Level::Low, OutputConfig::default())) {
        spawner.spawn(task);
    }
    let mut watchdog = timers.wdt;
    watchdog.set_timeout(MwdtStage::Stage0, WATCHDOG);
    watchdog.enable();
    let mut board = C3 { watchdog };
    #[cfg(not(feature = "bme280"))]
    let Ok(mut sensor) = temperature::Thermometer::new(chip.TSENS) else { software_reset() };
    #[cfg(feature = "bme280")]
    let Ok(mut sensor) = weather::sensor(chip.I2C0, chip.GPIO4, chip.GPIO5) else { software_reset() };
    // Over a line the gateway says from where to count the starts; over a network nobody does.
    let boot_base = if cfg!(feature = "wifi") { random_boot_base(Rng::new().random()) } else { 0 };
    let Ok(store) = identity::open(Region::new(chip.FLASH), boot_base) else { software_reset() };
    let config = config();
    let mut sampler = Sampler::new(Sampling { period_ms: config.period_ms, ..Sampling::default() });
    #[cfg(feature = "wifi")]
    {
        let Ok(stack) = radio::start(spawner, chip.WIFI) else { software_reset() };
        let kept = (store, config.seed);
        network::deliver(stack, kept, &mut sampler, &mut sensor, (&Watch, &mut board)).await;
    }
    #[cfg(not(feature = "wifi"))]
    {
        #[cfg(not(feature = "usb"))]
        let Ok(mut line) = Line::new(chip.UART0, chip.GPIO21, chip.GPIO20) else { software_reset() };
        #[cfg(feature = "usb")]
        let mut line = Line::new(chip.USB_DEVICE);
        let mut node = Node::new(store, sensor.channels(), config);
        run(&mut node, &mut sampler, (&mut sensor, &mut line), (&Watch, &mut board)).await;
    }
    // The answer to the one who asked for it goes out.
    Timer::after_millis(50).await;
    software_reset()
}

fn config() -> Config {
    let mac = base_mac_address();
    let mut hardware = heapless::String::new();
    for byte in mac.as_bytes() {
        for digit in [byte >> 4, byte & 15] {
            // Twelve digits fit.
            let _fits = char::from_digit(digit.into(), 16).map(|digit| hardware.push(digit));
        }
    }
    let mut seed = [0; 32];
    Rng::new().read(&mut seed);
    let address = mac.as_bytes().last_chunk().copied().map_or(0, u16::from_be_bytes);
    Config {
        hardware,
        model: heapless::String::try_from("esp32c3").unwrap_or_default(),
        firmware: heapless::String::try_from(env!("CARGO_PKG_VERSION")).unwrap_or_default(),
        address,
        seed,
        period_ms: Sampling::default().period_ms,
    }
}

/// Starts again. Nothing is left to say it with.
#[panic_handler]
fn panic(_why: &core::panic::PanicInfo<'_>) -> ! {
    software_reset()
}

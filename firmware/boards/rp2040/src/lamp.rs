//! The LED: how the link stands, for who stands in front of the board. `firmware/README.md` has the table.

#[cfg(not(feature = "wifi"))]
use embassy_rp::gpio::Output;
#[cfg(not(feature = "wifi"))]
use embassy_time::Timer;
use tidegate_firmware::Lamp;

/// What it shows.
pub static LAMP: Lamp = Lamp::new();

/// Shows it for ever.
#[cfg(not(feature = "wifi"))]
#[embassy_executor::task]
pub async fn blink(mut led: Output<'static>) {
    LAMP.blink(|is_on| led.set_level(is_on.into()), async |ms| Timer::after_millis(ms).await).await;
}

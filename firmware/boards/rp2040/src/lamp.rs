//! The LED: how the link stands, for who stands in front of the board. `firmware/README.md` has the table.

use embassy_rp::gpio::Output;
use embassy_time::Timer;
use tidegate_firmware::Lamp;

/// What it shows.
pub static LAMP: Lamp = Lamp::new();

/// Shows it for ever.
#[embassy_executor::task]
pub async fn blink(mut led: Output<'static>) {
    LAMP.blink(|is_on| led.set_level(is_on.into()), async |ms| Timer::after_millis(ms).await).await;
}

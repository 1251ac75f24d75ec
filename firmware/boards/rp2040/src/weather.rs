//! A BME280 on I2C0: GP4 is its data, GP5 its clock.

#[path = "../../bme280.rs"]
mod bme280;

use embassy_rp::{
    Peri, bind_interrupts,
    i2c::{Async, Config, I2c, InterruptHandler},
    peripherals::{I2C0, PIN_4, PIN_5},
};

use self::bme280::Weather;

bind_interrupts!(struct Irqs {
    I2C0_IRQ => InterruptHandler<I2C0>;
});

/// Takes the bus and its pins.
pub fn sensor(
    i2c: Peri<'static, I2C0>,
    data: Peri<'static, PIN_4>,
    clock: Peri<'static, PIN_5>,
) -> Weather<I2c<'static, I2C0, Async>> {
    Weather::new(I2c::new_async(i2c, clock, data, Irqs, Config::default()))
}

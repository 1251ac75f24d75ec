//! A BME280 on I2C0: GPIO4 is its data, GPIO5 its clock.

#[path = "../../bme280.rs"]
mod bme280;

use esp_hal::{
    Async,
    i2c::master::{Config, ConfigError, I2c},
    peripherals::{GPIO4, GPIO5, I2C0},
};

use self::bme280::Weather;

/// Takes the bus and its pins.
pub fn sensor(
    i2c: I2C0<'static>,
    data: GPIO4<'static>,
    clock: GPIO5<'static>,
) -> Result<Weather<I2c<'static, Async>>, ConfigError> {
    let wires = I2c::new(i2c, Config::default())?.with_sda(data).with_scl(clock);
    Ok(Weather::new(wires.into_async()))
}

//! The temperature of the chip, from its own sensor.

use embassy_time::Timer;
use esp_hal::{
    peripherals::TSENS,
    tsens::{Config, ConfigError, TemperatureSensor},
};
use tidegate_firmware::{Channel, Sensor, Values};

/// Hundredths of a degree.
const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "°C", places: 2 }];
/// What the sensor takes to settle.
const SETTLE_MS: u64 = 1;

/// The sensor.
pub struct Thermometer(TemperatureSensor<'static>);

impl Thermometer {
    /// Takes the sensor.
    pub fn new(sensor: TSENS<'static>) -> Result<Self, ConfigError> {
        TemperatureSensor::new(sensor, Config::default()).map(Self)
    }
}

impl Sensor<1> for Thermometer {
    fn channels(&self) -> [Channel; 1] {
        CHANNELS
    }

    async fn measure(&mut self) -> Values<1> {
        self.0.power_up();
        Timer::after_millis(SETTLE_MS).await;
        let read = self.0.get_temperature();
        [Some(hundredths(read.raw_value, read.offset))]
    }
}

/// T = 0.4386 × raw − 27.88 × offset − 20.52 (ESP32-C3 technical reference, "On-Chip Sensors").
fn hundredths(raw: u8, offset: i8) -> i32 {
    (i32::from(raw) * 4_386 + 50) / 100 - i32::from(offset) * 2_788 - 2_052
}

//! A BME280 on the board's I2C: temperature, humidity and pressure. Part of each board.

use bme280_rs::{AsyncBme280, CHIP_ID, Configuration, Oversampling, SensorMode};
use embassy_time::{Delay, Duration, with_timeout};
use embedded_hal_async::i2c::I2c;
use tidegate_firmware::{Channel, Sensor, Values};

const CHANNELS: [Channel; 3] = [
    Channel { name: "temperature", unit: "°C", places: 2 },
    Channel { name: "humidity", unit: "%", places: 2 },
    Channel { name: "pressure", unit: "hPa", places: 2 },
];
/// What a measurement may take, with what the chip needs to start. A wire that hangs is no reason to wait.
const MEASURE_WAIT: Duration = Duration::from_millis(500);

/// The sensor.
pub struct Weather<I> {
    chip: AsyncBme280<I, Delay>,
    is_ready: bool,
}

impl<I: I2c> Weather<I> {
    /// On `wires`, at the address that the chip has when its pin SDO is low, as on most boards (0x76).
    pub fn new(wires: I) -> Self {
        Self { chip: AsyncBme280::new(wires, Delay), is_ready: false }
    }

    /// None where no BME280 answers. One that has been unplugged starts anew.
    async fn read(&mut self) -> Result<Values<3>, I::Error> {
        if !self.is_ready {
            if self.chip.chip_id().await? != CHIP_ID {
                return Ok([None; 3]);
            }
            self.chip.init().await?;
            let configuration = Configuration::default()
                .with_temperature_oversampling(Oversampling::Oversample1)
                .with_humidity_oversampling(Oversampling::Oversample1)
                .with_pressure_oversampling(Oversampling::Oversample1)
                .with_sensor_mode(SensorMode::Forced);
            self.chip.set_sampling_configuration(configuration).await?;
            self.is_ready = true;
        }
        self.chip.take_forced_measurement().await?;
        let sample = self.chip.read_sample().await?;
        // A pascal is a hundredth of a hectopascal.
        let pressure = sample.pressure.map(rounded);
        Ok([hundredths(sample.temperature), hundredths(sample.humidity), pressure])
    }
}

impl<I: I2c> Sensor<3> for Weather<I> {
    fn channels(&self) -> [Channel; 3] {
        CHANNELS
    }

    async fn measure(&mut self) -> Values<3> {
        match with_timeout(MEASURE_WAIT, self.read()).await {
            Ok(Ok(values)) => values,
            Ok(Err(_)) | Err(_) => {
                self.is_ready = false;
                [None; 3]
            }
        }
    }
}

fn hundredths(value: Option<f32>) -> Option<i32> {
    value.map(|value| rounded(value * 100.0))
}

#[expect(clippy::cast_possible_truncation, reason = "what the chip says is far within")]
fn rounded(value: f32) -> i32 {
    (if value < 0.0 { value - 0.5 } else { value + 0.5 }) as i32
}

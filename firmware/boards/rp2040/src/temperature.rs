//! The temperature of the chip, from its own sensor.

use embassy_rp::{
    Peri,
    adc::{Adc, Async, Channel as AdcChannel, Config, InterruptHandler},
    bind_interrupts,
    peripherals::{ADC, ADC_TEMP_SENSOR},
};
use tidegate_firmware::{Channel, Sensor, Values};

/// Hundredths of a degree.
const CHANNELS: [Channel; 1] = [Channel { name: "temperature", unit: "°C", places: 2 }];

bind_interrupts!(struct Irqs {
    ADC_IRQ_FIFO => InterruptHandler;
});

/// The sensor on channel 4 of the converter.
pub struct Thermometer {
    adc: Adc<'static, Async>,
    channel: AdcChannel<'static>,
}

impl Thermometer {
    /// Takes the converter.
    pub fn new(adc: Peri<'static, ADC>, sensor: Peri<'static, ADC_TEMP_SENSOR>) -> Self {
        Self { adc: Adc::new(adc, Irqs, Config::default()), channel: AdcChannel::new_temp_sensor(sensor) }
    }
}

impl Sensor<1> for Thermometer {
    fn channels(&self) -> [Channel; 1] {
        CHANNELS
    }

    async fn measure(&mut self) -> Values<1> {
        [self.adc.read(&mut self.channel).await.ok().map(hundredths)]
    }
}

/// T = 27 °C − (V − 0.706 V) / 0.001721 V/°C, V = raw × 3.3 V / 4096 (RP2040 datasheet, section 4.9.5).
fn hundredths(raw: u16) -> i32 {
    // A fourth of a thousandth of a millivolt would be too coarse with whole millivolts: microvolts.
    let microvolts = (i64::from(raw) * 3_300_000) >> 12;
    let below = (microvolts - 706_000) * 100 / 1_721;
    i32::try_from(2_700 - below).unwrap_or(i32::MAX)
}

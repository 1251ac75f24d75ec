// A BME280 on the Pico's I2C. It measures the example of its maker's datasheet for ever: 25.08 °C, 1006.53 hPa, and with
// the humidity's coefficients of a common chip 56.21 %.

const ADDRESS = 0x76;
const CHIP_ID = [0xd0, 0x60];
// Coefficients (BMP280 datasheet, section 3.12; BME280 datasheet, section 4.2.2).
const OF_TEMPERATURE_AND_PRESSURE = [
  27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000,
];
const HUMIDITY = { h1: 75, h2: 370, h3: 0, h4: 313, h5: 50, h6: 30 };
const RAW = { pressure: 415148, temperature: 519888, humidity: 30000 };

function registers() {
  const bytes = new DataView(new ArrayBuffer(256));
  bytes.setUint8(...CHIP_ID);
  OF_TEMPERATURE_AND_PRESSURE.forEach((value, index) => bytes.setInt16(0x88 + 2 * index, value, true));
  const { h1, h2, h3, h4, h5, h6 } = HUMIDITY;
  bytes.setUint8(0xa1, h1);
  bytes.setInt16(0xe1, h2, true);
  bytes.setUint8(0xe3, h3);
  bytes.setUint8(0xe4, h4 >> 4);
  bytes.setUint8(0xe5, (h4 & 15) | ((h5 & 15) << 4));
  bytes.setUint8(0xe6, h5 >> 4);
  bytes.setInt8(0xe7, h6);
  for (const [at, raw] of [
    [0xf7, RAW.pressure],
    [0xfa, RAW.temperature],
  ]) {
    bytes.setUint16(at, raw >> 4);
    bytes.setUint8(at + 2, (raw & 15) << 4);
  }
  bytes.setUint16(0xfd, RAW.humidity);
  return bytes;
}

/** Wires one to `i2c`. A write says which register is read next; what is set in others changes nothing here. */
export function wireBme280(i2c) {
  const bytes = registers();
  let at = 0;
  let isFirst = true;
  i2c.onConnect = (address) => {
    isFirst = true;
    i2c.completeConnect(address === ADDRESS);
  };
  i2c.onWriteByte = (value) => {
    at = isFirst ? value : at;
    isFirst = false;
    i2c.completeWrite(true);
  };
  i2c.onReadByte = () => {
    const value = bytes.getUint8(at);
    at = (at + 1) & 255;
    i2c.completeRead(value);
  };
}

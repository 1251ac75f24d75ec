#!/usr/bin/env node
// Runs the Pico's real image:
//
//   node tests/emulator/board.js ELF --uart SOCKET --name HEX [--usb] [--bme280] [--flash FILE] [--temperature 20]
//
// HEX are the sixteen digits that the maker of the flash has given it. The serial line, UART0 or with `--usb` the port on
// the USB cable, is the UNIX socket SOCKET; `socat PTY,link=/tmp/ttyPico,rawer UNIX-CONNECT:SOCKET` makes a serial port
// of it. With `--bme280` one is on I2C0. Standard input takes lines: `temperature 36.6`, `noise 100` (of so many bytes on
// the line one arrives wrong or not at all; 0: none), `cut 100` (the power goes after so many bytes of flash), `status`,
// `quit`. Standard output says `ready`, `status {…}` and `broken …` when the firmware did what the chip would not forgive.

import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { BasePeripheral, RP2040 } from 'rp2040js';
import { wireBme280 } from './bme280.js';
import { Flash } from './flash.js';
import { rom, serveRom } from './rom.js';
import { correctSsi } from './ssi.js';
import { correctUart } from './uart.js';
import { plugUsb } from './usb.js';

const CYCLE_NANOS = 1e9 / 125e6;
// How far the chip runs before the world has its turn, and how far it may lag behind the world before it gives up
// catching up.
const TURN_NANOS = 2e6;
const LAG_NANOS_MAX = 200e6;
const LED = 25;

/** The cache in front of the flash: nothing is ever being streamed. */
class Cache extends BasePeripheral {
  readUint32() {
    return 0;
  }
  writeUint32() {}
}

/** T = 27 − (V − 0.706) / 0.001721, V = raw × 3.3 / 4096 (RP2040 datasheet, section 4.9.5). */
function rawOf(celsius) {
  const volts = 0.706 - (celsius - 27) * 0.001721;
  return Math.max(0, Math.min(4095, Math.round((volts * 4096) / 3.3)));
}

function say(line) {
  process.stdout.write(`${line}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    uart: { type: 'string' },
    usb: { type: 'boolean', default: false },
    bme280: { type: 'boolean', default: false },
    name: { type: 'string', default: '' },
    flash: { type: 'string' },
    temperature: { type: 'string', default: '20' },
  },
});
if (positionals.length !== 1 || !values.uart || !/^[0-9a-f]{16}$/.test(values.name)) {
  console.error('usage: board.js ELF --uart SOCKET --name HEX [--usb] [--bme280] [--flash FILE] [--temperature CELSIUS]');
  process.exit(2);
}

const mcu = new RP2040();
mcu.logger = { debug() {}, info() {}, warn() {}, error: (of, what) => console.error(of, what) };
mcu.peripherals[0x14000] = new Cache(mcu, 'XIP_CTRL');
correctSsi(mcu.peripherals[0x18000], Buffer.from(values.name, 'hex'));
mcu.bootrom.set(rom());
const flash = new Flash(mcu.flash, values.flash);
flash.load(readFileSync(positionals[0]));
let faults = 0;
serveRom(mcu, flash, (why) => {
  faults += 1;
  say(`broken ${why}`);
});
mcu.peripherals[0x40058].onWatchdogTrigger = () => {
  say('reset');
  flash.close();
  process.exit(3);
};

let peer = null;
const counts = { sent: 0, received: 0, spoiled: 0, led: 0 };
let spoilsOneOf = 0;
/** What is left of `byte` on a noisy line: it, another one, or nothing. */
function spoil(byte) {
  if (spoilsOneOf === 0 || Math.random() * spoilsOneOf >= 1) {
    return [byte];
  }
  counts.spoiled += 1;
  return Math.random() < 0.5 ? [] : [byte ^ (1 << Math.floor(Math.random() * 8))];
}
const send = (byte) => {
  counts.sent += 1;
  peer?.write(Buffer.from(spoil(byte)));
};
const receive = values.usb ? plugUsb(mcu, send) : correctUart(mcu, mcu.uart[0], send);
if (values.bme280) {
  wireBme280(mcu.i2c[0]);
}
mcu.gpio[LED].addListener(() => {
  counts.led += 1;
});
const warm = (celsius) => {
  mcu.adc.channelValues[4] = rawOf(celsius);
};
warm(Number(values.temperature));

if (existsSync(values.uart)) {
  unlinkSync(values.uart);
}
createServer((socket) => {
  peer = socket;
  socket.on('data', (bytes) => {
    counts.received += bytes.length;
    receive([...bytes].flatMap(spoil));
  });
  socket.on('close', () => {
    peer = peer === socket ? null : peer;
  });
  socket.on('error', () => {});
}).listen(values.uart, () => say('ready'));

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, argument] = line.trim().split(/\s+/);
  if (word === 'temperature') {
    warm(Number(argument));
  } else if (word === 'noise') {
    spoilsOneOf = Number(argument);
  } else if (word === 'cut') {
    flash.power = Number(argument);
  } else if (word === 'status') {
    const { erased, programmed } = flash;
    say(`status ${JSON.stringify({ ...counts, faults, erased, programmed, uptime_ms: mcu.clock.nanos / 1e6 })}`);
  } else if (word === 'quit') {
    flash.close();
    process.exit(0);
  }
}).on('close', () => process.exit(0));

// In real time: the chip runs until it is level with the world, then waits.
mcu.core.reset();
let origin = process.hrtime.bigint();
function turn() {
  const level = () => Number(process.hrtime.bigint() - origin);
  const end = Math.min(mcu.clock.nanos + TURN_NANOS, level());
  while (mcu.clock.nanos < end) {
    if (mcu.core.waiting) {
      const next = mcu.clock.nanosToNextAlarm;
      mcu.clock.tick(Math.max(1, Math.min(next > 0 ? next : TURN_NANOS, end - mcu.clock.nanos)));
    } else {
      mcu.clock.tick(mcu.core.executeInstruction() * CYCLE_NANOS);
    }
  }
  const lag = level() - mcu.clock.nanos;
  if (lag > LAG_NANOS_MAX) {
    // The machine is busy: time passes slower in here.
    origin += BigInt(Math.round(lag));
  }
  if (lag > TURN_NANOS) {
    setImmediate(turn);
  } else {
    setTimeout(turn, 1);
  }
}
turn();

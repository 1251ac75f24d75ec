// A boot ROM with the few functions that the firmware calls: the chip maker's own is not ours to give away. Each is a
// breakpoint, and what it does is done here. (RP2040 datasheet, section 2.8.3.)

const STACK_TOP = 0x20042000;
const BOOT2 = 0x10000001;
const STUBS_AT = 0x20;
const TABLE_AT = 0x80;
const FUNCTIONS = ['lookup', 'IF', 'EX', 'RE', 'RP', 'FC', 'CX', 'C4', 'MC', 'S4', 'MS', 'P3', 'R3', 'L3', 'T3'];
const LOOKUP = 0;
const ERASE = FUNCTIONS.indexOf('RE');
const PROGRAM = FUNCTIONS.indexOf('RP');
const COPIES = [FUNCTIONS.indexOf('C4'), FUNCTIONS.indexOf('MC')];
const FILLS = [FUNCTIONS.indexOf('S4'), FUNCTIONS.indexOf('MS')];
// Functions of one number: how many bits are set, the bits the other way round, zeros in front and behind.
const OF_BITS = {
  P3: (bits) => [...bits].filter((bit) => bit === '1').length,
  R3: (bits) => parseInt([...bits].reverse().join(''), 2),
  L3: (bits) => (bits + '1').indexOf('1'),
  T3: (bits) => 32 - (bits.lastIndexOf('1') + 1),
};
// Breakpoints further up are the program's own.
const ROM_END = 0x4000;

/** The ROM's words: vectors, the stubs (`BKPT #i; BX LR`) and the table that says which stub is which. */
export function rom() {
  const bytes = new DataView(new ArrayBuffer(ROM_END));
  const stub = (index) => STUBS_AT + 4 * index;
  bytes.setUint32(0x00, STACK_TOP, true);
  bytes.setUint32(0x04, BOOT2, true);
  bytes.setUint32(0x08, 0x7d, true);
  bytes.setUint32(0x0c, 0x7d, true);
  ['M'.charCodeAt(0), 'u'.charCodeAt(0), 1, 3].forEach((byte, at) => bytes.setUint8(0x10 + at, byte));
  bytes.setUint16(0x14, TABLE_AT, true);
  bytes.setUint16(0x16, TABLE_AT + 4 * FUNCTIONS.length, true);
  bytes.setUint16(0x18, stub(LOOKUP) | 1, true);
  FUNCTIONS.forEach((_, index) => bytes.setUint32(stub(index), (0x4770be00 | index) >>> 0, true));
  FUNCTIONS.slice(1).forEach((code, at) => {
    bytes.setUint16(TABLE_AT + 4 * at, code.charCodeAt(0) | (code.charCodeAt(1) << 8), true);
    bytes.setUint16(TABLE_AT + 4 * at + 2, stub(at + 1) | 1, true);
  });
  return new Uint32Array(bytes.buffer);
}

/**
 * Does what the stubs stand for. `flash.erase(at, count)` and `flash.program(at, bytes)` change the flash; `broken(why)`
 * is told when the firmware calls them as it must not.
 */
export function serveRom(mcu, flash, broken) {
  mcu.onBreak = (code) => {
    if (mcu.core.PC >= ROM_END) {
      return broken(`breakpoint ${code} at ${mcu.core.PC.toString(16)}`);
    }
    const [first, second, third] = mcu.core.registers;
    if (code === LOOKUP) {
      mcu.core.registers[0] = find(mcu, first, second);
    } else if (COPIES.includes(code)) {
      for (let at = 0; at < third; at++) {
        mcu.writeUint8(first + at, mcu.readUint8(second + at));
      }
    } else if (FILLS.includes(code)) {
      for (let at = 0; at < third; at++) {
        mcu.writeUint8(first + at, second & 0xff);
      }
    } else if (FUNCTIONS[code] in OF_BITS) {
      mcu.core.registers[0] = OF_BITS[FUNCTIONS[code]]((first >>> 0).toString(2).padStart(32, '0'));
    } else if (code === ERASE || code === PROGRAM) {
      // With interrupts on, a vector or a handler would be read from a flash that does not answer.
      if (!mcu.core.PM) {
        broken('flash is changed with interrupts on');
      }
      if (mcu.core.LR >>> 28 !== 2) {
        broken(`flash is changed by code that runs from it: ${mcu.core.LR.toString(16)}`);
      }
      if (code === ERASE) {
        flash.erase(first, second);
      } else {
        flash.program(first, Uint8Array.from({ length: third }, (_, at) => mcu.readUint8(second + at)));
      }
    }
  };
}

function find(mcu, table, code) {
  for (let at = table; mcu.readUint16(at) !== 0; at += 4) {
    if (mcu.readUint16(at) === (code & 0xffff)) {
      return mcu.readUint16(at + 2);
    }
  }
  return 0;
}

// The Pico's flash, kept in a file so that it outlives the power.

import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';

const FLASH_BYTES = 2 * 1024 * 1024;

export class Flash {
  /** `bytes` is the emulator's flash; what is in the file at `path`, if there is one, is laid into it. */
  constructor(bytes, path) {
    this.bytes = bytes;
    this.path = path;
    // Bytes that may still be changed before the power goes; none: as many as one likes.
    this.power = null;
    this.erased = 0;
    this.programmed = 0;
    bytes.fill(0xff);
    if (path && existsSync(path)) {
      bytes.set(readFileSync(path).subarray(0, FLASH_BYTES));
    }
    this.file = path ? openSync(path, existsSync(path) ? 'r+' : 'w+') : null;
  }

  /** Lays the program of an ELF into it, by the addresses that its segments are loaded to. */
  load(elf) {
    const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
    const at = view.getUint32(28, true);
    for (let i = 0; i < view.getUint16(44, true); i++) {
      const head = at + i * view.getUint16(42, true);
      const [kind, offset, , address, length] = [0, 4, 8, 12, 16].map((of) => view.getUint32(head + of, true));
      if (kind === 1 && length > 0) {
        this.bytes.set(elf.subarray(offset, offset + length), address - 0x10000000);
      }
    }
  }

  erase(at, count) {
    this.erased += 1;
    this.change(at, count, () => 0xff);
  }

  program(at, bytes) {
    this.programmed += 1;
    this.change(at, bytes.length, (before, i) => before & bytes[i]);
  }

  change(at, count, to) {
    const sure = this.power === null ? count : Math.min(count, this.power);
    for (let i = 0; i < sure; i++) {
      this.bytes[at + i] = to(this.bytes[at + i], i);
    }
    if (this.file !== null) {
      writeSync(this.file, this.bytes, at, sure, at);
    }
    if (this.power !== null) {
      this.power -= sure;
      if (sure < count) {
        this.close();
        process.exit(0);
      }
    }
  }

  close() {
    if (this.file !== null) {
      closeSync(this.file);
      this.file = null;
    }
  }
}

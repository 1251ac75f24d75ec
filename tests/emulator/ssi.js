// What the emulator's flash controller lacks: that the flash answers commands other than a read of its status. The
// firmware asks it for its name (command 0x4B, then four bytes that say nothing, then eight of the name).

const ENABLE = 0x08;
const STATUS = 0x28;
const DATA = 0x60;
const STATUS_CAN_SEND = 0x06;
const STATUS_HAS_DATA = 0x08;
const READ_NAME = 0x4b;
const IDLE_BYTES = 4;

/** Has the flash behind `ssi` answer with `name`, eight bytes. */
export function correctSsi(ssi, name) {
  const { readUint32, writeUint32 } = ssi;
  let answer = null;
  ssi.readUint32 = (offset) => {
    if (answer === null) {
      return readUint32.call(ssi, offset);
    }
    switch (offset) {
      case STATUS:
        return STATUS_CAN_SEND | (answer.length > 0 ? STATUS_HAS_DATA : 0);
      case DATA:
        return answer.shift() ?? 0;
      default:
        return readUint32.call(ssi, offset);
    }
  };
  ssi.writeUint32 = (offset, value) => {
    if (offset === ENABLE) {
      answer = null;
    } else if (offset === DATA && (value & 0xff) === READ_NAME) {
      answer = [...new Array(IDLE_BYTES).fill(0), ...name];
      return;
    }
    writeUint32.call(ssi, offset, value);
  };
}

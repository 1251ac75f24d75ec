// What the emulator's UART lacks of the PL011: a queue that is sent at the speed of the line, an interrupt when it has
// become half empty and not for ever, and the register for DMA.

const DATA = 0x00;
const FLAGS = 0x18;
const CLEAR = 0x44;
const DMA = 0x48;
const FLAG_SENDING_FULL = 1 << 5;
const FLAG_SENDING_EMPTY = 1 << 7;
const FLAG_BUSY = 1 << 3;
const FLAG_RECEIVING_FULL = 1 << 6;
const FLAG_RECEIVING_EMPTY = 1 << 4;
const INTERRUPT_SENT = 1 << 5;
const QUEUE_MAX = 32;
const HALF = 16;
const BITS_OF_A_BYTE = 10;

/** Corrects `uart`, whose bytes go to `send(byte)`; returns the function that puts bytes on its receiving line. */
export function correctUart(mcu, uart, send) {
  const queue = [];
  const arriving = [];
  let dma = 0;
  const byteNanos = () => (BITS_OF_A_BYTE * 1e9) / (uart.baudRate || 115200);
  const sender = mcu.clock.createAlarm(() => {
    send(queue.shift());
    if (queue.length === HALF) {
      uart.interruptStatus |= INTERRUPT_SENT;
      uart.checkInterrupts();
    }
    if (queue.length > 0) {
      sender.schedule(byteNanos());
    } else {
      sender.scheduled = false;
    }
  });
  const receiver = mcu.clock.createAlarm(() => {
    // A byte that finds no room is lost, as on the chip.
    const byte = arriving.shift();
    if (!uart.rxFIFO.full) {
      uart.feedByte(byte);
    }
    if (arriving.length > 0) {
      receiver.schedule(byteNanos());
    } else {
      receiver.scheduled = false;
    }
  });
  const { readUint32, writeUint32 } = uart;
  uart.checkInterrupts = () => mcu.setInterrupt(uart.irq, (uart.interruptStatus & uart.interruptMask) !== 0);
  uart.readUint32 = (offset) => {
    switch (offset) {
      case FLAGS:
        return (
          (queue.length >= QUEUE_MAX ? FLAG_SENDING_FULL : 0) |
          (queue.length === 0 ? FLAG_SENDING_EMPTY : FLAG_BUSY) |
          (uart.rxFIFO.full ? FLAG_RECEIVING_FULL : 0) |
          (uart.rxFIFO.empty ? FLAG_RECEIVING_EMPTY : 0)
        );
      case DMA:
        return dma;
      default:
        return readUint32.call(uart, offset);
    }
  };
  uart.writeUint32 = (offset, value) => {
    switch (offset) {
      case DATA:
        if (queue.length < QUEUE_MAX) {
          queue.push(value & 0xff);
        }
        if (queue.length > HALF) {
          uart.interruptStatus &= ~INTERRUPT_SENT;
          uart.checkInterrupts();
        }
        if (!sender.scheduled) {
          sender.schedule(byteNanos());
        }
        break;
      case CLEAR:
        uart.interruptStatus &= ~value;
        uart.checkInterrupts();
        break;
      case DMA:
        dma = value;
        break;
      default:
        writeUint32.call(uart, offset, value);
    }
  };
  return (bytes) => {
    arriving.push(...bytes);
    if (arriving.length > 0 && !receiver.scheduled) {
      receiver.schedule(byteNanos());
    }
  };
}

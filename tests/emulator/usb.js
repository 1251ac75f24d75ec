// The host at the other end of the Pico's USB cable: it greets the board, opens its serial port, and carries bytes.

import { createSetupPacket, DataDirection, SetupRecipient, SetupType, USBCDC } from 'rp2040js';

const OUT_BUFFER_CONTROL = 0x84;
const AVAILABLE = 1 << 10;
const SET_CONTROL_LINE_STATE = 0x22;
const DTR_AND_RTS = 3;

/** Plugs the cable in; bytes of the board go to `send(byte)`. Returns the function that sends bytes to the board. */
export function plugUsb(mcu, send) {
  const usb = mcu.usbCtrl;
  const port = new USBCDC(usb);
  const arriving = [];
  // Bytes that the board has room for. The package would hand it empty packets for ever; a host waits until it has some,
  // and until then the buffer is the controller's.
  let room = 0;
  const give = () => {
    if (room > 0 && arriving.length > 0) {
      const packet = Uint8Array.from(arriving.splice(0, room));
      room = 0;
      usb.endpointReadDone(port.outEndpoint, packet);
    }
  };
  const own = (endpoint, isControllers) => {
    const at = OUT_BUFFER_CONTROL + 8 * endpoint;
    const control = mcu.usbDPRAMView.getUint32(at, true);
    mcu.usbDPRAMView.setUint32(at, isControllers ? control | AVAILABLE : control & ~AVAILABLE, true);
  };
  const { finishRead } = usb;
  usb.finishRead = (endpoint, packet) => {
    own(endpoint, false);
    finishRead.call(usb, endpoint, packet);
  };
  usb.onEndpointRead = (endpoint, size) => {
    own(endpoint, true);
    if (endpoint === port.outEndpoint) {
      room = size;
      give();
    }
  };
  // The package asks the device for what is to be asked of its interface (PSTN subclass of USB CDC 1.2, section 6.3.12).
  port.cdcSetControlLineState = () => {
    usb.sendSetupPacket(
      createSetupPacket({
        dataDirection: DataDirection.HostToDevice,
        type: SetupType.Class,
        recipient: SetupRecipient.Interface,
        bRequest: SET_CONTROL_LINE_STATE,
        wValue: DTR_AND_RTS,
        wIndex: 0,
        wLength: 0,
      }),
    );
    port.initialized = true;
  };
  port.onSerialData = (packet) => packet.forEach(send);
  return (bytes) => {
    arriving.push(...bytes);
    give();
  };
}

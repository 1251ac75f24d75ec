#!/usr/bin/env python3
"""Sends readings without a gateway, to try consumers with, by the classic Python client (requirements-classic.txt).

A line of standard input is `DEVICE MEASUREMENT VALUE [NAME=VALUE ...]`, and becomes the message that the gateway makes
of it.
"""

import sys

from rocketmq.client import Message, Producer

import options


def message_of(topic, device, measurement, value, *properties):
    message = Message(topic)
    message.set_tags(measurement)
    message.set_keys(device)
    message.set_body(f"{device},{value}")
    message.set_property(measurement, value)
    message.set_property("tg_dev", device)
    for pair in properties:
        message.set_property(*pair.split("=", 1))
    return message


def queue_of(device):
    """The queue that Java's clients choose, by hashCode() of the device; so does the gateway."""
    code = 0
    for unit in device.encode("utf-16-be")[1::2]:
        code = (31 * code + unit) & 0xFFFFFFFF
    code = code - (1 << 32) if code >> 31 else code
    # A remainder of Java has the sign of what is divided.
    return lambda queues, *_: abs(code) % queues


def main():
    words = options.parser(__doc__, "127.0.0.1:9876").parse_args()
    producer = Producer("iot-sensor-producer")
    producer.set_namesrv_addr(words.address)
    if words.user:
        producer.set_session_credentials(words.user, options.secret(words), "")
    producer.start()
    for line in sys.stdin:
        reading = line.split()
        # The queue by the device, so that what it sends stays in order.
        result = producer.send_orderly(message_of(words.topic, *reading), 0, queue_selector=queue_of(reading[0]))
        print(f"{result.status.name} {result.msg_id} offset {result.offset}", flush=True)


if __name__ == "__main__":
    main()

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


def main():
    words = options.parser(__doc__, "127.0.0.1:9876").parse_args()
    producer = Producer("iot-sensor-producer", orderly=True)
    producer.set_name_server_address(words.address)
    if words.user:
        producer.set_session_credentials(words.user, options.secret(words), "")
    producer.start()
    for line in sys.stdin:
        reading = line.split()
        # The queue by the device, so that what it sends stays in order.
        result = producer.send_orderly_with_sharding_key(message_of(words.topic, *reading), reading[0])
        print(f"{result.status.name} {result.msg_id} offset {result.offset}", flush=True)
    producer.shutdown()


if __name__ == "__main__":
    main()

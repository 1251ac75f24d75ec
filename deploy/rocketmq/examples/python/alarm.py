#!/usr/bin/env python3
"""Says which device is too hot, with the classic Python client (requirements-classic.txt).

A reading of one number is `DEVICE,NUMBER`; the tag says what was measured.
"""

import signal

from rocketmq.client import PushConsumer

import options

LIMIT = 35.0


def look(message):
    device, value = message.body.decode().split(",")
    if float(value) > LIMIT:
        # In one piece: several threads look.
        print(f"ALARM {device} {value}\n", end="", flush=True)


def main():
    words = options.parser(__doc__, "127.0.0.1:9876")
    words.set_defaults(group="alert-consumer-group", tag="temperature")
    words = words.parse_args()
    consumer = PushConsumer(words.group)
    consumer.set_namesrv_addr(words.address)
    if words.user:
        consumer.set_session_credentials(words.user, options.secret(words), "")
    consumer.subscribe(words.topic, look, words.tag)
    consumer.start()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    consumer.shutdown()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()

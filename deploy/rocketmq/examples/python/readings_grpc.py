#!/usr/bin/env python3
"""Prints each message as a line of JSON, those that were here before with "duplicate": true.

With the Python client of RocketMQ 5 (requirements-grpc.txt), through the proxy. A group that was made with
`admin group NAME --ordered` gets what one device sent in order.
"""

import json
import signal
import sys
import time

from rocketmq import ClientConfiguration, Credentials, FilterExpression, SimpleConsumer
from rocketmq.grpc_protocol import FilterType

import options
from duplicates import Duplicates

BATCH_MAX = 32
# How long others do not see what we took and have not confirmed.
HIDDEN_SECONDS = 30


def line_of(message, duplicates):
    properties = dict(message.properties)
    keys = " ".join(message.keys)
    return {"topic": message.topic, "tags": message.tag, "keys": keys, "id": message.message_id,
            "group": message.message_group, "received_ms": int(time.time() * 1000),
            "retries": message.delivery_attempt - 1, "properties": properties,
            "body": message.body.decode("utf-8", "backslashreplace"),
            "duplicate": duplicates.is_duplicate(
                f"{message.topic} {properties.get('tg_lane')} {message.tag} {keys}", properties.get("tg_boot"), properties.get("tg_seq"),
                properties.get("uid", message.message_id))}


def main():
    words = options.parser(__doc__, "127.0.0.1:8081")
    words.add_argument("--sql", help="only what fits, such as 'temperature > 35.0'")
    words = words.parse_args()
    credentials = Credentials(words.user, options.secret(words)) if words.user else Credentials()
    expression = FilterExpression(words.sql, FilterType.SQL) if words.sql else FilterExpression(words.tag)
    consumer = SimpleConsumer(ClientConfiguration(words.address, credentials), words.group, {words.topic: expression})
    consumer.startup()
    duplicates = Duplicates()
    is_over = []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(True))
    signal.signal(signal.SIGINT, lambda *_: is_over.append(True))
    print(f"listening to {words.topic} as {words.group}", file=sys.stderr, flush=True)
    while not is_over:
        try:
            messages = consumer.receive(BATCH_MAX, HIDDEN_SECONDS) or []
        except Exception as error:  # what is thrown when nothing came is a matter of the version
            print(error, file=sys.stderr, flush=True)
            time.sleep(0.2)
            continue
        for message in messages:
            print(json.dumps(line_of(message, duplicates), ensure_ascii=False), flush=True)
            consumer.ack(message)
    consumer.shutdown()


if __name__ == "__main__":
    main()

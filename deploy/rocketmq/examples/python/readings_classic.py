#!/usr/bin/env python3
"""Prints each message as a line of JSON, those that were here before with "duplicate": true.

With the classic Python client (requirements-classic.txt), which reads properties by name only.
"""

import json
import signal
import sys
import threading
import time

from rocketmq.client import MessageModel, PushConsumer

import options
from duplicates import Duplicates

PROPERTIES = ("uid", "tg_dev", "tg_boot", "tg_seq", "tg_lane", "tg_ts", "tg_ts_gw", "tg_proto", "UNIQ_KEY", "__SHARDINGKEY")


class Printer:
    def __init__(self):
        self.duplicates = Duplicates()
        self.lock = threading.Lock()

    def take(self, message):
        properties = {name: as_text(message.get_property(name)) for name in PROPERTIES}
        properties = {name: value for name, value in properties.items() if value}
        tags, keys = as_text(message.tags), as_text(message.keys)
        line = {"topic": message.topic, "tags": tags, "keys": keys, "id": message.id, "queue": message.queue_id,
                "offset": message.queue_offset, "born_ms": message.born_timestamp,
                "stored_ms": message.store_timestamp, "received_ms": int(time.time() * 1000),
                "retries": message.reconsume_times, "properties": properties,
                "body": message.body.decode("utf-8", "backslashreplace")}
        with self.lock:
            line["duplicate"] = self.duplicates.is_duplicate(
                f"{message.topic} {properties.get('tg_lane')} {tags} {keys}", properties.get("tg_boot"), properties.get("tg_seq"),
                properties.get("uid", message.id))
            print(json.dumps(line, ensure_ascii=False), flush=True)


def as_text(value):
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def main():
    words = options.parser(__doc__, "127.0.0.1:9876")
    words.add_argument("--broadcast", action="store_true", help="every member of the group gets all")
    words.add_argument("--concurrent", action="store_true", help="faster, without a device's order")
    words = words.parse_args()
    model = MessageModel.BROADCASTING if words.broadcast else MessageModel.CLUSTERING
    consumer = PushConsumer(words.group, orderly=not words.concurrent, message_model=model)
    consumer.set_namesrv_addr(words.address)
    if words.user:
        consumer.set_session_credentials(words.user, options.secret(words), "")
    consumer.subscribe(words.topic, Printer().take, words.tag)
    consumer.start()
    print(f"listening to {words.topic} as {words.group}", file=sys.stderr, flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    consumer.shutdown()


if __name__ == "__main__":
    # Before the client starts its threads, so that none of them takes the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()

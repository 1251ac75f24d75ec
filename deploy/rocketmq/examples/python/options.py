"""Words of the command line that the programs share."""

import argparse


def parser(does, address):
    words = argparse.ArgumentParser(description=does)
    words.add_argument("--address", default=address, help=f"HOST:PORT ({address})")
    words.add_argument("--group", default="monitor-consumer-group")
    words.add_argument("--topic", default="iot-topic")
    words.add_argument("--tag", default="*", metavar="'A || B'", help="only these tags")
    words.add_argument("--user", help="access key")
    words.add_argument("--secret-file", metavar="FILE", help="its secret key")
    return words


def secret(words):
    with open(words.secret_file, encoding="utf-8") as file:
        return file.read().strip()

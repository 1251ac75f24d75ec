#!/usr/bin/env python3
"""Writes frames.json: the serial protocol once more, from the tables of protocol/README.md and not from the code.

    python3 tests/vectors/serial/make.py > tests/vectors/serial/frames.json
"""
import hashlib
import hmac
import json
import zlib

SECRET = b"00112233445566778899aabbccddeeff"
SALT = bytes(range(0xA0, 0xB0))
DEVICE = "greenhouse-1"
NONCE_DEVICE = bytes(range(1, 9))
NONCE_GATEWAY = bytes(range(0x11, 0x19))

DEVICE_KEY = hmac.digest(SALT, SECRET, hashlib.sha256)
LINK_KEY = hmac.digest(
    DEVICE_KEY, b"tidegate serial 1" + NONCE_DEVICE + NONCE_GATEWAY + DEVICE.encode(), hashlib.sha256
)


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def zigzag(number):
    return varint(number << 1 if number >= 0 else ((-number) << 1) - 1)


def text(word):
    return varint(len(word.encode())) + word.encode()


def cobs(raw):
    out = b""
    for part in (raw + b"\0").split(b"\0")[:-1]:
        while len(part) >= 254:
            out += b"\xff" + part[:254]
            part = part[254:]
        out += bytes([len(part) + 1]) + part
    return out


def frame(kind, sequence, body, direction=None, address=0x0102):
    signed = bytes([1, kind]) + address.to_bytes(2, "little") + sequence.to_bytes(4, "little")
    signed += len(body).to_bytes(2, "little") + body
    tag = bytes(8)
    if direction is not None:
        tag = hmac.digest(LINK_KEY, bytes([direction]) + signed, hashlib.sha256)[:8]
    raw = signed + tag
    raw += zlib.crc32(raw).to_bytes(4, "little")
    return b"\0" + cobs(raw) + b"\0"


def number(digits, places):
    return varint(1) + zigzag(digits) + bytes([places])


def readings():
    channels = varint(2) + text("temperature") + text("°C") + text("door") + text("")
    first = varint(41) + varint(1_790_000_000_123) + varint(2) + number(366, 1) + varint(2) + b"\x01"
    second = varint(42) + varint(0) + varint(2) + number(-5, 2) + varint(0)
    third = varint(44) + varint(0) + varint(2) + varint(0) + varint(3) + text("ajar")
    return varint(7) + channels + varint(3) + first + second + third


TO_GATEWAY, TO_DEVICE = 0, 1
HELLO = text(DEVICE) + text("e6614103e7452c2f") + text("rp2040") + text("0.1.0") + NONCE_DEVICE
UNCLAIMED = text("") + text("e6614103e7452c2f") + text("rp2040") + text("0.1.0") + NONCE_DEVICE
LONGEST = varint(7) + varint(1) + text("n" * 32) + text("") + varint(5)
LONGEST += b"".join(varint(i) + varint(0) + varint(1) + varint(3) + text("t" * 32) for i in range(1, 6))

FRAMES = [
    ("hello", 1, 0, HELLO, None),
    ("hello of a board without a name", 1, 0, UNCLAIMED, None),
    ("challenge", 2, 1, NONCE_DEVICE + NONCE_GATEWAY + SALT, TO_DEVICE),
    ("ready", 3, 1, varint(7) + varint(1234), TO_GATEWAY),
    ("welcome", 4, 2, varint(1_790_000_000_000) + varint(6), TO_DEVICE),
    ("readings", 5, 2, readings(), TO_GATEWAY),
    ("long readings", 5, 3, LONGEST, TO_GATEWAY),
    ("acknowledge", 6, 3, varint(7) + varint(44), TO_DEVICE),
    ("gap", 7, 4, varint(6) + varint(100) + varint(163), TO_GATEWAY),
    ("refuse", 8, 4, bytes([4]) + varint(3) + varint(7) + varint(42) + varint(30_000), TO_DEVICE),
    ("refuse without a link", 8, 0, bytes([7]) + varint(0) * 4, None),
    ("command set period", 9, 5, varint(1) + varint(0) + varint(5000), TO_DEVICE),
    ("command identify", 9, 6, varint(2) + varint(1) + varint(10), TO_DEVICE),
    ("command reboot", 9, 7, varint(3) + varint(2), TO_DEVICE),
    ("command report", 9, 8, varint(4) + varint(3), TO_DEVICE),
    ("answer", 10, 5, varint(1) + varint(0) + b"\0", TO_GATEWAY),
    (
        "answer report", 10, 6,
        varint(4) + varint(0) + b"\1" + b"".join(map(varint, [7, 99_000, 5000, 3, 64, 1, 2, 4])), TO_GATEWAY,
    ),
    ("time", 11, 9, varint(1_790_000_100_000), TO_DEVICE),
    ("adopt", 12, 0, text("e6614103e7452c2f") + text(DEVICE) + text(SECRET.decode()) + varint(6), None),
    ("a kind of a later version", 200, 10, b"later", TO_DEVICE),
    ("a time with a later version's field behind it", 11, 11, varint(1_790_000_100_000) + b"later", TO_DEVICE),
]

print(json.dumps({
    "secret": SECRET.decode(),
    "salt": SALT.hex(),
    "device": DEVICE,
    "nonce_device": NONCE_DEVICE.hex(),
    "nonce_gateway": NONCE_GATEWAY.hex(),
    "device_key": DEVICE_KEY.hex(),
    "link_key": LINK_KEY.hex(),
    "address": 0x0102,
    "frames": [
        {"name": name, "kind": kind, "sequence": sequence, "body": body.hex(),
         "direction": [None, "to_gateway", "to_device"][0 if direction is None else direction + 1],
         "wire": frame(kind, sequence, body, direction).hex()}
        for name, kind, sequence, body, direction in FRAMES
    ],
}, indent=1))

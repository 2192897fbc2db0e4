#!/usr/bin/env python3
"""A device without TLS: seals what it publishes and opens what it gets, for the plugin payload-crypto.

Needs the package cryptography (Debian: python3-cryptography). As a program it reads a payload and writes it sealed,
or the other way round:

    KEY=$(portcullis keys derive --config portcullis.toml devices press-7)
    echo -n 21.5 | ./sealed.py seal "$KEY" plant/press-7/raw press-7 counter | mosquitto_pub -t plant/press-7/raw -s
"""

import base64
import os
import struct
import sys
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PUBLISH, BROKER, WILL = 1, 2, 3
STAMPS = {"none": 0, "counter": 1, "timestamp": 2}


def bound(kind, stamp, topic, name):
    """What is bound to a sealed payload and is not in it."""
    data = struct.pack(">BBB", 1, kind, STAMPS[stamp])
    for text in (topic, name):
        data += struct.pack(">H", len(text.encode())) + text.encode()
    return data


def seal(key, topic, name, stamp, payload, number=None, kind=PUBLISH):
    """`key` is the line that `portcullis keys derive` prints. `number` must grow with every message, also over restarts
    of the device; the clock does for both kinds of stamp where it never goes back."""
    key_number, secret = key.split()
    header = struct.pack(">BI", 1, int(key_number))
    nonce = os.urandom(12)  # must never come twice with one key
    if stamp != "none":
        number = time.time_ns() // 1_000_000 if number is None else number
        payload = struct.pack(">Q", number) + payload
    data = header + bound(kind, stamp, topic, name)
    return header + nonce + AESGCM(base64.b64decode(secret)).encrypt(nonce, payload, data)


def open_sealed(key, topic, name, stamp, sealed, kind=BROKER):
    """The stamp, if there is one, and the payload; an exception if it is not authentic."""
    key_number, secret = key.split()
    header, nonce, rest = sealed[:5], sealed[5:17], sealed[17:]
    if header != struct.pack(">BI", 1, int(key_number)):
        raise ValueError("sealed with another key")
    data = header + bound(kind, stamp, topic, name)
    payload = AESGCM(base64.b64decode(secret)).decrypt(nonce, rest, data)
    if stamp == "none":
        return None, payload
    return struct.unpack(">Q", payload[:8])[0], payload[8:]


if __name__ == "__main__":
    if len(sys.argv) != 6 or sys.argv[1] not in ("seal", "open"):
        sys.exit("usage: sealed.py seal|open 'NUMBER KEY' TOPIC NAME none|counter|timestamp")
    action, key, topic, name, stamp = sys.argv[1:]
    given = sys.stdin.buffer.read()
    if action == "seal":
        sys.stdout.buffer.write(seal(key, topic, name, stamp, given))
    else:
        sys.stdout.buffer.write(open_sealed(key, topic, name, stamp, given)[1])

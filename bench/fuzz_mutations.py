"""Mutations of messages: of fields by their types, of payloads, and of the bytes that travel."""

import random
import struct
import zlib
from array import array

import cv2
import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

WIDTHS = {'uint8': 8, 'uint16': 16, 'uint32': 32, 'uint64': 64}
TEXTS = ('', '\x00', 'x' * 128, 'é€😀' * 30, '\ufffd' * 120, '9' * 128, '٣', '-1', '1e9', 'nan')
# What a signed number and a float of the wire can be at worst.
FLOATS = (0.0, -0.0, -1.0, 1e30, -1e30, float('inf'), float('-inf'), float('nan'), 1e-40)
# What a sequence of numbers may hold, by their type.
NUMBERS: dict[str, tuple] = {'float': FLOATS, 'uint16': (0, 1, 2 ** 16 - 1)}
BOMB = zlib.compress(bytes(60_000_000), 9)  # in 58 KB


def mutated_data(rng: random.Random, old: bytes) -> bytes:
    """Spoil the payload of a tile, or make one that lies about its size."""
    def jpeg(height: int, width: int) -> bytes:
        return cv2.imencode('.jpg', np.zeros((height, width, 3), np.uint8))[1].tobytes()
    kind = rng.randrange(8)
    if kind == 0:
        return old[:rng.randrange(len(old) + 1)]
    if kind == 1:
        return (old + rng.randbytes(rng.randrange(1, 2000)))[:65536]
    if kind == 2:
        return rng.randbytes(rng.choice((0, 1, 7, 4096, 65536)))
    if kind == 3:
        return BOMB if rng.random() < 0.2 else zlib.compress(bytes(rng.randrange(200_000)), 1)
    if kind == 4:
        return jpeg(rng.randrange(1, 40), rng.randrange(1, 400))
    if kind == 5:  # a JPEG that says 65535 x 65535
        good = bytearray(jpeg(16, 160))
        at = good.find(b'\xff\xc0')
        good[at + 5:at + 9] = b'\xff\xff\xff\xff'
        return bytes(good)
    if kind == 6:
        return zlib.compress(old, 1)[:65536]
    return flipped(rng, old)


def flipped(rng: random.Random, old: bytes) -> bytes:
    """Spoil bytes anywhere: flip, overwrite with extremes, cut, repeat, leave out."""
    new = bytearray(old)
    for _ in range(rng.randrange(1, 5)):
        if not new:
            break
        at = rng.randrange(len(new))
        kind = rng.randrange(5)
        if kind == 0:
            new[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            at -= at % 4
            new[at:at + 4] = struct.pack('<I', rng.choice((0, 1, 0x7fffffff, 0xffffffff, 65537)))
        elif kind == 2:
            del new[at:]
        elif kind == 3:
            new[at:at] = new[at:at + rng.randrange(1, 64)]
        else:
            del new[at:at + rng.randrange(1, 16)]
    return bytes(new)


def mutate_field(rng: random.Random, message: object) -> None:
    """Give one field of a message, however deep, a value that its type allows."""
    name, kind = rng.choice(list(message.get_fields_and_field_types().items()))
    old = getattr(message, name)
    if kind in WIDTHS:
        top = 2 ** WIDTHS[kind] - 1
        setattr(message, name, rng.choice((
            0, 1, 2, top, top - 1, top // 2, min(top, old + 1), max(0, old - 1),
            rng.randrange(top + 1))))
    elif kind in ('float', 'double'):
        setattr(message, name, rng.choice(FLOATS))
    elif kind == 'int32':
        setattr(message, name, rng.choice((0, -1, 2 ** 31 - 1, -2 ** 31, rng.randrange(2 ** 31))))
    elif kind == 'boolean':
        setattr(message, name, not old)
    elif kind.startswith('string'):
        bound = int(kind[len('string<'):-1]) if '<' in kind else 10_000
        setattr(message, name, (rng.choice(TEXTS) * rng.choice((1, 1, 100)))[:bound]
                if rng.random() < 0.9 else 'x' * bound)
    elif 'uint8' in kind:
        setattr(message, name, array('B', mutated_data(rng, bytes(old))))
    elif kind.startswith('sequence') and (inner := kind[len('sequence<'):-1]) in NUMBERS:
        values = list(old)
        if values and rng.random() < 0.6:
            values[rng.randrange(len(values))] = rng.choice(NUMBERS[inner])
        else:
            values = values[:rng.randrange(len(values) + 1)] * rng.randrange(3)
        setattr(message, name, values)
    elif kind.startswith('sequence'):
        if rng.random() < 0.2 or not old:
            setattr(message, name, [])
        else:
            mutate_field(rng, rng.choice(old))
    elif hasattr(old, 'get_fields_and_field_types'):
        mutate_field(rng, old)


def mutated(rng: random.Random, message: object) -> object | None:
    """Give a spoilt copy, or None when it is so broken that the middleware refuses to read it."""
    wire = serialize_message(message)
    if rng.random() < 0.5:
        wire = wire[:4] + flipped(rng, wire[4:])
        try:
            return deserialize_message(wire, type(message))
        except Exception:  # in a node this one ends in the middleware
            return None
    copy = deserialize_message(wire, type(message))
    for _ in range(rng.choice((1, 1, 2, 3))):
        mutate_field(rng, copy)
    return copy

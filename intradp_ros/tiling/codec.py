"""Codecs of rows: pure pairs of encode and decode, one entry each in `CODECS`."""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from intradp_ros.errors import ParameterError, TileError


@dataclass(frozen=True)
class Codec:
    """
    One way to turn rows into bytes and back.

    `encode` takes rows (n, width, channels); `decode` takes bytes and the expected shape, and
    raises TileError when the bytes do not hold exactly that. `number` stands for the decoder on
    the wire: codecs that share one differ in how they encode.
    """

    name: str
    number: int
    lossless: bool
    dtype: type
    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[memoryview, tuple[int, int, int]], np.ndarray]


def _plain(dtype: type) -> tuple[Callable, Callable]:
    def encode(rows: np.ndarray) -> bytes:
        return np.ascontiguousarray(rows, dtype).tobytes()

    def decode(data: memoryview, shape: tuple[int, int, int]) -> np.ndarray:
        expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if len(data) != expected:
            raise TileError(f'expected {expected} bytes for {shape} of {np.dtype(dtype).name}, '
                            f'got {len(data)}')
        return np.frombuffer(data, dtype).reshape(shape)
    return encode, decode


def _zlib_encode(rows: np.ndarray) -> bytes:
    # Level 1: on the robot's core a higher one costs more time than its bytes save on the link.
    return zlib.compress(np.ascontiguousarray(rows, np.uint8).data, 1)


def _zlib_decode(data: memoryview, shape: tuple[int, int, int]) -> np.ndarray:
    expected = int(np.prod(shape))
    stream = zlib.decompressobj()
    try:
        # Never more than one byte over what is expected: a bomb stays small.
        plain = stream.decompress(data, expected + 1)
    except zlib.error as error:
        raise TileError(f'zlib data of {len(data)} bytes is broken: {error}') from error
    if len(plain) != expected or not stream.eof or stream.unused_data:
        raise TileError(f'expected {expected} bytes of zlib data for rows {shape}, got '
                        f'{"more" if len(plain) > expected else len(plain)}')
    return np.frombuffer(plain, np.uint8).reshape(shape)


# Quality of rows whose colour has half of the resolution, and all of it.
QUALITY, QUALITY_444 = 90, 60


def _jpeg_encode(rows: np.ndarray, quality: int = QUALITY, *options: int) -> bytes:
    done, data = cv2.imencode('.jpg', cv2.cvtColor(rows, cv2.COLOR_RGB2BGR),
                              [cv2.IMWRITE_JPEG_QUALITY, quality, *options])
    if not done:
        raise TileError(f'OpenCV could not encode rows of shape {rows.shape} as JPEG')
    return data.tobytes()


def _jpeg_444_encode(rows: np.ndarray) -> bytes:
    if hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR_444'):
        return _jpeg_encode(rows, QUALITY_444, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    return _jpeg_444_encode_by_pillow(rows)


def _jpeg_444_encode_by_pillow(rows: np.ndarray) -> bytes:
    # The same bytes, a third later. Before 4.7 OpenCV halves the resolution of colour, whatever it
    # is asked for.
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rows, np.uint8)).save(
        data, 'JPEG', quality=QUALITY_444, subsampling='4:4:4')
    return data.getvalue()


def _jpeg_size(data: memoryview) -> tuple[int, int]:
    """Read (height, width) from the frame header of a JPEG stream, without decoding anything."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2:at + 4], 'big')
        # Start of frame markers (ITU T.81, table B.1), less the three of that range that are not.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (int.from_bytes(data[at + 5:at + 7], 'big'),
                    int.from_bytes(data[at + 7:at + 9], 'big'))
        at += 2 + length
    raise TileError(f'{len(data)} bytes hold no JPEG frame header')


def _jpeg_decode(data: memoryview, shape: tuple[int, int, int]) -> np.ndarray:
    if shape[2] != 3:
        raise TileError(f'JPEG rows have 3 channels, expected {shape[2]}')
    # The size is known before anything of that size is allocated.
    if _jpeg_size(data) != tuple(shape[:2]):
        raise TileError(f'expected a JPEG of {shape[0]}x{shape[1]} pixels (height x width), got '
                        f'{"x".join(map(str, _jpeg_size(data)))}')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise TileError(f'OpenCV cannot decode {len(data)} bytes of JPEG: {error}') from error
    if image is None or image.shape != tuple(shape):
        raise TileError(f'{len(data)} bytes of JPEG are broken')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


CODECS: dict[str, Codec] = {codec.name: codec for codec in (
    Codec('uint8', 0, True, np.uint8, *_plain(np.uint8)),
    Codec('zlib', 1, True, np.uint8, _zlib_encode, _zlib_decode),
    # What people send, as OpenCV encodes by default: colour of half the resolution (4:2:0).
    Codec('jpeg', 2, False, np.uint8, _jpeg_encode, _jpeg_decode),
    # Half the bytes: the demo detector needs the resolution of colour more than quality.
    Codec('jpeg_444', 2, False, np.uint8, _jpeg_444_encode, _jpeg_decode),
    Codec('float32', 3, True, np.float32, *_plain(np.float32)),
)}
BY_NUMBER: dict[int, Codec] = {codec.number: codec for codec in CODECS.values()}


def find(name: str) -> Codec:
    """Look a codec up by name; raises ParameterError with the names there are."""
    if name not in CODECS:
        raise ParameterError(f'unknown codec {name!r}; there are: {", ".join(CODECS)}')
    return CODECS[name]

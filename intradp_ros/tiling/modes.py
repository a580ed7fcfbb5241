"""
What each mode computes, in one process: the operations of device and edge without the network.

One entry each in `MODES`. What a mode does to accuracy and what it sends can be measured here,
frame by frame, on any machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from intradp_ros.errors import ParameterError
from intradp_ros.model.detector import Detector
from intradp_ros.tiling import split
from intradp_ros.tiling.codec import CODECS, Codec
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.tiles import bands, pieces

# A preprocessed input (height, width, 3) -> the raw head outputs, and the bytes that travelled.
Run = Callable[[np.ndarray], tuple[tuple[Tensor, ...], int]]


@dataclass(frozen=True)
class Cut:
    """
    How a frame is cut: tiles a frame, the most bytes of a message, and for mode 'split' the merge
    tensor ('' for the natural bottleneck) and the share of its rows that the device computes.
    """

    tiles: int = 8
    message_bytes: int = 60000
    merge: str = ''
    share: float = 0.5


@dataclass(frozen=True)
class Mode:
    """
    One way to compute frames.

    `prepare` does once what can be done before the first frame; it raises ParameterError when the
    detector cannot be run so. `codecs` are the names of those that it can use; (None,) when it
    sends nothing.
    """

    prepare: Callable[[Detector, Codec | None, Cut], Run]
    codecs: tuple[str | None, ...]


def travel(rows: np.ndarray, begin: int, codec: Codec,
           limit: int) -> tuple[list[tuple[int, int, np.ndarray]], int]:
    """
    Encode rows (n, width, channels) of a tensor in messages of at most `limit` bytes; decode them.

    :returns: what arrives, (first row, last row + 1, rows) of each message, and the bytes of all.
    """
    arrived, sent = [], 0
    for piece in pieces(rows, begin, codec, limit):
        shape = piece.row_end - piece.row_begin, *rows.shape[1:]
        # A copy, as on the edge: torch does not take memory that is read-only.
        arrived.append((piece.row_begin, piece.row_end,
                        codec.decode(memoryview(piece.data), shape).copy()))
        sent += len(piece.data)
    return arrived, sent


def _local(detector: Detector, codec: Codec | None, cut: Cut) -> Run:
    return lambda pixels: (detector.raw(pixels), 0)


def _offload(detector: Detector, codec: Codec | None, cut: Cut) -> Run:
    def run(pixels: np.ndarray) -> tuple[tuple[Tensor, ...], int]:
        whole, sent = np.empty_like(pixels), 0
        for begin, end in bands(len(pixels), cut.tiles):
            arrived, size = travel(pixels[begin:end], begin, _needed(codec), cut.message_bytes)
            sent += size
            for a, b, rows in arrived:
                whole[a:b] = rows
        return detector.raw(whole), sent
    return run


def _split(detector: Detector, codec: Codec | None, cut: Cut) -> Run:
    graph = detector.graph
    chosen = split.at(graph, cut.merge, cut.share)
    engine = Engine(graph, detector.device)

    def run(pixels: np.ndarray) -> tuple[tuple[Tensor, ...], int]:
        device = engine.start(outputs=(), keep=(chosen.merge,))
        device.feed(graph.input, 0, len(pixels), pixels)
        edge, sent = engine.start(), 0
        raw = pixels[chosen.raw_begin:]
        parts = [(graph.input, raw[a:b], chosen.raw_begin + a, _needed(codec))
                 for a, b in bands(len(raw), cut.tiles) if b > a]
        for a, b in bands(chosen.device_rows, cut.tiles):
            if b > a:
                device.compute(chosen.merge, a, b)
                rows = device.peek(chosen.merge, a, b)[0].permute(1, 2, 0).cpu().numpy()
                parts.append((chosen.merge, rows, a, CODECS['float32']))
        for tensor, rows, begin, coder in parts:
            arrived, size = travel(rows, begin, coder, cut.message_bytes)
            sent += size
            for a, b, band in arrived:
                edge.feed(tensor, a, b, band)
        return edge.outputs(), sent
    return run


def _needed(codec: Codec | None) -> Codec:
    if codec is None:
        raise ParameterError('a mode that sends rows needs a codec')
    return codec


_OF_PIXELS = tuple(codec.name for codec in CODECS.values() if codec.dtype is np.uint8)

MODES: dict[str, Mode] = {
    'local': Mode(_local, (None,)),
    'offload': Mode(_offload, _OF_PIXELS),
    'split': Mode(_split, _OF_PIXELS),
}

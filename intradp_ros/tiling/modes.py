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
from intradp_ros.tiling.codec import CODECS, Codec
from intradp_ros.tiling.tiles import bands, pieces


@dataclass(frozen=True)
class Cut:
    """How a frame is cut: tiles a frame, and the most bytes of a message."""

    tiles: int = 8
    message_bytes: int = 60000


@dataclass(frozen=True)
class Mode:
    """
    One way to compute a frame.

    `run` takes the detector, the preprocessed input, a codec and the cut; it gives the raw head
    outputs and the bytes that travelled. `codecs` are the names of those that it can use; (None,)
    when it sends nothing.
    """

    run: Callable[[Detector, np.ndarray, Codec | None, Cut], tuple[tuple[Tensor, ...], int]]
    codecs: tuple[str | None, ...]


def _local(detector: Detector, pixels: np.ndarray, codec: Codec | None,
           cut: Cut) -> tuple[tuple[Tensor, ...], int]:
    return detector.raw(pixels), 0


def _offload(detector: Detector, pixels: np.ndarray, codec: Codec | None,
             cut: Cut) -> tuple[tuple[Tensor, ...], int]:
    if codec is None:
        raise ParameterError('mode offload needs a codec')
    arrived, sent = np.empty_like(pixels), 0
    for begin, end in bands(len(pixels), cut.tiles):
        for piece in pieces(pixels[begin:end], begin, codec, cut.message_bytes):
            shape = (piece.row_end - piece.row_begin, *pixels.shape[1:])
            arrived[piece.row_begin:piece.row_end] = codec.decode(memoryview(piece.data), shape)
            sent += len(piece.data)
    return detector.raw(arrived), sent


MODES: dict[str, Mode] = {
    'local': Mode(_local, (None,)),
    'offload': Mode(_offload, tuple(c.name for c in CODECS.values() if c.dtype is np.uint8)),
}

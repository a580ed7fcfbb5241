"""
From a tensor's rows to messages: equal bands, each encoded and cut to the size a message may
have.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from intradp_ros.errors import TileError
from intradp_ros.tiling.codec import Codec
from intradp_ros.tiling.rows import boundaries


@dataclass(frozen=True)
class Piece:
    """Encoded rows [row_begin, row_end) of a tensor, small enough for one message."""

    row_begin: int
    row_end: int
    data: bytes


def bands(rows: int, count: int) -> list[tuple[int, int]]:
    """Cut [0, rows) into `count` bands as `boundaries` has them, upper ones first."""
    ends = boundaries(rows, count)
    return list(zip(ends, ends[1:]))


def pieces(rows: np.ndarray, row_begin: int, codec: Codec, limit: int) -> Iterator[Piece]:
    """
    Encode the rows (n, width, channels) of a band in pieces of at most `limit` bytes, from the
    top.

    :param row_begin: number of the first row in its tensor.
    :raises TileError: when one row alone does not fit.
    """
    data = codec.encode(rows)
    if len(data) <= limit:
        yield Piece(row_begin, row_begin + len(rows), data)
    elif len(rows) == 1:
        raise TileError(f'one row of shape {rows.shape[1:]} takes {len(data)} bytes as '
                        f'{codec.name}; a message may hold {limit} (parameter message_bytes)')
    else:
        # As few equal parts as the first try promises; a part that is still too large is cut
        # again.
        for begin, end in bands(len(rows), -(-len(data) // limit)):
            yield from pieces(rows[begin:end], row_begin + begin, codec, limit)

"""
Puts the rows of one frame's tensor together, whatever order, repetition or nonsense they come in.
"""

import numpy as np

from intradp_ros.errors import TileError
from intradp_ros.tiling.codec import Codec


class Assembler:
    """
    One tensor (rows, width, channels) that fills up.

    Memory is that of the tensor, taken once: nothing that a tile says can make it grow.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: type = np.uint8):
        self.pixels: np.ndarray = np.empty(shape, dtype)
        self.present = np.zeros(shape[0], bool)

    @property
    def complete(self) -> bool:
        """True when every row has arrived."""
        return bool(self.present.all())

    def add(self, row_begin: int, row_end: int, codec: Codec, data: bytes | memoryview) -> bool:
        """
        Take rows [row_begin, row_end); rows that are already here stay as they are.

        :returns: True when at least one row was new.
        :raises TileError: when the rows lie outside the tensor or the data does not hold them.
        """
        rows, width, channels = self.pixels.shape
        if not 0 <= row_begin < row_end <= rows:
            raise TileError(f'rows [{row_begin}, {row_end}) do not lie in a tensor of {rows} rows')
        if codec.dtype is not self.pixels.dtype.type:
            raise TileError(f'codec {codec.name} carries {np.dtype(codec.dtype).name}, the tensor '
                            f'is {self.pixels.dtype.name}')
        missing = ~self.present[row_begin:row_end]
        if not missing.any():
            return False
        decoded = codec.decode(memoryview(data), (row_end - row_begin, width, channels))
        self.pixels[row_begin:row_end][missing] = decoded[missing]
        self.present[row_begin:row_end] = True
        return True

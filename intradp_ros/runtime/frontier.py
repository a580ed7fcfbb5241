"""
The frontier: which bands of the merge tensor the device computes, and which the edge.

The device takes bands from the top as it gets to them, and the sender takes raw rows from the
bottom whenever the link has room and nothing that the device computed waits. A band belongs to
whoever takes it first, so where they meet every row is covered once, wherever that turns out to
be: far up on a fast link, at the last row (local inference) on a dead one.
"""

import threading
from dataclasses import dataclass

from intradp_ros.model.graph import Graph, rows_needed
from intradp_ros.tiling.rows import Interval, boundaries, boundaries_around
from intradp_ros.tiling.split import Split


@dataclass(frozen=True)
class Layout:
    """
    How a frame is cut into bands.

    `ends` has the rows of the merge tensor between bands, its first (0 but where the image is
    divided) and last included; `raw` the rows of the input between the raw rows of each band, halo
    included: bands k, k + 1, ... need the input's rows from raw[k] on. The device takes bands
    below `device_limit`, the edge those from `edge_limit` on.
    """

    merge: int
    ends: tuple[int, ...]
    raw: tuple[int, ...]
    device_limit: int
    edge_limit: int

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.ends) - 1

    def band(self, number: int) -> Interval:
        """Rows of the merge tensor."""
        return self.ends[number], self.ends[number + 1]

    def raw_band(self, number: int) -> Interval:
        """Rows of the input."""
        return self.raw[number], self.raw[number + 1]


def layout(graph: Graph, split: Split, tile_count: int, meeting: bool) -> Layout:
    """
    Cut a frame.

    :param split: who computes which rows; with `meeting` only its tensor counts, and both sides
        may take any band.
    """
    if split.merge == graph.input:
        return raw_rows(graph, 0, tile_count)
    rows = graph.tensors[split.merge].rows
    height = graph.tensors[graph.input].rows
    if meeting or split.device_rows in (0, rows):
        ends = boundaries(rows, tile_count)
    else:
        ends = boundaries_around(rows, split.device_rows, tile_count)
    raw = [rows_needed(graph, split.merge, a, rows)[0] for a in ends[:-1]] + [height]
    limits = (len(ends) - 1, 0) if meeting else (ends.index(split.device_rows),) * 2
    return Layout(split.merge, tuple(ends), tuple(raw), *limits)


def raw_rows(graph: Graph, begin: int, tile_count: int) -> Layout:
    """Cut rows of the input, from `begin` on, into bands for the edge; the device takes none."""
    height = graph.tensors[graph.input].rows
    ends = tuple(begin + b for b in boundaries(height - begin, tile_count))
    return Layout(graph.input, ends, ends, 0, 0)


class Frontier:
    """Hands out the bands of one frame, each to one side; safe to use from several threads."""

    def __init__(self, plan: Layout):
        self.layout = plan
        self._top = 0
        self._bottom = plan.count
        self._lock = threading.Lock()

    def take_top(self) -> int | None:
        """Take the next band for the device to compute."""
        with self._lock:
            if self._top >= min(self._bottom, self.layout.device_limit):
                return None
            self._top += 1
            return self._top - 1

    def take_bottom(self) -> int | None:
        """Take the next band for the edge to compute, from raw rows."""
        with self._lock:
            if self._bottom <= max(self._top, self.layout.edge_limit):
                return None
            self._bottom -= 1
            return self._bottom

    @property
    def left(self) -> int:
        """Bands that nobody has taken."""
        with self._lock:
            return self._bottom - self._top

    @property
    def device_rows(self) -> int:
        """Rows of the merge tensor that the device has taken."""
        return self.layout.ends[self._top]

    @property
    def edge_rows(self) -> int:
        """Rows of the merge tensor that were left to the edge."""
        return self.layout.ends[-1] - self.layout.ends[self._bottom]

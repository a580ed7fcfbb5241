"""What the edge is given of one frame: bands that the device computed first, else raw rows."""

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from intradp_ros.runtime.frontier import Frontier, Layout
from intradp_ros.runtime.job import Job
from intradp_ros.runtime.wire import Tile
from intradp_ros.tiling import codec, tiles


class Offer:
    """
    Supplies the sender with the tiles of one frame (see `frontier`).

    The inference thread adds bands; the sender's thread asks for what is next, and encodes it
    then.

    :param pixels: the model's input (rows, width, channels), uint8.
    :param rate: bytes a second that the link carries, 0 while that is not known.
    :param most_bytes: no band is supplied after so many.
    """

    def __init__(self, job: Job, pixels: np.ndarray, layout: Layout, identity: str, coder: str,
                 message_bytes: int, rate: Callable[[], float], most_bytes: float = math.inf):
        self.frontier = job.frontier = Frontier(layout)
        self._job = job
        self._pixels = pixels
        self._layout = layout
        self._identity = identity
        self._coder = codec.find(coder)
        self._message_bytes = message_bytes
        self._rate = rate
        self._bytes_free = most_bytes
        self._computed: deque[tuple[int, np.ndarray]] = deque()
        self._band_seconds = 0.0
        self._ratio = 1.0

    def add(self, begin: int, rows: np.ndarray, seconds: float) -> None:
        """Add rows (n, width, channels) of the merge tensor that took so long to compute."""
        self._band_seconds = seconds
        self._computed.append((begin, rows))

    def next(self) -> tuple[list[Tile], bool] | None:
        """Give the tiles of the next band and whether they are urgent; None when there is none."""
        if self._bytes_free <= 0:
            return None
        if self._computed:
            begin, rows = self._computed.popleft()
            return self._tiles(self._layout.merge, begin, rows, codec.find('float32')), True
        if not self._raw_pays():
            return None
        band = self.frontier.take_bottom()
        if band is None:
            return None
        if self._layout.merge == 0 and not self._layout.device_limit:
            # Offload: nobody comes from above to meet.
            band = self._layout.count - 1 - band
        a, b = self._layout.raw_band(band)
        rows = self._pixels[a:b]
        if not len(rows):
            return [], False
        made = self._tiles(0, a, rows, self._coder)
        self._ratio = sum(len(t.data) for t in made) / rows.nbytes
        return made, False

    @property
    def bytes_left(self) -> float:
        """Bytes of bands that the sender has not taken: of raw ones about, as if of one height."""
        computed = sum(rows.nbytes for _, rows in tuple(self._computed))
        return computed + self.frontier.left * self._raw_bytes

    @property
    def _raw_bytes(self) -> float:
        a, b = self._layout.raw_band(self._layout.count - 1)
        return (b - a) * self._pixels[0].nbytes * self._ratio

    def _raw_pays(self) -> bool:
        """
        Whether a raw band would have left before the device could compute and send all that is
        left (as planned by `planning.ways.meeting`).
        """
        if self._layout.edge_limit or not self._layout.device_limit:
            return True  # bands that only the edge takes
        left, rate = self.frontier.left, self._rate()
        if left <= 0 or not rate or not self._band_seconds:
            return True
        return self._raw_bytes / rate <= left * self._band_seconds

    def _tiles(self, tensor: int, begin: int, rows: np.ndarray, coder: codec.Codec) -> list[Tile]:
        """Encode one band, in as many messages as it takes."""
        job, report = self._job, self._job.report
        cut, halo = (job.division.cut, job.division.halo) if job.division else (0, 0)
        report.tiles += 1
        self._bytes_free -= rows.nbytes
        job.lossless &= coder.lossless
        height, width = job.image.shape[:2]
        return [Tile(job.camera.stamp, self._identity, report.session, job.number, report.plan,
                     job.next_index(), tensor, piece.row_begin, piece.row_end, coder.number,
                     height, width, piece.data, cut, halo)
                for piece in tiles.pieces(rows, begin, coder, self._message_bytes)]

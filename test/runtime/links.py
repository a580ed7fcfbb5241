"""Device and edge sessions joined in one process, by a link that a test can spoil."""

import threading
import time
from collections.abc import Callable

import numpy as np

from intradp_ros.runtime.device import DeviceSession, DeviceSettings, Outlets
from intradp_ros.runtime.edge import EdgeOutlets, EdgeSession
from intradp_ros.runtime.wire import CameraFrame, FrameResult, Stamp, Tile
from intradp_ros.tiling.codec import CODECS
from intradp_ros.tiling.tiles import bands, pieces

STAMP = Stamp(5, 6, 'camera')


def frame_of(detector, image, session=1, frame=0):
    """Cut a whole frame into tiles, all of them stamped `STAMP`."""
    pixels, _ = detector.preprocess(image)
    cut = [p for a, b in bands(len(pixels), 6)
           for p in pieces(pixels[a:b], a, CODECS['uint8'], 60000)]
    return [Tile(STAMP, detector.identity, session, frame, 0, i, 0, p.row_begin, p.row_end, 0,
                 *image.shape[:2], p.data) for i, p in enumerate(cut)]


class Pair:
    """
    A device and an edge.

    `spoil` sees each tile and gives those that arrive; `mute` keeps back all that the edge says.
    """

    def __init__(self, device_detector, edge_detector=None, spoil=lambda tile: [tile], **settings):
        self.results: list[FrameResult] = []
        self.heard: list[int] = []  # numbers of the frames whose detections came
        self.warnings: list[str] = []
        self.spoil: Callable[[Tile], list[Tile]] = spoil
        self.mute = False
        self.matched = True
        self._arrived = threading.Condition()
        self._stamps = 0
        self.edge = EdgeSession(edge_detector or device_detector, EdgeOutlets(
            ack=lambda name, ack: self.mute or self.device.on_ack(ack),
            result=lambda name, stamp, found: self.mute or self.device.on_detections(stamp, found),
            warn=self.warnings.append), time.monotonic)
        settings.setdefault('way', settings.get('mode', 'offload'))
        self.device = DeviceSession(device_detector, DeviceSettings(**settings), Outlets(
            tile=self._carry, result=self._on_result, warn=self.warnings.append,
            detections=lambda stamp, found: self.heard.append(stamp.sec),
            edge_matched=lambda: self.matched), time.monotonic)

    def _carry(self, tile: Tile) -> None:
        for arriving in self.spoil(tile):
            self.edge.on_tile('/robot', arriving)

    def _on_result(self, result: FrameResult) -> None:
        with self._arrived:
            self.results.append(result)
            self._arrived.notify_all()

    def submit(self, image: np.ndarray) -> None:
        """Hand a frame to the device."""
        self._stamps += 1
        self.device.submit(CameraFrame(Stamp(self._stamps, 0, 'camera'), time.monotonic(), 0.0,
                                       lambda: image))

    def process(self, image: np.ndarray) -> FrameResult:
        """Hand a frame to the device and wait for its result."""
        count = len(self.results)
        self.submit(image)
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.results) > count, 30)
        return self.results[count]

    def __enter__(self) -> 'Pair':
        return self

    def __exit__(self, *_) -> None:
        self.device.close()
        self.edge.close()

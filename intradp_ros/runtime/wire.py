"""
What the two sides tell each other, as plain data: the ROS-free twins of Tile, TileAck and
FrameReport.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from intradp_ros.model.detector import Detections


@dataclass(frozen=True)
class Stamp:
    """
    The header of a camera image: seconds, nanoseconds, frame_id. Identifies the image
    everywhere.
    """

    sec: int
    nanosec: int
    frame_id: str


@dataclass(frozen=True)
class Tile:
    """A band of rows on its way to the edge; fields as in Tile.msg."""

    stamp: Stamp
    model: str
    session: int
    frame: int
    plan: int
    index: int
    tensor: int
    row_begin: int
    row_end: int
    codec: int
    image_height: int
    image_width: int
    data: bytes | memoryview
    cut_row: int = 0
    halo: int = 0


class AckState(enum.IntEnum):
    """What the edge is doing with a frame; numbers as in TileAck.msg."""

    RECEIVING = 0
    DONE = 1
    REFUSED = 2


@dataclass(frozen=True)
class Ack:
    """What the edge has of a frame; fields as in TileAck.msg."""

    session: int
    frame: int
    next: int
    bitmap: int
    messages: int
    bytes: int
    state: AckState
    receive_ms: float = 0.0
    wait_ms: float = 0.0
    compute_ms: float = 0.0
    postprocess_ms: float = 0.0
    reason: str = ''


@dataclass(frozen=True)
class CameraFrame:
    """
    An image as it came, not yet decoded: decoding costs time and belongs to the inference thread.

    `decode` gives uint8 RGB (H, W, 3) and raises ImageError; `arrival` is on the device's clock,
    `age` the seconds from the camera's stamp to the arrival.
    """

    stamp: Stamp
    arrival: float
    age: float
    decode: Callable[[], np.ndarray]


@dataclass
class Report:
    """How a frame was processed; fields as in FrameReport.msg."""

    stamp: Stamp
    session: int
    frame: int
    plan: int = 0
    mode: str = 'local'
    way: str = 'local'
    merge: str = ''
    source: str = 'device'
    hedged: bool = False
    fallback: bool = False
    reason: str = ''
    detections: int = 0
    tiles: int = 0
    messages: int = 0
    bytes: int = 0
    acknowledged: int = 0
    resent: int = 0
    device_rows: int = 0
    edge_rows: int = 0
    exact: bool = True
    halo_px: int = 0
    age_ms: float = 0.0
    queue_ms: float = 0.0
    latency_ms: float = 0.0
    preprocess_ms: float = 0.0
    device_ms: float = 0.0
    send_ms: float = 0.0
    edge_receive_ms: float = 0.0
    edge_wait_ms: float = 0.0
    edge_compute_ms: float = 0.0
    deadline_ms: float = 0.0
    deadline_met: bool = True
    energy_j: float = 0.0
    images_received: int = 0
    images_dropped: int = 0
    images_rejected: int = 0


@dataclass(frozen=True)
class FrameResult:
    """
    The one result of a processed frame: detections, the report, and the image for whoever draws
    it.
    """

    stamp: Stamp
    detections: Detections
    report: Report
    image: np.ndarray = field(repr=False)

"""What a device's session is told: how to do frames, and where results go."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from intradp_ros.model.detector import Detections
from intradp_ros.runtime.wire import FrameResult, Stamp, Tile
from intradp_ros.tiling.part import Division
from intradp_ros.tiling.split import Split


@dataclass(frozen=True)
class DeviceSettings:
    """
    What may change between two frames; see the parameter table of the device node.

    `mode` is a name for the report. `way` is what is done: 'local', 'offload', 'cut' and 'split'
    compute on the device the rows that `split` says, 'meeting' as many as it gets to before the
    sender comes from below (`frontier`); 'divided' (the only inexact one) computes one side of
    `division` on the device, to the end. With `hedge` the device goes on to a result of its own
    while the edge works, and the first one counts; else it waits as long as that makes sense.
    With `explore` way 'local' is a plan for the link as it is now, not a wish: see
    `exploration`; such frames offer about `most_bytes` of their input. Now and then a frame is
    done by `rival`, to see whether it is the better way; soon where that is `new`.
    """

    mode: str = 'offload'
    way: str = 'offload'
    tile_count: int = 8
    codec: str = 'uint8'
    deadline_ms: float = 300.0
    message_bytes: int = 60000
    window_bytes: int = 0
    reliable: bool = False
    hedge: bool = False
    explore: bool = False
    most_bytes: float = math.inf
    split: Split = Split(0, 0, 0)
    division: Division | None = None
    plan: int = 0
    rival: 'DeviceSettings | None' = None
    new: bool = False


@dataclass(frozen=True)
class Outlets:
    """
    Where a session's output goes.

    `tile` is called by the sender thread and may block; the others are called by any thread and
    must not. A frame's `detections` go at once; its `result`, with the report, when the edge has
    said what the frame took there (from the inference thread). `edge_matched` says whether any
    edge listens.
    """

    tile: Callable[[Tile], None]
    detections: Callable[[Stamp, Detections], None]
    result: Callable[[FrameResult], None]
    warn: Callable[[str], None]
    edge_matched: Callable[[], bool]

"""What the edge holds of each robot: frames that fill up, by activation and number."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from intradp_ros.model.detector import Geometry
from intradp_ros.runtime.wire import Ack, AckState, Tile
from intradp_ros.tiling.assembler import Assembler
from intradp_ros.tiling.frame import Frame
from intradp_ros.tiling.rows import Rows


@dataclass
class Assembly:
    """
    One frame of one robot: what has arrived (`parts`, by tensor), which of it the engine has not
    seen yet (`fresh`), and what the engine has made of the rest (`frame`).
    """

    tile: Tile  # the first one that arrived: header, session and numbers are those of all
    geometry: Geometry
    first_arrival: float
    last_arrival: float
    frame: Frame | None = None  # a worker's
    parts: dict[int, Assembler] = field(default_factory=dict)
    fresh: dict[int, Rows] = field(default_factory=dict)
    indices: set[int] = field(default_factory=set)
    bytes: int = 0
    wait: float = 0.0
    compute: float = 0.0
    postprocess: float = 0.0

    def ack(self, state: AckState) -> Ack:
        """Say what has arrived."""
        following = 0
        while following in self.indices:
            following += 1
        bitmap = sum(1 << i for i in range(64) if following + 1 + i in self.indices)
        return Ack(self.tile.session, self.tile.frame, following, bitmap, len(self.indices),
                   self.bytes, state,
                   receive_ms=(self.last_arrival - self.first_arrival) * 1e3)


@dataclass
class Run:
    """
    One activation of a robot's device node (Tile.session).

    A number in a tile may be nonsense, so nothing follows from it but an assembly of its own,
    which the next ones push out: only a whole frame makes older frames late.
    """

    filling: OrderedDict[int, Assembly] = field(default_factory=OrderedDict)
    completed: int = -1
    completed_at: float = 0.0


@dataclass
class Robot:
    """
    What the edge knows of one robot.

    `counts` are tiles by what became of them; `owed` is the frame with arrivals that have not been
    acknowledged; `wasted` are the last frames in a row that newer ones pushed out after work on
    them had begun, and no worker takes it before `free_at` (seconds).
    """

    name: str
    counts: Counter = field(default_factory=Counter)
    runs: OrderedDict[int, Run] = field(default_factory=OrderedDict)
    busy: bool = False
    free_at: float = float('-inf')
    wasted: int = 0
    last_ack: float = 0.0
    owed: Assembly | None = None
    refused: str = ''

    def next_assembly(self) -> tuple[Run, Assembly] | None:
        """Give a frame with rows that the engine has not seen, unless a worker has the robot."""
        if self.busy:
            return None
        return next(((run, assembly) for run in self.runs.values()
                     for assembly in run.filling.values() if assembly.fresh), None)

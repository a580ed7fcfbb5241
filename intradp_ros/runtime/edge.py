"""
The edge's session: tiles of any number of robots in, acknowledgements and detections out.

Tiles are checked and put together on the caller's thread, in microseconds; worker threads run the
model. What a robot can occupy is bounded: a few frames that fill up and one that waits for a
worker.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from intradp_ros.errors import ImageError, ModelMismatchError, TileError
from intradp_ros.model.detector import Detections, Detector, Geometry
from intradp_ros.runtime.wire import Ack, AckState, Stamp, Tile
from intradp_ros.tiling.assembler import Assembler
from intradp_ros.tiling.codec import BY_NUMBER

# At most one acknowledgement of progress a robot in this time (seconds).
ACK_PERIOD = 0.003
# Bounds of a robot's share of the memory: activations that are remembered, frames of each that
# fill up.
RUNS = 4
FILLING = 2


@dataclass(frozen=True)
class EdgeOutlets:
    """Where the session's output goes; called by any of its threads, must not block for long."""

    ack: Callable[[str, Ack], None]
    result: Callable[[str, Stamp, Detections], None]
    warn: Callable[[str], None]


@dataclass
class Assembly:
    """One frame of one robot while its tiles arrive."""

    tile: Tile  # the first one that arrived: header, session and numbers are those of all
    geometry: Geometry
    rows: Assembler
    first_arrival: float
    last_arrival: float
    indices: set[int] = field(default_factory=set)
    bytes: int = 0

    def ack(self, state: AckState) -> Ack:
        """Say what has arrived."""
        following = 0
        while following in self.indices:
            following += 1
        bitmap = sum(1 << i for i in range(64) if following + 1 + i in self.indices)
        return Ack(self.tile.session, self.tile.frame, following, bitmap, len(self.indices),
                   self.bytes, state)


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
    """What the edge knows of one robot; `counts` are tiles by what became of them."""

    name: str
    counts: Counter = field(default_factory=Counter)
    runs: dict[int, Run] = field(default_factory=dict)
    waiting: Assembly | None = None
    busy: bool = False
    last_ack: float = 0.0
    refused: str = ''


class EdgeSession:
    """
    Runs from construction (which warms the model up) to `close`.

    :param workers: threads that run the model; more than one pays on machines with many cores.
    :param clock: monotonic seconds.
    """

    def __init__(self, detector: Detector, outlets: EdgeOutlets, clock: Callable[[], float],
                 workers: int = 1):
        self.detector = detector
        self.robots: dict[str, Robot] = {}
        self._outlets = outlets
        self._clock = clock
        self._turn = threading.Condition()
        self._closed = False
        detector.warm_up()
        self._threads = [threading.Thread(target=self._work, name=f'inference-{i}', daemon=True)
                         for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def on_tile(self, name: str, tile: Tile) -> None:
        """
        Take a tile of robot `name`; whatever is wrong with it is counted, never raised.

        A tile is checked against the frame that it belongs to before anything is allocated for it.
        """
        robot = self.robots.setdefault(name, Robot(name))
        try:
            outcome = self._accept(robot, tile)
        except ModelMismatchError as error:
            outcome = 'refused'
            self._refuse(robot, tile, str(error))
        except (TileError, ImageError) as error:
            outcome = 'malformed'
            self._outlets.warn(f'robot {name}: tile {tile.index} of frame {tile.frame} dropped: '
                               f'{error}')
        robot.counts[outcome] += 1

    def close(self) -> None:
        """End the workers; frames in work are given up."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
        for thread in self._threads:
            thread.join()

    # -- caller's thread -----------------------------------------------------------------------

    def _accept(self, robot: Robot, tile: Tile) -> str:
        if tile.model != self.detector.identity:
            raise ModelMismatchError(f'edge runs {self.detector.identity}, robot {robot.name} '
                                     f'sends tiles of {tile.model or "an unnamed model"}')
        if tile.tensor != 0:
            raise TileError(f'tensor {tile.tensor} is not the model input')
        if tile.codec not in BY_NUMBER:
            raise TileError(f'codec number {tile.codec} is none of {sorted(BY_NUMBER)}')
        run = self._run_of(robot, tile.session)
        if tile.frame <= run.completed:
            return 'late'
        assembly = self._assembly_of(run, tile)
        if tile.stamp != assembly.tile.stamp:
            raise TileError(f'its stamp {tile.stamp} is not that of its frame '
                            f'{assembly.tile.stamp}')
        if not assembly.rows.add(tile.row_begin, tile.row_end, BY_NUMBER[tile.codec], tile.data):
            return 'duplicate'
        now = self._clock()
        assembly.indices.add(tile.index)
        assembly.bytes += len(tile.data)
        assembly.last_arrival = now
        if assembly.rows.complete:
            run.completed, run.completed_at = tile.frame, now
            run.filling = OrderedDict((n, a) for n, a in run.filling.items() if n > tile.frame)
            self._outlets.ack(robot.name, assembly.ack(AckState.COMPUTING))
            with self._turn:
                # A frame that still waits has been overtaken: its robot wants the newest only.
                robot.counts['overtaken'] += robot.waiting is not None
                robot.waiting = assembly
                self._turn.notify()
        elif now >= robot.last_ack + ACK_PERIOD:
            robot.last_ack = now
            self._outlets.ack(robot.name, assembly.ack(AckState.RECEIVING))
        return 'accepted'

    @staticmethod
    def _run_of(robot: Robot, session: int) -> Run:
        if session not in robot.runs:
            if len(robot.runs) >= RUNS:
                # The one that has gone longest without a whole frame, so that nonsense pushes out
                # nonsense.
                del robot.runs[min(robot.runs, key=lambda n: robot.runs[n].completed_at)]
            robot.runs[session] = Run()
        return robot.runs[session]

    def _assembly_of(self, run: Run, tile: Tile) -> Assembly:
        if tile.frame not in run.filling:
            geometry = self.detector.geometry((tile.image_height, tile.image_width))
            now = self._clock()
            if len(run.filling) >= FILLING:
                run.filling.popitem(last=False)
            run.filling[tile.frame] = Assembly(
                tile, geometry, Assembler(self.detector.input_shape), now, now)
        return run.filling[tile.frame]

    def _refuse(self, robot: Robot, tile: Tile, reason: str) -> None:
        """Answer once a frame, not once a tile."""
        frame = f'{tile.session}/{tile.frame}'
        if robot.refused != frame:
            robot.refused = frame
            self._outlets.warn(reason)
            self._outlets.ack(robot.name, Ack(tile.session, tile.frame, 0, 0, 0, 0,
                                              AckState.REFUSED, reason=reason[:512]))

    # -- worker threads ------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._next()) is not None:
            robot, assembly = job
            try:
                self._infer(robot, assembly)
            except Exception as error:  # one frame must never end a worker
                self._outlets.warn(f'robot {robot.name}: frame {assembly.tile.frame} failed: '
                                   f'{type(error).__name__}: {error}')
            finally:
                robot.busy = False

    def _next(self) -> tuple[Robot, Assembly] | None:
        """Wait for a complete frame; robots take turns."""
        def ready() -> Robot | None:
            return next((r for r in self.robots.copy().values() if r.waiting and not r.busy), None)

        with self._turn:
            self._turn.wait_for(lambda: self._closed or ready())
            robot = ready()
            if self._closed or robot is None or robot.waiting is None:
                return None
            assembly, robot.waiting, robot.busy = robot.waiting, None, True
            # Whoever was served goes to the end of the line.
            self.robots[robot.name] = self.robots.pop(robot.name)
            return robot, assembly

    def _infer(self, robot: Robot, assembly: Assembly) -> None:
        begin = self._clock()
        raw = self.detector.raw(assembly.rows.pixels)
        detections = self.detector.postprocess(raw, assembly.geometry)
        robot.counts['frames'] += 1
        self._outlets.ack(robot.name, replace(
            assembly.ack(AckState.DONE),
            receive_ms=(assembly.last_arrival - assembly.first_arrival) * 1e3,
            wait_ms=(begin - assembly.last_arrival) * 1e3,
            compute_ms=(self._clock() - begin) * 1e3))
        self._outlets.result(robot.name, assembly.tile.stamp, detections)

"""
The edge's session: tiles of any number of robots in, acknowledgements and detections out.

Tiles are checked and put together on the caller's thread, in microseconds. Worker threads feed
what has arrived to the tile engine at once: it does not matter to them whether rows are of the
input or of a merge tensor, and the work on a frame begins with its first tile. Where the image is
divided, the tiles say so, and the edge answers with the detections of its part. What a robot can
occupy is bounded: a few frames of the input's and one merge tensor's size.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from intradp_ros.errors import ImageError, ModelMismatchError, ParameterError, TileError
from intradp_ros.model.detector import Detections, Detector
from intradp_ros.runtime.assembly import Assembly, Robot, Run
from intradp_ros.runtime.flow import ACK_PERIOD
from intradp_ros.runtime.wire import Ack, AckState, Stamp, Tile
from intradp_ros.tiling.assembler import Assembler
from intradp_ros.tiling.codec import BY_NUMBER
from intradp_ros.tiling.engine import Engine, warm_up
from intradp_ros.tiling.part import Division, Part, check
from intradp_ros.tiling.rows import Rows, union
from intradp_ros.tiling.split import candidates

# Bounds of a robot's share of the memory: activations that are remembered, frames of each that
# fill up, and the bytes of a merge tensor as a multiple of the input's (a larger one never pays).
RUNS = 4
FILLING = 2
LARGEST_MERGE = 4
# Until a frame is whole again, a robot of which so many frames in a row came to nothing waits for
# this multiple of a worker's time before it gets more of it, but no longer than that (seconds),
# where there are others: frames that never end shall not take the processor from those that do.
MOST_WASTED, PENANCE, LONGEST_PENANCE = 8, 20.0, 0.05
# Parts of the model (of divided images) that are kept ready, for all robots together.
PARTS = 4


@dataclass(frozen=True)
class EdgeOutlets:
    """Where the session's output goes; called by any of its threads, must not block for long."""

    ack: Callable[[str, Ack], None]
    result: Callable[[str, Stamp, Detections], None]
    warn: Callable[[str], None]


class EdgeSession:
    """
    Runs from construction (which warms the model up) to `close`.

    :param workers: threads that run the model, each on a frame of another robot; a robot's frames
        are computed one after the other, and robots take turns.
    :param clock: monotonic seconds.
    """

    def __init__(self, detector: Detector, outlets: EdgeOutlets, clock: Callable[[], float],
                 workers: int = 1):
        self.detector = detector
        self.robots: dict[str, Robot] = {}
        self._identity = detector.identity
        self._graph = detector.graph
        self._engine = Engine(detector.graph, detector.device)
        self._part = lru_cache(PARTS)(partial(Part, self._engine, lower=True))
        # What tiles may carry: shape (rows, width, channels) and type, by tensor number.
        self._tensors: dict[int, tuple[tuple[int, int, int], type]] = {
            self._graph.input: (detector.input_shape, np.uint8)}
        for t in candidates(self._graph):
            if t.bytes <= LARGEST_MERGE * detector.input_bytes:
                self._tensors[t.id] = (t.rows, t.shape[3], t.channels), np.float32
        self._outlets = outlets
        self._clock = clock
        lock = threading.RLock()
        self._turn, self._owing = threading.Condition(lock), threading.Condition(lock)
        self._closed = False
        warm_up(self._engine, clock)
        self._threads = [threading.Thread(target=self._work, name=f'inference-{i}', daemon=True)
                         for i in range(workers)]
        self._threads.append(threading.Thread(target=self._acknowledge, name='acks', daemon=True))
        for thread in self._threads:
            thread.start()

    def on_tile(self, name: str, tile: Tile, age: float = 0.0) -> None:
        """
        Take a tile of robot `name`; whatever is wrong with it is counted, never raised.

        A tile is checked against the frame that it belongs to before anything is allocated for it.

        :param age: seconds since it arrived on this machine.
        """
        arrival = self._clock() - age
        with self._turn:
            robot = self.robots.setdefault(name, Robot(name))
            try:
                outcome = self._accept(robot, tile, arrival)
            except ModelMismatchError as error:
                outcome = 'refused'
                self._refuse(robot, tile, str(error))
            except (TileError, ImageError) as error:
                outcome = 'malformed'
                self._outlets.warn(f'robot {name}: tile {tile.index} of frame {tile.frame} '
                                   f'dropped: {error}')
            robot.counts[outcome] += 1

    def forget(self, name: str) -> None:
        """Give back what a robot that has left occupies."""
        with self._turn:
            self.robots.pop(name, None)

    def close(self) -> None:
        """End the workers; frames in work are given up."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            self._owing.notify_all()
        for thread in self._threads:
            thread.join()

    # -- caller's thread, under the lock ---------------------------------------------------------

    def _accept(self, robot: Robot, tile: Tile, arrival: float) -> str:
        if tile.model != self._identity:
            raise ModelMismatchError(f'edge runs {self._identity}, robot {robot.name} sends tiles '
                                     f'of {tile.model or "an unnamed model"}')
        if tile.tensor not in self._tensors:
            raise TileError(f'tensor {tile.tensor} is neither the model input nor one to split at')
        if tile.codec not in BY_NUMBER:
            raise TileError(f'codec number {tile.codec} is none of {sorted(BY_NUMBER)}')
        if tile.cut_row:
            self._check_division(tile)
        run = self._run_of(robot, tile.session)
        if tile.frame <= run.completed:
            return 'late'
        assembly = self._assembly_of(robot, run, tile, arrival)
        if tile.stamp != assembly.tile.stamp:
            raise TileError(f'its stamp {tile.stamp} is not that of its frame '
                            f'{assembly.tile.stamp}')
        if (tile.cut_row, tile.halo) != (assembly.tile.cut_row, assembly.tile.halo):
            raise TileError(f'its image is divided at row {tile.cut_row} (halo {tile.halo}), the '
                            f'others of its frame at row {assembly.tile.cut_row} '
                            f'(halo {assembly.tile.halo})')
        part = self._assembler_of(assembly, tile)
        if robot.owed is not assembly:
            # A repetition too: the acknowledgement of the first may have been lost.
            robot.owed = assembly
            self._owing.notify()
        if not part.add(tile.row_begin, tile.row_end, BY_NUMBER[tile.codec], tile.data):
            return 'duplicate'
        assembly.last_arrival = max(assembly.last_arrival, arrival)
        assembly.indices.add(tile.index)
        assembly.bytes += len(tile.data)
        assembly.fresh[tile.tensor] = union(
            [*assembly.fresh.get(tile.tensor, ()), (tile.row_begin, tile.row_end)])
        self._turn.notify()
        return 'accepted'

    def _check_division(self, tile: Tile) -> None:
        """Cheap: the part itself is made by a worker."""
        if self.detector.joining is None:
            raise TileError(f'{self.detector.name} cannot be divided')
        if tile.tensor != self._graph.input:
            raise TileError(f'of a divided image only input rows are sent, not tensor '
                            f'{tile.tensor}')
        try:
            check(self._graph, Division(tile.cut_row, tile.halo))
        except ParameterError as error:
            raise TileError(str(error)) from None

    def _run_of(self, robot: Robot, session: int) -> Run:
        if session not in robot.runs:
            if len(robot.runs) >= RUNS:
                # The one that has gone longest without a whole frame: nonsense pushes out
                # nonsense.
                old = robot.runs.pop(min(robot.runs, key=lambda n: robot.runs[n].completed_at))
                robot.wasted += sum(a.frame is not None for a in old.filling.values())
            robot.runs[session] = Run()
        return robot.runs[session]

    def _assembly_of(self, robot: Robot, run: Run, tile: Tile, arrival: float) -> Assembly:
        if tile.frame not in run.filling:
            geometry = self.detector.geometry((tile.image_height, tile.image_width))
            if len(run.filling) >= FILLING:
                _, old = run.filling.popitem(last=False)
                robot.wasted += old.frame is not None
            run.filling[tile.frame] = Assembly(tile, geometry, arrival, arrival)
        return run.filling[tile.frame]

    def _assembler_of(self, assembly: Assembly, tile: Tile) -> Assembler:
        if tile.tensor not in assembly.parts:
            others = assembly.parts.keys() - {self._graph.input}
            if tile.tensor != self._graph.input and others:
                raise TileError(f'its frame is split at tensor {others.pop()}, not {tile.tensor}')
            assembly.parts[tile.tensor] = Assembler(*self._tensors[tile.tensor])
        return assembly.parts[tile.tensor]

    def _refuse(self, robot: Robot, tile: Tile, reason: str) -> None:
        """Answer once a frame, not once a tile."""
        frame = f'{tile.session}/{tile.frame}'
        if robot.refused != frame:
            robot.refused = frame
            self._outlets.warn(reason)
            self._outlets.ack(robot.name, Ack(tile.session, tile.frame, 0, 0, 0, 0,
                                              AckState.REFUSED, reason=reason[:512]))

    # -- acknowledging thread --------------------------------------------------------------------

    def _acknowledge(self) -> None:
        """
        Tell each robot what has arrived: at once, but at most once in ACK_PERIOD.

        So the last tile of a burst is acknowledged too, and no window stays closed.
        """
        while not self._closed:
            # Without the lock: nobody waits for the middleware.
            for name, ack in self._next_acks():
                self._outlets.ack(name, ack)

    def _next_acks(self) -> list[tuple[str, Ack]]:
        """Wait for acknowledgements that are due; none at the end."""
        with self._owing:
            while not self._closed:
                due, now, wait = [], self._clock(), None
                for robot in self.robots.values():
                    if robot.owed is None:
                        continue
                    left = robot.last_ack + ACK_PERIOD - now
                    if left > 0:
                        wait = min(left, wait or left)
                        continue
                    due.append((robot.name, robot.owed.ack(AckState.RECEIVING)))
                    robot.last_ack, robot.owed = now, None
                if due:
                    return due
                self._owing.wait(wait)
            return []

    # -- worker threads ------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._next()) is not None:
            robot, run, assembly, fresh = job
            begin = self._clock()
            try:
                self._advance(robot, run, assembly, fresh)
            except Exception as error:  # one frame must never end a worker
                self._outlets.warn(f'robot {robot.name}: frame {assembly.tile.frame} failed: '
                                   f'{type(error).__name__}: {error}')
            finally:
                with self._turn:
                    robot.busy, now = False, self._clock()
                    if robot.wasted >= MOST_WASTED and len(self.robots) > 1:
                        robot.free_at = now + min(PENANCE * (now - begin), LONGEST_PENANCE)
                    self._turn.notify()

    def _next(self) -> tuple[Robot, Run, Assembly, dict[int, Rows]] | None:
        """Wait for rows to work on; robots take turns."""
        with self._turn:
            while not self._closed:
                now, wait = self._clock(), None
                for robot in self.robots.values():
                    if found := robot.next_assembly():
                        left = robot.free_at - now
                        if left > 0:
                            wait = min(left, wait or left)
                            continue
                        run, assembly = found
                        fresh, assembly.fresh = assembly.fresh, {}
                        robot.busy = True
                        # Whoever is served goes to the end of the line.
                        self.robots[robot.name] = self.robots.pop(robot.name)
                        return robot, run, assembly, fresh
                self._turn.wait(wait)
            return None

    def _advance(self, robot: Robot, run: Run, assembly: Assembly, fresh: dict[int, Rows]) -> None:
        """Feed rows to the engine, and end the frame when nothing is missing any more."""
        begin = self._clock()
        assembly.wait = begin - assembly.last_arrival
        tile = assembly.tile
        part = self._part(Division(tile.cut_row, tile.halo)) if tile.cut_row else None
        frame = assembly.frame = assembly.frame or (part.engine if part else self._engine).start()
        for tensor, intervals in fresh.items():
            for a, b in intervals:
                rows = assembly.parts[tensor].pixels[a:b]
                if part:
                    part.feed(frame, a, b, rows)
                else:
                    frame.feed(tensor, a, b, rows)
        detections, computed = None, self._clock()
        if frame.done:
            detections = self.detector.postprocess_part(
                part.outputs(frame), assembly.geometry) if part else \
                self.detector.postprocess(frame.outputs(), assembly.geometry)
        end = self._clock()
        assembly.compute += end - begin
        if detections is not None:
            assembly.postprocess = end - computed
            self._finish(robot, run, assembly, detections)

    def _finish(self, robot: Robot, run: Run, assembly: Assembly, detections: Detections) -> None:
        number = assembly.tile.frame
        with self._turn:
            if number <= run.completed:
                return
            run.completed, run.completed_at = number, self._clock()
            robot.wasted = 0
            if robot.owed is assembly:
                robot.owed = None
            run.filling = OrderedDict((n, a) for n, a in run.filling.items() if n > number)
            robot.counts['frames'] += 1
        # Whoever waits for detections shall not have to look at an acknowledgement first.
        self._outlets.result(robot.name, assembly.tile.stamp, detections)
        self._outlets.ack(robot.name, replace(
            assembly.ack(AckState.DONE),
            wait_ms=assembly.wait * 1e3, compute_ms=assembly.compute * 1e3,
            postprocess_ms=assembly.postprocess * 1e3))

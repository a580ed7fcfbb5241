"""
CoActo: device and edge compute tiles of the same frame at the same time (MobiSys 2024).

The model is a mesh of tiles (`mesh`). All tiles of the input are queued for the link at once; the
edge computes whatever has become computable while the rest travels, and the device computes too
(here from the bottom, which reaches the edge last; no order is known to be published). Its online
rule: after each tile that it has done, the device sends it if and only if now + half a round trip
+ queue/B is not later than the edge would have the tile by itself. Nothing but the result comes
down, so if the edge is slow the device's own result ends the frame. Exact: halo is paid by
dependencies between tiles, and by recomputation inside them.

The rule runs in the script: B is what the plan assumed, the clocks are those of the real link.
When the edge would have a tile is planned by running it alone on the assumed link, and then moved
by as much as the input is seen to be late. One queue for input and tiles, first in first out, as
published: tiles can therefore pay only where the edge is busier than the link.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from intradp_ros.planning import mesh
from intradp_ros.planning.link import Link
from intradp_ros.planning.mesh import Tile
from intradp_ros.planning.plan import Objective, Plan, Setup
from intradp_ros.planning.planners.intra_dp import NO_GEOMETRY
from intradp_ros.planning.timeline import Task
from intradp_ros.planning.ways import answer

BANDS = 16


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Cut the model into tiles; the online rule decides the rest."""
    tiles = mesh.tiles(setup, min(BANDS, objective.most_tiles))
    readers = mesh.readers(tiles)
    assumed = _Frame(setup, tiles, readers, link).run()

    def script(real: Link) -> tuple[Sequence[Task], Sequence[int]]:
        rule = _Rule(link, assumed.there, assumed.input_there)
        frame = _Frame(setup, tiles, readers, real, rule).run()
        return frame.tasks, frame.ends

    return Plan('coacto', 'meeting', script, setup.graph.tensors[setup.graph.input].name,
                len(tiles), 0.5, exact=setup.device.has_geometry,
                note='' if setup.device.has_geometry else NO_GEOMETRY)


@dataclass
class _Rule:
    """Whether to send a tile: what is assumed of the link, and when the edge has tiles alone."""

    link: Link
    alone: dict[int, float]
    input_there: float
    late: float = 0.0

    def sends(self, now: float, tile: int, size: float, queued: float, queued_input: float
              ) -> bool:
        """Decide on a tile that the device has just done, bytes of the queue before it given."""
        if queued_input:
            expected = self._arrival(now, queued_input)
            self.late = max(self.late, expected - self.input_there)
        own = self.alone.get(tile, float('inf')) + self.late
        return self._arrival(now, queued + size) <= own

    def _arrival(self, now: float, size: float) -> float:
        return self.link.arrival(now, size) + self.link.round_trip / 2


@dataclass
class _Frame:
    """
    One frame on a link, tile by tile; without a rule the device sends the input only.

    Makes `tasks` (and which of them end the frame) of what happens; `there` says when the edge
    has each tile, `input_there` when it has the input.
    """

    setup: Setup
    tiles: list[Tile]
    readers: list[list[int]]
    link: Link
    rule: _Rule | None = None
    tasks: list[Task] = field(default_factory=list)
    ends: tuple[int, ...] = ()
    there: dict[int, float] = field(default_factory=dict)
    input_there: float = 0.0

    def __post_init__(self):
        self.events: list[tuple[float, int, str, int]] = []
        self.queue: list[int] = []  # tiles that wait for the link
        self.sending: int | None = None
        self.sending_ends = 0.0
        self.made: dict[int, int] = {}  # tile -> the task after which the device has it
        self.provider: dict[int, int] = {}  # tile -> the task after which the edge has it
        self.up_task: dict[int, int] = {}
        self.ready: list[int] = []
        self.computing = False
        self.own: set[int] = set()  # tiles that the edge computed
        self.wanted: set[int] | None = None
        self.missing = [len(set(t.needs)) for t in self.tiles]

    def run(self) -> '_Frame':
        """Play the frame to its end."""
        tiles, last = self.tiles, len(self.tiles) - 1
        device_end = self._device()
        while self.events:
            now, _, kind, tile = heapq.heappop(self.events)
            if now > device_end and self.rule or last in self.provider:
                break
            if kind == 'queue':
                self._queue(now, tile)
            elif kind == 'left':
                self.sending = None
            elif kind == 'arrived':
                self._have(now, tile, self.up_task[tile])
                if not tiles[tile].needs:
                    self.input_there = now
            else:
                self.computing = False
                self._have(now, tile, self.provider_task)
            self._send(now)
            self._compute(now)
        if last in self.provider:
            self.ends += answer(self.setup, self.tasks, (self.provider[last],))
        return self

    def _add(self, task: Task) -> int:
        self.tasks.append(task)
        return len(self.tasks) - 1

    def _at(self, time: float, kind: str, tile: int) -> None:
        if time < float('inf'):
            heapq.heappush(self.events, (time, len(self.events) + len(self.tasks), kind, tile))

    def _device(self) -> float:
        """Make the device's tasks: its clock depends on nothing else. Give its end."""
        setup = self.setup
        after = self._add(Task('device', setup.device.before, label='preprocess'))
        clock, done = setup.device.before, set()
        total = setup.input_bytes
        for number in self._device_order():
            tile = self.tiles[number]
            if tile.needs:
                seconds = tile.device[number + 1 not in done]
                done.add(number)
            else:
                seconds = setup.encoding.encode * setup.input_elements * tile.size / total
            if seconds or tile.needs:
                after = self._add(Task('device', seconds, after=(after,),
                                       label=f'{tile.tensor} {tile.band}'))
                clock += seconds
            self.made[number] = after
            self._at(clock, 'queue', number)
        self.ends = (self._add(Task('device', setup.device.after, after=(after,),
                                    label='postprocess')),)
        return clock + setup.device.after

    def _device_order(self) -> list[int]:
        """Tensor by tensor; inside the model the bands that reach the edge last come first."""
        def key(number: int) -> tuple[int, int]:
            tile = self.tiles[number]
            upward = tile.needs and tile.size
            return number - tile.band, -tile.band if upward else tile.band
        return sorted(range(len(self.tiles)), key=key)

    def _queue(self, now: float, number: int) -> None:
        tile = self.tiles[number]
        if tile.needs or not tile.size:
            if not self.rule or not tile.size or number in self.provider:
                return
            waiting = [(n, self.tiles[n].size) for n in self.queue]
            if self.sending is not None:
                left = max(0.0, self.sending_ends - now) * self.rule.link.bandwidth
                waiting.append((self.sending, left))
            raw = sum(size for n, size in waiting if not self.tiles[n].needs)
            if not self.rule.sends(now, number, tile.size, sum(s for _, s in waiting), raw):
                return
        self.queue.append(number)

    def _send(self, now: float) -> None:
        while self.sending is None and self.queue:
            number = self.queue.pop(0)
            tile = self.tiles[number]
            self.up_task[number] = self._add(Task(
                'uplink', size=tile.size, after=(self.made[number],),
                priority=len(self.up_task), label=f'{tile.tensor} {tile.band}'))
            self.sending, end = number, self.link.arrival(now, tile.size)
            self.sending_ends = end
            self._at(end, 'left', number)
            self._at(end + self.link.round_trip / 2, 'arrived', number)

    def _have(self, now: float, number: int, task: int) -> None:
        if number in self.provider:
            return
        self.provider[number], self.there[number] = task, now
        if number not in self.own and self.tiles[number].needs:
            self.wanted = None
        for reader in self.readers[number]:
            self.missing[reader] -= 1
            if not self.missing[reader]:
                heapq.heappush(self.ready, reader)

    def _compute(self, now: float) -> None:
        while not self.computing and self.ready:
            number = heapq.heappop(self.ready)
            if number in self.provider or number not in self._wanted():
                continue
            tile = self.tiles[number]
            seconds = tile.edge[number - 1 not in self.own]
            raw = [n for n in set(tile.needs) if not self.tiles[n].needs]
            seconds += sum(self.tiles[n].edge[0] for n in raw if self.readers[n][0] == number)
            self.provider_task = self._add(Task(
                'edge', seconds, after=tuple(sorted({self.provider[n] for n in tile.needs})),
                priority=len(self.own), label=f'{tile.tensor} {tile.band}'))
            self.own.add(number)
            self.computing = True
            self._at(now + seconds, 'computed', number)

    def _wanted(self) -> set[int]:
        """Tiles that the edge still needs for the last one; they change when a tile arrives."""
        if self.wanted is None:
            self.wanted = {len(self.tiles) - 1}
            for number in range(len(self.tiles) - 1, -1, -1):
                if number in self.wanted and number not in self.provider:
                    self.wanted.update(self.tiles[number].needs)
        return self.wanted

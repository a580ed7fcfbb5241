"""
What a model costs on one machine: seconds of any rows of any operator, bytes of every tensor.

A `Profile` is one side's; `Setup` (plan.py) joins two of them. Times are of the tile engine on
that machine, not of another framework.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import Graph, Operator
from intradp_ros.planning.link import Link

VERSION = 1


@dataclass(frozen=True)
class Staircase:
    """
    Seconds of one operator by rows computed in one call: measured points, straight lines between.

    Below the first point the line of the first two goes on, but the time of a row does not fall:
    half as many rows take at least half as long.

    `rows` ascend strictly; `seconds` do not fall.
    """

    rows: tuple[int, ...]
    seconds: tuple[float, ...]

    def __post_init__(self):
        if not self.rows or len(self.rows) != len(self.seconds) or self.rows[0] < 1:
            raise ParameterError(f'a staircase needs as many times as heights, got {self.rows} '
                                 f'and {self.seconds}')
        if any(a >= b for a, b in zip(self.rows, self.rows[1:])):
            raise ParameterError(f'heights of a staircase ascend, got {self.rows}')
        if self.seconds[0] < 0 or any(a > b for a, b in zip(self.seconds, self.seconds[1:])):
            raise ParameterError(f'times of a staircase do not fall, got {self.seconds}')

    def __call__(self, rows: int) -> float:
        """Seconds of one call that computes so many rows; 0 for none."""
        if rows <= 0:
            return 0.0
        least = self.seconds[0] * rows / self.rows[0] if rows < self.rows[0] else 0.0
        if len(self.rows) == 1:
            return self.seconds[0] * rows / self.rows[0]
        at = min(max(bisect_left(self.rows, rows), 1), len(self.rows) - 1)
        (a, b), (s, t) = self.rows[at - 1:at + 1], self.seconds[at - 1:at + 1]
        return max(least, s + (t - s) * (rows - a) / (b - a))

    @cached_property
    def least_per_row(self) -> float:
        """Least seconds a row that any height up to the last point has."""
        return min(self(rows) / rows for rows in {1, *self.rows})

    def scaled(self, factor: float) -> 'Staircase':
        """Every time multiplied."""
        return replace(self, seconds=tuple(factor * s for s in self.seconds))


@dataclass(frozen=True)
class Power:
    """
    Watts of the device by what it does; it may compute, send and receive at once.

    Energy of a span: idle for all of it, and for the time of each activity what it draws above
    idle. `idle` and `compute` are of a Jetson Xavier NX in the run logs that the authors of
    Intra-DP published (arXiv 2507.05829): 4.9 W idle, 11 to 15 W while computing, of which the
    middle is taken. `send` and `receive` are assumed, 1.5 W and 1.1 W above idle: nothing
    published tells them apart. Set them with `intradp profile --power`.
    """

    idle: float = 4.9
    compute: float = 13.0
    send: float = 6.4
    receive: float = 6.0


@dataclass(frozen=True)
class CodecCost:
    """
    One codec of the input on one machine, measured on one image of what a camera may see.

    `ratio` is encoded bytes for each element of the input; `encode` and `decode` are seconds for
    each element.
    """

    name: str
    ratio: float
    encode: float
    decode: float
    lossless: bool = True


@dataclass(frozen=True)
class Measured:
    """
    Seconds that a profile is held against: the whole model, and a wavefront of `bands` bands.

    `operators` is the sum of all operators timed one by one, before they were scaled to `whole`;
    `error` the time-weighted relative standard error of their medians after `passes` passes.
    """

    whole: float
    wavefront: float
    bands: int
    operators: float
    error: float
    passes: int


@dataclass(frozen=True)
class Profile:
    """
    One model on one machine.

    `graph` has the operators' row rules and the tensors' shapes; its kernels may be missing.
    `seconds` has one staircase for each operator, by id, as measured call after call; `band_call`
    is what a call for a band takes beyond that in a frame, where kernels for other shapes have run
    in between and caches have to be filled again. `message_seconds` is what it costs to hand one
    message to the middleware. Where there is but one core, `message_compute` is by how much a
    message and its acknowledgement delay inference on it, and `message_idle` what one of several
    takes of it while nothing is computed (0 where there are more cores). `before` and `after` are
    the seconds of pre- and postprocessing. `has_geometry` is False where the rows that
    a row needs were not recorded: the halo is then taken as 0. `codecs` and `measured` are empty
    where nothing was measured. `least_rows` are the heights below which that machine's engine
    waits for more rows, by operator; empty for an engine that does not wait.
    """

    model: str
    fingerprint: str
    host: str
    processor: str
    threads: int
    graph: Graph = field(repr=False)
    seconds: tuple[Staircase, ...] = field(repr=False)
    message_seconds: float = 0.0
    message_compute: float = 0.0
    message_idle: float = 0.0
    before: float = 0.0
    after: float = 0.0
    result_bytes: int = 2000
    power: Power = Power()
    has_geometry: bool = True
    created: str = ''
    note: str = ''
    torch: str = ''
    codecs: tuple[CodecCost, ...] = ()
    measured: Measured | None = None
    band_call: float = 0.0
    least_rows: tuple[int, ...] = field(default=(), repr=False)

    @cached_property
    def whole(self) -> tuple[float, ...]:
        """Seconds of each operator computed at once, by id."""
        return tuple(self.seconds[o.id](self.graph.tensors[o.output].rows)
                     for o in self.graph.operators)

    @cached_property
    def origin(self) -> tuple['Profile', float]:
        """The profile that this one was scaled from, and by how much; itself where it was not."""
        return self, 1.0

    @cached_property
    def asked(self) -> dict[tuple, list[float]]:
        """What bands cost, for `bands.remembered`."""
        return {}

    @property
    def total(self) -> float:
        """Seconds of the whole model, pre- and postprocessing not included."""
        return sum(self.whole)

    def of(self, operators: Sequence[int]) -> float:
        """Seconds of some operators, each computed at once."""
        return sum(self.whole[i] for i in operators)

    def band(self, operator: Operator, rows: int) -> float:
        """Seconds of one call within a frame; 0 for no rows."""
        whole = rows >= self.graph.tensors[operator.output].rows
        return self.seconds[operator.id](rows) + (0.0 if whole or rows <= 0 else self.band_call)

    def sending(self, link: Link) -> Link:
        """Give a link as this machine uses it: with what a message costs here."""
        return replace(link, message_seconds=link.message_seconds or self.message_seconds,
                       message_compute=self.message_compute, message_idle=self.message_idle)

    def scaled(self, factor: float) -> 'Profile':
        """Give the profile of a machine that takes `factor` times as long."""
        made = replace(self, seconds=tuple(s.scaled(factor) for s in self.seconds),
                       band_call=self.band_call * factor,
                       before=self.before * factor, after=self.after * factor)
        origin, before = self.origin
        vars(made)['origin'] = origin, before * factor
        return made


def estimated(graph: Graph, macs_per_second: float, call_seconds: float = 2e-5,
              elements_per_second: float = 1e9, **other) -> Profile:
    """
    Make a profile of a machine that has not been measured, from multiply-adds and elements.

    Every call costs `call_seconds` and then the larger of its arithmetic and its output. For
    tests and first guesses; measure a real one with `intradp profile`.
    """
    staircases = []
    for operator in graph.operators:
        tensor = graph.tensors[operator.output]
        elements = tensor.bytes / tensor.dtype.itemsize
        work = max(operator.macs / macs_per_second, elements / elements_per_second)
        rows = tuple(sorted({1, tensor.rows}))
        staircases.append(Staircase(rows, tuple(
            call_seconds + work * r / tensor.rows for r in rows)))
    names = {'model': 'estimated', 'host': '', 'processor': 'estimated', 'threads': 1}
    return Profile(**{**names, **other}, fingerprint=graph.fingerprint, graph=graph,
                   seconds=tuple(staircases))

"""
What planners take and give: `plan(setup, link, objective) -> Plan`, one file each.

A plan is made for a link that is assumed, and says for any link what the two sides would then do
(`Plan.script`): so it can be judged on a link that turns out different.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from intradp_ros.errors import ParameterError
from intradp_ros.planning.link import Link
from intradp_ros.planning.profile import Profile
from intradp_ros.planning.timeline import RESOURCES, Task, Timeline, simulate

Goal = Literal['latency', 'energy', 'deadline', 'throughput']
GOALS: tuple[Goal, ...] = ('latency', 'energy', 'deadline', 'throughput')


@dataclass(frozen=True)
class Encoding:
    """
    How the model's input travels, and what that costs.

    Bytes of the input are its elements (one byte each as uint8) times `ratio`: 4 for float32,
    below 1 for compression. `encode` and `decode` are seconds for each element on the device and
    on the edge. Tensors inside the model travel in `tensor_ratio` times their own bytes.
    """

    name: str = 'uint8'
    ratio: float = 1.0
    encode: float = 0.0
    decode: float = 0.0
    tensor_ratio: float = 1.0
    lossless: bool = True


@dataclass(frozen=True)
class Setup:
    """
    A device and an edge that run the same model, and how they talk.

    :raises ParameterError: when the two profiles are of different models.
    """

    device: Profile
    edge: Profile
    encoding: Encoding = Encoding()

    def __post_init__(self):
        if len(self.device.seconds) != len(self.edge.seconds) or \
                self.device.fingerprint != self.edge.fingerprint:
            raise ParameterError(
                f'the profiles are of different models: {self.device.model} '
                f'({self.device.fingerprint}) on the device, {self.edge.model} '
                f'({self.edge.fingerprint}) on the edge')

    @property
    def graph(self):
        """The model, the same on both sides."""
        return self.device.graph

    @property
    def input_elements(self) -> float:
        """Elements of the model's input."""
        tensor = self.graph.tensors[self.graph.input]
        return tensor.bytes / tensor.dtype.itemsize

    @property
    def input_bytes(self) -> float:
        """Bytes of the whole input as it travels."""
        return self.input_elements * self.encoding.ratio

    def tensor_bytes(self, tensor: int) -> float:
        """Bytes of a whole tensor as it travels."""
        if tensor == self.graph.input:
            return self.input_bytes
        return self.graph.tensors[tensor].bytes * self.encoding.tensor_ratio


@dataclass(frozen=True)
class Objective:
    """
    What a plan should be good at.

    latency: least time. energy: least joules of the device. deadline: least joules among plans
    that take at most `deadline` seconds (least latency when none does). throughput: least time of
    the busiest resource (frames then overlap). `energy_cap` (joules a frame, 0 for none) rules
    plans out; `hedge` says whether the device goes on to a result of its own while the edge works
    (None: where that is of use and costs little); `halo` (input rows; None for exact) allows
    inexact bands with so much halo; `most_tiles` bounds the tile count.
    """

    goal: Goal = 'latency'
    deadline: float = 0.0
    energy_cap: float = 0.0
    halo: int | None = None
    most_tiles: int = 32
    hedge: bool | None = None

    def rank(self, latency: float, joules: float, busiest: Callable[[], float]
             ) -> tuple[float, ...]:
        """
        Say how bad a frame is by its figures: smaller tuples are better.

        :param latency: seconds.
        :param joules: what the device draws.
        :param busiest: gives the seconds of the busiest resource, where throughput is the goal.
        :returns: what the objective rules out first, then its figure, then another one to decide
            between equals.
        """
        over = max(0.0, joules - self.energy_cap) if self.energy_cap else 0.0
        if self.goal == 'energy':
            return over, joules, latency
        if self.goal == 'deadline':
            return over, max(0.0, latency - self.deadline), joules, latency
        if self.goal == 'throughput':
            return over, busiest(), latency
        return over, latency, joules


@dataclass(frozen=True)
class Plan:
    """
    What a planner decided.

    `script` says which tasks the frame consists of on a given real link, and which of them end
    it. `merge` names the tensor that device and edge meet at ('' when nothing crosses, the
    input's name for offload; several names joined by ' + ' for a cut through several tensors).
    `device_share` is the share of its rows that the device is expected to compute. `way` is one
    of local, offload, cut, streamed offload, streamed cut, meeting, split, divided: see ways.py
    (divided: with `halo` rows of the input beyond the cut).
    """

    planner: str
    way: str
    script: Callable[[Link], tuple[Sequence[Task], Sequence[int]]] = field(repr=False)
    merge: str = ''
    tiles: int = 1
    device_share: float = 0.0
    exact: bool = True
    note: str = ''
    halo: int = 0

    def run(self, link: Link) -> Timeline:
        """Simulate a frame on a link."""
        return simulate(*self.script(link), link)

    @property
    def kind(self) -> tuple[str, str, bool]:
        """As `kind_of` has it."""
        return kind_of(self.way, self.merge, self.tiles)


def kind_of(way: str, merge: str, tiles: int) -> tuple[str, str, bool]:
    """
    Give what tells plans, decisions and frames apart: way ("streamed" left out), merge tensor
    ('' where none is met at, whatever is named), and whether there are several tiles.
    """
    way = way.removeprefix('streamed ')
    return (way, '' if way in ('local', 'offload', 'divided') else merge,
            way != 'local' and tiles > 1)


class Planner(Protocol):
    """What every planner's module offers as `plan`."""

    def __call__(self, setup: Setup, link: Link, objective: Objective) -> Plan:
        """Decide how to run frames of `setup` on a link like `link`."""


def cost(setup: Setup, plan: Plan, link: Link, objective: Objective) -> tuple[float, ...]:
    """Say how bad a plan is on a link, by simulating a frame: smaller is better."""
    frame = plan.run(link)
    return objective.rank(frame.latency, frame.energy(setup.device.power),
                          lambda: max(frame.busy(r) for r in RESOURCES))


def best(setup: Setup, plans: Sequence[Plan], link: Link, objective: Objective) -> Plan:
    """Choose the plan that costs least on a link; the first of equals."""
    return min(plans, key=lambda plan: cost(setup, plan, link, objective))

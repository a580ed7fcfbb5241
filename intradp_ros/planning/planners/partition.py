"""
A frame as a partition problem: who computes what, and what has to be sent for it.

Vertex 0 is the camera (with preprocessing, on the device always), vertex i + 1 is operator i, and
the last vertex is the answer (postprocessing). A *closure* is a set of vertices that contains
whatever its members need; those in it run on the device, all others on the edge, and every tensor
made in it and needed outside crosses the link once. If the answer is in it, everything is: that is
local inference. Otherwise a result comes back.

A sequential cut's latency and joules are sums over these (see `Cut.figures`), which is what
makes it a minimum cut problem.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup
from intradp_ros.planning.profile import Power


@dataclass(frozen=True)
class Send:
    """A tensor that crosses when `producer` is on the device and one of `consumers` is not."""

    producer: int
    consumers: tuple[int, ...]
    size: float = 0.0
    encode: float = 0.0
    decode: float = 0.0


@dataclass(frozen=True)
class Rates:
    """What a second counts: of the device, the uplink, the edge, the downlink, and of waiting."""

    device: float = 1.0
    up: float = 1.0
    edge: float = 1.0
    down: float = 1.0
    wait: float = 1.0


LATENCY = Rates()


def joules(power: Power) -> Rates:
    """
    Rates that make a sequential cut's cost the device's energy: one stage runs at a time, so each
    costs the watts of what the device does in it.
    """
    return Rates(power.compute, power.send, power.idle, power.receive, power.idle)


def answer(link: Link, rates: Rates, result_bytes: float) -> float:
    """Give what the round trip and the way back cost; on a dead link only where they count."""
    back = rates.down and rates.down * link.arrival(0.0, result_bytes, upward=False)
    return rates.wait * link.round_trip + back


@dataclass(frozen=True)
class Cut:
    """
    Totals of a closure: seconds of the device and of the edge, bytes up, bytes back.

    `head` are the operators on the device. `down` is 0 and `is_local` True where nothing is sent.
    """

    head: tuple[int, ...] = field(repr=False)
    device: float
    edge: float
    up: float
    down: float
    is_local: bool = False

    def figures(self, link: Link, rates: Rates) -> float:
        """Cost of one frame: seconds, or joules, by the rates; infinite on a dead link."""
        cost = self.device * rates.device + self.edge * rates.edge
        if self.is_local:
            return cost
        return cost + rates.up * self.stages(link)[1] + answer(link, rates, self.down)

    def stages(self, link: Link) -> tuple[float, float, float]:
        """
        Seconds of the device, of the uplink (whose first message nothing hides: those after it are
        handed over while the link carries) and of the edge.
        """
        up = link.message_seconds + self.up * link.per_byte if self.up else 0.0
        return self.device, up, self.edge

    def busiest(self, link: Link) -> float:
        """Seconds of the largest stage: what a frame adds when frames overlap."""
        return max(*self.stages(link), link.arrival(0.0, self.down, upward=False))

    def key(self, link: Link, objective: Objective, power: Power) -> tuple[float, ...]:
        """Give what `plan.cost` gives for the cut's plan, from its totals alone."""
        return objective.rank(self.figures(link, LATENCY), self.figures(link, joules(power)),
                              lambda: self.busiest(link))


@dataclass(frozen=True)
class Partition:
    """
    The problem for one setup; seconds and bytes are not yet weighed.

    `near` and `far` are seconds of each vertex on the device and on the edge.
    """

    setup: Setup = field(repr=False)
    near: tuple[float, ...]
    far: tuple[float, ...]
    sends: tuple[Send, ...]

    @property
    def answer(self) -> int:
        """The last vertex."""
        return len(self.near) - 1

    @cached_property
    def needed(self) -> tuple[tuple[int, ...], ...]:
        """Vertices that each vertex comes directly after."""
        found: list[list[int]] = [[] for _ in self.near]
        for send in self.sends:
            for consumer in send.consumers:
                found[consumer].append(send.producer)
        return tuple(map(tuple, found))

    @cached_property
    def articulations(self) -> list[int]:
        """
        Vertices that all paths from the camera to the answer pass, both included.

        Every vertex comes before or after each of them, so a closure is: all up to one of them,
        and some of what lies before the next. (A vertex lies on every path exactly when paths to
        it times paths from it are all the paths that there are.)
        """
        to, onward = [0] * len(self.near), [0] * len(self.near)
        to[0] = onward[-1] = 1
        for vertex, needed in enumerate(self.needed):
            to[vertex] += sum(to[i] for i in needed)
        for vertex in reversed(range(len(self.near))):
            for i in self.needed[vertex]:
                onward[i] += onward[vertex]
        return [v for v in range(len(self.near)) if to[v] * onward[v] == onward[0]]

    def cut(self, closure: Collection[int]) -> Cut:
        """Totals of a closure."""
        inside = set(closure) | {0}
        operators = len(self.near) - 2
        head = tuple(v - 1 for v in sorted(inside) if 1 <= v <= operators)
        crossing = [] if self.answer in inside else [
            s for s in self.sends
            if s.producer in inside and any(c not in inside for c in s.consumers)]
        return Cut(
            head,
            sum(self.near[v] for v in sorted(inside)) + sum(s.encode for s in crossing),
            sum(t for v, t in enumerate(self.far) if v not in inside)
            + sum(s.decode for s in crossing),
            sum(s.size for s in crossing),
            0.0 if self.answer in inside else float(self.setup.device.result_bytes),
            self.answer in inside)

    def plan(self, cut: Cut, planner: str) -> Plan:
        """Make the sequential plan of a cut."""
        return ways.sequential(self.setup, frozenset(cut.head), planner, not cut.is_local)


def partition(setup: Setup) -> Partition:
    """Pose the problem for a setup."""
    graph, encoding = setup.graph, setup.encoding
    answer = len(graph.operators) + 1
    consumers: dict[int, set[int]] = {t.id: set() for t in graph.tensors}
    for operator in graph.operators:
        for i in operator.inputs:
            consumers[i].add(operator.id + 1)
    for output in graph.outputs:
        consumers[output].add(answer)
    sends = [Send(0, tuple(sorted(consumers[graph.input])), setup.input_bytes,
                  encoding.encode * setup.input_elements, encoding.decode * setup.input_elements)]
    for operator in graph.operators:
        if not operator.inputs:
            sends.append(Send(0, (operator.id + 1,)))
        # What nobody reads still has to be computed somewhere: before the answer.
        readers = tuple(sorted(consumers[operator.output]))
        sends.append(Send(operator.id + 1, readers, setup.tensor_bytes(operator.output))
                     if readers else Send(operator.id + 1, (answer,)))
    return Partition(setup, (setup.device.before, *setup.device.whole, setup.device.after),
                     (0.0, *setup.edge.whole, setup.edge.after), tuple(sends))

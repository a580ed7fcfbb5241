"""
The minimum cut of DADS (Hu et al., INFOCOM 2019), and all minima along a line of weights.

The flow network: the source stands for the edge and the sink for the device. An arc from the
source to every vertex has the edge's cost of it, an arc from it to the sink the device's; an arc
to its successors has the cost of sending what it makes, through an auxiliary vertex where there
are several, so that it is paid once; arcs back without limit forbid the edge to hand anything
back. The vertices on the source's side of a minimum cut run on the device.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import networkx
from networkx.algorithms.flow import preflow_push

from intradp_ros.planning.planners.partition import Send

# Flow algorithms do not end cleanly on floats: costs become whole multiples of this.
GRAIN = 1e-15

Arcs = Mapping[Send, float]
Item = TypeVar('Item')


def closure(near: Mapping[int, float], far: Mapping[int, float], sends: Arcs, first: int,
            last: int | None = None) -> set[int]:
    """
    Find the vertices that the device should run so that the sum of costs is least.

    :param near: cost of each vertex on the device; `far` of each on the edge.
    :param sends: cost of each tensor; infinity for what cannot be sent.
    :param first: a vertex that only the device can run; `last`, one that only the edge can.
    """
    network = networkx.DiGraph()

    def arc(a, b, cost: float) -> None:
        if cost < float('inf'):
            network.add_edge(a, b, capacity=round(cost / GRAIN))
        else:
            network.add_edge(a, b)  # no capacity is a limitless one

    for vertex in near:
        arc('edge', vertex, float('inf') if vertex == first else far[vertex])
        arc(vertex, 'device', float('inf') if vertex == last else near[vertex])
    for number, (send, cost) in enumerate(sends.items()):
        consumers = [c for c in send.consumers if c in near]
        origin: int | tuple[str, int] = send.producer
        if len(consumers) > 1:
            origin = ('auxiliary', number)
            arc(send.producer, origin, cost)
        for consumer in consumers:
            if len(consumers) > 1:
                arc(origin, consumer, float('inf'))
            elif network.has_edge(origin, consumer):
                # Two tensors between the same two vertices; or one of them is a mere "before".
                network.edges[origin, consumer]['capacity'] += round(cost / GRAIN)
            else:
                arc(origin, consumer, cost)
            arc(consumer, send.producer, float('inf'))
    _, (device, _) = networkx.minimum_cut(network, 'edge', 'device', flow_func=preflow_push)
    return {v for v in device if isinstance(v, int)}


def envelope(solve: Callable[[float, float], tuple[float, float, Item]]) -> list[Item]:
    """
    Find what is least for a weight of two costs, for every weight that there is.

    :param solve: (p, q) -> an item with the least p * a + q * b, as (a, b, item).
    :returns: items, one at least for every vertex of the lower hull of all (a, b), found by
        solving where the lines of two known neighbours cross, again and again, until nothing is
        below the crossing (Eisner and Severance, J. ACM 23(4), 1976).
    """
    def between(low, high) -> list:
        (a, b, _), (c, d, _) = low, high
        if not (c > a and b > d):
            return []
        # The weight at which both cost the same, scaled so that neither part vanishes.
        p, q = b - d, c - a
        scale = p + q
        middle = solve(p / scale, q / scale)
        cost = (p * a + q * b) / scale
        if not (p * middle[0] + q * middle[1]) / scale < cost * (1 - 1e-12):
            return []
        return [*between(low, middle), middle, *between(middle, high)]

    low, high = solve(1.0, 0.0), solve(0.0, 1.0)
    return [item for _, _, item in [low, *between(low, high), high]]


@dataclass(frozen=True)
class Hull:
    """
    Lines a + s x that are lowest for some x >= 0, from the steepest (small x) on.

    `places` says which item each line belongs to, and line i is lowest for x up to `until[i]`.
    """

    lines: tuple[tuple[float, float], ...]
    places: tuple[int, ...]
    until: tuple[float, ...]

    def at(self, x: float) -> int:
        """Place in `lines` of the lowest."""
        return bisect_left(self.until, x, 0, len(self.until) - 1)


def hull(lines: Sequence[tuple[float, float]]) -> Hull:
    """Keep the lines (a, s) that are lowest somewhere."""
    order = sorted(range(len(lines)), key=lambda i: lines[i])
    kept: list[int] = []
    until: list[float] = []
    for place in order:
        a, s = lines[place]
        if kept and s >= lines[kept[-1]][1]:
            continue
        while kept:
            b, t = lines[kept[-1]]
            crossing = (a - b) / (t - s)
            # A line that is overtaken before (or when) it takes the lead never has it.
            if crossing > (until[-1] if until else 0.0):
                until.append(crossing)
                break
            kept.pop()
            if until:
                until.pop()
        kept.append(place)
    return Hull(tuple(lines[i] for i in kept), tuple(kept), (*until, float('inf')))

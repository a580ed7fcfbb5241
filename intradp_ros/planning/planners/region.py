"""
Cuts between two neighbouring articulations of a partition problem: all of them, or the least.

A region's cuts share what lies before and after it, so that regions can be searched one at a time.
"""

from dataclasses import dataclass, field
from functools import cached_property

from intradp_ros.planning.planners import flow
from intradp_ros.planning.planners.partition import Partition, Rates, Send


@dataclass(frozen=True)
class Totals:
    """
    What a cut costs on any link: seconds of the device and of the edge, bytes sent.

    `inside` are the vertices of the region that the device runs.
    """

    inside: tuple[int, ...]
    device: float
    edge: float
    size: float

    def line(self, rates: Rates) -> tuple[float, float]:
        """Give (a, s): at x seconds a byte the cut costs a + s x."""
        return (self.device * rates.device + self.edge * rates.edge, self.size * rates.up)


@dataclass(frozen=True)
class Region:
    """Vertex `first` and all before run on the device, `last` and all after on the edge."""

    problem: Partition = field(repr=False)
    first: int
    last: int

    @property
    def inner(self) -> range:
        """Vertices that either side can run."""
        return range(self.first + 1, self.last)

    @cached_property
    def sends(self) -> list[Send]:
        """Tensors that may cross: those made here (all their readers are here too)."""
        return [s for s in self.problem.sends if self.first <= s.producer < self.last]

    @cached_property
    def around(self) -> tuple[float, float]:
        """Seconds of what lies before on the device and of what lies after on the edge."""
        return sum(self.problem.near[:self.first + 1]), sum(self.problem.far[self.last:])

    def totals(self, inside: set[int]) -> Totals:
        """Totals of the cut with some inner vertices on the device."""
        near, far = self.problem.near, self.problem.far
        crossing = [s for s in self.sends if (s.producer == self.first or s.producer in inside)
                    and any(c not in inside for c in s.consumers)]
        device, edge = self.around
        return Totals(
            tuple(sorted(inside)),
            device + sum(near[v] for v in sorted(inside)) + sum(s.encode for s in crossing),
            edge + sum(far[v] for v in self.inner if v not in inside)
            + sum(s.decode for s in crossing),
            sum(s.size for s in crossing))

    def closures(self, most: int) -> list[Totals] | None:
        """
        List all cuts, the one right behind `first` first; None where there are more than `most`.
        """
        near, far = self.problem.near, self.problem.far
        needed = {v: [i for i in self.problem.needed[v] if i != self.first] for v in self.inner}
        read = {v: [k for k, s in enumerate(self.sends) if v in s.consumers]
                for v in range(self.first + 1, self.last + 1)}
        found: list[Totals] = []
        # Vertex after vertex goes to the edge or, if what it needs is there, to the device:
        # (next vertex, those on the device, numbers of the sends that cross, the three sums).
        stack: list[tuple[int, tuple[int, ...], frozenset[int], float, float, float]]
        stack = [(self.first + 1, (), frozenset(), *self.around, 0.0)]
        while stack:
            vertex, inside, crossing, device, edge, size = stack.pop()
            if vertex < self.last and all(i in inside for i in needed[vertex]):
                stack.append((vertex + 1, (*inside, vertex), crossing, device + near[vertex],
                              edge, size))
            for k in read[vertex]:
                send = self.sends[k]
                if k not in crossing and (send.producer == self.first
                                          or send.producer in inside):
                    crossing = crossing | {k}
                    device, edge = device + send.encode, edge + send.decode
                    size += send.size
            if vertex < self.last:
                stack.append((vertex + 1, inside, crossing, device, edge + far[vertex], size))
            else:
                found.append(Totals(inside, device, edge, size))
                if len(found) > most:
                    return None
        return found

    def least(self, rates: Rates, p: float, q: float) -> Totals:
        """Find the cut with the least p * a + q * s, by a minimum cut of the region."""
        near, far = self.problem.near, self.problem.far
        scale_size = q * rates.up
        device, edge = p * rates.device, p * rates.edge
        vertices = range(self.first, self.last + 1)
        inside = flow.closure(
            {v: device * near[v] for v in vertices}, {v: edge * far[v] for v in vertices},
            {s: scale_size * s.size + device * s.encode + edge * s.decode for s in self.sends},
            self.first, self.last)
        return self.totals(inside - {self.first})

    def winners(self, most: int, weights: list[Rates]) -> tuple[list[Totals], int]:
        """
        Find the cuts that are least for some link, for each of some weights.

        :param most: how many cuts are listed at most; minimum cuts are computed beyond that.
        :returns: them, the cut right behind `first` first, and how many were looked at.
        """
        every = self.closures(most)
        if every is not None:
            best = {i for rates in weights
                    for i in flow.hull([t.line(rates) for t in every]).places}
            return [every[i] for i in sorted(best | {0})], len(every)
        found: dict[tuple[int, ...], Totals] = {(): self.totals(set())}
        count = 1
        for rates in weights:
            def solve(p: float, q: float, rates: Rates = rates) -> tuple[float, float, Totals]:
                nonlocal count
                count += 1
                totals = self.least(rates, p, q)
                return (*totals.line(rates), totals)
            for totals in flow.envelope(solve):
                found.setdefault(totals.inside, totals)
        return list(found.values()), count

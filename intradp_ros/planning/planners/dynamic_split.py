"""
No offload, full offload, or the best natural bottleneck, from a table.

Bakhtiarnia et al.: Dynamic Split Computing for Efficient Deep Edge Intelligence, arXiv 2205.11269.
A natural bottleneck is an operator whose output is smaller than the model's input; a stricter kind
is also smaller than every bottleneck before it. Such a model is split without being trained again.
The split moves with the data rate, the batch size and the load of the server: the one with the
least head(batch) + bytes(batch) / rate + tail(batch, load) is looked up in a table that was made
beforehand.

Where this departs from it: only tensors that every path passes are candidates (with others more
would have to be sent along); sizes are compared as they travel, so a uint8 input has fewer
bottlenecks than a float32 one; the table holds the best split, and local inference, which alone is
without a round trip, is compared with it online. The engine computes one image at a time, so that
head, bytes and tail grow alike with the batch and the best split does not move with it: the batch
enters that comparison only. The load multiplies the edge's seconds.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from intradp_ros.errors import ParameterError
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup
from intradp_ros.planning.planners.partition import Cut, Partition, partition

# Bytes a second from 10 kB/s to 1 GB/s, ten for each factor of ten.
RATES = tuple(10 ** (4 + i / 10) for i in range(51))
LOADS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True)
class Table:
    """
    The best split for each (load, rate); `cuts` and `plans` have local inference last.

    Rates and loads ascend; the nearest by ratio is looked up.
    """

    setup: Setup = field(repr=False)
    objective: Objective
    cuts: tuple[Cut, ...]
    plans: tuple[Plan, ...] = field(repr=False)
    rates: tuple[float, ...]
    loads: tuple[float, ...]
    chosen: tuple[tuple[int, ...], ...]

    def decide(self, link: Link, objective: Objective, batch: int = 1,
               load: float = 1.0) -> Plan:
        """
        Choose for a link, in microseconds where the objective is the one prepared for.

        :param batch: images in a frame.
        :param load: by what the edge's seconds are multiplied.
        :raises ParameterError: for a batch or a load of 0 or less.
        """
        if batch < 1 or load <= 0:
            raise ParameterError(f'a batch of {batch} and a load of {load}: both have to be '
                                 f'above 0')
        local, x = len(self.cuts) - 1, link.per_byte
        if x == float('inf'):
            return self.plans[local]
        places: Sequence[int] = range(len(self.cuts))
        if objective == self.objective:
            row = self.chosen[nearest(self.loads, load)]
            places = row[nearest(self.rates, 1 / x)], local
        power = self.setup.device.power
        return self.plans[min(places, key=lambda i: loaded(self.cuts[i], batch, load).key(
            link, objective, power))]


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Try all candidates on the link itself: what a table that is fine enough says."""
    problem = partition(setup)
    cut = min(candidates(problem),
              key=lambda cut: cut.key(link, objective, setup.device.power))
    return problem.plan(cut, 'dynamic_split')


def prepare(setup: Setup, objective: Objective, rates: Sequence[float] = RATES,
            loads: Sequence[float] = LOADS, strict: bool = False) -> Table:
    """
    Make the table.

    :param rates: ascending rates in bytes a second.
    :param loads: ascending factors of the edge's seconds.
    :param strict: take the stricter kind of bottlenecks.
    :raises ParameterError: when `rates` or `loads` are empty or do not ascend from above 0.
    """
    for name, values in ('rates', rates), ('loads', loads):
        if not values or values[0] <= 0 or any(a >= b for a, b in zip(values, values[1:])):
            raise ParameterError(f'{name} have to ascend from above 0, got {tuple(values)}')
    problem = partition(setup)
    cuts = candidates(problem, strict)

    def chosen(rate: float, load: float) -> int:
        return min(range(len(cuts) - 1), key=lambda i: loaded(cuts[i], 1, load).key(
            Link(rate), objective, setup.device.power))

    return Table(setup, objective, tuple(cuts),
                 tuple(problem.plan(cut, 'dynamic_split') for cut in cuts), tuple(rates),
                 tuple(loads), tuple(tuple(chosen(rate, load) for rate in rates)
                                     for load in loads))


def candidates(problem: Partition, strict: bool = False) -> list[Cut]:
    """Give full offload, the cuts behind natural bottlenecks in order, and local inference."""
    sizes = {s.producer: s.size for s in problem.sends}
    least, cuts = problem.setup.input_bytes, [problem.cut(())]
    for vertex in problem.articulations[1:-1]:
        if sizes[vertex] < least:
            cuts.append(problem.cut(range(vertex + 1)))
            if strict:
                least = sizes[vertex]
    return [*cuts, problem.cut(range(len(problem.near)))]


def loaded(cut: Cut, batch: int, load: float) -> Cut:
    """Totals of a batch of frames on a loaded server."""
    if batch == 1 and load == 1:
        return cut
    return replace(cut, device=cut.device * batch, edge=cut.edge * batch * load,
                   up=cut.up * batch, down=cut.down * batch)


def nearest(values: Sequence[float], value: float) -> int:
    """Place of the value that is nearest by ratio."""
    at = min(max(bisect_left(values, value), 1), len(values) - 1) if len(values) > 1 else 0
    return at - 1 if at and value * value < values[at - 1] * values[at] else at

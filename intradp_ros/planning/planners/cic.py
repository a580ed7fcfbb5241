"""
The minimum cut, compressed offline to a table that is looked up online.

CIC: IJCNN 2022, doi 10.1109/IJCNN55064.2022.9892582. What depends on the model and the two
machines alone is done beforehand, and leaves a small splitting model; what depends on the network
is decided on the device.

How it is done here (the paper's own construction was not at hand; the result is the same, exact
for every bandwidth). A cut costs a + s x, where x is the seconds that a byte takes on the link, a
the seconds of both sides and s the bytes: a line. Only lines of the lower hull can ever win.

1. The graph falls into regions between articulation vertices (`Partition.articulations`), and a
   cut lies within one of them: regions are searched one at a time.
2. A region's cuts are listed (all closures, where there are at most `MOST_CLOSURES`), or else the
   winners are found by minimum cuts of that region alone, for every x (`flow.envelope`).
3. The lower hull of all regions' winners is kept; a region that has none on it is contracted.
4. Online, the line is found by bisection, and compared with local inference. The round trip and
   the answer's way back are the same for all other cuts.

Where this departs from the exact cost of a link: where handing messages over takes longer than the
link does, it is spread over their bytes (`Link.per_byte`), because a table for single messages
would depend on the link. The cut is then worse than the best by less than one message's cost for
each tensor. Energy has a hull of its own. With a deadline, a cap, or throughput as the objective,
all cuts on a hull or at an articulation are tried: exact for throughput where cuts are through
single tensors; the paper's throughput mode likewise minimises the largest stage.
"""

from dataclasses import dataclass, field, replace

from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup
from intradp_ros.planning.planners.flow import Hull, hull
from intradp_ros.planning.planners.partition import (
    LATENCY,
    Cut,
    Rates,
    answer,
    joules,
    partition,
)
from intradp_ros.planning.planners.region import Region

MOST_CLOSURES = 2048

@dataclass(frozen=True)
class Table:
    """
    A compressed splitting model: what is left to decide online.

    `cuts` are all that can win, local inference last; `hulls` are over all but that, by goal.
    `vertices` were there before, `listed` is how many cuts were looked at.
    """

    cuts: tuple[Cut, ...]
    plans: tuple[Plan, ...] = field(repr=False)
    hulls: dict[str, Hull] = field(repr=False)
    rates: dict[str, Rates] = field(repr=False)
    setup: Setup = field(repr=False)
    vertices: int = 0
    listed: int = 0

    def decide(self, link: Link, objective: Objective) -> Plan:
        """Choose for a link, in microseconds."""
        return self.plans[self.choose(link, objective)]

    def choose(self, link: Link, objective: Objective) -> int:
        """Give the place in `cuts` of the best."""
        if objective.goal not in self.hulls or objective.energy_cap:
            power = self.setup.device.power
            return min(range(len(self.cuts)),
                       key=lambda i: self.cuts[i].key(link, objective, power))
        found, rates = self.hulls[objective.goal], self.rates[objective.goal]
        x = link.per_byte
        if x == float('inf'):
            return len(self.cuts) - 1
        line = found.at(x)
        a, s = found.lines[line]
        rest = rates.up * link.message_seconds + answer(
            link, rates, self.setup.device.result_bytes)
        is_remote = a + s * x + rest < self.cuts[-1].device * rates.device
        return found.places[line] if is_remote else len(self.cuts) - 1


def prepare(setup: Setup, objective: Objective) -> Table:
    """Compress a model for two machines; the table is good for every link and objective."""
    problem = partition(setup)
    rates = {'latency': LATENCY, 'energy': joules(setup.device.power)}
    listed, candidates = 0, []
    stops = problem.articulations
    for first, last in zip(stops, stops[1:]):
        found, count = Region(problem, first, last).winners(MOST_CLOSURES, list(rates.values()))
        listed += count
        candidates += [(first, totals) for totals in found]
    hulls = {goal: hull([totals.line(r) for _, totals in candidates])
             for goal, r in rates.items()}
    # Cuts at articulations stay for objectives that no hull answers; the rest only on a hull.
    kept = sorted({place for h in hulls.values() for place in h.places}
                  | {i for i, (_, totals) in enumerate(candidates) if not totals.inside})
    cuts = [problem.cut([*range(candidates[i][0] + 1), *candidates[i][1].inside]) for i in kept]
    cuts.append(problem.cut(range(len(problem.near))))
    where = {place: i for i, place in enumerate(kept)}
    hulls = {goal: replace(h, places=tuple(where[i] for i in h.places))
             for goal, h in hulls.items()}
    return Table(tuple(cuts), tuple(problem.plan(cut, 'cic') for cut in cuts), hulls, rates, setup,
                 len(problem.near), listed)


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Compress and decide at once; use `prepare` where decisions recur."""
    return prepare(setup, objective).decide(link, objective)

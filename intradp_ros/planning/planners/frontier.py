"""
The planner of this package: which way, which merge tensor, how many tiles; the rest is left to run
time.

Source: this project's design note ("The `frontier` planner"). Candidates are local inference, the
streamed cut at every tensor that everything passes through and that is smaller than the input
(natural bottlenecks, arXiv 2205.11269), meeting in the middle at those, and the input itself
(streamed offload), each with several tile counts, sequential ones included; and fixed splits with
one band a side, for processors on which bands are expensive. Each is simulated, so the choice is
never worse than any of its candidates when the link is as assumed.

With a limited halo (`objective.halo`) the image may also be divided, each side computing its part
to the end: inexact, and marked so.

What a wrong assumption costs is bounded in two ways. Where device and edge meet is not planned but
found by both going on until they do, and (for latency, unless messages need the same core) the
device hedges: it goes on to a local result, and the first of the two ends the frame; where that is
asked for, only by plans whose local result comes at most 10 % later than local inference. And of
plans within `TOLERANCE` of the best, the one is taken that is best when the link has a third of
the bandwidth.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, log

from intradp_ros.model.graph import Tensor
from intradp_ros.planning import ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup, cost
from intradp_ros.tiling.split import candidates

TILES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
# Parts of the rows that the device may take where the place to split at is fixed.
SHARES = 16
TOLERANCE = 0.02
# Where a hedge is asked for, no frame may end later than this factor of local inference, whatever
# becomes of the link: many bands at a deep tensor cost a local result more than that, and so do
# many messages on a robot that has one core for both.
PREMIUM, DEAD = 1.1, Link(0, steps=((0.0, 0.0),))
CAUTION = 3.0
# Bandwidths (bytes a second) that a table is made for, and how many a factor of e.
LEAST, MOST, DENSITY = 3e4, 3e8, 4
GRID = tuple(LEAST * exp(i / DENSITY) for i in range(round(log(MOST / LEAST) * DENSITY) + 1))


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Choose for one link: every candidate is simulated on it."""
    return choose(setup, prompt(setup, plans(setup, objective), link, objective), link, objective)


def plans(setup: Setup, objective: Objective) -> list[Plan]:
    """Make all candidates for a setup; costs of bands are computed here, once."""
    graph = setup.graph
    counts = [n for n in TILES if n <= objective.most_tiles] or [1]
    # A hedge costs energy and buys latency; where messages need the same core it costs latency.
    hedges: tuple[bool, ...] = {
        'latency': (not setup.device.message_compute,),
        'deadline': (False, True)}.get(objective.goal, (False,))
    if objective.hedge is not None:
        hedges = (objective.hedge,)
    elif objective.energy_cap:
        hedges = (False, True)
    found = [ways.local(setup, 'frontier')]
    merges = merge_tensors(setup, objective)
    for hedge in hedges:
        for tiles in counts:
            found.append(ways.streamed(setup, graph.input, tiles, 'frontier', hedge))
            for tensor in merges:
                if tiles > 2 * tensor.rows:
                    continue
                found.append(ways.streamed(setup, tensor.id, tiles, 'frontier', hedge))
                if tiles > 1:
                    found.append(ways.meeting(setup, tensor.id, tiles, 'frontier', hedge))
                if tiles == 2 and tensor.rows > 1:
                    found += [ways.split(setup, tensor.id, share / SHARES, 2, 'frontier', hedge)
                              for share in range(3, SHARES - 1)]
    if objective.halo is not None:
        found += [ways.divided(setup, share / SHARES, objective.halo, min(16, counts[-1]),
                               'frontier') for share in range(1, SHARES)]
    return found


def merge_tensors(setup: Setup, objective: Objective) -> list[Tensor]:
    """
    Give the tensors to meet at: those smaller than the input, and, where it is latency that counts
    and the edge is the faster one, smaller than any before (a later one that is not has both the
    slower side and the link do more).
    """
    found: list[Tensor] = []
    least = setup.input_bytes
    alone = objective.goal == 'latency' and setup.edge.total <= setup.device.total
    for tensor in candidates(setup.graph):
        size = setup.tensor_bytes(tensor.id)
        if size < least:
            found.append(tensor)
            least = size if alone else least
    return found


def prompt(setup: Setup, candidates: Sequence[Plan], link: Link, objective: Objective
           ) -> list[Plan]:
    """
    Keep the plans that never delay the local result by more than `PREMIUM`, where a hedge is asked
    for: all bands computed and all messages sent for nothing.
    """
    if not objective.hedge:
        return list(candidates)
    alone = ways.local(setup).run(DEAD).latency

    def latest(plan: Plan) -> float:
        tasks, _ = plan.script(link)
        messages = sum(link.messages(task.size) for task in tasks if task.resource == 'uplink')
        return plan.run(DEAD).latency + messages * link.message_compute
    return [plan for plan in candidates if latest(plan) <= PREMIUM * alone]


def choose(setup: Setup, candidates: Sequence[Plan], link: Link, objective: Objective,
           factor: Callable[[tuple[str, str, bool]], float] = lambda kind: 1.0) -> Plan:
    """
    Take the best plan, or one nearly as good that bears a slower link better; of equals the one
    that costs least otherwise (for latency, joules: where all hedged plans end with the local
    result, sending is for nothing).

    :param factor: says by a plan's kind what its latency is to be multiplied by, where frames have
        shown how wrong the timeline is; for the goal latency only.
    """
    def judged(plan: Plan, link: Link) -> tuple[float, ...]:
        ruled_out, *rest = cost(setup, plan, link, objective)
        if objective.goal == 'latency':
            rest[0] *= factor(plan.kind)
        return ruled_out, *rest

    def near(plans: Sequence[Plan], link: Link) -> list[Plan]:
        costs = [judged(plan, link) for plan in plans]
        *ruled_out, figure, _ = min(costs)
        return [plan for plan, (*out, c, _) in zip(plans, costs)
                if out == ruled_out and c <= figure * (1 + TOLERANCE)]
    slow = replace(link, bandwidth=link.bandwidth / CAUTION)
    return min(near(near(candidates, link), slow), key=lambda plan: judged(plan, link)[-1])


def runner_up(candidates: Sequence[Plan], link: Link, best: Plan,
              factor: Callable[[tuple[str, str, bool]], float]) -> Plan | None:
    """
    Give the plan of another kind than the best one that comes next, by latency; None without one.

    :param factor: as for `choose`.
    """
    others = [plan for plan in candidates if plan.kind != best.kind]
    return min(others, key=lambda plan: plan.run(link).latency * factor(plan.kind), default=None)


@dataclass(frozen=True)
class Table:
    """Plans for a grid of bandwidths, so that re-planning is a look-up."""

    bandwidths: tuple[float, ...]
    plans: tuple[Plan, ...]

    def decide(self, link: Link, objective: Objective) -> Plan:
        """
        Give the plan of the nearest bandwidth on a logarithmic scale, in microseconds.

        :param objective: the one that the table was made for.
        """
        at = bisect_left(self.bandwidths, link.bandwidth)
        if at == 0:
            return self.plans[0]
        if at == len(self.bandwidths):
            return self.plans[-1]
        below, above = self.bandwidths[at - 1:at + 1]
        return self.plans[at if link.bandwidth * link.bandwidth > below * above else at - 1]


def shortlist(setup: Setup, objective: Objective, link: Link) -> list[Plan]:
    """
    Keep the candidates that are the best of their kind at some bandwidth, or nearly the best of
    all, all else being as in `link`.

    Whoever plans again and again for one setup simulates those only. Of every kind one is kept,
    because frames may show that another kind is slower than it seems (`choose`).
    """
    everything = prompt(setup, plans(setup, objective), link, objective)
    kept: dict[int, Plan] = {}
    for bandwidth in GRID[::DENSITY]:
        here = replace(link, bandwidth=bandwidth)
        ranked = sorted(everything, key=lambda plan: cost(setup, plan, here, objective))
        first = {plan.kind: plan for plan in reversed(ranked)}
        kept.update((id(plan), plan) for plan in (*ranked[:4], *first.values()))
    return list(kept.values())


def prepare(setup: Setup, objective: Objective, link: Link | None = None) -> Table:
    """
    Choose for a grid of bandwidths, all else being as in `link` (default: a link that costs
    nothing but its bandwidth).
    """
    link = link or Link(MOST)
    kept = shortlist(setup, objective, link)
    return Table(GRID, tuple(choose(setup, kept, replace(link, bandwidth=b), objective)
                             for b in GRID))

"""
Intra-DP: each operator's rows are shared between device and edge (arXiv 2507.05829).

Local operator parallelism (LOP): the device computes the upper share x of an operator's rows, the
edge the rest; a global operator has x = 0 or 1. Scheduling of local operators (LOSS): x may change
at the input and at a few minimum cuts, each found with the earlier ones banned at 10 MB/s, and is
one of {0, 0.5, 0.6, 0.7, 1} between them; all combinations are tried on the timeline. The older
solver (Hybrid-Parallel, arXiv 2405.19257), differential evolution over one x per group of tied
operators with random local starts, is `evolved`.

`objective.halo` = 0 is the method as published: slices go up and down, nothing is added for
kernels that reach over a slice's edge, and the result is inexact. The default departs from it to
be exact: both sides recompute the halo (`recompute`), and no rows of tensors inside the model come
down, only the result. Why: an exact share that returns to the device in a deep network needs the
whole image's halo (the receptive field of its output spans the image), so all would come down; and
exchanging one halo row a layer costs more bytes than the input (662 KB each way for VGG19 at 224).
`objective.halo` = h > 0 recomputes at most h input rows on either side: inexact again.

Another departure: cuts are those along the order of computation, whatever number of tensors cross.
In series-parallel networks these include the cheapest ones; the search is then one pass.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from scipy.optimize import differential_evolution, minimize

from intradp_ros.model.graph import Graph
from intradp_ros.planning import recompute, shares, ways
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Objective, Plan, Setup, best, cost

GRID = (0.0, 0.5, 0.6, 0.7, 1.0)
CANDIDATES = 3
CANDIDATE_BANDWIDTH = 10e6  # bytes/s


def plan(setup: Setup, link: Link, objective: Objective) -> Plan:
    """Choose among all combinations of shares between the input and the candidate cuts."""
    segment = segments(setup.graph, candidates(setup))
    if objective.halo == 0:
        plans = published(setup, segment)
    else:
        plans = recomputed(setup, segment, objective.halo)
    return best(setup, [ways.local(setup, 'intra_dp'), *plans], link, objective)


def candidates(setup: Setup, count: int = CANDIDATES) -> list[int]:
    """
    Find the cheapest cuts for sequential inference at 10 MB/s, each other than those before.

    :returns: for each, how many operators of the model's order come before it, ascending.
    """
    graph = setup.graph
    last_read = {t: o.id for o in graph.operators for t in o.inputs}
    last_read |= dict.fromkeys(graph.outputs, len(graph.operators))
    head, rest, crossing = 0.0, setup.edge.total, 0.0
    costs = []
    for o in graph.operators[:-1]:
        head += setup.device.whole[o.id]
        rest -= setup.edge.whole[o.id]
        crossing += setup.tensor_bytes(o.output)
        crossing -= sum(setup.tensor_bytes(t) for t in set(o.inputs)
                        if last_read[t] == o.id and t != graph.input)
        image = setup.input_bytes if last_read.get(graph.input, -1) > o.id else 0.0
        costs.append((head + (crossing + image) / CANDIDATE_BANDWIDTH + rest, o.id + 1))
    return sorted(place for _, place in sorted(costs)[:count])


def segments(graph: Graph, cuts: Sequence[int]) -> list[int]:
    """Number the part between two cuts in which each operator lies, from 0."""
    return [sum(o.id >= cut for cut in cuts) for o in graph.operators]


def published(setup: Setup, segment: Sequence[int]) -> list[Plan]:
    """All plans of the published kind, one for each combination of shares."""
    groups = shares.tied(setup.graph)
    can_divide = shares.divisible(setup.graph, groups)
    costs, found = shares.Costs(setup), set()
    for chosen in product(GRID, repeat=max(segment) + 1):
        # A group that a cut would tear takes the share of its first operator.
        found.add(tuple(shares.permitted([chosen[segment[g]] for g in groups], can_divide)))
    return [shared(setup, each, costs) for each in sorted(found)]


def shared(setup: Setup, of: Sequence[float], costs: shares.Costs) -> Plan:
    """Make the plan in which operator i has share `of[i]`, as published."""
    mean = float(np.mean(of))
    inside = [x for x in of if 0 < x < 1]
    way = 'meeting' if inside else 'cut' if mean else 'offload'
    merge = merged(setup.graph, of)
    # Without a share inside (0, 1) nothing is sliced: such a plan is exact.
    return Plan('intra_dp', way, ways.fixed(*shares.schedule(setup, of, costs)), merge,
                device_share=mean, exact=not inside,
                note='slices without halo, as published' if inside else '')


def merged(graph: Graph, of: Sequence[float]) -> str:
    """Names of the tensors at which the device's share falls for the last time."""
    made = {graph.input: 1.0} | {o.output: of[o.id] for o in graph.operators}
    falls = [(o.id, t) for o in graph.operators for t in o.inputs if of[o.id] < made[t]]
    if not falls:
        return ''
    last = max(falls)[0]
    return ' + '.join(graph.tensors[t].name for i, t in falls if i == last)


def recomputed(setup: Setup, segment: Sequence[int], halo: int | None) -> list[Plan]:
    """All plans of the exact kind (or with a limited halo): shares fall, and end at 0."""
    plans, count = [], max(segment) + 1
    for chosen in falling(count - 1):
        by_segment = (*chosen, 0.0)
        rows = recompute.work(setup.graph, segment, by_segment, halo)
        script = ways.fixed(*recompute.schedule(setup, segment, rows))
        exact = (halo is None or not any(0 < x < 1 for x in by_segment)) \
            and setup.device.has_geometry
        way = 'meeting' if any(0 < x < 1 for x in chosen) else 'cut' if any(chosen) else 'offload'
        of = [by_segment[s] for s in segment]
        note = 'the profile has no geometry: halo taken as 0' * (not setup.device.has_geometry)
        plans.append(Plan('intra_dp', way, script, merged(setup.graph, of),
                          device_share=float(np.mean(of)), exact=exact, note=note))
    return plans


def falling(count: int, most: float = 1.0) -> Iterator[tuple[float, ...]]:
    """Sequences of shares of the grid that never rise."""
    if count == 0:
        yield ()
        return
    for x in GRID:
        if x <= most:
            yield from ((x, *rest) for rest in falling(count - 1, x))


def evolved(setup: Setup, link: Link, objective: Objective, starts: int = 50,
            generations: int = 20, seed: int = 0) -> Plan:
    """
    Search as the older version did: differential evolution, then local search from random starts.

    One variable for each group of tied operators that can be divided, and for each that cannot
    (rounded to 0 or 1); as published, without halo. Slow: seconds to minutes.

    :param starts: random starting points of the local search.
    """
    groups = shares.tied(setup.graph)
    can_divide = shares.divisible(setup.graph, groups)
    costs = shares.Costs(setup)
    variable = {group: n for n, group in enumerate(dict.fromkeys(groups))}

    def made(x: np.ndarray) -> Plan:
        # Steps of 1/64 keep the table of costs small; no tensor's rows tell them apart.
        steps = [round(float(x[variable[g]]) * 64) / 64 for g in groups]
        return shared(setup, [s if can else float(s >= 0.5)
                              for s, can in zip(steps, can_divide)], costs)

    def price(x: np.ndarray) -> float:
        over, figure = cost(setup, made(x), link, objective)[:2]
        return 1e3 * over + figure

    bounds = [(0.0, 1.0)] * len(variable)
    random = np.random.default_rng(seed)
    found = [differential_evolution(price, bounds, maxiter=generations, popsize=4, polish=False,
                                    seed=seed).x]
    for _ in range(starts):
        # Shares that are the same over long runs, as good ones are.
        corners = np.repeat(random.random(4), -(-len(variable) // 4))[:len(variable)]
        result = minimize(price, corners, method='Powell', bounds=bounds,
                          options={'maxiter': 1, 'maxfev': 20 * len(variable)})
        found.append(result.x)
    return best(setup, [ways.local(setup, 'intra_dp'), *(made(x) for x in found)], link,
                objective)

"""
What bands cost: seconds of each step of a wavefront, without running it.

Band costs do not depend on the link, so planners compute them once for a setup and then only
simulate; nor on codecs nor, but for a factor, on a machine's speed, so profiles remember them.
Functions of bands take their boundaries as rows of one tensor, from 0 to its rows or, where bands
come from below, the other way round.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import wraps

from intradp_ros.model.graph import Graph, Operator
from intradp_ros.planning.profile import Profile

# Figures that a profile remembers: a frontier's candidates have about a hundred.
MOST_REMEMBERED = 5000


def remembered(function: Callable[..., list[float]]) -> Callable[..., list[float]]:
    """Keep what `function` says of a profile; one that was scaled has its original asked."""
    @wraps(function)
    def ask(profile: Profile, target: int, ends: Sequence[int], **options: bool) -> list[float]:
        origin, factor = profile.origin
        key = function.__name__, target, tuple(ends), tuple(sorted(options.items()))
        seconds = origin.asked.get(key)
        if seconds is None:
            if len(origin.asked) >= MOST_REMEMBERED:
                origin.asked.clear()
            seconds = origin.asked[key] = function(origin, target, ends, **options)
        return [factor * s for s in seconds]
    return ask


def needed_ends(graph: Graph, operators: Sequence[Operator], target: int, b: int) -> list[int]:
    """Rows [0, end) of every tensor, by id, that rows [0, b) of `target` depend on."""
    ends = [0] * len(graph.tensors)
    ends[target] = b
    for operator in reversed(operators):
        end = ends[operator.output]
        if end:
            for i, need in zip(operator.inputs, operator.needs):
                # Needs ascend, so the last row's is the furthest; empty ones read borders only.
                ends[i] = max(ends[i], need.last[end - 1])
    return ends


def needed_begins(graph: Graph, operators: Sequence[Operator], target: int, a: int) -> list[int]:
    """First row of every tensor, by id, that rows [a, end) of `target` depend on."""
    begins = [t.rows for t in graph.tensors]
    begins[target] = a
    for operator in reversed(operators):
        begin = begins[operator.output]
        if begin < graph.tensors[operator.output].rows:
            for i, need in zip(operator.inputs, operator.needs):
                begins[i] = min(begins[i], need.first[begin])
    return begins


@remembered
def computed(profile: Profile, target: int, ends: Sequence[int],
             from_below: bool = False) -> list[float]:
    """
    Seconds to compute `target` in bands, on demand: each row of each operator once.

    :param ends: boundaries of the bands, from 0 up; with `from_below` from the tensor's rows
        down.
    """
    return [sum(profile.band(o, rows) for o, rows in band)
            for band in rows_computed(profile.graph, target, ends, from_below)]


def rows_computed(graph: Graph, target: int, ends: Sequence[int], from_below: bool = False
                  ) -> list[list[tuple[Operator, int]]]:
    """Operators that `target` needs and the rows of each that a band adds, band by band."""
    operators = graph.ancestors([target])
    needed = needed_begins if from_below else needed_ends
    there = [needed(graph, operators, target, end) for end in ends]
    return [[(o, abs(after[o.output] - before[o.output])) for o in operators]
            for before, after in zip(there, there[1:])]


@remembered
def resumed(profile: Profile, source: int, ends: Sequence[int], from_below: bool = False,
            complete: bool = True) -> list[float]:
    """
    Seconds of a wavefront that is fed `source` in bands: whatever becomes computable is computed,
    unless it is less than the engine makes a call for (`Profile.least_rows`).

    :param ends: boundaries of the bands, from 0 up; with `from_below` from the tensor's rows
        down.
    :param complete: whether the last band is the last: then all that is left is computed with it.
    """
    graph = profile.graph
    there = reached(profile, source, ends, from_below)
    if complete:
        there[-1] = [t.rows for t in graph.tensors]
    operators = graph.rest([source])
    return [sum(profile.band(o, after[o.output] - before[o.output]) for o in operators)
            for before, after in zip(there, there[1:])]


@remembered
def left_between(profile: Profile, source: int, ends: Sequence[int]) -> list[float]:
    """
    Seconds of what is left when two wavefronts, from the top and from below, have met.

    :param ends: boundaries of the bands, from 0 up.
    :returns: one figure for each place where they can meet, one more than bands.
    """
    graph = profile.graph
    above = reached(profile, source, ends)
    below = reached(profile, source, ends[::-1], from_below=True)[::-1]
    operators = graph.rest([source])
    return [sum(profile.band(o, graph.tensors[o.output].rows - p[o.output] - q[o.output])
                for o in operators) for p, q in zip(above, below)]


def reached(profile: Profile, source: int, ends: Sequence[int],
            from_below: bool = False) -> list[list[int]]:
    """
    Rows of every tensor, counted from one end, that are there before and after each band.

    :param ends: as for `resumed`.
    """
    graph = profile.graph
    rows = [t.rows for t in graph.tensors]
    least = profile.least_rows or [1] * len(graph.operators)
    operators = graph.rest([source])
    there = [[0] * len(rows)]
    for end in ends[1:]:
        now = list(there[-1])
        now[source] = rows[source] - end if from_below else end
        for o in operators:
            most = min((_computable(need, now[i], rows[i], rows[o.output], from_below)
                        for i, need in zip(o.inputs, o.needs)), default=rows[o.output])
            if most == rows[o.output] or most - now[o.output] >= least[o.id]:
                now[o.output] = most
        there.append(now)
    return there


def _computable(need, held: int, input_rows: int, rows: int, from_below: bool) -> int:
    """How many rows of an output, from one end, need only `held` rows of the input from there."""
    if from_below:
        return rows - bisect_left(need.first, input_rows - held)
    return bisect_right(need.last, held)

"""
What rows of a graph have to do with each other at the least, for bounds: over all rows at once.
"""

from functools import lru_cache

import numpy as np

from intradp_ros.model.graph import Graph, Need


def device_costs(graph: Graph, row_seconds: np.ndarray) -> list[float]:
    """
    Least seconds in which a device can have any one row of each operator, by id.

    :param row_seconds: least seconds of a row of each operator.
    """
    needs = _arrays(graph)
    costs = []
    for target in graph.operators:
        seconds = np.zeros(graph.tensors[target.output].rows)
        for o, (low, high) in _spans(graph, needs, target.id).items():
            seconds += row_seconds[o] * np.maximum(high - low, 0)
        costs.append(float(seconds.min()))
    return costs


def receptive_fields(graph: Graph, target: int) -> dict[int, tuple[float, float]]:
    """
    Bound what rows of an operator need of those before it, by their ids: (least, slope).

    A share y > 0 of the target's rows needs at least least + slope y of operator p's rows. The
    least share that m rows need is that of a run; `least` continues the line from one row to all
    rows down to none, and the slope is the least that keeps the line below every m.
    """
    rows = graph.tensors[graph.operators[target].output].rows
    runs = np.arange(1, rows + 1)
    lines = {}
    for p, (low, high) in _spans(graph, _arrays(graph), target).items():
        if p == target:
            continue
        of = graph.tensors[graph.operators[p].output].rows
        widest = np.maximum(high - low, 0)
        needed = np.array([max(widest.min(), (high[m - 1:] - low[:rows - m + 1]).min())
                           for m in runs]) / of
        least = needed[0] - (1 - needed[0]) / (rows - 1) if rows > 1 else needed[0]
        least = max(0.0, float(least))
        slope = float(((needed - least) / (runs / rows)).min())
        lines[p] = (least, slope) if slope > 0 else (float(needed.min()), 0.0)
    return lines


def _spans(graph: Graph, needs: list, target: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Rows [low, high) of each operator before the target that each of the target's rows needs."""
    rows = graph.tensors[graph.operators[target].output].rows
    spans = {graph.operators[target].output: (np.arange(rows), np.arange(1, rows + 1))}
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for o in reversed(graph.operators[:target + 1]):
        if o.output not in spans:
            continue
        low, high = found[o.id] = spans[o.output]
        for i, (first, last) in zip(o.inputs, needs[o.id]):
            p, q = first[np.minimum(low, len(first) - 1)], last[high - 1]
            # Rows that are not needed, or that read borders only, need nothing.
            empty = (high <= low) | (q <= p)
            p, q = np.where(empty, graph.tensors[i].rows, p), np.where(empty, 0, q)
            if i in spans:
                p, q = np.minimum(spans[i][0], p), np.maximum(spans[i][1], q)
            spans[i] = p, q
    return found


def edge_tails(graph: Graph, row_seconds: np.ndarray) -> list[float]:
    """
    Least edge seconds of all that depends on any one row of each tensor, by id.

    :param row_seconds: least seconds of a row of each operator.
    """
    needs = _arrays(graph)
    after: dict[int, list] = {}
    for o in graph.operators:
        for number, i in enumerate(o.inputs):
            after.setdefault(i, []).append((o, number))
    tails = []
    for tensor in graph.tensors:
        spans: dict[int, tuple[np.ndarray, np.ndarray]] = {
            tensor.id: (np.arange(tensor.rows), np.arange(1, tensor.rows + 1))}
        seconds = np.zeros(tensor.rows)
        first_user = min((o.id for o, _ in after.get(tensor.id, ())), default=None)
        for o in graph.operators[first_user:] if first_user is not None else ():
            low = high = None
            for i, (first, last) in zip(o.inputs, needs[o.id]):
                if i not in spans:
                    continue
                p = np.searchsorted(last, spans[i][0], side='right')
                q = np.searchsorted(first, spans[i][1], side='left')
                # A row that nothing depends on any more stays so.
                dead = spans[i][1] <= spans[i][0]
                p, q = np.where(dead, len(first), p), np.where(dead, 0, q)
                low = p if low is None else np.minimum(low, p)
                high = q if high is None else np.maximum(high, q)
            if low is not None and high is not None:
                spans[o.output] = low, high
                seconds += row_seconds[o.id] * np.maximum(high - low, 0)
        tails.append(float(seconds.min()))
    return tails


def used_shares(graph: Graph) -> list[float]:
    """Share of each operator's rows that an output depends on, by id."""
    used: dict[int, np.ndarray] = {t: np.ones(graph.tensors[t].rows, bool) for t in graph.outputs}
    for o in reversed(graph.operators):
        wanted = used.get(o.output, np.zeros(graph.tensors[o.output].rows, bool))
        for i, need in zip(o.inputs, o.needs):
            edges = np.zeros(graph.tensors[i].rows + 1, int)
            np.add.at(edges, np.array(need.first)[wanted], 1)
            np.add.at(edges, np.maximum(need.first, need.last)[wanted], -1)
            rows = edges[:-1].cumsum() > 0
            used[i] = used[i] | rows if i in used else rows
    return [float(used[o.output].mean()) if o.output in used else 0.0 for o in graph.operators]


def least_ratio(need: Need, input_rows: int) -> float:
    """Least share of the input's rows that a share of the output's rows needs, over that share."""
    return _least_ratio(need.first, need.last, input_rows)


@lru_cache(maxsize=4096)
def _least_ratio(first: tuple[int, ...], last: tuple[int, ...], input_rows: int) -> float:
    low, high = np.array(first), np.array(last)
    rows = len(low)
    # Rows that output row r needs and rows before it did not: with gaps between windows (stride
    # above kernel size) the rows in between are not needed.
    new = np.maximum(0, high[1:] - np.maximum(low[1:], np.maximum.accumulate(high)[:-1]))
    total = np.concatenate([[0], np.cumsum(new)])
    begin, end = np.triu_indices(rows)
    needed = np.maximum(0, high - low)[begin] + total[end] - total[begin]
    return float((needed / input_rows / ((end - begin + 1) / rows)).min())


def _arrays(graph: Graph) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    return [[(np.array(n.first), np.array(n.last)) for n in o.needs] for o in graph.operators]

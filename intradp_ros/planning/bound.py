"""
The least latency that any schedule could have: linear programs (HiGHS, through scipy).

What counts as an exact schedule: both sides compute rows of operators, each row from all the rows
that it needs; rows of any tensors travel up, only detections travel down; a row may be computed on
both sides; bands may be of any size and sent in any order. Every plan of this package that is
marked exact is one.

**The program.** Of operator o the device computes the share a_o of the rows and the edge the share
b_o; of tensor t the share u_t is sent up. For any exact schedule that ends at T:

1. *Work.* Rows of o cost the device at least rows x the least cost of a row at any band height, so
   sum a_o d_o <= T on the device, sum b_o v_o <= T on the edge, sum u_t s_t / B <= T on the link:
   each is one resource that does one thing at a time. Codec time counts with the bytes it is for.
2. *Dependence.* If a set of rows with share f of operator c is computed, at least phi f of the
   rows of its input t are needed, phi being the least such ratio over all sets of rows. (A set of
   rows is a union of runs. Fill a gap between two runs that share input rows: the set grows and
   what it needs does not, so the least ratio is reached by a single run, and runs are enumerated.)
   On the device they have been computed: a_p >= phi a_c; on the edge computed or received: b_p +
   u_t >= phi b_c, u_t <= a_p.
3. *Completeness.* All rows of the outputs are computed by one of them, and so is every row that
   they depend on: a_o + b_o >= the share of o's rows that is used at all.
4. *Ends.* Pre- and postprocessing precede and follow everything. If the edge computes any row of
   an output, something travelled up and detections down: a round trip and their bytes more.

Shares of a schedule fulfil all of these, so the program's optimum is no larger than its T.

**What makes it exact and not fluid.** A single row deep in the network needs a receptive field, up
to the whole image, which shares cannot express. Let cost(o) be the least time in which the device
can have any one row of o. A schedule that ends at T computes no row of an o with cost(o) > T on
the device, so a_o = 0 there. The rows of the edge that depend on the last thing to arrive, of
whatever tensor t the device can have by T, are computed after it arrived: link (and device, when
it computes no output) have been busy before, so T loses tail(t) = the least, over rows of t, of
the edge time of all that depends on the row. Both only relax as T grows. So with thresholds
theta_0 < theta_1 < ... (the values of cost) and LP_j the optimum when everything up to theta_j is
allowed, T >= min over j of max(theta_j, LP_j); theta ascends and LP_j descends, so a bisection
finds it.

**Outputs.** Detections are made of all outputs together (non-maximum suppression), so here the
outputs are computed on one side: all on the device, which is local inference, or all on the edge,
where a_output = 0. With `shared_outputs` each side may compute some of their rows, as a schedule
could that joins candidates of both sides. The device then needs those rows' receptive field of
every operator before: a_p >= h + k a_output with h > 0 (`receptive_fields`), and the program is
also solved for every output as the costliest one that the device has rows of. At the image's
border half the receptive field is enough: a row of RetinaNet's outputs at 640x480 needs about 70 %
of the rows, not all, so this bound is the lower one for large images.

With a limited halo that last part falls away, and rows may travel down as well: `limited_halo`.
"""

from bisect import bisect_left
from functools import lru_cache

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import Graph, Need
from intradp_ros.planning.link import Link
from intradp_ros.planning.plan import Setup


def exact(setup: Setup, link: Link, shared_outputs: bool = False) -> float:
    """
    Seconds that no exact schedule can beat; for many links make one `Limits`.

    :param shared_outputs: whether the two sides may each compute a part of the outputs.
    """
    return Limits(setup).exact(link, shared_outputs)


def limited_halo(setup: Setup, link: Link) -> float:
    """Seconds that no schedule can beat that computes every row once, whatever its halo."""
    return Limits(setup).limited_halo(link)


class Limits:
    """The bounds of one setup: what does not depend on the link is computed once."""

    def __init__(self, setup: Setup):
        self.setup = setup
        graph, device, edge = setup.graph, setup.device, setup.edge
        rows = [graph.tensors[o.output].rows for o in graph.operators]
        self.device = np.array([s.least_per_row * r for s, r in zip(device.seconds, rows)])
        self.edge = np.array([s.least_per_row * r for s, r in zip(edge.seconds, rows)])
        self.costs = device_costs(graph, self.device / rows)
        self.fields = {o.id: receptive_fields(graph, o.id) for o in graph.operators
                       if o.output in graph.outputs}
        self.tails = edge_tails(graph, self.edge / rows)
        self.thresholds = sorted({0.0, *self.costs})
        self.used = used_shares(graph)

    @property
    def local(self) -> float:
        """Least seconds of the whole model on the device."""
        used = float((self.device * self.used).sum())
        return self.setup.device.before + used + self.setup.device.after

    def exact(self, link: Link, shared_outputs: bool = False) -> float:
        """Seconds that no exact schedule can beat (parameters as of the function)."""
        _check(link)
        found: dict[int, float] = {}

        def value(j: int) -> float:
            if j not in found:
                threshold = self.thresholds[j]
                outputs = [o for o in self.fields if self.costs[o] <= threshold]
                # One of those that cost the same will do: the others are allowed with it.
                least = {self.costs[o]: o for o in outputs} if shared_outputs else {}
                found[j] = min(self._solve(link, threshold, o)
                               for o in (None, *least.values()))
            return found[j]

        last = len(self.thresholds) - 1
        # The first interval whose program stays below the interval's end.
        j = bisect_left(range(last), True, key=lambda j: value(j) <= self.thresholds[j + 1])
        split = min(max(self.thresholds[k], value(k)) for k in range(max(0, j - 1), j + 1))
        return min(self.local, split)

    def limited_halo(self, link: Link) -> float:
        """Seconds that no schedule can beat that computes every row once, whatever its halo."""
        _check(link)
        return min(self.local, self._solve(link, None, None))

    def _solve(self, link: Link, threshold: float | None, costliest: int | None) -> float:
        """
        Solve the program for schedules in which the edge computes part of an output.

        :param threshold: seconds in which the device must be able to have a row; None for no
            such limit, and rows that may travel down.
        :param costliest: the operator, of those that make outputs, that the device has rows of
            and that costs it most; None when it has rows of no output.
        """
        setup, graph = self.setup, self.setup.graph
        exactly = threshold is not None
        allowed = np.array(self.costs) <= (np.inf if threshold is None else threshold)
        if exactly:
            limit = -1.0 if costliest is None else self.costs[costliest]
            allowed[[o for o in self.fields if self.costs[o] > limit]] = False
        count, tensors = len(graph.operators), len(graph.tensors)
        a, b, u, d = 0, count, 2 * count, 2 * count + tensors
        size = d + tensors + 1
        producer = {o.output: o.id for o in graph.operators}
        lines: list[dict[int, float]] = []  # each is sum of coefficient * variable <= limit
        limits: list[float] = []

        def at_most(line: dict[int, float], limit: float) -> None:
            lines.append(line)
            limits.append(limit)

        for o in graph.operators:
            for i, need in zip(o.inputs, o.needs):
                phi = least_ratio(need, graph.tensors[i].rows)
                p = producer.get(i)
                at_most({b + o.id: phi, u + i: -1.0, **({} if p is None else {b + p: -1.0})}, 0.0)
                if p is not None:
                    at_most({a + o.id: phi, a + p: -1.0, d + i: -1.0}, 0.0)
                    at_most({u + i: 1.0, a + p: -1.0}, 0.0)
                    at_most({d + i: 1.0, b + p: -1.0}, 0.0)
        for o, share in enumerate(self.used):
            at_most({a + o: -1.0, b + o: -1.0}, -share)
        if costliest is not None:
            for p, (least, slope) in self.fields[costliest].items():
                at_most({a + costliest: slope, a + p: -1.0}, -least)
        per_byte = link.overhead / link.bandwidth + link.message_seconds / link.message_bytes
        answer = setup.edge.after + link.round_trip + setup.device.result_bytes * link.overhead / (
            link.down or link.bandwidth)
        tail = min((self.tails[t] for t in self._sendable(allowed)), default=0.0) \
            if exactly else 0.0
        code = setup.encoding.encode * setup.input_elements
        decode = setup.encoding.decode * setup.input_elements
        before, end = setup.device.before, size - 1
        no_output = exactly and costliest is None
        at_most({**{a + o: float(s) for o, s in enumerate(self.device)}, u + graph.input: code,
                 end: -1.0}, -before - (answer + tail if no_output else 0.0))
        at_most({**{u + t: setup.tensor_bytes(t) * per_byte for t in range(tensors)}, end: -1.0},
                -before - answer - tail)
        at_most({**{b + o: float(s) for o, s in enumerate(self.edge)}, u + graph.input: decode,
                 end: -1.0}, -before - answer)
        down = (link.overhead / (link.down or link.bandwidth))
        at_most({**{d + t: setup.tensor_bytes(t) * down for t in range(tensors)}, end: -1.0}, 0.0)
        upper = np.ones(size)
        upper[end] = np.inf
        upper[a:a + count] = allowed
        if exactly:
            upper[d:d + tensors] = 0.0
        entries = [(row, column, value) for row, line in enumerate(lines)
                   for column, value in line.items()]
        matrix = coo_array(([e[2] for e in entries], ([e[0] for e in entries],
                                                      [e[1] for e in entries])),
                           shape=(len(lines), size)).tocsr()
        cost = np.zeros(size)
        cost[end] = 1.0
        solved = linprog(cost, A_ub=matrix, b_ub=limits,
                         bounds=np.column_stack([np.zeros(size), upper]), method='highs')
        if not solved.success:
            raise ParameterError(f'the bound of {setup.device.model} has no solution: '
                                 f'{solved.message}')
        return float(solved.fun)

    def _sendable(self, allowed: np.ndarray) -> list[int]:
        """Tensors that the device can have, and that something follows."""
        graph = self.setup.graph
        used = {i for o in graph.operators for i in o.inputs}
        return [t for t in (graph.input, *(o.output for o in graph.operators if allowed[o.id]))
                if t in used]


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


def _check(link: Link) -> None:
    if link.steps:
        raise ParameterError('a bound needs a link of constant bandwidth, not a trace')



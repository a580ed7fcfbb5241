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

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from intradp_ros.errors import ParameterError
from intradp_ros.planning.geometry import (
    device_costs,
    edge_tails,
    least_ratio,
    receptive_fields,
    used_shares,
)
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
        at_most({**{u + t: setup.tensor_bytes(t) * link.per_byte for t in range(tensors)},
                 end: -1.0}, -before - answer - tail)
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


def _check(link: Link) -> None:
    if link.steps:
        raise ParameterError('a bound needs a link of constant bandwidth, not a trace')



"""
Shares as published: each operator has one share, and slices cross wherever shares differ.

Share x of an operator: the device computes the upper x of its output's rows, the edge the others.
Where the share falls from a tensor's producer to its consumers the difference slice goes up, where
it rises the slice comes down (Intra-DP, arXiv 2507.05829, "local operator parallelism"). No rows
are added for kernels that reach over a slice's edge, so with a share between 0 and 1 the result
is not the whole model's; `recompute` is the variant that is exact.
"""

from collections.abc import Sequence

from intradp_ros.model.graph import Graph
from intradp_ros.planning.plan import Setup
from intradp_ros.planning.timeline import Task
from intradp_ros.planning.ways import answer


def tied(graph: Graph) -> list[int]:
    """
    Number the groups of operators that must have one share: those that read the same tensor.

    :returns: for each operator, by id, the least id of its group.
    """
    group = list(range(len(graph.operators)))

    def root(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    reader: dict[int, int] = {}
    for operator in graph.operators:
        for tensor in operator.inputs:
            a, b = sorted((root(operator.id), root(reader.setdefault(tensor, operator.id))))
            group[b] = a
    return [root(i) for i in range(len(group))]


def divisible(graph: Graph, groups: Sequence[int]) -> list[bool]:
    """Whether each operator may have a share between 0 and 1: nothing in its group is global."""
    whole = {group for o, group in zip(graph.operators, groups)
             if not o.is_local or graph.tensors[o.output].layout.dim is None}
    return [group not in whole for group in groups]


def permitted(shares: Sequence[float], can_divide: Sequence[bool]) -> list[float]:
    """Take shares of operators that cannot be divided as 0, or as 1 where the share is 1."""
    return [x if can or x == 1 else 0.0 for x, can in zip(shares, can_divide)]


def device_rows(graph: Graph, tensor: int, share: float) -> int:
    """Rows of a tensor that a consumer of that share needs on the device, from the top."""
    meta = graph.tensors[tensor]
    return int(share > 0) if meta.layout.dim is None else round(share * meta.rows)


def edge_rows(graph: Graph, tensor: int, share: float) -> int:
    """Rows of a tensor that a consumer of that share needs on the edge, from the bottom."""
    meta = graph.tensors[tensor]
    return int(share < 1) if meta.layout.dim is None else meta.rows - round(share * meta.rows)


class Costs:
    """Seconds of every operator on both sides at a share, computed once for each share."""

    def __init__(self, setup: Setup):
        self.setup = setup
        self._of: dict[tuple[int, float], tuple[float, float]] = {}

    def __call__(self, operator: int, share: float) -> tuple[float, float]:
        """Seconds on the device and on the edge."""
        key = operator, share
        if key not in self._of:
            setup, it = self.setup, self.setup.graph.operators[operator]
            self._of[key] = (
                setup.device.band(it, device_rows(setup.graph, it.output, share)),
                setup.edge.band(it, edge_rows(setup.graph, it.output, share)))
        return self._of[key]


def slices(setup: Setup, shares: Sequence[float]) -> tuple[dict[int, float], dict[int, float]]:
    """
    Find what crosses: bytes up and bytes down of each tensor whose producer and consumers differ.

    The device wants the result: what it lacks of the outputs comes down, unless they are all the
    edge's, which then postprocesses.
    """
    graph = setup.graph
    made = {graph.input: 1.0} | {o.output: shares[o.id] for o in graph.operators}
    readers = {(t, shares[o.id]) for o in graph.operators for t in o.inputs}
    if not answered_by_edge(graph, shares):
        readers |= {(t, 1.0) for t in graph.outputs}
    up: dict[int, float] = {}
    down: dict[int, float] = {}
    for tensor, x in readers:
        rows, has = graph.tensors[tensor].rows, device_rows(graph, tensor, made[tensor])
        size = setup.tensor_bytes(tensor) / rows
        if (lacks := edge_rows(graph, tensor, x) - (rows - has)) > 0:
            up[tensor] = max(up.get(tensor, 0.0), size * lacks)
        if (lacks := device_rows(graph, tensor, x) - has) > 0:
            down[tensor] = max(down.get(tensor, 0.0), size * lacks)
    return up, down


def answered_by_edge(graph: Graph, shares: Sequence[float]) -> bool:
    """Whether the edge postprocesses: it does when the device has no part in any output."""
    return all(shares[o.id] == 0 for o in graph.operators if o.output in graph.outputs)


def schedule(setup: Setup, shares: Sequence[float], costs: Costs | None = None
             ) -> tuple[list[Task], tuple[int, ...]]:
    """
    Make the tasks of a frame in which operator i has share `shares[i]` (as `permitted` says).

    Each side computes in the order of the model; neighbours with equal shares are one task unless
    a slice leaves or arrives between them. A slice is one message, sent when it is complete.
    """
    graph, costs = setup.graph, costs or Costs(setup)
    up, down = slices(setup, shares)
    tasks = [Task('device', setup.device.before, label='preprocess')]
    device, edge = 0, -1  # the last task of each side
    sent: dict[int, tuple[int, int]] = {}

    def add(task: Task) -> int:
        tasks.append(task)
        return len(tasks) - 1

    def send(tensor: int) -> None:
        name, found = graph.tensors[tensor].name, [-1, -1]
        if tensor in up:
            after = device
            if tensor == graph.input and setup.encoding.encode:
                share = up[tensor] / setup.input_bytes
                after = add(Task('device', setup.encoding.encode * setup.input_elements * share,
                                 after=(0,), label='encode'))
            found[0] = add(Task('uplink', size=up[tensor], after=(after,), label=name))
        if tensor in down:
            found[1] = add(Task('downlink', size=down[tensor], after=(edge,), label=name))
        sent[tensor] = found[0], found[1]

    def compute(run: Sequence[int]) -> tuple[int, int]:
        name, x = graph.operators[run[-1]].name, shares[run[0]]
        seconds = [costs(i, x) for i in run]
        inputs = sorted({t for i in run for t in graph.operators[i].inputs if t in sent})
        on_device, on_edge = device, edge
        if x > 0:
            after = {device, *(sent[t][1] for t in inputs)} - {-1}
            on_device = add(Task('device', sum(s for s, _ in seconds), after=tuple(after),
                                 label=name))
        if x < 1:
            after = {edge, *(sent[t][0] for t in inputs)} - {-1}
            decode = setup.encoding.decode * setup.input_elements \
                * up[graph.input] / setup.input_bytes if graph.input in inputs else 0.0
            on_edge = add(Task('edge', decode + sum(s for _, s in seconds), after=tuple(after),
                               label=name))
        return on_device, on_edge

    crossing = up.keys() | down.keys()
    if graph.input in crossing:
        send(graph.input)
    run: list[int] = []
    for operator in graph.operators:
        if run and (shares[operator.id] != shares[run[0]]
                    or crossing.intersection(operator.inputs)):
            device, edge = compute(run)
            run = []
        run.append(operator.id)
        if operator.output in crossing:
            device, edge = compute(run)
            run = []
            send(operator.output)
    if run:
        device, edge = compute(run)
    if answered_by_edge(graph, shares):
        return tasks, answer(setup, tasks, (edge,))
    after = {device, *(sent[t][1] for t in graph.outputs if t in sent)} - {-1}
    return tasks, (add(Task('device', setup.device.after, after=tuple(after),
                            label='postprocess')),)

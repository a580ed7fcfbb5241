"""
Shares without error: each side computes the rows that its share really needs.

The operators are cut into segments, each with a share: the device's upper part of the tensors that
leave the segment. Kernels reach over the edge of a share; the rows there (the halo) are computed
by both sides. What the edge needs of an earlier segment's rows and does not compute, the device
sends up; nothing but the result comes down. With a limit on the halo the bands are inexact, as if
the image ended where the halo does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from intradp_ros.model.graph import Graph
from intradp_ros.planning.plan import Setup
from intradp_ros.planning.shares import device_rows
from intradp_ros.planning.timeline import Task
from intradp_ros.planning.ways import answer


@dataclass(frozen=True)
class Work:
    """
    Who computes which rows of each tensor, by id, and what crosses.

    The device computes rows [0, device[t]), the edge [edge[t], rows); the edge is sent rows
    [a, b) = slices[t]. Where device[t] > edge[t] both compute the rows between. Of the input,
    which the camera makes, the device reads rows [0, device[t]) and the edge computes none.
    """

    device: tuple[int, ...]
    edge: tuple[int, ...]
    slices: dict[int, tuple[int, int]]


def work(graph: Graph, segment: Sequence[int], shares: Sequence[float],
         halo: int | None = None) -> Work:
    """
    Find the rows that each side has to compute.

    :param segment: number of the segment of each operator, by id; ascends along every path.
    :param shares: the device's share of each segment. The outputs are the edge's, so the last
        segment's is 0 in every sensible plan.
    :param halo: most rows of the input, or what corresponds to them, that a side computes beyond
        its share; None for as many as it takes.
    """
    height = graph.tensors[graph.input].rows
    count = len(graph.tensors)
    made_in = [-1] * count
    for o in graph.operators:
        made_in[o.output] = segment[o.id]
    rows = [t.rows for t in graph.tensors]
    device, edge = [0] * count, list(rows)
    own, later = list(rows), list(rows)  # first rows that the edge needs, by where they are needed
    for tensor in graph.outputs:
        later[tensor] = 0
    slices = {}

    def settle(tensor: int, share: float) -> None:
        # The device's part of what leaves the segment is sent; the edge computes from there on.
        given = rows[tensor] if share == 1 else device_rows(graph, tensor, share)
        edge[tensor] = min(own[tensor], max(later[tensor], given))
        if later[tensor] < edge[tensor]:
            slices[tensor] = later[tensor], edge[tensor]
            if tensor != graph.input:
                device[tensor] = max(device[tensor], edge[tensor])

    for o in reversed(graph.operators):
        share = shares[segment[o.id]]
        settle(o.output, share)
        for i, need in zip(o.inputs, o.needs):
            if device[o.output]:
                end = need.last[device[o.output] - 1]
                if halo is not None and share < 1 and graph.tensors[i].layout.dim is not None:
                    # Whole rows, whatever the last bit of the share.
                    end = min(end, ceil((share + halo / height) * rows[i] - 1e-6))
                device[i] = max(device[i], end)
            if edge[o.output] < rows[o.output]:
                begin = need.first[edge[o.output]]
                if halo is not None and share > 0 and graph.tensors[i].layout.dim is not None:
                    begin = max(begin, floor((share - halo / height) * rows[i] + 1e-6))
                first = own if made_in[i] == segment[o.id] else later
                first[i] = min(first[i], begin)
    settle(graph.input, 1.0)
    return Work(tuple(device), tuple(edge), slices)


def schedule(setup: Setup, segment: Sequence[int], work: Work
             ) -> tuple[list[Task], tuple[int, ...]]:
    """
    Make the tasks of a frame: one of each side for each segment, one message for each slice.
    """
    graph = setup.graph
    segments = max(segment, default=0) + 1
    device, edge = [0.0] * segments, [0.0] * segments
    first_read = {t: segments for t in work.slices}  # the first segment of the edge that waits
    made_in = {o.output: segment[o.id] for o in graph.operators}
    leaves: dict[int, list[int]] = {}
    for o in graph.operators:
        rows, place = graph.tensors[o.output].rows, segment[o.id]
        device[place] += setup.device.band(o, work.device[o.output])
        edge[place] += setup.edge.band(o, rows - work.edge[o.output])
        if o.output in work.slices:
            leaves.setdefault(place, []).append(o.output)
        if work.edge[o.output] < rows:
            for i in o.inputs:
                if i in work.slices and made_in.get(i, -1) != place:
                    first_read[i] = min(first_read[i], place)
    tasks = [Task('device', setup.device.before, label='preprocess')]
    waits: list[list[int]] = [[] for _ in range(segments + 1)]

    def add(task: Task) -> int:
        tasks.append(task)
        return len(tasks) - 1

    def send(tensor: int, after: int) -> None:
        a, b = work.slices[tensor]
        size = setup.tensor_bytes(tensor) * (b - a) / graph.tensors[tensor].rows
        waits[first_read[tensor]].append(add(Task(
            'uplink', size=size, after=(after,), label=graph.tensors[tensor].name)))

    if graph.input in work.slices:
        a, b = work.slices[graph.input]
        elements = setup.input_elements * (b - a) / graph.tensors[graph.input].rows
        encode = setup.encoding.encode * elements
        send(graph.input, add(Task('device', encode, after=(0,), label='encode'))
             if encode else 0)
        edge[first_read[graph.input]] += setup.encoding.decode * elements
    last = 0
    for place in range(segments):
        if device[place]:
            last = add(Task('device', device[place], after=(last,), label=f'segment {place}'))
        for tensor in leaves.get(place, ()):
            send(tensor, last)
    previous: tuple[int, ...] = ()
    for place in range(segments):
        if edge[place] or waits[place]:
            previous = (add(Task('edge', edge[place], after=(*waits[place], *previous),
                                 label=f'segment {place}')),)
    return tasks, answer(setup, tasks, (*waits[segments], *previous))

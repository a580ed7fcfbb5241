"""Computing a frame to its end on the device, in steps that can be broken off."""

from collections.abc import Iterator
from math import prod

from intradp_ros.model.graph import Graph
from intradp_ros.runtime.frontier import Layout
from intradp_ros.tiling.engine import Frame

# About so many steps for a whole model: between two of them somebody else's answer is noticed.
STEPS = 24


def _work(graph: Graph) -> dict[int, int]:
    """Multiply-adds and elements written of each operator."""
    return {o.id: o.macs + prod(graph.tensors[o.output].shape) for o in graph.operators}


def head_share(graph: Graph, merge: int) -> float:
    """Share of the model's work that comes before `merge`, 0 to 1."""
    work = _work(graph)
    return sum(work[o.id] for o in graph.ancestors([merge])) / max(1, sum(work.values()))


def stages(graph: Graph, merge: int, steps: int = STEPS) -> tuple[int, ...]:
    """
    Tensors after `merge` to be computed one after the other, with about equal work in between.

    Work is multiply-adds and elements written. Whole tensors, not bands of the outputs: a band of
    a deep tensor needs most of what comes before it, and would not be a small step.
    """
    work = _work(graph)
    size = max(1, sum(work.values()) // steps)
    found, done = [], 0
    for operator in graph.rest([merge]):
        done += work[operator.id]
        if done >= size:
            found.append(operator.output)
            done = 0
    return tuple(found)


def finish(frame: Frame, layout: Layout | None, tensors: tuple[int, ...]) -> Iterator[None]:
    """
    Compute all outputs of a frame that has its input; stops after every step to be asked again.

    Rows of the merge tensor that are there are not computed again.
    """
    graph = frame.graph
    if layout is not None and layout.merge != graph.input:
        for number in range(layout.count):
            frame.compute(layout.merge, *layout.band(number))
            yield
    for tensor in tensors:
        rows = graph.tensors[tensor].rows
        frame.compute(tensor, 0, rows)
        if tensor not in graph.outputs:
            # Kept from here on only as long as something needs it.
            frame.take(tensor, 0, rows)
        yield
    for tensor in graph.outputs:
        frame.compute(tensor, 0, graph.tensors[tensor].rows)
    yield

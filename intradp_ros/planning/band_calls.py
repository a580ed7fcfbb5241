"""
What a call for a band takes in a frame beyond what it takes call after call, where its kernel and
its rows are in the caches: fitted to frames that are cut in bands.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import torch
from torch import Tensor as T

from intradp_ros.model.graph import Graph, Tensor
from intradp_ros.planning.bands import rows_computed
from intradp_ros.planning.profile import Staircase
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.rows import boundaries
from intradp_ros.tiling.split import candidates

# A cut's tensor is computed in so many bands; and in how many rounds at least and at most.
CUTS, LEAST_ROUNDS, MOST_ROUNDS = (1, 2, 4, 8), 2, 9


def waiting(engine: Engine) -> Callable[[], None]:
    """Give what waits until the engine's device has done all that it was given."""
    return torch.cuda.synchronize if engine.device.type == 'cuda' else lambda: None


def seconds(engine: Engine, pixels: np.ndarray | T, operators: tuple[Staircase, ...],
            budget: float) -> float:
    """
    Seconds that a call for a band takes in a frame beyond what it took alone: fitted (least
    squares) to frames whose first third is computed in bands and whose rest at once, as a device
    node does, in turns with others.
    """
    graph = engine.graph
    tensor = cut_at(graph, operators)
    if tensor is None:
        return 0.0
    sync = waiting(engine)
    cuts = [boundaries(tensor.rows, n) for n in CUTS]

    def timed(ends: Sequence[int]) -> float:
        frame = engine.start(outputs=(), keep=(*graph.outputs, tensor.id))
        frame.feed(graph.input, 0, graph.tensors[graph.input].rows, pixels)
        sync()
        begin = time.perf_counter()
        for a, b in zip(ends, ends[1:]):
            frame.compute(tensor.id, a, b)
        sync()
        spent = time.perf_counter() - begin
        for output in graph.outputs:
            frame.compute(output, 0, graph.tensors[output].rows)
        return spent

    times: list[list[float]] = [[] for _ in cuts]
    begin, rounds = time.perf_counter(), 0
    while rounds <= LEAST_ROUNDS or \
            rounds <= MOST_ROUNDS and time.perf_counter() < begin + budget:
        for ends, found in zip(cuts, times):
            found.append(timed(ends))
        rounds += 1
    seen = [median(found[1:]) for found in times]  # the first round compiles kernels
    calls, alone = zip(*(count(graph, tensor.id, ends, operators) for ends in cuts))
    extra = [(s - seen[0]) - (a - alone[0]) for s, a in zip(seen, alone)]
    return max(0.0, sum(n * e for n, e in zip(calls, extra)) / (sum(n * n for n in calls) or 1))


def cut_at(graph: Graph, seconds: Sequence[Staircase]) -> Tensor | None:
    """
    Find the tensor to split at that comes nearest to a third of the model's time, of those that
    bands are of use for: most of what one needs needs no other.
    """
    whole = [s.seconds[-1] for s in seconds]

    def distance(tensor: Tensor) -> float:
        return abs(sum(whole[o.id] for o in graph.ancestors([tensor.id])) - sum(whole) / 3)

    def cuttable(tensor: Tensor) -> bool:
        halves = boundaries(tensor.rows, 2)
        return tensor.rows >= max(CUTS) and count(graph, tensor.id, halves, seconds)[0] > len(
            graph.ancestors([tensor.id]))
    return min(filter(cuttable, candidates(graph)), key=distance, default=None)


def count(graph: Graph, target: int, ends: Sequence[int], seconds: Sequence[Staircase]
          ) -> tuple[int, float]:
    """Count calls for less than all rows when `target` is computed in bands; and sum up all."""
    rows = [each for band in rows_computed(graph, target, ends) for each in band]
    return (sum(0 < n < graph.tensors[o.output].rows for o, n in rows),
            sum(seconds[o.id](n) for o, n in rows))

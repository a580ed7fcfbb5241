"""
The tile engine: any rows of any tensor of a graph, each row computed once.

An `Engine` holds a graph's weights, prepared once. `start` gives a `Frame`, the state of one
image; several may be in work at once. A frame is fed rows as they come and computes what it can,
or is asked for rows. What to do is planned by `wavefront`; `frame` carries the steps out.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor as T

from intradp_ros.model.graph import Graph, Kernel
from intradp_ros.tiling.frame import Frame
from intradp_ros.tiling.rows import Interval, Rows, as_rows
from intradp_ros.tiling.state import State
from intradp_ros.tiling.wavefront import Planner

# Below about so many multiply-adds (or elements, for operators without) a call costs more than
# its work.
LEAST_MACS = {'cpu': 8_000_000, 'cuda': 200_000_000}
LEAST_ELEMENTS = {'cpu': 50_000, 'cuda': 2_000_000}
# States remembered before the memory of them begins anew (6 to 8 KB each): frames of 16 tiles
# whose timing varies by a fifth need 2400 in 3000 frames.
PLANS_KEPT = 4_000


class Engine:
    """
    A graph ready to run on one device; safe to use from several threads, one frame in one thread.
    """

    def __init__(
        self,
        graph: Graph,
        device: str = 'cpu',
        threads: int | None = None,
        least_rows: Sequence[int] | None = None,
    ):
        """
        Prepare the weights.

        :param threads: torch's thread count, set for the process at the first call; None leaves
            it.
        :param least_rows: least band height for each operator; None for what pays on this device.
        """
        self.graph = graph
        self.device = torch.device(device)
        self.threads = threads
        with torch.no_grad():
            self.kernels: list[Kernel] = [o.kernel(self.device) for o in graph.operators]
        self.planner = Planner(graph, least_rows or least_heights(graph, self.device.type))
        self._lock = threading.Lock()
        self._starts: dict[tuple, State] = {}

    def start(
        self,
        outputs: Iterable[int] | None = None,
        given: Mapping[int, Interval | Rows] | None = None,
        keep: Iterable[int] | None = None,
    ) -> Frame:
        """
        Begin an image.

        :param outputs: tensors to be computed as their rows become computable; default: the
            graph's outputs. With () nothing is computed until it is asked for.
        :param given: rows of tensors that will be fed: they are not computed. `Frame.expect`
            changes it.
        :param keep: tensors that may be asked for later: what they need is kept; default: the
            graph's outputs.
        """
        eager = tuple(self.graph.outputs if outputs is None else outputs)
        kept = tuple(self.graph.outputs if keep is None else keep)
        expected = tuple(sorted((t, as_rows(rows)) for t, rows in (given or {}).items()))
        key = eager, kept, expected
        with self._lock:
            state = self._starts.get(key)
            if state is None or self.planner.states > PLANS_KEPT:
                if self.planner.states > PLANS_KEPT:
                    self._starts.clear()
                    self.planner.states = 0
                state = self._starts[key] = self.planner.start(
                    self._all(eager), self._all(kept), dict(expected)
                )
        if self.threads and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        return Frame(self.graph, self.planner, self.kernels, self.device, state)

    def run(self, pixels: np.ndarray | T) -> tuple[T, ...]:
        """Compute the graph's outputs of a whole image, (H, W, C) or (1, C, H, W)."""
        frame = self.start()
        frame.feed(self.graph.input, 0, self.graph.tensors[self.graph.input].rows, pixels)
        return frame.outputs()

    def _all(self, tensors: Iterable[int]) -> dict[int, Rows]:
        return {t: ((0, self.graph.tensors[t].rows),) for t in tensors}


def least_heights(graph: Graph, device: str) -> list[int]:
    """Least band height of each operator's output for which a call is worth its cost."""
    heights = []
    for operator in graph.operators:
        tensor = graph.tensors[operator.output]
        elements = -(-prod(tensor.shape) // tensor.rows)
        macs = operator.macs // tensor.rows
        needed = min(
            -(-LEAST_ELEMENTS[device] // elements),
            -(-LEAST_MACS[device] // macs) if macs else tensor.rows,
        )
        heights.append(min(tensor.rows, max(1, needed)))
    return heights


def warm_up(engine: Engine, clock: Callable[[], float], runs: int = 3) -> list[float]:
    """Run whole images of zeros through an engine; give the seconds of each."""
    source, times = engine.graph.tensors[engine.graph.input], []
    for _ in range(runs):
        begin = clock()
        engine.run(torch.zeros(source.shape, dtype=source.dtype))
        times.append(clock() - begin)
    return times

"""
What a limited halo does to the result, measured on the engine.

Rows beyond the halo are taken for the image's border: what an operator puts around a whole image
(zeros, or minus infinity for maximum pooling) it then puts around a band. Operators that put
nothing there, such as upsampling, see the last row they have again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import Operator
from intradp_ros.planning import recompute
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.part import padded


@dataclass(frozen=True)
class HaloError:
    """
    Relative errors: norm of the difference over norm of the whole model's.

    `merge` at the tensor that is computed in two bands; `beside` over the one tenth of its rows
    that is nearest to the cut; `outputs` the largest of the model's outputs, which are computed
    from the joined bands.
    """

    merge: float
    beside: float
    outputs: float


def limited_halo_error(engine: Engine, image: np.ndarray | Tensor, merge: int, row: int,
                       halo: int | None) -> HaloError:
    """
    Compute a tensor in two bands that know only so much of each other, and all that follows.

    :param image: (height, width, channels) or (1, channels, height, width).
    :param merge: id of the tensor; everything passes through it, or it is an output.
    :param row: the first of its rows that the second band computes.
    :param halo: rows of the input (and what corresponds to them inside) that each band has beyond
        its share; None for all that it needs.
    :raises ParameterError: when the row leaves a band empty, or when a global operator comes
        before the tensor: that has no bands.
    """
    graph = engine.graph
    tensor = graph.tensors[merge]
    if not 0 < row < tensor.rows:
        raise ParameterError(f'row {row} does not cut {tensor.name}, which has {tensor.rows} rows')
    head = graph.ancestors([merge])
    for operator in head:
        if not operator.is_local:
            raise ParameterError(f'{operator.name} ({operator.kind}) needs all rows, so '
                                 f'{tensor.name} after it has no bands')
    inside = {o.id for o in head}
    # Each band at the share that its tensor is cut at, as the planner has it.
    segment = [int(o.id not in inside) for o in graph.operators]
    work = recompute.work(graph, segment, (row / tensor.rows, 0.0), halo)
    frame = engine.start(outputs=(), keep=(merge,))
    height = graph.tensors[graph.input].rows
    frame.feed(graph.input, 0, height, image)
    pixels = frame.peek(graph.input, 0, height)
    frame.compute(merge, 0, tensor.rows)
    whole = frame.peek(merge, 0, tensor.rows)
    upper = _band(engine, head, pixels, merge, [(0, end) for end in work.device])
    begins = [*work.edge]
    begins[graph.input] = work.slices[graph.input][0]
    lower = _band(engine, head, pixels, merge,
                  [(begin, t.rows) for begin, t in zip(begins, graph.tensors)])
    joined = torch.cat([tensor.narrow(upper, 0, row),
                        tensor.narrow(lower, row, tensor.rows, work.edge[merge])],
                       tensor.layout.dim)
    near = max(1, tensor.rows // 20)
    a, b = max(0, row - near), min(tensor.rows, row + near)
    resumed = engine.start(given={merge: (0, tensor.rows)})
    resumed.feed(merge, 0, tensor.rows, joined)
    if merge not in graph.outputs:
        # What does not come after the tensor is not affected by it, but has to be computed.
        resumed.feed(graph.input, 0, height, image)
    return HaloError(
        relative(joined, whole), relative(tensor.narrow(joined, a, b), tensor.narrow(whole, a, b)),
        max(relative(found, true) for found, true in zip(resumed.outputs(), engine.run(image))))


def relative(found: Tensor, true: Tensor) -> float:
    """Norm of the difference over the norm of the true one."""
    return float((found - true).double().norm() / true.double().norm().clamp(min=1e-300))


def _band(engine: Engine, head: Sequence[Operator], pixels: Tensor, merge: int,
          spans: Sequence[tuple[int, int]]) -> Tensor:
    """Compute the given rows of each tensor from one another, and from borders."""
    graph = engine.graph
    held = {graph.input: graph.tensors[graph.input].narrow(pixels, *spans[graph.input])}
    with torch.inference_mode():
        for operator in head:
            a, b = spans[operator.output]
            if a >= b:
                continue
            above, below = operator.borders(a, b) if operator.borders else (0, 0)
            bands = []
            for number, (i, need) in enumerate(zip(operator.inputs, operator.needs)):
                p, q = need.of(a, b)
                begin, end = spans[i]
                meta = graph.tensors[i]
                kept = meta.narrow(held[i], max(p, begin), min(q, end), begin)
                top, bottom = max(0, begin - p), max(0, q - end)
                if number == 0:
                    top, bottom = top + above, bottom + below
                value = operator.fill_value if operator.borders else None
                bands.append(padded(meta, kept, top, bottom, value))
            held[operator.output] = engine.kernels[operator.id](bands, a, b)
    return held[merge]

"""
An image divided in two: each side computes its part of every tensor, from input to outputs.

What a part needs beyond its share is its halo; here it is limited, and rows beyond it are taken
for the image's border: what an operator puts around a whole image it then puts around the part,
and operators that put nothing there see the last row that they have again. So the result is
inexact beside the cut unless the halo is as large as the receptive field (planning/limited_halo
measures how much). A part is a graph of its own, of fewer rows and with the same weights, and
everything that runs a graph runs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor as T

from intradp_ros.errors import ParameterError
from intradp_ros.model.graph import Graph, Kernel, Need, Operator, Tensor
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.frame import Frame
from intradp_ros.tiling.rows import Interval

# By number of the output: its first row, and rows from there on; None where there are none.
OutputRows: TypeAlias = tuple[tuple[int, T] | None, ...]


@dataclass(frozen=True)
class Division:
    """
    Where an image is divided.

    The upper side answers for rows [0, cut) of the input and what corresponds to them in the
    outputs, the lower side for the rest; each sees at most `halo` rows of the input (and what
    corresponds to them inside) beyond the cut.
    """

    cut: int
    halo: int


def check(graph: Graph, division: Division) -> None:
    """
    Refuse what cannot be divided.

    :raises ParameterError: when a side would have no row of any output, or an operator needs all
        rows.
    """
    height = graph.tensors[graph.input].rows
    if not 0 < division.cut < height or division.halo < 0 or any(
            all(a == b for a, b in shares(graph, division, lower).values())
            for lower in (False, True)):
        raise ParameterError(f'an image of {height} rows cannot be divided at row {division.cut} '
                             f'with a halo of {division.halo}: either side needs rows of the '
                             'outputs')
    for operator in graph.operators:
        if not operator.is_local:
            raise ParameterError(f'{operator.name} ({operator.kind}) needs all rows: this model '
                                 'cannot be divided')


def shares(graph: Graph, division: Division, lower: bool) -> dict[int, Interval]:
    """Rows of each output that one side answers for; the two sides' are all of them."""
    height = graph.tensors[graph.input].rows
    found = {}
    for output in graph.outputs:
        rows = graph.tensors[output].rows
        cut = round(division.cut * rows / height)
        found[output] = (cut, rows) if lower else (0, cut)
    return found


def spans(graph: Graph, division: Division, lower: bool) -> dict[int, Interval]:
    """Rows of each tensor that one side computes, the input's included; (0, 0) for none."""
    height = graph.tensors[graph.input].rows
    found = {t.id: (0, 0) for t in graph.tensors}

    def add(tensor: int, a: int, b: int) -> None:
        begin, end = found[tensor]
        found[tensor] = (min(begin, a), max(end, b)) if begin < end else (a, b)

    for output, (a, b) in shares(graph, division, lower).items():
        if a < b:
            add(output, a, b)
    for operator in reversed(graph.operators):
        a, b = found[operator.output]
        for i, need in zip(operator.inputs, operator.needs) if a < b else ():
            p, q = need.of(a, b)
            rows = graph.tensors[i].rows
            # One row at least that the row beside the cut needs: a stride may step over the limit,
            # and there would be nothing to repeat.
            if lower:
                limit = max(0, division.cut - division.halo) * rows // height
                p = min(max(p, limit), max(p, need.last[a] - 1))
            else:
                limit = -(-min(height, division.cut + division.halo) * rows // height)
                q = max(min(q, limit), min(q, need.first[b - 1] + 1))
            if p < q:
                add(i, p, q)
    return found


class Part:
    """
    One side of a divided image, ready to run; safe to use from several threads, as its engine is.

    `begin` and `end` are the rows of the input that it sees.
    """

    def __init__(self, whole: Engine, division: Division, lower: bool):
        """
        Cut the part out of a graph.

        :param whole: runs the whole graph; the part uses its weights.
        :raises ParameterError: when the graph cannot be divided so.
        """
        graph = whole.graph
        check(graph, division)
        self._graph = graph
        self._shares = shares(graph, division, lower)
        self._spans = spans(graph, division, lower)
        self.begin, self.end = self._spans[graph.input]
        self.engine = Engine(_cut_out(whole, self._spans), str(whole.device))

    @property
    def graph(self) -> Graph:
        """The part's graph: tensors have the ids of the whole graph's, rows count from theirs."""
        return self.engine.graph

    def feed(self, frame: Frame, a: int, b: int, pixels: np.ndarray) -> None:
        """
        Give rows [a, b) of the whole input (b - a, W, C) to a frame of the part's engine.

        Rows that the part does not see are left out.
        """
        p, q = max(a, self.begin), min(b, self.end)
        if p < q:
            frame.feed(self.graph.input, p - self.begin, q - self.begin, pixels[p - a:q - a])

    def outputs(self, frame: Frame) -> OutputRows:
        """
        Give the rows of the outputs that the part answers for.

        :raises TileError: when they are not complete.
        """
        found: list[tuple[int, T] | None] = []
        for output in self._graph.outputs:
            (a, b), begin = self._shares[output], self._spans[output][0]
            found.append((a, frame.peek(output, a - begin, b - begin)) if a < b else None)
        return tuple(found)


def join(graph: Graph, upper: OutputRows, lower: OutputRows) -> tuple[T, ...]:
    """Put the outputs of both sides together."""
    return tuple(
        torch.cat([found[1] for found in sides if found], graph.tensors[output].layout.dim)
        for output, *sides in zip(graph.outputs, upper, lower))


def padded(tensor: Tensor, rows: T, above: int, below: int, value: float | None) -> T:
    """Put rows of a value, or (None) the nearest row again and again, around a band."""
    dim, unit = tensor.layout.dim, tensor.layout.unit
    if dim is None or not (above or below):
        return rows

    def fill(count: int, nearest: T) -> T:
        repeats = [1] * rows.dim()
        repeats[dim] = count
        return nearest.repeat(repeats) if value is None else \
            torch.full_like(nearest, value).repeat(repeats)

    last = rows.shape[dim] - unit
    around = torch.cat([fill(above, rows.narrow(dim, 0, unit)), rows,
                        fill(below, rows.narrow(dim, last, unit))], dim)
    if around.dim() == 4:
        return around.contiguous(memory_format=torch.channels_last)
    return around


def _cut_out(whole: Engine, rows: dict[int, Interval]) -> Graph:
    """Make the graph of some rows of each tensor; operators without any are left out."""
    graph = whole.graph
    tensors = [replace(t, shape=t.band_shape(*rows[t.id]),
                       layout=replace(t.layout, rows=rows[t.id][1] - rows[t.id][0]))
               if rows[t.id][0] < rows[t.id][1] else t for t in graph.tensors]
    kept = [o for o in graph.operators if rows[o.output][0] < rows[o.output][1]]
    return Graph(tuple(tensors), tuple(_narrowed(whole, o, number, rows)
                                       for number, o in enumerate(kept)),
                 graph.input, tuple(o for o in graph.outputs if rows[o][0] < rows[o][1]))


def _narrowed(whole: Engine, operator: Operator, number: int,
              rows: dict[int, Interval]) -> Operator:
    """Make the operator of a part: the rows that its inputs lack are put around them."""
    graph, run = whole.graph, whole.kernels[operator.id]
    start, end = rows[operator.output]
    metas = [graph.tensors[i] for i in operator.inputs]
    spans = [rows[i] for i in operator.inputs]
    borders = operator.borders

    def lacking(input_number: int, a: int, b: int) -> Interval:
        """Rows above and below the part that rows [a, b) of the whole output would need."""
        (p, q), (begin, end) = operator.needs[input_number].of(a, b), spans[input_number]
        return min(max(0, begin - p), q - p), min(max(0, q - end), q - p)

    def around(a: int, b: int) -> Interval:
        assert borders is not None
        (above, below), (top, bottom) = borders(start + a, start + b), \
            lacking(0, start + a, start + b)
        return above + top, below + bottom

    # The frame puts what it is told around the first input, if the operator has borders at all.
    first = 0 if borders is None else 1
    value = None if borders is None else operator.fill_value

    def kernel(bands: list[T], a: int, b: int) -> T:
        for n in range(first, len(bands)):
            bands[n] = padded(metas[n], bands[n], *lacking(n, start + a, start + b), value)
        return run(bands, start + a, start + b)

    def prepare(device: torch.device) -> Kernel:
        return kernel

    total = graph.tensors[operator.output].rows
    return replace(
        operator, id=number, kernel=prepare, macs=operator.macs * (end - start) // total,
        needs=tuple(_clipped(need, start, end, span)
                    for need, span in zip(operator.needs, spans)),
        borders=around if borders else None)


def _clipped(need: Need, start: int, end: int, span: Interval) -> Need:
    """Needs of output rows [start, end) among the rows of the input that a part has."""
    begin, stop = span

    def clip(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(min(max(v, begin), stop) - begin for v in values[start:end])
    return Need(clip(need.first), clip(need.last))

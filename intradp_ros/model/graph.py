"""
A captured model: operators in the order of computation, tensors between them, and who needs which
rows.

Everything that splits a model reads this and nothing else. A tensor's *rows* are the bands of one
of its dimensions that descend from the height of the image; an operator says, for every row of
its output, which rows of each input it needs (`Need`). A *local* operator needs a few; a *global*
one needs all.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import torch

from intradp_ros.errors import ModelError, ParameterError

Kernel = Callable[[list[torch.Tensor], int, int], torch.Tensor]
"""(rows of each input that [a, b) needs, a, b) -> rows [a, b) of the output."""


@dataclass(frozen=True)
class Layout:
    """
    Which dimension of a tensor carries rows: `rows` times `unit` entries of dimension `dim`.

    `unit` is above 1 where rows and columns have been flattened to one dimension (a row is then a
    run of `unit` entries). `lines` remembers how many image lines a row holds after windows were
    cut out. A tensor without rows (`dim` None) is only ever there as a whole, as if it had one
    row.
    """

    dim: Any  # int or None; whoever asks for a dimension has checked that there is one
    rows: int = 1
    unit: int = 1
    lines: int = 1


WHOLE = Layout(None)


@dataclass(frozen=True)
class Need:
    """
    Rows of one input that each row of the output needs: [first[r], last[r]) for output row r.

    Both sequences ascend, so rows [a, b) need [first[a], last[b - 1]), and what can be computed
    from given rows is one interval too.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]

    def of(self, a: int, b: int) -> tuple[int, int]:
        """Rows of the input that output rows [a, b) need, a < b."""
        return self.first[a], self.last[b - 1]

    def computable(self, p: int, q: int) -> tuple[int, int]:
        """Output rows [a, b) that need nothing but input rows [p, q)."""
        return bisect_left(self.first, p), bisect_right(self.last, q)

    @cached_property
    def without(self) -> tuple[int, ...]:
        """Output rows that need nothing of this input: they read borders only."""
        return tuple(r for r, (p, q) in enumerate(zip(self.first, self.last)) if p >= q)

    @classmethod
    def same(cls, rows: int) -> 'Need':
        """Row r needs row r."""
        return cls(tuple(range(rows)), tuple(range(1, rows + 1)))

    @classmethod
    def all(cls, rows: int, input_rows: int) -> 'Need':
        """Every row needs all rows."""
        return cls((0,) * rows, (input_rows,) * rows)

    @classmethod
    def windows(cls, rows: int, input_rows: int, size: int, stride: int, before: int) -> 'Need':
        """Row r needs `size` rows from r * stride - before on, as far as the input has them."""
        starts = [r * stride - before for r in range(rows)]
        return cls(
            tuple(min(max(s, 0), input_rows) for s in starts),
            tuple(min(max(s + size, 0), input_rows) for s in starts),
        )


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph; `name` is the dotted name of the module that made it."""

    id: int
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    layout: Layout

    @property
    def rows(self) -> int:
        """Number of rows; 1 when the tensor has none and is only there as a whole."""
        return self.layout.rows

    @property
    def channels(self) -> int:
        """Size of dimension 1."""
        return self.shape[1] if len(self.shape) > 1 else 1

    @property
    def bytes(self) -> int:
        """Bytes of the whole tensor."""
        return prod(self.shape) * self.dtype.itemsize

    def band_shape(self, a: int, b: int) -> tuple[int, ...]:
        """Shape of rows [a, b)."""
        if self.layout.dim is None:
            return self.shape
        shape = list(self.shape)
        shape[self.layout.dim] = (b - a) * self.layout.unit
        return tuple(shape)

    def narrow(self, data: torch.Tensor, a: int, b: int, start: int = 0) -> torch.Tensor:
        """Rows [a, b) of `data`, which begins at row `start` of this tensor: a view."""
        if self.layout.dim is None:
            return data
        unit = self.layout.unit
        return data.narrow(self.layout.dim, (a - start) * unit, (b - a) * unit)


@dataclass(frozen=True)
class Operator:
    """
    One operator: `inputs` and `output` are ids of tensors, `needs` has one entry for each input.

    `kernel(device)` prepares its weights and returns what computes a band. At a cut nothing is
    padded; at the true border `fill` rows (of `fill_value`) may be put around the band, as
    `borders(a, b)` says.
    """

    id: int
    name: str
    kind: str
    inputs: tuple[int, ...]
    output: int
    needs: tuple[Need, ...]
    kernel: Callable[[torch.device], Kernel] = field(repr=False)
    is_local: bool = True
    macs: int = 0
    source: str = ''
    borders: Callable[[int, int], tuple[int, int]] | None = field(default=None, repr=False)
    fill_value: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Graph:
    """
    Operators in an order in which they can run, and the tensors between them.

    `fingerprint` (16 hex digits) hashes the structure and the weights as they were given: two
    sides that have the same one compute the same.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: int
    outputs: tuple[int, ...]
    fingerprint: str = ''
    warnings: tuple[str, ...] = ()

    def tensor(self, key: str | int) -> Tensor:
        """
        Find a tensor by id or by name.

        :raises ParameterError: when there is none; similar names are listed.
        """
        if isinstance(key, int) and 0 <= key < len(self.tensors):
            return self.tensors[key]
        for tensor in self.tensors:
            if tensor.name == key:
                return tensor
        close = [t.name for t in self.tensors if str(key).split('.')[-1] in t.name][:8]
        raise ParameterError(
            f'the graph has no tensor {key!r}; '
            + (
                f'similar: {", ".join(close)}'
                if close
                else f'it has {len(self.tensors)}, from {self.tensors[0].name!r} to '
                f'{self.tensors[-1].name!r}'
            )
        )

    def ancestors(self, targets: Sequence[int], stop: Sequence[int] = ()) -> list[Operator]:
        """
        Operators that the targets need, in order; tensors in `stop` are taken as there already.
        """
        wanted, found = set(targets) - set(stop), []
        for operator in reversed(self.operators):
            if operator.output in wanted:
                found.append(operator)
                wanted.update(set(operator.inputs) - set(stop))
        return found[::-1]

    def rest(self, targets: Sequence[int]) -> list[Operator]:
        """Operators that the targets do not need, in order: all but their `ancestors`."""
        head = {o.id for o in self.ancestors(targets)}
        return [o for o in self.operators if o.id not in head]

    def merge_candidates(self) -> list[Tensor]:
        """
        Tensors through which everything passes, input first: the cuts that one tensor crosses.

        A tensor lies on every path from the input to an output exactly when the paths through it
        (paths to it times paths from it) are all the paths there are. Tensors without rows are
        left out.
        """
        to = [0] * len(self.tensors)
        onward = [0] * len(self.tensors)
        to[self.input] = 1
        for operator in self.operators:
            to[operator.output] = sum(to[i] for i in operator.inputs)
        for output in self.outputs:
            onward[output] += 1
        for operator in reversed(self.operators):
            for i in operator.inputs:
                onward[i] += onward[operator.output]
        total = onward[self.input]
        order = [self.input, *(o.output for o in self.operators)]
        return [
            self.tensors[i]
            for i in order
            if to[i] * onward[i] == total and self.tensors[i].layout.dim is not None
        ]


def rows_needed(
    graph: Graph, target: int, a: int, b: int, source: int | None = None
) -> tuple[int, int]:
    """
    Rows of `source` (default: the input) that rows [a, b) of `target` depend on, halo included.

    :returns: an interval clipped to the source; (0, 0) when none are needed.
    :raises ParameterError: when [a, b) does not lie in the target.
    """
    source = graph.input if source is None else source
    rows = graph.tensors[target].rows
    if not 0 <= a <= b <= rows:
        raise ParameterError(
            f'rows [{a}, {b}) do not lie in {graph.tensors[target].name} (rows [0, {rows}))'
        )
    spans: dict[int, tuple[int, int]] = {target: (a, b)} if a < b else {}
    for operator in reversed(graph.operators):
        span = spans.get(operator.output)
        if span is None or operator.output == source:
            continue
        for i, need in zip(operator.inputs, operator.needs):
            p, q = need.of(*span)
            if p < q:
                low, high = spans.get(i, (p, q))
                spans[i] = min(low, p), max(high, q)
    return spans.get(source, (0, 0))


def check_single_batch(shape: Sequence[int]) -> None:
    """
    Refuse anything but one image.

    :raises ModelError: when `shape` is not (1, C, H, W).
    """
    if len(shape) != 4 or shape[0] != 1:
        raise ModelError(
            f'a graph is captured for one image (1, channels, height, width), '
            f'got shape {tuple(shape)}'
        )

"""
One image in work: rows that the frame holds, and carrying out the steps that `wavefront` plans.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor as T

from intradp_ros.errors import TileError
from intradp_ros.model.graph import Graph, Kernel
from intradp_ros.tiling.rows import Interval, Rows, as_rows, covers, union
from intradp_ros.tiling.state import Run, State
from intradp_ros.tiling.wavefront import Planner, check_rows


class Frame:
    """
    One image in work.

    `bytes` is what its tensors hold now and `peak_bytes` the most they held: live tensors of the
    frame, outputs of the step in progress and its gathered inputs included, the memory inside
    kernels not.
    """

    def __init__(
        self,
        graph: Graph,
        planner: Planner,
        kernels: Sequence[Kernel],
        device: torch.device,
        state: State,
    ):
        self.graph, self.planner, self.kernels, self.device = graph, planner, kernels, device
        self.state = state
        self.slots: dict[int, T] = {}
        self._storages: dict[int, int] = {}
        self.bytes = self.peak_bytes = 0
        self.rows_computed = 0

    def feed(self, tensor: int, a: int, b: int, rows: np.ndarray | T) -> None:
        """
        Give rows [a, b) of a tensor, and compute what is wanted and has become computable.

        :param rows: (1, C, b - a, W) for a tensor of an image's form, or (b - a, W, C) as numpy
            or torch; not copied, so leave it unchanged until the frame is done. Rows that the
            frame has or does not need are ignored.
        :raises TileError: when shape or type do not fit.
        """
        check_rows(self.graph, tensor, a, b)
        data = self._band(tensor, a, b, rows)
        stored, steps, dropped, after = self.planner.feed(self.state, tensor, a, b)
        for p, q, slot in stored:
            self._store(slot, self.graph.tensors[tensor].narrow(data, p, q, a))
        self._carry_out(steps, dropped, after)

    def compute(self, tensor: int, a: int, b: int) -> None:
        """
        Compute rows [a, b) of a tensor, and nothing that they do not need.

        :raises TileError: when rows of the input that they need have not been fed.
        """
        check_rows(self.graph, tensor, a, b)
        _, steps, dropped, after = self.planner.compute(self.state, tensor, a, b)
        self._carry_out(steps, dropped, after)

    def expect(self, tensor: int, rows: Interval | Rows) -> None:
        """
        Change which rows of a tensor are expected to be fed (all that are: the last call counts).

        Rows that are no longer expected are computed as soon as they can be.
        """
        _, steps, dropped, after = self.planner.expect(self.state, tensor, as_rows(rows))
        self._carry_out(steps, dropped, after)

    def want(self, tensor: int, a: int, b: int) -> None:
        """Have rows [a, b) of a tensor computed as soon as they can be, from now on."""
        check_rows(self.graph, tensor, a, b)
        _, steps, dropped, after = self.planner.want(self.state, tensor, a, b)
        self._carry_out(steps, dropped, after)

    def ready(self, tensor: int) -> Rows:
        """Rows of a tensor that the frame holds."""
        return union((c.a, c.b) for c in self.state.held.get(tensor, ()))

    def take(self, tensor: int, a: int, b: int) -> T:
        """
        Hand out rows [a, b) of a tensor; they are freed unless something still needs them.

        :raises TileError: when the frame does not hold them.
        """
        rows = self.peek(tensor, a, b)
        _, steps, dropped, after = self.planner.take(self.state, tensor, a, b)
        self._carry_out(steps, dropped, after)
        return rows

    def peek(self, tensor: int, a: int, b: int) -> T:
        """Rows [a, b) of a tensor, a view where they lie in one piece; errors as for `take`."""
        check_rows(self.graph, tensor, a, b)
        meta = self.graph.tensors[tensor]
        if not covers(self.ready(tensor), a, b):
            raise TileError(
                f'rows [{a}, {b}) of {meta.name} are not there; there are '
                f'{list(self.ready(tensor))}'
            )
        parts = [
            meta.narrow(self.slots[c.slot], max(a, c.a), min(b, c.b), c.a)
            for c in self.state.held[tensor]
            if c.a < b and a < c.b
        ]
        with torch.inference_mode():
            return parts[0] if len(parts) == 1 else torch.cat(parts, meta.layout.dim)

    @property
    def done(self) -> bool:
        """Whether all rows of the graph's outputs are there."""
        return all(self.ready(t) == ((0, self.graph.tensors[t].rows),) for t in self.graph.outputs)

    def outputs(self) -> tuple[T, ...]:
        """
        Give the graph's outputs, equal to what the module would return.

        :raises TileError: when they are not complete.
        """
        return tuple(self.peek(t, 0, self.graph.tensors[t].rows) for t in self.graph.outputs)

    def _band(self, tensor: int, a: int, b: int, rows: np.ndarray | T) -> T:
        meta = self.graph.tensors[tensor]
        data = torch.from_numpy(rows) if isinstance(rows, np.ndarray) else rows
        shape = meta.band_shape(a, b)
        if len(shape) == 4 and data.dim() == 3:
            data = data.permute(2, 0, 1)[None]
        if tuple(data.shape) != shape or data.dtype != meta.dtype:
            raise TileError(
                f'rows [{a}, {b}) of {meta.name} are {meta.dtype} {shape}, got '
                f'{data.dtype} {tuple(data.shape)}'
            )
        if len(shape) == 4 and not data.is_contiguous(memory_format=torch.channels_last):
            data = data.contiguous(memory_format=torch.channels_last)
        return data.to(self.device, non_blocking=True)

    def _store(self, slot: int, data: T) -> None:
        self.slots[slot] = data
        self._hold(data)

    def _carry_out(self, steps: Sequence[Run], dropped: tuple, after: State) -> None:
        with torch.inference_mode():
            self._drop(*dropped)
            for step in steps:
                self._run(step)
        self.state = after

    def _run(self, step: Run) -> None:
        operator, slots = self.graph.operators[step.operator], self.slots
        bands, gathered = [], 0
        for number, pieces in enumerate(step.inputs):
            borders = step.borders if number == 0 else (0, 0)
            if len(pieces) == 1 and borders == (0, 0):
                piece = pieces[0]
                band = slots[piece.slot]
                if not piece.full:
                    meta = self.graph.tensors[operator.inputs[number]]
                    band = meta.narrow(band, piece.a, piece.b)
            else:
                band = self._gather(operator, number, pieces, borders)
                gathered += band.nbytes
            bands.append(band)
        out = self.kernels[step.operator](bands, step.a, step.b)
        self._store(step.slot, out)
        self.rows_computed += step.b - step.a
        if self.bytes + gathered > self.peak_bytes:
            self.peak_bytes = self.bytes + gathered
        if step.free or step.trim:
            self._drop(step.free, step.trim)

    def _gather(self, operator, number: int, pieces, borders: Interval) -> T:
        meta = self.graph.tensors[operator.inputs[number]]
        parts = [meta.narrow(self.slots[p.slot], p.a, p.b) for p in pieces]

        def fill(rows: int) -> list[T]:
            if not rows:
                return []
            return [
                torch.full(
                    meta.band_shape(0, rows),
                    operator.fill_value,
                    dtype=meta.dtype,
                    device=self.device,
                ).contiguous(
                    memory_format=torch.channels_last
                    if len(meta.shape) == 4
                    else torch.contiguous_format
                )
            ]

        parts = [*fill(borders[0]), *parts, *fill(borders[1])]
        if not parts:
            return torch.empty(meta.band_shape(0, 0), dtype=meta.dtype, device=self.device)
        return parts[0] if len(parts) == 1 else torch.cat(parts, meta.layout.dim)

    def _drop(self, free: Sequence[int], trim: Sequence) -> None:
        for slot in free:
            self._release(self.slots.pop(slot))
        for piece in trim:
            data = self.slots[piece.slot]
            self._release(data)
            kept = self.graph.tensors[piece.tensor].narrow(data, piece.a, piece.b).clone()
            self._store(piece.slot, kept)

    def _hold(self, data: T) -> None:
        storage = data.untyped_storage()
        key = storage.data_ptr()
        users = self._storages.get(key, 0)
        self._storages[key] = users + 1
        if not users:
            self.bytes += storage.nbytes()

    def _release(self, data: T) -> None:
        storage = data.untyped_storage()
        key = storage.data_ptr()
        self._storages[key] -= 1
        if not self._storages[key]:
            del self._storages[key]
            self.bytes -= storage.nbytes()

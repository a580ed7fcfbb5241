"""
Resampling along rows: nearest, bilinear and bicubic interpolation, and anything that picks whole
rows.

What each output row reads is not derived from formulas but asked of torch itself: the operator is
separable and linear, so its response to single rows is its row matrix, rounding of scales
included.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor as T

from intradp_ros.model.graph import Kernel, Layout, Need, Tensor
from intradp_ros.model.operators.call import Call, NotLocal, Rule, has_rows, plain


def hull(first: Sequence[int], last: Sequence[int]) -> Need:
    """Widen what rows need until both ends ascend."""
    first, last = list(first), list(last)
    for r in range(len(first) - 2, -1, -1):
        first[r] = min(first[r], first[r + 1])
    for r in range(1, len(last)):
        last[r] = max(last[r], last[r - 1])
    return Need(tuple(first), tuple(last))


def _call(call: Call, x: T, size: tuple[int, int], scales: tuple[Any, Any]) -> T:
    arguments: dict[str, Any] = {'output_size': list(size)}
    if 'align_corners' in call.arguments:
        arguments['align_corners'] = call.arguments['align_corners']
    packet = getattr(torch.ops.aten, call.kind)
    return packet.default(x, **arguments, scales_h=scales[0], scales_w=scales[1])


def row_matrix(call: Call, height: int, rows: int, scale: float | None) -> T:
    """Weight of each of `height` input rows in each of `rows` output rows: (rows, height)."""
    # As channels, not as columns: torch then runs the same code for every row.
    impulses = torch.eye(height).view(1, height, height, 1)
    return _call(call, impulses, (rows, 1), (scale, None))[0, :, :, 0].T


def upsample(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    Rows with a weight in the row matrix.

    An input without rows (a pooled image, as in DeepLab's head) gives an output with rows again.
    """
    (x,) = inputs
    if len(shape) != 4 or has_rows(x) and (x.layout.dim != 2 or x.layout.unit != 1):
        raise NotLocal('rows of the input are not in dimension 2')
    scales = call.get('scale_factors') or (call.get('scales_h'), call.get('scales_w'))
    rows, height = shape[2], x.shape[2]
    matrix = row_matrix(call, height, rows, scales[0])
    used = matrix != 0
    taps = int(used.sum(1).max())
    # Each output row as `taps` input rows with weights; unused taps repeat a row with weight 0.
    order = torch.argsort(used.to(torch.int8), dim=1, descending=True, stable=True)[:, :taps]
    weights = matrix.gather(1, order)
    order = torch.where(weights != 0, order, order[:, :1])
    low, high = order.amin(1).tolist(), (order.amax(1) + 1).tolist()
    need = hull(low, high) if has_rows(x) else Need.all(rows, 1)

    def make(device: torch.device) -> Kernel:
        whole = plain(call)(device)
        place, weight = order.T.contiguous().to(device), weights.T.to(device, x.dtype)
        exact = taps == 1 and bool((weights == 1).all())

        def kernel(bands: list[T], a: int, b: int) -> T:
            band = bands[0]
            if a == 0 and b == rows and band.shape[2] == height:
                return whole(bands, a, b)
            start = need.of(a, b)[0] if has_rows(x) else 0
            wide = _call(call, band, (band.shape[2], shape[3]), (None, scales[1]))
            if exact:
                return wide.index_select(2, place[0, a:b] - start)
            parts = [
                wide.index_select(2, place[tap, a:b] - start).mul_(
                    weight[tap, a:b].view(1, 1, -1, 1)
                )
                for tap in range(taps)
            ]
            for part in parts[1:]:
                parts[0].add_(part)
            return parts[0]

        return kernel

    return Rule(Layout(2, rows), [need], make)


def pick_rows(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Slices, flips, rolls and padding by reflection: output row r is a copy of one input row."""
    (x,) = inputs
    layout = x.layout
    if layout.unit != 1:
        raise NotLocal('rows are flattened with columns')
    index = _source_rows(call, x)
    if index is None:
        # The call leaves rows alone.
        out = Layout(layout.dim, layout.rows, 1, layout.lines)
        return Rule(out, [Need.same(x.rows)], plain(call))
    rows, dim = len(index), layout.dim
    need = hull(index, [i + 1 for i in index])
    columns = _without_rows(call, x)
    step_one = index == list(range(index[0], index[0] + rows)) if rows else False

    def make(device: torch.device) -> Kernel:
        others = plain(columns)(device) if columns else None
        place = torch.tensor(index, device=device)

        def kernel(bands: list[T], a: int, b: int) -> T:
            band = others(bands, a, b) if others else bands[0]
            if step_one:
                return band
            return band.index_select(dim, place[a:b] - need.of(a, b)[0])

        return kernel

    return Rule(Layout(dim, rows), [need], make)


def _source_rows(call: Call, x: Tensor) -> list[int] | None:
    """Ask the operator, on row numbers, where each output row comes from; None: rows unchanged."""
    dim, shape = x.layout.dim, [1] * len(x.shape)
    shape[dim] = x.rows
    only = _only_rows(call, x)
    if only is None:
        return None
    numbers = torch.arange(x.rows, dtype=torch.float32).view(shape)
    out = plain(only)(torch.device('cpu'))([numbers], 0, 0)
    return [int(v) for v in out.flatten()]


def _split_dims(call: Call, x: Tensor) -> tuple[dict | None, dict | None]:
    """Arguments that act on rows only, and those that act on the other dimensions only."""
    dim, count, given = x.layout.dim, len(x.shape), call.arguments
    if call.kind == 'slice':
        on_rows = given.get('dim', 0) % count == dim
        return (given, None) if on_rows else (None, given)
    if call.kind in ('roll', 'flip'):
        dims = [d % count for d in given['dims']]
        if not dims:
            raise NotLocal('acts on the flattened tensor')
        shifts = given.get('shifts', [0] * len(dims))

        def only(keep):
            chosen = [(s, d) for s, d in zip(shifts, dims) if keep(d)]
            if not chosen:
                return None
            extra = {'shifts': [s for s, _ in chosen]} if call.kind == 'roll' else {}
            return {**given, **extra, 'dims': [d for _, d in chosen]}

        return only(lambda d: d == dim), only(lambda d: d != dim)
    raise NotLocal(f'{call.kind} has no rule for its rows')


def _only_rows(call: Call, x: Tensor) -> Call | None:
    arguments = _split_dims(call, x)[0]
    return Call(call.kind, call.target, arguments, [0], 0, call.name) if arguments else None


def _without_rows(call: Call, x: Tensor) -> Call | None:
    arguments = _split_dims(call, x)[1]
    return Call(call.kind, call.target, arguments, [0], 0, call.name) if arguments else None


def pad(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Constant padding: border rows come from the engine, columns and channels from torch."""
    (x,) = inputs
    layout, amounts = x.layout, list(call.get('pad'))
    if call.get('mode', 'constant') != 'constant':
        raise NotLocal(f'padding mode {call.get("mode")}')
    place = 2 * (len(x.shape) - 1 - layout.dim)
    before, after = amounts[place : place + 2] if place < len(amounts) else (0, 0)
    if layout.unit != 1 and (before or after):
        raise NotLocal('rows are flattened with columns')
    if min(before, after) < 0:
        raise NotLocal('padding of rows is negative')
    others = [0 if i in (place, place + 1) else n for i, n in enumerate(amounts)]
    value = float(call.get('value') or 0.0)
    rows = layout.rows + before + after
    need = Need.windows(rows, layout.rows, 1, 1, before)

    def borders(a: int, b: int) -> tuple[int, int]:
        p, q = need.of(a, b)
        top = min(max(before - a, 0), b - a)
        return top, b - a - top - (q - p)

    def make(device: torch.device) -> Kernel:
        if not any(others):
            return lambda bands, a, b: bands[0]
        return lambda bands, a, b: torch.nn.functional.pad(bands[0], others, value=value)

    return Rule(Layout(layout.dim, rows, layout.unit), [need], make, borders, value)

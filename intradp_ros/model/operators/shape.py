"""
Views: reshape, permute, split and select. Rows move to another dimension, or group to windows.
"""

from collections.abc import Sequence
from math import prod

from intradp_ros.model.graph import Kernel, Layout, Need, Tensor
from intradp_ros.model.operators.call import Call, NotLocal, Ref, Rule, plain


def reshape(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    Any reshape for which output rows are runs of input rows.

    In memory order the input is (before, rows, after). The output has rows where what lies before
    one of its dimensions is the same `before`: as many rows (perhaps flattened with what
    follows), fewer (windows of several rows), or more (windows taken apart again).
    """
    (x,) = inputs
    old = x.layout
    before = prod(x.shape[: old.dim])
    for dim, extent in enumerate(shape):
        if prod(shape[:dim]) != before:
            continue
        if extent == old.rows or extent % old.rows == 0 and extent != old.rows * old.lines:
            layout = Layout(dim, old.rows, extent // old.rows, old.lines)
            need = Need.same(old.rows)
        elif extent == old.rows * old.lines:
            layout, lines = Layout(dim, extent), old.lines
            need = Need(
                tuple(r // lines for r in range(extent)),
                tuple(r // lines + 1 for r in range(extent)),
            )
        elif extent > 1 and old.rows % extent == 0:
            lines = old.rows // extent
            layout = Layout(dim, extent, 1, lines)
            need = Need(
                tuple(r * lines for r in range(extent)),
                tuple((r + 1) * lines for r in range(extent)),
            )
        else:
            continue
        return Rule(layout, [need], _reshaped(shape, layout, need, x))
    raise NotLocal(f'rows do not survive the reshape {x.shape} -> {shape}')


def _reshaped(shape: tuple[int, ...], layout: Layout, need: Need, x: Tensor):
    def make(device) -> Kernel:
        per_row = need.last[0] - need.first[0] if layout.rows <= x.rows else 0

        def kernel(bands, a, b):
            size = list(shape)
            if per_row:
                size[layout.dim] = (b - a) * layout.unit
                return bands[0].reshape(size)
            # Windows taken apart: all lines of the windows, then those asked for.
            p, q = need.of(a, b)
            lines = layout.rows // x.rows
            size[layout.dim] = (q - p) * lines
            return bands[0].reshape(size).narrow(layout.dim, a - p * lines, b - a)

        return kernel

    return make


def permute(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Rows go where their dimension goes."""
    (x,) = inputs
    count = len(x.shape)
    if call.kind == 'permute':
        order = [d % count for d in call.get('dims')]
    elif call.kind == 't':
        order = list(range(count))[::-1]
    else:
        order = list(range(count))
        i, j = call.get('dim0') % count, call.get('dim1') % count
        order[i], order[j] = order[j], order[i]
    old = x.layout
    layout = Layout(order.index(old.dim), old.rows, old.unit, old.lines)
    return Rule(layout, [Need.same(old.rows)], plain(call))


def select(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """One entry of a dimension that is not that of the rows."""
    (x,) = inputs
    old, dim = x.layout, call.get('dim', 0) % len(x.shape)
    if dim == old.dim:
        raise NotLocal('one row is selected')
    layout = Layout(old.dim - (dim < old.dim), old.rows, old.unit, old.lines)
    return Rule(layout, [Need.same(old.rows)], plain(call))


def expand(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Repeat dimensions of size 1, none of which carries rows."""
    (x,) = inputs
    old = x.layout
    dim = old.dim + len(shape) - len(x.shape)
    if shape[dim] != x.shape[old.dim]:
        raise NotLocal('rows are repeated')
    layout = Layout(dim, old.rows, old.unit, old.lines)

    def make(device) -> Kernel:
        def kernel(bands, a, b):
            size = list(shape)
            size[dim] = (b - a) * layout.unit
            return bands[0].expand(size)

        return kernel

    return Rule(layout, [Need.same(old.rows)], make)


def split_part(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    One part of a split or chunk: entries [start, start + length) of a dimension without rows.
    """
    (x,) = inputs
    old, dim = x.layout, call.get('dim') % len(x.shape)
    if dim == old.dim:
        raise NotLocal('rows are split')
    start, length = call.get('start'), call.get('length')
    return Rule(
        old,
        [Need.same(old.rows)],
        lambda device: lambda bands, a, b: bands[0].narrow(dim, start, length),
    )


def matmul(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    Products of matrices whose rows are a batch dimension of all operands, as in window attention.
    """
    from intradp_ros.model.operators.elementwise import aligned, from_right

    if any(isinstance(v, Ref) for v in (call.get('attn_mask'),)):
        raise NotLocal('a computed mask')
    if any(t.layout.dim is None or from_right(t) > -3 for t in inputs):
        raise NotLocal('rows are summed over, or an operand has none')
    layout, needs = aligned(inputs, shape)
    return Rule(layout, needs, plain(call))


def einsum(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    A sum of products in which all operands and the result call their rows by the same letter.
    """
    terms, _, result = call.get('equation').replace(' ', '').partition('->')
    letters = set()
    for term, operand in zip(terms.split(','), call.get('tensors')):
        if not isinstance(operand, Ref) or '.' in term:
            raise NotLocal('an operand is a constant, or its dimensions have no names')
        layout = inputs[operand.index].layout
        if layout.dim is None:
            raise NotLocal('an operand has no rows')
        letters.add((term[layout.dim], layout.rows, layout.unit))
    if len(letters) > 1 or next(iter(letters))[0] not in result:
        raise NotLocal('rows are summed over, or operands have different rows')
    letter, rows, unit = letters.pop()
    layout = Layout(result.index(letter), rows, unit, inputs[0].layout.lines)
    return Rule(layout, [Need.same(rows)] * len(inputs), plain(call))

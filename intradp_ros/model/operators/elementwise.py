"""
Operators that compute each element from the elements at the same place: rows stay what they are.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor as T

from intradp_ros.model.graph import Kernel, Layout, Need, Tensor
from intradp_ros.model.operators import kernels
from intradp_ros.model.operators.call import (
    Call,
    NotLocal,
    Ref,
    Rule,
    bind,
    has_rows,
    plain,
    to_device,
)

# Fewer channels than a vector of the processor has floats.
NARROW = 8


def from_right(tensor: Tensor) -> int:
    """
    Where rows are, counted from the last dimension (-1): the same for operands that broadcast.
    """
    return tensor.layout.dim - len(tensor.shape)


def aligned(inputs: Sequence[Tensor], shape: tuple[int, ...]) -> tuple[Layout, list[Need]]:
    """
    Layout of a broadcast result, and what it needs of each operand.

    :raises NotLocal: when two operands have their rows in different places.
    """
    banded = [t for t in inputs if has_rows(t)]
    lead = max(banded, key=lambda t: t.rows)
    layout, place = lead.layout, from_right(lead)
    needs = []
    for tensor in inputs:
        if not has_rows(tensor):
            needs.append(Need.all(layout.rows, 1))
        elif from_right(tensor) != place or tensor.layout.unit != layout.unit and tensor.rows != 1:
            raise NotLocal('operands have their rows in different dimensions')
        elif tensor.rows == layout.rows:
            needs.append(Need.same(layout.rows))
        elif tensor.rows == 1 and tensor.layout.unit == 1:
            needs.append(Need.all(layout.rows, 1))
        else:
            raise NotLocal(f'operands have {tensor.rows} and {layout.rows} rows')
    dim = len(shape) + place
    if shape[dim] != layout.rows * layout.unit:
        raise NotLocal('a whole operand has more rows than the banded one')
    return Layout(dim, layout.rows, layout.unit, layout.lines), needs


def elementwise(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    Row r needs row r; operands that are not banded but as high as the result are cut to match.
    """
    layout, needs = aligned(inputs, shape)
    place, extent, unit = layout.dim - len(shape), shape[layout.dim], layout.unit

    def high(operand_shape: Sequence[int]) -> bool:
        return len(operand_shape) >= -place and operand_shape[place] == extent != 1

    cut_inputs = {i for i, t in enumerate(inputs) if not has_rows(t) and high(t.shape)}
    if not cut_inputs and not any(
        isinstance(v, T) and high(v.shape) for v in call.arguments.values()
    ):
        return Rule(layout, needs, plain(call))

    def make(device: torch.device) -> Kernel:
        arguments = {n: to_device(v, device) for n, v in call.arguments.items()}

        def cut(value: Any, a: int, b: int) -> Any:
            if isinstance(value, T) and high(value.shape):
                return value.narrow(value.dim() + place, a * unit, (b - a) * unit)
            return value

        def kernel(bands: list[T], a: int, b: int) -> T:
            bands = [cut(t, a, b) if i in cut_inputs else t for i, t in enumerate(bands)]
            return call.target(**{n: bind(cut(v, a, b), bands) for n, v in arguments.items()})

        return kernel

    return Rule(layout, needs, make)


def affine(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    Scale and shift of each channel, then perhaps an activation: batch norm, image normalisation.

    `arguments`: scale and shift, broadcastable to the input; activation as for convolution.
    """

    (x,) = inputs
    activation = call.get('activation')

    def make(device: torch.device) -> Kernel:
        scale, shift = call.get('scale').to(device), call.get('shift').to(device)
        # An image's three channels are too few for vectors: one pattern for a row of pixels makes
        # it one loop (1.2 -> 0.2 ms for 640x480 on the CPU), with the same result bit for bit.
        narrow = len(shape) == 4 and shape[0] == 1 and shape[1] < NARROW and device.type == 'cpu'
        if narrow:
            scale, shift = (v.expand(shape[1], 1, 1).reshape(-1).repeat(shape[3])
                            for v in (scale, shift))

        def kernel(bands: list[T], a: int, b: int) -> T:
            x = bands[0]
            if x.dtype != scale.dtype:
                x = x.to(scale.dtype)
            if not narrow:
                return kernels.activate(torch.addcmul(shift, x, scale), activation)
            rows = x.permute(0, 2, 3, 1).reshape(x.shape[2], -1)
            out = torch.addcmul(shift, rows, scale).view(x.shape[0], x.shape[2], x.shape[3], -1)
            return kernels.activate(out.permute(0, 3, 1, 2), activation)

        return kernel

    layout = x.layout
    return Rule(layout, [Need.same(x.rows)], make)


def concatenate(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Concatenation (or stacking) along any dimension but that of the rows."""
    if not all(has_rows(t) for t in inputs):
        raise NotLocal('an operand has no rows')
    layout, count = inputs[0].layout, len(shape)
    if any(
        (t.layout.dim, t.rows, t.layout.unit) != (layout.dim, layout.rows, layout.unit)
        for t in inputs
    ):
        raise NotLocal('operands have different rows')
    if any(not isinstance(v, Ref) for v in call.get('tensors')):
        raise NotLocal('a constant is concatenated')
    dim = call.get('dim', 0) % count
    if call.kind == 'stack':
        layout = Layout(layout.dim + (dim <= layout.dim), layout.rows, layout.unit)
    elif dim == layout.dim:
        raise NotLocal('rows are concatenated')
    return Rule(layout, [Need.same(layout.rows)] * len(inputs), plain(call))

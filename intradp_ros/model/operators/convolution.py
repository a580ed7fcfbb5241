"""
Convolution and transposed convolution over rows and columns, with what is fused to them.

`arguments` of a call of this kind: weight, bias, stride, padding (top, bottom, left, right),
dilation, groups, transposed, output_padding, activation (name, scalars) or None; a second input
is added to the result before the activation.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor as T

from intradp_ros.model.graph import WHOLE, Kernel, Layout, Need, Tensor
from intradp_ros.model.operators.call import Call, Rule
from intradp_ros.model.operators.window import Window

ACTIVATIONS: dict[str, Any] = {
    'relu': torch.relu_,
    'hardtanh': F.hardtanh_,
    'hardswish': torch.ops.aten.hardswish_,
    'sigmoid': torch.sigmoid_,
    'swish': torch.ops.aten.silu_,
    'hardsigmoid': torch.ops.aten.hardsigmoid_,
    'leaky_relu': torch.ops.aten.leaky_relu_,
    'gelu': lambda x: F.gelu(x),
    'tanh': torch.tanh_,
}
"""
Activations that oneDNN computes with the convolution, by its names; elsewhere they run in place.
"""


def convolution(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Rows [a, b) need the rows under the kernel; a residual input needs the same rows."""
    x, rows = inputs[0], shape[2]
    if any(t.layout != Layout(2, t.shape[2]) for t in inputs):
        # Not in bands: one row that is the whole.
        make = (
            transposed_kernel(call, Need.same(1), 1, 1)
            if call.get('transposed')
            else direct_kernel(call, x, 1)
        )
        return Rule(WHOLE, [Need.all(1, t.rows) for t in inputs], make)
    residual = len(inputs) > 1
    weight, dilation, stride = call.get('weight'), call.get('dilation'), call.get('stride')
    top = call.get('padding')[0]
    size = dilation[0] * (weight.shape[2] - 1) + 1
    if call.get('transposed'):
        need = _transposed_need(rows, x.rows, size, stride[0], top)
        borders, kernel = None, transposed_kernel(call, need, rows, size)
    else:
        window = Window(rows, x.rows, size, stride[0], top)
        need, borders = window.need, window.borders()
        if call.get('padding')[0] != call.get('padding')[1]:
            borders = always(window)
        kernel = direct_kernel(call, x, rows)
    needs = [need, Need.same(rows)] if residual else [need]
    return Rule(Layout(2, rows), needs, kernel, borders)


def always(window: Window):
    """Borders for padding that torch cannot do by itself: explicit for the whole too."""
    inner = Window(window.rows + 1, window.input_rows, window.size, window.stride, window.before)
    return inner.borders()


def _transposed_need(rows: int, input_rows: int, size: int, stride: int, padding: int) -> Need:
    # Input row i spreads over output rows i * stride - padding ... + size - 1.
    first = [-((size - 1 - r - padding) // stride) for r in range(rows)]
    last = [(r + padding) // stride + 1 for r in range(rows)]
    return Need(
        tuple(min(max(f, 0), input_rows) for f in first),
        tuple(min(max(e, 0), input_rows) for e in last),
    )


def direct_kernel(call: Call, x: Tensor, rows: int):
    """Build what convolves a band to which the borders have been added already, or the whole."""
    get = call.get
    top, bottom, left, right = get('padding')
    stride, dilation, groups = list(get('stride')), list(get('dilation')), get('groups')
    columns = left if left == right else 0
    whole = [top if top == bottom else 0, columns]
    banded = [0, columns]
    activation, scalars = get('activation') or ('none', [])

    def make(device: torch.device) -> Kernel:
        convolve = _packed(call, device) if device.type == 'cpu' else _eager(call, device)

        def kernel(bands: list[T], a: int, b: int) -> T:
            band = bands[0]
            if left != right:
                band = F.pad(band, (left, right))
            padding = whole if a == 0 and b == rows else banded
            return convolve(band, bands[1] if len(bands) > 1 else None, padding)

        return kernel

    def _packed(call: Call, device: torch.device):
        packed, bias = pack(get('weight'), whole, stride, dilation, groups), get('bias')
        plain = torch.ops.mkldnn._convolution_pointwise.default
        binary = torch.ops.mkldnn._convolution_pointwise.binary
        unary = None if activation == 'none' else activation

        def run(band: T, other: T | None, padding: list[int]) -> T:
            if other is None:
                return plain(
                    band,
                    packed,
                    bias,
                    padding,
                    stride,
                    dilation,
                    groups,
                    activation,
                    scalars,
                    ALGORITHM.get(activation, ''),
                )
            return binary(
                band,
                other,
                packed,
                bias,
                padding,
                stride,
                dilation,
                groups,
                'add',
                1.0,
                unary,
                scalars,
                '',
            )

        return run

    def _eager(call: Call, device: torch.device):
        weight = get('weight').to(device, memory_format=torch.channels_last)
        bias = None if get('bias') is None else get('bias').to(device)

        def run(band: T, other: T | None, padding: list[int]) -> T:
            out = F.conv2d(band, weight, bias, stride, padding, dilation, groups)
            if other is not None:
                out += other
            return out if activation == 'none' else ACTIVATIONS[activation](out, *scalars)

        return run

    return make


ALGORITHM = {'gelu': 'none'}


def pack(weight: T, padding: list[int], stride: list[int], dilation: list[int], groups: int) -> T:
    """Lay weights out as oneDNN wants them, once; without this each call would do it again."""
    return torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(), padding, stride, dilation, groups, None
    )


def transposed_kernel(call: Call, need: Need, rows: int, size: int):
    """Build what spreads a band: without row padding, then cut (or filled up) to rows [a, b)."""
    get = call.get
    top, _, left, _ = get('padding')
    stride, dilation, groups = list(get('stride')), list(get('dilation')), get('groups')
    extra = list(get('output_padding'))
    activation, scalars = get('activation') or ('none', [])

    def make(device: torch.device) -> Kernel:
        weight = get('weight').to(device)
        bias = None if get('bias') is None else get('bias').to(device)

        def kernel(bands: list[T], a: int, b: int) -> T:
            band = bands[0]
            if a == 0 and b == rows:
                out = F.conv_transpose2d(
                    band, weight, bias, stride, [top, left], extra, groups, dilation
                )
            else:
                p, q = need.of(a, b)
                width = (
                    (band.shape[3] - 1) * stride[1]
                    - 2 * left
                    + dilation[1] * (weight.shape[3] - 1)
                    + extra[1]
                    + 1
                )
                out = band.new_zeros((1, weight.shape[1] * groups, b - a, width)).contiguous(
                    memory_format=torch.channels_last
                )
                if q > p:
                    spread = F.conv_transpose2d(
                        band, weight, None, stride, [0, left], [0, extra[1]], groups, dilation
                    )
                    start = p * stride[0] - top
                    low, high = max(a, start), min(b, start + spread.shape[2])
                    if low < high:
                        out[:, :, low - a : high - a] = spread[:, :, low - start : high - start]
                if bias is not None:
                    out += bias.view(1, -1, 1, 1)
            if len(bands) > 1:
                out += bands[1]
            return out if activation == 'none' else ACTIVATIONS[activation](out, *scalars)

        return kernel

    return make

"""
Convolution and transposed convolution over rows and columns, with what is fused to them.

`arguments` of a call of this kind: weight, bias, stride, padding (top, bottom, left, right),
dilation, groups, transposed, output_padding, activation (name, scalars) or None; a second input
is added to the result before the activation.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor as T

from intradp_ros.model.graph import WHOLE, Kernel, Layout, Need, Tensor
from intradp_ros.model.operators import kernels
from intradp_ros.model.operators.call import Call, Rule
from intradp_ros.model.operators.window import Window


def convolution(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Rows [a, b) need the rows under the kernel; a residual input needs the same rows."""
    x, rows = inputs[0], shape[2]
    if any(t.layout != Layout(2, t.shape[2]) for t in inputs):
        # Not in bands: one row that is the whole.
        make = (
            transposed_kernel(call, Need.same(1), 1, x.shape[2])
            if call.get('transposed')
            else direct_kernel(call, x, None)
        )
        return Rule(WHOLE, [Need.all(1, t.rows) for t in inputs], make)
    residual = len(inputs) > 1
    weight, dilation, stride = call.get('weight'), call.get('dilation'), call.get('stride')
    top = call.get('padding')[0]
    size = dilation[0] * (weight.shape[2] - 1) + 1
    if call.get('transposed'):
        need = _transposed_need(rows, x.rows, size, stride[0], top)
        borders, kernel = None, transposed_kernel(call, need, rows, x.rows)
    else:
        symmetric = top == call.get('padding')[1]
        # A residual has exactly the rows of the band.
        window = Window(rows, x.rows, size, stride[0], top, symmetric, exact=residual)
        need, borders, kernel = window.need, window.borders, direct_kernel(call, x, window)
    needs = [need, Need.same(rows)] if residual else [need]
    return Rule(Layout(2, rows), needs, kernel, borders)


def _transposed_need(rows: int, input_rows: int, size: int, stride: int, padding: int) -> Need:
    # Input row i spreads over output rows i * stride - padding ... + size - 1.
    first = [-((size - 1 - r - padding) // stride) for r in range(rows)]
    last = [(r + padding) // stride + 1 for r in range(rows)]
    return Need(
        tuple(min(max(f, 0), input_rows) for f in first),
        tuple(min(max(e, 0), input_rows) for e in last),
    )


def direct_kernel(call: Call, x: Tensor, window: Window | None):
    """Build what convolves a band of `x`, or (`window` None) an `x` that has no bands."""
    get = call.get
    top, bottom, left, right = get('padding')
    columns = left if left == right else 0
    around = [top if top == bottom else 0, columns]
    banded = [0, columns]
    extra = [left, right] if left != right else [0, 0]
    if window is None and top != bottom:
        extra += [top, bottom]
    stride, dilation = list(get('stride')), list(get('dilation'))
    shape = [*x.shape[:2], x.shape[2] + sum(extra[2:]), x.shape[3] + sum(extra[:2])]

    def make(device: torch.device) -> Kernel:
        convolve = kernels.convolution(
            get('weight'),
            get('bias'),
            stride,
            around,
            dilation,
            get('groups'),
            get('activation'),
            device,
            shape,
        )
        if around == [0, 0] and not any(extra):
            # Nothing to pad, nothing to cut: most layers of most networks.
            return lambda bands, a, b: convolve(
                bands[0], bands[1] if len(bands) > 1 else None, around
            )

        def kernel(bands: list[T], a: int, b: int) -> T:
            band = F.pad(bands[0], extra) if any(extra) else bands[0]
            other = bands[1] if len(bands) > 1 else None
            if window is None or a == 0 and b == window.rows and window.symmetric:
                return convolve(band, other, around)
            if window.native(a, b):
                return window.cut(convolve(band, other, around), a, b)
            return convolve(band, other, banded)

        return kernel

    return make


def transposed_kernel(call: Call, need: Need, rows: int, height: int):
    """Build what spreads a band: without row padding, then cut (or filled up) to rows [a, b)."""
    get = call.get
    top, _, left, _ = get('padding')
    stride, dilation, groups = list(get('stride')), list(get('dilation')), get('groups')
    extra = list(get('output_padding'))

    def make(device: torch.device) -> Kernel:
        weight = get('weight').to(device)
        bias = None if get('bias') is None else get('bias').to(device)

        def kernel(bands: list[T], a: int, b: int) -> T:
            band = bands[0]
            if a == 0 and b == rows and band.shape[2] == height:
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
            return kernels.activate(out, get('activation'))

        return kernel

    return make

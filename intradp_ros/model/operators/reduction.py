"""
Operators that combine a whole dimension: sums, norms, softmax, linear layers, and statistics over
rows.

Over dimensions other than rows they are local. A mean over the image, or the statistics of a
group norm, come in two steps: one number (or two) for each row as rows arrive, so that the rows
need not be kept for it, then a global operator on these few numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor as T

from intradp_ros.model.graph import WHOLE, Kernel, Layout, Need, Tensor
from intradp_ros.model.operators import kernels
from intradp_ros.model.operators.call import Call, NotLocal, Rule, has_rows, plain


def reduce(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Reduce over dimensions that are not that of the rows (mean, sum, amax, vector norm ...)."""
    (x,) = inputs
    old, count = x.layout, len(x.shape)
    dims = call.get('dim')
    if dims is None or dims == []:
        raise NotLocal('all elements are combined')
    dims = {d % count for d in ([dims] if isinstance(dims, int) else dims)}
    if old.dim in dims:
        raise NotLocal('rows are combined')
    gone = 0 if call.get('keepdim', False) else sum(d < old.dim for d in dims)
    layout = Layout(old.dim - gone, old.rows, old.unit, old.lines)
    return Rule(layout, [Need.same(old.rows)], plain(call))


def softmax(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Softmax over a dimension that is not that of the rows."""
    (x,) = inputs
    if call.get('dim') % len(x.shape) == x.layout.dim:
        raise NotLocal('softmax over rows')
    return Rule(x.layout, [Need.same(x.rows)], plain(call))


def layer_norm(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Layer norm over trailing dimensions that come after that of the rows."""
    (x,) = inputs
    if x.layout.dim >= len(x.shape) - len(call.get('normalized_shape')):
        raise NotLocal('rows are normalised together')
    return Rule(x.layout, [Need.same(x.rows)], plain(call))


def linear(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    A linear layer over the last dimension, which is not that of the rows, and its activation.

    `arguments`: weight, bias, activation as for convolution.
    """
    (x,) = inputs
    layout, need = x.layout, Need.same(x.rows)
    if layout.dim == len(x.shape) - 1:
        layout, need = WHOLE, Need.all(1, x.rows)

    def make(device: torch.device) -> Kernel:
        run = kernels.linear(call.get('weight'), call.get('bias'), call.get('activation'), device)
        return lambda bands, a, b: run(bands[0])

    return Rule(layout, [need], make)


def row_means(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """First step of a mean over the image: (1, C, H, W) to the mean of each row, (1, C, H, 1)."""
    (x,) = inputs
    _image(x)
    return Rule(
        x.layout,
        [Need.same(x.rows)],
        lambda device: lambda bands, a, b: bands[0].mean(3, keepdim=True),
    )


def mean_of_rows(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Second step: (1, C, H, 1) to (1, C, 1, 1), or (1, C) when `keepdim` is false."""
    (x,) = inputs
    keep = call.get('keepdim')

    def make(device: torch.device) -> Kernel:
        def kernel(bands: list[T], a: int, b: int) -> T:
            mean = bands[0].mean(2, keepdim=True)
            return mean if keep else mean.flatten(1)

        return kernel

    # One row is left, and it still lies in dimension 2: what follows goes on as on any image.
    return Rule(Layout(2) if keep else WHOLE, [Need.all(1, x.rows)], make)


def row_statistics(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """First step of a group norm: mean and sum of squared deviations, (1, groups, H, 2)."""
    (x,) = inputs
    _image(x)
    groups = call.get('groups')

    def make(device: torch.device) -> Kernel:
        def kernel(bands: list[T], a: int, b: int) -> T:
            band = bands[0]
            # Rows first, as channels_last memory has them: (rows, columns, groups, channels).
            grouped = band[0].permute(1, 2, 0).unflatten(2, (groups, -1))
            variance, mean = torch.var_mean(grouped, (1, 3), correction=0)
            count = grouped.shape[1] * grouped.shape[3]
            return torch.stack([mean.T, variance.T * count], 2)[None]

        return kernel

    return Rule(Layout(2, x.rows), [Need.same(x.rows)], make)


def group_scale(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    Second step: statistics of all rows to scale and shift of each channel, (2, C).

    Deviations within rows and between their means add up (Chan, Golub, LeVeque 1979, eq. 2.1), so
    no digits are lost as they would be in a sum of squares.
    """
    (x,) = inputs
    count, eps = call.get('count'), call.get('eps')

    def make(device: torch.device) -> Kernel:
        weight, bias = call.get('weight').to(device), call.get('bias').to(device)

        def kernel(bands: list[T], a: int, b: int) -> T:
            means, squares = bands[0][0].unbind(-1)
            mean = means.mean(1)
            total = squares.sum(1) + count * (means - mean[:, None]).square().sum(1)
            inverse = torch.rsqrt(total / (count * means.shape[1]) + eps)
            repeat = weight.numel() // mean.numel()
            scale = inverse.repeat_interleave(repeat) * weight
            return torch.stack([scale, bias - mean.repeat_interleave(repeat) * scale])

        return kernel

    return Rule(WHOLE, [Need.all(1, x.rows)], make)


def group_apply(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Third step: scale and shift rows, then perhaps an activation; local again."""

    x, _ = inputs
    _image(x)
    activation = call.get('activation')

    def make(device: torch.device) -> Kernel:

        def kernel(bands: list[T], a: int, b: int) -> T:
            scale, shift = bands[1].view(2, 1, -1, 1, 1)
            out = torch.addcmul(shift, bands[0], scale)
            return kernels.activate(out, activation)

        return kernel

    return Rule(x.layout, [Need.same(x.rows), Need.all(x.rows, 1)], make)


def group_norm_whole(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Group norm in one step, of a tensor that is only there as a whole."""

    arguments = {n: v for n, v in call.arguments.items() if n != 'activation'}
    activation = call.get('activation')
    norm = Call(call.kind, call.target, arguments, call.inputs, call.output, call.name)

    def make(device: torch.device) -> Kernel:
        run = plain(norm)(device)
        return lambda bands, a, b: kernels.activate(run(bands, a, b), activation)

    x = inputs[0]
    if x.layout.rows != 1:
        raise NotLocal('rows are normalised together')
    return Rule(x.layout, [Need.all(1, 1)], make)


def _image(x: Tensor) -> None:
    if not has_rows(x) or len(x.shape) != 4 or x.layout.dim != 2 or x.layout.unit != 1:
        raise NotLocal('rows of the input are not in dimension 2')

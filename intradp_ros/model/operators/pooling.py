"""Maximum and average pooling, with fixed windows (dilated, ceil mode) and adaptive ones."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor as T

from intradp_ros.model.graph import Kernel, Layout, Need, Tensor
from intradp_ros.model.operators.call import Call, NotLocal, Rule, pair, plain
from intradp_ros.model.operators.window import Window


def _image(x: Tensor, shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or x.layout.dim != 2 or x.layout.unit != 1:
        raise NotLocal('rows of the input are not in dimension 2')


def max_pool(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Rows under the window; border rows are minus infinity."""
    (x,) = inputs
    _image(x, shape)
    size = pair(call.get('kernel_size'))
    stride = pair(call.get('stride') or size)
    padding, dilation = pair(call.get('padding', 0)), pair(call.get('dilation', 1))
    window = Window(shape[2], x.rows, dilation[0] * (size[0] - 1) + 1, stride[0], padding[0])
    ceil = bool(call.get('ceil_mode', False))

    def make(device: torch.device) -> Kernel:
        def kernel(bands: list[T], a: int, b: int) -> T:
            native = window.native(a, b)
            around = padding if native else (0, padding[1])
            out = F.max_pool2d(bands[0], size, stride, around, dilation, ceil)
            return window.cut(out, a, b) if native else out

        return kernel

    return Rule(Layout(2, shape[2]), [window.need], make, window.borders, float('-inf'))


def average_pool(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """
    Rows under the window, summed; the divisor is that of the whole image's geometry.

    How many places a window counts is (rows it counts) times (columns it counts): with
    `count_include_pad` the padding counts, but not what ceil mode adds beyond it.
    """
    (x,) = inputs
    _image(x, shape)
    size = pair(call.get('kernel_size'))
    stride = pair(call.get('stride') or size)
    padding = pair(call.get('padding', 0))
    ceil = bool(call.get('ceil_mode', False))
    include, fixed = bool(call.get('count_include_pad', True)), call.get('divisor_override')
    window = Window(shape[2], x.rows, size[0], stride[0], padding[0])

    def counted(axis: int) -> list[int]:
        extent, pad = x.shape[2 + axis], padding[axis]
        low, high = (-pad, extent + pad) if include else (0, extent)
        starts = [i * stride[axis] - pad for i in range(shape[2 + axis])]
        return [min(s + size[axis], high) - max(s, low) for s in starts]

    def make(device: torch.device) -> Kernel:
        whole = plain(call)(device)
        count = torch.tensor(counted(0)).view(1, 1, -1, 1) * torch.tensor(counted(1))
        inverse = (1.0 / (torch.full_like(count, fixed) if fixed else count)).to(device, x.dtype)

        def kernel(bands: list[T], a: int, b: int) -> T:
            if a == 0 and b == shape[2]:
                return whole(bands, a, b)
            native = window.native(a, b)
            around = padding if native else (0, padding[1])
            total = F.avg_pool2d(bands[0], size, stride, around, ceil, divisor_override=1)
            total = window.cut(total, a, b) if native else total
            return total.mul_(inverse[:, :, a:b])

        return kernel

    return Rule(Layout(2, shape[2]), [window.need], make, window.borders)


def adaptive_pool(call: Call, inputs: Sequence[Tensor], shape: tuple[int, ...]) -> Rule:
    """Output row r of R reads rows floor(r H / R) up to ceil((r + 1) H / R)."""
    (x,) = inputs
    _image(x, shape)
    rows, height = shape[2], x.rows
    need = Need(
        tuple(r * height // rows for r in range(rows)),
        tuple(-(-(r + 1) * height // rows) for r in range(rows)),
    )
    if rows == 1 and height > 1:
        raise NotLocal('one output row reads all rows')
    pool = F.adaptive_max_pool2d if 'max' in call.kind else F.adaptive_avg_pool2d

    def make(device: torch.device) -> Kernel:
        def kernel(bands: list[T], a: int, b: int) -> T:
            if a == 0 and b == rows:
                return pool(bands[0], (rows, shape[3]))
            start = need.first[a]
            return torch.cat(
                [
                    pool(
                        bands[0][:, :, need.first[r] - start : need.last[r] - start], (1, shape[3])
                    )
                    for r in range(a, b)
                ],
                2,
            )

        return kernel

    return Rule(Layout(2, rows), [need], make)

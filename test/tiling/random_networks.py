"""Random small networks of all operator kinds and random geometry, for property tests."""

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn


class Network(nn.Module):
    """
    Steps applied one after the other; each sees all tensors so far, and the last is the result.
    """

    def __init__(self, steps, names, early):
        super().__init__()
        self.steps, self.names, self.early = steps, names, early
        self.weights = nn.ModuleList(s for s in steps if isinstance(s, nn.Module))

    def forward(self, x):
        tensors = [x]
        for step in self.steps:
            tensors.append(step(tensors[-1]) if isinstance(step, nn.Module) else step(tensors))
        return tensors[-1], tensors[self.early]

    def __repr__(self):
        return f'Network({" -> ".join(self.names)}; also {self.early})'


def convolution(draw, channels):
    kernel = draw(st.tuples(st.integers(1, 7), st.integers(1, 5)))
    out = draw(st.sampled_from([4, 8]))
    groups = draw(st.sampled_from([1, 1, 4]))
    if draw(st.integers(0, 4)) == 0:
        return nn.Conv2d(
            channels, out, kernel, padding='same', dilation=draw(st.integers(1, 2)), groups=groups
        ), out
    padding = draw(st.integers(0, kernel[0])), draw(st.integers(0, 2))
    return nn.Conv2d(
        channels,
        out,
        kernel,
        draw(st.integers(1, 3)),
        padding,
        draw(st.integers(1, 3)),
        groups,
        bias=draw(st.booleans()),
    ), out


def transposed(draw, channels):
    stride = draw(st.integers(1, 3))
    kernel = draw(st.integers(1, 5))
    dilation = draw(st.integers(1, 2))
    extra = draw(st.integers(0, max(stride, dilation) - 1))
    padding = draw(st.integers(0, dilation * (kernel - 1)))
    return nn.ConvTranspose2d(
        channels,
        4,
        kernel,
        stride,
        padding,
        extra,
        draw(st.sampled_from([1, 4])),
        dilation=dilation,
    ), 4


def pooling(draw, channels):
    kernel = draw(st.integers(1, 5))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, kernel // 2))
    ceil = draw(st.booleans())
    if draw(st.booleans()):
        return nn.MaxPool2d(
            kernel, stride, padding, draw(st.integers(1, 2)), ceil_mode=ceil
        ), channels
    return nn.AvgPool2d(
        kernel, stride, padding, ceil, draw(st.booleans()), draw(st.sampled_from([None, None, 3]))
    ), channels


def normalization(draw, channels):
    norm = draw(
        st.sampled_from(
            [
                nn.BatchNorm2d(channels),
                nn.GroupNorm(2, channels, eps=0.1),
                nn.InstanceNorm2d(channels, eps=0.1, affine=True),
            ]
        )
    )
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-0.5, 0.5)
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2)
    return norm, channels


def activation(draw, channels):
    return draw(
        st.sampled_from(
            [
                nn.ReLU(),
                nn.ReLU6(),
                nn.Hardswish(),
                nn.SiLU(),
                nn.GELU(),
                nn.Sigmoid(),
                nn.Tanh(),
                nn.LeakyReLU(0.1),
                nn.Hardsigmoid(),
                nn.ELU(),
                nn.Dropout(),
                nn.Softmax(1),
            ]
        )
    ), channels


def resampling(draw, channels):
    mode = draw(st.sampled_from(['nearest', 'nearest-exact', 'bilinear', 'bicubic']))
    options = {} if mode.startswith('nearest') else {'align_corners': draw(st.booleans())}
    if draw(st.booleans()):
        size = draw(st.integers(2, 40)), draw(st.integers(1, 12))
        return (lambda tensors: F.interpolate(tensors[-1], size, mode=mode, **options)), channels
    scale = draw(st.sampled_from([2, 1.5, 0.7]))
    return (
        lambda tensors: F.interpolate(tensors[-1], scale_factor=scale, mode=mode, **options)
    ), channels


def padding(draw, channels):
    sides = draw(st.tuples(*[st.integers(0, 3)] * 4))
    value = draw(st.sampled_from([0.0, 1.5]))
    return (lambda tensors: F.pad(tensors[-1], sides, value=value)), channels


def rearranging(draw, channels):
    return draw(
        st.sampled_from(
            [
                lambda tensors: tensors[-1][:, :, 1:],
                lambda tensors: tensors[-1][:, :, ::2],
                lambda tensors: tensors[-1][:, :, :, 1:],
                lambda tensors: tensors[-1].flip(2),
                lambda tensors: torch.roll(tensors[-1], (2, 1), (2, 3)),
                lambda tensors: (
                    tensors[-1].flatten(2).transpose(1, 2).transpose(1, 2).view(tensors[-1].shape)
                ),
                lambda tensors: F.adaptive_avg_pool2d(tensors[-1], (3, 2)),
                lambda tensors: F.adaptive_max_pool2d(tensors[-1], (5, 2)),
                lambda tensors: torch.cat(tensors[-1].chunk(2, 1)[::-1], 1),
            ]
        )
    ), channels


class LastDimension(nn.Module):
    """Layer norm and a linear layer over channels, as in ConvNeXt."""

    def __init__(self, channels):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(channels), nn.Linear(channels, channels)

    def forward(self, x):
        return F.gelu(self.linear(self.norm(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels):
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))


def block(draw, channels):
    return draw(st.sampled_from([LastDimension, Gate]))(channels), channels


def combination(draw, channels):
    """Combine with an earlier tensor of the same shape, if there is one."""
    kind = draw(st.sampled_from(['add', 'mul', 'cat_half', 'maximum']))
    back = draw(st.integers(0, 5))

    def combine(tensors):
        x = tensors[-1]
        same = [t for t in tensors[:-1] if t.shape == x.shape]
        other = same[back % len(same)] if same else x * 0.5
        if kind == 'cat_half':
            half = x.shape[1] // 2
            return torch.cat([x[:, :half], other[:, half:]], 1)
        return {'add': torch.add, 'mul': torch.mul, 'maximum': torch.maximum}[kind](x, other)

    return combine, channels


KINDS = [
    convolution,
    convolution,
    convolution,
    transposed,
    pooling,
    pooling,
    normalization,
    activation,
    activation,
    resampling,
    padding,
    rearranging,
    block,
    combination,
    combination,
]


@st.composite
def networks(draw, kinds=None, most=7):
    """Draw (network, image): the network works on the image and gives at least one place."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    image = torch.rand(1, 4, draw(st.integers(5, 40)), draw(st.integers(4, 12)))
    channels, tensors, steps, names = 4, [image], [], []
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(kinds or KINDS))
        step, after = kind(draw, channels)
        try:
            with torch.no_grad():
                out = step.eval()(tensors[-1]) if isinstance(step, nn.Module) else step(tensors)
        except RuntimeError:
            # Geometry that torch itself refuses, such as a kernel larger than the image.
            continue
        if (
            out.numel() == 0
            or out.shape[2] * out.shape[3] < 1
            or out.shape[2] > 150
            or out.shape[3] > 60
        ):
            continue
        channels = after
        tensors.append(out)
        steps.append(step)
        names.append(f'{kind.__name__}{step if isinstance(step, nn.Module) else ""}')
    if not steps:
        steps, names = [nn.Conv2d(4, 4, 3, 1, 1)], ['convolution']
        tensors.append(steps[0](image))
    early = draw(st.integers(1, len(tensors) - 1))
    return Network(steps, names, early).eval(), image
